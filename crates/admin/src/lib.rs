//! What operators and their tools ask the node.
//!
//! The status listener ([`StatusServer`]) has health, readiness ([`Readiness`]) and metrics. It
//! only reads; nothing on it changes the node. Who may change it, and what of it, is decided by
//! [`operators`].
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

pub mod operators;
mod readiness;
mod status;

pub use operators::{Act, Forbidden, Object, Operator, Operators, Refusal, Verb};
pub use readiness::Readiness;
pub use status::{CONNECTIONS_MAX, FindPage, SharedRegistry, StatusServer};
