//! The HTTP/1 codec (RFC 9112), for both sides: what comes in has one meaning or is refused, what
//! goes out is a valid message or an error.

pub(crate) mod chunked;
pub(crate) mod encode;
mod lines;
pub(crate) mod meaning;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod scan;
mod swar;

use bartizan_core::{Limits, Reason};
use bytes::{Bytes, BytesMut};

pub(crate) use lines::{FieldLine, read_field_line};
pub(crate) use swar::is_lower_or_hyphen;

/// Limits of a message's head, in bytes and fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Longest request line or status line, without its line end.
    pub request_line: usize,
    /// Longest single field line, without its line end.
    pub field: usize,
    /// Longest header block: all field lines with their line ends.
    pub header_block: usize,
    /// Most fields.
    pub fields: usize,
}

impl HeadLimits {
    /// No head may be longer than this, whatever is configured: positions in it are 32-bit.
    pub const HEAD_MAX: usize = 16 << 20;
}

impl From<&Limits> for HeadLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            request_line: limits.request_line.as_usize().min(Self::HEAD_MAX),
            field: limits.field.as_usize().min(Self::HEAD_MAX),
            header_block: limits.header_block.as_usize().min(Self::HEAD_MAX),
            fields: limits.fields as usize,
        }
    }
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// How far a parser came with the bytes that have arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress<T> {
    /// More bytes are needed.
    Partial,
    /// The whole of it.
    Complete(T),
}

/// Why a head was refused. The connection has no next message: it is answered and closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct HeadRefusal {
    /// The row of the reason table.
    pub reason: Reason,
    /// The precise cause, for the operator.
    pub detail: &'static str,
    /// The first line as far as it came, at most [`HeadRefusal::LINE_MAX`] bytes, for the
    /// operator. It is the peer's raw input: whoever writes it somewhere must escape it.
    pub line: Bytes,
}

impl HeadRefusal {
    /// Most bytes of the first line that a refusal keeps.
    pub const LINE_MAX: usize = 512;

    pub(crate) fn new(fault: Fault, seen: &[u8]) -> Self {
        let seen = seen.strip_prefix(b"\r\n").unwrap_or(seen);
        let kept = seen.get(..Self::LINE_MAX).unwrap_or(seen);
        let line = kept.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
        Self { reason: fault.reason, detail: fault.detail, line: Bytes::copy_from_slice(line) }
    }
}

/// A reason and its precise cause, before it is known what the message's first line was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: Reason,
    pub(crate) detail: &'static str,
}

impl Fault {
    pub(crate) fn malformed(detail: &'static str) -> Self {
        Self { reason: Reason::Malformed, detail }
    }

    pub(crate) fn framing(detail: &'static str) -> Self {
        Self { reason: Reason::AmbiguousFraming, detail }
    }
}

/// Takes the complete head of `end` bytes off the front of what was received.
fn take_head(buffer: &mut BytesMut, end: usize) -> BytesMut {
    buffer.split_to(end.min(buffer.len()))
}
