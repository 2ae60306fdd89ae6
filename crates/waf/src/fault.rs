//! What is wrong with a rule, and where.

use std::fmt;
use std::sync::Arc;

/// Where something stands in the text of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The column in bytes, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why a rule set is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct RuleFault {
    /// Where the fault stands.
    pub place: Place,
    /// The line that it stands in, cut to a length that fits a screen.
    pub excerpt: String,
    /// What is wrong: lower case, no full stop, what was written in back-quotes.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}
