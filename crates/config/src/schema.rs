//! Checks a document against a JSON Schema and tells every problem with its place.
//!
//! The schemas are ours: those that `schemars` makes and a few keywords that are written by hand.
//! The walk differs from a plain validator in what it says. An unknown key names the nearest known
//! one, a value that fits none of several forms is judged by the form that it fits best, a key
//! without a value is never taken for an absent key, and references to secrets are resolved where
//! the schema allows them and refused where it does not. It fails closed: a schema that it cannot
//! follow is a problem of the configuration.

mod branches;
mod limits;
mod map;
mod text;
mod unsupported;
mod walk;

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use bartizan_core::{PatternError, compile_pattern};
use regex_automata::meta::Regex;
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Edits, Node};
use crate::plugin_schemas::Standing;
use crate::reference::Resolver;

pub(crate) use map::conceal;
pub use unsupported::unsupported_keywords;

/// Most problems that one walk collects.
const PROBLEMS_MAX: usize = 1_000;

/// Most steps of one walk: schemas with many forms inside one another must not take forever.
const STEPS_MAX: usize = 50_000_000;

/// Deepest recursion of a walk: documents are 64 deep, the rest is `$ref` and forms.
const RECURSION_MAX: usize = 400;

/// A field that gets an answer of its own.
#[derive(Clone, Debug)]
pub(crate) struct Special {
    /// The dotted path from the value that is checked; items of a list are `[]`.
    pub(crate) path: String,
    /// What has the field: `` `limit-count` `` or `a route`.
    pub(crate) owner: String,
    /// What is known of it.
    pub(crate) standing: Standing,
}

/// What is the same for every walk of one configuration.
pub(crate) struct Rules<'a> {
    /// Resolves references.
    pub(crate) resolver: &'a Resolver<'a>,
    /// `danger_accept_apisix_fail_open`: fields that fail open mean their danger twin.
    pub(crate) accepts_fail_open: bool,
    patterns: RefCell<HashMap<String, Pattern>>,
}

type Pattern = Result<Rc<Regex>, Rc<PatternError>>;

impl<'a> Rules<'a> {
    /// Rules of a node.
    pub(crate) fn new(resolver: &'a Resolver<'a>, accepts_fail_open: bool) -> Self {
        Self { resolver, accepts_fail_open, patterns: RefCell::default() }
    }

    fn pattern(&self, pattern: &str) -> Pattern {
        if let Some(known) = self.patterns.borrow().get(pattern) {
            return known.clone();
        }
        let compiled = compile_pattern(pattern, false).map(Rc::new).map_err(Rc::new);
        self.patterns.borrow_mut().insert(pattern.to_owned(), compiled.clone());
        compiled
    }
}

/// What one walk checks.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The value.
    pub(crate) node: &'a Node,
    /// Where problems of the value as a whole are shown: its key.
    pub(crate) here: Place,
    /// The dotted path of the value in its document.
    pub(crate) path: &'a str,
    /// The folder of the document.
    pub(crate) folder: &'a Path,
    /// The schema, with the definitions that it refers to.
    pub(crate) schema: &'a Value,
    /// Keys of the value that someone else reads.
    pub(crate) hidden: &'a [&'a str],
    /// Fields with an answer of their own.
    pub(crate) specials: &'a [Special],
}

/// What a walk found.
#[derive(Default)]
pub(crate) struct Findings {
    problems: Vec<Problem>,
    /// What changes on the way to a value.
    pub(crate) edits: Edits,
    /// Secrets that stand in the document.
    pub(crate) concealed: Vec<Place>,
}

impl Findings {
    /// True if the value may be used.
    pub(crate) fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }

    /// The problems, each once.
    pub(crate) fn take_diagnostics(&mut self) -> Vec<Diagnostic> {
        let mut told = std::collections::HashSet::new();
        std::mem::take(&mut self.problems)
            .into_iter()
            .filter(|problem| told.insert((problem.place, problem.text.clone())))
            .map(|problem| Diagnostic {
                place: Some(problem.place),
                path: problem.path.into(),
                problem: problem.text,
                help: problem.help,
            })
            .collect()
    }

    fn push(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }

    fn absorb(&mut self, other: Self) {
        for problem in other.problems {
            self.push(problem);
        }
        self.edits.absorb(other.edits);
        self.concealed.extend(other.concealed);
    }
}

/// A problem before it is told: it may belong to a form that was not meant.
struct Problem {
    place: Place,
    path: String,
    text: String,
    help: Option<String>,
    fault: Fault,
    /// How deep below the checked value.
    depth: usize,
}

/// How much a problem says about whether the form was meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A value of another type.
    Type,
    /// Not the constant that marks the form.
    Tag,
    /// A required key is absent.
    Missing,
    /// A key that the form has not.
    Unknown,
    /// Anything about the value itself.
    Value,
}

/// Checks a value.
pub(crate) fn check(rules: &Rules<'_>, subject: &Subject<'_>) -> Findings {
    let mut walk = walk::Walk::new(rules, subject);
    let mut findings = Findings::default();
    walk.value(subject.node, subject.here, subject.schema, walk::Marks::default(), &mut findings);
    findings
}

#[cfg(test)]
mod tests;
