//! A compiled chain: the plugins of one resource, sorted once.

use std::sync::Arc;

use bartizan_core::{Stage, StageSet};

use crate::expr::Expr;
use crate::owned::OwnedFields;
use crate::plugin::{PluginSet, Proofs, Traits};

/// The turns of the request side. Authorize has two, so that whatever can be decided without the
/// body is decided before the client is asked to send it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Prepare,
    Admit,
    Authenticate,
    Meter,
    Authorize,
    AuthorizeBody,
    Validate,
    Inspect,
    Transform,
}

impl Turn {
    pub(crate) const ALL: [Self; 9] = [
        Self::Prepare,
        Self::Admit,
        Self::Authenticate,
        Self::Meter,
        Self::Authorize,
        Self::AuthorizeBody,
        Self::Validate,
        Self::Inspect,
        Self::Transform,
    ];

    pub(crate) fn stage(self) -> Stage {
        match self {
            Self::Prepare => Stage::Prepare,
            Self::Admit => Stage::Admit,
            Self::Authenticate => Stage::Authenticate,
            Self::Meter => Stage::Meter,
            Self::Authorize | Self::AuthorizeBody => Stage::Authorize,
            Self::Validate => Stage::Validate,
            Self::Inspect => Stage::Inspect,
            Self::Transform => Stage::Transform,
        }
    }
}

/// One plugin of a chain.
pub struct Step<P> {
    /// The compiled plugin.
    pub plugin: Arc<P>,
    /// Runs only where this holds; an expression that cannot be decided denies, unless the plugin
    /// only observes.
    pub filter: Option<Expr>,
    /// The body of what it refuses, and whether that is JSON.
    pub error_response: Option<(Arc<str>, bool)>,
    /// Orders it inside its stage; higher first.
    pub priority: i32,
}

impl<P: PluginSet> Step<P> {
    /// A plugin that always runs, at its published priority.
    pub fn new(plugin: Arc<P>) -> Self {
        let priority = plugin.priority();
        Self { plugin, filter: None, error_response: None, priority }
    }
}

/// A compiled chain of plugins.
#[expect(clippy::struct_excessive_bools, reason = "independent facts, asked for by name")]
pub struct Chain<P> {
    steps: Box<[Step<P>]>,
    turns: [Box<[u16]>; 9],
    translating: Box<[u16]>,
    response: Box<[u16]>,
    encoding: Box<[u16]>,
    finish: Box<[u16]>,
    masks: Box<[u16]>,
    proofs: Proofs,
    owned: OwnedFields,
    body_max: usize,
    wants_proven: bool,
    keeps_answer: bool,
    has_filter: bool,
    only_answers: bool,
    needs_no_upstream: bool,
}

/// Collects the plugins of one resource.
pub struct ChainBuilder<P> {
    steps: Vec<Step<P>>,
}

impl<P: PluginSet> ChainBuilder<P> {
    /// No plugins yet.
    pub fn new() -> Self {
        Self { steps: Vec::new() }
    }

    /// Adds a plugin.
    pub fn add(&mut self, step: Step<P>) {
        self.steps.push(step);
    }

    /// Sorts by priority, highest first; equal ones by name, so that the order never depends on
    /// how a document was written.
    pub fn build(mut self) -> Chain<P> {
        self.steps.sort_by(|a, b| {
            b.priority.cmp(&a.priority).then_with(|| a.plugin.name().cmp(b.plugin.name()))
        });
        // More plugins than an index can name cannot be written: names are unique per resource.
        self.steps.truncate(usize::from(u16::MAX));
        let traits: Vec<Traits> = self.steps.iter().map(|step| step.plugin.traits()).collect();
        let always = || self.steps.iter().zip(&traits).filter(|(step, _)| step.filter.is_none());
        let proofs = always().fold(Proofs::default(), |sum, (_, t)| sum.or(t.proves));
        let mut owned = OwnedFields::default();
        for step in &self.steps {
            owned.add(step.plugin.owned_fields());
        }
        let only_answers = always().any(|(_, t)| t.only_answers);
        let needs_no_upstream = always().any(|(_, t)| t.needs_no_upstream);
        let reads_answer_late = |(step, t): (&Step<P>, &Traits)| {
            (t.on_finish || t.masks) && step.filter.as_ref().is_some_and(Expr::reads_answer_fields)
        };
        let keeps_answer = self.steps.iter().zip(&traits).any(reads_answer_late);
        Chain {
            turns: Turn::ALL.map(|turn| select(&traits, |t| takes(t, turn))),
            translating: select(&traits, |t| t.on_response && t.translates),
            response: select(&traits, |t| t.on_response && !t.translates && !t.encodes),
            encoding: select(&traits, |t| t.on_response && !t.translates && t.encodes),
            finish: select(&traits, |t| t.on_finish),
            masks: select(&traits, |t| t.masks),
            proofs,
            owned,
            body_max: traits.iter().map(body_max).max().unwrap_or(0),
            wants_proven: traits.iter().any(|traits| traits.wants_proven),
            keeps_answer,
            has_filter: self.steps.iter().any(|step| step.filter.is_some()),
            only_answers,
            needs_no_upstream,
            steps: self.steps.into_boxed_slice(),
        }
    }
}

impl<P: PluginSet> Default for ChainBuilder<P> {
    fn default() -> Self {
        Self::new()
    }
}

fn takes(traits: &Traits, turn: Turn) -> bool {
    traits.stages.contains(turn.stage())
        && match turn {
            Turn::Authorize => !traits.body.is_some(),
            Turn::AuthorizeBody => traits.body.is_some(),
            _ => true,
        }
}

fn body_max(traits: &Traits) -> usize {
    match traits.body {
        crate::plugin::BodyNeed::None => 0,
        crate::plugin::BodyNeed::Bytes { max } | crate::plugin::BodyNeed::Value { max } => max,
    }
}

fn select(traits: &[Traits], takes: impl Fn(&Traits) -> bool) -> Box<[u16]> {
    (0_u16..).zip(traits).filter(|(_, t)| takes(t)).map(|(index, _)| index).collect()
}

impl<P: PluginSet> Chain<P> {
    /// A chain without plugins.
    pub fn empty() -> Self {
        ChainBuilder::new().build()
    }

    /// True if there is no plugin in it.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Its plugins, in order of priority.
    pub fn steps(&self) -> &[Step<P>] {
        &self.steps
    }

    /// What the plugins that always run prove.
    pub fn proofs(&self) -> Proofs {
        self.proofs
    }

    /// The names of fields that its plugins own, whether they always run or not.
    pub fn owned_fields(&self) -> &OwnedFields {
        &self.owned
    }

    /// True if a plugin that always runs answers everything by itself.
    pub fn only_answers(&self) -> bool {
        self.only_answers
    }

    /// True if a plugin that always runs answers whoever gets that far.
    pub fn needs_no_upstream(&self) -> bool {
        self.needs_no_upstream
    }

    /// The stages in which it does something.
    pub fn stages(&self) -> StageSet {
        let stages: Vec<Stage> = Turn::ALL
            .into_iter()
            .zip(&self.turns)
            .filter(|(_, steps)| !steps.is_empty())
            .map(|(turn, _)| turn.stage())
            .collect();
        StageSet::of(&stages)
    }

    /// The largest body that a plugin of it reads; 0 where none does.
    pub(crate) fn body_max(&self) -> usize {
        self.body_max
    }

    /// True if a plugin of it wants to know what schemas prove.
    pub(crate) fn wants_proven(&self) -> bool {
        self.wants_proven
    }

    pub(crate) fn turn(&self, turn: Turn) -> &[u16] {
        self.turns.get(turn as usize).map_or(&[], |steps| steps)
    }

    pub(crate) fn translating(&self) -> &[u16] {
        &self.translating
    }

    pub(crate) fn response(&self) -> &[u16] {
        &self.response
    }

    pub(crate) fn encoding(&self) -> &[u16] {
        &self.encoding
    }

    pub(crate) fn masks(&self) -> &[u16] {
        &self.masks
    }

    /// True if a plugin of it has a filter.
    pub(crate) fn has_filter(&self) -> bool {
        self.has_filter
    }

    /// True if the filter of a plugin that acts at the end reads fields of the answer.
    pub(crate) fn keeps_answer(&self) -> bool {
        self.keeps_answer
    }

    pub(crate) fn finish(&self) -> &[u16] {
        &self.finish
    }
}
