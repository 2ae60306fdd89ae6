//! The names of objects.

use std::fmt;
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
