//! The names of objects.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Longest key, in bytes.
pub const KEY_MAX: usize = 1_024;

/// The name of an object: the collection it is in and its id, as in `routes/orders`. A credential's
/// id is `username/credentials/id`, in the collection `consumers`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Arc<str>);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    /// It is too long.
    #[error("is longer than {KEY_MAX} bytes")]
    TooLong,
    /// There is no collection, no id, or an empty part between two slashes.
    #[error("is not of the form `collection/id`")]
    Form,
    /// A character that cannot be seen.
    #[error("holds a control character")]
    Control,
}

impl Key {
    /// The key of an object of a collection.
    pub fn new(collection: &str, id: &str) -> Result<Self, KeyFault> {
        if collection.contains('/') {
            return Err(KeyFault::Form);
        }
        Self::parse(&format!("{collection}/{id}"))
    }

    /// Reads `collection/id`.
    pub fn parse(text: &str) -> Result<Self, KeyFault> {
        if text.len() > KEY_MAX {
            return Err(KeyFault::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(KeyFault::Control);
        }
        if !text.contains('/') || text.split('/').any(str::is_empty) {
            return Err(KeyFault::Form);
        }
        Ok(Self(text.into()))
    }

    /// The key that stands for whatever somebody wrote in place of one: itself, or where it is none,
    /// with a `%` for what a key cannot hold. No id has that, so that the object is at fault, and
    /// not out of sight.
    pub(crate) fn standing_for(bytes: &[u8]) -> Self {
        if let Some(key) = std::str::from_utf8(bytes).ok().and_then(|text| Self::parse(text).ok()) {
            return key;
        }
        let parts = bytes.split(|byte| *byte == b'/').map(readable);
        let mut text = parts.collect::<Vec<_>>().join("/");
        if text.len() > KEY_MAX {
            text.truncate(KEY_MAX - HASH_LENGTH);
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            let kept = text.trim_end_matches('/').len();
            text.truncate(kept);
            // Writing to a string cannot fail.
            let _ = write!(text, "/%{:016x}", hasher.finish());
        } else if !text.contains('/') {
            text.push_str("/%");
        }
        Self(text.into())
    }

    /// The collection, such as `routes`.
    pub fn collection(&self) -> &str {
        self.0.split_once('/').map_or("", |(collection, _)| collection)
    }

    /// The id in its collection.
    pub fn id(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, id)| id)
    }

    /// Both, as they are written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What `/%` and a hash need.
const HASH_LENGTH: usize = 18;

/// A part of a key, with everything but plain characters as `%` and two digits.
fn readable(part: &[u8]) -> String {
    let mut text = String::new();
    for byte in part {
        match byte {
            b'%' => text.push_str("%25"),
            byte if byte.is_ascii_graphic() => text.push(char::from(*byte)),
            byte => {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{byte:02x}");
            }
        }
    }
    if text.is_empty() { "%".to_owned() } else { text }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_collection_and_an_id() {
        let key = Key::parse("consumers/jack/credentials/one").unwrap();
        assert_eq!((key.collection(), key.id()), ("consumers", "jack/credentials/one"));
        assert_eq!(Key::new("routes", "1").unwrap().as_str(), "routes/1");
    }

    #[test]
    fn whatever_is_written_in_place_of_a_key_is_seen_as_one_that_is_no_id() {
        let long = |length: usize| format!("routes/{}", "x".repeat(length - "routes/".len()));
        for (bytes, expected) in [
            (&b"routes/1"[..], "routes/1"),
            (b"routes/", "routes/%"),
            (b"routes//1", "routes/%/1"),
            (b"/1", "%/1"),
            (b"routes", "routes/%"),
            (b"", "%/%"),
            (b"routes/a\n\xffb%", "routes/a%0a%ffb%25"),
            ("routes/\u{e9}\u{7f}".as_bytes(), "routes/%c3%a9%7f"),
        ] {
            let key = Key::standing_for(bytes);
            assert_eq!(key.as_str(), expected);
            assert_eq!(Key::parse(expected), Ok(key));
        }
        assert_eq!(Key::standing_for(long(KEY_MAX).as_bytes()).as_str(), long(KEY_MAX));
        let [one, other] =
            [KEY_MAX + 1, KEY_MAX + 2].map(|n| Key::standing_for(long(n).as_bytes()));
        assert!(one != other && one.as_str().len() == KEY_MAX);
        assert_eq!((one.collection(), Key::parse(one.as_str())), ("routes", Ok(one.clone())));
        for bytes in ["/".repeat(2_000), "x".repeat(2_000)] {
            let key = Key::standing_for(bytes.as_bytes());
            assert_eq!(Key::parse(key.as_str()), Ok(key));
        }
    }

    #[test]
    fn what_names_nothing_is_no_key() {
        for (text, fault) in [
            ("routes", KeyFault::Form),
            ("routes/", KeyFault::Form),
            ("/1", KeyFault::Form),
            ("a//b", KeyFault::Form),
            ("routes/a\nb", KeyFault::Control),
        ] {
            assert_eq!(Key::parse(text), Err(fault), "{text:?}");
        }
        for (length, fits) in [(KEY_MAX - 1, true), (KEY_MAX, true), (KEY_MAX + 1, false)] {
            let parsed = Key::parse(&format!("r/{}", "x".repeat(length - 2)));
            assert_eq!(parsed == Err(KeyFault::TooLong), !fits, "{length}");
            assert_eq!(parsed.is_ok(), fits, "{length}");
        }
        assert_eq!(Key::new("a/b", "c"), Err(KeyFault::Form));
    }
}
