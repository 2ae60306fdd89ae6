//! Makes ASCII letters capital.
//!
//! Example: `SeLeCT` becomes `SELECT`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_range(b'a', b'z');

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(input);
    output.make_ascii_uppercase();
}
