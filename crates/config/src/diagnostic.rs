//! What is wrong with a configuration, and where.

use std::fmt;
use std::sync::Arc;

/// One step from a document's root to a value inside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathStep {
    /// A member of a mapping.
    Key(String),
    /// An item of a sequence.
    Index(usize),
}

/// A configuration value that a plugin or resource cannot work with: what `compile` returns.
///
/// The path is relative to the plugin's own configuration; whoever compiles it knows the place of
/// that in the document.
#[derive(Clone, Debug)]
pub struct Invalid {
    /// From the plugin's configuration to the value at fault; empty for the whole.
    pub path: Vec<PathStep>,
    /// What is wrong: lower case, no full stop, input in backticks.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl Invalid {
    /// The configuration as a whole is at fault.
    pub fn new(problem: impl Into<String>) -> Self {
        Self { path: Vec::new(), problem: problem.into(), help: None }
    }

    /// The value under `key` is at fault.
    pub fn at(key: &str, problem: impl Into<String>) -> Self {
        Self { path: vec![PathStep::Key(key.to_owned())], problem: problem.into(), help: None }
    }

    /// The item `index` of the list under `key` is at fault.
    pub fn at_item(key: &str, index: usize, problem: impl Into<String>) -> Self {
        Self {
            path: vec![PathStep::Key(key.to_owned()), PathStep::Index(index)],
            problem: problem.into(),
            help: None,
        }
    }

    /// The same fault, seen from one level further up.
    #[must_use]
    pub fn under(mut self, step: PathStep) -> Self {
        self.path.insert(0, step);
        self
    }

    /// Says what to write instead.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)
    }
}

/// Which of the loaded documents a place is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId(pub u32);

/// A stretch of a document, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The document.
    pub source: SourceId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset after the last byte.
    pub end: u32,
}

/// One problem of a configuration, shown with the text it is about.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Where; `None` where there is no text, such as a port in use.
    pub place: Option<Place>,
    /// The dotted path of the field (`routes[2].plugins.limit-count.count`).
    pub path: Arc<str>,
    /// What is wrong: lower case, no full stop, input in backticks.
    pub problem: String,
    /// What to write instead, or the nearest known name.
    pub help: Option<String>,
}
