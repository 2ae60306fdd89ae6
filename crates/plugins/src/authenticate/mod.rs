//! Prove who calls.

pub mod anonymous_access;
pub mod basic_auth;
mod binding;
mod carrier;
pub mod hmac_auth;
pub mod http_signature;
mod introspection;
pub mod jwe_decrypt;
pub mod jwt_auth;
pub mod key_auth;
pub mod mtls_auth;
pub mod multi_auth;
pub mod oauth_introspection;
pub mod openid_connect;
mod provider;
mod replays;
mod strength;
mod token;

pub use strength::DANGER_WEAK_SECRET;
