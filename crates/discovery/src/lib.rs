//! The servers of upstreams, as registries know them.
//!
//! Each registry of the node file is one kind of [`Registries`]; an upstream asks them for a
//! [`Service`], which many upstreams may share and which is followed, on the control runtime, as
//! long as somebody holds it. Whoever follows a service is told each list of servers that differs
//! from the one before.
//!
//! What a registry answers is not trusted: an answer is bounded in time, length and number of
//! servers, and an entry that names no host and port is left out. An answer that is not of the form
//! is a failure, like none at all: the last good list stays, and the registry is asked again after
//! a while, longer each time.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod consul;
mod dns;
mod eureka;
mod fault;
mod follow;
mod found;
mod http;
mod kubernetes;
mod nacos;
mod read;
mod registries;
mod service;

pub use found::{FOUND_MAX, Found};
pub use registries::{FOLLOWED_MAX, Registries, SERVICES_MAX};
pub use service::{Follower, Service};
