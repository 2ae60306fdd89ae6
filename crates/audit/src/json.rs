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
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        for chunk in bytes.utf8_chunks() {
            escape(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    if is_cut {
        out.extend_from_slice(ELLIPSIS.as_bytes());
    }
    out.push(b'"');
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
    if socket.is_ipv4() {
        plain_address(out, socket.ip());
        out.push(b':');
        out.extend_from_slice(itoa::Buffer::new().format(socket.port()).as_bytes());
    } else {
        // Writing into a vector does not fail; a scope id is digits, so nothing needs an escape.
        let _ = write!(out, "{socket}");
    }
    out.push(b'"');
}

fn plain_address(out: &mut Vec<u8>, address: IpAddr) {
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

/// True for printable ASCII that needs no escape. Without a branch, so that it compiles to vector
/// code.
fn is_plain(bytes: &[u8]) -> bool {
    let special = bytes.iter().fold(0, |special, &byte| {
        let is_control = u8::from(byte.wrapping_sub(0x20) >= 0x5f);
        special | is_control | u8::from(byte == b'"') | u8::from(byte == b'\\')
    });
    special == 0
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
    fn terminal_and_direction_controls_are_escaped() {
        let json = written("a\u{1b}[2J\u{9b}2J\u{202e}b\u{2028}".as_bytes(), 100);
        assert_eq!(json, br#""a\u001b[2J\u009b2J\u202eb\u2028""#);
    }
}
