//! Undoes the escapes of JavaScript: `\uHHHH`, `\xHH`, octal ones and those of one letter.
//!
//! Of `\uHHHH` the last two digits make the byte; full-width forms become the ASCII characters that
//! they look like. A backslash before anything else goes, one at the end stays.
//!
//! Example: `\u003cscript\76` becomes `<script>`.

use crate::byte_mask::ByteMask;

use super::{control, hex, narrow, rewrite};

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
        [_, b'u', a, b, c, d, ..] if let Some(code) = hex::four([*a, *b, *c, *d]) => {
            (narrow(code), 6)
        }
        [_, b'x', high, low, ..] if let Some(byte) = hex::pair(*high, *low) => (byte, 4),
        [_, b'0'..=b'7', ..] => octal(rest),
        [_, letter, ..] => (control(*letter).unwrap_or(*letter), 2),
        _ => (b'\\', 1),
    };
    output.push(byte);
    length
}

/// Up to three octal digits; two if three would not fit a byte.
fn octal(rest: &[u8]) -> (u8, usize) {
    let is_small = matches!(rest, [_, b'0'..=b'3', ..]);
    let digits = rest.iter().skip(1).take(if is_small { 3 } else { 2 });
    let mut length = 1;
    let mut byte = 0;
    for digit in digits.take_while(|byte| matches!(byte, b'0'..=b'7')) {
        byte = byte << 3 | (digit - b'0');
        length += 1;
    }
    (byte, length)
}
