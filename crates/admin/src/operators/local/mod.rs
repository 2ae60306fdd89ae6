//! The local socket, on which this machine's administrators make and end keys, of operators and of
//! callers.
//!
//! A Unix socket in a folder that only the node's user writes to, with mode 0600. Who connects is
//! told by the kernel (`SO_PEERCRED`): the node's own user and root may, others are refused before
//! anything is read. A connection carries one request and one answer, each one line of JSON. Over
//! all: [`CONNECTIONS_MAX`] connections, [`LINE_MAX`] bytes, [`TIME_MAX`].

mod client;
mod protocol;
mod server;

use std::time::Duration;

pub use client::{AskError, ask};
pub use protocol::{Answer, CallerMade, Made, Request};
pub use server::{CallersSlot, LocalServer};

/// Connections at a time; more are closed at once.
pub const CONNECTIONS_MAX: usize = 8;
/// Longest request, in bytes with the line's end.
pub const LINE_MAX: usize = 128 * 1_024;
/// Longest answer: a list of all keys, each confined to all that it can be.
const ANSWER_MAX: usize = 32 * 1_024 * 1_024;
/// Time for a connection.
pub const TIME_MAX: Duration = Duration::from_secs(10);

/// Whether the user at the other end of a socket may use it.
const fn is_trusted(uid: u32, own: u32) -> bool {
    uid == 0 || uid == own
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
