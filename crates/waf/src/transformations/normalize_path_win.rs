//! As `normalizePath`, with backslashes as slashes.
//!
//! Example: `a\b\..\c` becomes `a/c`.

use super::normalize_path::normalize;
use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"/.\\");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    normalize(input, output, |byte| if byte == b'\\' { b'/' } else { byte });
}
