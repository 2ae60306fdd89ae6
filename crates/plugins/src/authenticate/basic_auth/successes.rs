//! Passwords that were right a moment ago.
//!
//! Without it every request of a page would hash the same password. What is kept is a keyed digest
//! of the stored hash and the password shown, and until when it counts: nothing that could be read
//! back, and nothing that a changed password or a removed consumer would leave behind, since who
//! asks names the hash that is stored now. Failures are not remembered.

use std::time::Duration;

use bartizan_core::Timestamp;
use foldhash::fast::RandomState;
use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};

/// Most successes remembered.
const SUCCESSES_MAX: usize = 4_096;
/// How long one counts; it is not prolonged by use.
const SUCCESS_TIME: Duration = Duration::from_secs(60);

/// A keyed digest of a stored hash and the password that fits it.
pub(super) type Success = [u8; 32];

/// The successes of a node.
pub(super) struct Successes(Cache<Success, Timestamp, UnitWeighter, RandomState>);

impl Default for Successes {
    fn default() -> Self {
        Self::with_capacity(SUCCESSES_MAX)
    }
}

impl Successes {
    fn with_capacity(most: usize) -> Self {
        let capacity = u64::try_from(most).unwrap_or(u64::MAX);
        let (random, lifecycle) = (RandomState::default(), DefaultLifecycle::default());
        Self(Cache::with(most, capacity, UnitWeighter, random, lifecycle))
    }

    /// Whether this was right within the last minute.
    pub(super) fn has(&self, success: &Success, now: Timestamp) -> bool {
        self.0.get(success).is_some_and(|noted| {
            // A clock that was set back must not make it last.
            now >= noted && now.since(noted) < SUCCESS_TIME
        })
    }

    /// Remembers that this was right.
    pub(super) fn note(&self, success: Success, now: Timestamp) {
        self.0.insert(success, now);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000);

    #[test]
    fn a_success_counts_for_a_minute_and_use_does_not_prolong_it() {
        let successes = Successes::default();
        successes.note([1; 32], START);
        for secs in [0, 30, 59] {
            assert!(successes.has(&[1; 32], START.plus(Duration::from_secs(secs))), "{secs}");
        }
        assert!(!successes.has(&[1; 32], START.plus(SUCCESS_TIME)));
        assert!(!successes.has(&[1; 32], Timestamp::from_secs(999)), "the clock was set back");
        assert!(!successes.has(&[2; 32], START));
    }

    #[test]
    fn their_number_is_bounded() {
        let successes = Successes::with_capacity(64);
        for n in 0..=255 {
            successes.note([n; 32], START);
        }
        assert!((1..=64).contains(&successes.len()));
    }
}
