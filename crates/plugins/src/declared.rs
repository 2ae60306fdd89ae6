//! Reasons that an operator declares for opening something.

use std::borrow::Cow;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// Longest reason, in characters.
const REASON_MAX: usize = 256;

/// Why something is open on purpose, in the words of whoever decided it. Never blank.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Declared(Arc<str>);

impl Declared {
    /// The words.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl JsonSchema for Declared {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Declared".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": REASON_MAX,
            "pattern": r"\S",
            "x-expects": "a reason in words",
        })
    }
}

impl TryFrom<String> for Declared {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a reason must say something");
        }
        if text.chars().count() > REASON_MAX {
            return Err("a reason has at most 256 characters");
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_something_and_is_short() {
        assert_eq!(
            &**Declared::try_from(" public price list ".to_owned()).unwrap().text(),
            "public price list"
        );
        for text in [String::new(), " \t\n".to_owned(), "x".repeat(257)] {
            assert!(Declared::try_from(text).is_err());
        }
    }
}
