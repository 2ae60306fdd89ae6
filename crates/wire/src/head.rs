//! What stands before a body: the request line or status line, the fields, and what they mean for
//! the message's length and the connection.

use bytes::Bytes;
use http::{Method, StatusCode};

use crate::fields::Fields;
use crate::websocket::handshake::Handshake;

/// The HTTP version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// HTTP/2
    Http2,
}

impl Version {
    /// As in an access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// Exactly this many bytes; never zero, which is `None`.
    Fixed(u64),
    /// Chunks, or an HTTP/2 stream without a length.
    Chunked,
    /// Until the sender closes; only in responses.
    UntilClose,
}

/// What becomes of the connection after this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionUse {
    /// Another message may follow.
    KeepAlive,
    /// This is the last one.
    Close,
}

/// The head of a request, strictly parsed. Hop-by-hop fields are already taken out of `fields`.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The method; CONNECT and TRACE do not get this far.
    pub method: Method,
    /// The request target as received; for HTTP/2 the `:path`.
    pub target: Bytes,
    /// The authority: from an absolute-form target or `:authority`, where there is one.
    pub authority: Option<Bytes>,
    /// The scheme of an absolute-form target or `:scheme`, where there is one.
    pub scheme: Option<Bytes>,
    /// The version.
    pub version: Version,
    /// The fields, without hop-by-hop fields, framing fields and `expect`.
    pub fields: Fields,
    /// How the end of the body is known.
    pub body: BodyLength,
    /// What the client wants of the connection afterwards.
    pub connection: ConnectionUse,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// What it says of an upgrade to WebSocket.
    pub handshake: Handshake,
}

/// The head of a response, strictly parsed. Hop-by-hop fields are already taken out of `fields`.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// The version the upstream speaks.
    pub version: Version,
    /// The fields, without hop-by-hop fields and framing fields.
    pub fields: Fields,
    /// How the end of the body is known, given the method that was asked.
    pub body: BodyLength,
    /// The `content-length` of an answer without a body (to HEAD, or 304), which is metadata.
    pub declared_length: Option<u64>,
    /// What the upstream wants of the connection afterwards.
    pub connection: ConnectionUse,
}
