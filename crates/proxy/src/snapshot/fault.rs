//! What is wrong with resources, and what deserves a look.

use bartizan_config::{Diagnostic, Invalid, PathStep, Place, Sources};

/// Something for which resources cannot be served.
#[derive(Clone, Debug)]
pub struct CompileFault {
    /// The resource or plugin at fault; `None` where it is the node file's (a listener's
    /// certificate that has expired since).
    pub place: Option<Place>,
    /// From there to the value at fault.
    pub path: Vec<PathStep>,
    /// What it is about, as in ``route `orders` ``.
    pub subject: String,
    /// What is wrong; understood beside the place, without the subject.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl CompileFault {
    /// The fault of a value inside the resource or plugin at `place`.
    pub(super) fn of(place: Place, subject: impl ToString, invalid: Invalid) -> Self {
        Self {
            place: Some(place),
            path: invalid.path,
            subject: subject.to_string(),
            problem: invalid.problem,
            help: invalid.help,
        }
    }

    /// The fault with the text it is about.
    pub fn diagnostic(&self, sources: &Sources) -> Diagnostic {
        let Some(place) = self.place else {
            return Diagnostic {
                place: None,
                path: self.subject.as_str().into(),
                problem: self.problem.clone(),
                help: self.help.clone(),
            };
        };
        let invalid = Invalid {
            path: self.path.clone(),
            problem: self.problem.clone(),
            help: self.help.clone(),
        };
        sources.locate(place, &invalid)
    }
}

/// Something that is served but deserves a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is about, as in ``upstream `orders` ``.
    pub subject: String,
    /// What deserves the look; understood without the subject.
    pub problem: String,
    /// What to do about it.
    pub help: Option<String>,
}
