//! What operators and their tools ask the node.
//!
//! The status listener ([`StatusServer`]) has health, readiness ([`Readiness`]) and metrics. It
//! only reads; nothing on it changes the node. Who may change it, and what of it, is decided by
//! [`operators`]. The dashboard, on the listener of the Admin API, shows people what of it they may
//! see.
//!
//! Architecture invariant: this is not the data plane. It runs on the control runtime, and no
//! request of a client comes here.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod api;
pub mod callers;
mod certificates;
pub mod coverage;
mod dashboard;
mod found;
mod health;
mod key_text;
pub mod operators;
mod plane;
mod readiness;
mod server;
mod status;

pub use api::{Api, ApiSettings};
pub use certificates::AdminCertificates;
pub use operators::{Act, Forbidden, Object, Operator, Operators, Refusal, Verb};
pub use plane::{
    Aside, Document, Later, Outcome, Plane, Problem, Proposal, Refused, StoreFacts, Written,
};
pub use readiness::Readiness;
pub use server::{ADMIN_CONNECTIONS_MAX, AdminServer};
pub use status::{CONNECTIONS_MAX, FindPage, SharedRegistry, StatusServer};
