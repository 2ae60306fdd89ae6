//! Numbers for the names of the `TX` collection that a rule set knows.

use std::collections::HashMap;

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId(pub(crate) u32);

/// The names of `TX` members that stand in the rules, each with its number. Names that only come up
/// while a request is judged have none.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    names: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, SlotId>,
}

impl Slots {
    /// The number of a name, which is given one if it has none yet.
    pub(crate) fn number(&mut self, name: &[u8]) -> SlotId {
        let name = name.to_ascii_lowercase().into_boxed_slice();
        if let Some(slot) = self.numbers.get(&name) {
            return *slot;
        }
        let slot = SlotId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.clone());
        self.numbers.insert(name, slot);
        slot
    }

    /// The number of a name in lower case, if it stands in the rules.
    pub(crate) fn find(&self, name: &[u8]) -> Option<SlotId> {
        self.numbers.get(name).copied()
    }

    /// The name of a number.
    pub(crate) fn name(&self, slot: SlotId) -> &[u8] {
        self.names.get(slot.0 as usize).map_or(&[], |name| name)
    }

    /// The numbers of the names that `is_meant` picks.
    pub(crate) fn pick(&self, is_meant: impl Fn(&[u8]) -> bool) -> Box<[SlotId]> {
        let names = (0..).map(SlotId).zip(&self.names);
        names.filter(|(_, name)| is_meant(name)).map(|(slot, _)| slot).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}
