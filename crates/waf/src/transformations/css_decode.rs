//! Undoes the escapes of CSS: a backslash and up to six hexadecimal digits, or one other character.
//!
//! The last two digits make the byte. Full-width forms, U+FF01 to U+FF5E, become the ASCII characters
//! that they look like. One white space behind the digits belongs to the escape; a line end behind the
//! backslash goes, a backslash at the end too.
//!
//! Example: `j\61 vas\cript` becomes `javas\x0cript`.

use crate::byte_mask::ByteMask;

use super::{hex, is_space, low_byte, narrow, rewrite};

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
    let mut code = 0;
    let mut count = 0;
    for digit in rest.iter().skip(1).take(6).map_while(|byte| hex::digit(*byte)) {
        code = code << 4 | u32::from(digit);
        count += 1;
    }
    if count == 0 {
        let byte = rest.get(1).filter(|byte| **byte != b'\n');
        output.extend(byte);
        return 2;
    }
    // Only four digits, or more that begin with zeros, are a full-width form.
    output.push(if count < 4 { low_byte(code) } else { narrow(code) });
    let is_ended = rest.get(count + 1).is_some_and(|byte| is_space(*byte));
    count + 1 + usize::from(is_ended)
}
