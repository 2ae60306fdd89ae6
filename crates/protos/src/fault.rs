//! What is wrong with a description.

use std::fmt;

/// A place in the text of a `.proto` file, both numbers from 1; columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl At {
    /// The place of an offset in a text.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..text.floor_char_boundary(offset)).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        Self { line, column: before.len() - start + 1 }
    }
}

/// What is wrong, and where where that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ProtoFault {
    /// Where in the text.
    pub at: Option<At>,
    /// What: lower case, no full stop.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl ProtoFault {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { at: None, problem: problem.into(), help: None }
    }

    pub(crate) fn at(self, at: At) -> Self {
        Self { at: Some(at), ..self }
    }

    pub(crate) fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for ProtoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(At { line, column }) = self.at {
            write!(f, "line {line}, column {column}: ")?;
        }
        f.write_str(&self.problem)
    }
}
