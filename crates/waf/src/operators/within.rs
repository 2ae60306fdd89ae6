//! Whether a value stands in a text, case minded.
//!
//! Example: `@within GET,HEAD,POST` holds for `GET`. An empty value stands in every text.

use super::{Argument, Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// `@within`.
#[derive(Debug)]
pub(crate) struct Within(Argument);

impl Ask for Within {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(Argument::of(source.argument)))
    }

    fn name(&self) -> &'static str {
        "within"
    }

    fn needs(&self) -> Needs {
        Needs::default()
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        self.0.with(text, |argument| {
            input.is_empty() || memchr::memmem::find(argument, input).is_some()
        })
    }
}
