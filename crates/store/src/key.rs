//! The names of objects.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};

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
    /// or looks like what stands for one, with a `%` for what a key cannot hold. No id has that, so
    /// that the object is at fault, and not out of sight. Two never have the same, and what follows
    /// the collection is one part, or below `secrets` two, so that the Admin API can name it.
    pub(crate) fn standing_for(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('%'));
        if let Some(key) = text.and_then(|text| Self::parse(text).ok()) {
            return key;
        }
        let slash = bytes.iter().position(|byte| *byte == b'/');
        let (collection, id) = match slash.and_then(|at| bytes.split_at_checked(at)) {
            Some((collection, id)) => (readable(collection), id.get(1..).map(readable)),
            // No part begins like that, whose first byte would be written with two digits.
            None => (readable(bytes), Some("%-".to_owned())),
        };
        let below = if collection == MANAGERS { "%/" } else { "" };
        let mut text = format!("{collection}/{below}{}", id.unwrap_or_default());
        if text.len() > KEY_MAX {
            // What is not ASCII is written in digits.
            text.truncate(KEY_MAX - HASH_LENGTH);
            let slashes = text.matches('/').count();
            let mark = if slashes == 0 { "/%" } else { "%" };
            text.truncate(text.trim_end_matches('/').len());
            // Writing to a string cannot fail.
            let _ = write!(text, "{mark}_");
            for byte in digest(&SHA256, bytes).as_ref() {
                let _ = write!(text, "{byte:02x}");
            }
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

/// What `/%_` and a hash need.
const HASH_LENGTH: usize = 3 + 64;

/// The collection whose ids have two parts.
const MANAGERS: &str = "secrets";

/// A part of a key, with everything but plain characters, and what separates parts, as `%` and two
/// digits.
fn readable(part: &[u8]) -> String {
    let mut text = String::new();
    for byte in part {
        match byte {
            b'%' => text.push_str("%25"),
            b'/' => text.push_str("%2f"),
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
    use proptest::prelude::*;

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
        let of = |bytes: &[u8]| Key::standing_for(bytes);
        for (bytes, expected) in [
            (&b"routes/1"[..], "routes/1"),
            (b"consumers/a/credentials/b", "consumers/a/credentials/b"),
            (b"routes/", "routes/%"),
            (b"routes//1", "routes/%2f1"),
            (b"routes//", "routes/%2f"),
            (b"/1", "%/1"),
            (b"routes", "routes/%-"),
            (b"", "%/%-"),
            (b"/", "%/%"),
            (b"routes/a\n\xffb%", "routes/a%0a%ffb%25"),
            (b"routes/a%0ab", "routes/a%250ab"),
            (b"routes/%", "routes/%25"),
            (b"routes/%-", "routes/%25-"),
            (b"secrets/vault/", "secrets/%/vault%2f"),
            (b"secrets/", "secrets/%/%"),
            ("routes/\u{e9}\u{7f}".as_bytes(), "routes/%c3%a9%7f"),
        ] {
            let key = of(bytes);
            assert_eq!(key.as_str(), expected);
            assert_eq!(Key::parse(expected), Ok(key));
        }
        assert_eq!(of(long(KEY_MAX).as_bytes()).as_str(), long(KEY_MAX));
        let [one, other] = [KEY_MAX + 1, KEY_MAX + 2].map(|n| of(long(n).as_bytes()));
        assert!(one != other && one.as_str().len() <= KEY_MAX);
        assert_eq!((one.collection(), Key::parse(one.as_str())), ("routes", Ok(one.clone())));
        for bytes in ["/".repeat(2_000), "x".repeat(2_000), "secrets/".repeat(500)] {
            let key = of(bytes.as_bytes());
            assert!(key.as_str().len() <= KEY_MAX, "{key}");
            assert_eq!(Key::parse(key.as_str()), Ok(key));
        }
    }

    proptest! {
        #[test]
        fn two_that_differ_are_seen_as_two(
            one in prop::collection::vec(prop::sample::select(b"a/%-_0\n\xff2f".to_vec()), 0..8),
            other in prop::collection::vec(prop::sample::select(b"a/%-_0\n\xff2f".to_vec()), 0..8),
        ) {
            let keys = [&one, &other].map(|bytes| Key::standing_for(bytes));
            prop_assert_eq!(keys[0] == keys[1], one == other);
            prop_assert_eq!(Key::parse(keys[0].as_str()), Ok(keys[0].clone()));
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
