//! The number of bytes, in decimal digits.
//!
//! Example: `four` becomes `4`.

use crate::byte_mask::ByteMask;
use std::io::Write as _;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    // Writing to a Vec does not fail.
    let _ = write!(output, "{}", input.len());
}
