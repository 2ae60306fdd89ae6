//! Looking at eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;
const SPACES: u64 = 0x2020_2020_2020_2020;
const DELETES: u64 = 0x7f7f_7f7f_7f7f_7f7f;

/// Marks the bytes below space and DEL in their high bits. The lowest mark is always right; a mark
/// above it may be a carry, so only the lowest is used.
fn control_marks(word: u64) -> u64 {
    let below_space = word.wrapping_sub(SPACES) & !word;
    let deletes = word ^ DELETES;
    let is_delete = deletes.wrapping_sub(ONES) & !deletes;
    (below_space | is_delete) & HIGHS
}

fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// The position of the first control byte other than tab.
///
/// PERF: `benches/codec.rs`, parse request: a token is many hundred bytes, which are looked at in
/// blocks without a branch inside.
#[inline]
pub(crate) fn find_control(bytes: &[u8]) -> Option<usize> {
    let (blocks, _) = bytes.as_chunks::<32>();
    let mut at = blocks.iter().take_while(|block| !has_control(block)).count() * 32;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let (words, tail) = rest.as_chunks::<8>();
        let marked = words.iter().enumerate().find_map(|(i, word)| {
            let marks = control_marks(u64::from_le_bytes(*word));
            (marks != 0).then(|| i * 8 + (marks.trailing_zeros() / 8) as usize)
        });
        let Some(found) = marked else {
            return tail.iter().position(|b| is_control(*b)).map(|i| at + words.len() * 8 + i);
        };
        if rest.get(found) != Some(&b'\t') {
            return Some(at + found);
        }
        at += found + 1;
    }
}

fn has_control(block: &[u8; 32]) -> bool {
    let control = |b: u8| (u8::from(b < b' ') & u8::from(b != b'\t')) | u8::from(b == 0x7f);
    block.iter().fold(0, |found, b| found | control(*b)) != 0
}

/// True if all bytes are lower-case letters or hyphens, of eight or more; otherwise it is not known
/// here.
#[inline]
pub(crate) fn is_lower_or_hyphen(bytes: &[u8]) -> bool {
    let (words, _) = bytes.as_chunks::<8>();
    bytes
        .last_chunk::<8>()
        .is_some_and(|last| words.iter().chain([last]).all(|word| is_lower_word(*word)))
}

/// Bytes below 0x80 do not carry into the next one in any of these sums.
fn is_lower_word(word: [u8; 8]) -> bool {
    let word = u64::from_le_bytes(word);
    let from = |byte: u8| word.wrapping_add(ONES * u64::from(0x80 - byte));
    let letters = from(b'a') & !from(b'z' + 1);
    let hyphens = !(word ^ (ONES * u64::from(b'-'))).wrapping_add(DELETES);
    word & HIGHS == 0 && (letters | hyphens) & HIGHS == HIGHS
}

/// The position of the first byte of this value. For short stretches, where it beats `memchr`.
#[inline]
pub(crate) fn find_byte(bytes: &[u8], wanted: u8) -> Option<usize> {
    let (words, tail) = bytes.as_chunks::<8>();
    let pattern = ONES * u64::from(wanted);
    for (i, word) in words.iter().enumerate() {
        let differs = u64::from_le_bytes(*word) ^ pattern;
        let marks = differs.wrapping_sub(ONES) & !differs & HIGHS;
        if marks != 0 {
            return Some(i * 8 + (marks.trailing_zeros() / 8) as usize);
        }
    }
    tail.iter().position(|b| *b == wanted).map(|i| words.len() * 8 + i)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_is_judged_as_one_by_one_at_every_place() {
        for byte in 0..=255_u8 {
            for place in 0..80 {
                let mut bytes = [b'a'; 80];
                bytes[place] = byte;
                let naive = bytes.iter().position(|b| is_control(*b));
                assert_eq!(find_control(&bytes), naive, "{byte:#x} at {place}");
            }
        }
    }

    #[test]
    fn lower_letters_and_hyphens_are_told_from_every_other_byte_at_every_place() {
        for length in 0..20 {
            assert_eq!(is_lower_or_hyphen(&vec![b'-'; length]), length >= 8);
            for byte in 0..=255_u8 {
                for place in 0..length {
                    let mut bytes = vec![b'm'; length];
                    bytes[place] = byte;
                    let naive = length >= 8 && (byte.is_ascii_lowercase() || byte == b'-');
                    assert_eq!(is_lower_or_hyphen(&bytes), naive, "{byte:#x} at {place}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_fast_search_agrees_with_the_naive_one(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'\t'), 0x20..0x7f_u8], 0..140)
        ) {
            prop_assert_eq!(find_control(&bytes), bytes.iter().position(|b| is_control(*b)));
            for wanted in [b':', bytes.first().copied().unwrap_or(0), bytes.last().copied().unwrap_or(0)] {
                prop_assert_eq!(find_byte(&bytes, wanted), bytes.iter().position(|b| *b == wanted));
            }
        }
    }
}
