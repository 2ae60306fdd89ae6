//! The data plane: listeners, the router, screening, forwarding, and what is written about it.
//!
//! Architecture invariants: only this crate opens upstream connections for requests, and only
//! `exchange::forward` sends a request on one, with the proof that screening happened. A worker is
//! one event loop with its own listeners and its own upstream pool.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod admission;
mod answer;
mod balance;
mod client;
mod contain;
mod decide;
mod exchange;
mod forwarded;
pub mod fuzz;
mod gateway;
mod grpc;
mod health;
mod in_process;
mod links;
mod listener;
mod outbox;
mod piece;
mod record;
mod router;
mod shape;
mod snapshot;
mod splice;
mod tally;
mod timer;
mod upstream;
mod ways;
mod websocket;
mod worker;

pub use gateway::{Applied, BindError, Dialer, Gateway, GatewaySettings, Running};
pub use health::describe_health;
pub use in_process::InProcess;
pub use router::{Leaf, Order, Router};
pub use snapshot::{
    CompileFault, Report, ReportedPlugin, RouteReport, Snapshot, UpstreamTls, Warning,
};
pub use upstream::Dial;
pub use ways::{ClientTls, Ways};
