//! Whether a value contains a text, case minded: `@contains`, and `@strmatch`, which is the same.
//!
//! Example: `@contains ..` holds for `/a/../b`.

use super::{Argument, Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// `@contains`, `@strmatch`.
#[derive(Debug)]
pub(crate) struct Contains {
    name: &'static str,
    argument: Argument,
}

impl Ask for Contains {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let name = if name == "strmatch" { "strmatch" } else { "contains" };
        Ok(Self { name, argument: Argument::of(source.argument) })
    }

    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> Needs {
        self.argument.needs()
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        self.argument.with(text, |argument| memchr::memmem::find(input, argument).is_some())
    }
}
