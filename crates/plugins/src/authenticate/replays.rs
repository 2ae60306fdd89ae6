//! What was good for one use and was used, until it would be too old anyway: signatures, proofs of
//! possession.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use bartizan_chain::CompileCx;
use bartizan_config::{ResourceKind, ResourceRef};

/// Why something cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReplayFault {
    /// It was used before.
    #[error("the same signature was used before")]
    Again,
    /// It could not be remembered.
    #[error("more signatures to remember than `limits.replay_keys`")]
    Full,
}

/// Locks, so that workers seldom meet.
const SHARDS: usize = 16;

/// A part of the keyed digest of a signature.
pub(crate) type Trace = [u8; 16];

/// When each signature was made, in seconds.
type Shard = HashMap<Trace, u64, RandomState>;

/// What one route takes, in the memory that all routes of the node share: a signature that was used
/// on one of them is used on all, and is remembered as long as any of them would take it.
pub(crate) struct Window {
    replays: Arc<Replays>,
    /// The greatest age that the route takes, in seconds.
    age: u64,
}

impl Window {
    /// The window of a route that takes signatures up to `age` old, by the name of what is
    /// remembered.
    pub(crate) fn of_node(cx: &CompileCx<'_>, owner: &'static str, age: Duration) -> Self {
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(owner) };
        let most = cx.node.limits.replay_keys;
        let make = || Replays::new(most);
        Self::open(cx.node.registry.state(&node, owner, "replays".to_owned(), make), age)
    }

    fn open(replays: Arc<Replays>, age: Duration) -> Self {
        let age = age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0));
        replays.change(age, |held| held.saturating_add(1));
        Self { replays, age }
    }

    /// Notes that a signature of `date` was used; refuses what was used before.
    pub(crate) fn spend(&self, trace: Trace, date: u64, now: u64) -> Result<(), ReplayFault> {
        let used = &self.replays.used;
        if used.load(Ordering::Relaxed) < self.age {
            used.fetch_max(self.age, Ordering::Relaxed);
        }
        self.replays.spend(trace, date, now)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.replays.change(self.age, |held| held.saturating_sub(1));
    }
}

/// The signatures of a node.
struct Replays {
    shards: [Mutex<Shard>; SHARDS],
    /// Most of one shard.
    most: usize,
    /// How many windows of each age are held. Those of a configuration that is only checked go with
    /// it.
    ages: Mutex<BTreeMap<u64, usize>>,
    /// The greatest of these.
    held: AtomicU64,
    /// The greatest age under which a signature was used: a route that goes and comes back takes
    /// none of them again.
    used: AtomicU64,
}

impl Replays {
    /// Room for so many signatures, about.
    fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX).div_ceil(SHARDS);
        Self {
            shards: Default::default(),
            most,
            ages: Mutex::default(),
            held: AtomicU64::new(0),
            used: AtomicU64::new(0),
        }
    }

    fn change(&self, age: u64, change: impl FnOnce(usize) -> usize) {
        let mut ages = self.ages.lock().unwrap_or_else(PoisonError::into_inner);
        let count = ages.entry(age).or_default();
        *count = change(*count);
        if *count == 0 {
            ages.remove(&age);
        }
        let greatest = ages.last_key_value().map_or(0, |(age, _)| *age);
        self.held.store(greatest, Ordering::Relaxed);
    }

    fn spend(&self, trace: Trace, date: u64, now: u64) -> Result<(), ReplayFault> {
        let [first, ..] = trace;
        let Some(shard) = self.shards.get(usize::from(first) % SHARDS) else {
            return Err(ReplayFault::Full);
        };
        let age = self.held.load(Ordering::Relaxed).max(self.used.load(Ordering::Relaxed));
        // Judged by what counts now: a route that takes older ones may have come since.
        let counts = |date: u64| date.saturating_add(age) >= now;
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.most {
            shard.retain(|_, date| counts(*date));
        }
        let has_room = shard.len() < self.most;
        match shard.entry(trace) {
            Entry::Occupied(used) if counts(*used.get()) => Err(ReplayFault::Again),
            Entry::Occupied(mut used) => {
                used.insert(date);
                Ok(())
            }
            Entry::Vacant(free) if has_room => {
                free.insert(date);
                Ok(())
            }
            Entry::Vacant(_) => Err(ReplayFault::Full),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(n: u8) -> Trace {
        [n; 16]
    }

    fn memory(most: u32) -> Arc<Replays> {
        Arc::new(Replays::new(most))
    }

    fn window(memory: &Arc<Replays>, secs: u64) -> Window {
        Window::open(memory.clone(), Duration::from_secs(secs))
    }

    #[test]
    fn a_signature_is_good_once_while_it_is_young() {
        let memory = memory(100);
        let (_older, replays) = (window(&memory, 300), window(&memory, 60));
        assert_eq!(replays.spend(trace(1), 1_000, 1_010), Ok(()));
        for now in [1_010, 1_100, 1_300] {
            assert_eq!(replays.spend(trace(1), 1_000, now), Err(ReplayFault::Again), "{now}");
        }
        assert_eq!(replays.spend(trace(2), 1_000, 1_010), Ok(()));
        assert_eq!(replays.spend(trace(1), 1_301, 1_301), Ok(()), "it has aged out");
    }

    #[test]
    fn what_cannot_be_remembered_is_refused_until_others_have_aged() {
        let replays = window(&memory(16), 10);
        assert_eq!(replays.spend(trace(0), 1_000, 1_000), Ok(()));
        assert_eq!(replays.spend(trace(16), 1_000, 1_000), Err(ReplayFault::Full));
        assert_eq!(replays.spend(trace(0), 1_000, 1_000), Err(ReplayFault::Again), "even if full");
        assert_eq!(replays.spend(trace(16), 1_011, 1_011), Ok(()));
    }

    #[test]
    fn a_route_that_comes_later_takes_nothing_that_was_used() {
        let memory = memory(100);
        let short = window(&memory, 60);
        assert_eq!(short.spend(trace(1), 1_000, 1_000), Ok(()));
        let long = window(&memory, 300);
        assert_eq!(long.spend(trace(1), 1_000, 1_100), Err(ReplayFault::Again));
        drop(long);
        assert_eq!(short.spend(trace(1), 1_000, 1_100), Err(ReplayFault::Again), "as ever since");
    }

    #[test]
    fn a_reload_is_no_amnesty() {
        let memory = memory(16);
        let short = window(&memory, 60);
        let long = window(&memory, 300);
        assert_eq!(long.spend(trace(0), 1_000, 1_000), Ok(()));
        drop(long);
        assert_eq!(short.spend(trace(16), 1_100, 1_100), Err(ReplayFault::Full), "still kept");
        assert_eq!(window(&memory, 300).spend(trace(0), 1_000, 1_100), Err(ReplayFault::Again));
    }

    #[test]
    fn what_is_compiled_only_to_be_checked_keeps_nothing_longer() {
        let memory = memory(16);
        let short = window(&memory, 60);
        assert_eq!(short.spend(trace(0), 1_000, 1_000), Ok(()));
        let checked = window(&memory, 86_400);
        assert_eq!(short.spend(trace(16), 1_061, 1_061), Err(ReplayFault::Full), "in force");
        drop(checked);
        assert_eq!(short.spend(trace(16), 1_061, 1_061), Ok(()));
    }

    #[test]
    fn a_part_of_a_second_counts_as_one() {
        let replays = Window::open(memory(16), Duration::from_millis(1_001));
        assert_eq!(replays.spend(trace(0), 1_000, 1_000), Ok(()));
        assert_eq!(replays.spend(trace(0), 1_000, 1_002), Err(ReplayFault::Again));
        assert_eq!(replays.spend(trace(0), 1_003, 1_003), Ok(()));
    }

    proptest::proptest! {
        /// Against a list of what was used.
        #[test]
        fn it_agrees_with_a_naive_memory(
            steps in proptest::collection::vec((0_u8..6, 0_u64..9), 0..40),
        ) {
            let replays = window(&memory(1_000), 20);
            let (mut now, mut used) = (1_000, Vec::new());
            for (n, passed) in steps {
                now += passed;
                let is_known = used.iter().any(|(own, at)| *own == n && at + 20 >= now);
                let outcome = replays.spend(trace(n), now, now);
                proptest::prop_assert_eq!(outcome.is_err(), is_known);
                if !is_known {
                    used.push((n, now));
                }
            }
        }
    }
}
