//! Directives that change or remove rules which stand elsewhere.

use super::assemble::ChainDraft;
use super::compile::{has_msg, has_tag};
use crate::fault::Place;
use crate::name_pattern::name_pattern;
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
    actions: Vec<(Place, u32, u32, Vec<Action>)>,
    broken: Vec<(Place, String)>,
}

impl Updates {
    pub(super) fn take(&mut self, place: Place, directive: Directive) {
        match directive {
            Directive::RemoveById(ids) => self.removed.push(Whom::Ids(ids)),
            Directive::RemoveByTag(tag) => {
                let whom = self.pattern(place, &tag, Whom::Tag);
                self.removed.extend(whom);
            }
            Directive::RemoveByMsg(msg) => {
                let whom = self.pattern(place, &msg, Whom::Msg);
                self.removed.extend(whom);
            }
            Directive::UpdateTargetsById(ids, targets) => {
                self.targets.push((Whom::Ids(ids), targets));
            }
            Directive::UpdateTargetsByTag(tag, targets) => {
                let whom = self.pattern(place, &tag, Whom::Tag);
                self.targets.extend(whom.map(|whom| (whom, targets)));
            }
            Directive::UpdateTargetsByMsg(msg, targets) => {
                let whom = self.pattern(place, &msg, Whom::Msg);
                self.targets.extend(whom.map(|whom| (whom, targets)));
            }
            Directive::UpdateActionsById(id, link, actions) => {
                self.actions.push((place, id, link, actions));
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
        place: Place,
        text: &str,
        whom: fn(regex_automata::meta::Regex) -> Whom,
    ) -> Option<Whom> {
        match name_pattern(text) {
            Ok(regex) => Some(whom(regex)),
            Err(problem) => {
                self.broken.push((place, format!("the pattern `{text}` {problem}")));
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
pub(super) fn update(chains: &mut [ChainDraft], updates: &mut Updates) -> Vec<(Place, String)> {
    let mut problems = std::mem::take(&mut updates.broken);
    for (whom, targets) in &updates.targets {
        for chain in chains.iter_mut().filter(|chain| whom.means(chain)) {
            if let Some(head) = chain.links.first_mut() {
                head.targets.extend(targets.iter().cloned());
            }
        }
    }
    for (place, id, number, actions) in std::mem::take(&mut updates.actions) {
        let chain = chains.iter_mut().find(|chain| chain.about.id == id);
        let link = chain.map(|chain| chain.links.get_mut(number as usize));
        match link {
            Some(Some(link)) => link.actions.extend(actions),
            Some(None) => problems.push((place, format!("rule {id} has no rule {number} chained"))),
            None => problems.push((place, format!("there is no rule {id}"))),
        }
    }
    problems
}
