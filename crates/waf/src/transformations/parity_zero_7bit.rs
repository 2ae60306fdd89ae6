//! Clears the highest bit of each byte.
//!
//! Example: `a\xe1` becomes `aa`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_range(0x80, 0xff);

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|byte| byte & 0x7f));
}
