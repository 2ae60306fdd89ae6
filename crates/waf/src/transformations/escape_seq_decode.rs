//! Undoes the escapes of C: `\n` and its like, `\xHH`, and up to three octal digits.
//!
//! Of an octal number above 255 the low byte counts. A backslash before anything else goes, one at the
//! end stays.
//!
//! Example: `a\tb\103` becomes `a\x09bC`.

use crate::byte_mask::ByteMask;

use super::{control, hex, rewrite};

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"\\");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    rewrite(input, output, |rest| memchr::memchr(b'\\', rest), decode);
}

/// Decodes the escape that `rest` starts with; returns how long it was.
fn decode(rest: &[u8], output: &mut Vec<u8>) -> usize {
    let (byte, length) = match rest {
        [_, b'x' | b'X', high, low, ..] if let Some(byte) = hex::pair(*high, *low) => (byte, 4),
        [_, b'0'..=b'7', ..] => {
            let digits = rest.iter().skip(1).take(3);
            digits
                .take_while(|byte| matches!(byte, b'0'..=b'7'))
                .fold((0, 1), |(byte, length): (u8, usize), digit| {
                    (byte << 3 | (digit - b'0'), length + 1)
                })
        }
        [_, letter, ..] => (control(*letter).unwrap_or(*letter), 2),
        _ => (b'\\', 1),
    };
    output.push(byte);
    length
}
