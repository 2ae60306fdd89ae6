//! Looking at many bytes of a text at once.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Eight bytes as a number, the first the lowest; `None` where fewer are left.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let eight = bytes.get(at..)?.first_chunk::<8>()?;
    Some(u64::from_le_bytes(*eight))
}

/// Where the plain part of a string ends: at a quotation mark, a backslash, a control character or
/// the end of the text.
///
/// PERF: `cargo xtask bench plugins` (`request-validation`): eight bytes at a time, as most of a
/// body is the inside of strings.
pub(super) fn plain_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(word) = word(bytes, at) {
        let found = special(word);
        if found != 0 {
            // Of at most 64 zeros: an eighth fits anywhere.
            return at + (found.trailing_zeros() >> 3) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
    at + plain
}

/// Marks the bytes of a word that end the plain part of a string. Only the lowest mark is to be
/// trusted: a subtraction that borrows may mark a byte above one that is marked rightly.
fn special(word: u64) -> u64 {
    let equal = |byte: u8| {
        let zero = word ^ (ONES.wrapping_mul(u64::from(byte)));
        zero.wrapping_sub(ONES) & !zero
    };
    let control = word.wrapping_sub(ONES.wrapping_mul(0x20)) & !word;
    (equal(b'"') | equal(b'\\') | control) & HIGHS
}

/// A number for a name, made of its length, its beginning and its end. It spreads names over
/// tables; whether two are the same is always decided by their bytes.
pub(super) fn hash(name: &[u8]) -> u32 {
    let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (name.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte)), 0),
    };
    mixed(head, tail, name.len())
}

/// The hash of a name that stands in a text.
///
/// PERF: `cargo xtask bench plugins` (`request-validation`): most names are short, and are read
/// without a loop where eight bytes are left.
pub(super) fn hash_at(bytes: &[u8], start: usize, end: usize) -> u32 {
    let length = end - start;
    if let (1..=7, Some(word)) = (length, word(bytes, start)) {
        return mixed(word & (u64::MAX >> (64 - 8 * length)), 0, length);
    }
    hash(bytes.get(start..end).unwrap_or_default())
}

/// Whether two names are the same.
///
/// PERF: `cargo xtask bench plugins` (`request-validation`): the two ends of most names meet, and
/// to compare those costs less than a call.
#[inline]
pub(super) fn is_same(one: &[u8], other: &[u8]) -> bool {
    fn ends<const N: usize>(name: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((name.first_chunk()?, name.last_chunk()?))
    }
    match one.len() {
        length if length != other.len() => false,
        0..=3 => one.iter().eq(other),
        4..=8 => ends::<4>(one) == ends::<4>(other),
        9..=16 => ends::<8>(one) == ends::<8>(other),
        _ => one == other,
    }
}

fn mixed(head: u64, tail: u64, length: usize) -> u32 {
    let mut word = head ^ tail.rotate_left(29) ^ (length as u64).wrapping_mul(0x9e37_79b9);
    word = word.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word ^= word >> 32;
    (word.wrapping_mul(0xd6e8_feb8_6659_fd93) >> 32) as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_plain_part_ends_where_a_look_at_each_byte_ends_it(bytes: Vec<u8>, from in 0_usize..9) {
            let rest = bytes.get(from..).unwrap_or_default();
            let is_plain = |byte: &&u8| **byte >= 0x20 && **byte != b'"' && **byte != b'\\';
            let slow = from + rest.iter().take_while(is_plain).count();
            prop_assert_eq!(plain_end(&bytes, from), slow);
        }

        #[test]
        fn names_are_the_same_if_all_their_bytes_are(
            name in proptest::collection::vec(any::<u8>(), 0..20), at in 0_usize..20, bit in 0_u8..8,
        ) {
            let mut other = name.clone();
            prop_assert!(is_same(&name, &other));
            prop_assert!(name.is_empty() || !is_same(&name, &name[1..]));
            if let Some(byte) = other.get_mut(at) {
                *byte ^= 1 << bit;
                prop_assert!(!is_same(&name, &other));
            }
        }

        #[test]
        fn a_name_has_one_hash_wherever_it_stands(
            before in "[a-z]{0,9}", name in "[a-z0-9]{0,20}", after in "[a-z]{0,9}",
        ) {
            let text = format!("{before}{name}{after}");
            let (start, end) = (before.len(), before.len() + name.len());
            prop_assert_eq!(hash_at(text.as_bytes(), start, end), hash(name.as_bytes()));
        }
    }
}
