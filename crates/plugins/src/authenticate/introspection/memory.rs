//! What issuers said of tokens, remembered for a short time.
//!
//! Good tokens and bad ones are kept apart, so that tokens which clients invent push out no good
//! one.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Timestamp;
use foldhash::fast::RandomState;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{UnitWeighter, Weighter};
use tokio::time::Instant;

use super::Answer;
use crate::jose::{Claims, Digest};

/// Most good tokens remembered, and most bad ones.
const TOKENS_MAX: usize = 4_096;
/// Most memory for what was said of good ones, about.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

#[derive(Clone)]
struct Active {
    claims: Arc<Claims>,
    until: Instant,
}

/// Weighs an entry in bytes, but never less than `least`.
#[derive(Clone)]
struct Weight {
    least: u64,
}

impl Weighter<Digest, Active> for Weight {
    fn weight(&self, _: &Digest, active: &Active) -> u64 {
        let bytes = active.claims.weight().saturating_add(size_of::<(Digest, Active)>());
        u64::try_from(bytes).unwrap_or(u64::MAX).max(self.least)
    }
}

/// A bounded memory.
pub(super) struct Memory {
    active: Cache<Digest, Active, Weight, RandomState>,
    inactive: Cache<Digest, Instant, UnitWeighter, RandomState>,
    /// How long a good token is remembered at most.
    longest: Duration,
    /// How long a bad one is.
    refused: Duration,
}

impl Memory {
    pub(super) fn new(longest: Duration, refused: Duration) -> Self {
        let capacity = u64::try_from(TOKENS_MAX).unwrap_or(u64::MAX);
        let random = RandomState::default;
        Self {
            active: Cache::with(
                TOKENS_MAX,
                BYTES_MAX,
                // Never so little that more than `TOKENS_MAX` would fit.
                Weight { least: BYTES_MAX / capacity },
                random(),
                DefaultLifecycle::default(),
            ),
            inactive: Cache::with(
                TOKENS_MAX,
                capacity,
                UnitWeighter,
                random(),
                DefaultLifecycle::default(),
            ),
            longest,
            refused,
        }
    }

    /// What was said of the token, if that still counts.
    pub(super) fn recall(&self, digest: &Digest) -> Option<Answer> {
        let now = Instant::now();
        if let Some(active) = self.active.get(digest) {
            if now < active.until {
                return Some(Answer::Active(active.claims));
            }
            self.active.remove(digest);
        }
        let until = self.inactive.get(digest)?;
        (now < until).then_some(Answer::Inactive)
    }

    /// Remembers what was said at `now`: of a good token no longer than it lives.
    pub(super) fn keep(&self, digest: Digest, answer: &Answer, now: Timestamp) {
        match answer {
            Answer::Active(claims) => {
                let left = match claims.expires() {
                    Ok(Some(expires)) => expires.since(now),
                    Ok(None) => self.longest,
                    Err(_) => Duration::ZERO,
                };
                let life = left.min(self.longest);
                if !life.is_zero() {
                    let until = Instant::now() + life;
                    self.active.insert(digest, Active { claims: claims.clone(), until });
                }
            }
            Answer::Inactive if self.refused.is_zero() => {}
            Answer::Inactive => self.inactive.insert(digest, Instant::now() + self.refused),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn active(expires: Option<u64>) -> Answer {
        let claims = expires.map_or_else(|| json!({}), |expires| json!({ "exp": expires }));
        Answer::Active(Arc::new(Claims::parse(claims.to_string().as_bytes()).unwrap()))
    }

    fn is_known(memory: &Memory) -> bool {
        memory.recall(&[1; 32]).is_some()
    }

    #[test]
    fn nothing_is_remembered_longer_than_the_token_lives_or_than_is_stated() {
        bartizan_testkit::run(async {
            let now = Timestamp::from_secs(1_000);
            for (answer, seconds) in [
                (active(None), 30),
                (active(Some(2_000)), 30),
                (active(Some(1_010)), 10),
                (Answer::Inactive, 5),
            ] {
                let memory = Memory::new(Duration::from_secs(30), Duration::from_secs(5));
                memory.keep([1; 32], &answer, now);
                tokio::time::advance(Duration::from_millis(seconds * 1_000 - 1)).await;
                assert!(is_known(&memory), "{answer:?}");
                tokio::time::advance(Duration::from_millis(1)).await;
                assert!(!is_known(&memory), "{answer:?}");
            }
        });
    }

    #[test]
    fn what_is_over_or_shall_not_be_remembered_is_not() {
        bartizan_testkit::run(async {
            let now = Timestamp::from_secs(1_000);
            let memory = Memory::new(Duration::from_secs(30), Duration::ZERO);
            memory.keep([1; 32], &Answer::Inactive, now);
            memory.keep([1; 32], &active(Some(1_000)), now);
            memory.keep([1; 32], &active(Some(900)), now);
            assert!(!is_known(&memory));
            let memory = Memory::new(Duration::ZERO, Duration::ZERO);
            memory.keep([1; 32], &active(None), now);
            assert!(!is_known(&memory));
        });
    }

    /// Three times as many tokens as are remembered.
    fn many() -> impl Iterator<Item = Digest> {
        (0..3 * u32::try_from(TOKENS_MAX).unwrap()).map(|number| {
            let mut digest = [2; 32];
            digest[..4].copy_from_slice(&number.to_be_bytes());
            digest
        })
    }

    #[test]
    fn good_tokens_that_say_much_are_bounded_by_what_they_weigh() {
        bartizan_testkit::run(async {
            let memory = Memory::new(Duration::from_secs(30), Duration::from_secs(5));
            let claims = json!({ "note": "x".repeat(64 * 1024) }).to_string();
            let answer = Answer::Active(Arc::new(Claims::parse(claims.as_bytes()).unwrap()));
            for digest in many().take(300) {
                memory.keep(digest, &answer, Timestamp::from_secs(1_000));
            }
            assert!((1..256).contains(&memory.active.len()), "{}", memory.active.len());
            assert!(memory.active.weight() <= BYTES_MAX);
        });
    }

    #[test]
    fn bad_tokens_push_out_no_good_one_and_both_are_bounded() {
        bartizan_testkit::run(async {
            let now = Timestamp::from_secs(1_000);
            let memory = Memory::new(Duration::from_secs(30), Duration::from_secs(5));
            memory.keep([1; 32], &active(None), now);
            for digest in many() {
                memory.keep(digest, &Answer::Inactive, now);
            }
            assert!(is_known(&memory));
            assert!(memory.inactive.len() <= TOKENS_MAX);
            for digest in many() {
                memory.keep(digest, &active(None), now);
            }
            assert!(memory.active.len() <= TOKENS_MAX);
            assert!(memory.active.weight() <= BYTES_MAX);
        });
    }
}
