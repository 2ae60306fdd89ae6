//! The sieve: which rules can match a value at all.
//!
//! Most values fit no rule, and one pass over a value tells so for all rules together: every
//! operator says what must stand in a value for it to hold ([`Needs`]), one automaton finds all of
//! these literals, and what is left is a set of bits. Rules that look at the same things after the
//! same transformations form a [`Group`], whose bits are the union over its values; a rule whose
//! bit is not there costs a test of one bit.
//!
//! It may let too much through, never too little: what it lets through is judged by the operator.

use std::collections::{BTreeMap, HashMap};

use aho_corasick::automaton::Automaton as _;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use crate::byte_mask::ByteMask;
use crate::operators::Needs;
use crate::rules::{Link, Pick, Rule, TargetPlan};
use crate::transformations::Transformation;
use crate::variable::Variable;

/// Where the sieve tells of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sieved {
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
}

/// Bits by the word that they are in.
type WordBits = Box<[(u16, u64)]>;

/// The sieve of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    pub(crate) groups: Box<[Group]>,
    /// How many words of 64 bits a set of rules takes.
    words: usize,
    /// Finds the literals, in lower case.
    automaton: Option<NFA>,
    /// The bits that each literal stands for: the number of a word, and what is set in it.
    literal_bits: Box<[WordBits]>,
    /// The bits of the rules that need no literal.
    base: Box<[u64]>,
    /// For each mask that a rule needs, the bits of all rules that need it.
    masks: Box<[(ByteMask, Box<[u64]>)]>,
    /// For each least length, the bits of the rules that need it.
    lengths: Box<[(usize, Box<[u64]>)]>,
}

impl Sieve {
    /// Builds the sieve of `rules` and tells each rule its bit.
    pub(crate) fn build(rules: &mut [Rule]) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        let mut needs = Vec::new();
        for link in rules.iter_mut().filter_map(|rule| rule.links.first_mut()) {
            let Some((group, need)) = sieve_of(link) else { continue };
            let position = groups.iter().position(|other| *other == group).unwrap_or_else(|| {
                groups.push(group);
                groups.len() - 1
            });
            let (Ok(group), Ok(bit)) = (u16::try_from(position), u16::try_from(needs.len())) else {
                continue;
            };
            link.sieved = Some(Sieved { group, bit });
            needs.push(need);
        }
        Self::of(groups, &needs)
    }

    fn of(groups: Vec<Group>, needs: &[Needs]) -> Self {
        let words = needs.len().div_ceil(64);
        let mut sieve = Self { groups: groups.into(), words, ..Self::default() };
        let mut base = vec![0; words];
        let mut literals: Vec<&[u8]> = Vec::new();
        let mut literal_bits: Vec<Vec<u16>> = Vec::new();
        let mut numbers = HashMap::new();
        let mut masks: Vec<(ByteMask, Box<[u64]>)> = Vec::new();
        let mut lengths: BTreeMap<usize, Box<[u64]>> = BTreeMap::new();
        for (bit, need) in (0..).zip(needs) {
            if need.literals.is_empty() {
                set(&mut base, bit);
            }
            for literal in &need.literals {
                let number = *numbers.entry(&**literal).or_insert_with(|| {
                    literals.push(literal);
                    literal_bits.push(Vec::new());
                    literals.len() - 1
                });
                if let Some(bits) = literal_bits.get_mut(number) {
                    bits.push(bit);
                }
            }
            if need.length_min > 0 {
                let bits = lengths.entry(need.length_min);
                set(bits.or_insert_with(|| vec![0; words].into()), bit);
            }
            for mask in &need.masks {
                let known = masks.iter().position(|(other, _)| other == mask);
                let known = known.unwrap_or_else(|| {
                    masks.push((*mask, vec![0; words].into()));
                    masks.len() - 1
                });
                if let Some((_, bits)) = masks.get_mut(known) {
                    set(bits, bit);
                }
            }
        }
        if !literals.is_empty() {
            // PERF: values are lowered byte by byte instead of giving the automaton both cases: it
            // is built in half the time and takes half the memory (`bench waf`).
            let built = NFA::builder()
                .match_kind(MatchKind::Standard)
                .prefilter(false)
                .build(literals.iter().map(|literal| literal.to_ascii_lowercase()));
            if let Ok(automaton) = built {
                sieve.automaton = Some(automaton);
            } else {
                // Too large to build: every rule is judged on every value.
                base.fill(u64::MAX);
            }
        }
        sieve.base = base.into();
        sieve.literal_bits = literal_bits.iter().map(|bits| by_word(bits)).collect();
        sieve.masks = masks.into();
        sieve.lengths = lengths.into_iter().collect();
        sieve
    }

    /// How many words a set of bits takes.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Sets in `out`, which holds [`words`](Self::words) words, the bits of the rules that can
    /// match `value`.
    pub(crate) fn screen(&self, value: &[u8], mask: ByteMask, out: &mut [u64]) {
        out.copy_from_slice(&self.base);
        self.find_literals(value, out);
        for (needed, bits) in &self.masks {
            if !mask.meets(*needed) {
                clear(out, bits);
            }
        }
        for (_, bits) in self.lengths.iter().rev().take_while(|(least, _)| value.len() < *least) {
            clear(out, bits);
        }
    }
}

fn clear(out: &mut [u64], bits: &[u64]) {
    for (word, bits) in out.iter_mut().zip(bits) {
        *word &= !bits;
    }
}

impl Sieve {
    fn find_literals(&self, value: &[u8], out: &mut [u64]) {
        let Some(automaton) = &self.automaton else { return };
        let Ok(start) = automaton.start_state(Anchored::No) else { return };
        let (mut state, mut known) = (start, start);
        for byte in value {
            state = automaton.next_state(Anchored::No, state, byte.to_ascii_lowercase());
            // PERF: a run of one byte stays in one state, whose bits are set already.
            if state == known || !automaton.is_special(state) || !automaton.is_match(state) {
                continue;
            }
            known = state;
            for number in 0..automaton.match_len(state) {
                let literal = automaton.match_pattern(state, number);
                let bits = self.literal_bits.get(literal.as_usize());
                for (word, bits) in bits.into_iter().flatten() {
                    if let Some(word) = out.get_mut(usize::from(*word)) {
                        *word |= bits;
                    }
                }
            }
        }
    }
}

/// Bits, those of one word together.
fn by_word(bits: &[u16]) -> Box<[(u16, u64)]> {
    let mut words: Vec<(u16, u64)> = Vec::new();
    for bit in bits {
        let mask = 1 << (bit % 64);
        match words.last_mut().filter(|(word, _)| *word == bit / 64) {
            Some((_, bits)) => *bits |= mask,
            None => words.push((bit / 64, mask)),
        }
    }
    words.into()
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

/// The group of a rule and what it needs, if a sieve can tell anything of it.
fn sieve_of(link: &Link) -> Option<(Group, Needs)> {
    if link.is_negated {
        return None;
    }
    let needs = link.operator.as_ref()?.needs();
    if needs.literals.is_empty() && needs.masks.is_empty() {
        return None;
    }
    let mut targets = Vec::new();
    for target in &link.targets {
        match target {
            TargetPlan::Values(variable, pick) if !variable.is_live() => {
                targets.push((*variable, pick.clone()));
            }
            _ => return None,
        }
    }
    let pipeline = link.pipeline.clone();
    Some((Group { targets: targets.into(), pipeline, is_multi: link.is_multi }, needs))
}
