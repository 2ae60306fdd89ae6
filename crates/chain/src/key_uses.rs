//! When the keys of callers were used.

use std::sync::{Arc, Mutex, PoisonError};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Kept to this many seconds: enough to see which keys are in use, and not when people work.
const HOUR: u64 = 3_600;
/// Tables, so that workers seldom wait for each other.
const SHARDS: usize = 16;
/// Keys that are remembered in one table; the uses of others are not.
const SHARD_MAX: usize = 128 * 1_024;

/// Hours since 1970, by the beginning of a key's digest.
type Shard = Mutex<HashMap<u64, u32, RandomState>>;

/// The hour in which each key was last used on this node. It outlives every change of the
/// configuration. Clones share everything.
#[derive(Clone, Debug)]
pub struct KeyUses(Arc<[Shard]>);

impl Default for KeyUses {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| Shard::default()).collect())
    }
}

impl KeyUses {
    /// Notes a use of the key of a digest, `now` in seconds since 1970.
    pub fn note(&self, digest: &[u8], now: u64) {
        let Some((name, shard)) = self.shard(digest) else { return };
        let hour = u32::try_from(now / HOUR).unwrap_or(u32::MAX);
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shard.get_mut(&name) {
            *known = hour.max(*known);
        } else if shard.len() < SHARD_MAX {
            shard.insert(name, hour);
        }
    }

    /// The beginning of the hour of the last use of the key of a digest, in seconds since 1970;
    /// `None` where it was not used since the node started.
    pub fn last(&self, digest: &[u8]) -> Option<u64> {
        let (name, shard) = self.shard(digest)?;
        let hour = shard.lock().unwrap_or_else(PoisonError::into_inner).get(&name).copied()?;
        Some(u64::from(hour) * HOUR)
    }

    fn shard(&self, digest: &[u8]) -> Option<(u64, &Shard)> {
        let name = u64::from_le_bytes(*digest.first_chunk()?);
        let at = usize::try_from(name).unwrap_or_default() % SHARDS;
        Some((name, self.0.get(at)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_kept_to_the_hour_and_never_goes_back() {
        let uses = KeyUses::default();
        let (one, other) = ([1; 16], [2; 16]);
        assert_eq!(uses.last(&one), None);
        uses.note(&one, 7_300);
        assert_eq!((uses.last(&one), uses.last(&other)), (Some(7_200), None));
        uses.clone().note(&one, 10_800);
        uses.note(&one, 7_300);
        assert_eq!(uses.last(&one), Some(10_800));
        assert_eq!(uses.last(b"short"), None);
    }

    #[test]
    fn a_table_has_room_for_so_many_keys() {
        let uses = KeyUses::default();
        let digest = |n: usize| u64::try_from(n * SHARDS).unwrap().to_le_bytes();
        for n in 0..=SHARD_MAX {
            uses.note(&digest(n), HOUR);
        }
        assert_eq!(uses.last(&digest(SHARD_MAX - 1)), Some(HOUR));
        assert_eq!(uses.last(&digest(SHARD_MAX)), None);
        uses.note(&digest(0), 2 * HOUR);
        assert_eq!(uses.last(&digest(0)), Some(2 * HOUR));
    }
}
