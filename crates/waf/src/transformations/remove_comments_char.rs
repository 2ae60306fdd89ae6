//! Leaves out the signs of comments, `/*`, `*/`, `<!--`, `-->`, `--` and `#`, and keeps what stands
//! between them.
//!
//! Example: `un/*x*/ion` becomes `unxion`.

use crate::byte_mask::ByteMask;

use super::rewrite;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"*-#");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let next =
        |rest: &[u8]| rest.iter().position(|byte| matches!(byte, b'/' | b'*' | b'<' | b'-' | b'#'));
    rewrite(input, output, next, |rest, output| match rest {
        [b'<', b'!', b'-', b'-', ..] => 4,
        [b'-', b'-', b'>', ..] => 3,
        [b'/', b'*', ..] | [b'*', b'/', ..] | [b'-', b'-', ..] => 2,
        [b'#', ..] => 1,
        _ => {
            output.extend(rest.first());
            1
        }
    });
}
