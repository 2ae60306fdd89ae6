//! Cuts white space from both ends.
//!
//! Example: `  a b ` becomes `a b`.

use crate::byte_mask::ByteMask;

use super::is_space;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b" \t\n\x0b\x0c\r");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(trim_start(trim_end(input)));
}

/// `value` from its first byte that is no white space.
pub(super) fn trim_start(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|byte| !is_space(*byte)).unwrap_or(value.len());
    value.get(start..).unwrap_or_default()
}

/// `value` up to its last byte that is no white space.
pub(super) fn trim_end(value: &[u8]) -> &[u8] {
    let end = value.iter().rposition(|byte| !is_space(*byte)).map_or(0, |last| last + 1);
    value.get(..end).unwrap_or_default()
}
