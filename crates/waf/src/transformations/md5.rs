//! The MD5 digest, as bytes; rules put `t:hexEncode` behind it. For comparing with known values
//! only: it proves nothing.
//!
//! Example: `a` becomes `\x0c\xc1\x75\xb9\xc0\xf1\xb6\xa8\x31\xc3\x99\xe2\x69\x77\x26\x61`.

use crate::byte_mask::ByteMask;
use md5::{Digest as _, Md5};

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&Md5::digest(input));
}
