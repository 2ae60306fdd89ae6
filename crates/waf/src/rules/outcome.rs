//! What follows when a whole chain has matched.

use super::actions::{Allowance, Disruption};
use crate::seclang::script::Action;

/// What follows when a whole chain has matched.
pub(super) struct Outcome {
    pub(super) disruption: Option<Disruption>,
    pub(super) skip: u32,
    pub(super) is_logged: bool,
    pub(super) is_audited: bool,
}

impl Outcome {
    pub(super) fn of(actions: &[Action], defaults: &[Action]) -> Self {
        let mut outcome = Self { disruption: None, skip: 0, is_logged: true, is_audited: true };
        let status = |actions: &[Action]| {
            actions.iter().rev().find_map(|action| match action {
                Action::Status(status) => Some(*status),
                _ => None,
            })
        };
        let code = status(actions).or_else(|| status(defaults));
        outcome.take(defaults, None, code);
        let usual = outcome.disruption.take();
        outcome.disruption.clone_from(&usual);
        outcome.take(actions, usual.as_ref(), code);
        outcome
    }

    fn take(&mut self, actions: &[Action], usual: Option<&Disruption>, status: Option<u16>) {
        for action in actions {
            match action {
                Action::Deny => self.disruption = Some(Disruption::Deny(status.unwrap_or(403))),
                Action::Drop => self.disruption = Some(Disruption::Drop),
                Action::Pass => self.disruption = None,
                Action::Block => self.disruption = usual.cloned(),
                Action::Allow(scope) => {
                    let scope: Allowance = *scope;
                    self.disruption = Some(Disruption::Allow(scope));
                }
                Action::Redirect(text) => {
                    let code = status.filter(|code| (301..=308).contains(code)).unwrap_or(302);
                    self.disruption = Some(Disruption::Redirect(text.clone(), code));
                }
                Action::Skip(count) => self.skip = *count,
                Action::Log => (self.is_logged, self.is_audited) = (true, true),
                Action::NoLog => (self.is_logged, self.is_audited) = (false, false),
                Action::AuditLog => self.is_audited = true,
                Action::NoAuditLog => self.is_audited = false,
                _ => {}
            }
        }
    }
}
