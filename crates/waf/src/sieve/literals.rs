//! Finding the texts that rules need.

use std::collections::HashMap;
use std::ops::Range;

use aho_corasick::automaton::Automaton as _;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, MatchKind};

use super::{WordBits, by_word};

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
