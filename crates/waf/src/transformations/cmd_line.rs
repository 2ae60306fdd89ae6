//! What a shell would make of a command written to hide itself.
//!
//! Quotes, backslashes and carets go; a run of spaces, commas, semicolons, tabs and line ends becomes
//! one space, none before `/` or `(`; ASCII letters become small.
//!
//! Example: `C^AT, "/etc"/pass'w'd` becomes `cat/etc/passwd`.

use crate::byte_mask::ByteMask;

/// What it can change.
pub(super) const TRIGGERS: ByteMask =
    ByteMask::of_bytes(b"\"'\\^ ,;\t\r\n").or(ByteMask::of_range(b'A', b'Z'));

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let mut is_after_space = false;
    for byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !is_after_space {
                    output.push(b' ');
                    is_after_space = true;
                }
            }
            b'/' | b'(' => {
                if is_after_space {
                    output.pop();
                }
                output.push(*byte);
                is_after_space = false;
            }
            _ => {
                output.push(byte.to_ascii_lowercase());
                is_after_space = false;
            }
        }
    }
}
