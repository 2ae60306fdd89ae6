//! What one place changes of a rule set that many share.

use super::compile::has_tag;
use super::link::{Hidden, NamePattern, Pick};
use super::{RuleIndex, RuleSet, SlotId};
use crate::name_pattern::name_pattern;
use crate::seclang::script::EngineMode;
use crate::variable::{Shape, Variable};

/// Changes of a rule set: values that rules cannot change, rules that do not run, values that rules
/// do not look at. Made for one rule set, and only good for that.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub(crate) engine: Option<EngineMode>,
    pub(crate) pinned: Vec<(SlotId, i64)>,
    pub(crate) removed: Vec<RuleIndex>,
    pub(crate) hidden: Vec<Hidden>,
    pub(crate) opens_base64: bool,
}

/// Why a change cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideFault {
    /// No rule has the id.
    #[error("no rule has the id {0}")]
    NoSuchRule(u32),
    /// No rule has a tag that the pattern fits.
    #[error("no rule has the tag `{0}`")]
    NoSuchTag(String),
    /// The pattern cannot be used.
    #[error("the pattern `{0}` {1}")]
    Pattern(String, String),
    /// There is no such variable, or it has no members.
    #[error("`{0}` is no variable that has members")]
    Variable(String),
    /// No rule reads the value.
    #[error("no rule reads `tx.{0}`")]
    NoSuchValue(String),
}

impl Overrides {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether rules may refuse (true) or only tell (false), whatever the rule set says.
    pub fn refuse(&mut self, may_refuse: bool) {
        let mode = if may_refuse { EngineMode::On } else { EngineMode::DetectionOnly };
        self.engine = Some(mode);
    }

    /// Whether text in base64, in arguments and cookies, is judged as well, as one more value of the
    /// same name; by the rules of phase 2 and later.
    pub fn open_base64(&mut self, opens: bool) {
        self.opens_base64 = opens;
    }

    /// Gives a member of `TX` a number that rules cannot change.
    pub fn pin(&mut self, rules: &RuleSet, name: &str, number: i64) -> Result<(), OverrideFault> {
        let slot = rules.slots.find(name.to_ascii_lowercase().as_bytes());
        let slot = slot.ok_or_else(|| OverrideFault::NoSuchValue(name.to_owned()))?;
        self.pinned.push((slot, number));
        Ok(())
    }

    /// Gives a number to a member of `TX` under each of its names that rules read: versions of a rule
    /// set call it otherwise. One of them at least must be read.
    pub fn pin_any(
        &mut self,
        rules: &RuleSet,
        names: &[&str],
        number: i64,
    ) -> Result<(), OverrideFault> {
        let outcomes: Vec<_> = names.iter().map(|name| self.pin(rules, name, number)).collect();
        if outcomes.iter().any(Result::is_ok) {
            return Ok(());
        }
        outcomes.into_iter().next().unwrap_or(Ok(()))
    }

    /// Takes out the rule with an id.
    pub fn without_rule(&mut self, rules: &RuleSet, id: u32) -> Result<(), OverrideFault> {
        self.removed.extend(Self::by_id(rules, id)?);
        Ok(())
    }

    /// Takes out the rules that have a tag in which the pattern is found.
    pub fn without_tag(&mut self, rules: &RuleSet, tag: &str) -> Result<(), OverrideFault> {
        self.removed.extend(Self::by_tag(rules, tag)?);
        Ok(())
    }

    /// Keeps the rule with an id from looking at a target such as `ARGS:note`.
    pub fn hide_from_rule(
        &mut self,
        rules: &RuleSet,
        id: u32,
        target: &str,
    ) -> Result<(), OverrideFault> {
        self.hide(&Self::by_id(rules, id)?, target)
    }

    /// Keeps the rules that have a tag from looking at a target.
    pub fn hide_from_tag(
        &mut self,
        rules: &RuleSet,
        tag: &str,
        target: &str,
    ) -> Result<(), OverrideFault> {
        self.hide(&Self::by_tag(rules, tag)?, target)
    }

    /// Keeps every rule from looking at a target.
    pub fn hide_from_all(&mut self, rules: &RuleSet, target: &str) -> Result<(), OverrideFault> {
        self.hide(&rules.pick(|_| true), target)
    }

    fn hide(&mut self, rules: &[RuleIndex], target: &str) -> Result<(), OverrideFault> {
        let unknown = || OverrideFault::Variable(target.to_owned());
        let (name, selector) = target.split_once(':').unwrap_or((target, ""));
        let variable = Variable::named(name).ok_or_else(unknown)?;
        if variable.shape() == Shape::Single && !selector.is_empty() {
            return Err(unknown());
        }
        let pick = if selector.is_empty() {
            Pick::All
        } else if let Some(pattern) = selector.strip_prefix('/').and_then(|s| s.strip_suffix('/')) {
            let regex = name_pattern(pattern)
                .map_err(|problem| OverrideFault::Pattern(pattern.to_owned(), problem))?;
            Pick::Pattern(Box::new(NamePattern { text: pattern.into(), regex }))
        } else {
            Pick::Name(selector.to_ascii_lowercase().into_bytes().into())
        };
        self.hidden.push(Hidden::new(rules, variable, pick));
        Ok(())
    }

    fn by_id(rules: &RuleSet, id: u32) -> Result<Box<[RuleIndex]>, OverrideFault> {
        let found = rules.pick(|about| about.id == id);
        if found.is_empty() { Err(OverrideFault::NoSuchRule(id)) } else { Ok(found) }
    }

    fn by_tag(rules: &RuleSet, tag: &str) -> Result<Box<[RuleIndex]>, OverrideFault> {
        let regex =
            name_pattern(tag).map_err(|problem| OverrideFault::Pattern(tag.to_owned(), problem))?;
        let found = rules.pick(|about| has_tag(about, &regex));
        if found.is_empty() { Err(OverrideFault::NoSuchTag(tag.to_owned())) } else { Ok(found) }
    }
}
