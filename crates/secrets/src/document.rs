//! A secret as it was read.

use std::collections::HashMap;
use std::time::Duration;

use bartizan_core::Secret;
use serde_json::{Map, Value};

/// One value of a secret.
pub(crate) enum Kept {
    /// Text.
    Text(Secret),
    /// Anything else, which stands for nothing.
    Other,
}

/// A secret as it was read.
pub(crate) struct Document {
    /// The values in it, by their keys.
    pub(crate) values: HashMap<String, Kept>,
    /// All of it, where it is a text.
    pub(crate) whole: Option<Secret>,
    /// How long its keeper says that it lasts.
    pub(crate) lease: Option<Duration>,
}

impl Document {
    /// The members of an object.
    pub(crate) fn of_members(members: Map<String, Value>, lease: Option<Duration>) -> Self {
        let kept = |(key, value): (String, Value)| match value {
            Value::String(text) => (key, Kept::Text(Secret::new(text))),
            _ => (key, Kept::Other),
        };
        Self { values: members.into_iter().map(kept).collect(), whole: None, lease }
    }

    /// A text, and the members of the JSON object that it may be.
    pub(crate) fn of_text(text: String) -> Self {
        let members: Map<String, Value> = serde_json::from_str(&text).unwrap_or_default();
        Self { whole: Some(Secret::new(text)), ..Self::of_members(members, None) }
    }

    /// What a key, or none, stands for, or why for nothing.
    pub(crate) fn value(&self, key: Option<&str>) -> Result<&str, &'static str> {
        let (text, empty) = match key {
            None => (self.whole.as_ref().ok_or("it is no text")?, "the secret is empty"),
            Some(key) => match self.values.get(key) {
                Some(Kept::Text(text)) => (text, "the key has an empty value"),
                Some(Kept::Other) => return Err("the value of the key is no text"),
                None if self.whole.is_some() && self.values.is_empty() => {
                    return Err("it is no JSON object with keys");
                }
                None if self.whole.is_some() => return Err("it holds no such key"),
                None => return Err("the path holds no such key"),
            },
        };
        text.expose_str().filter(|text| !text.is_empty()).ok_or(empty)
    }

    /// Whether the values are the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let is_same = |one: &Kept, other: &Kept| match (one, other) {
            (Kept::Text(one), Kept::Text(other)) => one.matches(other.expose()),
            (Kept::Other, Kept::Other) => true,
            _ => false,
        };
        let is_whole = match (&self.whole, &other.whole) {
            (Some(one), Some(other)) => one.matches(other.expose()),
            (None, None) => true,
            _ => false,
        };
        is_whole
            && self.values.len() == other.values.len()
            && self.values.iter().all(|(key, value)| {
                other.values.get(key).is_some_and(|there| is_same(value, there))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_itself_and_the_members_of_the_object_that_it_is() {
        let deep = format!(r#"{{"k": {}1{}}}"#, "[".repeat(200), "]".repeat(200));
        for (text, key, expected) in [
            ("plain", None, Ok("plain")),
            ("plain", Some("k"), Err("it is no JSON object with keys")),
            ("", None, Err("the secret is empty")),
            (r#"{"k": "v", "n": 1, "e": ""}"#, Some("k"), Ok("v")),
            (r#"{"k": "v"}"#, None, Ok(r#"{"k": "v"}"#)),
            (r#"{"k": "v", "n": 1}"#, Some("n"), Err("the value of the key is no text")),
            (r#"{"k": "v", "e": ""}"#, Some("e"), Err("the key has an empty value")),
            (r#"{"k": "v"}"#, Some("z"), Err("it holds no such key")),
            (r#"["k"]"#, Some("k"), Err("it is no JSON object with keys")),
            // Deeper than anything that is read, it is a text.
            (&deep, Some("k"), Err("it is no JSON object with keys")),
            (&deep, None, Ok(deep.as_str())),
        ] {
            let document = Document::of_text(text.to_owned());
            assert_eq!(document.value(key), expected, "{text} {key:?}");
        }
    }

    #[test]
    fn what_is_other_in_any_value_is_other() {
        let of = |text: &str| Document::of_text(text.to_owned());
        for (one, other, is_like) in [
            ("a", "a", true),
            ("a", "b", false),
            (r#"{"k":"v"}"#, r#"{"k":"v"}"#, true),
            (r#"{"k":"v"}"#, r#"{"k":"w"}"#, false),
            (r#"{"k":"v"}"#, r#"{"k":1}"#, false),
        ] {
            assert_eq!(of(one).is_like(&of(other)), is_like, "{one} {other}");
        }
    }
}
