//! What was good for one use and was used, until it would be too old anyway: signatures, proofs of
//! possession.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

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

/// Until when each signature counts as used, in seconds.
type Shard = HashMap<Trace, u64, RandomState>;

/// The signatures of a node.
pub(crate) struct Replays {
    shards: [Mutex<Shard>; SHARDS],
    /// Most of one shard.
    most: usize,
    /// The longest that any route lets clocks differ: a signature is remembered until no route
    /// would take it any more.
    skew: AtomicU64,
}

impl Replays {
    /// One memory for all routes of the node, by the name of what is remembered.
    pub(crate) fn of_node(cx: &CompileCx<'_>, owner: &'static str) -> Arc<Self> {
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(owner) };
        let most = cx.node.limits.replay_keys;
        cx.node.registry.state(&node, owner, "replays".to_owned(), || Self::new(most))
    }

    /// Room for so many signatures, about.
    pub(crate) fn new(most: u32) -> Self {
        let most = usize::try_from(most).unwrap_or(usize::MAX).div_ceil(SHARDS);
        Self { shards: Default::default(), most, skew: AtomicU64::new(0) }
    }

    /// Notes by how much a route lets clocks differ.
    pub(crate) fn note_skew(&self, seconds: u64) {
        self.skew.fetch_max(seconds, Ordering::Relaxed);
    }

    /// Notes that a signature of `date` was used; refuses what was used before.
    pub(crate) fn spend(&self, trace: Trace, date: u64, now: u64) -> Result<(), ReplayFault> {
        let [first, ..] = trace;
        let Some(shard) = self.shards.get(usize::from(first) % SHARDS) else {
            return Err(ReplayFault::Full);
        };
        let end = date.saturating_add(self.skew.load(Ordering::Relaxed));
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if shard.len() >= self.most {
            shard.retain(|_, end| *end >= now);
        }
        let has_room = shard.len() < self.most;
        match shard.entry(trace) {
            Entry::Occupied(used) if *used.get() >= now => Err(ReplayFault::Again),
            Entry::Occupied(mut used) => {
                used.insert(end);
                Ok(())
            }
            Entry::Vacant(free) if has_room => {
                free.insert(end);
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

    #[test]
    fn a_signature_is_good_once_while_it_is_young() {
        let replays = Replays::new(100);
        replays.note_skew(300);
        replays.note_skew(60);
        assert_eq!(replays.spend(trace(1), 1_000, 1_010), Ok(()));
        for now in [1_010, 1_100, 1_300] {
            assert_eq!(replays.spend(trace(1), 1_000, now), Err(ReplayFault::Again), "{now}");
        }
        assert_eq!(replays.spend(trace(2), 1_000, 1_010), Ok(()));
        assert_eq!(replays.spend(trace(1), 1_301, 1_301), Ok(()), "it has aged out");
    }

    #[test]
    fn what_cannot_be_remembered_is_refused_until_others_have_aged() {
        let replays = Replays::new(16);
        replays.note_skew(10);
        assert_eq!(replays.spend(trace(0), 1_000, 1_000), Ok(()));
        assert_eq!(replays.spend(trace(16), 1_000, 1_000), Err(ReplayFault::Full));
        assert_eq!(replays.spend(trace(0), 1_000, 1_000), Err(ReplayFault::Again), "even if full");
        assert_eq!(replays.spend(trace(16), 1_011, 1_011), Ok(()));
    }

    proptest::proptest! {
        /// Against a list of what was used.
        #[test]
        fn it_agrees_with_a_naive_memory(
            steps in proptest::collection::vec((0_u8..6, 0_u64..9), 0..40),
        ) {
            let replays = Replays::new(1_000);
            replays.note_skew(20);
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
