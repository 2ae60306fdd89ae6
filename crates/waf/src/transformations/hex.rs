//! Hexadecimal digits.

/// The value of a digit, of either case.
pub(crate) fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// The byte that two digits stand for.
pub(crate) fn pair(high: u8, low: u8) -> Option<u8> {
    Some(digit(high)? << 4 | digit(low)?)
}

/// The first byte of `input`, percent-encoding undone, and what stands behind it.
pub(crate) fn percent(input: &[u8]) -> Option<(u8, &[u8])> {
    match input {
        [b'%', high, low, rest @ ..] if let Some(byte) = pair(*high, *low) => Some((byte, rest)),
        [first, rest @ ..] => Some((*first, rest)),
        [] => None,
    }
}

/// The number that four digits stand for.
pub(crate) fn four(digits: [u8; 4]) -> Option<u32> {
    let mut code = 0;
    for byte in digits {
        code = code << 4 | u32::from(digit(byte)?);
    }
    Some(code)
}

/// The byte that two signs stand for if both are taken for digits whatever they are.
pub(super) fn loose(high: u8, low: u8) -> u8 {
    let value = |byte: u8| {
        if byte >= b'A' { (byte & 0xdf).wrapping_sub(b'A' - 10) } else { byte.wrapping_sub(b'0') }
    };
    value(high).wrapping_mul(16).wrapping_add(value(low))
}

/// The two digits of a byte, letters small.
pub(super) fn digits(byte: u8) -> [u8; 2] {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' + value - 10 };
    [digit(byte >> 4), digit(byte & 15)]
}
