//! One rule of a chain: what it looks at, what it asks, what it does at once.

use std::sync::Arc;

use regex_automata::meta::Regex;

use super::RuleIndex;
use super::actions::Effect;
use super::slots::SlotId;
use crate::operators::Operator;
use crate::sieve::Sieved;
use crate::transformations::Transformation;
use crate::variable::Variable;

/// A rule of a chain, or a rule that stands alone.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub(crate) struct Link {
    /// What it looks at; empty for `SecAction`, which always matches.
    pub(crate) targets: Box<[TargetPlan]>,
    /// What it does not look at.
    pub(crate) exceptions: Box<[Exception]>,
    /// What happens to a value first.
    pub(crate) pipeline: Box<[Transformation]>,
    /// Whether the operator looks at each step of the pipeline.
    pub(crate) is_multi: bool,
    /// What it asks; `None` for `SecAction`.
    pub(crate) operator: Option<Operator>,
    /// What stands behind the operator's name, as it is written.
    pub(crate) argument: Arc<str>,
    /// Whether the operator must not hold.
    pub(crate) is_negated: bool,
    /// Whether it looks for a text anywhere in its values, so that it can find nothing in one that
    /// is known to be harmless.
    pub(crate) is_search: bool,
    /// Whether what was found goes into `TX.0` to `TX.9`.
    pub(crate) captures: bool,
    /// What it does for each value that matches.
    pub(crate) effects: Box<[Effect]>,
    /// Where the sieve tells whether any value can match at all.
    pub(crate) sieved: Option<Sieved>,
}

impl Link {
    /// True if it leaves out members that are known to be harmless, where it looks at those that
    /// `pick` picks. Who names a member means that one, and what it asks may be about numbers.
    pub(crate) fn skips(&self, pick: &Pick) -> bool {
        self.is_search && *pick == Pick::All
    }
}

/// Something that a rule looks at.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetPlan {
    /// One `TX` member that has a number.
    Slot(SlotId),
    /// How often a `TX` member that has a number is there: 0 or 1.
    SlotCount(SlotId),
    /// The `TX` members whose names a pattern is found in, and those of them that have a number.
    Members(Box<NamePattern>, Box<[SlotId]>),
    /// All values of a variable that the selection fits.
    Values(Variable, Pick),
    /// How many values of a variable the selection fits.
    Count(Variable, Pick),
}

/// A compiled selector.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Pick {
    /// Everything.
    All,
    /// Names equal to this one, ASCII case ignored.
    Name(Box<[u8]>),
    /// Names that the pattern is found in.
    Pattern(Box<NamePattern>),
}

/// A pattern for names; two are equal if they were written alike.
#[derive(Clone, Debug)]
pub(crate) struct NamePattern {
    pub(crate) text: Box<str>,
    pub(crate) regex: Regex,
}

impl PartialEq for NamePattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Pick {
    /// True if a member of this name is meant.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Name(wanted) => wanted.eq_ignore_ascii_case(name),
            Self::Pattern(pattern) => pattern.regex.is_match(name),
        }
    }
}

/// Something that a rule does not look at.
#[derive(Clone, Debug)]
pub(crate) struct Exception {
    pub(crate) variable: Variable,
    pub(crate) pick: Pick,
}

impl Exception {
    /// True if it takes out the member `name` of `variable`.
    pub(crate) fn covers(&self, variable: Variable, name: &[u8]) -> bool {
        (self.variable == variable || self.variable.parts().contains(&variable))
            && self.pick.fits(name)
    }
}

/// A value that some rules do not look at, as `ctl` or an override says.
#[derive(Clone, Debug)]
pub(crate) struct Hidden {
    /// One bit a rule.
    rules: Arc<[u64]>,
    variable: Variable,
    pick: Pick,
}

impl Hidden {
    pub(crate) fn new(rules: &[RuleIndex], variable: Variable, pick: Pick) -> Self {
        let words = rules.iter().max().map_or(0, |last| *last as usize / 64 + 1);
        let mut bits = vec![0_u64; words];
        for rule in rules {
            if let Some(word) = bits.get_mut(*rule as usize / 64) {
                *word |= 1 << (rule % 64);
            }
        }
        Self { rules: bits.into(), variable, pick }
    }

    /// True if both were written in one place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules)
    }

    /// True if `rule` does not look at the member `name` of `variable`.
    pub(crate) fn covers(&self, rule: RuleIndex, variable: Variable, name: &[u8]) -> bool {
        let word = self.rules.get(rule as usize / 64).copied().unwrap_or(0);
        word & (1 << (rule % 64)) != 0
            && (self.variable == variable || self.variable.parts().contains(&variable))
            && self.pick.fits(name)
    }
}
