//! Writes characters above ASCII as `%uHHHH`, five or six digits where it takes them.
//!
//! Not a validator: overlong forms and surrogates are decoded too, and their first byte is added
//! behind. The first byte of a sequence that is not complete is left out, as is a NUL byte that does
//! not end the value; bytes that begin no sequence stay.
//!
//! Example: `caf\xc3\xa9` becomes `caf%u00e9`.

use crate::byte_mask::ByteMask;
use std::io::Write as _;

use super::rewrite;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_range(0x80, 0xff).or(ByteMask::of_bytes(b"\0"));

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 4;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let next = |rest: &[u8]| rest.iter().position(|byte| *byte == 0 || *byte >= 0x80);
    rewrite(input, output, next, decode);
}

/// Decodes what `rest` starts with; returns how much of it that was.
fn decode(rest: &[u8], output: &mut Vec<u8>) -> usize {
    let Some((first, tail)) = rest.split_first() else { return 0 };
    let (length, lowest, bits) = match first {
        0 => {
            if tail.is_empty() {
                output.push(0);
            }
            return 1;
        }
        0xc0..=0xdf => (2, 0x80, first & 0x1f),
        0xe0..=0xef => (3, 0x800, first & 0x0f),
        0xf0..=0xf7 => (4, 0x1_0000, first & 0x07),
        _ => {
            output.push(*first);
            return 1;
        }
    };
    if *first >= 0xf5 {
        output.push(*first);
    }
    let Some(more) = tail.get(..length - 1) else { return 1 };
    if more.iter().any(|byte| byte & 0xc0 != 0x80) {
        return 1;
    }
    let code = more.iter().fold(u32::from(bits), |code, byte| code << 6 | u32::from(byte & 0x3f));
    // Writing to a Vec does not fail.
    let _ = write!(output, "%u{code:04x}");
    if code < lowest || (0xd800..=0xdfff).contains(&code) {
        output.push(*first);
    }
    length
}
