//! Puts a space in the place of each NUL byte.
//!
//! Example: `a\x00b` becomes `a b`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"\0");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(|byte| if *byte == 0 { b' ' } else { *byte }));
}
