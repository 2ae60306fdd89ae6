//! Leaves out white space, and the bytes 0xC2 and 0xA0, of which UTF-8 makes the no-break space.
//!
//! Example: `a b\x09c\xa0d` becomes `abcd`.

use crate::byte_mask::ByteMask;

use super::is_space;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = SPACE;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

const SPACE: ByteMask = ByteMask::of_bytes(b" \t\n\x0b\x0c\r\xa0\xc2");

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().filter(|byte| !is_space(**byte) && !matches!(byte, 0xa0 | 0xc2)));
}
