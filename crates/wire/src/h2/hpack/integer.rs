//! Integers with a prefix (RFC 7541 §5.1).

use super::HpackFault;

/// More than any index, length or table size that is in use; an integer beyond it is an attempt to
/// overflow something.
const MOST: u32 = 1 << 27;

/// Reads an integer whose first byte has `prefix` bits of it, and moves `input` past it.
pub(crate) fn read(input: &mut &[u8], prefix: u32) -> Result<usize, HpackFault> {
    let (first, mut rest) = input.split_first().ok_or(CUT)?;
    let mask = u8::MAX >> (8 - prefix.clamp(1, 8));
    let mut value = u32::from(first & mask);
    if value == u32::from(mask) {
        let mut shift = 0;
        loop {
            let (byte, behind) = rest.split_first().ok_or(CUT)?;
            rest = behind;
            // Four bytes reach beyond the most: zeros behind them are not waited for.
            if shift > 21 {
                return Err(HpackFault("an integer that is too large"));
            }
            value += u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *input = rest;
    if value > MOST {
        return Err(HpackFault("an integer that is too large"));
    }
    usize::try_from(value).map_err(|_| HpackFault("an integer that is too large"))
}

const CUT: HpackFault = HpackFault("a header block that ends inside a field");

/// Appends an integer behind the bits of `first`, of which `prefix` are free.
pub(crate) fn write(out: &mut Vec<u8>, first: u8, prefix: u32, value: usize) {
    let mask = u8::MAX >> (8 - prefix.clamp(1, 8));
    match u8::try_from(value) {
        Ok(small) if small < mask => out.push(first | small),
        _ => {
            out.push(first | mask);
            let mut left = value - usize::from(mask);
            while left >= 0x80 {
                out.push(low(left) | 0x80);
                left >>= 7;
            }
            out.push(low(left));
        }
    }
}

/// The lowest seven bits.
fn low(value: usize) -> u8 {
    let [byte, ..] = value.to_le_bytes();
    byte & 0x7f
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn integers_of_the_rfc_are_read_and_written() {
        for (bytes, prefix, value) in [
            (&[0b0000_1010][..], 5, 10),
            (&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, 1337),
            (&[0b0010_1010], 8, 42),
        ] {
            let mut input = bytes;
            assert_eq!(read(&mut input, prefix), Ok(value));
            assert!(input.is_empty());
            let mut out = Vec::new();
            write(&mut out, 0, prefix, value);
            assert_eq!(out, bytes);
        }
    }

    #[test]
    fn integers_that_overflow_or_have_no_end_are_refused() {
        for bytes in [
            &[0xff][..],
            &[0xff, 0x80],
            &[],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
        ] {
            assert!(read(&mut &*bytes, 7).is_err(), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_again(value in 0..=MOST as usize, prefix in 1..=8_u32) {
            let mut out = Vec::new();
            write(&mut out, 0, prefix, value);
            prop_assert_eq!(read(&mut out.as_slice(), prefix), Ok(value));
        }
    }
}
