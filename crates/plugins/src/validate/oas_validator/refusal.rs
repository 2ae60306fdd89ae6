//! Why a request does not fit its description, and what the client and the operator read of it.

use bartizan_core::{Denial, Reason};

use super::check::{SHOWN_MAX, Violation};
use super::parameter::Unreadable;
use super::style::Misfit;

/// What Apache APISIX tells a client.
const APISIX_MESSAGE: &str = "failed to validate request.";

/// Why a request does not fit its description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The description has no such path.
    Path,
    /// The path has other methods, which are listed.
    Method(Box<str>),
    /// The body's content type is not one of the operation's.
    Media(String),
    /// The body cannot be read in exactly one way.
    Unparsable(String),
    /// Something occurs more than once, or can be read in two ways.
    Ambiguous(Violation),
    /// Rules that do not hold.
    Schema(Vec<Violation>),
}

impl Misfit {
    /// The word that stands where a violation names its rule.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::Repeated => "repeated",
            Self::Style => "style",
            Self::Encoding => "encoding",
            Self::Json => "content",
            Self::Delimiter => "delimiter",
            Self::TooMany => "too many",
        }
    }
}

impl Refusal {
    /// One rule that does not hold.
    pub(super) fn violation(part: &str, name: Option<&str>, rule: &str) -> Self {
        Self::Schema(vec![Violation::new(part, name, rule)])
    }

    /// What cannot be read in a part.
    pub(super) fn unreadable(part: &str, unreadable: &Unreadable) -> Self {
        let misfit = unreadable.misfit;
        let violation = Violation::new(part, Some(&unreadable.name), misfit.rule());
        match misfit {
            Misfit::Repeated | Misfit::Delimiter => Self::Ambiguous(violation),
            _ => Self::Schema(vec![violation]),
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Path => Reason::UndeclaredPath,
            Self::Method(_) => Reason::UndeclaredMethod,
            Self::Media(_) => Reason::UndeclaredMediaType,
            Self::Unparsable(_) => Reason::UnparsableBody,
            Self::Ambiguous(_) => Reason::AmbiguousParameter,
            Self::Schema(_) => Reason::SchemaViolation,
        }
    }

    /// What does not fit; names and rules, never values.
    fn text(&self) -> String {
        match self {
            Self::Path => "the path is not in the document".to_owned(),
            Self::Method(_) => "the method is not in the document".to_owned(),
            Self::Media(text) | Self::Unparsable(text) => format!("body: {text}"),
            Self::Ambiguous(violation) => violation.to_string(),
            Self::Schema(violations) => {
                let shown: Vec<String> =
                    violations.iter().take(SHOWN_MAX).map(ToString::to_string).collect();
                shown.join("; ")
            }
        }
    }
}

/// How refusals are answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answers {
    /// The one status of all refusals; without it each has its own.
    pub(super) status: Option<u16>,
    /// Whether the client reads what does not fit.
    pub(super) is_verbose: bool,
    /// Whether it is told in the words of Apache APISIX.
    pub(super) is_apisix: bool,
}

impl Answers {
    /// The denial of a request for an operation.
    pub(super) fn denial(self, operation: Option<&str>, refusal: &Refusal) -> Denial {
        let text = refusal.text();
        let detail = match operation {
            Some(operation) => format!("{operation}: {text}"),
            None => text.clone(),
        };
        let mut denial = Denial::new(refusal.reason(), detail);
        denial.status = self.status;
        if denial.status() == Reason::UndeclaredMethod.status()
            && let Refusal::Method(allowed) = refusal
        {
            denial = denial.with_field("allow", allowed.to_string());
        }
        match (self.is_apisix, self.is_verbose) {
            (true, true) => denial.with_apisix_message(format!("{APISIX_MESSAGE} {text}")),
            (true, false) => denial.with_apisix_message(APISIX_MESSAGE),
            (false, true) => denial.with_message(text),
            (false, false) => denial,
        }
    }
}
