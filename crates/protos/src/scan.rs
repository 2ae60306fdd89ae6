//! A look at the text of a `.proto` file before it is parsed: the parser calls itself for whatever
//! nests, so that how deep it may go is decided here.
//!
//! Strings and comments are skipped as the parser skips them. What it would mend after telling about
//! it (a string without end, an escape that is none) ends the scan, so that no bracket can hide.

use crate::bounds::DEPTH_MAX;
use crate::fault::{At, ProtoFault};
use crate::form::NAME_MAX;

/// Refuses a text that nests too deep, or of which nobody can tell how deep it nests.
pub(crate) fn scan(text: &str) -> Result<(), ProtoFault> {
    let refused = |offset, problem: &str| Err(ProtoFault::new(problem).at(At::of(text, offset)));
    let mut depth = 0_usize;
    let mut at = 0;
    let bytes = text.as_bytes();
    while let Some(byte) = bytes.get(at) {
        match byte {
            0 => return refused(at, "a zero byte"),
            b'#' => return refused(at, "a comment begins with `//`"),
            b'"' | b'\'' => match string(bytes, at) {
                Ok(end) => at = end,
                Err((offset, problem)) => return refused(offset, problem),
            },
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                while bytes.get(at + 1).is_some_and(|byte| *byte != b'\n') {
                    at += 1;
                }
            }
            b'/' if bytes.get(at + 1) == Some(&b'*') => match comment(text, at) {
                Ok(end) => at = end,
                Err(problem) => return refused(at, problem),
            },
            b'{' | b'[' | b'(' | b'<' => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return refused(at, &format!("nests deeper than {DEPTH_MAX} levels"));
                }
            }
            byte if is_of_word(*byte) => {
                let length = bytes.iter().skip(at).take_while(|byte| is_of_word(**byte)).count();
                if length > NAME_MAX {
                    return refused(at, &format!("a word of more than {NAME_MAX} bytes"));
                }
                at += length - 1;
            }
            b'}' | b']' | b')' | b'>' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// Names and numbers: the parser calls itself for each letter of some.
fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')
}

/// The last byte of the string that begins here.
fn string(bytes: &[u8], start: usize) -> Result<usize, (usize, &'static str)> {
    let quote = bytes.get(start);
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            None | Some(b'\n') => return Err((start, "a string without end")),
            Some(0) => return Err((at, "a zero byte")),
            Some(b'\\') => {
                let is_hex = |n: usize| {
                    let digits = bytes.get(at + 2..at + 2 + n);
                    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
                };
                let is_known = match bytes.get(at + 1) {
                    Some(b'x' | b'X') => is_hex(1),
                    Some(b'u') => is_hex(4),
                    Some(b'U') => is_hex(8),
                    Some(next) => br#"abfnrtv?\'"01234567"#.contains(next),
                    None => false,
                };
                if !is_known {
                    return Err((at, "no escape of this name"));
                }
                at += 2;
            }
            end if end == quote => return Ok(at),
            Some(_) => at += 1,
        }
    }
}

/// The last byte of the comment that begins here.
fn comment(text: &str, start: usize) -> Result<usize, &'static str> {
    let inside = text.get(start + 2..).unwrap_or_default();
    let Some(end) = inside.find("*/") else { return Err("a comment without end") };
    if inside.get(..end).is_some_and(|inside| inside.contains("/*")) {
        return Err("a comment inside a comment");
    }
    Ok(start + 2 + end + 1)
}
