//! How failures of one address, name or credential add up: arithmetic over a time that never runs
//! back.
//!
//! A window of length `w` is half-open: a failure at `t` weighs until just before `t + w`. While a
//! delay or lock holds, nothing is judged and so nothing counted: it ends when it was said to end,
//! whatever is sent meanwhile.

use std::collections::VecDeque;

use crate::meter::table::Entry;

/// What one rule makes of failures. Times are nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    /// Failures in a window that cost nothing.
    pub(super) free: usize,
    /// Failures in a window that lock.
    pub(super) lock_after: usize,
    pub(super) window: u64,
    /// The first delay; each further one is twice as long.
    pub(super) delay: u64,
    pub(super) delay_max: u64,
    /// The first lock; each further one is twice as long.
    pub(super) lock: u64,
    /// The longest lock, and how long must pass after one until it is forgotten.
    pub(super) lock_max: u64,
}

/// Why nothing is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A short time, for each failure that is not free.
    Delay,
    /// A long one, for too many.
    Lock,
}

/// A time in which nothing is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) kind: Kind,
    /// What is left of it.
    pub(super) wait: u64,
}

/// The failures of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Failures {
    /// The newest, no more than lock.
    times: VecDeque<u64>,
    /// When the last hold ends or ended.
    until: u64,
    is_locked: bool,
    /// Locks one after the other.
    locks: u32,
}

/// What came of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    /// It is not counted, because nothing is judged now.
    Held(Hold),
    /// It is, and costs nothing yet.
    Free,
    /// It is, and nothing is judged for so long.
    Holds(Hold),
}

impl Failures {
    /// What holds now.
    pub(super) fn hold(&self, now: u64) -> Option<Hold> {
        let wait = self.until.checked_sub(now).filter(|wait| *wait > 0)?;
        Some(Hold { kind: if self.is_locked { Kind::Lock } else { Kind::Delay }, wait })
    }

    /// Counts a failure, unless it came while nothing is judged.
    pub(super) fn fail(&mut self, terms: &Terms, now: u64) -> Counted {
        if let Some(hold) = self.hold(now) {
            return Counted::Held(hold);
        }
        let is_over = |time: &u64| time.saturating_add(terms.window) <= now;
        while self.times.front().is_some_and(is_over) {
            self.times.pop_front();
        }
        self.times.push_back(now);
        while self.times.len() > terms.lock_after {
            self.times.pop_front();
        }
        let count = self.times.len();
        let Some(over) = count.checked_sub(terms.free.saturating_add(1)) else {
            return Counted::Free;
        };
        let hold = if count >= terms.lock_after {
            Hold { kind: Kind::Lock, wait: self.lock(terms, now) }
        } else {
            let doublings = u32::try_from(over).unwrap_or(u32::MAX);
            Hold { kind: Kind::Delay, wait: doubled(terms.delay, doublings).min(terms.delay_max) }
        };
        self.until = now.saturating_add(hold.wait);
        self.is_locked = hold.kind == Kind::Lock;
        Counted::Holds(hold)
    }

    fn lock(&mut self, terms: &Terms, now: u64) -> u64 {
        if self.until.saturating_add(terms.lock_max) <= now {
            self.locks = 0;
        }
        let wait = doubled(terms.lock, self.locks).min(terms.lock_max);
        self.locks = self.locks.saturating_add(1);
        wait
    }
}

impl Entry for Failures {
    type Terms = Terms;

    fn expires(&self, terms: &Terms) -> u64 {
        let last = self.times.back().map_or(0, |last| last.saturating_add(terms.window));
        let memory = if self.locks > 0 { terms.lock_max } else { 0 };
        last.max(self.until.saturating_add(memory))
    }
}

/// A time doubled so often.
fn doubled(time: u64, times: u32) -> u64 {
    time.saturating_mul(1_u64.checked_shl(times).unwrap_or(u64::MAX))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const TERMS: Terms = Terms {
        free: 2,
        lock_after: 5,
        window: 60 * SECOND,
        delay: SECOND,
        delay_max: 3 * SECOND,
        lock: 60 * SECOND,
        lock_max: 200 * SECOND,
    };

    fn holds(kind: Kind, secs: u64) -> Counted {
        Counted::Holds(Hold { kind, wait: secs * SECOND })
    }

    #[test]
    fn delays_double_up_to_the_longest_and_then_it_locks() {
        let (mut failures, mut now) = (Failures::default(), 1_000 * SECOND);
        let mut fail = |after: u64| {
            now += after * SECOND;
            failures.fail(&TERMS, now)
        };
        assert_eq!(fail(0), Counted::Free);
        assert_eq!(fail(0), Counted::Free);
        assert_eq!(fail(0), holds(Kind::Delay, 1));
        assert_eq!(fail(1), holds(Kind::Delay, 2));
        assert_eq!(fail(2), holds(Kind::Lock, 60));
        assert_eq!(fail(59), Counted::Held(Hold { kind: Kind::Lock, wait: SECOND }));
        // The window is over: it begins anew, and the next lock is twice as long.
        assert_eq!(fail(1), Counted::Free);
    }

    #[test]
    fn locks_double_up_to_the_longest_and_are_forgotten_after_as_long() {
        let terms = Terms { free: 0, lock_after: 1, ..TERMS };
        let (mut failures, mut now) = (Failures::default(), 0);
        for (after, lock) in [(0, 60), (60, 120), (120, 200), (200, 200), (399, 200), (400, 60)] {
            now += after * SECOND;
            assert_eq!(failures.fail(&terms, now), holds(Kind::Lock, lock), "{after}");
        }
    }

    #[test]
    fn the_failure_before_the_last_free_one_and_the_one_after_differ() {
        for free in [0, 1, 4] {
            let terms = Terms { free, ..TERMS };
            let mut failures = Failures::default();
            for n in 1..=free {
                assert_eq!(failures.fail(&terms, 0), Counted::Free, "{n} of {free}");
            }
            assert!(matches!(failures.fail(&terms, 0), Counted::Holds(_)), "{free}");
        }
    }

    #[test]
    fn a_failure_weighs_until_just_before_its_window_ends() {
        for (gap, is_free) in [(59 * SECOND, false), (60 * SECOND - 1, false), (60 * SECOND, true)]
        {
            let terms = Terms { free: 1, ..TERMS };
            let mut failures = Failures::default();
            failures.fail(&terms, 0);
            assert_eq!(failures.fail(&terms, gap) == Counted::Free, is_free, "{gap}");
        }
    }

    #[test]
    fn stricter_terms_count_what_was_before_and_looser_ones_too() {
        let mut failures = Failures::default();
        let loose = Terms { free: 100, lock_after: 101, ..TERMS };
        for n in 0..50 {
            assert_eq!(failures.fail(&loose, n), Counted::Free);
        }
        assert_eq!(failures.fail(&TERMS, 50), holds(Kind::Lock, 60));
        assert!(failures.times.len() <= TERMS.lock_after);
    }

    #[test]
    fn nothing_is_forgotten_while_it_weighs() {
        let mut failures = Failures::default();
        failures.fail(&TERMS, 10);
        assert_eq!(failures.expires(&TERMS), 10 + 60 * SECOND);
        let terms = Terms { free: 0, lock_after: 1, ..TERMS };
        failures.fail(&terms, 20);
        assert_eq!(failures.expires(&terms), 20 + (60 + 200) * SECOND);
    }

    /// The same by definition: every failure and every hold is kept, and each answer found anew.
    #[derive(Default)]
    pub(in crate::admit::auth_throttle) struct Naive {
        judged: Vec<u64>,
        holds: Vec<(u64, u64, Kind)>,
    }

    impl Naive {
        pub(in crate::admit::auth_throttle) fn hold(&self, now: u64) -> Option<Hold> {
            let (_, end, kind) = self.holds.iter().find(|hold| hold.0 <= now && now < hold.1)?;
            Some(Hold { kind: *kind, wait: end - now })
        }

        pub(in crate::admit::auth_throttle) fn fail(&mut self, terms: &Terms, now: u64) -> Counted {
            if let Some(hold) = self.hold(now) {
                return Counted::Held(hold);
            }
            self.judged.push(now);
            let weighs = |time: &&u64| now - **time < terms.window;
            let count = self.judged.iter().filter(weighs).count();
            if count <= terms.free {
                return Counted::Free;
            }
            let (kind, wait) = if count < terms.lock_after {
                let wait = (terms.free + 1..count).fold(terms.delay, |wait, _| wait * 2);
                (Kind::Delay, wait.min(terms.delay_max))
            } else {
                // Locks that follow each other: until one comes after a long time without holds.
                let mut locks = 0;
                let mut end = 0;
                for hold in &self.holds {
                    if hold.2 == Kind::Lock {
                        locks = if end + terms.lock_max <= hold.0 { 1 } else { locks + 1 };
                    }
                    end = hold.1;
                }
                let is_forgotten = end + terms.lock_max <= now;
                let locks = if is_forgotten { 0 } else { locks };
                let wait = (0..locks).fold(terms.lock, |wait: u64, _| wait.saturating_mul(2));
                (Kind::Lock, wait.min(terms.lock_max))
            };
            self.holds.push((now, now + wait, kind));
            Counted::Holds(Hold { kind, wait })
        }
    }

    fn terms() -> impl Strategy<Value = Terms> {
        (0_usize..4, 1_usize..4, 1_u64..60, 1_u64..4, 0_u64..6, 1_u64..60, 0_u64..120).prop_map(
            |(free, more, window, delay, longer, lock, much_longer)| Terms {
                free,
                lock_after: free + more,
                window: window * SECOND,
                delay: delay * SECOND,
                delay_max: (delay + longer) * SECOND,
                lock: lock * SECOND,
                lock_max: (lock + much_longer) * SECOND,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

        #[test]
        fn failures_add_up_as_a_naive_reading_of_all_of_them(
            terms in terms(),
            gaps in prop::collection::vec(prop::sample::select(
                vec![0, SECOND / 2, SECOND, 2 * SECOND, 10 * SECOND, 60 * SECOND, 180 * SECOND]
            ), 0..120),
        ) {
            let (mut failures, mut naive) = (Failures::default(), Naive::default());
            let mut now = 1_700_000_000 * SECOND;
            for gap in gaps {
                now += gap;
                prop_assert_eq!(failures.fail(&terms, now), naive.fail(&terms, now));
                prop_assert!(failures.times.len() <= terms.lock_after);
            }
        }

        #[test]
        fn no_window_has_more_judged_failures_than_lock_where_a_lock_lasts_a_window(
            terms in terms(),
            gaps in prop::collection::vec(0..20 * SECOND, 0..200),
        ) {
            let terms = Terms {
                lock: terms.lock.max(terms.window),
                lock_max: terms.lock_max.max(terms.window),
                ..terms
            };
            let (mut failures, mut now, mut judged) = (Failures::default(), 0, Vec::new());
            for gap in gaps {
                now += gap;
                if !matches!(failures.fail(&terms, now), Counted::Held(_)) {
                    judged.push(now);
                }
            }
            let most = terms.lock_after;
            let fits = judged.windows(most + 1).all(|w| w[most] - w[0] >= terms.window);
            prop_assert!(fits);
        }
    }
}
