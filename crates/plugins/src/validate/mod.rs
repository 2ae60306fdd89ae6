//! Check the shape of what was sent.

pub mod oas_validator;
mod plan;
mod proof;
pub mod request_validation;
