//! Whether a value is a text, case minded.
//!
//! Example: `@streq POST` holds for `POST`, not for `post`.

use super::{Argument, Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// `@streq`.
#[derive(Debug)]
pub(crate) struct Streq(Argument);

impl Ask for Streq {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(Argument::of(source.argument)))
    }

    fn name(&self) -> &'static str {
        "streq"
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        self.0.with(text, |argument| input == argument)
    }
}
