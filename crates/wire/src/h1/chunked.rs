//! Chunked bodies (RFC 9112 §7.1): an incremental decoder that copies no data, and the encoder's
//! chunk heads.
//!
//! The size is 1 to 16 hexadecimal digits and nothing else; extensions are dropped and bounded, per
//! chunk and against the data they come with (CVE-2023-39326: a byte of data for each 4 KiB of
//! extension); data ends with CRLF; trailers are fields that may be trailers.

use std::io::Write as _;
use std::ops::Range;

use bartizan_core::{Limits, Reason};
use bytes::BytesMut;

use super::HeadLimits;
use super::scan::{HeadScan, Opening};
use crate::fields::Fields;
use crate::roles::is_forbidden_in_trailers;

/// Limits of a chunked body's overhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Longest extension of a chunk.
    pub extension: usize,
    /// Longest trailer section.
    pub trailers: usize,
    /// Most trailer fields.
    pub fields: usize,
}

impl From<&Limits> for ChunkLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            extension: limits.chunk_extension.as_usize().min(HeadLimits::HEAD_MAX),
            trailers: limits.trailers.as_usize().min(HeadLimits::HEAD_MAX),
            fields: limits.fields as usize,
        }
    }
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self::from(&Limits::default())
    }
}

/// Why a chunked body was refused: the peer's message has no end that can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ChunkFault {
    /// The row of the reason table where the body is a request's.
    pub reason: Reason,
    /// The precise cause, for the operator.
    pub detail: &'static str,
}

/// Chunk lines may be this much longer in all than what ordinary chunks need.
const OVERHEAD_MAX: u64 = 16 * 1024;
/// What a chunk's line and line ends may take without being counted.
const OVERHEAD_FREE: u64 = 24;
const SIZE_DIGITS_MAX: u8 = 16;

fn bad(detail: &'static str) -> ChunkFault {
    ChunkFault { reason: Reason::BadBody, detail }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { size: u64, len: usize },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    LastLf,
    Trailers,
    Done,
}

/// What one step of the decoder found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How much of the input is dealt with.
    pub consumed: usize,
    /// Where in the input body data is, if this step found any; it ends at `consumed`.
    pub data: Option<Range<usize>>,
    /// The body is complete; what follows is the next message.
    pub done: bool,
}

/// Decodes a chunked body as it arrives.
#[derive(Debug)]
pub struct ChunkedDecoder {
    state: State,
    limits: ChunkLimits,
    overhead: u64,
    trailers: Option<Box<TrailerSection>>,
}

#[derive(Debug, Default)]
struct TrailerSection {
    block: BytesMut,
    scan: HeadScan,
    fields: Fields,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new(limits: ChunkLimits) -> Self {
        Self { state: State::Size { digits: 0, size: 0 }, limits, overhead: 0, trailers: None }
    }

    /// True once the whole body was seen.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// The trailer fields, once the body is done. They come from the peer as data: none of them
    /// may take the place of a field of the head.
    pub fn take_trailers(&mut self) -> Fields {
        self.trailers.take().map(|section| section.fields).unwrap_or_default()
    }

    /// Looks at the input up to the end of the first stretch of data, or of the input.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, ChunkFault> {
        let mut at = 0;
        while self.state != State::Done {
            let rest = input.get(at..).unwrap_or_default();
            let Some(&byte) = rest.first() else { break };
            match self.state {
                State::Data { left } => {
                    let len = usize::try_from(left).map_or(rest.len(), |n| n.min(rest.len()));
                    let left = left - len as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok(Step { consumed: at + len, data: Some(at..at + len), done: false });
                }
                State::TrailerStart if byte != b'\r' => self.state = State::Trailers,
                State::Trailers => at += self.take_trailer_bytes(rest)?,
                _ => {
                    self.state = self.after(byte)?;
                    at += 1;
                }
            }
        }
        Ok(Step { consumed: at, data: None, done: self.is_done() })
    }

    /// The state after one byte that is neither data nor part of a trailer.
    fn after(&mut self, byte: u8) -> Result<State, ChunkFault> {
        match (self.state, byte) {
            (State::Size { digits, size }, _) => self.after_size_byte(digits, size, byte),
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeEnd { size }),
            (State::Extension { size, len }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.spend(1)?;
                if len >= self.limits.extension {
                    return Err(bad("a chunk extension over `limits.chunk_extension`"));
                }
                Ok(State::Extension { size, len: len + 1 })
            }
            (State::Extension { .. }, _) => Err(bad("a control byte in a chunk extension")),
            (State::SizeEnd { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeEnd { size }, b'\n') => {
                self.overhead = self.overhead.saturating_sub(size.saturating_add(OVERHEAD_FREE));
                Ok(State::Data { left: size })
            }
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0, size: 0 }),
            (State::TrailerStart, b'\r') => Ok(State::LastLf),
            (State::LastLf, b'\n') => Ok(State::Done),
            (State::DataCr | State::DataLf, _) => {
                Err(bad("chunk data that is not followed by CRLF"))
            }
            _ => Err(bad("a bare CR in a chunked body")),
        }
    }

    fn after_size_byte(&mut self, digits: u8, size: u64, byte: u8) -> Result<State, ChunkFault> {
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            _ if digits == 0 => return Err(bad("a chunk without a size")),
            b'\r' => return Ok(State::SizeEnd { size }),
            b';' => return Ok(State::Extension { size, len: 0 }),
            _ => return Err(bad("a byte in a chunk size that is no hexadecimal digit")),
        };
        if digits >= SIZE_DIGITS_MAX {
            return Err(bad("a chunk size of more than 16 digits"));
        }
        self.spend(1)?;
        Ok(State::Size { digits: digits + 1, size: (size << 4) | u64::from(value) })
    }

    fn spend(&mut self, bytes: u64) -> Result<(), ChunkFault> {
        self.overhead += bytes;
        if self.overhead > OVERHEAD_MAX {
            return Err(bad("chunk lines out of proportion to their data"));
        }
        Ok(())
    }

    /// Collects trailer lines; gives how many bytes of the input belong to them.
    fn take_trailer_bytes(&mut self, input: &[u8]) -> Result<usize, ChunkFault> {
        let limits = HeadLimits {
            request_line: 0,
            field: self.limits.trailers,
            header_block: self.limits.trailers,
            fields: self.limits.fields,
        };
        let section = self.trailers.get_or_insert_default();
        let held = section.block.len();
        // Enough to find either the end or a byte over the limit.
        let most = self.limits.trailers.saturating_add(8).saturating_sub(held);
        let taken = input.get(..most).unwrap_or(input);
        section.block.extend_from_slice(taken);
        let end = section.scan.advance(&section.block, Opening::Nothing, &limits);
        match end.map_err(|fault| section_fault(fault.reason, fault.detail))? {
            None => Ok(taken.len()),
            Some(end) => {
                section.block.truncate(end);
                section.read()?;
                self.state = State::Done;
                Ok(end - held)
            }
        }
    }
}

fn section_fault(reason: Reason, detail: &'static str) -> ChunkFault {
    match reason {
        Reason::HeadTooLarge => ChunkFault { reason, detail: "trailers over `limits.trailers`" },
        _ => bad(detail),
    }
}

impl TrailerSection {
    fn read(&mut self) -> Result<(), ChunkFault> {
        let mut block = std::mem::take(&mut self.block);
        self.scan.read_fields(&mut block, Opening::Nothing).map_err(bad)?;
        let block = block.freeze();
        self.fields = Fields::over(block.clone());
        for line in self.scan.field_lines() {
            if is_forbidden_in_trailers(line.field.name_in(&block)) {
                return Err(bad("a trailer field that may not be one"));
            }
            self.fields.push_range(line.field.name, line.field.value);
        }
        Ok(())
    }
}

/// Appends the line before a chunk of `len` bytes, which must not be zero: that would end the body.
/// After the data comes [`CHUNK_END`].
pub fn chunk_head(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len != 0, "a chunk of no bytes ends the body");
    // Writing to a Vec does not fail.
    let _ = write!(out, "{len:x}\r\n");
}

/// What follows a chunk's data.
pub const CHUNK_END: &[u8] = b"\r\n";

/// What ends a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
#[path = "chunked_tests.rs"]
mod tests;
