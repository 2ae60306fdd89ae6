//! Looks for phrases, ASCII case ignored: `@pm`, `@pmFromFile`.
//!
//! `@pm` takes phrases with blanks between them, in which bytes may be written as `|4142|`;
//! `@pmFromFile` takes one on each line of the files that it names, as it stands. `TX.0` is the
//! phrase that was found.
//!
//! Example: `@pm select union` holds for `UNION ALL`.

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// A search for phrases.
#[derive(Debug)]
pub(crate) struct Pm {
    name: &'static str,
    phrases: Vec<Box<[u8]>>,
    automaton: AhoCorasick,
}

impl Ask for Pm {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let (name, phrases) = match name {
            "pmfromfile" | "pmf" => ("pmFromFile", source.lines()?),
            _ => {
                let text = source.literal()?;
                let text = bytes_of(text).unwrap_or_else(|| text.to_vec());
                let words = text.split(u8::is_ascii_whitespace);
                ("pm", words.filter(|word| !word.is_empty()).map(Into::into).collect())
            }
        };
        if phrases.iter().all(|phrase| phrase.is_empty()) {
            return Err(OperatorFault::new("there is no phrase to look for"));
        }
        // PERF: left to itself the builder makes tables of few phrases: a third of the memory of the
        // Core Rule Set, for searches that the sieve has made rare (`bench waf`).
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .ascii_case_insensitive(true)
            .build(&phrases)
            .map_err(|fault| OperatorFault::new(format!("too many phrases: {fault}")))?;
        Ok(Self { name, phrases, automaton })
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        let lengths = self.phrases.iter().map(|phrase| phrase.len());
        Needs {
            literals: self
                .phrases
                .iter()
                .map(|phrase| phrase.to_ascii_lowercase().into())
                .collect(),
            masks: Vec::new(),
            length_min: lengths.min().unwrap_or(0),
        }
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        let Some(captures) = captures else { return self.automaton.is_match(input) };
        let found = self.automaton.find(input);
        if let Some(found) = found {
            let phrase = self.phrases.get(found.pattern().as_usize());
            captures.push(phrase.map_or(&[], |phrase| phrase));
        }
        found.is_some()
    }
}

/// The text with what is between bars read as bytes in hexadecimal; None if something else is there,
/// and the bars mean themselves.
fn bytes_of(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    for (number, part) in text.split(|byte| *byte == b'|').enumerate() {
        if number % 2 == 0 {
            out.extend_from_slice(part);
            continue;
        }
        if !part.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        for pair in part.chunks_exact(2) {
            let digits = std::str::from_utf8(pair).ok()?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_bytes_or_mean_themselves() {
        assert_eq!(bytes_of(b"a|4243|d").unwrap(), b"aBCd");
        assert_eq!(bytes_of(b"a|4|b").unwrap(), b"ab");
        assert_eq!(bytes_of(b"a|42 43|"), None);
        assert_eq!(bytes_of(b"a|zz|"), None);
    }
}
