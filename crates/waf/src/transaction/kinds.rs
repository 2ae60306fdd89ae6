//! What the sieve says of kinds of bytes, kept from one exchange to the next.

use std::sync::{Arc, Weak};

use crate::byte_mask::ByteMask;
use crate::rules::{Pick, RuleSet};
use crate::sieve::{Sheet, Tier};

/// How many masks with sheets are kept: requests have few, since what clients send is mostly of the
/// same kinds.
const KEPT: usize = 512;
/// How many views of a sheet are joined; those behind are looked at one by one.
const JOINED_MAX: usize = 64;

/// For masks and sheets, the rules that are not ruled out; a newer entry takes the place of an older.
///
/// PERF: asking every view of a sheet costs more than searching a short value (`bench waf`).
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// What they were made for; weak, so that rules that are replaced go.
    rules: Weak<RuleSet>,
    keys: Vec<Option<(ByteMask, u32)>>,
    bits: Vec<u64>,
    /// How many words an entry takes.
    words: usize,
}

impl Kinds {
    /// Makes it ready for a rule set.
    pub(super) fn prepare(&mut self, rules: &Arc<RuleSet>) {
        if self.rules.as_ptr() == Arc::as_ptr(rules) {
            return;
        }
        self.rules = Arc::downgrade(rules);
        let most = rules.sieve.tiers.iter().map(|tier| tier.words.len()).max().unwrap_or(0);
        self.words = most + 1;
        self.keys.clear();
        self.keys.resize(KEPT, None);
        self.bits.clear();
        self.bits.resize(KEPT * self.words, 0);
    }

    /// How many bytes it keeps.
    pub(super) fn kept(&self) -> usize {
        self.bits.capacity() * size_of::<u64>()
            + self.keys.capacity() * size_of::<Option<(ByteMask, u32)>>()
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
        let place = mask.spread(sheet.number, self.keys.len());
        let start = place * self.words;
        let entry = self.bits.get_mut(start..start + self.words).unwrap_or_default();
        let Some((rest, bits)) = entry.split_first_mut() else { return u64::MAX };
        let bits = bits.get_mut(..tier.words.len()).unwrap_or_default();
        let key = Some((mask, sheet.number));
        if let Some(known) = self.keys.get_mut(place).filter(|known| **known != key) {
            *known = key;
            *rest = 0;
            bits.fill(0);
            for (number, view) in sheet.views.iter().take(JOINED_MAX).enumerate() {
                if view.pick == Pick::All && rules.sieve.is_same(view.pipeline, mask) {
                    bits.iter_mut().zip(&view.bits).for_each(|(bits, more)| *bits |= more);
                } else {
                    *rest |= 1 << number;
                }
            }
            rules.sieve.retain(mask, tier, bits);
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
