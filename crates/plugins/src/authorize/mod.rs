//! Decide whether this caller may do this to this object.

pub mod acl;
pub mod any_authenticated;
pub mod consumer_restriction;
pub mod csrf;
pub mod forward_auth;
pub mod object_guard;
pub mod opa;
mod service;
