//! Leaves out NUL bytes.
//!
//! Example: `un\x00ion` becomes `union`.

use crate::byte_mask::ByteMask;

use super::rewrite;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"\0");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    rewrite(input, output, |rest| memchr::memchr(0, rest), |_, _| 1);
}
