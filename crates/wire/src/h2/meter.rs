//! Counting the frames with which a client makes a server work for nothing.
//!
//! The protocol itself bounds streams and windows; it does not bound how many PING, SETTINGS,
//! PRIORITY or empty DATA frames come (CVE-2019-9512 to -9518), how many streams are opened and
//! reset at once (CVE-2023-44487), how many resets the client provokes from us (CVE-2025-8671), nor
//! how many CONTINUATION frames a block has (CVE-2024-27316).

use std::time::Duration;

use bartizan_core::Limits;

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
pub(crate) struct Recent {
    buckets: [u32; BUCKETS],
    second: u64,
    sum: u32,
}

impl Recent {
    /// Counts one; true while there are not more than `most`.
    pub(crate) fn admits(&mut self, now: Duration, most: u32) -> bool {
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

    fn count(&mut self, now: &impl Fn() -> Duration, most: u32, flood: Flood) -> Counted {
        if self.admits(now(), most) { Ok(()) } else { Err(flood) }
    }

    fn bucket(&mut self) -> &mut u32 {
        let [first, rest @ ..] = &mut self.buckets;
        match self.second % BUCKETS as u64 {
            0 => first,
            n => usize::try_from(n).ok().and_then(|n| rest.get_mut(n - 1)).unwrap_or(first),
        }
    }
}

type Counted = Result<(), Flood>;

/// Counts the frames of a client, each where it is read.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: MeterLimits,
    pings: Recent,
    settings: Recent,
    priorities: Recent,
    resets: Recent,
    provoked: Recent,
    empty_data: Recent,
    continuations: u32,
    /// Bytes of the present header block.
    block: u64,
}

impl Meter {
    pub(crate) fn new(limits: MeterLimits) -> Self {
        Self {
            limits,
            pings: Recent::default(),
            settings: Recent::default(),
            priorities: Recent::default(),
            resets: Recent::default(),
            provoked: Recent::default(),
            empty_data: Recent::default(),
            continuations: 0,
            block: 0,
        }
    }

    pub(crate) fn ping(&mut self, now: &impl Fn() -> Duration) -> Counted {
        self.pings.count(now, self.limits.pings, Flood::Ping)
    }

    pub(crate) fn settings(&mut self, now: &impl Fn() -> Duration) -> Counted {
        self.settings.count(now, self.limits.settings, Flood::Settings)
    }

    pub(crate) fn priority(&mut self, now: &impl Fn() -> Duration) -> Counted {
        self.priorities.count(now, self.limits.priorities, Flood::Priority)
    }

    /// The client reset a stream.
    pub(crate) fn reset(&mut self, now: &impl Fn() -> Duration) -> Counted {
        self.resets.count(now, self.limits.resets, Flood::Resets)
    }

    /// The client did what a stream is reset for.
    pub(crate) fn provoked(&mut self, now: &impl Fn() -> Duration) -> Counted {
        self.provoked.count(now, self.limits.provoked_resets, Flood::ProvokedResets)
    }

    pub(crate) fn empty_data(&mut self, now: &impl Fn() -> Duration) -> Counted {
        self.empty_data.count(now, self.limits.empty_data, Flood::EmptyData)
    }

    /// A part of a header block.
    pub(crate) fn block(&mut self, length: usize) -> Counted {
        self.block = self.block.saturating_add(length as u64);
        if self.block > self.limits.header_block { Err(Flood::HeaderBlock) } else { Ok(()) }
    }

    pub(crate) fn continuation(&mut self, length: usize) -> Counted {
        self.continuations = self.continuations.saturating_add(1);
        if self.continuations > self.limits.continuations {
            return Err(Flood::Continuations);
        }
        self.block(length)
    }

    pub(crate) fn end_block(&mut self) {
        self.continuations = 0;
        self.block = 0;
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn each_kind_of_frame_has_its_limit() {
        type Count = fn(&mut Meter) -> Counted;
        let second = || Duration::from_secs(1);
        let counts: [(Count, u32, Flood); 6] = [
            (|m| m.ping(&|| Duration::from_secs(1)), 3, Flood::Ping),
            (|m| m.settings(&|| Duration::from_secs(1)), 4, Flood::Settings),
            (|m| m.priority(&|| Duration::from_secs(1)), 5, Flood::Priority),
            (|m| m.reset(&|| Duration::from_secs(1)), 6, Flood::Resets),
            (|m| m.provoked(&|| Duration::from_secs(1)), 3, Flood::ProvokedResets),
            (|m| m.empty_data(&|| Duration::from_secs(1)), 7, Flood::EmptyData),
        ];
        for (count, most, flood) in counts {
            let mut meter = Meter::new(LIMITS);
            for _ in 0..most {
                assert_eq!(count(&mut meter), Ok(()));
            }
            assert_eq!(count(&mut meter), Err(flood));
            // The others are not concerned.
            assert_eq!(meter.block(1).and(meter.continuation(1)), Ok(()));
            assert!(flood == Flood::Ping || meter.ping(&second).is_ok());
        }
    }

    #[test]
    fn a_header_block_has_a_bounded_number_of_frames_and_bytes() {
        let mut meter = Meter::new(LIMITS);
        for _ in 0..3 {
            assert_eq!(meter.block(50), Ok(()));
            assert_eq!(meter.continuation(25), Ok(()));
            assert_eq!(meter.continuation(25), Ok(()));
            meter.end_block();
        }
        assert_eq!(meter.block(101), Err(Flood::HeaderBlock));
        meter.end_block();
        assert_eq!(meter.continuation(0), Ok(()));
        assert_eq!(meter.continuation(0), Ok(()));
        assert_eq!(meter.continuation(0), Err(Flood::Continuations));
    }

    #[test]
    fn no_window_of_ten_seconds_has_more_than_the_limit_and_the_next_starts_anew() {
        let mut meter = Meter::new(LIMITS);
        let mut at = |seconds| meter.ping(&|| Duration::from_secs_f64(seconds));
        assert_eq!([at(0.9), at(0.9), at(5.0)], [Ok(()), Ok(()), Ok(())]);
        assert_eq!(at(11.0), Ok(()));
        assert_eq!(at(11.0), Ok(()));
        assert_eq!(at(12.0), Err(Flood::Ping));
        assert_eq!(at(500.0), Ok(()));
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
