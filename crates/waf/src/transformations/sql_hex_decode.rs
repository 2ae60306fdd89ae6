//! Undoes the hexadecimal constants of `MySQL`, `0x414243`.
//!
//! Digits are taken in pairs; a single one at the end stays. `0x` without a pair behind it stays.
//!
//! Example: `a=0x414243` becomes `a=ABC`.

use crate::byte_mask::ByteMask;

use super::{hex, rewrite};

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"0");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    rewrite(
        input,
        output,
        |rest| memchr::memchr(b'0', rest),
        |rest, output| {
            let mut used = 1;
            if let [b'0', b'x' | b'X', digits @ ..] = rest {
                let (pairs, _) = digits.as_chunks::<2>();
                let bytes = pairs.iter().map_while(|[high, low]| hex::pair(*high, *low));
                let before = output.len();
                output.extend(bytes);
                used = (output.len() - before) * 2 + 2;
            }
            if used <= 2 {
                output.push(b'0');
                used = 1;
            }
            used
        },
    );
}
