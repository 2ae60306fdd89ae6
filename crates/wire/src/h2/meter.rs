//! Counting the frames with which a client makes a server work for nothing.
//!
//! The HTTP/2 library bounds streams, header lists and windows; it does not bound how many PING,
//! SETTINGS, PRIORITY or empty DATA frames come (CVE-2019-9512 to -9518), how many streams are
//! opened and reset at once (CVE-2023-44487), how many resets the client provokes from us
//! (CVE-2025-8671), nor how many CONTINUATION frames a block has (CVE-2024-27316).

use std::time::Duration;

use bartizan_core::Limits;

use super::frames::{Frame, FrameWalk, kind};

/// A limit that a client's frames went over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flood {
    /// PING frames.
    #[error("too many PING frames")]
    Ping,
    /// SETTINGS frames.
    #[error("too many SETTINGS frames")]
    Settings,
    /// PRIORITY and `PRIORITY_UPDATE` frames.
    #[error("too many PRIORITY frames")]
    Priority,
    /// RST_STREAM frames from the client.
    #[error("too many streams reset by the client")]
    Resets,
    /// RST_STREAM frames from us that blame the client.
    #[error("too many resets provoked by the client")]
    ProvokedResets,
    /// DATA frames that bring neither data nor the end of a stream.
    #[error("too many empty DATA frames")]
    EmptyData,
    /// CONTINUATION frames of one header block.
    #[error("too many CONTINUATION frames in a header block")]
    Continuations,
    /// Bytes of one header block.
    #[error("a header block that is too large")]
    HeaderBlock,
}

impl Flood {
    /// The limit's name in the table of limits.
    pub fn limit(self) -> &'static str {
        match self {
            Self::Ping => "h2_pings",
            Self::Settings => "h2_settings",
            Self::Priority => "h2_priorities",
            Self::Resets => "h2_resets",
            Self::ProvokedResets => "h2_provoked_resets",
            Self::EmptyData => "h2_empty_data",
            Self::Continuations => "h2_continuations",
            Self::HeaderBlock => "h2_header_list",
        }
    }
}

/// What a client may send in ten seconds, and in one header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterLimits {
    /// PING frames in ten seconds.
    pub pings: u32,
    /// SETTINGS frames in ten seconds.
    pub settings: u32,
    /// PRIORITY frames in ten seconds.
    pub priorities: u32,
    /// Resets by the client in ten seconds.
    pub resets: u32,
    /// Resets that the client provokes in ten seconds.
    pub provoked_resets: u32,
    /// Empty DATA frames in ten seconds.
    pub empty_data: u32,
    /// CONTINUATION frames of one header block.
    pub continuations: u32,
    /// Bytes of one header block, compressed.
    pub header_block: u64,
}

impl From<&Limits> for MeterLimits {
    fn from(limits: &Limits) -> Self {
        Self {
            pings: limits.h2_pings,
            settings: limits.h2_settings,
            priorities: limits.h2_priorities,
            resets: limits.h2_resets,
            provoked_resets: limits.h2_provoked_resets,
            empty_data: limits.h2_empty_data,
            continuations: limits.h2_continuations,
            header_block: limits.h2_header_list.0,
        }
    }
}

const WINDOW_SECONDS: u64 = 10;
const BUCKETS: usize = 11;

/// Events of the last ten seconds, counted by the second. The oldest second counts whole, so that
/// no window of ten seconds has more than the limit.
#[derive(Clone, Debug, Default)]
struct Recent {
    buckets: [u32; BUCKETS],
    second: u64,
    sum: u32,
}

impl Recent {
    /// Counts one; true while there are not more than `most`.
    fn admits(&mut self, now: Duration, most: u32) -> bool {
        let second = now.as_secs().max(self.second);
        if second - self.second > WINDOW_SECONDS {
            *self = Self { second, ..Self::default() };
        }
        while self.second < second {
            self.second += 1;
            let oldest = std::mem::take(self.bucket());
            self.sum = self.sum.saturating_sub(oldest);
        }
        let bucket = self.bucket();
        *bucket = bucket.saturating_add(1);
        self.sum = self.sum.saturating_add(1);
        self.sum <= most
    }

    fn bucket(&mut self) -> &mut u32 {
        let [first, rest @ ..] = &mut self.buckets;
        match self.second % BUCKETS as u64 {
            0 => first,
            n => usize::try_from(n).ok().and_then(|n| rest.get_mut(n - 1)).unwrap_or(first),
        }
    }
}

/// Counts what a client sends.
#[derive(Debug)]
pub struct ClientMeter {
    walk: FrameWalk,
    limits: MeterLimits,
    pings: Recent,
    settings: Recent,
    priorities: Recent,
    resets: Recent,
    empty_data: Recent,
    continuations: u32,
    block: u64,
}

impl ClientMeter {
    /// A meter at the start of a connection, before the preface.
    pub fn new(limits: MeterLimits) -> Self {
        Self {
            walk: FrameWalk::from_client(),
            limits,
            pings: Recent::default(),
            settings: Recent::default(),
            priorities: Recent::default(),
            resets: Recent::default(),
            empty_data: Recent::default(),
            continuations: 0,
            block: 0,
        }
    }

    /// Looks at bytes that came from the client. `now` is asked for only where frames are counted;
    /// it is the time since any fixed moment.
    pub fn feed(&mut self, mut bytes: &[u8], now: impl Fn() -> Duration) -> Result<(), Flood> {
        while let Some(frame) = self.walk.next(&mut bytes) {
            self.count(&frame, &now)?;
        }
        Ok(())
    }

    fn count(&mut self, frame: &Frame, now: &impl Fn() -> Duration) -> Result<(), Flood> {
        let limits = self.limits;
        let (recent, most, flood) = match frame.kind {
            kind::PING if !frame.is_ack() => (&mut self.pings, limits.pings, Flood::Ping),
            kind::SETTINGS if !frame.is_ack() => {
                (&mut self.settings, limits.settings, Flood::Settings)
            }
            kind::PRIORITY | kind::PRIORITY_UPDATE => {
                (&mut self.priorities, limits.priorities, Flood::Priority)
            }
            kind::RST_STREAM => (&mut self.resets, limits.resets, Flood::Resets),
            kind::DATA if frame.is_empty_data() => {
                (&mut self.empty_data, limits.empty_data, Flood::EmptyData)
            }
            kind::HEADERS => {
                self.continuations = 0;
                self.block = 0;
                return self.count_block(frame);
            }
            kind::CONTINUATION => {
                self.continuations = self.continuations.saturating_add(1);
                if self.continuations > limits.continuations {
                    return Err(Flood::Continuations);
                }
                return self.count_block(frame);
            }
            _ => return Ok(()),
        };
        if recent.admits(now(), most) { Ok(()) } else { Err(flood) }
    }

    fn count_block(&mut self, frame: &Frame) -> Result<(), Flood> {
        self.block = self.block.saturating_add(u64::from(frame.length));
        if self.block > self.limits.header_block {
            return Err(Flood::HeaderBlock);
        }
        if frame.ends_headers() {
            self.continuations = 0;
            self.block = 0;
        }
        Ok(())
    }
}

/// Counts the resets that a client provokes, in what the server sends.
#[derive(Debug)]
pub struct ServerMeter {
    walk: FrameWalk,
    most: u32,
    provoked: Recent,
}

impl ServerMeter {
    /// A meter at the start of a connection.
    pub fn new(limits: MeterLimits) -> Self {
        Self {
            walk: FrameWalk::from_server(),
            most: limits.provoked_resets,
            provoked: Recent::default(),
        }
    }

    /// Looks at bytes that went to the client.
    pub fn feed(&mut self, mut bytes: &[u8], now: impl Fn() -> Duration) -> Result<(), Flood> {
        while let Some(frame) = self.walk.next(&mut bytes) {
            let is_provoked = frame.kind == kind::RST_STREAM && blames_client(frame.error_code());
            if is_provoked && !self.provoked.admits(now(), self.most) {
                return Err(Flood::ProvokedResets);
            }
        }
        Ok(())
    }
}

/// `PROTOCOL_ERROR`, `FLOW_CONTROL_ERROR`, `STREAM_CLOSED`, `FRAME_SIZE_ERROR`,
/// `COMPRESSION_ERROR`, `ENHANCE_YOUR_CALM`. Not what we decide ourselves: an answer before the end
/// of the body, a cancelled exchange, a stream refused before our SETTINGS arrived.
fn blames_client(code: u32) -> bool {
    matches!(code, 0x1 | 0x3 | 0x5 | 0x6 | 0x9 | 0xb)
}

#[cfg(test)]
mod tests {
    use super::super::frames::frame;
    use super::*;

    const LIMITS: MeterLimits = MeterLimits {
        pings: 3,
        settings: 4,
        priorities: 5,
        resets: 6,
        provoked_resets: 3,
        empty_data: 7,
        continuations: 2,
        header_block: 100,
    };

    fn client() -> ClientMeter {
        let mut meter = ClientMeter::new(LIMITS);
        meter.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", || Duration::ZERO).unwrap();
        meter
    }

    /// How many of these frames pass within one second, and what the next is.
    fn passing(bytes: &[u8]) -> (u32, Flood) {
        let mut meter = client();
        for n in 0..100 {
            if let Err(flood) = meter.feed(bytes, || Duration::from_secs(1)) {
                return (n, flood);
            }
        }
        panic!("no limit");
    }

    #[test]
    fn each_kind_of_frame_has_its_limit() {
        for (bytes, most, flood) in [
            (frame(kind::PING, 0, &[0; 8]), 3, Flood::Ping),
            (frame(kind::SETTINGS, 0, &[]), 4, Flood::Settings),
            (frame(kind::PRIORITY, 0, &[0; 5]), 5, Flood::Priority),
            (frame(kind::PRIORITY_UPDATE, 0, b"u=1"), 5, Flood::Priority),
            (frame(kind::RST_STREAM, 0, &[0, 0, 0, 8]), 6, Flood::Resets),
            (frame(kind::DATA, 0, &[]), 7, Flood::EmptyData),
            (frame(kind::HEADERS, 4, &[0; 101]), 0, Flood::HeaderBlock),
        ] {
            assert_eq!(passing(&bytes), (most, flood));
        }
    }

    #[test]
    fn ordinary_frames_are_not_counted() {
        let mut meter = client();
        for bytes in [
            frame(kind::PING, 1, &[0; 8]),
            frame(kind::SETTINGS, 1, &[]),
            frame(kind::DATA, 1, &[]),
            frame(kind::DATA, 0, b"x"),
            frame(kind::HEADERS, 4, &[0; 100]),
            frame(8, 0, &[0, 0, 0, 9]),
        ] {
            for _ in 0..1_000 {
                assert_eq!(meter.feed(&bytes, || Duration::ZERO), Ok(()));
            }
        }
    }

    #[test]
    fn a_header_block_has_a_bounded_number_of_frames_and_bytes() {
        let open = frame(kind::HEADERS, 0, &[0; 10]);
        let more = frame(kind::CONTINUATION, 0, &[0; 10]);
        let last = frame(kind::CONTINUATION, 4, &[0; 10]);
        let feed = |list: &[&Vec<u8>]| {
            let bytes: Vec<u8> = list.iter().flat_map(|b| b.iter().copied()).collect();
            client().feed(&bytes, || Duration::ZERO)
        };
        assert_eq!(feed(&[&open, &more, &last, &open, &more, &last]), Ok(()));
        assert_eq!(feed(&[&open, &more, &more, &last]), Err(Flood::Continuations));
        let big = frame(kind::CONTINUATION, 0, &[0; 91]);
        assert_eq!(feed(&[&open, &big]), Err(Flood::HeaderBlock));
    }

    #[test]
    fn no_window_of_ten_seconds_has_more_than_the_limit_and_the_next_starts_anew() {
        let ping = frame(kind::PING, 0, &[0; 8]);
        let mut meter = client();
        let mut at = |seconds| meter.feed(&ping, || Duration::from_secs_f64(seconds));
        assert_eq!([at(0.9), at(0.9), at(5.0)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(at(11.0), Ok(()));
        assert_eq!(at(11.0), Ok(()));
        assert_eq!(at(12.0), Err(Flood::Ping));
        assert_eq!(at(500.0), Ok(()));
    }

    #[test]
    fn only_resets_that_blame_the_client_are_provoked() {
        let reset = |code: u8| frame(kind::RST_STREAM, 0, &[0, 0, 0, code]);
        let mut meter = ServerMeter::new(LIMITS);
        for code in [0, 2, 7, 8] {
            for _ in 0..100 {
                assert_eq!(meter.feed(&reset(code), || Duration::ZERO), Ok(()));
            }
        }
        for code in [1, 3, 5] {
            assert_eq!(meter.feed(&reset(code), || Duration::ZERO), Ok(()));
        }
        assert_eq!(meter.feed(&reset(6), || Duration::ZERO), Err(Flood::ProvokedResets));
    }

    #[test]
    fn every_flood_names_a_limit_of_the_table() {
        for flood in [
            Flood::Ping,
            Flood::Settings,
            Flood::Priority,
            Flood::Resets,
            Flood::ProvokedResets,
            Flood::EmptyData,
            Flood::Continuations,
            Flood::HeaderBlock,
        ] {
            assert!(bartizan_core::LIMITS.iter().any(|l| l.name == flood.limit()), "{flood}");
        }
    }
}
