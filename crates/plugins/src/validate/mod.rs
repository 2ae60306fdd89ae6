//! Check the shape of what was sent.

pub mod oas_validator;
mod plan;
pub mod request_validation;
