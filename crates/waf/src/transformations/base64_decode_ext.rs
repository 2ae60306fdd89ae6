//! Undoes Base64, passing over everything that is no digit of it.
//!
//! Padding may be missing. Nothing is left if a padding sign stands where one digit alone would make a
//! byte. ModSecurity also leaves nothing where such a digit is `9` and ends the value; here the rest is
//! decoded.
//!
//! Example: `Y.W I` becomes `ab`.

use crate::byte_mask::ByteMask;

use super::base64_decode::digit;
use super::low_byte;

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    let (mut word, mut bits) = (0_u32, 0_u32);
    for byte in input {
        if let Some(digit) = digit(*byte) {
            word = word << 6 | u32::from(digit);
            bits += 6;
            if bits >= 8 {
                bits -= 8;
                output.push(low_byte(word >> bits));
            }
            // Four digits are three bytes: nothing is left over.
        } else if *byte == b'=' && bits == 6 {
            output.clear();
            return;
        }
    }
}
