//! Outgoing connections: names to addresses, addresses that must not be reached, connections that
//! are verified.
//!
//! Everything the gateway connects to goes through [`Connector`]: upstreams, key sets, policy
//! engines. A name is resolved first, and the address it gave is judged by [`EgressPolicy`] right
//! before the connection is made to that very address; there is no second resolution in between
//! that could give another one (DNS rebinding).
//!
//! Plugins that ask a server while a request waits do it through a [`Client`], with an own pool for
//! each worker; how they reach the world outside, and what runs beside the requests, is [`Reach`].
//!
//! Architecture invariant: only this crate opens connections.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod client;
mod connector;
mod egress;
mod reach;
mod resolver;
mod upstream_io;

pub use client::{
    Answered, Call, CallError, CallLimits, Client, Endpoint, Keep, Streamed, Turns, Url, UrlFault,
    is_host,
};
pub use connector::{ConnectError, ConnectPhase, Connector, Target, TargetTls};
pub use egress::{EgressDenial, EgressPolicy, is_loopback};
pub use reach::{Network, NoReach, Reach, Task};
pub use resolver::{
    ADDRESSES_MAX, Addresses, LookUp, LookUpFuture, NAMES_MAX, ResolveError, Resolver, SystemLookUp,
};
pub use upstream_io::UpstreamIo;
