//! Undoes percent-encoding; `+` becomes a space.
//!
//! A percent sign without two hexadecimal digits behind it stays.
//!
//! Example: `%3Cb%3E+%zz` becomes `<b> %zz`.

use crate::byte_mask::ByteMask;

use super::{hex, rewrite};

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"%+");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    rewrite(input, output, |rest| memchr::memchr2(b'%', b'+', rest), decode);
}

/// Decodes what `rest` starts with; returns how much of it that was.
pub(super) fn decode(rest: &[u8], output: &mut Vec<u8>) -> usize {
    if let [b'+', ..] = rest {
        output.push(b' ');
        return 1;
    }
    let Some((byte, tail)) = hex::percent(rest) else { return 0 };
    output.push(byte);
    rest.len() - tail.len()
}
