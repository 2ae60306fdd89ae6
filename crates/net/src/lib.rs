//! Outgoing connections: names to addresses, addresses that must not be reached, connections that
//! are verified.
//!
//! Everything the gateway connects to goes through [`Connector`]: upstreams, key sets, policy
//! engines. A name is resolved first, and the address it gave is judged by [`EgressPolicy`] right
//! before the connection is made to that very address; there is no second resolution in between
//! that could give another one (DNS rebinding).
//!
//! Architecture invariant: only this crate opens connections.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod connector;
mod egress;
mod resolver;
mod upstream_io;

pub use connector::{ConnectError, ConnectPhase, Connector, Target, TargetTls};
pub use egress::{EgressDenial, EgressPolicy};
pub use resolver::{
    ADDRESSES_MAX, Addresses, LookUp, LookUpFuture, NAMES_MAX, ResolveError, Resolver, SystemLookUp,
};
pub use upstream_io::UpstreamIo;
