//! Whether a value begins with a text, case minded.
//!
//! Example: `@beginsWith /api/` holds for `/api/users`.

use super::{Argument, Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// `@beginsWith`.
#[derive(Debug)]
pub(crate) struct BeginsWith(Argument);

impl Ask for BeginsWith {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(Argument::of(source.argument)))
    }

    fn name(&self) -> &'static str {
        "beginsWith"
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        self.0.with(text, |argument| input.starts_with(argument))
    }
}
