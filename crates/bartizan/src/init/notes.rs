//! What of a document could not be taken over as it is, for the end.

use std::fmt::Write as _;

/// Most operations that a note names.
const NAMED_MAX: usize = 3;

/// What could not be taken over, each thing once.
#[derive(Debug, Default)]
pub(super) struct Notes(Vec<(String, Vec<String>)>);

impl Notes {
    /// Notes something of an operation or path.
    pub(super) fn add(&mut self, what: &str, about: &str) {
        match self.0.iter_mut().find(|(known, _)| known == what) {
            Some((_, abouts)) => abouts.push(about.to_owned()),
            None => self.0.push((what.to_owned(), vec![about.to_owned()])),
        }
    }

    /// The notes, one in a line.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for (what, abouts) in &self.0 {
            let named = abouts.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
            let more = match abouts.len().saturating_sub(NAMED_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  - {what}: {named}{more}");
        }
        text
    }
}
