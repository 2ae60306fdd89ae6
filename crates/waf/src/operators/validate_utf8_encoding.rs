//! Whether a value is not UTF-8.
//!
//! Example: `@validateUtf8Encoding` holds for the bytes `c0 af`, an overlong slash.

use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::byte_mask::ByteMask;
use crate::text::Expand;

/// `@validateUtf8Encoding`.
#[derive(Debug)]
pub(crate) struct ValidateUtf8Encoding;

impl Ask for ValidateUtf8Encoding {
    fn compile(_name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self)
    }

    fn name(&self) -> &'static str {
        "validateUtf8Encoding"
    }

    fn needs(&self) -> Needs {
        Needs { masks: vec![ByteMask::of_range(0x80, 0xff)], length_min: 1, ..Needs::default() }
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        std::str::from_utf8(input).is_err()
    }
}
