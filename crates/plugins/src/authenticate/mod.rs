//! Prove who calls.

pub mod anonymous_access;
mod carrier;
pub mod jwt_auth;
pub mod key_auth;
