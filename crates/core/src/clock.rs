//! Wall time, injected so that tests own it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Wall time in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time from nanoseconds since the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// A time from whole seconds since the epoch; saturates in the year 2554.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the epoch, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Time passed since `earlier`; zero if the clock went back.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// This time moved on by `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// As RFC 3339 in UTC with milliseconds: `2026-11-23T20:52:46.123Z`.
    pub fn to_rfc3339(self) -> String {
        self.encode().iter().copied().map(char::from).collect()
    }

    /// Reads what [`Self::to_rfc3339`] writes, with or without milliseconds. Only UTC as `Z`, and
    /// only times that there are.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (seconds, rest) = text.split_at_checked("0000-00-00T00:00:00".len())?;
        let millis = match rest.strip_suffix('Z')? {
            "" => 0,
            rest => number(rest.strip_prefix('.').filter(|digits| digits.len() == 3)?)?,
        };
        let part = |at: usize, length: usize| number(seconds.get(at..at + length)?);
        let has_form = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')]
            .iter()
            .all(|(at, byte)| seconds.as_bytes().get(*at) == Some(byte));
        let (year, month, day) = (part(0, 4)?, part(5, 2)?, part(8, 2)?);
        let (hour, minute, second) = (part(11, 2)?, part(14, 2)?, part(17, 2)?);
        let days = days(year, month, day)?;
        let is_there = has_form && hour < 24 && minute < 60 && second < 60;
        let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
        let nanos = seconds.checked_mul(1_000_000_000)?.checked_add(millis * 1_000_000)?;
        is_there.then_some(Self(nanos))
    }

    /// The 24 characters of [`Self::to_rfc3339`], without allocation.
    ///
    /// PERF: `cargo xtask bench plugins` (`file-logger`, `syslog`): the general formatter of a
    /// library took a fifth of an entry.
    pub fn encode(self) -> [u8; 24] {
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let (days, secs) = (self.as_secs() / 86_400, self.as_secs() % 86_400);
        let (year, month, day) = date(days);
        for (at, width, number) in [
            (0, 4, year),
            (5, 2, month),
            (8, 2, day),
            (11, 2, secs / 3_600),
            (14, 2, secs / 60 % 60),
            (17, 2, secs % 60),
            (20, 3, self.as_millis() % 1_000),
        ] {
            let mut rest = number;
            for digit in text[at..at + width].iter_mut().rev() {
                *digit = b"0123456789"[usize::try_from(rest % 10).unwrap_or_default()];
                rest /= 10;
            }
        }
        text
    }
}

/// Year, month and day of so many days since 1970.
///
/// Years are counted from March, so that the leap day is the last of its year, and from the year 0,
/// with which a cycle of 400 years (146,097 days) begins.
const fn date(days: u64) -> (u64, u64, u64) {
    /// From March of the year 0 to January of 1970.
    const BEFORE: u64 = 719_468;
    let (cycle, day) = ((days + BEFORE) / 146_097, (days + BEFORE) % 146_097);
    // Without the leap days before it; the last day of four years and of the cycle are such days.
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // From March on, months have 153 days in each five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = cycle * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// Days from 1970 to a date, if there is such a date.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    // The other way round of `date`: years from March, months of 153 days in each five.
    let (from, since) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * from + from / 4 - from / 100 + from / 400 + (153 * since + 2) / 5;
    let days = (days + day).checked_sub(719_469)?;
    (date(days) == (year, month, day)).then_some(days)
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Where wall time comes from.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The operating system's clock.
    #[default]
    System,
    /// A clock that a test moves.
    Manual(ManualClock),
}

impl Clock {
    /// The wall time now.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
            }
            Self::Manual(clock) => Timestamp(clock.0.load(Ordering::Relaxed)),
        }
    }
}

/// A clock that stands still until a test moves it.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn at(start: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(start.as_nanos())))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        let nanos = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.0.fetch_add(nanos, Ordering::Relaxed);
    }

    /// Sets the clock, forward or back.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.as_nanos(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let manual = ManualClock::at(Timestamp::from_secs(100));
        let clock = Clock::Manual(manual.clone());
        assert_eq!(clock.now(), clock.now());
        manual.advance(Duration::from_millis(1500));
        assert_eq!(clock.now().as_millis(), 101_500);
    }

    #[test]
    fn time_never_runs_negative() {
        let (early, late) = (Timestamp::from_secs(1), Timestamp::from_secs(5));
        assert_eq!(early.since(late), Duration::ZERO);
    }

    #[test]
    fn rfc3339_has_milliseconds_in_utc() {
        let t = Timestamp::from_nanos(1_700_000_000_123_456_789);
        assert_eq!(t.to_rfc3339(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::default().to_rfc3339(), "1970-01-01T00:00:00.000Z");
        let last = Timestamp::from_nanos(u64::MAX);
        assert_eq!(last.to_rfc3339(), "2554-07-21T23:34:33.709Z");
    }

    #[test]
    fn what_is_written_as_rfc3339_is_read_and_nothing_that_is_no_time() {
        for days in (0..213_503).step_by(13) {
            let time = Timestamp::from_nanos(days * 86_400_000_000_000 + 45_296_123_000_000);
            assert_eq!(Timestamp::from_rfc3339(&time.to_rfc3339()), Some(time));
        }
        let leap = Timestamp::from_rfc3339("2024-02-29T23:59:59Z").unwrap();
        assert_eq!(leap.to_rfc3339(), "2024-02-29T23:59:59.000Z");
        for text in [
            "",
            "Z",
            "2026-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:60Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00+00:00",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00:00.1Z",
            "2026-01-01T00:00:00.+12Z",
            "+026-01-01T00:00:00Z",
            "1969-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
            "2026-01-01",
            "0000-01-01T00:00:00Z",
            "2026-01-0éT00:00:00Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn every_day_until_the_last_year_has_its_date() {
        let mut there = time::Date::from_ordinal_date(1970, 1).unwrap();
        for days in 0..213_503 {
            let (year, month, day) = date(days);
            let here = (i32::try_from(year).unwrap(), u8::try_from(month).unwrap(), day);
            assert_eq!(here, (there.year(), there.month().into(), there.day().into()));
            there = there.next_day().unwrap();
        }
    }
}
