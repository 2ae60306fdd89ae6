//! The SHA-1 digest, as bytes; rules put `t:hexEncode` behind it. For comparing with known values
//! only: it proves nothing.
//!
//! Example: `a` becomes `\x86\xf7\xe4\x37\xfa\xa5\xa7\xfc\xe1\x5d\x1d\xdc\xb9\xea\xea\xea\x37\x76\x67\xb8`.

use crate::byte_mask::ByteMask;
use sha1::{Digest as _, Sha1};

/// What it can change.
pub(super) const TRIGGERS: ByteMask = ByteMask::ANY;

/// Bytes of output for each byte of input, at most.
pub(super) const GROWTH: usize = 1;

/// Appends what becomes of `input` to `output`.
pub(super) fn apply(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(&Sha1::digest(input));
}
