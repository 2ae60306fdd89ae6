//! The counters of one limit, by key: sharded, bounded, and fair to keys that are live.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bartizan_core::Clock;
use foldhash::fast::RandomState as FastState;
use hashbrown::HashMap;

use super::window::{Quota, Usage, Verdict};

const SHARDS: usize = 64;

/// Below this many keys a shard is not looked through for dead ones.
const SWEEP_KEYS_MIN: usize = 64;

/// A full shard is looked through at most this often, so that a flood of keys costs little each.
const SWEEP_PAUSE: u64 = 100_000_000;

/// A name for what is counted. Names are long and chosen by clients; their digests are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u128);

/// Every counter there may be is taken by a key whose window still runs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The counters of one limit.
pub(super) struct Counters {
    shards: Box<[Mutex<Shard>]>,
    keys_max: usize,
    hashers: [RandomState; 2],
}

struct Shard {
    usages: HashMap<u128, Usage, FastState>,
    latest: u64,
    skew: u64,
    sweep_at: usize,
    swept: u64,
}

impl Counters {
    /// No key yet, and never more than about `keys_max`.
    pub(super) fn new(keys_max: u32) -> Self {
        let keys_max = usize::try_from(keys_max).unwrap_or(usize::MAX).div_ceil(SHARDS).max(1);
        let shard = || {
            Mutex::new(Shard {
                usages: HashMap::default(),
                latest: 0,
                skew: 0,
                sweep_at: SWEEP_KEYS_MIN.min(keys_max),
                swept: 0,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            keys_max,
            hashers: [RandomState::new(), RandomState::new()],
        }
    }

    /// The key for some bytes. `domain` keeps apart what could be spelled alike: a header's value
    /// is not the address it imitates.
    pub(super) fn key(&self, domain: u8, bytes: &[u8]) -> Key {
        let [high, low] = self.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            hasher.write_u8(domain);
            hasher.write(bytes);
            u128::from(hasher.finish())
        });
        Key(high << 64 | low)
    }

    /// Spends one request of `key`.
    pub(super) fn spend(&self, key: Key, quota: &Quota, clock: &Clock) -> Result<Verdict, Full> {
        let mut shard = self.shard(key).ok_or(Full)?;
        let now = shard.now(clock);
        if let Some(usage) = shard.usages.get_mut(&key.0) {
            return Ok(usage.spend(quota, now));
        }
        shard.make_room(self.keys_max, quota.window, now)?;
        let mut usage = Usage::new(quota, now);
        let verdict = usage.spend(quota, now);
        shard.usages.insert(key.0, usage);
        Ok(verdict)
    }

    /// Takes back what another rule refused.
    pub(super) fn refund(&self, key: Key, receipt: u64) {
        if let Some(usage) = self.shard(key).as_mut().and_then(|s| s.usages.get_mut(&key.0)) {
            usage.refund(receipt);
        }
    }

    /// There is always one: the remainder is less than their number.
    fn shard(&self, key: Key) -> Option<MutexGuard<'_, Shard>> {
        let index = usize::try_from(key.0 % SHARDS as u128).ok()?;
        Some(self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    /// A time that never runs back. It is read under the lock, so that it is in the order of the
    /// requests; where the system's clock is set back, no time has passed. Otherwise keys would
    /// stay locked until the clock came round again.
    fn now(&mut self, clock: &Clock) -> u64 {
        let now = clock.now().as_nanos().saturating_add(self.skew);
        if now < self.latest {
            self.skew = self.skew.saturating_add(self.latest - now);
            return self.latest;
        }
        self.latest = now;
        now
    }

    /// Dead keys make room; live ones never do, or a flood of new keys would be an amnesty.
    fn make_room(&mut self, keys_max: usize, window: u64, now: u64) -> Result<(), Full> {
        let len = self.usages.len();
        let is_full = len >= keys_max;
        if len >= self.sweep_at || (is_full && now >= self.swept.saturating_add(SWEEP_PAUSE)) {
            self.usages.retain(|_, usage| usage.expires(window) > now);
            self.swept = now;
            let next = self.usages.len().saturating_mul(2).max(SWEEP_KEYS_MIN);
            self.sweep_at = if next > keys_max { usize::MAX } else { next };
        }
        if self.usages.len() >= keys_max { Err(Full) } else { Ok(()) }
    }
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
        let spend = |domain, bytes: &[u8]| {
            let key = counters.key(domain, bytes);
            counters.spend(key, &quota(1), &clock).unwrap().is_admitted
        };
        assert!(spend(0, b"a") && spend(0, b"b") && spend(1, b"a"));
        assert!(!spend(0, b"a") && !spend(0, b"b") && !spend(1, b"a"));
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
                            if counters.spend(key, &quota(count), &clock).unwrap().is_admitted {
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
        let spend = |n: u32| {
            let key = counters.key(0, &n.to_le_bytes());
            counters.spend(key, &quota(2), &clock)
        };
        let known = (0..5_000).filter(|n| spend(*n).is_ok()).count();
        assert_eq!(known, 640);
        let first = (0..5_000).find(|n| spend(*n).is_ok()).unwrap();
        assert!(!spend(first).unwrap().is_admitted, "a live key kept its count");
        manual.advance(Duration::from_secs(60));
        assert_eq!((5_000..10_000).filter(|n| spend(*n).is_ok()).count(), 640);
    }

    #[test]
    fn a_clock_that_is_set_back_is_neither_an_amnesty_nor_a_lock() {
        let counters = Counters::new(1_000);
        let (manual, clock) = manual();
        let spend = || {
            let key = counters.key(0, b"a");
            counters.spend(key, &quota(1), &clock).unwrap().is_admitted
        };
        assert!(spend());
        manual.set(Timestamp::from_secs(1_600_000_000));
        assert!(!spend());
        manual.advance(Duration::from_secs(59));
        assert!(!spend());
        manual.advance(Duration::from_secs(1));
        assert!(spend());
    }
}
