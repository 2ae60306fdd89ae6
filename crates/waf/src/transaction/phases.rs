//! A phase: its rules, one after another.

use std::io::Write as _;

use super::Transaction;
use super::outcome::{Cause, Interruption, Kind, MATCHES_MAX, RuleMatch, Verdict, kept_text};
use super::tx::write_number;
use crate::rules::{Allowance, Disruption, Quick, Rule, SlotId, is_capture};
use crate::seclang::script::{EngineMode, Phase};
use crate::text::{Piece, Text};
use crate::variable::{Selector, Variable};

impl Transaction {
    /// Runs the rules of a phase.
    pub(super) fn run(&mut self, phase: Phase) -> Verdict {
        let rules = self.rules.clone();
        if phase != Phase::Logging && self.is_settled(phase) {
            return self.verdict();
        }
        self.screened.forget(&rules);
        let Some(steps) = rules.steps.get(phase as usize) else { return self.verdict() };
        let mut at = 0;
        let mut skip = 0_u32;
        while let Some(step) = steps.get(at) {
            at += 1;
            let Some(index) = step.rule else { continue };
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if self.is_removed(index) || !self.is_running() {
                continue;
            }
            if let Quick::Sieved { tier, bit } = step.quick
                && !self.may_match(&rules, tier, bit)
                && !self.is_partial()
            {
                continue;
            }
            let Some(rule) = rules.rule(index) else { continue };
            let matches = match &step.quick {
                Quick::Slot(test) => self.judge_slot(&rules, rule, index, test),
                Quick::SlotCount(test) => self.judge_slot_count(&rules, rule, index, test),
                Quick::Sieved { .. } | Quick::None => self.judge(&rules, rule, index),
            };
            if self.is_partial() {
                break;
            }
            if !matches {
                continue;
            }
            skip = rule.skip;
            if let Some(to) = rule.skip_to {
                at = to as usize;
            }
            if self.disrupt(rule, phase) {
                break;
            }
        }
        if self.is_partial() && phase != Phase::Logging {
            self.refuse_partial();
        }
        self.verdict()
    }

    fn is_settled(&self, phase: Phase) -> bool {
        let is_request = matches!(phase, Phase::RequestHead | Phase::RequestBody);
        let is_allowed =
            if is_request { self.state.allows_request } else { self.state.allows_response };
        !self.is_running() || self.state.interruption.is_some() || is_allowed
    }

    fn verdict(&self) -> Verdict {
        self.state.interruption.clone().map_or(Verdict::Pass, Verdict::Interrupt)
    }

    /// What was not judged as a whole is refused, where rules may refuse.
    fn refuse_partial(&mut self) {
        if self.state.engine == EngineMode::On {
            let is_spent = self.work.is_exhausted() || self.values.is_full();
            let cause = if is_spent { Cause::Budget } else { Cause::Partial };
            self.interrupt(Interruption { cause, kind: Kind::Deny(403) });
        }
    }

    /// Keeps a match, and does what the rule does with the exchange. True if the phase ends.
    fn disrupt(&mut self, rule: &Rule, phase: Phase) -> bool {
        self.keep_match(rule, phase);
        let Some(disruption) = &rule.disruption else { return false };
        if self.state.engine != EngineMode::On {
            return false;
        }
        let kind = match disruption {
            Disruption::Allow(scope) => {
                match scope {
                    Allowance::Phase => {}
                    Allowance::Request => self.state.allows_request = true,
                    Allowance::Transaction => {
                        (self.state.allows_request, self.state.allows_response) = (true, true);
                    }
                }
                return true;
            }
            Disruption::Deny(status) => Kind::Deny(*status),
            Disruption::Drop => Kind::Drop,
            Disruption::Redirect(to, status) => Kind::Redirect(place(&self.expanded(to)), *status),
        };
        if phase != Phase::Logging {
            self.interrupt(Interruption { cause: Cause::Rule(rule.about.id), kind });
        }
        true
    }

    fn keep_match(&mut self, rule: &Rule, phase: Phase) {
        let about = &rule.about;
        if let Some(severity) = about.severity {
            let highest = self.state.highest_severity.map_or(severity, |old| old.min(severity));
            self.state.highest_severity = Some(highest);
        }
        let values = std::mem::take(&mut self.found);
        if !self.is_told(rule) || self.matches.len() >= MATCHES_MAX {
            return;
        }
        let text = |text: &Option<Text>| -> Box<[u8]> {
            text.as_ref().map(|text| kept_text(&self.expanded(text))).unwrap_or_default()
        };
        let mut found = RuleMatch {
            id: about.id,
            file: about.file.clone(),
            line: about.line,
            phase: phase as u8 + 1,
            title: about.msg.as_ref().map(|msg| self.title(msg)).unwrap_or_default(),
            msg: text(&about.msg),
            data: text(&about.log_data),
            severity: about.severity,
            tags: about.tags.iter().map(|tag| self.title(tag)).collect(),
            ver: about.ver.clone(),
            rev: about.rev.clone(),
            maturity: about.maturity,
            accuracy: about.accuracy,
            quoted: self.quoted(rule, !values.is_empty()),
            values,
            added: self.sums(),
            disrupts: rule.disruption.is_some(),
            is_audited: rule.is_audited,
        };
        if rule.hides_matched {
            found.hide_all();
        }
        for name in &self.unshown {
            found.hide(name);
        }
        self.matches.push(found);
    }

    /// True if a match of a rule is kept.
    pub(super) fn is_told(&self, rule: &Rule) -> bool {
        let is_silent = !rule.is_logged && !rule.is_audited;
        !is_silent || self.state.explains && rule.disruption.is_some()
    }

    /// What the rule that is being judged added, by member.
    fn sums(&self) -> Box<[(Box<[u8]>, i64)]> {
        let mut sums: Vec<(SlotId, i64)> = Vec::new();
        for (slot, number) in &self.added {
            match sums.iter_mut().find(|(known, _)| known == slot) {
                Some((_, sum)) => *sum = sum.saturating_add(*number),
                None => sums.push((*slot, *number)),
            }
        }
        sums.into_iter().map(|(slot, sum)| (self.rules.slots.name(slot).into(), sum)).collect()
    }

    /// What the texts of a rule hold beside the values that it matched itself: `MATCHED_VAR` and
    /// `TX.0` are another rule's where it looked at nothing or captured nothing.
    fn quoted(&self, rule: &Rule, has_values: bool) -> Box<[Box<[u8]>]> {
        let captures = rule
            .links
            .iter()
            .any(|link| link.captures && !link.is_negated && link.operator.is_some());
        let texts = [&rule.about.msg, &rule.about.log_data];
        let pieces = texts.into_iter().flatten().flat_map(|text| &text.pieces);
        let names = pieces.filter_map(|piece| {
            let Piece::Macro(variable, selector) = piece else { return None };
            let is_own = match (variable, selector) {
                (Variable::MatchedVar, _) => has_values,
                (Variable::Tx, Selector::Name(name)) => {
                    captures && is_capture(name) && self.tx.named(name).is_none()
                }
                _ => false,
            };
            (!is_own).then(|| self.name_of_macro(*variable, selector).into())
        });
        names.collect()
    }

    /// A message or tag without what the client sent: of its macros only numbers that rules count.
    fn title(&self, msg: &Text) -> Box<[u8]> {
        let mut out = Vec::new();
        for piece in &msg.pieces {
            let number = match piece {
                Piece::Literal(text) => {
                    out.extend_from_slice(text);
                    continue;
                }
                Piece::Macro(Variable::Tx, Selector::Name(name)) => {
                    self.rules.slots.find(name).and_then(|slot| self.tx.exact_number(slot))
                }
                Piece::Macro(..) => None,
            };
            match number {
                Some(number) => write_number(number, &mut out),
                None => out.extend_from_slice("…".as_bytes()),
            }
        }
        kept_text(&out)
    }

    /// Takes the values of a name out of what is kept of matches, and of what will be.
    pub(super) fn hide_from_logs(&mut self, name: &[u8]) {
        for found in &mut self.matches {
            found.hide(name);
        }
        if !self.unshown.iter().any(|known| **known == *name) {
            self.unshown.push(name.into());
        }
    }
}

/// Where a client is sent: what macros put there cannot end the field that it is written in.
fn place(text: &[u8]) -> Box<[u8]> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if byte.is_ascii_graphic() {
            out.push(*byte);
        } else {
            // Writing to a vector cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out.into()
}
