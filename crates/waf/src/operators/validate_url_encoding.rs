//! Whether a value holds a percent sign without two hexadecimal digits behind it.
//!
//! Example: `@validateUrlEncoding` holds for `100%`, and for `%zz`; not for `%20`.

use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::byte_mask::ByteMask;
use crate::text::Expand;

/// `@validateUrlEncoding`.
#[derive(Debug)]
pub(crate) struct ValidateUrlEncoding;

impl Ask for ValidateUrlEncoding {
    fn compile(_name: &str, _source: &Source<'_>) -> Result<Self, OperatorFault> {
        Ok(Self)
    }

    fn name(&self) -> &'static str {
        "validateUrlEncoding"
    }

    fn needs(&self) -> Needs {
        Needs { masks: vec![ByteMask::of_bytes(b"%")], length_min: 1, ..Needs::default() }
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        let is_digit = |at: usize| input.get(at).is_some_and(u8::is_ascii_hexdigit);
        memchr::memchr_iter(b'%', input).any(|at| !is_digit(at + 1) || !is_digit(at + 2))
    }
}
