//! As `urlDecode`, and `%uHHHH` too.
//!
//! A code point becomes the byte that the set's map has for it (`SecUnicodeMapFile`), else its low
//! byte; full-width forms, U+FF01 to U+FF5E, become the ASCII characters that they look like.
//!
//! Example: `%u003c%uff53cript%3e` becomes `<script>`.

use super::{hex, narrow, rewrite, url_decode};
use crate::byte_mask::ByteMask;
use crate::transformations::UnicodeMap;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"%+");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    apply_with(input, output, None);
}

/// The same with a map.
pub(super) fn apply_with(input: &[u8], output: &mut Vec<u8>, map: Option<&UnicodeMap>) {
    rewrite(
        input,
        output,
        |rest| memchr::memchr2(b'%', b'+', rest),
        |rest, output| {
            let [b'%', b'u' | b'U', tail @ ..] = rest else {
                return url_decode::decode(rest, output);
            };
            let code = tail.first_chunk().and_then(|digits| hex::four(*digits));
            let Some(code) = code else {
                output.extend(rest.iter().take(2));
                return 2;
            };
            output.push(map.and_then(|map| map.byte(code)).unwrap_or_else(|| narrow(code)));
            6
        },
    );
}
