//! Why a command ends without success, as the person who typed it reads it.

use std::io::{IsTerminal, Write};
use std::path::Path;

use bartizan_config::{Diagnostic, Sources, one_line, render};

/// The exit code of a wrong configuration, environment or command line.
const MISCONFIGURED: u8 = 2;

/// Why a command ends without success.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration or the environment is at fault: exit code 2.
    Misconfigured {
        /// The documents that the problems are about.
        sources: Sources,
        /// What is wrong.
        problems: Vec<Diagnostic>,
    },
    /// A check ran and did not find what it should: exit code 1. The text says what.
    Unmet(String),
}

impl Failure {
    /// Something outside of any document: a folder, a port, an option.
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self::Misconfigured {
            sources: Sources::new(),
            problems: vec![Diagnostic {
                place: None,
                path: "".into(),
                problem: problem.into(),
                help: None,
            }],
        }
    }

    /// Something the system refuses to do with a file or folder.
    pub(crate) fn file(what: &str, path: &Path, cause: &std::io::Error) -> Self {
        Self::new(format!("cannot {what} `{}`: {}", path.display(), plain(cause)))
    }

    /// Says what to do about it.
    #[must_use]
    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        if let Self::Misconfigured { problems, .. } = &mut self
            && let Some(last) = problems.last_mut()
        {
            last.help = Some(help.into());
        }
        self
    }

    /// Tells it on standard error.
    pub(crate) fn tell(&self) {
        let mut stderr = std::io::stderr();
        // Nobody is left to be told if this fails.
        let _ = match self {
            Self::Misconfigured { sources, problems } => {
                let report = render(sources, problems, stderr.is_terminal());
                let count = problems.len();
                stderr.write_all(report.as_bytes()).and_then(|()| match count {
                    0 | 1 => Ok(()),
                    _ => writeln!(stderr, "{count} problems"),
                })
            }
            Self::Unmet(what) => writeln!(stderr, "error: {what}"),
        };
    }

    /// Each problem on a line of its own, for logs.
    pub(crate) fn lines(&self) -> String {
        match self {
            Self::Misconfigured { sources, problems } => {
                let lines: Vec<String> = problems.iter().map(|p| one_line(sources, p)).collect();
                lines.join("\n")
            }
            Self::Unmet(what) => what.clone(),
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Misconfigured { .. } => MISCONFIGURED,
            Self::Unmet(_) => 1,
        }
    }
}

/// The cause without the number of the error, which says nothing to people.
pub(crate) fn plain(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

/// Writes to standard output. A reader that has gone away is no failure.
pub(crate) fn say(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_without_numbers() {
        let cause = std::io::Error::from_raw_os_error(13);
        assert_eq!(plain(&cause), "permission denied");
    }

    #[test]
    fn only_a_failed_check_has_code_one() {
        assert_eq!(Failure::new("x").code(), 2);
        assert_eq!(Failure::Unmet("x".to_owned()).code(), 1);
    }
}
