//! What was found out about each object.

use bartizan_config::ObjectName;

/// What an object of Apache APISIX is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// What it means there, it means here.
    Same,
    /// It is accepted as it is, and asks for more or lets less through.
    Stricter,
    /// It is accepted with an addition that somebody has to look at.
    Review,
    /// It is not accepted.
    Refused,
}

impl Verdict {
    /// All, from the best.
    pub(super) const ALL: [Self; 4] = [Self::Same, Self::Stricter, Self::Review, Self::Refused];

    /// As reports name it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Stricter => "stricter",
            Self::Review => "to be reviewed",
            Self::Refused => "refused",
        }
    }
}

/// What there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// What is different, or wrong and where.
    pub(super) text: String,
    /// What to write instead.
    pub(super) help: Option<String>,
}

impl Note {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), help: None }
    }
}

/// A key of the node file of Apache APISIX.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeNote {
    /// Its path, as in `deployment.admin.allow_admin`.
    pub(super) key: String,
    pub(super) verdict: Verdict,
    pub(super) text: String,
}

/// An object and what was found out about it.
#[derive(Debug)]
pub(super) struct ObjectFinding {
    pub(super) name: ObjectName,
    pub(super) verdict: Verdict,
    pub(super) notes: Vec<Note>,
    /// Refused, and others would be less protected without it.
    pub(super) holds_up_all: bool,
}

/// Everything that was found out.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) node: Vec<NodeNote>,
    pub(super) objects: Vec<ObjectFinding>,
}

impl Findings {
    /// How many objects are not accepted.
    pub(super) fn refused(&self) -> usize {
        self.count(Verdict::Refused)
    }

    /// How many objects are of a verdict.
    pub(super) fn count(&self, verdict: Verdict) -> usize {
        self.objects.iter().filter(|object| object.verdict == verdict).count()
    }
}
