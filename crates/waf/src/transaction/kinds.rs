//! What the sieve says of kinds of bytes, kept from one exchange to the next.

use std::sync::{Arc, Weak};

use crate::byte_mask::ByteMask;
use crate::rules::{Pick, RuleSet};
use crate::sieve::{Sheet, Tier};

/// How many masks, and masks with sheets, are kept: requests have few, since what clients send is
/// mostly of the same kinds.
const KEPT: [usize; 2] = [128, 512];
/// How many views of a sheet are joined; those behind are looked at one by one.
const JOINED_MAX: usize = 64;

/// For masks, the rules that they do not rule out.
///
/// PERF: asking every mask that rules need costs more than searching a short value (`bench waf`).
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// What they were made for; weak, so that rules that are replaced go.
    rules: Weak<RuleSet>,
    masks: Table,
    sheets: Table,
}

/// A table in which a newer entry takes the place of an older one.
#[derive(Debug, Default)]
struct Table {
    keys: Vec<Option<(ByteMask, u32)>>,
    bits: Vec<u64>,
    /// How many words an entry takes.
    words: usize,
}

impl Table {
    fn prepare(&mut self, kept: usize, words: usize) {
        self.words = words;
        self.keys.clear();
        self.keys.resize(kept, None);
        self.bits.clear();
        self.bits.resize(kept * words, 0);
    }

    /// The bits of an entry, and whether they have yet to be found out.
    fn entry(&mut self, mask: ByteMask, number: u32) -> (&mut [u64], bool) {
        let place = mask.spread(number, self.keys.len());
        let key = Some((mask, number));
        let is_new = self.keys.get(place) != Some(&key);
        if let Some(known) = self.keys.get_mut(place) {
            *known = key;
        }
        let start = place * self.words;
        (self.bits.get_mut(start..start + self.words).unwrap_or_default(), is_new)
    }
}

impl Kinds {
    /// Makes it ready for a rule set.
    pub(super) fn prepare(&mut self, rules: &Arc<RuleSet>) {
        if self.rules.as_ptr() == Arc::as_ptr(rules) {
            return;
        }
        self.rules = Arc::downgrade(rules);
        let most = rules.sieve.tiers.iter().map(|tier| tier.words.len()).max().unwrap_or(0);
        let [masks, sheets] = KEPT;
        self.masks.prepare(masks, rules.sieve.words());
        self.sheets.prepare(sheets, most + 1);
    }

    /// How many bytes it keeps.
    pub(super) fn kept(&self) -> usize {
        [&self.masks, &self.sheets].iter().map(|table| table.bits.capacity() * 8 * 2).sum()
    }

    /// The rules that a mask does not rule out.
    pub(super) fn rules(&mut self, mask: ByteMask, rules: &RuleSet) -> &[u64] {
        let (bits, is_new) = self.masks.entry(mask, 0);
        if is_new {
            rules.sieve.feasible(mask, bits);
        }
        bits
    }

    /// Writes the bits of the rules that look at a value as it stands and that it does not rule out;
    /// gives the views of the sheet that see it otherwise, or not all members.
    pub(super) fn open(
        &mut self,
        mask: ByteMask,
        rules: &RuleSet,
        (tier, sheet): (&Tier, &Sheet),
        out: &mut Vec<u64>,
    ) -> u64 {
        let (bits, is_new) = self.sheets.entry(mask, sheet.number);
        let Some((rest, bits)) = bits.split_first_mut() else { return u64::MAX };
        let bits = bits.get_mut(..tier.words.len()).unwrap_or_default();
        if is_new {
            *rest = 0;
            bits.fill(0);
            for (number, view) in sheet.views.iter().take(JOINED_MAX).enumerate() {
                if view.pick == Pick::All && rules.sieve.is_same(view.pipeline, mask) {
                    bits.iter_mut().zip(&view.bits).for_each(|(bits, more)| *bits |= more);
                } else {
                    *rest |= 1 << number;
                }
            }
            let (feasible, is_new) = self.masks.entry(mask, 0);
            if is_new {
                rules.sieve.feasible(mask, feasible);
            }
            let feasible = feasible.get(tier.words.clone()).unwrap_or_default();
            bits.iter_mut().zip(feasible).for_each(|(bits, feasible)| *bits &= feasible);
        }
        out.clear();
        out.extend_from_slice(bits);
        *rest
    }
}

/// The views of a sheet whose bits are set, and those that have none.
pub(super) fn views(sheet: &Sheet, mut rest: u64) -> impl Iterator<Item = &crate::sieve::View> {
    let joined = std::iter::from_fn(move || {
        let number = rest.trailing_zeros();
        rest &= rest.checked_sub(1)?;
        sheet.views.get(number as usize)
    });
    joined.chain(sheet.views.iter().skip(JOINED_MAX))
}
