//! The `TX` collection.

use crate::operators::leading_number;
use crate::rules::SlotId;

/// The most members whose names only come up while a request is judged.
const NAMED_MAX: usize = 1_000;
/// The longest value, in bytes.
const VALUE_MAX: usize = 64 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Absent,
    Number,
    Text,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    kind: Kind,
    number: i64,
    /// Kept for the next value of the slot, so that it need not be allocated again.
    text: Vec<u8>,
    /// What rules set does not change it.
    is_pinned: bool,
}

/// The members of `TX`, but for what operators found.
#[derive(Debug, Default)]
pub(super) struct Tx {
    slots: Vec<Slot>,
    named: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Tx {
    pub(super) fn clear(&mut self, count: usize) {
        self.slots.resize_with(count, Slot::default);
        self.forget();
    }

    /// Forgets all members; what slots have allocated is kept.
    pub(super) fn forget(&mut self) {
        for slot in &mut self.slots {
            slot.kind = Kind::Absent;
            slot.is_pinned = false;
        }
        self.named.clear();
    }

    /// How many bytes are kept for the next exchange.
    pub(super) fn kept(&self) -> usize {
        self.slots.iter().map(|slot| size_of::<Slot>() + slot.text.capacity()).sum::<usize>()
            + self.named.capacity() * size_of::<(Vec<u8>, Vec<u8>)>()
    }

    pub(super) fn has(&self, slot: SlotId) -> bool {
        self.slots.get(slot.0 as usize).is_some_and(|slot| slot.kind != Kind::Absent)
    }

    /// The number that a member stands for: texts by the number they begin with.
    pub(super) fn number(&self, slot: SlotId) -> Option<i64> {
        let slot = self.slots.get(slot.0 as usize)?;
        match slot.kind {
            Kind::Absent => None,
            Kind::Number => Some(slot.number),
            Kind::Text => Some(leading_number(&slot.text)),
        }
    }

    /// The number of a member, where it is one.
    pub(super) fn exact_number(&self, slot: SlotId) -> Option<i64> {
        let slot = self.slots.get(slot.0 as usize)?;
        (slot.kind == Kind::Number).then_some(slot.number)
    }

    /// Appends the value of a member.
    pub(super) fn write(&self, slot: SlotId, out: &mut Vec<u8>) {
        let Some(slot) = self.slots.get(slot.0 as usize) else { return };
        match slot.kind {
            Kind::Absent => {}
            Kind::Number => write_number(slot.number, out),
            Kind::Text => out.extend_from_slice(&slot.text),
        }
    }

    fn slot(&mut self, slot: SlotId) -> Option<&mut Slot> {
        self.slots.get_mut(slot.0 as usize).filter(|slot| !slot.is_pinned)
    }

    pub(super) fn set_number(&mut self, slot: SlotId, number: i64) {
        if let Some(slot) = self.slot(slot) {
            (slot.kind, slot.number) = (Kind::Number, number);
        }
    }

    /// Sets a member. False if the text is too long.
    #[must_use]
    pub(super) fn set_text(&mut self, slot: SlotId, text: &[u8]) -> bool {
        if text.len() > VALUE_MAX {
            return false;
        }
        if let Some(slot) = self.slot(slot) {
            slot.kind = Kind::Text;
            slot.text.clear();
            slot.text.extend_from_slice(text);
        }
        true
    }

    pub(super) fn add(&mut self, slot: SlotId, number: i64) {
        let sum = self.number(slot).unwrap_or(0).saturating_add(number);
        self.set_number(slot, sum);
    }

    pub(super) fn unset(&mut self, slot: SlotId) {
        if let Some(slot) = self.slot(slot) {
            slot.kind = Kind::Absent;
        }
    }

    /// Sets a member and keeps rules from changing it.
    pub(super) fn pin(&mut self, slot: SlotId, number: i64) {
        self.set_number(slot, number);
        if let Some(slot) = self.slots.get_mut(slot.0 as usize) {
            slot.is_pinned = true;
        }
    }

    /// The value of a member that has no number.
    pub(super) fn named(&self, name: &[u8]) -> Option<&[u8]> {
        self.named.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// Sets a member that has no number. False if there are too many, or the text is too long.
    #[must_use]
    pub(super) fn set_named(&mut self, name: &[u8], value: &[u8]) -> bool {
        if name.len().max(value.len()) > VALUE_MAX {
            return false;
        }
        if let Some((_, old)) = self.named.iter_mut().find(|(other, _)| other == name) {
            value.clone_into(old);
            return true;
        }
        if self.named.len() == NAMED_MAX {
            return false;
        }
        self.named.push((name.to_vec(), value.to_vec()));
        true
    }

    pub(super) fn unset_named(&mut self, name: &[u8]) {
        self.named.retain(|(other, _)| other != name);
    }

    /// The numbers of the members that are there.
    pub(super) fn present(&self) -> impl Iterator<Item = SlotId> + '_ {
        let slots = (0..).zip(&self.slots);
        slots.filter(|(_, slot)| slot.kind != Kind::Absent).map(|(number, _)| SlotId(number))
    }

    /// The members that have no number.
    pub(super) fn all_named(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.named
    }
}

/// Appends a number as text.
pub(super) fn write_number(number: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}
