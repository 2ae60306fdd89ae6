//! Reasons that an operator declares for opening something.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

/// Longest reason, in characters.
const REASON_MAX: usize = 256;

/// Why something is open on purpose, in the words of whoever decided it. Never blank.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(inline)]
pub(crate) struct Declared(
    #[schemars(length(min = 1, max = 256), regex(pattern = r"\S"))] Arc<str>,
);

impl Declared {
    /// The words.
    pub(crate) fn text(&self) -> &Arc<str> {
        &self.0
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
