//! Whether a value holds a byte outside a range.
//!
//! Example: `@validateByteRange 32-126,10` holds for `a\tb`, since a tab is byte 9.

use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::byte_mask::ByteMask;
use crate::text::Expand;

/// `@validateByteRange`.
#[derive(Debug)]
pub(crate) struct ValidateByteRange {
    is_inside: Box<[bool; 256]>,
}

impl Ask for ValidateByteRange {
    fn compile(_name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let mut is_inside = Box::new([false; 256]);
        for range in source.text()?.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| -> Result<u8, OperatorFault> {
                text.trim().parse().map_err(|_| {
                    OperatorFault::new(format!("`{}` is no byte", text.trim())).with_help(
                        "numbers from 0 to 255 and ranges of them, such as `9,10,32-126`",
                    )
                })
            };
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                let problem = format!("the range `{range}` is upside down");
                return Err(OperatorFault::new(problem).with_help("write the smaller one first"));
            }
            for byte in first..=last {
                if let Some(inside) = is_inside.get_mut(usize::from(byte)) {
                    *inside = true;
                }
            }
        }
        Ok(Self { is_inside })
    }

    fn name(&self) -> &'static str {
        "validateByteRange"
    }

    fn needs(&self) -> Needs {
        let outside = (0..=255_u8).filter(|byte| !self.admits(*byte));
        let mask = outside.fold(ByteMask::NONE, |mask, byte| mask.or(ByteMask::of(&[byte])));
        Needs { masks: vec![mask], length_min: 1, ..Needs::default() }
    }

    fn holds(&self, input: &[u8], _text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        input.iter().any(|byte| !self.admits(*byte))
    }
}

impl ValidateByteRange {
    fn admits(&self, byte: u8) -> bool {
        self.is_inside.get(usize::from(byte)).copied().unwrap_or(false)
    }
}
