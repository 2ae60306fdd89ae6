//! `multipart/form-data` (RFC 7578), read strictly: what two parsers could read differently is
//! refused.

use std::borrow::Cow;

use super::media::MediaType;

/// Most parts of a body.
const PARTS_MAX: usize = 1_000;

/// Longest head of a part, in bytes.
const HEAD_MAX: usize = 8_192;

/// Longest boundary (RFC 2046 §5.1.1).
const BOUNDARY_MAX: usize = 70;

/// A part of a form.
#[derive(Debug, PartialEq)]
pub(super) struct Part<'b> {
    pub(super) name: String,
    /// Its media type, where it states one.
    pub(super) media: Option<MediaType>,
    pub(super) content: &'b [u8],
}

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MultipartFault {
    Boundary,
    Unfinished,
    Head,
    Name,
    TooManyParts,
    TransferEncoding,
}

impl MultipartFault {
    /// What is wrong, for the operator.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Boundary => "no usable boundary",
            Self::Unfinished => "the boundaries are not where they belong",
            Self::Head => "the head of a part cannot be read",
            Self::Name => "a part has no one name",
            Self::TooManyParts => "too many parts",
            Self::TransferEncoding => "a part with a transfer encoding",
        }
    }
}

/// The parts of a body.
pub(super) fn parse<'b>(
    body: &'b [u8],
    media: &MediaType,
) -> Result<Vec<Part<'b>>, MultipartFault> {
    let boundary = media.parameter("boundary").ok_or(MultipartFault::Boundary)?;
    if boundary.is_empty() || boundary.len() > BOUNDARY_MAX || !boundary.is_ascii() {
        return Err(MultipartFault::Boundary);
    }
    let first = format!("--{boundary}");
    let next = format!("\r\n--{boundary}");
    // No preamble: parsers differ in what they make of one.
    let mut rest = body.strip_prefix(first.as_bytes()).ok_or(MultipartFault::Unfinished)?;
    let mut parts = Vec::new();
    loop {
        match rest {
            [b'-', b'-'] | [b'-', b'-', b'\r', b'\n'] => return Ok(parts),
            [b'\r', b'\n', inner @ ..] => {
                let end = find(inner, next.as_bytes()).ok_or(MultipartFault::Unfinished)?;
                let (part, after) = inner.split_at_checked(end).unwrap_or((inner, &[]));
                if parts.len() == PARTS_MAX {
                    return Err(MultipartFault::TooManyParts);
                }
                parts.push(read_part(part)?);
                rest = after.get(next.len()..).unwrap_or_default();
            }
            _ => return Err(MultipartFault::Unfinished),
        }
    }
}

fn read_part(part: &[u8]) -> Result<Part<'_>, MultipartFault> {
    let window = part.get(..part.len().min(HEAD_MAX)).unwrap_or_default();
    let end = find(window, b"\r\n\r\n").ok_or(MultipartFault::Head)?;
    let head = part.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let content = part.get(end + 4..).unwrap_or_default();
    let (mut name, mut media) = (None, None);
    for line in head.ok_or(MultipartFault::Head)?.split("\r\n") {
        let (field, value) = line.split_once(':').ok_or(MultipartFault::Head)?;
        let is_field = |wanted: &str| field.eq_ignore_ascii_case(wanted);
        if !field.bytes().all(bartizan_wire::is_token_byte) || value.contains(['\r', '\n', '\0']) {
            return Err(MultipartFault::Head);
        }
        if is_field("content-disposition") {
            if name.replace(disposition_name(value.trim())?).is_some() {
                return Err(MultipartFault::Name);
            }
        } else if is_field("content-type") {
            let stated = MediaType::parse(value.trim()).ok_or(MultipartFault::Head)?;
            if media.replace(stated).is_some() {
                return Err(MultipartFault::Head);
            }
        } else if is_field("content-transfer-encoding") && !is_identity(value.trim()) {
            return Err(MultipartFault::TransferEncoding);
        }
    }
    Ok(Part { name: name.ok_or(MultipartFault::Name)?, media, content })
}

fn is_identity(encoding: &str) -> bool {
    ["7bit", "8bit", "binary"].iter().any(|plain| encoding.eq_ignore_ascii_case(plain))
}

/// The name that `form-data; name="…"` gives: once, without what parsers unescape differently.
fn disposition_name(value: &str) -> Result<String, MultipartFault> {
    let fail = || MultipartFault::Name;
    let (kind, mut rest) = value.split_once(';').ok_or_else(fail)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(fail());
    }
    let mut found = None;
    loop {
        let (parameter, text) = rest.split_once('=').ok_or_else(fail)?;
        let parameter = parameter.trim();
        let (text, after) = quoted_or_token(text).ok_or_else(fail)?;
        if parameter.eq_ignore_ascii_case("name*") {
            return Err(fail());
        }
        if parameter.eq_ignore_ascii_case("name") && found.replace(text).is_some() {
            return Err(fail());
        }
        match after.trim_start().strip_prefix(';') {
            Some(more) => rest = more,
            None if after.trim().is_empty() => break,
            None => return Err(fail()),
        }
    }
    let name = found.ok_or_else(fail)?;
    if name.is_empty() || name.contains(['\\', '"']) || name.chars().any(char::is_control) {
        return Err(fail());
    }
    // Browsers encode a quote, a carriage return and a line feed, and nothing else.
    let decoded = ["%22", "%0D", "%0A"].iter().any(|escape| name.contains(escape));
    if decoded { Err(fail()) } else { Ok(name.into_owned()) }
}

/// A parameter's value, and what follows it.
fn quoted_or_token(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (token, after) = text.split_at_checked(end)?;
        return Some((Cow::Borrowed(token.trim_end()), after));
    };
    let mut is_escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Some((Cow::Borrowed(inner.get(..at)?), inner.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

/// The first place of a needle; a search from its first byte, which boundaries rarely share with
/// content.
fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let rest = haystack.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media() -> MediaType {
        MediaType::parse("multipart/form-data; boundary=xyz").unwrap()
    }

    fn form(parts: &[&str]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| format!("--xyz\r\n{part}\r\n")).collect();
        format!("{}--xyz--\r\n", parts.concat())
    }

    fn names(body: &str) -> Result<Vec<String>, MultipartFault> {
        let parts = parse(body.as_bytes(), &media())?;
        Ok(parts.into_iter().map(|part| part.name).collect())
    }

    #[test]
    fn parts_are_read_with_their_names_types_and_content() {
        let body = form(&[
            "Content-Disposition: form-data; name=\"a\"\r\n\r\none",
            "content-disposition: form-data; filename=\"x\\\"; name=\\\"q\"; name=b\r\n\
             Content-Type: image/png\r\n\r\n\r\n--xy\r\n",
        ]);
        let parts = parse(body.as_bytes(), &media()).unwrap();
        assert_eq!((&*parts[0].name, parts[0].content), ("a", &b"one"[..]));
        assert_eq!((&*parts[1].name, parts[1].content), ("b", &b"\r\n--xy\r\n"[..]));
        assert_eq!(parts[1].media, MediaType::parse("image/png"));
        assert_eq!(names("--xyz--").unwrap(), [""; 0]);
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        use MultipartFault::{Head, Name, TransferEncoding, Unfinished};
        let part = |head: &str| form(&[&format!("{head}\r\n\r\nx")]);
        for (body, fault) in [
            (form(&["Content-Disposition: form-data; name=\"a\"\n\nx"]), Head),
            (part("Content-Disposition: form-data; name=\"a\"; name=\"b\""), Name),
            (part("Content-Disposition: form-data; name*=utf-8''a"), Name),
            (part("Content-Disposition: form-data; name=\"a\\\"b\""), Name),
            (part("Content-Disposition: form-data; name=\"a%22b\""), Name),
            (part("Content-Disposition: form-data; name=\"\""), Name),
            (part("Content-Disposition: form-data; name=\"a"), Name),
            (part("Content-Disposition: attachment; name=\"a\""), Name),
            (part("Content-Disposition: form-data"), Name),
            (part("Content-Type: text/plain"), Name),
            (
                part(
                    "Content-Disposition: form-data; name=a\r\ncontent-disposition: form-data; name=b",
                ),
                Name,
            ),
            (part("Content-Disposition : form-data; name=a"), Head),
            (part(" Content-Disposition: form-data; name=a"), Head),
            (
                part("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64"),
                TransferEncoding,
            ),
            ("preamble\r\n--xyz--".to_owned(), Unfinished),
            ("--xyz\r\nContent-Disposition: form-data; name=a\r\n\r\nx".to_owned(), Unfinished),
            ("--xyz--epilogue".to_owned(), Unfinished),
            ("--xyzz\r\n".to_owned(), Unfinished),
        ] {
            assert_eq!(names(&body), Err(fault), "{body}");
        }
        for boundary in ["", "; boundary=", "; boundary=\u{e9}"] {
            let media = MediaType::parse(&format!("multipart/form-data{boundary}")).unwrap();
            assert_eq!(parse(b"----", &media), Err(MultipartFault::Boundary));
        }
    }

    #[test]
    fn heads_of_parts_and_boundaries_have_a_length_at_most() {
        for (length, is_read) in [(HEAD_MAX, true), (HEAD_MAX + 1, false)] {
            let start = "Content-Disposition: form-data; name=a\r\nX: ";
            let head = format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4));
            let body = format!("{head}text");
            let part = read_part(body.as_bytes());
            assert_eq!(part.is_ok_and(|part| part.content == b"text"), is_read, "{length}");
        }
        for (length, is_read) in [(BOUNDARY_MAX, true), (BOUNDARY_MAX + 1, false)] {
            let boundary = "b".repeat(length);
            let media = MediaType::parse(&format!("multipart/form-data; boundary={boundary}"));
            let body = format!("--{boundary}--");
            assert_eq!(parse(body.as_bytes(), &media.unwrap()).is_ok(), is_read, "{length}");
        }
    }

    #[test]
    fn the_number_of_parts_is_bounded() {
        let part = "Content-Disposition: form-data; name=a\r\n\r\nx";
        assert_eq!(names(&form(&[part; PARTS_MAX])).unwrap().len(), PARTS_MAX);
        assert_eq!(names(&form(&[part; PARTS_MAX + 1])), Err(MultipartFault::TooManyParts));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(
            parts in proptest::collection::vec(("[a-z\\[\\] é]{1,8}", "[^x]{0,20}"), 0..5),
        ) {
            let written: Vec<String> = parts
                .iter()
                .map(|(name, text)| format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n{text}"))
                .collect();
            let written: Vec<&str> = written.iter().map(String::as_str).collect();
            let body = form(&written);
            let read = parse(body.as_bytes(), &media()).unwrap();
            let read: Vec<(String, String)> = read
                .into_iter()
                .map(|part| (part.name, String::from_utf8(part.content.to_vec()).unwrap()))
                .collect();
            proptest::prop_assert_eq!(read, parts);
        }

        #[test]
        fn nothing_panics(body: Vec<u8>, head in "\\PC{0,40}") {
            let _ = parse(&body, &media());
            let _ = names(&form(&[&format!("Content-Disposition: {head}\r\n\r\n")]));
        }
    }
}
