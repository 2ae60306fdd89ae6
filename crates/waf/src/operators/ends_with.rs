//! Whether a value ends with a text, case minded.
//!
//! Example: `@endsWith .php` holds for `/index.php`.

use super::{Argument, Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// `@endsWith`.
#[derive(Debug)]
pub(crate) struct EndsWith(Argument);

impl Ask for EndsWith {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self(Argument::of(source.argument)))
    }

    fn name(&self) -> &'static str {
        "endsWith"
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        self.0.with(text, |argument| input.ends_with(argument))
    }
}
