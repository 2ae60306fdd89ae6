//! Where resources live, and how the node learns that they changed.
//!
//! So far: files ([`FileStore`]). It only says that something changed; reading and judging the
//! new text is the configuration reader's.
//!
//! Architecture invariant: nothing here knows what the files mean.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation
)]

mod disk;
mod file_store;
mod watch;

pub use disk::Digest;
pub use file_store::{Change, FileStore, INTERVAL, Loaded};
