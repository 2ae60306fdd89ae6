//! The sieve, applied to what an exchange holds.

use super::Transaction;
use super::facts::{Facts, Member};
use super::values::ValueId;
use crate::rules::{Pick, RuleSet};
use crate::sieve::{Sieved, has};
use crate::variable::Variable;

/// A member and what a group's pipeline makes of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Final {
    pub(super) variable: Variable,
    pub(super) member: Member,
    pub(super) value: ValueId,
}

/// What is known of the rules that the sieve tells of.
#[derive(Debug, Default)]
pub(super) struct Screened {
    /// For each tier, whether its bits are known in this phase.
    tiers: Vec<bool>,
    /// The bits of the rules that any value lets through.
    bits: Vec<u64>,
    /// For each group, whether its members are known in this phase, and its members as its rules
    /// look at them.
    groups: Vec<(bool, Vec<Final>)>,
}

impl Screened {
    /// What values hold is known anew in each phase.
    pub(super) fn forget(&mut self, rules: &RuleSet) {
        self.tiers.clear();
        self.tiers.resize(rules.sieve.tiers.len(), false);
        // What is in the bits and the members counts only once it is known.
        self.bits.resize(rules.sieve.words(), 0);
        self.groups.resize_with(rules.sieve.groups.len(), Default::default);
        for (is_known, _) in &mut self.groups {
            *is_known = false;
        }
    }

    /// How many bytes are kept for the next exchange.
    pub(super) fn kept(&self) -> usize {
        let members = self.groups.iter().map(|(_, members)| members.capacity()).sum::<usize>();
        members * size_of::<Final>() + self.bits.capacity() * size_of::<u64>()
    }

    /// The members of a group, once they are known.
    pub(super) fn member(&self, group: u16, position: usize) -> Option<Final> {
        self.groups.get(usize::from(group))?.1.get(position).copied()
    }
}

impl Transaction {
    /// True if the sieve lets any value through to a rule.
    pub(super) fn may_match(&mut self, rules: &RuleSet, tier: u16, bit: u16) -> bool {
        if self.screened.tiers.get(usize::from(tier)) == Some(&false) {
            self.screen_tier(rules, tier);
        }
        has(&self.screened.bits, bit)
    }

    fn screen_tier(&mut self, rules: &RuleSet, number: u16) {
        let sieve = &rules.sieve;
        let Some(tier) = sieve.tiers.get(usize::from(number)) else { return };
        let Some(out) = self.screened.bits.get_mut(tier.words.clone()) else { return };
        out.fill(0);
        for sheet in &tier.sheets {
            for member in self.facts.own(sheet.variable) {
                if member.is_proven && !sheet.sees_proven {
                    continue;
                }
                self.work.spend(0);
                let (values, work) = (&mut self.values, &mut self.work);
                values.screen(*member, rules, (tier, sheet), work, out);
                if work.is_exhausted() {
                    return;
                }
            }
        }
        if let Some(is_known) = self.screened.tiers.get_mut(usize::from(number)) {
            *is_known = true;
        }
    }

    /// Makes the members of a group known.
    pub(super) fn know_group(&mut self, rules: &RuleSet, sieved: Sieved) {
        let number = usize::from(sieved.group);
        let Some((is_known, members)) = self.screened.groups.get_mut(number) else { return };
        let Some(group) = rules.sieve.groups.get(number).filter(|_| !*is_known) else { return };
        *is_known = true;
        members.clear();
        for (variable, pick) in &group.targets {
            for part in Facts::parts(variable) {
                for member in self.facts.own(*part) {
                    if !pick.fits(self.values.piece(member.name))
                        || member.is_proven && group.skips_proven && *pick == Pick::All
                    {
                        continue;
                    }
                    let mut value = member.value;
                    for by in &group.pipeline {
                        value = self.values.step(value, *by, rules, &mut self.work);
                    }
                    members.push(Final { variable: *variable, member: *member, value });
                }
            }
        }
    }
}
