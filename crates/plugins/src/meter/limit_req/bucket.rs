//! The bucket of one key: exact arithmetic over a time that never runs back.
//!
//! What is in the bucket is measured in parts of a request so small that everything which can be
//! configured is a whole number of them in every nanosecond: nothing is ever rounded into it.

use super::super::table::Entry;
use crate::decimal::WHOLE;
use crate::monotonic::SECOND;

/// One request, in parts. A rate in millionths of a request per second drains so many parts in a
/// nanosecond.
pub(super) const REQUEST: u128 = WHOLE as u128 * SECOND as u128;

/// What the bucket holds and how fast it drains.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// Parts that drain in a nanosecond; not zero.
    pub(super) rate: u64,
    /// How much may stand before a request, in parts.
    pub(super) ahead_max: u128,
    /// That is less than the burst: the last ones would wait longer than they may.
    pub(super) is_cut: bool,
}

impl Terms {
    /// From millionths of requests; `longest` is how long a request may wait, in nanoseconds.
    pub(super) fn new(rate: u64, burst: u64, longest: Option<u64>) -> Self {
        let burst = u128::from(burst) * u128::from(SECOND);
        let waited = longest.map_or(u128::MAX, |longest| u128::from(rate) * u128::from(longest));
        Self { rate, ahead_max: burst.min(waited), is_cut: waited < burst }
    }

    /// The time in which so much drains, in nanoseconds, rounded up.
    fn time(&self, parts: u128) -> u64 {
        u64::try_from(parts.div_ceil(u128::from(self.rate).max(1))).unwrap_or(u64::MAX)
    }
}

/// What one key has in its bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    level: u128,
    at: u64,
}

/// What became of one request; times are in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is let in, and its turn comes after this time.
    Admitted {
        /// Zero where nothing stands before it.
        wait: u64,
    },
    /// It is refused; after this time one request is let in again.
    Refused {
        /// Exactly: before it none is.
        retry: u64,
    },
}

impl Bucket {
    /// Nothing in it.
    pub(super) fn empty(now: u64) -> Self {
        Self { level: 0, at: now }
    }

    /// Puts one request in, if there is room before it.
    pub(super) fn admit(&mut self, terms: &Terms, now: u64) -> Verdict {
        let drained = u128::from(now.saturating_sub(self.at)) * u128::from(terms.rate);
        let ahead = self.level.saturating_sub(drained);
        (self.level, self.at) = (ahead, now);
        let surplus = ahead.saturating_sub(terms.ahead_max);
        if surplus > 0 {
            return Verdict::Refused { retry: terms.time(surplus) };
        }
        self.level = ahead.saturating_add(REQUEST);
        Verdict::Admitted { wait: terms.time(ahead) }
    }

    /// Takes one request out that could not wait for its turn.
    pub(super) fn take_back(&mut self) {
        self.level = self.level.saturating_sub(REQUEST);
    }
}

impl Entry for Bucket {
    type Terms = Terms;

    fn expires(&self, terms: &Terms) -> u64 {
        self.at.saturating_add(terms.time(self.level))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(rate: u64, burst: u64) -> Terms {
        Terms::new(rate, burst, None)
    }

    /// The times at which requests are let in, and when their turn comes.
    fn admitted(terms: &Terms, arrivals: &[u64]) -> Vec<(u64, u64)> {
        let mut bucket = Bucket::empty(arrivals.first().copied().unwrap_or_default());
        let turn = |at: &u64| match bucket.admit(terms, *at) {
            Verdict::Admitted { wait } => Some((*at, *at + wait)),
            Verdict::Refused { .. } => None,
        };
        arrivals.iter().filter_map(turn).collect()
    }

    fn arrivals(gaps: &[u64]) -> Vec<u64> {
        let from = |now: &mut u64, gap: &u64| {
            *now += gap;
            Some(*now)
        };
        gaps.iter().scan(7 * SECOND, from).collect()
    }

    #[test]
    fn requests_beyond_the_rate_take_turns_and_beyond_the_burst_are_refused() {
        let terms = terms(2_000_000, 2_000_000);
        let mut bucket = Bucket::empty(0);
        let half = SECOND / 2;
        for wait in [0, half, 2 * half] {
            assert_eq!(bucket.admit(&terms, 0), Verdict::Admitted { wait });
        }
        assert_eq!(bucket.admit(&terms, 0), Verdict::Refused { retry: half });
        assert_eq!(bucket.admit(&terms, half - 1), Verdict::Refused { retry: 1 });
        assert_eq!(bucket.admit(&terms, half), Verdict::Admitted { wait: 2 * half });
    }

    #[test]
    fn none_waits_longer_than_it_may() {
        let terms = Terms::new(1_000_000, 100_000_000, Some(2 * SECOND));
        let mut bucket = Bucket::empty(0);
        for wait in [0, SECOND, 2 * SECOND] {
            assert_eq!(bucket.admit(&terms, 0), Verdict::Admitted { wait });
        }
        assert_eq!(bucket.admit(&terms, 0), Verdict::Refused { retry: SECOND });
    }

    #[test]
    fn the_slowest_rate_and_the_longest_time_do_not_overflow() {
        let slow = terms(1, u64::MAX);
        let mut bucket = Bucket::empty(0);
        assert_eq!(bucket.admit(&slow, 0), Verdict::Admitted { wait: 0 });
        let million = 1_000_000 * SECOND;
        assert_eq!(bucket.admit(&slow, 0), Verdict::Admitted { wait: million });
        let fast = terms(1_000_000_000_000, 0);
        assert_eq!(bucket.admit(&fast, u64::MAX), Verdict::Admitted { wait: 0 });
        assert_eq!(bucket.expires(&fast), u64::MAX);
    }

    #[test]
    fn what_is_taken_back_makes_room_for_exactly_one() {
        let terms = terms(1_000_000, 0);
        let mut bucket = Bucket::empty(0);
        bucket.admit(&terms, 0);
        bucket.take_back();
        assert_eq!(bucket.admit(&terms, 0), Verdict::Admitted { wait: 0 });
        assert_eq!(bucket.admit(&terms, 0), Verdict::Refused { retry: SECOND });
    }

    proptest! {
        /// In any time `t` there are at most one request, the burst, and the rate times `t`.
        #[test]
        fn no_time_ever_has_more_than_burst_and_rate_allow(
            rate in 1_u64..20_000_000,
            burst in 0_u64..10_000_000,
            gaps in prop::collection::vec(0..2 * SECOND, 0..200),
        ) {
            let terms = terms(rate, burst);
            let admitted = admitted(&terms, &arrivals(&gaps));
            for (i, (first, turn)) in admitted.iter().enumerate() {
                for (count, (last, last_turn)) in (1_u128..).zip(&admitted[i..]) {
                    let drained = |time: u64| u128::from(time) * u128::from(rate);
                    let allowed = REQUEST + terms.ahead_max + drained(last - first);
                    prop_assert!(count * REQUEST <= allowed);
                    // Those whose turn comes are as far apart as the rate says; waits are rounded
                    // up to a nanosecond.
                    let allowed = REQUEST + drained(last_turn - turn + 1);
                    prop_assert!(count * REQUEST <= allowed);
                }
            }
        }

        /// A queue before one server that takes so long for each.
        #[test]
        fn it_is_a_queue_of_bounded_length(
            rate in 1_u64..20_000_000,
            burst in 0_u64..10_000_000,
            gaps in prop::collection::vec(0..2 * SECOND, 0..200),
        ) {
            let terms = terms(rate, burst);
            let mut free_at = 0_u128;
            let mut naive = Vec::new();
            let arrivals = arrivals(&gaps);
            for at in &arrivals {
                let now = u128::from(*at) * u128::from(rate);
                let begin = now.max(free_at);
                if begin - now <= u128::from(burst) * u128::from(SECOND) {
                    free_at = begin + REQUEST;
                    naive.push((*at, u64::try_from(begin.div_ceil(u128::from(rate))).unwrap()));
                }
            }
            prop_assert_eq!(admitted(&terms, &arrivals), naive);
        }

        #[test]
        fn the_time_of_a_refusal_is_exact(
            rate in 1_u64..20_000_000,
            burst in 0_u64..5_000_000,
            gaps in prop::collection::vec(0..SECOND, 1..50),
        ) {
            let terms = terms(rate, burst);
            let mut bucket = Bucket::empty(0);
            let mut now = 0;
            for at in arrivals(&gaps) {
                now = at;
                bucket.admit(&terms, now);
            }
            while let Verdict::Admitted { .. } = bucket.admit(&terms, now) {}
            let Verdict::Refused { retry } = bucket.admit(&terms, now) else { unreachable!() };
            prop_assert!(retry > 0);
            let mut before = bucket;
            let early = before.admit(&terms, now + retry - 1);
            prop_assert_eq!(early, Verdict::Refused { retry: 1 });
            let then = bucket.admit(&terms, now + retry);
            let is_admitted = matches!(then, Verdict::Admitted { .. });
            prop_assert!(is_admitted, "not later");
        }

        #[test]
        fn a_bucket_that_has_expired_is_as_good_as_none(
            rate in 1_u64..20_000_000,
            burst in 0_u64..5_000_000,
            gaps in prop::collection::vec(0..SECOND, 1..50),
        ) {
            let terms = terms(rate, burst);
            let mut bucket = Bucket::empty(0);
            for at in arrivals(&gaps) {
                bucket.admit(&terms, at);
            }
            let end = bucket.expires(&terms);
            let mut fresh = Bucket::empty(end);
            prop_assert_eq!(bucket.admit(&terms, end), fresh.admit(&terms, end));
            prop_assert_eq!(bucket, fresh);
        }
    }
}
