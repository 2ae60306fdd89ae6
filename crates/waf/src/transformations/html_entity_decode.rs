//! Undoes the references of HTML: by number, and `quot`, `amp`, `lt`, `gt`, `nbsp`, case ignored.
//!
//! The semicolon may be missing; letters and digits behind a name go with it. Of a number the low byte
//! counts, of one above 2⁶³ that of 2⁶³ - 1; a no-break space becomes 0xA0. Other names stay.
//!
//! Example: `&lt;b&#62&nosuch;` becomes `<b>&nosuch;`.

use crate::byte_mask::ByteMask;

use super::rewrite;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"&");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    rewrite(input, output, |rest| memchr::memchr(b'&', rest), decode);
}

/// Decodes the reference that `rest` starts with; returns how long it was.
fn decode(rest: &[u8], output: &mut Vec<u8>) -> usize {
    let (prefix, radix) = match rest {
        [_, b'#', b'x' | b'X', ..] => (3, 16),
        [_, b'#', ..] => (2, 10),
        _ => (1, 36),
    };
    let body = rest.get(prefix..).unwrap_or_default();
    let is_part = |byte: &u8| char::from(*byte).is_digit(radix);
    let length = body.iter().position(|byte| !is_part(byte)).unwrap_or(body.len());
    let body = body.get(..length).unwrap_or_default();
    let byte = if body.is_empty() {
        None
    } else if radix == 36 {
        named(body)
    } else {
        Some(number(body, radix))
    };
    let end = prefix + length;
    let Some(byte) = byte else {
        output.extend_from_slice(rest.get(..end).unwrap_or_default());
        return end;
    };
    output.push(byte);
    end + usize::from(rest.get(end) == Some(&b';'))
}

fn named(name: &[u8]) -> Option<u8> {
    const NAMES: [(&[u8], u8); 5] =
        [(b"quot", b'"'), (b"amp", b'&'), (b"lt", b'<'), (b"gt", b'>'), (b"nbsp", 0xa0)];
    let is_start = |known: &[u8]| {
        name.get(..known.len()).is_some_and(|start| start.eq_ignore_ascii_case(known))
    };
    NAMES.iter().find(|(known, _)| is_start(known)).map(|(_, byte)| *byte)
}

fn number(digits: &[u8], radix: u32) -> u8 {
    let value = digits.iter().fold(0_u64, |value, digit| {
        let digit = char::from(*digit).to_digit(radix).unwrap_or(0);
        value.saturating_mul(u64::from(radix)).saturating_add(u64::from(digit))
    });
    let [low, ..] = value.min(i64::MAX as u64).to_le_bytes();
    low
}
