//! A server's side of a connection (RFC 9113), without input and output: bytes that came are put
//! in, events and bytes to send are taken out.
//!
//! Frames are judged once, where they are read. A stream that breaks a rule is reset and its
//! exchange told; what breaks the connection, or floods it, ends it with GOAWAY. Memory is bounded
//! by the windows, the number of streams, one frame, one header block, the table of HPACK and what
//! waits to be sent; what waits to be told, by the streams and by the resets that are counted.

mod events;
mod receive;
mod send;
mod settings;
mod streams;

use std::collections::VecDeque;
use std::time::Duration;

use bartizan_core::Limits;

use super::frame::{self, ErrorCode, FrameHead, HEAD, PAYLOAD_MAX, PREFACE, kind};
use super::hpack::decode::Decoder;
use super::meter::{Flood, Meter, MeterLimits};
use crate::h1::HeadLimits;
use events::Events;
pub use events::{H2Event, StreamEnd};
use settings::Peer;
use streams::Streams;
pub use streams::TakenBody;

/// Window of one stream; a connection's is `limits.h2_window`.
const STREAM_WINDOW_MAX: u32 = 65_536;
/// What a connection may send before SETTINGS say more (RFC 9113 §6.9.2).
const WINDOW_DEFAULT: u32 = 65_535;
/// The largest window there is (§6.9.1).
const WINDOW_MAX: u32 = (1 << 31) - 1;
/// Streams that were reset here, whose late frames are passed over (§5.1).
const RESETS_KEPT: usize = 128;
/// While so much is to be sent, no answer adds to it and nothing is read. The output holds no more
/// than this, a part of an answer, and what one read is answered with.
const OUT_MAX: usize = 128 * 1_024;
/// What is kept of emptied buffers, so that idle connections hold none.
const KEPT_MAX: usize = 4_096;

/// What a client may do on one connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Frames that make work for nothing.
    pub meter: MeterLimits,
    /// Streams at a time.
    pub streams: u32,
    /// Bytes of bodies that may wait here for their readers.
    pub window: u32,
    /// Largest header list, as RFC 9113 §6.5.2 measures it.
    pub header_list: usize,
    /// Limits of each head.
    pub head: HeadLimits,
}

impl From<&Limits> for ConnectionLimits {
    fn from(limits: &Limits) -> Self {
        let window = u32::try_from(limits.h2_window.0).unwrap_or(WINDOW_MAX);
        Self {
            meter: MeterLimits::from(limits),
            streams: limits.h2_streams,
            window: window.clamp(1, WINDOW_MAX),
            header_list: limits.h2_header_list.as_usize(),
            head: HeadLimits::from(limits),
        }
    }
}

/// What ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Too many frames of a kind.
    #[error("{0}")]
    Flood(Flood),
    /// A rule of the protocol.
    #[error("{1}")]
    Protocol(ErrorCode, &'static str),
}

impl Violation {
    fn code(self) -> ErrorCode {
        match self {
            Self::Flood(_) => ErrorCode::EnhanceYourCalm,
            Self::Protocol(code, _) => code,
        }
    }
}

fn protocol(detail: &'static str) -> Violation {
    Violation::Protocol(ErrorCode::ProtocolError, detail)
}

fn frame_size(detail: &'static str) -> Violation {
    Violation::Protocol(ErrorCode::FrameSizeError, detail)
}

/// How far a connection has come on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    No,
    /// The client knows that it should go; the streams that it opens meanwhile are served.
    Announced,
    /// Streams beyond this one are not.
    After(u32),
}

/// A header block that goes on in CONTINUATION frames.
#[derive(Debug)]
struct OpenBlock {
    stream: u32,
    is_last: bool,
    bytes: Vec<u8>,
}

/// A server's side of a connection.
#[derive(Debug)]
pub struct H2Connection {
    limits: ConnectionLimits,
    /// How much of the preface has come.
    preface: usize,
    has_settings: bool,
    /// The client has acknowledged ours.
    is_acknowledged: bool,
    /// The beginning of a frame whose rest has not come.
    partial: Vec<u8>,
    block: Option<OpenBlock>,
    /// Header blocks that have ended, in a circle.
    blocks: u32,
    decoder: Decoder,
    meter: Meter,
    peer: Peer,
    streams: Streams,
    /// The highest stream that the client has opened.
    last: u32,
    /// Streams that were reset here before the client had ended them, the oldest first.
    resets: VecDeque<u32>,
    /// Streams that may still be refused to a client that cannot know why.
    grace: u32,
    events: Events,
    /// What may be sent on all streams together.
    send_window: u32,
    /// What may come on all streams together, and what of it was used up and not yet given back.
    receive_window: u32,
    owed: u32,
    out: Vec<u8>,
    sent: usize,
    leaving: Leaving,
    /// The client itself says that it goes.
    is_left: bool,
    violation: Option<Violation>,
}

impl H2Connection {
    /// As much room as anybody waits for: who needs more than a little is told once there is so
    /// much.
    pub const AMPLE_ROOM: usize = 65_536;

    /// A connection of which nothing has come yet; our SETTINGS are ready to be sent.
    pub fn new(limits: ConnectionLimits) -> Self {
        let mut connection = Self {
            limits,
            preface: 0,
            has_settings: false,
            is_acknowledged: false,
            partial: Vec::new(),
            block: None,
            blocks: 0,
            decoder: Decoder::default(),
            meter: Meter::new(limits.meter),
            peer: Peer::default(),
            streams: Streams::default(),
            last: 0,
            resets: VecDeque::new(),
            grace: limits.streams,
            events: Events::default(),
            send_window: WINDOW_DEFAULT,
            receive_window: limits.window.max(WINDOW_DEFAULT),
            owed: 0,
            out: Vec::new(),
            sent: 0,
            leaving: Leaving::No,
            is_left: false,
            violation: None,
        };
        connection.write_settings();
        let more = connection.receive_window - WINDOW_DEFAULT;
        if more > 0 {
            frame::write_window_update(&mut connection.out, 0, more);
        }
        connection
    }

    /// Takes in what came. `now` is asked for only where frames are counted; it is the time since
    /// any fixed moment. After an error nothing more is read: GOAWAY is what is left to send.
    pub fn receive(&mut self, bytes: &[u8], now: &impl Fn() -> Duration) -> Result<(), Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        let read = self.read(bytes, now);
        if let Err(violation) = read {
            self.violation = Some(violation);
            let last = self.last_taken();
            frame::write_goaway(&mut self.out, last, violation.code());
            self.streams.clear();
            let refused = self.events.refused;
            self.events = Events { refused, ..Events::default() };
            self.block = None;
            self.partial = Vec::new();
        }
        read
    }

    fn read(&mut self, mut bytes: &[u8], now: &impl Fn() -> Duration) -> Result<(), Violation> {
        self.read_preface(&mut bytes)?;
        while !bytes.is_empty() {
            if !self.partial.is_empty() {
                self.read_rest(&mut bytes, now)?;
                continue;
            }
            let whole = match FrameHead::read(bytes) {
                None => None,
                Some(head) => {
                    check_length(&head)?;
                    let (frame, rest) = bytes.split_at_checked(HEAD + head.length).unzip();
                    frame.zip(rest).map(|(frame, rest)| (head, frame, rest))
                }
            };
            let Some((head, frame, rest)) = whole else {
                self.partial.extend_from_slice(bytes);
                break;
            };
            bytes = rest;
            self.take_frame(head, frame.get(HEAD..).unwrap_or_default(), now)?;
        }
        Ok(())
    }

    /// Completes the frame that had begun in an earlier piece.
    fn read_rest(
        &mut self,
        bytes: &mut &[u8],
        now: &impl Fn() -> Duration,
    ) -> Result<(), Violation> {
        let head = FrameHead::read(&self.partial);
        let wanted = HEAD + head.map_or(0, |head| head.length);
        let missing = wanted.saturating_sub(self.partial.len()).min(bytes.len());
        let (more, rest) = bytes.split_at_checked(missing).unwrap_or((bytes, &[]));
        self.partial.extend_from_slice(more);
        *bytes = rest;
        let Some(head) = FrameHead::read(&self.partial) else { return Ok(()) };
        check_length(&head)?;
        if self.partial.len() < HEAD + head.length {
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        self.take_frame(head, partial.get(HEAD..).unwrap_or_default(), now)?;
        if partial.capacity() <= KEPT_MAX {
            partial.clear();
            self.partial = partial;
        }
        Ok(())
    }

    fn read_preface(&mut self, bytes: &mut &[u8]) -> Result<(), Violation> {
        let missing = PREFACE.get(self.preface..).unwrap_or_default();
        let (now, rest) = bytes.split_at_checked(missing.len()).unwrap_or((bytes, &[]));
        if !missing.starts_with(now) {
            return Err(protocol("a connection that does not begin with the preface"));
        }
        self.preface += now.len();
        *bytes = rest;
        Ok(())
    }

    /// Names a stream in its later events; false if it is gone already.
    pub fn tag(&mut self, stream: u32, tag: u32) -> bool {
        self.streams.find(stream).is_some_and(|stream| {
            stream.tag = Some(tag);
            true
        })
    }

    /// Bytes that are to be sent.
    pub fn pending(&self) -> &[u8] {
        self.out.get(self.sent..).unwrap_or_default()
    }

    /// So many of the pending bytes were sent.
    pub fn advance(&mut self, count: usize) {
        self.sent = (self.sent + count).min(self.out.len());
        if self.sent == self.out.len() {
            self.sent = 0;
            self.out.clear();
            if self.out.capacity() > OUT_MAX {
                self.out = Vec::new();
            }
        } else if self.sent >= OUT_MAX {
            self.out.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Gives buffers back while no stream is open and nothing is to be sent.
    pub fn shrink(&mut self) {
        if self.streams.len() > 0 || !self.out.is_empty() {
            return;
        }
        if self.out.capacity() > KEPT_MAX {
            self.out = Vec::new();
        }
        self.streams.shrink();
    }

    /// True while as much waits to be sent as may.
    pub fn is_full(&self) -> bool {
        self.out.len() - self.sent >= OUT_MAX
    }

    /// Number of streams that are open.
    pub fn open(&self) -> usize {
        self.streams.len()
    }

    /// The number of the header block that has begun, if only with a part of its first frame, and
    /// not ended. The next block has another.
    pub fn open_block(&self) -> Option<u32> {
        // The type of a frame is its fourth byte (§4.1).
        let is_begun = self.block.is_some() || self.partial.get(3) == Some(&kind::HEADERS);
        is_begun.then_some(self.blocks)
    }

    /// Tells the client that the connection will end. Streams that it opens before it knows are
    /// served; when it has answered, those that it opens later are not (RFC 9113 §6.8).
    pub fn announce_end(&mut self) {
        if self.leaving == Leaving::No {
            self.leaving = Leaving::Announced;
            frame::write_goaway(&mut self.out, WINDOW_MAX, ErrorCode::NoError);
            frame::write_ping(&mut self.out, 0, LEAVING_PING);
        }
    }

    /// The last stream that may have been acted on. It was told already where no more are taken,
    /// and never grows (RFC 9113 §6.8).
    fn last_taken(&self) -> u32 {
        match self.leaving {
            Leaving::After(last) => last.min(self.last),
            Leaving::No | Leaving::Announced => self.last,
        }
    }

    /// Takes no more streams than have come.
    pub fn end(&mut self) {
        if !matches!(self.leaving, Leaving::After(_)) {
            self.leaving = Leaving::After(self.last);
            self.grace = self.limits.streams;
            frame::write_goaway(&mut self.out, self.last, ErrorCode::NoError);
        }
    }

    /// True once nothing more will come of the connection, but for what is pending.
    pub fn is_finished(&self) -> bool {
        let is_leaving = self.is_left || matches!(self.leaving, Leaving::After(_));
        is_leaving && self.streams.len() == 0
    }
}

/// What is in the PING behind the first GOAWAY.
const LEAVING_PING: &[u8; 8] = b"goodbye.";

fn check_length(head: &FrameHead) -> Result<(), Violation> {
    if head.length > PAYLOAD_MAX {
        return Err(frame_size("a frame over the size that is allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
