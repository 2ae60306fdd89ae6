//! Record what happened.

pub mod prometheus;
