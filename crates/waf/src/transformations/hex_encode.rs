//! Each byte as two hexadecimal digits, letters small.
//!
//! Example: `AZ` becomes `415a`.

use crate::byte_mask::ByteMask;

use super::hex;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 2;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len() * 2);
    for byte in input {
        output.extend_from_slice(&hex::digits(*byte));
    }
}
