//! Bytes as choices: what structured fuzz targets build their inputs from.

/// Bytes that are used up, one choice after another; at their end every choice is the first.
pub(super) struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    /// True if there are no more.
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// A number below `end`, which is not 0 and at most 256.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    /// One of `words`.
    pub(super) fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        let at = self.below(words.len());
        words.get(at).copied().unwrap_or_default()
    }

    /// Up to `count_max` of `words`, with `between` between them.
    pub(super) fn some(&mut self, words: &[&str], count_max: usize, between: &str) -> String {
        let count = self.below(count_max + 1);
        (0..count).map(|_| self.of(words)).collect::<Vec<_>>().join(between)
    }
}

/// Bytes below 0x80 as they are; every other byte stands for one of `words`. So readable texts are
/// inputs, and a fuzzer has the language's words at hand.
pub(super) fn spelled(data: &[u8], words: &[&str]) -> String {
    let mut text = String::with_capacity(data.len());
    for byte in data {
        if byte.is_ascii() {
            text.push(char::from(*byte));
        } else if let Some(word) = words.get(usize::from(byte & 0x7f) % words.len().max(1)) {
            text.push_str(word);
        }
    }
    text
}
