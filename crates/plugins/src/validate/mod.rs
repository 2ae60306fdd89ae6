//! Check the shape of what was sent.

pub mod oas_validator;
pub mod request_validation;
