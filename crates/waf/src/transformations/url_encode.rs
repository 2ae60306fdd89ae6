//! Percent-encodes everything but ASCII letters, digits and `*`; a space becomes `+`.
//!
//! Example: `a b/c` becomes `a+b%2fc`.

use crate::byte_mask::ByteMask;

use super::hex;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = CHANGED;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 3;

const CHANGED: ByteMask = ByteMask::of_range(0, b')')
    .or(ByteMask::of_range(b'+', b'/'))
    .or(ByteMask::of_range(b':', b'@'))
    .or(ByteMask::of_range(b'[', b'`'))
    .or(ByteMask::of_range(b'{', 0xff));

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    for byte in input {
        match byte {
            b' ' => output.push(b'+'),
            b'*' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => output.push(*byte),
            _ => {
                output.push(b'%');
                output.extend_from_slice(&hex::digits(*byte));
            }
        }
    }
}
