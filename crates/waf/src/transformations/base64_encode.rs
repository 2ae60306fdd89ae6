//! Base64 with padding (RFC 4648 §4).
//!
//! Example: `ab` becomes `YWI=`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 4;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.reserve(input.len().div_ceil(3) * 4);
    for group in input.chunks(3) {
        let bytes = [0, 1, 2].map(|at| group.get(at).copied().unwrap_or(0));
        let word = bytes.iter().fold(0_usize, |word, byte| word << 8 | usize::from(*byte));
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let sign = ALPHABET.get(word >> shift & 63).copied().unwrap_or(b'=');
            output.push(if at <= group.len() { sign } else { b'=' });
        }
    }
}
