//! What of a request may be written.
//!
//! A request target or header field gets into an event only as [`Redacted`], which nothing but a
//! [`Redactor`] makes:
//!
//! * The value of a field whose name is secret is [`REDACTED`]. Names are secret that the
//!   configuration lists, and all that contain a word such as `authorization`, `token` or `cookie`:
//!   a new vendor's header is covered before anybody thinks of it.
//! * A query is written as its names; **no** value of a query is ever written, nor a parameter
//!   without a name.
//! * Where a value that was hidden occurs again in free text (a detail, the user agent), it is
//!   replaced there too, if it has at least eight bytes; shorter ones would tear up the text.
//!
//! It cannot know of secrets that a client puts into a path.

use std::borrow::Cow;
use std::collections::HashSet;

/// What stands in the place of a hidden value.
pub const REDACTED: &str = "***";

/// The shortest hidden value that is also looked for in free text.
const SCRUB_MIN: usize = 8;

/// The most hidden values of one request that are looked for in free text.
const SCRUB_MAX: usize = 64;

/// Words that make the name of a header field secret, wherever in the name they stand.
const SECRET_WORDS: &[&str] = &[
    "authorization",
    "cookie",
    "token",
    "secret",
    "passw",
    "apikey",
    "api-key",
    "api_key",
    "access-key",
    "private-key",
    "credential",
    "session",
    "signature",
    "assertion",
    "jwt",
    "csrf",
    "xsrf",
];

/// For each byte, the words whose first letter it is, and those whose second letter it is: a bit
/// for each word, in both cases.
///
/// PERF: `cargo xtask bench plugins` (`http-logger`): looking for each word by itself took half a
/// microsecond for each name, of which an entry has a dozen.
static BEGINNINGS: [[u32; 256]; 2] = beginnings();

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses what is not there"
)]
const fn beginnings() -> [[u32; 256]; 2] {
    let mut table = [[0; 256]; 2];
    let mut number = 0;
    while number < SECRET_WORDS.len() {
        let word = SECRET_WORDS[number].as_bytes();
        let mut at = 0;
        while at < 2 {
            let letter = word[at];
            table[at][letter as usize] |= 1 << number;
            table[at][letter.to_ascii_uppercase() as usize] |= 1 << number;
            at += 1;
        }
        number += 1;
    }
    table
}

/// Names that nearly every request or answer has, and that contain no secret word.
const COMMON: [&str; 20] = [
    "host",
    "date",
    "accept",
    "origin",
    "server",
    "referer",
    "user-agent",
    "connection",
    "content-type",
    "cache-control",
    "content-length",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-fetch-site",
    "accept-encoding",
    "accept-language",
    "x-forwarded-for",
    "x-forwarded-proto",
    "content-encoding",
    "last-modified",
];

/// Whether a name contains one of [`SECRET_WORDS`], whatever its case.
fn contains_secret_word(name: &[u8]) -> bool {
    !COMMON.iter().any(|common| common.as_bytes() == name) && search(name)
}

fn search(name: &[u8]) -> bool {
    let [first, second] = &BEGINNINGS;
    let mut begun = 0;
    for (at, byte) in name.iter().enumerate() {
        let of = |letters: &[u32; 256]| letters.get(usize::from(*byte)).copied().unwrap_or(0);
        let mut words = begun & of(second);
        begun = of(first);
        while words != 0 {
            let word = SECRET_WORDS.get(words.trailing_zeros() as usize).unwrap_or(&"");
            let here = name.get(at.saturating_sub(1)..).and_then(|rest| rest.get(..word.len()));
            if here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes())) {
                return true;
            }
            words &= words - 1;
        }
    }
    false
}

/// Text of a request from which secrets were taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redacted(String);

impl Redacted {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn scrub(&mut self, hidden: &Hidden) {
        hidden.scrub(&mut self.0);
    }

    pub(crate) fn append(&mut self, other: &Self) {
        self.0.push_str(", ");
        self.0.push_str(&other.0);
    }
}

/// Decides which values are hidden. One per configuration, shared by workers.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    secret: HashSet<Box<str>>,
    recorded: HashSet<Box<str>>,
}

impl Redactor {
    /// Hides the values of these header fields too: those from which plugins take credentials.
    #[must_use]
    pub fn with_secret_fields<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.secret.extend(names.into_iter().map(|name| name.to_ascii_lowercase().into()));
        self
    }

    /// Puts these header fields into events, as far as they are not secret.
    #[must_use]
    pub fn with_recorded_fields<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.recorded.extend(names.into_iter().map(|name| name.to_ascii_lowercase().into()));
        self
    }

    /// True if the values of this header field are hidden.
    pub fn is_secret(&self, name: &str) -> bool {
        contains_secret_word(name.as_bytes())
            || (!self.secret.is_empty() && self.secret.contains(&*lower(name)))
    }

    /// True if this header field is put into events.
    pub fn is_recorded(&self, name: &str) -> bool {
        self.recorded.contains(&*lower(name))
    }

    /// The value of a header field as it may be written.
    pub fn field(&self, name: &str, value: &[u8]) -> Redacted {
        Redacted(self.shown(name, value).into_owned())
    }

    /// The value of a header field as it may be written, without a copy where it can be had.
    pub fn shown<'a>(&self, name: &str, value: &'a [u8]) -> Cow<'a, str> {
        if self.is_secret(name) { Cow::Borrowed(REDACTED) } else { String::from_utf8_lossy(value) }
    }

    /// A request target as it may be written: the path, and the names of the query.
    pub fn target(target: &[u8]) -> Redacted {
        let (path, query) = split_once(target, b'?');
        let mut text = String::from_utf8_lossy(path).into_owned();
        let Some(query) = query else { return Redacted(text) };
        for (i, parameter) in query.split(|&byte| byte == b'&').enumerate() {
            text.push(if i == 0 { '?' } else { '&' });
            if let (name, Some(_)) = split_once(parameter, b'=') {
                text.push_str(&String::from_utf8_lossy(name));
                text.push('=');
            }
            if !parameter.is_empty() {
                text.push_str(REDACTED);
            }
        }
        Redacted(text)
    }

    /// The values of a request that must not occur in any text about it.
    pub fn hidden<'a>(
        &self,
        target: &[u8],
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Hidden {
        let mut hidden = Hidden::default();
        let (_, query) = split_once(target, b'?');
        for parameter in query.unwrap_or_default().split(|&byte| byte == b'&') {
            let (name, value) = split_once(parameter, b'=');
            let value = value.unwrap_or(name);
            hidden.add(value);
            // What is too short does not grow by being decoded.
            if value.len() >= SCRUB_MIN {
                hidden.add(&percent_decoded(value));
            }
        }
        for (name, value) in fields {
            if !self.is_secret(name) {
                continue;
            }
            hidden.add(value);
            if name.to_ascii_lowercase().contains("cookie") {
                for cookie in value.split(|&byte| byte == b';') {
                    let (_, value) = split_once(cookie.trim_ascii(), b'=');
                    hidden.add(value.unwrap_or(cookie));
                }
            } else {
                // The first word of several is a scheme such as `Bearer`.
                let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
                words.skip(1).for_each(|word| hidden.add(word));
            }
        }
        hidden.0.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        hidden
    }
}

/// Values that must not occur in any text about one request, longest first.
#[derive(Debug, Default)]
pub struct Hidden(Vec<String>);

impl Hidden {
    fn add(&mut self, value: &[u8]) {
        if value.len() < SCRUB_MIN || self.0.len() >= SCRUB_MAX {
            return;
        }
        let value = String::from_utf8_lossy(value).into_owned();
        if !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    /// True if the text would be changed.
    pub fn occurs_in(&self, text: &str) -> bool {
        self.0.iter().any(|value| value.len() <= text.len() && text.contains(value.as_str()))
    }

    /// Takes the values out of the text.
    pub fn scrub(&self, text: &mut String) {
        for value in &self.0 {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), REDACTED);
            }
        }
    }
}

/// A name in lower case; field names of requests are already.
fn lower(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn split_once(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |&byte| byte == at);
    (parts.next().unwrap_or_default(), parts.next())
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = after.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        let coded = digits.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match (byte, coded) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_written_as_its_names() {
        let shown = |target: &str| Redactor::target(target.as_bytes()).0;
        assert_eq!(shown("/a/b"), "/a/b");
        assert_eq!(shown("/a?owner=alice&token=x"), "/a?owner=***&token=***");
        assert_eq!(shown("/a?"), "/a?");
        assert_eq!(shown("/a?justasecret&&b="), "/a?***&&b=***");
        assert_eq!(shown("/a?q=x=y?z"), "/a?q=***");
    }

    #[test]
    fn names_are_secret_whatever_their_case_and_company() {
        let redactor = Redactor::default().with_secret_fields(["X-Door"]);
        for name in ["Authorization", "PROXY-AUTHORIZATION", "apikey", "X-Vault-Token", "x-door"] {
            assert!(redactor.is_secret(name), "{name}");
            assert_eq!(redactor.field(name, b"open sesame").as_str(), REDACTED);
        }
        assert!(!redactor.is_secret("accept"));
        assert_eq!(redactor.field("accept", b"a/b").as_str(), "a/b");
    }

    #[test]
    fn every_secret_word_is_found_wherever_it_stands_and_nothing_else_is() {
        let naive = |name: &str| {
            let name = name.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        };
        for word in SECRET_WORDS {
            let upper = word.to_ascii_uppercase();
            for name in [
                (*word).to_owned(),
                format!("x-{word}"),
                format!("{word}-x"),
                format!("a{upper}z"),
                format!("{}{word}", &word[..1]),
                word[1..].to_owned(),
                word[..word.len() - 1].to_owned(),
                String::new(),
                word[..1].to_owned(),
            ] {
                assert_eq!(contains_secret_word(name.as_bytes()), naive(&name), "{name}");
            }
        }
        for name in COMMON {
            assert!(!naive(name), "{name}");
        }
    }

    #[test]
    fn hidden_values_are_found_in_parts_and_decoded() {
        let fields: [(&str, &[u8]); 2] =
            [("authorization", b"Bearer abcdefgh"), ("cookie", b"a=1; sid=qrstuvwx")];
        let hidden = Redactor::default().hidden(b"/?k=%41BCDEFGH", fields);
        let mut text = "Bearer: `abcdefgh`, `qrstuvwx`, `ABCDEFGH`".to_owned();
        assert!(hidden.occurs_in(&text));
        hidden.scrub(&mut text);
        assert_eq!(text, "Bearer: `***`, `***`, `***`");
    }

    #[test]
    fn a_broken_percent_code_stays_as_it_is() {
        assert_eq!(percent_decoded(b"a%2"), b"a%2");
        assert_eq!(percent_decoded(b"%zz%41"), b"%zzA");
        assert_eq!(percent_decoded(b"a+b"), b"a b");
    }
}
