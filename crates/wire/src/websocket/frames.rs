//! Following the frames of one direction (RFC 6455 §5): their headers alone are read, so that it is
//! known where the next one begins, and that each may stand where it does.

use smallvec::SmallVec;

/// The longest header: two bytes, eight of length, four of the mask.
const HEADER_MAX: usize = 14;

const FINAL: u8 = 0x80;
const MASKED: u8 = 0x80;
const RESERVED: u8 = 0x70;
const CLOSE: u8 = 0x8;
/// The most that a control frame holds (§5.5).
const CONTROL_MAX: u64 = 125;

/// Whose frames are followed. A client masks its frames, a server does not (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramesOf {
    /// A client's.
    Client,
    /// A server's.
    Server,
}

/// The reserved bits that extensions give a meaning to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReservedBits {
    /// None.
    #[default]
    None,
    /// The first one, on the first frame of a message (RFC 7692 §6).
    Compressed,
    /// Any, on frames of data: it is not known what the extension does.
    All,
}

impl ReservedBits {
    pub(crate) fn with(self, extension: &[u8]) -> Self {
        match (self, extension) {
            (Self::All, _) => Self::All,
            (_, b"permessage-deflate") => Self::Compressed,
            _ => Self::All,
        }
    }

    fn allow(self, bits: u8, opcode: u8) -> bool {
        let allowed = match (self, opcode) {
            (Self::Compressed, 1 | 2) => 0x40,
            (Self::All, 0..=2) => RESERVED,
            _ => 0,
        };
        bits & !allowed == 0
    }
}

/// Why frames may not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameFault {
    /// They break the protocol.
    Broken(&'static str),
    /// A frame or a message is longer than it may be.
    TooLarge,
}

/// Bytes of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; HEADER_MAX],
    len: usize,
}

impl HeaderBytes {
    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    fn at(&self, index: usize) -> u8 {
        self.bytes.get(index).copied().unwrap_or_default()
    }

    /// Takes bytes off `data` until there are `wanted`; false if there are fewer.
    fn fill(&mut self, data: &mut &[u8], wanted: usize) -> bool {
        let taken = wanted.saturating_sub(self.len).min(data.len());
        let (head, rest) = data.split_at_checked(taken).unwrap_or((data, &[]));
        if let Some(room) = self.bytes.get_mut(self.len..self.len + taken) {
            room.copy_from_slice(head);
        }
        self.len += taken;
        *data = rest;
        self.len >= wanted
    }

    /// The length that the header states, in the one form that may state it (§5.2).
    fn stated_length(&self) -> Result<u64, FrameFault> {
        let be = |range: std::ops::Range<usize>| {
            let bytes = self.bytes.get(range).unwrap_or_default();
            bytes.iter().fold(0_u64, |n, byte| (n << 8) | u64::from(*byte))
        };
        let (length, least) = match self.at(1) & 0x7f {
            126 => (be(2..4), 126),
            127 => (be(2..10), 65_536),
            short => (u64::from(short), 0),
        };
        if length < least {
            return Err(FrameFault::Broken("a length that is not written in the shortest way"));
        }
        if length >> 63 != 0 {
            return Err(FrameFault::Broken("a length of more than 63 bits"));
        }
        Ok(length)
    }
}

/// What of some bytes may be passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Followed {
    /// Bytes of a header that came earlier and were held back until all of it was there; they go
    /// first.
    pub ahead: HeaderBytes,
    /// How many of the bytes may go.
    pub through: usize,
    /// Why nothing more may.
    pub fault: Option<FrameFault>,
}

/// Follows the frames that one side sends. A header is held back until it is whole and was judged,
/// so that what was passed on ends within a frame that may stand there, or between two.
#[derive(Debug)]
pub struct FrameFollower {
    of: FramesOf,
    reserved: ReservedBits,
    max: u64,
    header: HeaderBytes,
    /// Bytes of the present frame that are still to come.
    left: u64,
    /// Bytes so far of a message whose last frame is still to come.
    message: Option<u64>,
    has_closed: bool,
}

impl FrameFollower {
    /// Follows frames of which none, and no message, is longer than `max` bytes.
    pub fn new(of: FramesOf, reserved: ReservedBits, max: u64) -> Self {
        Self {
            of,
            reserved,
            max,
            header: HeaderBytes::default(),
            left: 0,
            message: None,
            has_closed: false,
        }
    }

    /// Bytes of the present frame that are still to come; zero between two frames, where a control
    /// frame may be put in.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// True once this side has said that it sends no more data.
    pub fn has_closed(&self) -> bool {
        self.has_closed
    }

    /// Follows what came. After a fault nothing more may be given to it.
    pub fn follow(&mut self, data: &[u8]) -> Followed {
        let mut followed = Followed::default();
        let mut rest = data;
        loop {
            let payload = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
            self.left -= payload as u64;
            followed.through += payload;
            rest = rest.get(payload..).unwrap_or_default();
            if rest.is_empty() {
                return followed;
            }
            let earlier = self.header;
            match self.read_header(&mut rest) {
                Ok(true) => {}
                Ok(false) => return followed,
                Err(fault) => return Followed { fault: Some(fault), ..followed },
            }
            followed.through += self.header.len - earlier.len;
            if earlier.len > 0 {
                followed.ahead = earlier;
            }
            self.header = HeaderBytes::default();
        }
    }

    /// Reads and judges a header; false while it is not whole.
    fn read_header(&mut self, data: &mut &[u8]) -> Result<bool, FrameFault> {
        if !self.header.fill(data, 2) {
            return Ok(false);
        }
        self.judge_start()?;
        let extended = match self.header.at(1) & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if self.of == FramesOf::Client { 4 } else { 0 };
        if !self.header.fill(data, 2 + extended + mask) {
            return Ok(false);
        }
        self.left = self.judge_length()?;
        Ok(true)
    }

    /// Judges the first two bytes (§5.2).
    fn judge_start(&self) -> Result<(), FrameFault> {
        let (first, second) = (self.header.at(0), self.header.at(1));
        let opcode = first & 0x0f;
        let is_masked = second & MASKED != 0;
        let broken = match (self.of, is_masked) {
            (FramesOf::Client, false) => Some("a frame of the client without a mask"),
            (FramesOf::Server, true) => Some("a frame of the server with a mask"),
            _ => None,
        };
        let broken = broken.or_else(|| match opcode {
            3..=7 | 11..=15 => Some("a reserved opcode"),
            _ if !self.reserved.allow(first & RESERVED, opcode) => {
                Some("a reserved bit that no extension has given a meaning")
            }
            8..=10 if first & FINAL == 0 => Some("a control frame in parts"),
            8..=10 if u64::from(second & 0x7f) > CONTROL_MAX => {
                Some("a control frame of more than 125 bytes")
            }
            CLOSE if second & 0x7f == 1 => Some("a close frame with half a code"),
            0..=2 if self.has_closed => Some("data behind a close frame"),
            0 if self.message.is_none() => Some("a continuation of no message"),
            1 | 2 if self.message.is_some() => Some("a message inside of another one"),
            _ => None,
        });
        broken.map_or(Ok(()), |detail| Err(FrameFault::Broken(detail)))
    }

    /// Judges the length, and enters the frame.
    fn judge_length(&mut self) -> Result<u64, FrameFault> {
        let length = self.header.stated_length()?;
        let opcode = self.header.at(0) & 0x0f;
        if opcode >= CLOSE {
            self.has_closed |= opcode == CLOSE;
            return Ok(length);
        }
        let message = self.message.unwrap_or(0).saturating_add(length);
        if message > self.max {
            return Err(FrameFault::TooLarge);
        }
        let is_final = self.header.at(0) & FINAL != 0;
        self.message = (!is_final).then_some(message);
        Ok(length)
    }
}

/// A Close frame with a code (§7.4); a client's is masked.
pub fn close_frame(of: FramesOf, code: u16, mask: [u8; 4]) -> SmallVec<[u8; 8]> {
    let [high, low] = code.to_be_bytes();
    let [first, second, third, fourth] = mask;
    match of {
        FramesOf::Server => SmallVec::from_slice(&[FINAL | CLOSE, 2, high, low]),
        FramesOf::Client => SmallVec::from_slice(&[
            FINAL | CLOSE,
            MASKED | 2,
            first,
            second,
            third,
            fourth,
            high ^ first,
            low ^ second,
        ]),
    }
}

#[cfg(test)]
#[path = "frames_tests.rs"]
mod tests;
