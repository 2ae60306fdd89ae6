//! Leaves out comments: `/* … */`, `<!-- … -->`, and from `--` or `#` to the end.
//!
//! Either end closes either start. A comment that is not closed becomes a space. The byte after a
//! comment is taken as it is, even if it begins another one; after a comment that ends the value a
//! NUL byte is left, as ModSecurity does.
//!
//! Example: `un/*x*/ion -- y` becomes `union `.

use crate::byte_mask::ByteMask;

use super::rewrite;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::of_bytes(b"*-#");

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let next = |rest: &[u8]| rest.iter().position(|byte| matches!(byte, b'/' | b'<' | b'-' | b'#'));
    rewrite(input, output, next, |rest, output| match rest {
        [b'/', b'*', inside @ ..] => 2 + skip(inside, output),
        [b'<', b'!', b'-', b'-', inside @ ..] => 4 + skip(inside, output),
        [b'-', b'-', ..] | [b'#', ..] => rest.len(),
        _ => {
            output.extend(rest.first());
            1
        }
    });
}

/// Passes over a comment and what is left in its place; `rest` is what follows its start.
fn skip(rest: &[u8], output: &mut Vec<u8>) -> usize {
    let mut from = 0;
    while let Some(at) = memchr::memchr2(b'*', b'-', rest.get(from..).unwrap_or_default()) {
        let end = match rest.get(from + at..) {
            Some([b'*', b'/', ..]) => from + at + 2,
            Some([b'-', b'-', b'>', ..]) => from + at + 3,
            _ => {
                from += at + 1;
                continue;
            }
        };
        output.push(rest.get(end).copied().unwrap_or(0));
        return end + 1;
    }
    output.push(b' ');
    rest.len()
}
