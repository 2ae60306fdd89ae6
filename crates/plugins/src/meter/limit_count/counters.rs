//! The counters of one limit, by key.

use bartizan_core::Clock;

use super::super::table::{Full, Key, Table};
use super::window::{Quota, Usage, Verdict};

/// The counters of one limit.
pub(super) type Counters = Table<Usage>;

/// Spends so much of `key`.
pub(super) fn spend(
    counters: &Counters,
    key: Key,
    quota: &Quota,
    cost: u32,
    clock: &Clock,
) -> Result<Verdict, Full> {
    let now = || clock.now().as_nanos();
    let spend = |usage: &mut Usage, now| usage.spend(quota, cost, now);
    counters.with(key, &(), now, |now| Usage::new(quota, now), spend)
}

/// Takes back what another rule refused.
pub(super) fn refund(counters: &Counters, key: Key, receipt: u64, cost: u32) {
    counters.visit(key, |usage| usage.refund(receipt, cost));
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use bartizan_core::{ManualClock, Timestamp};

    use super::super::window::Algorithm;
    use super::*;

    fn quota(count: u32) -> Quota {
        Quota { count, window: 60_000_000_000, algorithm: Algorithm::Sliding }
    }

    fn manual() -> (ManualClock, Clock) {
        let manual = ManualClock::at(Timestamp::from_secs(1_700_000_000));
        (manual.clone(), Clock::Manual(manual))
    }

    #[test]
    fn keys_are_counted_apart_and_domains_too() {
        let counters = Counters::new(1_000);
        let (_, clock) = manual();
        let spent = |domain, bytes: &[u8]| {
            let key = counters.key(domain, bytes);
            spend(&counters, key, &quota(1), 1, &clock).unwrap().is_admitted
        };
        assert!(spent(0, b"a") && spent(0, b"b") && spent(1, b"a"));
        assert!(!spent(0, b"a") && !spent(0, b"b") && !spent(1, b"a"));
    }

    #[test]
    fn threads_together_admit_exactly_the_count() {
        let counters = Counters::new(1_000);
        let admitted = AtomicU32::new(0);
        for count in [500_u32, 5_000] {
            admitted.store(0, Ordering::Relaxed);
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..1_000 {
                            let key = counters.key(0, &count.to_le_bytes());
                            let clock = Clock::System;
                            if spend(&counters, key, &quota(count), 1, &clock).unwrap().is_admitted
                            {
                                admitted.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(admitted.load(Ordering::Relaxed), count);
        }
    }

    #[test]
    fn new_keys_are_refused_while_all_are_live_and_admitted_once_some_are_dead() {
        let counters = Counters::new(640);
        let (manual, clock) = manual();
        let spent = |n: u32| {
            let key = counters.key(0, &n.to_le_bytes());
            spend(&counters, key, &quota(2), 1, &clock)
        };
        let known = (0..5_000).filter(|n| spent(*n).is_ok()).count();
        assert_eq!(known, 640);
        let first = (0..5_000).find(|n| spent(*n).is_ok()).unwrap();
        assert!(!spent(first).unwrap().is_admitted, "a live key kept its count");
        manual.advance(Duration::from_secs(60));
        assert_eq!((5_000..10_000).filter(|n| spent(*n).is_ok()).count(), 640);
    }

    #[test]
    fn a_clock_that_is_set_back_is_neither_an_amnesty_nor_a_lock() {
        let counters = Counters::new(1_000);
        let (manual, clock) = manual();
        let spent = || {
            let key = counters.key(0, b"a");
            spend(&counters, key, &quota(1), 1, &clock).unwrap().is_admitted
        };
        assert!(spent());
        manual.set(Timestamp::from_secs(1_600_000_000));
        assert!(!spent());
        manual.advance(Duration::from_secs(59));
        assert!(!spent());
        manual.advance(Duration::from_secs(1));
        assert!(spent());
    }
}
