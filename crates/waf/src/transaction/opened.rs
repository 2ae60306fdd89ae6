//! Values that hold text in base64, which rules do not see: the text is judged as one more value of
//! the same name.
//!
//! A value is opened if it has at least 16 characters, all of them digits of base64 (of either
//! alphabet; a space may stand for the `+` that a form has lost), and becomes text: at least eight of
//! ten bytes are printable. A prefix such as `data:text/html;base64,` is passed over. Once only: what
//! is in base64 inside base64 stays closed. Both are bounded by the size of the request.

use super::Transaction;
use crate::variable::Variable;

/// Shorter values hold no attack, and too many words look like base64.
const LENGTH_MIN: usize = 16;
/// So many of a hundred bytes are printable in what counts as text.
const PRINTABLE_MIN: usize = 80;

impl Transaction {
    /// Adds the text of arguments and cookies that hold some.
    pub(super) fn open_values(&mut self) {
        if !self.overrides.as_ref().is_some_and(|overrides| overrides.opens_base64) {
            return;
        }
        for variable in [Variable::ArgsGet, Variable::ArgsPost, Variable::RequestCookies] {
            for member in self.facts.own(variable).to_vec() {
                let value = self.values.bytes(member.value);
                self.work.spend(value.len());
                if let Some(text) = text_of(value) {
                    let value = self.values.add(&text);
                    self.facts.add(variable, member.name, value);
                }
            }
        }
    }
}

fn text_of(value: &[u8]) -> Option<Vec<u8>> {
    let marker = b"base64,";
    let value = match memchr::memmem::find(value, marker) {
        Some(at) if value.starts_with(b"data:") => value.get(at + marker.len()..)?,
        _ => value,
    };
    let value = value.trim_ascii();
    if value.len() < LENGTH_MIN {
        return None;
    }
    let mut text = Vec::with_capacity(value.len() / 4 * 3 + 3);
    let (mut word, mut bits) = (0_u32, 0_u32);
    let end = value.iter().rposition(|byte| *byte != b'=')?;
    for byte in value.get(..=end)? {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' | b' ' => 62,
            b'/' | b'_' => 63,
            b'\r' | b'\n' => continue,
            _ => return None,
        };
        word = word << 6 | u32::from(digit);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            let [.., byte] = (word >> bits).to_be_bytes();
            text.push(byte);
        }
    }
    is_text(&text).then_some(text)
}

fn is_text(bytes: &[u8]) -> bool {
    // Letters of other alphabets are bytes above 127 in what is UTF-8, and noise in what is not.
    let is_utf8 = std::str::from_utf8(bytes).is_ok();
    let is_printable = |byte: &&u8| {
        matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n') || (is_utf8 && **byte > 127)
    };
    let printable = bytes.iter().filter(is_printable).count();
    !bytes.is_empty() && printable * 100 >= bytes.len() * PRINTABLE_MIN
}

#[cfg(test)]
mod tests {
    use super::text_of;
    use crate::transformations::Transformation;

    fn base64(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Transformation::Base64Encode.apply(text, &mut out);
        out
    }

    #[test]
    fn what_is_short_or_hardly_printable_stays_closed() {
        let long = base64(b"abcdefghijklmnopqr");
        for length in [14, 15, 16, 17, 18] {
            let opened = text_of(long.get(..length).unwrap());
            assert_eq!(opened.is_some(), length >= 16, "{length}");
        }
        for printable in [79, 80, 81] {
            let text = [vec![b'a'; printable], vec![1; 100 - printable]].concat();
            assert_eq!(text_of(&base64(&text)).is_some(), printable >= 80, "{printable}");
        }
    }

    #[test]
    fn text_is_found_and_what_is_none_is_not() {
        for (value, wanted) in [
            ("MScgT1IgJzEnPScxJyAtLSA=", Some("1' OR '1'='1' -- ")),
            ("MScgT1IgJzEnPScxJyAtLSA", Some("1' OR '1'='1' -- ")),
            ("PHNjcmlwdD5h\r\nbGVydCgxKTwvc2NyaXB0Pg==", Some("<script>alert(1)</script>")),
            (
                "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg",
                Some("<script>alert(1)</script>"),
            ),
            ("Pj4-Pj8_Pz8_PD4-Pz8", Some(">>>>?????<>>??")),
            ("0YPRgNC-0Log0YLRgNC4", Some("урок три")),
            ("internationalization", None),
            ("6f1c0e3a9a704c3e8c580f7d1f1f8a11", None),
            ("MScgT1IgJzEn", None),
            ("1' OR '1'='1' OR 1", None),
            ("================", None),
            ("AAAAAAAAAAAAAAAAAAAAAAAA", None),
        ] {
            let found = text_of(value.as_bytes());
            let found = found.as_ref().map(|text| String::from_utf8_lossy(text).into_owned());
            assert_eq!(found.as_deref(), wanted, "{value}");
        }
    }
}
