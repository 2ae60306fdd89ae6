//! Which patterns can be matched here.

use std::collections::HashMap;

use serde_json::json;

use crate::validate::oas_validator::check;

/// Patterns that were looked at.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<String, bool>);

impl Patterns {
    /// True if a pattern is a regular expression that can be matched in linear time.
    pub(super) fn is_supported(&mut self, pattern: &str) -> bool {
        if let Some(known) = self.0.get(pattern) {
            return *known;
        }
        let is_supported = check::options().build(&json!({ "pattern": pattern })).is_ok();
        self.0.insert(pattern.to_owned(), is_supported);
        is_supported
    }
}
