//! What is kept for each key of one limit: sharded, bounded, and fair to keys that are live.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState as FastState;
use hashbrown::HashMap;

const SHARDS: usize = 64;

/// Below this many keys a shard is not looked through for dead ones.
const SWEEP_KEYS_MIN: usize = 64;

/// A full shard is looked through at most this often, so that a flood of keys costs little each.
const SWEEP_PAUSE: u64 = 100_000_000;

/// Keeps derived keys apart from those of what is written; see `key.rs`.
const DERIVED: u8 = 2;

/// A name for what is counted. Names are long and chosen by clients; their digests are neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key(u128);

/// Every place that there may be is taken by a key that is live.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// What a limit keeps for one key.
pub(crate) trait Entry {
    /// What the limit says, where that decides how long a key is live.
    type Terms;

    /// When nothing of it weighs any more.
    fn expires(&self, terms: &Self::Terms) -> u64;
}

/// What one limit keeps for its keys.
pub(crate) struct Table<E> {
    shards: Box<[Mutex<Shard<E>>]>,
    keys_max: usize,
    hashers: [RandomState; 2],
}

struct Shard<E> {
    entries: HashMap<u128, E, FastState>,
    latest: u64,
    skew: u64,
    sweep_at: usize,
    swept: u64,
}

impl<E: Entry> Table<E> {
    /// No key yet, and never more than about `keys_max`.
    pub(crate) fn new(keys_max: u32) -> Self {
        let keys_max = usize::try_from(keys_max).unwrap_or(usize::MAX).div_ceil(SHARDS).max(1);
        let shard = || {
            Mutex::new(Shard {
                entries: HashMap::default(),
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
    pub(crate) fn key(&self, domain: u8, bytes: &[u8]) -> Key {
        let [high, low] = self.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            hasher.write_u8(domain);
            hasher.write(bytes);
            u128::from(hasher.finish())
        });
        Key(high << 64 | low)
    }

    /// The key for some bytes that mean something to `owner` only.
    pub(crate) fn key_of(&self, owner: &str, bytes: &[u8]) -> Key {
        let [high, low] = self.hashers.each_ref().map(|state| {
            let mut hasher = state.build_hasher();
            hasher.write(owner.as_bytes());
            // No name of a plugin has this byte: where it ends is told.
            hasher.write_u8(0xff);
            hasher.write(bytes);
            u128::from(hasher.finish())
        });
        Key(high << 64 | low)
    }

    /// Another key for each number that belongs to the same one.
    pub(crate) fn derived(&self, key: Key, number: u64) -> Key {
        let mut bytes = [0; 24];
        let (own, of_number) = bytes.split_at_mut(16);
        own.copy_from_slice(&key.0.to_le_bytes());
        of_number.copy_from_slice(&number.to_le_bytes());
        self.key(DERIVED, &bytes)
    }

    /// Works on what is kept for `key`, which `make` makes if there is nothing. `now` is read
    /// under the lock, so that times are in the order of the requests.
    pub(crate) fn with<R>(
        &self,
        key: Key,
        terms: &E::Terms,
        now: impl FnOnce() -> u64,
        make: impl FnOnce(u64) -> E,
        work: impl FnOnce(&mut E, u64) -> R,
    ) -> Result<R, Full> {
        let mut shard = self.shard(key).ok_or(Full)?;
        let now = shard.now(now());
        if let Some(entry) = shard.entries.get_mut(&key.0) {
            return Ok(work(entry, now));
        }
        shard.make_room(self.keys_max, terms, now)?;
        let mut entry = make(now);
        let result = work(&mut entry, now);
        shard.entries.insert(key.0, entry);
        Ok(result)
    }

    /// Works on what is kept for `key` as of now, if there is anything; `Full` where there is nothing
    /// because there is no room for it, so that nobody is counted less for want of a place.
    pub(crate) fn look<R>(
        &self,
        key: Key,
        terms: &E::Terms,
        now: impl FnOnce() -> u64,
        work: impl FnOnce(&mut E, u64) -> R,
    ) -> Result<Option<R>, Full> {
        let mut shard = self.shard(key).ok_or(Full)?;
        let now = shard.now(now());
        if let Some(entry) = shard.entries.get_mut(&key.0) {
            return Ok(Some(work(entry, now)));
        }
        if shard.entries.len() >= self.keys_max {
            shard.make_room(self.keys_max, terms, now)?;
        }
        Ok(None)
    }

    /// Works on what is kept for `key`, if there is anything.
    pub(crate) fn visit(&self, key: Key, work: impl FnOnce(&mut E)) {
        if let Some(entry) = self.shard(key).as_mut().and_then(|s| s.entries.get_mut(&key.0)) {
            work(entry);
        }
    }

    /// Works on what is kept for `key`, if there is anything, and forgets it where `is_over` says
    /// that it is over.
    pub(crate) fn release(&self, key: Key, is_over: impl FnOnce(&mut E) -> bool) {
        let Some(mut shard) = self.shard(key) else { return };
        if shard.entries.get_mut(&key.0).is_some_and(is_over) {
            shard.entries.remove(&key.0);
        }
    }

    /// Whether nothing is kept for any key.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = |shard: &Mutex<Shard<E>>| shard.lock().unwrap().entries.is_empty();
        self.shards.iter().all(is_empty)
    }

    /// There is always one: the remainder is less than their number.
    fn shard(&self, key: Key) -> Option<MutexGuard<'_, Shard<E>>> {
        let index = usize::try_from(key.0 % SHARDS as u128).ok()?;
        Some(self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<E: Entry> Shard<E> {
    /// A time that never runs back: where the system's clock is set back, no time has passed.
    /// Otherwise keys would stay locked until the clock came round again.
    fn now(&mut self, clock: u64) -> u64 {
        let now = clock.saturating_add(self.skew);
        if now < self.latest {
            self.skew = self.skew.saturating_add(self.latest - now);
            return self.latest;
        }
        self.latest = now;
        now
    }

    /// Dead keys make room; live ones never do, or a flood of new keys would be an amnesty.
    fn make_room(&mut self, keys_max: usize, terms: &E::Terms, now: u64) -> Result<(), Full> {
        let len = self.entries.len();
        let is_full = len >= keys_max;
        if len >= self.sweep_at || (is_full && now >= self.swept.saturating_add(SWEEP_PAUSE)) {
            self.entries.retain(|_, entry| entry.expires(terms) > now);
            self.swept = now;
            let next = self.entries.len().saturating_mul(2).max(SWEEP_KEYS_MIN);
            self.sweep_at = if next > keys_max { usize::MAX } else { next };
        }
        if self.entries.len() >= keys_max { Err(Full) } else { Ok(()) }
    }
}
