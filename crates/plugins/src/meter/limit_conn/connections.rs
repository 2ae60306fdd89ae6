//! The requests that are under way, by key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::super::table::{Entry, Full, Key, Table};

/// How many requests of one key are under way; kept only while there are some.
#[derive(Debug)]
pub(super) struct Open {
    count: u32,
}

impl Entry for Open {
    type Terms = ();

    fn expires(&self, (): &()) -> u64 {
        u64::MAX
    }
}

/// The requests of one limit that are under way, on all workers.
pub(super) struct Connections {
    pub(super) table: Table<Open>,
    /// How long a request usually takes, in nanoseconds; zero until one has been measured.
    usual: AtomicU64,
}

/// One request that is under way; it is over when this is dropped.
pub(super) struct Permit {
    connections: Arc<Connections>,
    key: Key,
    /// How many are under way with it.
    pub(super) number: u32,
}

impl Connections {
    /// None yet.
    pub(super) fn new(keys_max: u32) -> Self {
        Self { table: Table::new(keys_max), usual: AtomicU64::new(0) }
    }

    /// Lets a request begin, unless as many as may be are under way.
    pub(super) fn begin(self: &Arc<Self>, key: Key, most: u32) -> Result<Option<Permit>, Full> {
        let more = |open: &mut Open, _now| {
            let number = open.count.checked_add(1).filter(|number| *number <= most)?;
            open.count = number;
            Some(number)
        };
        // What is kept is live, however late it is: there is no time to read.
        let number = self.table.with(key, &(), || 0, |_now| Open { count: 0 }, more)?;
        Ok(number.map(|number| Permit { connections: self.clone(), key, number }))
    }

    /// Learns how long a request took: half of what is expected comes from the last one.
    pub(super) fn learn(&self, took: Duration, expected: Duration) {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let (took, expected) = (nanos(took), nanos(expected));
        let learn = |usual: u64| {
            let usual = if usual == 0 { expected } else { usual };
            Some(usual.midpoint(took).max(1))
        };
        let _ = self.usual.fetch_update(Ordering::Relaxed, Ordering::Relaxed, learn);
    }

    /// How long a request usually takes, `expected` until one has been measured.
    pub(super) fn usual(&self, expected: Duration) -> Duration {
        match self.usual.load(Ordering::Relaxed) {
            0 => expected,
            nanos => Duration::from_nanos(nanos),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.table.release(self.key, |open| {
            open.count = open.count.saturating_sub(1);
            open.count == 0
        });
    }
}

/// How long the request with this number waits: as long as one takes, for each full round of
/// `conn` that are before it.
pub(super) fn delay(number: u32, conn: u32, unit: Duration) -> Duration {
    let rounds = number.saturating_sub(1) / conn.max(1);
    unit.saturating_mul(rounds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(connections: &Connections, name: u8) -> Key {
        connections.table.key(0, &[name])
    }

    #[test]
    fn rounds_of_requests_wait_for_those_before_them() {
        let unit = Duration::from_secs(1);
        let rounds: Vec<u64> = (1..=7).map(|number| delay(number, 3, unit).as_secs()).collect();
        assert_eq!(rounds, [0, 0, 0, 1, 1, 1, 2]);
    }

    #[test]
    fn what_is_usual_follows_what_is_measured() {
        let connections = Connections::new(1);
        let second = Duration::from_secs(1);
        assert_eq!(connections.usual(second), second);
        connections.learn(3 * second, second);
        assert_eq!(connections.usual(second), 2 * second);
        connections.learn(Duration::ZERO, second);
        assert_eq!(connections.usual(second), second);
    }

    #[test]
    fn threads_together_never_exceed_the_limit_and_leave_nothing_behind() {
        let connections = Arc::new(Connections::new(1_000));
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        let begun = connections.begin(key(&connections, 1), 3).unwrap();
                        if let Some(permit) = begun {
                            let count = now.fetch_add(1, Ordering::SeqCst) + 1;
                            most.fetch_max(count, Ordering::SeqCst);
                            std::thread::yield_now();
                            now.fetch_sub(1, Ordering::SeqCst);
                            drop(permit);
                        }
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert!(connections.table.is_empty());
    }

    proptest! {
        #[test]
        fn the_count_never_exceeds_the_limit_and_returns_to_zero(
            most in 1_u32..5,
            steps in prop::collection::vec((0_u8..3, any::<bool>(), any::<prop::sample::Index>()), 0..200),
        ) {
            let connections = Arc::new(Connections::new(1_000));
            let mut held: Vec<(u8, Permit)> = Vec::new();
            for (name, begins, index) in steps {
                let of = |held: &[(u8, Permit)]| held.iter().filter(|(n, _)| *n == name).count();
                if begins {
                    let before = u32::try_from(of(&held)).unwrap();
                    let begun = connections.begin(key(&connections, name), most).unwrap();
                    prop_assert_eq!(begun.is_some(), before < most);
                    if let Some(permit) = begun {
                        prop_assert_eq!(permit.number, before + 1);
                        held.push((name, permit));
                    }
                } else if !held.is_empty() {
                    let at = index.index(held.len());
                    held.swap_remove(at);
                }
            }
            drop(held);
            prop_assert!(connections.table.is_empty());
        }
    }
}
