//! The one form of a path (RFC 3986 §6.2.2, and stricter).
//!
//! Percent-encoded unreserved characters are decoded, what stays encoded has upper-case digits,
//! bytes that no URI may hold raw but browsers send are encoded, several slashes become one, dot
//! segments are removed. Refused: an encoded slash, backslash, semicolon, NUL or control character,
//! path parameters (`;`), raw non-ASCII, encoding that is invalid or double or no UTF-8, and dot
//! segments above the root. A policy may drop parameters and keep encoded slashes.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::PathPolicy;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Stands for itself.
    Plain,
    /// `%`
    Percent,
    /// Not allowed in a URI, but sent raw by browsers: has to be encoded.
    Encode,
    /// Refused.
    Refuse,
}

static KINDS: [Kind; 256] = kinds();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
const fn kinds() -> [Kind; 256] {
    let mut table = [Kind::Refuse; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'!' | b'$' | b'&'..=b'/' | b':' | b'=' | b'@' => Kind::Plain,
            b'%' => Kind::Percent,
            b'"' | b'<' | b'>' | b'[' | b']' | b'^' | b'`' | b'{' | b'|' | b'}' => Kind::Encode,
            _ if is_unreserved(byte) => Kind::Plain,
            _ => Kind::Refuse,
        };
        byte += 1;
    }
    table
}

/// RFC 3986 §2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

fn kind(byte: u8) -> Kind {
    KINDS.get(usize::from(byte)).copied().unwrap_or(Kind::Refuse)
}

/// A segment of a canonical path, decoded. The gate has refused what decodes to a control character
/// or to no text, so that decoding makes no new structure unless encoded slashes are let through.
pub fn decode_segment(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let mut value = byte;
        if byte == b'%' {
            (value, rest) = read_escape(after).ok()?;
        }
        decoded.push(value);
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

/// Appends the canonical form of `raw`, which starts with a slash.
pub(super) fn write_canonical(
    raw: &[u8],
    policy: PathPolicy,
    out: &mut String,
) -> Result<(), &'static str> {
    if raw.first() != Some(&b'/') {
        return Err("a path that does not start with a slash");
    }
    if is_canonical(raw, policy)
        && let Ok(text) = std::str::from_utf8(raw)
    {
        out.push_str(text);
        return Ok(());
    }
    let clean = recode(raw, policy)?;
    write_segments(&clean, policy, out)
}

/// True if the path is plain and holds nothing that could be a dot segment or an empty one.
fn is_canonical(raw: &[u8], policy: PathPolicy) -> bool {
    if policy.delete_tail_slash && raw.len() > 1 && raw.ends_with(b"/") {
        return false;
    }
    let mut after_slash = false;
    raw.iter().all(|byte| {
        let is_suspect = match byte {
            b'/' => after_slash && policy.merge_slashes,
            b'.' => after_slash,
            _ => false,
        };
        after_slash = *byte == b'/';
        !is_suspect && kind(*byte) == Kind::Plain
    })
}

/// Every character in its one encoding; slashes and dots are still as they came.
fn recode(raw: &[u8], policy: PathPolicy) -> Result<String, &'static str> {
    let mut clean = String::with_capacity(raw.len() + 16);
    // Bytes of the UTF-8 sequences that are being read.
    let mut high: SmallVec<[u8; 32]> = SmallVec::new();
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (value, after) = read_escape(after)?;
            rest = after;
            if value >= 0x80 {
                high.push(value);
                push_escape(value, &mut clean);
                continue;
            }
            check_utf8(&mut high)?;
            match value {
                b'/' if policy.encoded_slashes => push_escape(value, &mut clean),
                _ => push_decoded(value, &mut clean)?,
            }
            continue;
        }
        check_utf8(&mut high)?;
        if byte == b';' && policy.drop_parameters {
            rest = after_parameters(&clean, rest)?;
            continue;
        }
        match kind(byte) {
            Kind::Plain => clean.push(char::from(byte)),
            Kind::Encode => push_escape(byte, &mut clean),
            Kind::Refuse | Kind::Percent => return Err(refusal_of(byte)),
        }
    }
    check_utf8(&mut high)?;
    if has_double_encoding(clean.as_bytes()) {
        return Err("a doubly encoded byte in the path");
    }
    Ok(clean)
}

/// What follows the parameters of a segment. A segment that is nothing, or a dot segment, without
/// them is read in several ways.
fn after_parameters<'r>(clean: &str, rest: &'r [u8]) -> Result<&'r [u8], &'static str> {
    if matches!(clean.rsplit('/').next(), Some("" | "." | "..")) {
        return Err("parameters of a dot segment or of none");
    }
    let end = rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len());
    let (dropped, rest) = rest.split_at_checked(end).unwrap_or_default();
    match dropped.iter().find(|byte| **byte != b';' && kind(**byte) == Kind::Refuse) {
        Some(byte) => Err(refusal_of(*byte)),
        None => Ok(rest),
    }
}

/// True if a dot segment stands beside an encoded slash: whoever decodes that finds another path.
fn has_hidden_dots(segment: &str) -> bool {
    segment.contains("%2F") && segment.split("%2F").any(|part| matches!(part, "." | ".."))
}

fn refusal_of(byte: u8) -> &'static str {
    match byte {
        b'\\' => "a backslash in the path",
        b';' => "a path parameter",
        b'#' => "a fragment in the request target",
        0x80.. => "a byte in the path that is not ASCII",
        _ => "a byte in the path that is not allowed there",
    }
}

/// The byte that two hexadecimal digits stand for, and what follows them.
fn read_escape(after: &[u8]) -> Result<(u8, &[u8]), &'static str> {
    let [high, low, rest @ ..] = after else { return Err("an incomplete percent-encoding") };
    match (hex_value(*high), hex_value(*low)) {
        (Some(high), Some(low)) => Ok((high << 4 | low, rest)),
        _ => Err("a percent-encoding that is not hexadecimal"),
    }
}

pub(super) fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// An ASCII character that came encoded.
fn push_decoded(value: u8, clean: &mut String) -> Result<(), &'static str> {
    match value {
        b'/' => return Err("an encoded slash"),
        b'\\' => return Err("an encoded backslash"),
        b';' => return Err("an encoded semicolon"),
        0 => return Err("an encoded NUL"),
        1..0x20 | 0x7f => return Err("an encoded control character"),
        _ if is_unreserved(value) => clean.push(char::from(value)),
        _ => push_escape(value, clean),
    }
    Ok(())
}

fn push_escape(value: u8, clean: &mut String) {
    let digit = |n: u8| char::from(if n < 10 { b'0' + n } else { b'A' + n - 10 });
    clean.push('%');
    clean.push(digit(value >> 4));
    clean.push(digit(value & 15));
}

/// The encoded bytes since the last ASCII character are whole characters: no overlong forms, no
/// surrogates, no other character set, no control characters.
fn check_utf8(high: &mut SmallVec<[u8; 32]>) -> Result<(), &'static str> {
    if high.is_empty() {
        return Ok(());
    }
    let text = std::str::from_utf8(high).map_err(|_| "encoded bytes that are not UTF-8")?;
    if text.chars().any(char::is_control) {
        return Err("an encoded control character");
    }
    high.clear();
    Ok(())
}

/// `%25` and two hexadecimal digits: whoever decodes twice reads another path.
fn has_double_encoding(clean: &[u8]) -> bool {
    clean.windows(5).any(|window| {
        matches!(window, [b'%', b'2', b'5', high, low]
            if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
    })
}

/// Writes the path without dot segments (RFC 3986 §5.2.4), and without empty ones if slashes are
/// merged. Merging comes first, so that `/a//../b` is `/b` as most servers read it.
fn write_segments(clean: &str, policy: PathPolicy, out: &mut String) -> Result<(), &'static str> {
    let mut kept: SmallVec<[&str; 16]> = SmallVec::new();
    let mut ends_open = false;
    for segment in clean.split('/').skip(1) {
        ends_open = match segment {
            "." => true,
            ".." => {
                kept.pop().ok_or("a path above the root")?;
                true
            }
            "" if policy.merge_slashes => true,
            _ if has_hidden_dots(segment) => return Err("a dot segment beside an encoded slash"),
            _ => {
                kept.push(segment);
                false
            }
        };
    }
    if policy.delete_tail_slash {
        // Empty segments at the end are slashes there as well.
        while kept.last().is_some_and(|last| last.is_empty()) {
            kept.pop();
        }
        ends_open = false;
    }
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if ends_open || kept.is_empty() {
        out.push('/');
    }
    Ok(())
}
