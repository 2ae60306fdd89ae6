//! What operators and their tools ask the node.
//!
//! So far: the status listener ([`StatusServer`]) with health, readiness ([`Readiness`]) and
//! metrics. It only reads; nothing on it changes the node.
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

mod operators;
mod readiness;
mod status;

pub use operators::{Act, Forbidden, Operator, Operators, Refusal, Verb};
pub use readiness::Readiness;
pub use status::{CONNECTIONS_MAX, FindPage, SharedRegistry, StatusServer};
