//! Frames: their heads, read and written (RFC 9113 §4.1).

/// Frame types (RFC 9113 §6, RFC 9218 §7.1).
pub(crate) mod kind {
    pub(crate) const DATA: u8 = 0x0;
    pub(crate) const HEADERS: u8 = 0x1;
    pub(crate) const PRIORITY: u8 = 0x2;
    pub(crate) const RST_STREAM: u8 = 0x3;
    pub(crate) const SETTINGS: u8 = 0x4;
    pub(crate) const PUSH_PROMISE: u8 = 0x5;
    pub(crate) const PING: u8 = 0x6;
    pub(crate) const GOAWAY: u8 = 0x7;
    pub(crate) const WINDOW_UPDATE: u8 = 0x8;
    pub(crate) const CONTINUATION: u8 = 0x9;
    pub(crate) const PRIORITY_UPDATE: u8 = 0x10;
}

/// Flags; their meaning depends on the frame.
pub(crate) mod flag {
    pub(crate) const ACK: u8 = 0x1;
    pub(crate) const END_STREAM: u8 = 0x1;
    pub(crate) const END_HEADERS: u8 = 0x4;
    pub(crate) const PADDED: u8 = 0x8;
    pub(crate) const PRIORITY: u8 = 0x20;
}

/// Error codes (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// Nothing is wrong.
    NoError,
    /// The peer broke the protocol.
    ProtocolError,
    /// Something broke on our side.
    InternalError,
    /// More was sent than the window allowed.
    FlowControlError,
    /// A frame for a stream that is closed.
    StreamClosed,
    /// A frame whose length cannot be.
    FrameSizeError,
    /// The stream was not begun.
    RefusedStream,
    /// The stream is of no use any more.
    Cancel,
    /// A header block that cannot be read.
    CompressionError,
    /// Too much of something.
    EnhanceYourCalm,
}

impl ErrorCode {
    /// As it is sent.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::NoError => 0x0,
            Self::ProtocolError => 0x1,
            Self::InternalError => 0x2,
            Self::FlowControlError => 0x3,
            Self::StreamClosed => 0x5,
            Self::FrameSizeError => 0x6,
            Self::RefusedStream => 0x7,
            Self::Cancel => 0x8,
            Self::CompressionError => 0x9,
            Self::EnhanceYourCalm => 0xb,
        }
    }
}

/// `PRI * HTTP/2.0`, an empty line, `SM`, an empty line (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const HEAD: usize = 9;
/// Largest payload that we take, and the least that a peer must take (RFC 9113 §6.5.2).
pub(crate) const PAYLOAD_MAX: usize = 16_384;

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FrameHead {
    pub(crate) length: usize,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

impl FrameHead {
    /// The head at the front of `bytes`, if all of it is there.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD>()?;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        // The first bit is reserved (§4.1).
        let stream = u32::from_be_bytes(stream) & (u32::MAX >> 1);
        Some(Self { length, kind, flags, stream })
    }

    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Appends the head of a frame; `length` is at most [`PAYLOAD_MAX`].
pub(crate) fn write_head(out: &mut Vec<u8>, length: usize, kind: u8, flags: u8, stream: u32) {
    out.extend_from_slice(&head(length, kind, flags, stream));
}

fn head(length: usize, kind: u8, flags: u8, stream: u32) -> [u8; HEAD] {
    let [low, middle, ..] = length.to_le_bytes();
    let [id @ .., last] = stream.to_be_bytes();
    let [first, second, third] = id;
    [0, middle, low, kind, flags, first, second, third, last]
}

pub(crate) fn write_reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    write_head(out, 4, kind::RST_STREAM, 0, stream);
    out.extend_from_slice(&[0, 0, 0, code.number()]);
}

pub(crate) fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    write_head(out, 4, kind::WINDOW_UPDATE, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(crate) fn write_goaway(out: &mut Vec<u8>, last: u32, code: ErrorCode) {
    write_head(out, 8, kind::GOAWAY, 0, 0);
    out.extend_from_slice(&last.to_be_bytes());
    out.extend_from_slice(&[0, 0, 0, code.number()]);
}

pub(crate) fn write_ping(out: &mut Vec<u8>, flags: u8, payload: &[u8]) {
    write_head(out, 8, kind::PING, flags, 0);
    out.extend_from_slice(payload);
}

/// Appends a header block that was written behind `start`, where [`HEAD`] bytes were left free for
/// the first frame. What is too long for one frame goes on in CONTINUATION frames.
pub(crate) fn finish_block(out: &mut Vec<u8>, start: usize, end_stream: bool, stream: u32) {
    let end_stream = if end_stream { flag::END_STREAM } else { 0 };
    let length = out.len().saturating_sub(start + HEAD);
    if length <= PAYLOAD_MAX {
        let flags = end_stream | flag::END_HEADERS;
        if let Some(place) = out.get_mut(start..start + HEAD) {
            place.copy_from_slice(&head(length, kind::HEADERS, flags, stream));
        }
        return;
    }
    let block = out.split_off(start);
    let mut pieces = block.get(HEAD..).unwrap_or_default().chunks(PAYLOAD_MAX).peekable();
    let (mut kind, mut flags) = (kind::HEADERS, end_stream);
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            flags |= flag::END_HEADERS;
        }
        write_head(out, piece.len(), kind, flags, stream);
        out.extend_from_slice(piece);
        (kind, flags) = (kind::CONTINUATION, 0);
    }
}

#[cfg(test)]
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_head(&mut out, payload.len(), kind, flags, stream);
    out.extend_from_slice(payload);
    out
}
