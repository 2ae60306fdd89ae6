//! Prove who calls.

pub mod anonymous_access;
pub mod basic_auth;
mod carrier;
pub mod hmac_auth;
pub mod jwe_decrypt;
pub mod jwt_auth;
pub mod key_auth;
pub mod multi_auth;
mod provider;
