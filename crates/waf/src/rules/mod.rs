//! A rule set: rules resolved, ordered by phase, and ready to run.

mod actions;
mod assemble;
mod compile;
mod link;
mod outcome;
mod overrides;
mod settings;
mod slots;
mod updates;

pub(crate) use actions::{Allowance, Assign, CtlPlan, Disruption, Effect};
pub(crate) use compile::is_capture;
pub(crate) use link::{Hidden, Link, NamePattern, Pick, TargetPlan};
pub use overrides::{OverrideFault, Overrides};
pub use settings::Settings;
pub(crate) use slots::{SlotId, Slots};

use std::sync::Arc;

use crate::fault::RuleFault;
use crate::files::Files;
use crate::operators::{NumberTest, Operator};
use crate::seclang::script::Phase;
use crate::sieve::{Sieve, Sieved};
use crate::text::Text;
use crate::transformations::UnicodeMap;

/// The position of a rule in [`RuleSet::rules`].
pub(crate) type RuleIndex = u32;

/// The most rules that a set may hold.
pub const RULES_MAX: usize = 100_000;

/// Rules that were read, checked and compiled. Immutable; one serves every worker.
#[derive(Debug)]
pub struct RuleSet {
    pub(crate) rules: Box<[Rule]>,
    pub(crate) steps: [Box<[Step]>; 5],
    pub(crate) slots: Slots,
    pub(crate) sieve: Sieve,
    pub(crate) settings: Settings,
    pub(crate) unicode_map: Option<UnicodeMap>,
}

/// What a phase goes through, in order.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    /// The rule to judge; none at a place to skip to.
    pub(crate) rule: Option<RuleIndex>,
    /// What tells quickly that it does not match.
    pub(crate) quick: Quick,
}

/// What tells without looking at a rule that it does not match.
///
/// PERF: most rules of a set do not match, and a rule is large: going past one costs a few
/// nanoseconds if nothing of it is read (`bench waf`).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Quick {
    /// Nothing does.
    #[default]
    None,
    /// The sieve.
    Sieved {
        /// The rule's tier.
        tier: u16,
        /// The rule's bit.
        bit: u16,
    },
    /// The number that a `TX` member stands for.
    Slot(SlotTest),
    /// Whether a `TX` member is there, as 0 or 1.
    SlotCount(SlotTest),
}

/// A comparison of a `TX` member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SlotTest {
    pub(crate) slot: SlotId,
    pub(crate) test: NumberTest,
    pub(crate) is_negated: bool,
    /// True if a match is told nowhere and nothing is chained: it need not be kept.
    pub(crate) is_quiet: bool,
}

impl SlotTest {
    /// True if the rule matches a number.
    pub(crate) fn holds(&self, number: i64) -> bool {
        self.test.holds(number) != self.is_negated
    }
}

impl Quick {
    fn of(rule: &Rule) -> Self {
        let Some(link) = rule.links.first() else { return Self::None };
        if let Some(Sieved { tier, bit, .. }) = link.sieved {
            return Self::Sieved { tier, bit };
        }
        let test = link.operator.as_ref().and_then(Operator::number_test);
        let (Some(test), true) = (test, link.pipeline.is_empty()) else { return Self::None };
        let is_quiet = rule.links.len() == 1
            && !rule.is_logged
            && !rule.is_audited
            && !link.captures
            && rule.about.severity.is_none();
        let of = |slot| SlotTest { slot, test, is_negated: link.is_negated, is_quiet };
        match (&*link.targets, &*link.exceptions) {
            ([TargetPlan::Slot(slot)], []) => Self::Slot(of(*slot)),
            ([TargetPlan::SlotCount(slot)], []) => Self::SlotCount(of(*slot)),
            _ => Self::None,
        }
    }
}

/// A rule, with the rules that are chained to it.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) about: About,
    /// The rule itself and what is chained to it; all must match.
    pub(crate) links: Box<[Link]>,
    /// What becomes of the transaction.
    pub(crate) disruption: Option<Disruption>,
    /// How many rules to leave out after it.
    pub(crate) skip: u32,
    /// The step to go on with, where it skips to a marker.
    pub(crate) skip_to: Option<u32>,
    /// Whether a match is told.
    pub(crate) is_logged: bool,
    /// Whether a match belongs into the audit log.
    pub(crate) is_audited: bool,
    /// True where logs do not show the values that matched.
    pub(crate) hides_matched: bool,
}

/// What a rule says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) id: u32,
    pub(crate) phase: Option<Phase>,
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) msg: Option<Text>,
    pub(crate) log_data: Option<Text>,
    pub(crate) tags: Box<[Text]>,
    pub(crate) ver: Option<Box<str>>,
    pub(crate) rev: Option<Box<str>>,
    pub(crate) severity: Option<u8>,
    pub(crate) maturity: u8,
    pub(crate) accuracy: u8,
}

impl RuleSet {
    /// Reads the rule files `names`, in order, and everything that they include.
    pub fn load(names: &[&str], files: &dyn Files) -> Result<Self, Vec<RuleFault>> {
        let mut script = crate::seclang::script::Script::default();
        let mut faults = Vec::new();
        for name in names {
            match crate::seclang::read(name, files) {
                Ok(more) => {
                    script.items.extend(more.items);
                    script.sources.extend(more.sources);
                }
                Err(more) => faults.extend(more),
            }
        }
        if faults.is_empty() { assemble::assemble(script, files) } else { Err(faults) }
    }

    /// Reads rules from a text; what it includes comes from `files`.
    pub fn parse(name: &str, text: &str, files: &dyn Files) -> Result<Self, Vec<RuleFault>> {
        assemble::assemble(crate::seclang::read_text(name, text, files)?, files)
    }

    /// A set without rules.
    pub(crate) fn empty() -> Self {
        Self {
            rules: [].into(),
            steps: std::array::from_fn(|_| [].into()),
            slots: Slots::default(),
            sieve: Sieve::default(),
            settings: Settings::default(),
            unicode_map: None,
        }
    }

    /// True if rules may look at bodies of requests: by setting, or where a rule says so.
    pub fn may_read_request_body(&self) -> bool {
        self.settings.reads_request_body
            || self.has_ctl(|ctl| matches!(ctl, CtlPlan::RequestBodyAccess(true)))
    }

    /// True if rules may look at bodies of answers: by setting, or where a rule says so.
    pub fn may_read_response_body(&self) -> bool {
        self.settings.reads_response_body
            || self.has_ctl(|ctl| matches!(ctl, CtlPlan::ResponseBodyAccess(true)))
    }

    fn has_ctl(&self, is_meant: impl Fn(&CtlPlan) -> bool) -> bool {
        let links = self.rules.iter().flat_map(|rule| &rule.links);
        let mut effects = links.flat_map(|link| &link.effects);
        effects.any(|effect| matches!(effect, Effect::Ctl(ctl) if is_meant(ctl)))
    }

    /// Judges every rule on every value from now on.
    pub(crate) fn drop_shortcuts(&mut self) {
        for link in self.rules.iter_mut().flat_map(|rule| &mut rule.links) {
            link.sieved = None;
        }
        for step in self.steps.iter_mut().flatten() {
            step.quick = Quick::None;
        }
    }

    /// How many rules there are; what is chained counts with its head.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the rule files set beside rules.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The ids of the rules, in the order of the files.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.rules.iter().map(|rule| rule.about.id)
    }

    pub(crate) fn rule(&self, index: RuleIndex) -> Option<&Rule> {
        self.rules.get(index as usize)
    }

    /// The rules that `is_meant` picks.
    pub(crate) fn pick(&self, is_meant: impl Fn(&About) -> bool) -> Box<[RuleIndex]> {
        indices(&self.rules, is_meant)
    }
}

fn indices(rules: &[Rule], is_meant: impl Fn(&About) -> bool) -> Box<[RuleIndex]> {
    (0..).zip(rules).filter(|(_, rule)| is_meant(&rule.about)).map(|(index, _)| index).collect()
}

/// The text of the rules that the crate carries.
const BUILTIN: &str = include_str!("../../rules/builtin.conf");

impl RuleSet {
    /// The rules that the crate carries: few and sure, with ids from 7,000,000. They refuse.
    pub fn builtin() -> Result<Self, Vec<RuleFault>> {
        Self::parse("builtin.conf", BUILTIN, &crate::files::Memory::default())
    }
}
