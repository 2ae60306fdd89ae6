//! One space for each run of white space.
//!
//! Example: `a \x09\x0a b` becomes `a b`.

use crate::byte_mask::ByteMask;

use super::{is_space, rewrite};

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b" \t\n\x0b\x0c\r");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let next = |rest: &[u8]| rest.iter().position(|byte| is_space(*byte));
    rewrite(input, output, next, |rest, output| {
        output.push(b' ');
        rest.iter().position(|byte| !is_space(*byte)).unwrap_or(rest.len())
    });
}
