//! The pages, a file for each.

mod denials;
mod fault;
mod overview;
mod quarantine;
mod revisions;
mod routes;
mod sign_in;
mod upstreams;

pub(super) use denials::denials;
pub(super) use fault::fault;
pub(super) use overview::overview;
pub(super) use quarantine::quarantine;
pub(super) use revisions::{difference, revisions};
pub(super) use routes::routes;
pub(super) use sign_in::sign_in;
pub(super) use upstreams::upstreams;
