//! Two hexadecimal digits as one byte.
//!
//! A last digit without a partner is dropped. What is no digit counts all the same, by the arithmetic
//! that ModSecurity has for digits: nothing is refused, so a value that is not hexadecimal becomes
//! noise.
//!
//! Example: `414243` becomes `ABC`.

use crate::byte_mask::ByteMask;

use super::hex;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let (pairs, _) = input.as_chunks::<2>();
    output.extend(pairs.iter().map(|[high, low]| hex::loose(*high, *low)));
}
