//! The static Huffman code (RFC 7541 §5.2 and Appendix B).
//!
//! The code is canonical: codes of one length follow each other in the order of their symbols. Its
//! lengths are therefore all there is to know; the tables are made of them at compile time.

use super::HpackFault;

/// The length of each symbol's code in bits. The last is the end of string, which is never sent.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const LONGEST: usize = 30;

/// The codes by length, and the symbols in the order of their codes.
struct Codes {
    /// The first code of each length.
    first: [u32; LONGEST + 1],
    /// How many codes of each length there are.
    count: [u32; LONGEST + 1],
    /// Where the symbols of each length begin.
    start: [u32; LONGEST + 1],
    sorted: [u16; 257],
    /// For each byte: the symbol whose code it begins with, and the code's length; zero where the
    /// code is longer than a byte.
    short: [(u8, u8); 256],
}

static CODES: Codes = codes();

#[expect(
    clippy::indexing_slicing,
    reason = "runs when this is compiled, where a place that is not there does not build"
)]
const fn codes() -> Codes {
    let mut codes = Codes {
        first: [0; LONGEST + 1],
        count: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
        sorted: [0; 257],
        short: [(0, 0); 256],
    };
    let (mut code, mut place, mut length) = (0_u32, 0_u32, 1);
    while length <= LONGEST {
        code <<= 1;
        codes.first[length] = code;
        codes.start[length] = place;
        let mut symbol = 0_u16;
        while symbol <= 256 {
            if LENGTHS[symbol as usize] as usize == length {
                codes.sorted[place as usize] = symbol;
                place += 1;
                code += 1;
                codes.count[length] += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    fill_short(codes)
}

#[expect(
    clippy::indexing_slicing,
    reason = "runs when this is compiled, where a place that is not there does not build"
)]
const fn fill_short(mut codes: Codes) -> Codes {
    let mut next = codes.first;
    let mut symbol = 0_u8;
    loop {
        let length = LENGTHS[symbol as usize];
        if length <= 8 {
            let free = 8 - length as usize;
            let mut place = (next[length as usize] as usize) << free;
            let end = place + (1 << free);
            while place < end {
                codes.short[place] = (symbol, length);
                place += 1;
            }
        }
        next[length as usize] += 1;
        if symbol == u8::MAX {
            return codes;
        }
        symbol += 1;
    }
}

/// Appends what `input` stands for.
pub(crate) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), HpackFault> {
    // What is left of the input, the next bit at the top.
    let (mut bits, mut count) = (0_u64, 0_u32);
    let mut input = input.iter();
    loop {
        while count <= 56 {
            let Some(byte) = input.next() else { break };
            bits |= u64::from(*byte) << (56 - count);
            count += 8;
        }
        let [top, ..] = bits.to_be_bytes();
        let (symbol, length) = CODES.short.get(usize::from(top)).copied().unwrap_or_default();
        if length != 0 {
            if u32::from(length) > count {
                break;
            }
            out.push(symbol);
            bits <<= length;
            count -= u32::from(length);
            continue;
        }
        let Some((symbol, length)) = long(bits, count) else { break };
        // The end of string is no symbol of a string (§5.2).
        out.push(u8::try_from(symbol).map_err(|_| HpackFault("an end of string in a string"))?);
        bits <<= length;
        count -= length;
    }
    // What fills the last byte is less than a byte, and ones (§5.2).
    let is_padding = count < 8 && bits.leading_ones() >= count;
    if is_padding { Ok(()) } else { Err(HpackFault("a string that ends inside a symbol")) }
}

/// The symbol at the top of `bits` whose code is longer than a byte.
fn long(bits: u64, count: u32) -> Option<(u16, u32)> {
    (9..=30_u32).take_while(|length| *length <= count).find_map(|length| {
        let row = usize::try_from(length).ok()?;
        let offset = (bits >> (64 - length)).checked_sub(u64::from(*CODES.first.get(row)?))?;
        if offset >= u64::from(*CODES.count.get(row)?) {
            return None;
        }
        let place = usize::try_from(u64::from(*CODES.start.get(row)?) + offset).ok()?;
        Some((*CODES.sorted.get(place)?, length))
    })
}

#[cfg(test)]
pub(crate) fn encode(text: &[u8]) -> Vec<u8> {
    let mut bits = Vec::new();
    for byte in text {
        let length = usize::from(LENGTHS[usize::from(*byte)]);
        let place = CODES.sorted.iter().position(|s| *s == u16::from(*byte)).unwrap();
        let code = CODES.first[length] + u32::try_from(place).unwrap() - CODES.start[length];
        bits.extend((0..length).rev().map(|n| code >> n & 1 == 1));
    }
    bits.resize(bits.len().next_multiple_of(8), true);
    bits.chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | u8::from(*bit))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(input, &mut out).ok().map(|()| out)
    }

    #[test]
    fn strings_of_the_rfc_are_read() {
        for (coded, text) in [
            ("f1e3c2e5f23a6ba0ab90f4ff", "www.example.com"),
            ("a8eb10649cbf", "no-cache"),
            ("25a849e95ba97d7f", "custom-key"),
            ("25a849e95bb8e8b4bf", "custom-value"),
            ("6402", "302"),
            ("aec3771a4b", "private"),
            ("d07abe941054d444a8200595040b8166e082a62d1bff", "Mon, 21 Oct 2013 20:13:21 GMT"),
            ("9d29ad171863c78f0b97c8e9ae82ae43d3", "https://www.example.com"),
            ("9bd9ab", "gzip"),
        ] {
            let coded = crate::h2::hpack::decode::tests::bytes(coded);
            assert_eq!(decoded(&coded).as_deref(), Some(text.as_bytes()), "{text}");
            assert_eq!(encode(text.as_bytes()), coded, "{text}");
        }
    }

    #[test]
    fn padding_is_ones_and_less_than_a_byte() {
        // `0` is 00000, `1` is 00001.
        assert_eq!(decoded(&[0b0000_0111]).as_deref(), Some(&b"0"[..]));
        assert_eq!(decoded(&[0b0000_0110]), None, "zeros");
        assert_eq!(decoded(&[0b0000_0111, 0xff]), None, "a byte of padding");
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[]).as_deref(), Some(&b""[..]));
    }

    #[test]
    fn the_end_of_string_is_refused() {
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xfc]), None);
        assert_eq!(decoded(&[0xff; 5]), None);
        assert_eq!(decoded(&[0xff; 40]), None);
    }

    #[test]
    fn every_byte_has_its_code() {
        for byte in 0..=255 {
            assert_eq!(decoded(&encode(&[byte])).as_deref(), Some(&[byte][..]));
            assert_eq!(decoded(&encode(&[byte; 3])).as_deref(), Some(&[byte; 3][..]));
        }
    }

    proptest! {
        #[test]
        fn what_was_coded_is_read_again(text in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assert_eq!(decoded(&encode(&text)), Some(text));
        }

        #[test]
        fn what_is_read_has_one_code(coded in prop::collection::vec(any::<u8>(), 0..20)) {
            if let Some(text) = decoded(&coded) {
                prop_assert_eq!(encode(&text), coded);
            }
        }
    }
}
