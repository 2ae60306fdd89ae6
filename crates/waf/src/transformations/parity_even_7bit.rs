//! Sets the highest bit of each byte so that an even number of bits is set, counting all eight.
//!
//! Example: `ab` becomes `\xe1\xe2`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend(
        input.iter().map(|byte| if byte.count_ones() % 2 == 0 { byte & 0x7f } else { byte | 0x80 }),
    );
}
