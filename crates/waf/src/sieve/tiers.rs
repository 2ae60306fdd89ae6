//! Which rules are reached together.

use crate::operators::NumberTest;
use crate::rules::{Rule, SlotId, Step, TargetPlan};

/// What a rule stands behind: its phase, and the innermost condition that skips it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// True for the phases of the response.
    pub(super) is_response: bool,
    phase: usize,
    guard: Option<(SlotId, NumberTest)>,
}

/// For each rule, by its index, where it stands. Rules that no phase runs stand nowhere.
pub(super) fn keys(rules: &[Rule], steps: &[Box<[Step]>; 5]) -> Vec<Option<Key>> {
    let mut keys = vec![None; rules.len()];
    for (phase, steps) in steps.iter().enumerate() {
        let mut guards: Vec<((SlotId, NumberTest), usize)> = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let Some(index) = step.rule else { continue };
            let Some(rule) = rules.get(index as usize) else { continue };
            guards.retain(|(_, end)| *end > at);
            if let Some(key) = keys.get_mut(index as usize) {
                let guard = guards.last().map(|(guard, _)| *guard);
                *key = Some(Key { is_response: phase >= 2, phase, guard });
            }
            if let (Some(end), Some(guard)) = (rule.skip_to, guard_of(rule)) {
                guards.push((guard, end as usize));
            }
        }
    }
    keys
}

fn guard_of(rule: &Rule) -> Option<(SlotId, NumberTest)> {
    let [link] = &*rule.links else { return None };
    let [TargetPlan::Slot(slot)] = &*link.targets else { return None };
    let test = link.operator.as_ref()?.number_test()?;
    link.pipeline.is_empty().then_some((*slot, test))
}
