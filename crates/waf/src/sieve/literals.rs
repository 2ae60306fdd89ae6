//! Finding the texts that rules need.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::automaton::{Automaton as _, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::{WordBits, by_word};

/// Values of more bytes are searched with a memory of the states that were told.
const TOLD_FROM: usize = 512;
/// How many states that memory has room for; a newer one takes the place of an older.
const TOLD: usize = 256;

/// The texts that rules need.
#[derive(Debug, Default)]
pub(crate) struct Literals {
    /// The words that hold the bits of these rules.
    pub(super) words: Range<usize>,
    /// Finds the texts, in lower case.
    automaton: Option<NFA>,
    /// The bits that each text stands for: the number of a word, and what is set in it.
    bits: Box<[WordBits]>,
}

impl Literals {
    /// Of each rule, by its bit, the texts of which it needs one. None if they are too many.
    pub(super) fn build<'n>(
        words: Range<usize>,
        needs: impl Iterator<Item = (u16, &'n [Box<[u8]>])>,
    ) -> Option<Self> {
        let mut texts: Vec<&[u8]> = Vec::new();
        let mut bits: Vec<Vec<u16>> = Vec::new();
        let mut numbers = HashMap::new();
        for (bit, literals) in needs {
            for literal in literals {
                let number = *numbers.entry(&**literal).or_insert_with(|| {
                    texts.push(literal);
                    bits.push(Vec::new());
                    texts.len() - 1
                });
                if let Some(bits) = bits.get_mut(number) {
                    bits.push(bit);
                }
            }
        }
        if texts.is_empty() {
            return Some(Self { words, ..Self::default() });
        }
        // PERF: values are lowered byte by byte instead of giving the automaton both cases: it is
        // built in half the time and takes half the memory (`bench waf`).
        let automaton = NFA::builder()
            .match_kind(MatchKind::Standard)
            .prefilter(false)
            .build(texts.iter().map(|text| text.to_ascii_lowercase()))
            .ok()?;
        let bits = bits.iter().map(|bits| by_word(bits, words.start)).collect();
        Some(Self { words, automaton: Some(automaton), bits })
    }

    /// The words of its rules.
    pub(crate) fn words(&self) -> Range<usize> {
        self.words.clone()
    }

    /// Sets in `out`, which begins with the first of its words, the bits of the rules whose texts
    /// stand in `value`.
    pub(crate) fn find(&self, value: &[u8], out: &mut [u64]) {
        let Some(automaton) = &self.automaton else { return };
        // PERF: a long value comes to the same states again and again, whose bits are set already
        // (`bench waf`, random punctuation); in a short one it costs more to remember them.
        if value.len() > TOLD_FROM {
            let mut told = [None; TOLD];
            self.walk(automaton, value, out, |state| {
                let place = state.as_u32().wrapping_mul(0x9e37_79b1) >> (u32::BITS - TOLD.ilog2());
                let Some(told) = told.get_mut(place as usize) else { return true };
                let is_new = *told != Some(state);
                *told = Some(state);
                is_new
            });
        } else {
            let mut last = None;
            self.walk(automaton, value, out, |state| last.replace(state) != Some(state));
        }
    }

    /// Sets the bits of each state with texts that `is_new`.
    fn walk(
        &self,
        automaton: &NFA,
        value: &[u8],
        out: &mut [u64],
        mut is_new: impl FnMut(StateID) -> bool,
    ) {
        let Ok(mut state) = automaton.start_state(Anchored::No) else { return };
        for byte in value {
            state = automaton.next_state(Anchored::No, state, byte.to_ascii_lowercase());
            if !automaton.is_special(state) || !automaton.is_match(state) || !is_new(state) {
                continue;
            }
            for number in 0..automaton.match_len(state) {
                let literal = automaton.match_pattern(state, number);
                let bits = self.bits.get(literal.as_usize());
                for (word, bits) in bits.into_iter().flatten() {
                    if let Some(word) = out.get_mut(usize::from(*word)) {
                        *word |= bits;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_found_in_values_of_every_length() {
        let texts = ["a", "ab", "b'(", "((", "'a'a", "c", "abca(", "''''"];
        let needs: Vec<Vec<Box<[u8]>>> =
            texts.iter().map(|text| vec![text.as_bytes().into()]).collect();
        let bits = (0..).zip(needs.iter().map(|need| &**need));
        let literals = Literals::build(0..1, bits).unwrap();
        let mut seed = 7_u32;
        for length in [0, 1, 5, 40, TOLD_FROM - 1, TOLD_FROM, TOLD_FROM + 1, 3_000] {
            for alphabet in ["ABC'(", "x'(", "a"] {
                let value = (0..length).map(|_| {
                    seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    alphabet.as_bytes()[(seed >> 16) as usize % alphabet.len()]
                });
                let value = String::from_utf8(value.collect()).unwrap();
                let mut found = [0];
                literals.find(value.as_bytes(), &mut found);
                let lower = value.to_ascii_lowercase();
                let is_there = |text: &&str| u64::from(lower.contains(text));
                let wanted = (0..).zip(&texts).map(|(bit, text)| is_there(text) << bit).sum();
                assert_eq!(found, [wanted], "{value}");
            }
        }
    }
}
