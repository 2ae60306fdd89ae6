//! Cuts white space from the start.
//!
//! Example: `  a b ` becomes `a b `.

use crate::byte_mask::ByteMask;

use super::trim;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b" \t\n\x0b\x0c\r");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(trim::trim_start(input));
}
