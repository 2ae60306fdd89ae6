//! Spend limits that are keyed by who calls.

pub mod limit_count;
