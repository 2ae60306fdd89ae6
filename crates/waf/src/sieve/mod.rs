//! The sieve: which rules can match a value at all.
//!
//! Most values fit no rule, and one pass over a value tells so for all rules together: every
//! operator says what must stand in a value for it to hold ([`Needs`](crate::operators::Needs)), one
//! automaton finds all of these literals, and what is left is a set of bits, one for each rule.
//!
//! Rules are screened by *tier*: those of one phase that stand behind the same condition, such as a
//! paranoia level, so that nothing is asked for rules that are skipped. A tier knows for each variable
//! which transformations its rules want; most of them change nothing in a value, which the kinds of
//! its bytes tell. A rule whose bit no value has costs the test of one bit.
//!
//! It may let too much through, never too little: what it lets through is judged by the operator.

mod build;
mod literals;
mod tiers;

use std::ops::Range;

use crate::byte_mask::ByteMask;
use crate::rules::Pick;
use crate::transformations::Transformation;
use crate::variable::Variable;
use literals::Literals;

/// Where the sieve tells of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sieved {
    /// Its tier.
    pub(crate) tier: u16,
    /// Its group.
    pub(crate) group: u16,
    /// Its bit.
    pub(crate) bit: u16,
}

/// Things that rules look at in the same way.
#[derive(Debug, PartialEq)]
pub(crate) struct Group {
    pub(crate) targets: Box<[(Variable, Pick)]>,
    pub(crate) pipeline: Box<[Transformation]>,
    pub(crate) is_multi: bool,
    /// Whether they leave out what is known to be harmless, see [`Link::skips`](crate::rules::Link).
    pub(crate) skips_proven: bool,
}

/// Rules of one phase that are reached together.
#[derive(Debug, Default)]
pub(crate) struct Tier {
    /// The words that hold its bits.
    pub(crate) words: Range<usize>,
    /// The variables that they look at.
    pub(crate) sheets: Box<[Sheet]>,
}

/// How the rules of a tier look at the members of a variable.
#[derive(Debug)]
pub(crate) struct Sheet {
    /// Its number in the whole sieve.
    pub(crate) number: u32,
    /// The variable, which joins no others.
    pub(crate) variable: Variable,
    /// Whether any of the rules looks at what is known to be harmless.
    pub(crate) sees_proven: bool,
    pub(crate) views: Box<[View]>,
}

/// Members of a variable, transformed.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) pick: Pick,
    /// The number of the pipeline.
    pub(crate) pipeline: u16,
    pub(crate) is_multi: bool,
    /// The rules that look at them so, in the words of the tier.
    pub(crate) bits: Box<[u64]>,
}

/// Transformations, one after another.
#[derive(Debug, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) steps: Box<[Transformation]>,
    /// Without a byte of these it changes nothing; none where that cannot be told.
    triggers: Option<ByteMask>,
}

/// Bits by the word that they are in.
pub(crate) type WordBits = Box<[(u16, u64)]>;

/// The sieve of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    pub(crate) groups: Box<[Group]>,
    pub(crate) tiers: Box<[Tier]>,
    pub(crate) pipelines: Box<[Pipeline]>,
    /// What the rules of requests and those of responses look for.
    sides: [Literals; 2],
    /// How many words of 64 bits a set of rules takes.
    words: usize,
    /// The bits of the rules that need no literal.
    base: Box<[u64]>,
    /// For each bit, the masks that its rule needs.
    masks: Box<[Box<[ByteMask]>]>,
    /// For each length up to a bound, the bits of the rules that it is enough for.
    lengths: Box<[Box<[u64]>]>,
}

/// The longest length that the sieve tells from longer ones.
const LENGTH_MAX: usize = 48;

impl Sieve {
    /// How many words a set of bits takes.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// What the rules look for whose bits begin in a word, and the words of all these rules.
    pub(crate) fn side(&self, tier: &Tier) -> (usize, &Literals) {
        let [request, response] = &self.sides;
        if request.words.contains(&tier.words.start) { (0, request) } else { (1, response) }
    }

    /// True if bytes of these kinds do not rule out the rule that has a bit.
    pub(crate) fn allows(&self, mask: ByteMask, bit: u16) -> bool {
        let needed = self.masks.get(usize::from(bit)).map_or(&[][..], |masks| masks);
        needed.iter().all(|needed| mask.meets(*needed))
    }

    /// Takes the rules that bytes of these kinds rule out from the bits of a tier.
    pub(crate) fn retain(&self, mask: ByteMask, tier: &Tier, bits: &mut [u64]) {
        for (word, bits) in tier.words.clone().zip(bits) {
            let mut rest = *bits;
            while let Some(below) = rest.checked_sub(1) {
                let place = rest.trailing_zeros();
                rest &= below;
                let bit = u16::try_from(word * 64 + place as usize).unwrap_or(u16::MAX);
                if !self.allows(mask, bit) {
                    *bits &= !(1 << place);
                }
            }
        }
    }

    /// True if a pipeline changes nothing in values whose bytes are of these kinds.
    pub(crate) fn is_same(&self, pipeline: u16, mask: ByteMask) -> bool {
        let pipeline = self.pipelines.get(usize::from(pipeline));
        pipeline.and_then(|by| by.triggers).is_some_and(|triggers| !mask.meets(triggers))
    }

    /// The bits of the rules that need no literal.
    pub(crate) fn base(&self) -> &[u64] {
        &self.base
    }

    /// The bits of the rules that a length is enough for.
    pub(crate) fn long_enough(&self, length: usize) -> &[u64] {
        self.lengths.get(length.min(LENGTH_MAX)).map_or(&[], |bits| bits)
    }
}

fn set(bits: &mut [u64], bit: u16) {
    if let Some(word) = bits.get_mut(usize::from(bit / 64)) {
        *word |= 1 << (bit % 64);
    }
}

/// True if `bit` is set in `bits`.
pub(crate) fn has(bits: &[u64], bit: u16) -> bool {
    bits.get(usize::from(bit / 64)).is_some_and(|word| word & (1 << (bit % 64)) != 0)
}

/// Bits, those of one word together; words are counted from `first`.
fn by_word(bits: &[u16], first: usize) -> WordBits {
    let mut words: Vec<(u16, u64)> = Vec::new();
    for bit in bits {
        let mask = 1 << (bit % 64);
        let word = usize::from(bit / 64).saturating_sub(first);
        let word = u16::try_from(word).unwrap_or(u16::MAX);
        match words.last_mut().filter(|(known, _)| *known == word) {
            Some((_, bits)) => *bits |= mask,
            None => words.push((word, mask)),
        }
    }
    words.into()
}
