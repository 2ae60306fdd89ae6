//! Writes one JSON object into a buffer, without allocation and without a byte of a value being
//! able to end the string or the line it is in (RFC 8259 §7).

use std::io::Write;
use std::net::{IpAddr, SocketAddr};

/// The comma, the quoted key and the colon before a value.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(crate) use key;

/// Says at the end of a text that it was cut.
const ELLIPSIS: &str = "…";

/// Appends a text as a JSON string of at most `max` bytes of input; what is not UTF-8 is replaced.
pub fn text(out: &mut Vec<u8>, bytes: &[u8], max: usize) {
    let (bytes, is_cut) = cut(bytes, max);
    out.push(b'"');
    piece(out, bytes);
    if is_cut {
        out.extend_from_slice(ELLIPSIS.as_bytes());
    }
    out.push(b'"');
}

/// Appends a part of a JSON string, all of it and without quotes; what is not UTF-8 is replaced.
/// Parts that follow each other must end with a character.
pub fn piece(out: &mut Vec<u8>, bytes: &[u8]) {
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
        return;
    }
    for chunk in bytes.utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// Appends `key` and the text, if there is one.
pub(crate) fn text_if(out: &mut Vec<u8>, key: &str, bytes: Option<&[u8]>, max: usize) {
    if let Some(bytes) = bytes {
        out.extend_from_slice(key.as_bytes());
        text(out, bytes, max);
    }
}

/// Appends `key` and text that is known to need no escape.
pub(crate) fn word(out: &mut Vec<u8>, key: &str, word: &str) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    out.extend_from_slice(word.as_bytes());
    out.push(b'"');
}

/// Appends `key` and a number.
pub(crate) fn number(out: &mut Vec<u8>, key: &str, number: u64) {
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends `key` and an address.
pub(crate) fn address(out: &mut Vec<u8>, key: &str, address: IpAddr) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    plain_address(out, address);
    out.push(b'"');
}

/// Appends `key` and an address with its port.
pub(crate) fn socket(out: &mut Vec<u8>, key: &str, socket: SocketAddr) {
    out.extend_from_slice(key.as_bytes());
    out.push(b'"');
    plain_socket(out, socket);
    out.push(b'"');
}

/// Appends an address with its port, without quotes.
pub fn plain_socket(out: &mut Vec<u8>, socket: SocketAddr) {
    if socket.is_ipv4() {
        plain_address(out, socket.ip());
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(socket.port()).as_bytes());
    } else {
        // Writing into a vector does not fail; a scope id is digits, so nothing needs an escape.
        let _ = write!(out, "{socket}");
    }
}

/// Appends an address, without quotes.
pub fn plain_address(out: &mut Vec<u8>, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            let mut digits = itoa::Buffer::new();
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(v6) => {
            let _ = write!(out, "{v6}");
        }
    }
}

/// At most `max` bytes that do not end inside a character, and whether any were left off.
fn cut(bytes: &[u8], max: usize) -> (&[u8], bool) {
    if bytes.len() <= max {
        return (bytes, false);
    }
    let is_inside = |end: usize| bytes.get(end).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (max.saturating_sub(3)..=max).rev().find(|&end| !is_inside(end)).unwrap_or(max);
    (bytes.get(..end).unwrap_or_default(), true)
}

/// True for printable ASCII that needs no escape.
///
/// PERF: `cargo xtask bench plugins` (`http-logger`): an entry has some fifty texts, most of them
/// short. Long ones are seen in blocks, which compile to vector code, others in words; the last
/// block or word reaches back over the one before it.
fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<32>() {
        let (blocks, _) = bytes.as_chunks::<32>();
        return blocks
            .iter()
            .chain([last])
            .all(|block| block.iter().copied().fold(0, is_special) == 0);
    }
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        let found = words.iter().chain([last]).map(|word| find_special(u64::from_le_bytes(*word)));
        return found.fold(0, |all, one| all | one) == 0;
    }
    bytes.iter().copied().fold(0, is_special) == 0
}

/// `found`, or something else than zero for a byte that needs an escape or is no printable ASCII.
fn is_special(found: u8, byte: u8) -> u8 {
    let is_control = u8::from(byte.wrapping_sub(0x20) >= 0x5f);
    found | is_control | u8::from(byte == b'"') | u8::from(byte == b'\\')
}

/// The same for the eight bytes of a word.
fn find_special(word: u64) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    // A byte's highest bit is set in these where the byte is zero, or below a blank; borrows make
    // that wrong only above a byte for which it is right.
    let is_zero = |word: u64| word.wrapping_sub(EACH) & !word;
    let is_low = word.wrapping_sub(EACH * 0x20) & !word;
    let is = |byte: u8| is_zero(word ^ (EACH * u64::from(byte)));
    (word | is_low | is(b'"') | is(b'\\') | is(0x7f)) & (EACH * 0x80)
}

fn escape(out: &mut Vec<u8>, text: &str) {
    let mut start = 0;
    for (at, character) in text.char_indices() {
        if !is_escaped(character) {
            continue;
        }
        out.extend_from_slice(text.get(start..at).unwrap_or_default().as_bytes());
        start = at + character.len_utf8();
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            other => {
                let _ = write!(out, "\\u{:04x}", u32::from(other));
            }
        }
    }
    out.extend_from_slice(text.get(start..).unwrap_or_default().as_bytes());
}

/// What JSON wants escaped, and what would steer a terminal or turn around the text of a viewer:
/// the control characters of both blocks, line separators and direction overrides.
fn is_escaped(character: char) -> bool {
    matches!(character,
        '"' | '\\' | '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(bytes: &[u8], max: usize) -> Vec<u8> {
        let mut out = Vec::new();
        text(&mut out, bytes, max);
        out
    }

    fn read(json: &[u8]) -> String {
        serde_json::from_slice(json).unwrap()
    }

    proptest! {
        #[test]
        fn any_bytes_read_back_as_their_lossy_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let json = written(&bytes, usize::MAX);
            prop_assert_eq!(read(&json), String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_text_stays_on_its_line(text in any::<String>()) {
            let json = written(text.as_bytes(), usize::MAX);
            prop_assert!(json.iter().all(|&byte| byte >= 0x20 && byte != 0x7f));
            prop_assert_eq!(read(&json), text);
        }

        #[test]
        fn a_cut_text_is_a_prefix_within_the_bound(text in any::<String>(), max in 0_usize..40) {
            let shown = read(&written(text.as_bytes(), max));
            if text.len() <= max {
                prop_assert_eq!(shown, text);
            } else {
                let prefix = shown.strip_suffix(ELLIPSIS).unwrap();
                prop_assert!(text.starts_with(prefix));
                prop_assert!(prefix.len() <= max && prefix.len() + 4 > max.min(text.len()));
            }
        }

        #[test]
        fn addresses_read_as_the_standard_library_writes_them(v4: u32, v6: u128, port: u16) {
            for ip in [IpAddr::V4(v4.into()), IpAddr::V6(v6.into())] {
                let mut out = Vec::new();
                plain_address(&mut out, ip);
                prop_assert_eq!(String::from_utf8(out).unwrap(), ip.to_string());
                let mut out = Vec::new();
                socket(&mut out, "", SocketAddr::new(ip, port));
                prop_assert_eq!(read(&out), SocketAddr::new(ip, port).to_string());
            }
        }
    }

    #[test]
    fn a_special_byte_is_seen_wherever_it_stands() {
        for length in 1..100 {
            for byte in 0..=255_u8 {
                let needs_care = !(0x20..0x7f).contains(&byte) || matches!(byte, b'"' | b'\\');
                for at in [0, length / 2, length - 1] {
                    for around in [b'!', b'~', b'a'] {
                        let mut bytes = vec![around; length];
                        bytes[at] = byte;
                        assert_eq!(is_plain(&bytes), !needs_care, "{byte} at {at} of {length}");
                    }
                }
            }
        }
        assert!(is_plain(b""));
    }

    #[test]
    fn terminal_and_direction_controls_are_escaped() {
        let json = written("a\u{1b}[2J\u{9b}2J\u{202e}b\u{2028}".as_bytes(), 100);
        assert_eq!(json, br#""a\u001b[2J\u009b2J\u202eb\u2028""#);
    }
}
