//! Check the shape of what was sent.

pub mod request_validation;
