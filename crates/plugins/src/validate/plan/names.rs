//! Finding a name among those of a schema.

use super::scan::{hash, is_same};

/// Slots for each name: enough that most are alone.
const SLOTS_PER_NAME: usize = 4;
/// Most names.
const NAMES_MAX: usize = u16::MAX as usize;

/// Distinct names, and where each stands in a list.
///
/// PERF: `cargo xtask bench plugins` (`request-validation`): the hash of a name is in its token
/// already, which a map of the standard library would compute again for each schema.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// All of them, one after the other.
    text: Box<[u8]>,
    slots: Box<[Slot]>,
}

/// A name, at a place that its hash tells or after it.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// Where it stands in the text.
    start: u32,
    end: u32,
    /// One more than its index; 0 where there is none.
    number: u16,
}

impl Names {
    /// A table of distinct names; `None` where they are too many.
    pub(super) fn new(names: &[&str]) -> Option<Self> {
        if names.is_empty() {
            return Some(Self::default());
        }
        if names.len() > NAMES_MAX {
            return None;
        }
        let count = (names.len() * SLOTS_PER_NAME).next_power_of_two();
        let (mut text, mut slots) = (Vec::new(), vec![Slot::default(); count]);
        for (number, name) in (1..=u16::MAX).zip(names) {
            let start = u32::try_from(text.len()).ok()?;
            text.extend_from_slice(name.as_bytes());
            let end = u32::try_from(text.len()).ok()?;
            let hash = hash(name.as_bytes());
            let mut at = hash as usize & (slots.len() - 1);
            while slots.get(at).is_some_and(|slot| slot.number != 0) {
                at = (at + 1) & (slots.len() - 1);
            }
            *slots.get_mut(at)? = Slot { hash, start, end, number };
        }
        Some(Self { text: text.into(), slots: slots.into() })
    }

    /// Which of the names this is. Most slots are empty, so the search ends.
    pub(super) fn find(&self, hash: u32, name: &[u8]) -> Option<usize> {
        let last = self.slots.len().checked_sub(1)?;
        let mut at = hash as usize & last;
        loop {
            let slot = self.slots.get(at)?;
            let index = usize::from(slot.number).checked_sub(1)?;
            if slot.hash == hash {
                let own = self.text.get(slot.start as usize..slot.end as usize)?;
                if is_same(own, name) {
                    return Some(index);
                }
            }
            at = (at + 1) & last;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_found_where_it_stands_and_no_other_is(
            names in proptest::collection::btree_set("[a-c]{0,12}|[a-z_]{1,20}", 0..40),
            others in proptest::collection::btree_set("[a-c]{0,12}", 0..10),
        ) {
            let list: Vec<&str> = names.iter().map(String::as_str).collect();
            let table = Names::new(&list).unwrap();
            for (index, name) in list.iter().enumerate() {
                prop_assert_eq!(table.find(hash(name.as_bytes()), name.as_bytes()), Some(index));
            }
            for other in others.difference(&names).collect::<BTreeSet<_>>() {
                prop_assert_eq!(table.find(hash(other.as_bytes()), other.as_bytes()), None);
            }
        }
    }

    #[test]
    fn each_of_a_thousand_names_is_found() {
        let names: Vec<String> = (0..1_000).map(|n| format!("field_{n}")).collect();
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        let table = Names::new(&list).unwrap();
        let found = list.iter().map(|name| table.find(hash(name.as_bytes()), name.as_bytes()));
        assert!(found.eq((0..1_000).map(Some)));
    }

    #[test]
    fn as_many_names_are_found_as_an_index_tells_apart() {
        let names: Vec<String> = (0..=NAMES_MAX).map(|n| format!("f{n}")).collect();
        let list: Vec<&str> = names.iter().map(String::as_str).collect();
        for count in [NAMES_MAX - 1, NAMES_MAX] {
            let table = Names::new(&list[..count]).unwrap();
            let find = |name: &str| table.find(hash(name.as_bytes()), name.as_bytes());
            assert_eq!(find("f0"), Some(0));
            assert_eq!(find(list[count - 1]), Some(count - 1));
            assert_eq!(find(list[NAMES_MAX]), None);
        }
        assert!(Names::new(&list).is_none());
    }
}
