//! A space for each comment `/* … */`; one that is not closed reaches to the end.
//!
//! Example: `union/*x*/select` becomes `union select`.

use crate::byte_mask::ByteMask;
use memchr::memmem;

use super::rewrite;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"*");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    rewrite(
        input,
        output,
        |rest| memchr::memchr(b'/', rest),
        |rest, output| {
            let [b'/', b'*', inside @ ..] = rest else {
                output.push(b'/');
                return 1;
            };
            output.push(b' ');
            memmem::find(inside, b"*/").map_or(rest.len(), |at| at + 4)
        },
    );
}
