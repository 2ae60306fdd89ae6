//! Prove who calls.

pub mod anonymous_access;
pub mod basic_auth;
mod carrier;
pub mod hmac_auth;
mod introspection;
pub mod jwe_decrypt;
pub mod jwt_auth;
pub mod key_auth;
pub mod multi_auth;
pub mod oauth_introspection;
pub mod openid_connect;
mod provider;
mod token;
