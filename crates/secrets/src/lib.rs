//! Values that are kept in secret managers: fetched when a configuration asks for them, kept in
//! memory, asked for again before they are old, and told when they change. Never in a request.
//!
//! Vault is spoken to over its HTTP API by the client that plugins use too: a few calls, for which a
//! library would bring a second HTTP client.
//!
//! Architecture invariant: no value is in a log line, a diagnostic or a metric, and nothing that
//! Vault says of itself is repeated.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod answers;
mod entry;
mod fault;
mod server;
mod vaults;

pub use fault::Fault;
pub use vaults::{ENTRIES_MAX, Vaults, VaultsSettings};
