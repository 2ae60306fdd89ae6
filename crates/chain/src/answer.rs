//! Answers: those the gateway makes, the head of every answer on its way out, and how it ended.

use std::net::SocketAddr;
use std::time::Duration;

use bartizan_core::Denial;
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;

/// An answer that the gateway makes itself.
#[derive(Debug)]
pub struct LocalAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, without framing.
    pub fields: Fields,
    /// Its body.
    pub body: Bytes,
}

impl LocalAnswer {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, fields: Fields::new(), body: Bytes::new() }
    }
}

/// A body that a plugin puts in place of the upstream's.
#[derive(Clone, Debug)]
pub struct ReplacementBody(pub Bytes);

/// The head of an answer on its way to the client.
#[derive(Debug)]
pub struct AnswerHead {
    /// The status; a plugin may change it.
    pub status: StatusCode,
    /// The fields, without framing and hop-by-hop fields; a plugin may change them.
    pub fields: Fields,
    /// The body to send in place of what the upstream or the gateway made.
    pub replacement: Option<ReplacementBody>,
    /// Whether the gateway made this answer.
    pub is_local: bool,
}

/// How an exchange ended, for hooks that run at its end.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The status the client got, or would have got; 499 where it left.
    pub status: u16,
    /// Why it was denied or failed.
    pub denial: Option<&'a Denial>,
    /// Whether the request was sent to an upstream.
    pub was_forwarded: bool,
    /// The status of the upstream, where it answered.
    pub upstream_status: Option<u16>,
    /// The upstream node's address.
    pub upstream_node: Option<SocketAddr>,
    /// From the request's first byte to the answer's last.
    pub duration: Duration,
    /// From the request sent upstream to the upstream's head.
    pub upstream_duration: Option<Duration>,
    /// Bytes of the request as received.
    pub bytes_in: u64,
    /// Bytes of the answer as sent.
    pub bytes_out: u64,
}
