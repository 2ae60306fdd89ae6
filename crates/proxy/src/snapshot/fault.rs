//! What is wrong with resources, and what deserves a look.

use bartizan_config::{Diagnostic, Invalid, PathStep, Place, Requirement, Sources};

/// Something for which resources cannot be served.
#[derive(Clone, Debug)]
pub struct CompileFault {
    /// The resource or plugin at fault; `None` where it is the node file, whose places are not
    /// kept (a listener's certificate).
    pub place: Option<Place>,
    /// From there, or from the root of the node file, to the value at fault.
    pub path: Vec<PathStep>,
    /// What it is about, as in ``route `orders` ``.
    pub subject: String,
    /// What is wrong; understood beside the place, without the subject.
    pub problem: String,
    /// What to write instead.
    pub help: Option<String>,
    /// What the node asks of every route and this one has not.
    pub lacks: Option<Requirement>,
}

impl CompileFault {
    /// The fault of a value inside the resource or plugin at `place`.
    pub(super) fn of(place: Place, subject: impl Into<String>, invalid: Invalid) -> Self {
        Self {
            place: Some(place),
            path: invalid.path,
            subject: subject.into(),
            problem: invalid.problem,
            help: invalid.help,
            lacks: None,
        }
    }

    /// The fault of a value of the node file.
    pub(super) fn of_node(subject: impl Into<String>, invalid: Invalid) -> Self {
        Self {
            place: None,
            path: invalid.path,
            subject: subject.into(),
            problem: invalid.problem,
            help: invalid.help,
            lacks: None,
        }
    }

    /// The fault with the text it is about.
    pub fn diagnostic(&self, sources: &Sources) -> Diagnostic {
        let (problem, help) = (self.problem.clone(), self.help.clone());
        let Some(place) = self.place else {
            return Diagnostic { place: None, path: dotted(&self.path).into(), problem, help };
        };
        sources.locate(place, &Invalid { path: self.path.clone(), problem, help })
    }
}

/// A path of the node file, whose keys are plain words.
fn dotted(path: &[PathStep]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            PathStep::Key(key) if text.is_empty() => text.push_str(key),
            PathStep::Key(key) => text.extend([".", key]),
            PathStep::Index(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
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
