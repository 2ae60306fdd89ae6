//! What a matching value does at once.

use super::Transaction;
use super::outcome::Interruption;
use crate::operators::leading_number;
use crate::rules::{Assign, CtlPlan, Effect, SlotId};
use crate::seclang::script::EngineMode;
use crate::text::Expand as _;
use crate::variable::Variable;

/// The most different `ctl:ruleRemoveTarget…` of one transaction; after them rules look at more, not at less.
const HIDDEN_MAX: usize = 1_024;

impl Transaction {
    pub(super) fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::SetSlot(slot, change) => self.set_slot(*slot, change),
                Effect::SetNamed(collection, name, change) => {
                    let mut name = self.expanded(name);
                    name.make_ascii_lowercase();
                    self.set_named(*collection, &name, change);
                }
                Effect::Expire(collection, name, seconds) => {
                    let mut name = self.expanded(name);
                    name.make_ascii_lowercase();
                    let seconds = leading_number(&self.expanded(seconds));
                    self.expire_persistent(*collection, &name, seconds.unsigned_abs());
                }
                Effect::Open(collection, key) => {
                    let key = self.expanded(key);
                    self.open_collection(*collection, &key);
                }
                Effect::Hide(name) => self.hide_from_logs(name),
                Effect::Ctl(plan) => self.control(plan),
            }
        }
    }

    fn set_slot(&mut self, slot: SlotId, change: &Assign) {
        match change {
            Assign::Number(number) => self.tx.set_number(slot, *number),
            Assign::Fixed(text) => self.set_text(slot, text),
            Assign::Text(text) => {
                let mut value = std::mem::take(&mut self.scratch);
                value.clear();
                text.write(self, &mut value);
                self.set_text(slot, &value);
                self.scratch = value;
            }
            Assign::AddNumber(number) => self.add(slot, *number),
            Assign::AddSlot(other) => self.add(slot, self.tx.number(*other).unwrap_or(0)),
            Assign::Add(text) => self.add(slot, leading_number(&self.expanded(text))),
            Assign::Subtract(text) => {
                self.add(slot, leading_number(&self.expanded(text)).saturating_neg());
            }
            Assign::Unset => self.tx.unset(slot),
        }
    }

    /// What a rule counts on and nobody could keep is not judged.
    fn set_text(&mut self, slot: SlotId, text: &[u8]) {
        if !self.tx.set_text(slot, text) {
            self.give_up();
        }
    }

    fn add(&mut self, slot: SlotId, number: i64) {
        self.tx.add(slot, number);
        if self.state.explains {
            self.added.push((slot, number));
        }
    }

    fn set_named(&mut self, collection: Variable, name: &[u8], change: &Assign) {
        if collection == Variable::Tx {
            if let Some(slot) = self.rules.slots.find(name) {
                return self.set_slot(slot, change);
            }
            let old = self.tx.named(name).map_or(0, leading_number);
            if let Some(value) = self.assigned(change, old) {
                if !self.tx.set_named(name, &value) {
                    self.give_up();
                }
            } else {
                self.tx.unset_named(name);
            }
            return;
        }
        match change {
            Assign::AddNumber(number) => self.add_persistent(collection, name, *number),
            Assign::AddSlot(slot) => {
                self.add_persistent(collection, name, self.tx.number(*slot).unwrap_or(0));
            }
            Assign::Add(text) => {
                self.add_persistent(collection, name, leading_number(&self.expanded(text)));
            }
            Assign::Subtract(text) => {
                let number = leading_number(&self.expanded(text)).saturating_neg();
                self.add_persistent(collection, name, number);
            }
            other => {
                let value = self.assigned(other, 0);
                self.set_persistent(collection, name, value.as_deref());
            }
        }
    }

    /// The value after a change of one that is the number `old`; nothing if it goes.
    fn assigned(&self, change: &Assign, old: i64) -> Option<Vec<u8>> {
        let text = |number: i64| Some(number.to_string().into_bytes());
        match change {
            Assign::Number(number) => text(*number),
            Assign::Fixed(value) => Some(value.to_vec()),
            Assign::Text(value) => Some(self.expanded(value)),
            Assign::AddNumber(number) => text(old.saturating_add(*number)),
            Assign::AddSlot(slot) => text(old.saturating_add(self.tx.number(*slot).unwrap_or(0))),
            Assign::Add(value) => text(old.saturating_add(leading_number(&self.expanded(value)))),
            Assign::Subtract(value) => {
                text(old.saturating_sub(leading_number(&self.expanded(value))))
            }
            Assign::Unset => None,
        }
    }

    fn control(&mut self, plan: &CtlPlan) {
        match plan {
            CtlPlan::RemoveRules(rules) => {
                for rule in rules {
                    self.remove_rule(*rule);
                }
            }
            CtlPlan::RemoveTarget(hidden) => {
                // A rule says the same once for each value that matches.
                let is_new = !self.hidden.iter().any(|known| known.is_same(hidden));
                if is_new && self.hidden.len() < HIDDEN_MAX {
                    self.hidden.push(hidden.clone());
                }
            }
            // What an override says of refusing is not for rules to change.
            CtlPlan::Engine(mode) => {
                let is_fixed = self.overrides.as_ref().is_some_and(|o| o.engine.is_some());
                if !is_fixed || *mode == EngineMode::Off {
                    self.state.engine = *mode;
                }
            }
            CtlPlan::RequestBodyAccess(is_on) => self.state.reads_request_body = *is_on,
            CtlPlan::RequestBodyProcessor(processor) => self.state.processor = Some(*processor),
            CtlPlan::ForceRequestBody(is_on) => self.state.forces_request_body = *is_on,
            CtlPlan::RequestBodyMax(max) => self.state.request_body_max = *max,
            CtlPlan::ResponseBodyAccess(is_on) => self.state.reads_response_body = *is_on,
            CtlPlan::ResponseBodyMax(max) => self.state.response_body_max = *max,
        }
    }

    pub(super) fn remove_rule(&mut self, rule: u32) {
        if let Some(word) = self.removed.get_mut(rule as usize / 64) {
            *word |= 1 << (rule % 64);
        }
    }

    pub(super) fn is_removed(&self, rule: u32) -> bool {
        self.removed.get(rule as usize / 64).is_some_and(|word| word & (1 << (rule % 64)) != 0)
    }

    /// True if a `ctl` or an override hid the member `name` of `variable` from a rule.
    pub(super) fn is_hidden(&self, rule: u32, variable: Variable, name: &[u8]) -> bool {
        let overridden = self.overrides.iter().flat_map(|overrides| &overrides.hidden);
        self.hidden.iter().chain(overridden).any(|hidden| hidden.covers(rule, variable, name))
    }

    pub(super) fn interrupt(&mut self, interruption: Interruption) {
        self.state.interruption.get_or_insert(interruption);
    }
}
