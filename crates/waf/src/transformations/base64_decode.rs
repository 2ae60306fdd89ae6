//! Undoes Base64, or leaves the value as it is if it is not quite Base64.
//!
//! Line ends, and spaces before them or at the end, are passed over; padding must be complete; a NUL
//! byte ends the value.
//!
//! Example: `YWI=` becomes `ab`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    if decode(input, output).is_none() {
        output.clear();
        output.extend_from_slice(input);
    }
}

/// None if this is not Base64.
fn decode(input: &[u8], output: &mut Vec<u8>) -> Option<()> {
    let end = memchr::memchr(0, input).unwrap_or(input.len());
    let mut rest = input.get(..end)?;
    let (mut word, mut count, mut padding) = (0_u32, 0_usize, 0_usize);
    while let Some((byte, tail)) = rest.split_first() {
        match rest {
            // A space may only be followed by the line's end.
            [b'\n', ..]
            | [b'\r', b'\n', ..]
            | [b' ']
            | [b' ', b' ' | b'\n', ..]
            | [b' ', b'\r', b'\n', ..] => {}
            [b'=', ..] => {
                padding += 1;
                count += 1;
                word <<= 6;
            }
            _ if padding > 0 => return None,
            _ => {
                word = word << 6 | u32::from(digit(*byte)?);
                count += 1;
            }
        }
        if padding > 2 {
            return None;
        }
        if count == 4 {
            let [_, bytes @ ..] = word.to_be_bytes();
            output.extend(bytes.iter().take(3 - padding));
            (word, count) = (0, 0);
            if padding > 0 {
                padding = 2;
            }
        }
        rest = tail;
    }
    (count == 0).then_some(())
}

/// The value of a digit of Base64 (RFC 4648 §4).
pub(super) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}
