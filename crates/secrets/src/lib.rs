//! Values that are kept in secret managers: fetched when a configuration asks for them, kept in
//! memory, asked for again before they are old, and told when they change. Never in a request.
//!
//! They are spoken to over their HTTP APIs by the client that plugins use too: a few calls, for which
//! libraries would bring a second HTTP client. Signatures are made on the cryptography that TLS has.
//!
//! Architecture invariant: no value is in a log line, a diagnostic or a metric, and nothing that
//! a secret manager says of itself is repeated.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod aws;
mod document;
mod entry;
mod fault;
mod gcp;
mod line;
mod managers;
mod server;
mod vault;

pub use fault::Fault;
pub use managers::{ENTRIES_MAX, Managers, ManagersSettings};
