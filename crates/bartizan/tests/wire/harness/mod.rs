//! Clients, gateways and upstreams of the tests.

mod client;
pub(crate) mod frames;
mod gateway;
mod program;
mod tls;
mod upstream;

use std::time::{Duration, Instant};

pub(crate) use client::{Client, Reply, socket};
pub(crate) use frames::H2;
pub(crate) use gateway::{Gateway, Setup, open_route, quoted};
pub(crate) use program::{Folder, curl, run};
pub(crate) use tls::{Pki, ServerTls, hybrid_key_exchange};
pub(crate) use upstream::Upstream;

/// How long anything may take. It takes milliseconds, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, condition: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "still not so: {what}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
