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

mod hidden;
mod names;

use std::borrow::Cow;
use std::collections::HashSet;

use memchr::memchr;

use crate::json;
pub use hidden::Hidden;
use names::{Names, contains_secret_word};

/// What stands in the place of a hidden value.
pub const REDACTED: &str = "***";

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
    secret: Names,
    recorded: HashSet<Box<str>>,
}

impl Redactor {
    /// Hides the values of these header fields too: those from which plugins take credentials.
    #[must_use]
    pub fn with_secret_fields<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.secret.extend(names);
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
        self.hides(name.as_bytes())
    }

    /// The same for a name as it was received.
    pub fn hides(&self, name: &[u8]) -> bool {
        contains_secret_word(name) || self.secret.contains(name)
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
        let mut text = String::with_capacity(target.len());
        target_parts(target, |part| text.push_str(&String::from_utf8_lossy(part)));
        Redacted(text)
    }

    /// Appends a request target as it may be written to a JSON string, without quotes.
    pub fn write_target(out: &mut Vec<u8>, target: &[u8]) {
        target_parts(target, |part| json::piece(out, part));
    }

    /// The values of a request that must not occur in any text about it.
    pub fn hidden<'a>(
        &self,
        target: &[u8],
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Hidden {
        let fields = fields.into_iter().map(|(name, value)| (name.as_bytes(), value));
        Hidden::of(target, fields.filter(|(name, _)| self.hides(name)))
    }
}

/// The parts of a target that may be shown, one after the other.
fn target_parts(target: &[u8], mut show: impl FnMut(&[u8])) {
    let (path, query) = split_once(target, b'?');
    show(path);
    let Some(query) = query else { return };
    for (i, parameter) in query.split(|&byte| byte == b'&').enumerate() {
        show(if i == 0 { b"?" } else { b"&" });
        if let (name, Some(_)) = split_once(parameter, b'=') {
            show(name);
            show(b"=");
        }
        if !parameter.is_empty() {
            show(REDACTED.as_bytes());
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
    let halves = memchr(at, bytes).and_then(|found| bytes.split_at_checked(found));
    match halves {
        Some((before, from)) => (before, from.get(1..)),
        None => (bytes, None),
    }
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
        let mut out = Vec::new();
        Redactor::write_target(&mut out, b"/\"a\xff?\n=x&y");
        assert_eq!(out, "/\\\"a\u{fffd}?\\n=***&***".as_bytes());
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
}
