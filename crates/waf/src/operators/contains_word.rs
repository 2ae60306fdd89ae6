//! Whether a value contains a text with no letter on either side, case minded. Digits and signs may
//! stand there.
//!
//! Example: `@containsWord cat` holds for `a cat!`, not for `concatenate`.

use super::{Argument, Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// `@containsWord`.
#[derive(Debug)]
pub(crate) struct ContainsWord(Argument);

impl Ask for ContainsWord {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(Argument::of(source.argument)))
    }

    fn name(&self) -> &'static str {
        "containsWord"
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        self.0.with(text, |argument| has_word(input, argument))
    }
}

fn has_word(input: &[u8], word: &[u8]) -> bool {
    let is_letter = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphabetic);
    let mut start = 0;
    while let Some(at) = input.get(start..).and_then(|rest| memchr::memmem::find(rest, word)) {
        let at = start + at;
        let before = at.checked_sub(1).and_then(|before| input.get(before));
        if !is_letter(before) && !is_letter(input.get(at + word.len())) {
            return true;
        }
        start = at + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::has_word;

    #[test]
    fn words_stand_alone() {
        for (input, word, has) in [
            ("a cat!", "cat", true),
            ("cat", "cat", true),
            ("concatenate", "cat", false),
            ("cats", "cat", false),
            ("cat_1", "cat", true),
            ("aaa aa", "aa", true),
            ("", "", true),
        ] {
            assert_eq!(has_word(input.as_bytes(), word.as_bytes()), has, "{input}");
        }
    }
}
