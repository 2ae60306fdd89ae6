//! Whether a value looks like script in HTML, as libinjection decides it.
//!
//! Example: `@detectXSS` holds for `<script>alert(1)</script>`, and for `" onload=x`.

use super::{Ask, Captures, Needs, OperatorFault, Source, without_zeros};
use crate::byte_mask::ByteMask;
use crate::text::Expand;

/// `@detectXSS`.
#[derive(Debug)]
pub(crate) struct DetectXss;

impl Ask for DetectXss {
    fn compile(_name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self)
    }

    fn name(&self) -> &'static str {
        "detectXSS"
    }

    fn needs(&self) -> Needs {
        // What it finds is a tag, or an attribute that has a value.
        Needs { masks: vec![ByteMask::of_bytes(b"<=")], length_min: 2, ..Needs::default() }
    }

    fn cost(&self, length: usize) -> usize {
        // It reads a value in several ways.
        length.saturating_mul(16)
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        let holds = is_script(input) || is_script_otherwise(input);
        if let Some(captures) = captures.filter(|_| holds) {
            captures.push(input);
        }
        holds
    }
}

fn is_script(input: &[u8]) -> bool {
    libinjectionrs::detect_xss(input).is_injection()
}

/// Whether a value is script once it is written so that the crate understands what it does not: a
/// zero byte, which parts names for libinjection and for old browsers, and newer events.
fn is_script_otherwise(input: &[u8]) -> bool {
    let spaced = without_zeros(input);
    let known = with_known_events(spaced.as_deref().unwrap_or(input));
    [spaced, known].iter().flatten().any(|input| is_script(input))
}

/// Events that browsers have and the crate's list has not, each behind its `on`.
const EVENTS: [&[u8]; 22] = [
    b"auxclick",
    b"beforematch",
    b"beforetoggle",
    b"beforexrselect",
    b"begin",
    b"bounce",
    b"command",
    b"contentvisibilityautostatechange",
    b"contextlost",
    b"contextrestored",
    b"dragexit",
    b"formdata",
    b"fullscreenchange",
    b"fullscreenerror",
    b"pagereveal",
    b"pageswap",
    b"pointerrawupdate",
    b"repeat",
    b"scrollend",
    b"scrollsnapchange",
    b"scrollsnapchanging",
    b"snapchanging",
];

/// A value with events that the crate knows in place of those that it does not; None if there are
/// none.
fn with_known_events(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = input;
    while let Some(at) = memchr::memchr2(b'o', b'O', rest) {
        let (before, from) = rest.split_at_checked(at + 1)?;
        out.extend_from_slice(before);
        rest = from;
        let Some(name) = from.strip_prefix(b"n").or_else(|| from.strip_prefix(b"N")) else {
            continue;
        };
        let begins = |event: &&&[u8]| {
            name.get(..event.len()).is_some_and(|start| start.eq_ignore_ascii_case(event))
        };
        if let Some(event) = EVENTS.iter().rev().find(begins) {
            out.extend_from_slice(b"nload");
            rest = name.get(event.len()..).unwrap_or_default();
        }
    }
    out.extend_from_slice(rest);
    (out != input).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_events_are_events() {
        for event in EVENTS {
            let event = String::from_utf8_lossy(event);
            for value in [
                format!("<a on{event}=x>"),
                format!("\" ON{} =x", event.to_uppercase()),
                format!("<b\0on{event}=x"),
            ] {
                assert!(
                    !is_script(value.as_bytes()) && is_script_otherwise(value.as_bytes()),
                    "{value}"
                );
            }
            for value in [format!("<a xon{event}=x>"), format!("on{event} < 3"), "one=1".to_owned()]
            {
                assert!(!is_script_otherwise(value.as_bytes()), "{value}");
            }
        }
    }
}
