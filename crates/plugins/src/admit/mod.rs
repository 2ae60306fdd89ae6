//! Refuse what needs no identity.

pub mod cors;
pub mod ip_restriction;
