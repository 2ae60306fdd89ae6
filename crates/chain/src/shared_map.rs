//! A map whose copies share whatever did not change.
//!
//! Entries lie behind one pointer each, these in shards of at most a hundred or so, and shards behind
//! one pointer each. A copy costs the pointers to shards, a change of a copy the pointers of one shard
//! and one entry: what a change of the configuration needs, of which a hundred thousand entries stay
//! as they are. The room that a table sets aside for more is room for pointers.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Entries of a shard, on average, above which there are more shards.
const SHARD: usize = 64;

/// The part of a hash that chooses the shard: tables use the lowest and the highest bits.
const SHIFT: u32 = 20;

type Shard<K, V> = Arc<HashTable<Arc<(K, V)>>>;

/// A map that is copied at little cost.
#[derive(Clone)]
pub struct SharedMap<K, V> {
    hasher: RandomState,
    /// None, or a power of two.
    shards: Vec<Shard<K, V>>,
    len: usize,
}

impl<K, V> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self { hasher: RandomState::default(), shards: Vec::new(), len: 0 }
    }
}

impl<K, V> SharedMap<K, V> {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.len
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All entries, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|entry| (&entry.0, &entry.1))
    }

    /// Some entry, which one `seed` decides: the same as long as nothing changes.
    pub fn some(&self, seed: u64) -> Option<(&K, &V)> {
        let count = u64::try_from(self.shards.len()).ok()?;
        let (rest, first) = (seed.checked_div(count)?, seed.checked_rem(count)?);
        let first = usize::try_from(first).ok()?;
        let (before, from) = self.shards.split_at_checked(first)?;
        let shard = from.iter().chain(before).find(|shard| !shard.is_empty())?;
        let within = rest.checked_rem(u64::try_from(shard.len()).ok()?)?;
        shard.iter().nth(usize::try_from(within).ok()?).map(|entry| (&entry.0, &entry.1))
    }

    /// Bytes of its tables, and the entries of the fullest one.
    #[cfg(test)]
    pub(crate) fn extent(&self) -> (usize, usize) {
        let tables: usize = self.shards.iter().map(|shard| shard.allocation_size()).sum();
        // A table and what counts its owners, behind the pointer to it.
        let each = size_of::<Shard<K, V>>() + size_of::<HashTable<Arc<(K, V)>>>() + 16;
        let fullest = self.shards.iter().map(|shard| shard.len()).max().unwrap_or_default();
        (tables + self.shards.capacity() * each, fullest)
    }

    fn shard_of(&self, hash: u64) -> usize {
        // As many as there are shards at most, which is an index.
        usize::try_from(hash >> SHIFT).unwrap_or_default() & self.shards.len().wrapping_sub(1)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> SharedMap<K, V> {
    /// The value of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        if self.len == 0 {
            return None;
        }
        let hash = self.hasher.hash_one(key);
        let shard = self.shards.get(self.shard_of(hash))?;
        shard.find(hash, |entry| entry.0.borrow() == key).map(|entry| &entry.1)
    }

    /// Sets the value of a key; gives the one before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.len >= self.shards.len() * SHARD {
            self.grow();
        }
        let hash = self.hasher.hash_one(&key);
        let at = self.shard_of(hash);
        let shard = Arc::make_mut(self.shards.get_mut(at)?);
        if let Some(known) = shard.find_mut(hash, |entry| entry.0 == key) {
            return Some(std::mem::replace(&mut Arc::make_mut(known).1, value));
        }
        let hasher = &self.hasher;
        shard.insert_unique(hash, Arc::new((key, value)), |entry| hasher.hash_one(&entry.0));
        self.len += 1;
        None
    }

    /// The value of a key, to be changed in place; made by `make` where there is none.
    pub fn entry<Q: Hash + Eq + ?Sized>(
        &mut self,
        key: &Q,
        make: impl FnOnce() -> V,
    ) -> Option<&mut V>
    where
        K: Borrow<Q> + for<'q> From<&'q Q>,
    {
        if self.get(key).is_none() {
            self.insert(K::from(key), make());
        }
        self.get_mut(key)
    }

    /// The value of a key, to be changed in place.
    pub fn get_mut<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        // Looked up first, so that asking for what is not there copies nothing.
        self.get(key)?;
        let hash = self.hasher.hash_one(key);
        let at = self.shard_of(hash);
        let shard = Arc::make_mut(self.shards.get_mut(at)?);
        let entry = shard.find_mut(hash, |entry| entry.0.borrow() == key)?;
        Some(&mut Arc::make_mut(entry).1)
    }

    /// Takes an entry out.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.get(key)?;
        let hash = self.hasher.hash_one(key);
        let at = self.shard_of(hash);
        let shard = Arc::make_mut(self.shards.get_mut(at)?);
        let found = shard.find_entry(hash, |entry| entry.0.borrow() == key).ok()?;
        self.len = self.len.saturating_sub(1);
        Some(Arc::unwrap_or_clone(found.remove().0).1)
    }

    /// What an entry can be taken out by, in this map and in its copies, instead of its key.
    pub(crate) fn mark<Q: Hash + ?Sized>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
    {
        self.hasher.hash_one(key)
    }

    /// Takes an entry out by its mark: another key may have the same one, so that `is_meant` decides.
    pub(crate) fn remove_marked(&mut self, mark: u64, is_meant: impl Fn(&V) -> bool) -> Option<V> {
        let at = self.shard_of(mark);
        let hasher = &self.hasher;
        // A table compares seven bits of the mark alone. An entry with another one may not go in its
        // place: by its own mark, the one that stayed would not surely be found.
        let is_it = |entry: &Arc<(K, V)>| hasher.hash_one(&entry.0) == mark && is_meant(&entry.1);
        // Looked up first, so that taking out what is not there copies nothing.
        self.shards.get(at)?.find(mark, is_it)?;
        let shard = Arc::make_mut(self.shards.get_mut(at)?);
        let found = shard.find_entry(mark, is_it).ok()?;
        self.len = self.len.saturating_sub(1);
        Some(Arc::unwrap_or_clone(found.remove().0).1)
    }

    /// Twice as many shards.
    fn grow(&mut self) {
        let count = (self.shards.len() * 2).max(1);
        let before = std::mem::take(&mut self.shards);
        self.shards = (0..count).map(|_| Arc::default()).collect();
        for shard in before {
            // Of a shard that nobody else has, nothing needs to be copied.
            for entry in Arc::unwrap_or_clone(shard) {
                let hash = self.hasher.hash_one(&entry.0);
                let at = self.shard_of(hash);
                let Some(shard) = self.shards.get_mut(at).map(Arc::make_mut) else { continue };
                let hasher = &self.hasher;
                shard.insert_unique(hash, entry, |entry| hasher.hash_one(&entry.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_map_and_its_copies_agree_with_a_naive_one(
            changes in prop::collection::vec((0_u16..400, any::<Option<u8>>()), 0..600),
            copied_at in 0_usize..600,
            seed: u64,
        ) {
            let (mut map, mut naive) = (SharedMap::default(), HashMap::new());
            let mut copies = None;
            for (at, (key, value)) in changes.into_iter().enumerate() {
                if at == copied_at {
                    copies = Some((map.clone(), naive.clone()));
                }
                let (was, is) = match value {
                    Some(value) => (map.insert(key, value), naive.insert(key, value)),
                    None => (map.remove(&key), naive.remove(&key)),
                };
                prop_assert_eq!(was, is);
                if let Some(value) = map.get_mut(&(key / 2)) {
                    *value = value.wrapping_add(1);
                    naive.entry(key / 2).and_modify(|value| *value = value.wrapping_add(1));
                }
            }
            for (map, naive) in copies.into_iter().chain([(map, naive)]) {
                prop_assert_eq!(map.len(), naive.len());
                let listed: HashMap<u16, u8> = map.iter().map(|(k, v)| (*k, *v)).collect();
                prop_assert_eq!(&listed, &naive);
                for key in 0..400 {
                    prop_assert_eq!(map.get(&key), naive.get(&key));
                }
                prop_assert_eq!(map.some(seed).is_some(), !naive.is_empty());
                prop_assert_eq!(map.some(seed), map.some(seed));
            }
        }
    }

    fn filled(count: usize) -> SharedMap<usize, usize> {
        let mut map = SharedMap::default();
        for key in 0..count {
            map.insert(key, key);
        }
        map
    }

    #[test]
    fn any_entry_can_be_some_entry() {
        for count in [10, 1_000] {
            let map = filled(count);
            let met: std::collections::HashSet<usize> =
                (0..100_000).filter_map(|seed| map.some(seed)).map(|(key, _)| *key).collect();
            assert_eq!(met.len(), count);
        }
    }

    #[test]
    fn entries_spread_over_shards_of_a_hundred_or_so() {
        for count in [1, SHARD, SHARD + 1, 10_000] {
            let map = filled(count);
            let most = map.shards.iter().map(|shard| shard.len()).max().unwrap();
            assert!(most < 4 * SHARD, "{count}: {most}");
            assert_eq!(map.shards.len(), count.div_ceil(SHARD).next_power_of_two(), "{count}");
        }
    }

    /// How many shards are not the same in both.
    fn apart(one: &SharedMap<usize, usize>, other: &SharedMap<usize, usize>) -> usize {
        assert_eq!(one.shards.len(), other.shards.len());
        let pairs = one.shards.iter().zip(&other.shards);
        pairs.filter(|(one, other)| !Arc::ptr_eq(one, other)).count()
    }

    type Work = fn(&mut SharedMap<usize, usize>);

    #[test]
    fn a_change_of_a_copy_copies_one_shard_and_what_is_none_copies_nothing() {
        let map = filled(10_000);
        let works: [(Work, usize); 9] = [
            (|copy| _ = copy.insert(7, 0), 1),
            (|copy| _ = copy.insert(10_000, 0), 1),
            (|copy| _ = copy.remove(&7), 1),
            (|copy| *copy.get_mut(&7).unwrap() = 0, 1),
            (|copy| _ = copy.remove(&10_000), 0),
            (|copy| assert_eq!(copy.remove_marked(copy.mark(&7), |n| *n == 7), Some(7)), 1),
            (|copy| assert_eq!(copy.remove_marked(copy.mark(&7), |n| *n == 8), None), 0),
            (|copy| assert_eq!(copy.get_mut(&10_000), None), 0),
            (|copy| assert_eq!(copy.some(7), copy.some(7)), 0),
        ];
        for (at, (work, changed)) in works.into_iter().enumerate() {
            let mut copy = map.clone();
            work(&mut copy);
            assert_eq!(apart(&map, &copy), changed, "{at}");
            assert_eq!((map.len(), map.get(&7)), (10_000, Some(&7)), "{at}");
        }
    }

    #[test]
    fn by_its_mark_goes_the_entry_itself_whatever_else_its_owner_has() {
        let mut map = filled(10_000);
        for key in (0..10_000).rev() {
            assert_eq!(map.remove_marked(map.mark(&key), |_| true), Some(key));
            assert_eq!((map.get(&key), map.len()), (None, key));
        }
    }

    #[test]
    fn of_entries_with_the_same_mark_the_one_goes_that_is_meant() {
        #[derive(Clone, PartialEq, Eq)]
        struct Alike(u8);
        impl Hash for Alike {
            fn hash<H: std::hash::Hasher>(&self, _: &mut H) {}
        }
        let mut map = SharedMap::default();
        for key in 0..3 {
            map.insert(Alike(key), key);
        }
        assert_eq!(map.remove_marked(map.mark(&Alike(9)), |value| *value == 1), Some(1));
        assert_eq!(map.remove_marked(map.mark(&Alike(9)), |value| *value == 1), None);
        let left: Vec<u8> = (0..3).filter(|key| map.get(&Alike(*key)).is_some()).collect();
        assert_eq!((left, map.len()), (vec![0, 2], 2));
    }

    #[test]
    fn an_entry_is_made_once_and_changed_in_place_from_then_on() {
        let mut map: SharedMap<Box<str>, usize> = SharedMap::default();
        for made in [1, 2] {
            *map.entry("one", || made).unwrap() += 10;
        }
        assert_eq!((map.len(), map.get("one")), (1, Some(&21)));
    }
}
