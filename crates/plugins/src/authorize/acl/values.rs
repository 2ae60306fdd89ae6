//! The values that a label has.

use bartizan_chain::{JsonLimits, parse_strict};
use regex_automata::meta::Regex;
use serde_json::Value;

use crate::authorize::object_guard::scalar;

/// A list in a label is flat and short.
const LIMITS: JsonLimits = JsonLimits { depth: 2, items: 1_024 };

/// A label before its values are read.
#[derive(Clone, Copy, Debug)]
pub(super) enum Label<'l> {
    /// Of a consumer.
    Text(&'l str),
    /// Of a token.
    Claim(&'l Value),
}

/// How values are read.
#[derive(Debug)]
pub(super) enum Reading {
    /// By what the label is.
    Any,
    /// A text with separators.
    Segmented(Box<Regex>),
    /// A text that is a list in JSON.
    Json,
    /// A list.
    List,
}

impl Reading {
    /// Whether some value is meant; an error says why there are none to compare.
    pub(super) fn any(
        &self,
        label: Label<'_>,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<bool, &'static str> {
        let is_meant = |value: &str| is_meant(value.trim());
        match label {
            Label::Text(text) => self.any_of_text(text, is_meant),
            Label::Claim(Value::String(text)) => self.any_of_text(text, is_meant),
            Label::Claim(claim) => self.any_of_claim(claim, is_meant),
        }
    }

    fn any_of_text(
        &self,
        text: &str,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<bool, &'static str> {
        match self {
            Self::List => Err("it is no list"),
            Self::Segmented(separator) => Ok(any_part(separator, text, is_meant)),
            Self::Any if !text.starts_with('[') => Ok(text.split(',').any(is_meant)),
            Self::Any | Self::Json => match parse_strict(text.as_bytes(), LIMITS) {
                Ok(Value::Array(items)) => any_item(&items, is_meant),
                _ => Err("it is no list in JSON"),
            },
        }
    }

    /// For claims that are no text.
    fn any_of_claim(
        &self,
        claim: &Value,
        is_meant: impl Fn(&str) -> bool,
    ) -> Result<bool, &'static str> {
        match (self, claim) {
            (Self::Segmented(_) | Self::Json, _) => Err("it is no text"),
            (Self::Any | Self::List, Value::Array(items)) => any_item(items, is_meant),
            (Self::List, _) => Err("it is no list"),
            (Self::Any, claim) => {
                let value = scalar(claim).ok_or("it is neither a list nor a single value")?;
                Ok(is_meant(&value))
            }
        }
    }
}

fn any_item(items: &[Value], is_meant: impl Fn(&str) -> bool) -> Result<bool, &'static str> {
    let mut found = false;
    for item in items {
        let value = scalar(item).ok_or("an item of it is no single value")?;
        found |= is_meant(&value);
    }
    Ok(found)
}

fn any_part(separator: &Regex, text: &str, is_meant: impl Fn(&str) -> bool) -> bool {
    let mut start = 0;
    for found in separator.find_iter(text) {
        if text.get(start..found.start()).is_some_and(&is_meant) {
            return true;
        }
        start = found.end();
    }
    text.get(start..).is_some_and(is_meant)
}
