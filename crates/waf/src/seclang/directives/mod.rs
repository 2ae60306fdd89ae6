//! Directives: what a line does.

mod rules;
mod settings;
mod table;

pub(super) use table::{DIRECTIVES, Entry, Kind};

use super::faults::{did_you_mean, quoted};
use super::lines::{Cx, Word};
use super::script::Directive;

/// How the rules of a file hang together so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Chain {
    /// The next rule begins anew.
    #[default]
    None,
    /// The next rule belongs to the one that the fault is kept for, should there be none.
    Open(crate::fault::RuleFault),
    /// The last rule could not be read.
    Unsure,
}

/// What a directive's reader works with.
pub(super) struct Args<'a, 'b> {
    /// The line, and where faults go.
    pub(super) cx: &'b mut Cx<'a>,
    /// The directive's name.
    pub(super) name: &'b Word,
    /// What stands behind it.
    pub(super) words: &'b [Word],
    /// The chain that the line may belong to.
    pub(super) chain: &'b mut Chain,
}

impl<'b> Args<'_, 'b> {
    /// Exactly one argument.
    pub(super) fn one(&mut self) -> Option<&'b Word> {
        self.between(1, 1)?;
        self.words.first()
    }

    /// Exactly two arguments.
    pub(super) fn two(&mut self) -> Option<(&'b Word, &'b Word)> {
        self.between(2, 2)?;
        match self.words {
            [first, second] => Some((first, second)),
            _ => None,
        }
    }

    /// Refuses fewer than `min` and more than `max` arguments.
    pub(super) fn between(&mut self, min: usize, max: usize) -> Option<()> {
        if let Some(extra) = self.words.get(max) {
            let help = if extra.text.starts_with('#') {
                "a remark stands on a line of its own"
            } else {
                "an argument with spaces in it needs double quotes around it"
            };
            let problem = format!("{} is one argument too many", quoted(&extra.text));
            return self.cx.fail(extra.start(), problem, Some(help.to_owned()));
        }
        if self.words.len() < min {
            let end = self.cx.line.text.trim_end().len();
            let problem = match min {
                1 => format!("`{}` needs an argument", self.name.text),
                _ => format!("`{}` needs {min} arguments", self.name.text),
            };
            let help = find(&self.name.text).map(Entry::usage);
            return self.cx.fail(end, problem, help);
        }
        Some(())
    }
}

impl Entry {
    /// How it is written, for a fault's help.
    fn usage(&self) -> String {
        format!("write `{} {}`", self.name, self.arguments)
    }
}

/// The directive of this name, case ignored.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    DIRECTIVES.iter().find(|entry| entry.name.eq_ignore_ascii_case(name))
}

/// Refuses a directive that there is not.
pub(super) fn unknown(cx: &mut Cx<'_>, name: &Word) {
    let help = if name.text.starts_with('<') {
        Some("sections of a web server's configuration have no meaning here".to_owned())
    } else {
        did_you_mean(&name.text, DIRECTIVES.iter().map(|entry| entry.name))
    };
    cx.fail::<()>(name.start(), format!("unknown directive {}", quoted(&name.text)), help);
}

/// Reads a directive that is none of the reader's own.
pub(super) fn read(args: &mut Args<'_, '_>, entry: &Entry) -> Option<Directive> {
    match entry.kind {
        Kind::Read(read) => read(args),
        Kind::Set(read) => {
            let value = args.one()?;
            read(args.cx, value).map(Directive::Setting)
        }
        Kind::Inert => Some(Directive::Setting(super::script::Setting::Inert)),
        Kind::Refused => {
            let problem = format!("`{}` is not supported", entry.name);
            args.cx.fail(args.name.start(), problem, Some(entry.does.to_owned()))
        }
        Kind::Include | Kind::IncludeOptional => None,
    }
}
