//! SecLang: the text of rules, read into a [`Script`](script::Script) that keeps every place.
//!
//! The language is the one that ModSecurity 3 reads. Where its text could mean two things, it is
//! refused: a rule that is read otherwise than its author thought is a hole. Everything that is
//! wrong is reported at once, each with its place.
//!
//! - A `\` at the end of a line continues it. A line that begins with `#` is a remark; a remark is
//!   continued only where it is a directive that was taken out.
//! - In double quotes `\"` is a quote; in the single quotes of an action's value `\'` is one. Every
//!   other backslash stands for itself, so that patterns need no second escaping.
//! - `%{NAME}` and `%{NAME.member}` are macros; the name must be known.

mod actions;
mod directives;
mod faults;
mod lines;
mod macros;
mod operator;
mod reader;
pub(crate) mod script;
mod targets;
#[cfg(test)]
mod tests;
mod values;

use crate::fault::RuleFault;
use crate::files::Files;
pub(crate) use lines::excerpt;
use reader::Reader;
use script::Script;

/// Reads the rule set that begins in the file `name`.
///
/// Everything that is wrong is reported at once, up to 100 faults.
pub(crate) fn read(name: &str, files: &dyn Files) -> Result<Script, Vec<RuleFault>> {
    let mut reader = Reader::new(files);
    reader.read(name);
    reader.finish()
}

/// Reads the rule set whose first file is called `name` and holds `text`.
pub(crate) fn read_text(
    name: &str,
    text: &str,
    files: &dyn Files,
) -> Result<Script, Vec<RuleFault>> {
    let mut reader = Reader::new(files);
    reader.text(name, text);
    reader.finish()
}

/// How a directive or an action stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It does what it says.
    Works,
    /// It is read and does nothing.
    Inert,
    /// It is a fault.
    Refused,
}

/// Every directive: its name, what it does or what to do instead, how it stands.
pub(crate) fn directives() -> impl Iterator<Item = (&'static str, &'static str, Standing)> {
    directives::DIRECTIVES.iter().map(|entry| {
        let standing = match entry.kind {
            directives::Kind::Inert => Standing::Inert,
            directives::Kind::Refused => Standing::Refused,
            _ => Standing::Works,
        };
        (entry.name, entry.does, standing)
    })
}

/// Every action: its name, what it does or what to do instead, how it stands.
pub(crate) fn actions() -> impl Iterator<Item = (&'static str, &'static str, Standing)> {
    actions::ACTIONS.iter().map(|entry| match entry.kind {
        actions::Kind::Refused(instead) => (entry.name, instead, Standing::Refused),
        _ => (entry.name, entry.does, Standing::Works),
    })
}
