//! Refuse what needs no identity.

pub mod auth_throttle;
pub mod cors;
pub mod geo_restriction;
pub mod ip_restriction;
pub mod referer_restriction;
pub mod ua_restriction;
pub mod uri_blocker;
