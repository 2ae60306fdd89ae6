//! Macros get their values.

use super::Transaction;
use super::facts::Facts;
use super::live::write_name;
use crate::text::{Expand, Text};
use crate::variable::{Selector, Variable};

impl Transaction {
    /// A text with its macros replaced.
    pub(super) fn expanded(&self, text: &Text) -> Vec<u8> {
        let mut out = Vec::new();
        text.write(self, &mut out);
        out
    }

    /// What the value is called that a macro stands for, such as `ARGS:id`.
    pub(super) fn name_of_macro(&self, variable: Variable, selector: &Selector) -> Vec<u8> {
        let member = match selector {
            Selector::Name(name) => name.to_vec(),
            _ if variable.is_live() => {
                let mut members = self.living(variable).into_iter();
                members
                    .find(|(name, _)| fits(selector, name))
                    .map(|(name, _)| name)
                    .unwrap_or_default()
            }
            _ => {
                let members = Facts::parts(&variable).iter().flat_map(|part| self.facts.own(*part));
                let mut names = members.map(|member| self.values.piece(member.name));
                names.find(|name| fits(selector, name)).unwrap_or_default().to_vec()
            }
        };
        let mut name = Vec::new();
        write_name(variable, &member, &mut name);
        name
    }
}

/// The values of a transaction for what is asked only to tell people more: neither what cannot be
/// told nor what it costs changes the verdict.
pub(super) struct Aside<'t>(pub(super) &'t Transaction);

impl Expand for Aside<'_> {
    fn give_up(&self) {}

    fn expand(&self, variable: Variable, selector: &Selector, out: &mut Vec<u8>) {
        self.0.expand(variable, selector, out);
    }
}

impl Expand for Transaction {
    fn give_up(&self) {
        self.is_partial.set(true);
    }

    fn spend(&self, work: usize) {
        self.extra.set(self.extra.get().saturating_add(work));
    }

    fn expand(&self, variable: Variable, selector: &Selector, out: &mut Vec<u8>) {
        match (variable, selector) {
            (Variable::Tx, Selector::Name(name)) => {
                if let [digit @ b'0'..=b'9'] = &**name {
                    if let Some(value) = self.tx.named(name) {
                        return out.extend_from_slice(value);
                    }
                    let group = self.captures.groups().get(usize::from(digit - b'0'));
                    out.extend_from_slice(group.map_or(&[], |group| group));
                } else if let Some(slot) = self.rules.slots.find(name) {
                    self.tx.write(slot, out);
                } else if let Some(value) = self.tx.named(name) {
                    out.extend_from_slice(value);
                }
            }
            (Variable::MatchedVar, _) => out.extend_from_slice(&self.matched.value()),
            (Variable::MatchedVarName, _) => {
                out.extend_from_slice(&self.matched.name(&self.rules.slots));
            }
            (variable, selector) if variable.is_live() => {
                let members = self.living(variable);
                let mut fitting = members.iter().filter(|(name, _)| fits(selector, name));
                if let Some((_, value)) = fitting.next() {
                    out.extend_from_slice(value);
                }
            }
            (variable, selector) => {
                for part in Facts::parts(&variable) {
                    let mut members = self.facts.own(*part).iter();
                    let found = members.find(|m| fits(selector, self.values.piece(m.name)));
                    if let Some(member) = found {
                        out.extend_from_slice(self.values.bytes(member.value));
                        return;
                    }
                }
            }
        }
    }
}

fn fits(selector: &Selector, name: &[u8]) -> bool {
    match selector {
        Selector::Name(wanted) => wanted.eq_ignore_ascii_case(name),
        // Macros have no patterns: the reader refuses them.
        Selector::All | Selector::Pattern(_) => true,
    }
}
