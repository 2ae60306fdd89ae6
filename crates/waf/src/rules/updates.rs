//! Directives that change or remove rules which stand elsewhere.

use super::assemble::ChainDraft;
use super::compile::{has_msg, has_tag, selector_pattern};
use crate::fault::Place;
use crate::seclang::script::{Action, Directive, IdRanges};
use crate::variable::Target;

/// Whom a directive means.
#[derive(Debug)]
enum Whom {
    Ids(IdRanges),
    Tag(regex_automata::meta::Regex),
    Msg(regex_automata::meta::Regex),
}

/// What is to be changed. The place of a directive among the rules does not matter.
#[derive(Debug, Default)]
pub(super) struct Updates {
    removed: Vec<Whom>,
    targets: Vec<(Whom, Vec<Target>)>,
    actions: Vec<(u32, u32, Vec<Action>)>,
    broken: Vec<String>,
}

impl Updates {
    pub(super) fn take(&mut self, directive: Directive) {
        match directive {
            Directive::RemoveById(ids) => self.removed.push(Whom::Ids(ids)),
            Directive::RemoveByTag(tag) => {
                let whom = self.pattern(&tag, Whom::Tag);
                self.removed.extend(whom);
            }
            Directive::RemoveByMsg(msg) => {
                let whom = self.pattern(&msg, Whom::Msg);
                self.removed.extend(whom);
            }
            Directive::UpdateTargetsById(ids, targets) => {
                self.targets.push((Whom::Ids(ids), targets));
            }
            Directive::UpdateTargetsByTag(tag, targets) => {
                let whom = self.pattern(&tag, Whom::Tag);
                self.targets.extend(whom.map(|whom| (whom, targets)));
            }
            Directive::UpdateTargetsByMsg(msg, targets) => {
                let whom = self.pattern(&msg, Whom::Msg);
                self.targets.extend(whom.map(|whom| (whom, targets)));
            }
            Directive::UpdateActionsById(id, link, actions) => {
                self.actions.push((id, link, actions));
            }
            Directive::Rule(_)
            | Directive::Action(_)
            | Directive::Marker(_)
            | Directive::DefaultAction(_)
            | Directive::Setting(_) => {}
        }
    }

    fn pattern(
        &mut self,
        text: &str,
        whom: fn(regex_automata::meta::Regex) -> Whom,
    ) -> Option<Whom> {
        match selector_pattern(text) {
            Ok(regex) => Some(whom(regex)),
            Err(problem) => {
                self.broken.push(format!("the pattern `{text}` {problem}"));
                None
            }
        }
    }
}

impl Whom {
    fn means(&self, chain: &ChainDraft) -> bool {
        match self {
            Self::Ids(ids) => ids.contains(chain.about.id),
            Self::Tag(pattern) => has_tag(&chain.about, pattern),
            Self::Msg(pattern) => has_msg(&chain.about, pattern),
        }
    }
}

/// True if a directive removes the chain.
pub(super) fn is_removed(chain: &ChainDraft, updates: &Updates) -> bool {
    updates.removed.iter().any(|whom| whom.means(chain))
}

/// Changes the rules that are to be changed; gives back what could not be done.
pub(super) fn update(chains: &mut [ChainDraft], updates: &Updates) -> Vec<(Place, String)> {
    let mut problems = Vec::new();
    let somewhere = chains.first().and_then(|chain| chain.links.first());
    let somewhere = somewhere.map(|link| link.place.clone());
    for problem in &updates.broken {
        problems.extend(somewhere.clone().map(|place| (place, problem.clone())));
    }
    for (whom, targets) in &updates.targets {
        for chain in chains.iter_mut().filter(|chain| whom.means(chain)) {
            if let Some(head) = chain.links.first_mut() {
                head.targets.extend(targets.iter().cloned());
            }
        }
    }
    for (id, link, actions) in &updates.actions {
        let chain = chains.iter_mut().find(|chain| chain.about.id == *id);
        let link = chain.and_then(|chain| chain.links.get_mut(*link as usize));
        if let Some(link) = link {
            link.actions.extend(actions.iter().cloned());
        } else if let Some(place) = somewhere.clone() {
            problems.push((place, format!("there is no rule {id} with such a place in its chain")));
        }
    }
    problems
}
