//! Whether a rule matches.

use super::Transaction;
use super::expand::Aside;
use super::facts::{Facts, Member};
use super::outcome::{MATCHED_VALUES_MAX, MatchedValue, kept};
use super::screen::Final;
use super::tx::write_number;
use super::values::ValueId;
use crate::operators::{Captures, Operator};
use crate::rules::{Link, Pick, Rule, RuleSet, SlotTest, TargetPlan};
use crate::sieve::Sieved;
use crate::text::Expand as _;
use crate::variable::Variable;

/// What is being judged.
#[derive(Clone, Copy)]
struct At<'r> {
    rule: &'r Rule,
    index: u32,
    link: &'r Link,
}

/// The name and the bytes of a member.
struct Seen<'v> {
    variable: Variable,
    name: &'v [u8],
    value: &'v [u8],
}

impl Transaction {
    /// True if a rule and all that is chained to it match.
    pub(super) fn judge(&mut self, rules: &RuleSet, rule: &Rule, index: u32) -> bool {
        let Some(head) = rule.links.first() else { return false };
        if let Some(sieved) = head.sieved
            && !self.may_match(rules, sieved.tier, sieved.bit)
        {
            return false;
        }
        self.state.current = index;
        self.found.clear();
        self.added.clear();
        self.matched.begin();
        rule.links.iter().all(|link| self.matches_link(rules, At { rule, index, link }))
    }

    /// Whether a rule matches that looks at one `TX` member and compares it.
    pub(super) fn judge_slot(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        index: u32,
        test: &SlotTest,
    ) -> bool {
        if !self.tx.number(test.slot).is_some_and(|number| test.holds(number)) {
            return false;
        }
        let is_quiet = test.is_quiet && !self.state.explains;
        let number = self.tx.exact_number(test.slot).filter(|_| is_quiet);
        let overrides = self.overrides.as_ref();
        let is_hidden = !self.hidden.is_empty()
            || overrides.is_some_and(|overrides| !overrides.hidden.is_empty());
        let Some(number) = number.filter(|_| !is_hidden) else {
            return self.judge(rules, rule, index);
        };
        self.matched.set_number(Some(test.slot), number);
        self.take_quiet(rule, index)
    }

    /// Whether a rule matches that looks whether a `TX` member is there.
    pub(super) fn judge_slot_count(
        &mut self,
        rules: &RuleSet,
        rule: &Rule,
        index: u32,
        test: &SlotTest,
    ) -> bool {
        let count = i64::from(self.tx.has(test.slot));
        if !test.holds(count) {
            return false;
        }
        if !test.is_quiet || self.state.explains {
            return self.judge(rules, rule, index);
        }
        self.matched.set_number(None, count);
        self.take_quiet(rule, index)
    }

    fn take_quiet(&mut self, rule: &Rule, index: u32) -> bool {
        self.state.current = index;
        self.found.clear();
        for link in &rule.links {
            self.apply(&link.effects);
        }
        true
    }

    fn matches_link(&mut self, rules: &RuleSet, at: At<'_>) -> bool {
        let Some(operator) = &at.link.operator else {
            self.apply(&at.link.effects);
            return true;
        };
        if let Some(sieved) = at.link.sieved.filter(|_| !at.link.is_multi) {
            return self.ask_group(rules, at, operator, sieved);
        }
        let mut any = false;
        for target in &at.link.targets {
            match target {
                TargetPlan::Slot(slot) => {
                    if !self.tx.has(*slot) {
                        continue;
                    }
                    let name = rules.slots.name(*slot);
                    if self.is_out(at, Variable::Tx, name) {
                        continue;
                    }
                    let mut value = std::mem::take(&mut self.scratch);
                    value.clear();
                    self.tx.write(*slot, &mut value);
                    any |= self.ask_loose(at, operator, Variable::Tx, name, &value);
                    self.scratch = value;
                }
                TargetPlan::SlotCount(slot) => {
                    let count = i64::from(self.tx.has(*slot));
                    any |= self.ask_count(at, operator, Variable::Tx, count);
                }
                TargetPlan::Count(variable, pick) => {
                    let count = self.count(at, *variable, pick);
                    any |= self.ask_count(at, operator, *variable, count);
                }
                TargetPlan::Members(pattern, slots) => {
                    for (name, value) in self.members_of_tx(pattern, slots) {
                        self.work.spend(name.len() + value.len());
                        if !self.is_out(at, Variable::Tx, &name) {
                            any |= self.ask_loose(at, operator, Variable::Tx, &name, &value);
                        }
                    }
                }
                TargetPlan::Values(variable, pick) if variable.is_live() => {
                    for (name, value) in self.living(*variable) {
                        self.work.spend(name.len() + value.len());
                        if pick.fits(&name) && !self.is_out(at, *variable, &name) {
                            any |= self.ask_loose(at, operator, *variable, &name, &value);
                        }
                    }
                }
                TargetPlan::Values(variable, pick) => {
                    for part in Facts::parts(variable) {
                        any |= self.ask_members(rules, at, operator, (*variable, *part), pick);
                    }
                }
            }
        }
        any
    }

    /// Asks the operator about the members that the sieve lets through.
    ///
    /// PERF: transformations and picks are not gone through again for each rule of the group; most
    /// members cost one test of a bit (`bench waf`, 900 arguments).
    fn ask_group(
        &mut self,
        rules: &RuleSet,
        at: At<'_>,
        operator: &Operator,
        sieved: Sieved,
    ) -> bool {
        let mut any = false;
        self.know_group(rules, sieved);
        let mut position = 0;
        while let Some(Final { variable, member, value }) =
            self.screened.member(sieved.group, position)
        {
            position += 1;
            if !self.values.passes(value, rules, sieved, &mut self.work)
                || self.is_out(at, variable, self.values.piece(member.name))
            {
                continue;
            }
            any |= self.ask_value(rules, at, operator, variable, member, value);
            if self.work.is_exhausted() {
                break;
            }
        }
        any
    }

    /// True if a rule does not look at a member.
    fn is_out(&self, at: At<'_>, variable: Variable, name: &[u8]) -> bool {
        at.link.exceptions.iter().any(|exception| exception.covers(variable, name))
            || self.is_hidden(at.index, variable, name)
    }

    fn count(&self, at: At<'_>, variable: Variable, pick: &Pick) -> i64 {
        let is_counted = |name: &[u8]| pick.fits(name) && !self.is_out(at, variable, name);
        let count = if variable.is_live() {
            self.living(variable).iter().filter(|(name, _)| is_counted(name)).count()
        } else {
            let parts = Facts::parts(&variable).iter();
            let members = parts.flat_map(|part| self.facts.own(*part));
            members.filter(|member| is_counted(self.values.piece(member.name))).count()
        };
        i64::try_from(count).unwrap_or(i64::MAX)
    }

    fn ask_count(
        &mut self,
        at: At<'_>,
        operator: &Operator,
        variable: Variable,
        count: i64,
    ) -> bool {
        let mut value = std::mem::take(&mut self.scratch);
        value.clear();
        write_number(count, &mut value);
        let holds = self.ask_loose(at, operator, variable, b"", &value);
        self.scratch = value;
        holds
    }

    /// Asks the operator about a value that is not one of the transaction's.
    fn ask_loose(
        &mut self,
        at: At<'_>,
        operator: &Operator,
        variable: Variable,
        name: &[u8],
        value: &[u8],
    ) -> bool {
        if at.link.pipeline.is_empty() {
            return self.ask(at, operator, &Seen { variable, name, value });
        }
        let mut any = false;
        let rules = self.rules.clone();
        let map = &rules.unicode_map;
        let (mut now, mut next) = (value.to_vec(), Vec::new());
        for (step, by) in at.link.pipeline.iter().enumerate() {
            if at.link.is_multi && step == 0 {
                any |= self.ask(at, operator, &Seen { variable, name, value: &now });
            }
            self.work.spend(now.len());
            let is_changed = by.apply_with(&now, &mut next, map.as_ref());
            if is_changed {
                std::mem::swap(&mut now, &mut next);
            }
            let is_last = step + 1 == at.link.pipeline.len();
            if (at.link.is_multi && is_changed) || (!at.link.is_multi && is_last) {
                any |= self.ask(at, operator, &Seen { variable, name, value: &now });
            }
        }
        any
    }

    /// Asks the operator about the members of a variable.
    fn ask_members(
        &mut self,
        rules: &RuleSet,
        at: At<'_>,
        operator: &Operator,
        (variable, part): (Variable, Variable),
        pick: &Pick,
    ) -> bool {
        let mut any = false;
        let mut position = 0;
        while let Some(member) = self.facts.own(part).get(position).copied() {
            position += 1;
            if !pick.fits(self.values.piece(member.name)) || member.is_proven && at.link.skips(pick)
            {
                continue;
            }
            if self.is_out(at, variable, self.values.piece(member.name)) {
                continue;
            }
            any |= self.ask_member(rules, at, operator, variable, member);
            if self.work.is_exhausted() {
                break;
            }
        }
        any
    }

    fn ask_member(
        &mut self,
        rules: &RuleSet,
        at: At<'_>,
        operator: &Operator,
        variable: Variable,
        member: Member,
    ) -> bool {
        let mut any = false;
        let mut value = member.value;
        let steps = at.link.pipeline.len();
        for step in 0..=steps {
            let mut is_new = step == 0;
            if step > 0
                && let Some(by) = at.link.pipeline.get(step - 1)
            {
                let next = self.values.step(value, *by, rules, &mut self.work);
                is_new = next != value;
                value = next;
            }
            if (at.link.is_multi && is_new) || (!at.link.is_multi && step == steps) {
                any |= self.ask_value(rules, at, operator, variable, member, value);
            }
        }
        any
    }

    fn ask_value(
        &mut self,
        rules: &RuleSet,
        at: At<'_>,
        operator: &Operator,
        variable: Variable,
        member: Member,
        value: ValueId,
    ) -> bool {
        if let Some(sieved) = at.link.sieved
            && !self.values.passes(value, rules, sieved, &mut self.work)
        {
            return false;
        }
        let mut captures = std::mem::take(&mut self.spare);
        let holds = holds(self, at.link, operator, self.values.bytes(value), &mut captures);
        self.keep_captures(at.link, holds, captures);
        self.work
            .spend(operator.cost(self.values.bytes(value).len()).saturating_add(self.extra.take()));
        if holds {
            // A match is rare: what is told of it may be copied.
            let name = self.values.piece(member.name).to_vec();
            let value = self.values.bytes(value).to_vec();
            self.matched_value(at, operator, &Seen { variable, name: &name, value: &value });
        }
        holds
    }

    fn ask(&mut self, at: At<'_>, operator: &Operator, seen: &Seen<'_>) -> bool {
        let mut captures = std::mem::take(&mut self.spare);
        let holds = holds(self, at.link, operator, seen.value, &mut captures);
        self.keep_captures(at.link, holds, captures);
        self.work.spend(operator.cost(seen.value.len()).saturating_add(self.extra.take()));
        if holds {
            self.matched_value(at, operator, seen);
        }
        holds
    }

    fn keep_captures(&mut self, link: &Link, holds: bool, mut found: Captures) {
        if holds && link.captures && !link.is_negated {
            std::mem::swap(&mut self.captures, &mut found);
            // What a rule set under such a name is set anew.
            if !self.tx.all_named().is_empty() {
                for (digit, _) in (b'0'..=b'9').zip(self.captures.groups()) {
                    self.tx.unset_named(&[digit]);
                }
            }
        }
        found.clear();
        self.spare = found;
    }

    fn matched_value(&mut self, at: At<'_>, operator: &Operator, seen: &Seen<'_>) {
        if let Operator::GeoLookup(lookup) = operator {
            self.geo = lookup.facts(seen.value);
        }
        let is_kept = self.matched.push(seen.variable, seen.name, seen.value);
        // Only what is chained looks at all of them.
        if !is_kept && at.rule.links.len() > 1 {
            self.give_up();
        }
        if self.is_told(at.rule) && self.found.len() < MATCHED_VALUES_MAX {
            let value = if at.rule.hides_matched { [].into() } else { kept(seen.value) };
            let found = if self.state.explains && !at.rule.hides_matched && !at.link.is_negated {
                let mut captures = Captures::default();
                operator.holds(seen.value, &Aside(self), Some(&mut captures));
                captures.groups().first().map(|found| kept(found)).unwrap_or_default()
            } else {
                [].into()
            };
            self.found.push(MatchedValue {
                name: self.matched.name(&self.rules.slots).into(),
                value,
                transformations: at.link.pipeline.iter().map(|by| by.name()).collect(),
                operator: operator.name(),
                argument: at.link.argument.clone(),
                is_negated: at.link.is_negated,
                found,
            });
        }
        self.apply(&at.link.effects);
    }
}

fn holds(
    transaction: &Transaction,
    link: &Link,
    operator: &Operator,
    value: &[u8],
    captures: &mut Captures,
) -> bool {
    let wanted = (link.captures && !link.is_negated).then_some(captures);
    operator.holds(value, transaction, wanted) != link.is_negated
}
