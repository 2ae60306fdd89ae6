//! Which kinds of bytes stand in a value, in 64 bits.

/// The kinds of bytes that a value holds, or that something looks for.
///
/// Every byte belongs to one of 49 kinds: each ASCII punctuation mark, white space and NUL is a kind
/// of its own; digits, hexadecimal and other letters of either case, other controls and bytes above
/// ASCII are one each. A mask may claim more than is there, never less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ByteMask(u64);

/// The bit of each byte.
const KINDS: [u64; 256] = kinds();

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "runs when the crate is compiled, over the numbers from 0 to 255"
)]
const fn kinds() -> [u64; 256] {
    let mut table = [0_u64; 256];
    let mut next = 11_u32;
    let mut byte = 0_usize;
    while byte < 256 {
        table[byte] = 1
            << match byte as u8 {
                0 => 0,
                b'0'..=b'9' => 1,
                b'a'..=b'f' => 2,
                b'g'..=b'z' => 3,
                b'A'..=b'F' => 4,
                b'G'..=b'Z' => 5,
                0x80..=0xff => 6,
                0x7f => 7,
                b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ' | 0x21..=0x7e => {
                    next += 1;
                    next - 1
                }
                _ => 8,
            };
        byte += 1;
    }
    table
}

impl ByteMask {
    /// No byte.
    pub const NONE: Self = Self(0);
    /// Any byte.
    pub const ANY: Self = Self(u64::MAX);

    /// The kinds of the bytes of `value`.
    pub fn of(value: &[u8]) -> Self {
        // PERF: four independent accumulators; one dependent chain of ORs costs twice as much.
        let (chunks, rest) = value.as_chunks::<4>();
        let mut bits = [0_u64; 4];
        for chunk in chunks {
            for (bit, byte) in bits.iter_mut().zip(chunk) {
                *bit |= kind(*byte);
            }
        }
        let tail = rest.iter().fold(0, |mask, byte| mask | kind(*byte));
        Self(bits.iter().fold(tail, |mask, bit| mask | bit))
    }

    /// The same as [`of`](Self::of), for constants.
    pub const fn of_bytes(value: &[u8]) -> Self {
        let mut mask = 0;
        let mut rest = value;
        while let [byte, tail @ ..] = rest {
            mask |= kind(*byte);
            rest = tail;
        }
        Self(mask)
    }

    /// The kinds of every byte from `first` to `last`.
    pub const fn of_range(first: u8, last: u8) -> Self {
        let mut mask = 0;
        let mut byte = first;
        while byte <= last {
            mask |= kind(byte);
            if byte == u8::MAX {
                break;
            }
            byte += 1;
        }
        Self(mask)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// A number below `count` that differs for most masks, and for another `salt`.
    pub(crate) fn spread(self, salt: u32, count: usize) -> usize {
        // The golden ratio's bits: multiplying by them mixes all others into the highest.
        let salted = self.0 ^ u64::from(salt).wrapping_mul(0xd1b5_4a32_d192_ed03);
        let mixed = salted.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        usize::try_from(mixed).unwrap_or(0) % count.max(1)
    }

    /// True if any kind is in both.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

const fn kind(byte: u8) -> u64 {
    #[expect(clippy::indexing_slicing, reason = "a byte is always inside a table of 256")]
    KINDS[byte as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn punctuation_has_a_kind_of_its_own() {
        for byte in 0x20..0x7f_u8 {
            for other in 0x20..0x7f_u8 {
                let is_mark = !byte.is_ascii_alphanumeric() || !other.is_ascii_alphanumeric();
                if byte != other && is_mark {
                    let meets = ByteMask::of(&[byte]).meets(ByteMask::of(&[other]));
                    assert!(!meets, "{byte:#x} {other:#x}");
                }
            }
        }
    }

    #[test]
    fn nothing_that_is_there_is_missed() {
        for byte in 0..=255_u8 {
            let long = [b'a', b'-', byte, b'z', b'9', b'_', byte];
            assert!(ByteMask::of(&long).meets(ByteMask::of(&[byte])));
            assert_eq!(ByteMask::of(&long), ByteMask::of_bytes(&long));
        }
        assert_eq!(ByteMask::of_range(0x80, 0xff), ByteMask::of(&[0x93]));
    }
}
