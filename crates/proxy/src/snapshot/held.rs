//! Tables of what others hold.

use std::borrow::Borrow;
use std::hash::Hash;
use std::sync::{Arc, Weak};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// The least number of entries at which a table looks for what is gone.
const LEAST: usize = 64;

/// A table of what is held elsewhere. It never has more than twice as many entries as were held
/// when it last looked for what is gone, which costs an insertion a few steps on average.
pub(super) struct Held<K, V> {
    entries: HashMap<K, Weak<V>, RandomState>,
    /// The number of entries at which it looks again.
    full: usize,
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::default(), full: LEAST }
    }
}

impl<K: Hash + Eq, V> Held<K, V> {
    /// What is under a key, where somebody holds it still.
    pub(super) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<Arc<V>>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key)?.upgrade()
    }

    /// Sets what is under a key for as long as somebody holds it.
    pub(super) fn insert(&mut self, key: K, value: &Arc<V>) {
        if self.entries.len() >= self.full {
            self.entries.retain(|_, value| value.strong_count() > 0);
            self.full = self.entries.len().saturating_mul(2).max(LEAST);
        }
        self.entries.insert(key, Arc::downgrade(value));
    }

    /// Forgets what a key says should be.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&K) -> bool) {
        self.entries.retain(|key, _| is_kept(key));
    }

    /// The number of entries, those that are gone included.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_not_there_and_what_somebody_holds_is() {
        let mut table = Held::default();
        let one = Arc::new(1);
        table.insert("one", &one);
        table.insert("two", &Arc::new(2));
        assert_eq!((table.get("one"), table.get("two")), (Some(one), None));
    }

    #[test]
    fn a_table_holds_twice_as_much_as_is_held_and_no_more() {
        let mut table = Held::default();
        let held: Vec<Arc<usize>> = (0..100).map(Arc::new).collect();
        for value in &held {
            table.insert(**value, value);
        }
        for key in 100..10_000 {
            table.insert(key, &Arc::new(key));
            assert!(table.len() <= 200, "{key}");
        }
        assert!(held.iter().all(|value| table.get(&**value).is_some()));
    }

    #[test]
    fn a_table_of_little_looks_for_what_is_gone_at_64_entries() {
        let mut table = Held::default();
        for (key, len) in [(62, 63), (63, 64), (64, 1)] {
            while table.len() < key {
                table.insert(table.len(), &Arc::new(()));
            }
            table.insert(key, &Arc::new(()));
            assert_eq!(table.len(), len);
        }
    }
}
