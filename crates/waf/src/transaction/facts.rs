//! What is known of an exchange: for each variable its members.

use super::values::{Piece, ValueId};
use crate::variable::Variable;

/// A member of a variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Its name; empty for a variable without members.
    pub(super) name: Piece,
    pub(super) value: ValueId,
    /// It is known to be harmless.
    pub(super) is_proven: bool,
}

/// The members of all variables that do not change while the rules of a phase run.
#[derive(Debug)]
pub(super) struct Facts {
    sets: Vec<Vec<Member>>,
    used: Vec<Variable>,
}

impl Default for Facts {
    fn default() -> Self {
        Self { sets: vec![Vec::new(); Variable::ALL.len()], used: Vec::new() }
    }
}

impl Facts {
    pub(super) fn clear(&mut self) {
        for variable in self.used.drain(..) {
            if let Some(set) = self.sets.get_mut(variable as usize) {
                set.clear();
            }
        }
    }

    /// How many bytes are kept for the next exchange.
    pub(super) fn kept(&self) -> usize {
        self.sets.iter().map(|set| set.capacity() * size_of::<Member>()).sum()
    }

    /// Adds a member.
    pub(super) fn add(&mut self, variable: Variable, name: Piece, value: ValueId) {
        if let Some(set) = self.sets.get_mut(variable as usize) {
            if set.is_empty() {
                self.used.push(variable);
            }
            set.push(Member { name, value, is_proven: false });
        }
    }

    /// Notes that the last member of a variable is known to be harmless.
    pub(super) fn prove_last(&mut self, variable: Variable) {
        if let Some(last) = self.sets.get_mut(variable as usize).and_then(|set| set.last_mut()) {
            last.is_proven = true;
        }
    }

    /// Makes `value` the only one of a variable.
    pub(super) fn set(&mut self, variable: Variable, value: ValueId) {
        if let Some(set) = self.sets.get_mut(variable as usize) {
            set.clear();
        }
        self.add(variable, Piece::default(), value);
    }

    /// The members of a variable that joins no others.
    pub(super) fn own(&self, variable: Variable) -> &[Member] {
        self.sets.get(variable as usize).map_or(&[], |set| set)
    }

    /// The variables whose members `variable` shows, itself if it joins none.
    pub(super) fn parts(variable: &Variable) -> &[Variable] {
        let parts = variable.parts();
        if parts.is_empty() { std::slice::from_ref(variable) } else { parts }
    }
}
