//! Whether a value looks like script in HTML, as libinjection decides it.
//!
//! Example: `@detectXSS` holds for `<script>alert(1)</script>`, and for `" onload=x`.

use super::{Ask, Captures, Needs, OperatorFault, Source};
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
        let holds = libinjectionrs::detect_xss(input).is_injection();
        if let Some(captures) = captures.filter(|_| holds) {
            captures.push(input);
        }
        holds
    }
}
