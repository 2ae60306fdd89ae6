//! Building the sieve of a rule set.

use std::collections::BTreeMap;

use super::literals::Literals;
use super::tiers::{Key, keys};
use super::{Group, LENGTH_MAX, Pipeline, Sheet, Sieve, Sieved, Tier, View, set};
use crate::byte_mask::ByteMask;
use crate::operators::Needs;
use crate::rules::{Link, Pick, Rule, Step, TargetPlan};
use crate::transformations::Transformation;
use crate::variable::Variable;

/// A rule that the sieve can tell of.
struct Entry {
    rule: usize,
    group: u16,
    needs: Needs,
}

impl Sieve {
    /// Builds the sieve of `rules` and tells each rule its bit.
    pub(crate) fn build(rules: &mut [Rule], steps: &[Box<[Step]>; 5]) -> Self {
        let mut sieve = Self::default();
        let mut groups: Vec<Group> = Vec::new();
        let mut tiers: BTreeMap<Key, Vec<Entry>> = BTreeMap::new();
        for (index, key) in keys(rules, steps).into_iter().enumerate() {
            let link = rules.get(index).and_then(|rule| rule.links.first());
            let Some((key, (group, needs))) = key.zip(link.and_then(sieve_of)) else { continue };
            let Some(group) = position_of(&mut groups, group) else { continue };
            tiers.entry(key).or_default().push(Entry { rule: index, group, needs });
        }
        sieve.groups = groups.into();
        sieve.take_tiers(rules, &tiers);
        sieve
    }

    /// Gives every rule its bit: those of a tier begin in a word of their own.
    fn take_tiers(&mut self, rules: &mut [Rule], tiers: &BTreeMap<Key, Vec<Entry>>) {
        let mut needs: Vec<(u16, &Needs)> = Vec::new();
        let mut pipelines: Vec<Pipeline> = Vec::new();
        let mut sheets = 0_u32;
        let mut made = Vec::new();
        let mut ends = [0; 2];
        let mut word = 0;
        for (number, (key, entries)) in tiers.iter().enumerate() {
            let words = word..word + entries.len().div_ceil(64);
            word = words.end;
            let [request, response] = &mut ends;
            *(if key.is_response { &mut *response } else { request }) = word;
            *response = word;
            let mut views = Vec::new();
            let mut watchful: Vec<Variable> = Vec::new();
            for (place, entry) in entries.iter().enumerate() {
                let Ok(bit) = u16::try_from(words.start * 64 + place) else { continue };
                let link = rules.get_mut(entry.rule).and_then(|rule| rule.links.first_mut());
                let (Some(link), Some(group)) = (link, self.groups.get(usize::from(entry.group)))
                else {
                    continue;
                };
                let pipeline = position_of(&mut pipelines, Pipeline::of(&group.pipeline));
                let (Some(pipeline), Ok(tier)) = (pipeline, u16::try_from(number)) else {
                    continue;
                };
                link.sieved = Some(Sieved { tier, group: entry.group, bit });
                needs.push((bit, &entry.needs));
                watchful.extend(watched(group));
                add_views(&mut views, group, pipeline, words.len(), place);
            }
            let views = views.into_iter().zip(sheets..);
            let of_tier = views.map(|((variable, views), number): ((_, Vec<View>), _)| Sheet {
                number,
                variable,
                sees_proven: watchful.contains(&variable),
                views: views.into(),
            });
            let of_tier: Box<[Sheet]> = of_tier.collect();
            sheets += u32::try_from(of_tier.len()).unwrap_or(0);
            made.push(Tier { words, sheets: of_tier });
        }
        self.words = word;
        self.tiers = made.into();
        self.pipelines = pipelines.into();
        self.take_needs(&needs, ends);
    }

    fn take_needs(&mut self, needs: &[(u16, &Needs)], [request, response]: [usize; 2]) {
        let words = self.words;
        let mut base = vec![0; words];
        let mut masks: Vec<Box<[ByteMask]>> = vec![[].into(); words * 64];
        let mut lengths: Vec<Box<[u64]>> = vec![vec![0; words].into(); LENGTH_MAX + 1];
        for (bit, need) in needs {
            if need.literals.is_empty() {
                set(&mut base, *bit);
            }
            for enough in lengths.iter_mut().skip(need.length_min.min(LENGTH_MAX)) {
                set(enough, *bit);
            }
            if let Some(masks) = masks.get_mut(usize::from(*bit)) {
                *masks = need.masks.clone().into();
            }
        }
        self.sides = [0..request, request..response.max(request)].map(|words| {
            let of_side = needs.iter().filter(|(bit, _)| words.contains(&usize::from(bit / 64)));
            let of_side = of_side.map(|(bit, need)| (*bit, &*need.literals));
            Literals::build(words.clone(), of_side).unwrap_or_else(|| {
                // Too large to build: every rule is judged on every value.
                base.get_mut(words.clone()).unwrap_or_default().fill(u64::MAX);
                Literals::build(words, std::iter::empty()).unwrap_or_default()
            })
        });
        self.base = base.into();
        self.masks = masks.into();
        self.lengths = lengths.into();
    }
}

impl Pipeline {
    fn of(steps: &[Transformation]) -> Self {
        let all = steps.iter().map(|by| by.triggers());
        let triggers = all.map(|triggers| (triggers != ByteMask::ANY).then_some(triggers));
        let triggers = triggers.reduce(|all, more| all.zip(more).map(|(all, more)| all.or(more)));
        Self { steps: steps.into(), triggers: triggers.unwrap_or(Some(ByteMask::NONE)) }
    }
}

/// The number of an item in a list, to which it is added if it is not in there; None if there are
/// too many. A rule without a number is judged on every value.
fn position_of<T: PartialEq>(list: &mut Vec<T>, item: T) -> Option<u16> {
    let known = list.iter().position(|other| *other == item);
    let position = known.unwrap_or_else(|| {
        list.push(item);
        list.len() - 1
    });
    u16::try_from(position).ok()
}

/// Adds a rule, which has the bit `place` in its tier, to what the tier looks at.
fn add_views(
    views: &mut Vec<(Variable, Vec<View>)>,
    group: &Group,
    pipeline: u16,
    words: usize,
    place: usize,
) {
    for (variable, pick) in &group.targets {
        let parts = variable.parts();
        let parts = if parts.is_empty() { std::slice::from_ref(variable) } else { parts };
        for part in parts {
            let of_part = views.iter().position(|(other, _)| other == part).unwrap_or_else(|| {
                views.push((*part, Vec::new()));
                views.len() - 1
            });
            let Some((_, list)) = views.get_mut(of_part) else { continue };
            let same = list.iter().position(|view| {
                view.pick == *pick && view.pipeline == pipeline && view.is_multi == group.is_multi
            });
            let same = same.unwrap_or_else(|| {
                let bits = vec![0; words].into();
                let (pick, is_multi) = (pick.clone(), group.is_multi);
                list.push(View { pick, pipeline, is_multi, bits });
                list.len() - 1
            });
            if let (Some(view), Ok(bit)) = (list.get_mut(same), u16::try_from(place)) {
                set(&mut view.bits, bit);
            }
        }
    }
}

/// The variables of which a group looks at all members, also those known to be harmless.
fn watched(group: &Group) -> impl Iterator<Item = Variable> {
    let sees = |pick: &Pick| !group.skips_proven || *pick != Pick::All;
    let seen = group.targets.iter().filter(move |(_, pick)| sees(pick));
    seen.flat_map(|(variable, _)| {
        let parts = variable.parts();
        if parts.is_empty() { std::slice::from_ref(variable) } else { parts }.iter().copied()
    })
}

/// The group of a rule and what it needs, if a sieve can tell anything of it.
fn sieve_of(link: &Link) -> Option<(Group, Needs)> {
    if link.is_negated {
        return None;
    }
    let needs = link.operator.as_ref()?.needs();
    if needs.literals.is_empty() && needs.masks.is_empty() {
        return None;
    }
    let mut targets: Vec<(Variable, Pick)> = Vec::new();
    for target in &link.targets {
        match target {
            TargetPlan::Values(variable, pick) if !variable.is_live() => {
                targets.push((*variable, pick.clone()));
            }
            _ => return None,
        }
    }
    let pipeline = link.pipeline.clone();
    let (is_multi, skips_proven) = (link.is_multi, link.is_search);
    Some((Group { targets: targets.into(), pipeline, is_multi, skips_proven }, needs))
}
