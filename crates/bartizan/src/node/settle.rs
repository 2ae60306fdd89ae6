//! What of a configuration is put into force when some of it is at fault.
//!
//! Under `reject_all` nothing is. Under `quarantine`, an object at fault keeps its last good
//! version; one that never had any is left out, where that opens nothing. What refers to it is then
//! at fault too, so that everything is judged again until nothing is.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use bartizan_admin::Aside;
use bartizan_config::{
    Diagnostic, Draft, Ledger, Loader, NodeConfig, ObjectFacts, ObjectName, OnInvalid, Pages,
    Resources, SecretManager, Sources, one_line,
};
use bartizan_proxy::{Applied, Gateway, Report};

use crate::failure::Failure;
use crate::load;
use crate::overrides::Overrides;

/// How often everything is judged. Each time at least one object more is replaced or left out; this
/// is reached where more than so many wait for each other, or thousands are at fault.
const ROUNDS_MAX: usize = 64;

/// Problems that are told of one object in quarantine.
const PROBLEMS_MAX: usize = 50;

/// The text of every object that was in force when it was in order, by name. While a ledger tells
/// that of all objects, it is empty.
#[derive(Default)]
pub(crate) struct LastGood(HashMap<ObjectName, Arc<str>>);

impl LastGood {
    /// What was in force before this process began.
    pub(crate) fn of(objects: impl IntoIterator<Item = (ObjectName, Arc<str>)>) -> Self {
        Self(objects.into_iter().collect())
    }

    /// What a ledger says is in force.
    pub(crate) fn of_ledger(ledger: &Ledger) -> Self {
        let text = |content: &[u8]| std::str::from_utf8(content).ok().map(Arc::from);
        Self::of(ledger.objects().filter_map(|(name, content)| Some((name, text(content)?))))
    }

    /// The text of an object.
    pub(crate) fn get(&self, name: &ObjectName) -> Option<&Arc<str>> {
        self.0.get(name)
    }
}

/// What a configuration is judged and put into force with.
pub(crate) struct Settling<'a> {
    pub(crate) gateway: &'a Gateway,
    pub(crate) node: &'a NodeConfig,
    pub(crate) on_invalid: OnInvalid,
    pub(crate) overrides: &'a Overrides,
    pub(crate) loader: &'a Loader<'a>,
    /// Fetches the secrets that are missing; false where none is.
    pub(crate) fetch: &'a dyn Fn() -> bool,
}

/// A configuration in force.
pub(crate) struct Settled {
    pub(crate) applied: Applied,
    /// The objects in quarantine, each with the first problem of it.
    pub(crate) quarantined: Vec<String>,
    /// Their names.
    pub(crate) names: HashSet<ObjectName>,
    /// The same objects, with everything that is wrong with them.
    pub(crate) aside: Arc<[Aside]>,
    /// What it was made of, where that was everything.
    pub(crate) origin: Option<Origin>,
}

impl Settled {
    /// The secret managers, until [`Settling::stand`] takes what it was made of.
    pub(crate) fn managers(&self) -> &[Arc<SecretManager>] {
        self.origin.as_ref().map_or(&[], |origin| &origin.resources.managers)
    }
}

/// What a configuration in force was made of.
pub(crate) struct Origin {
    draft: Draft,
    /// The objects of it, where some are in quarantine.
    objects: Vec<ObjectFacts>,
    resources: Resources,
}

/// Why a configuration that somebody wants is not in order: each problem with its object.
pub(crate) struct Trial {
    pub(crate) problems: Vec<(Option<ObjectName>, Diagnostic)>,
}

/// The objects of a draft, those at fault, and what is known of their past.
struct Quarantine<'a> {
    objects: Vec<ObjectFacts>,
    /// What is wrong with which object, by position.
    told: BTreeMap<usize, String>,
    /// The same in full.
    aside: BTreeMap<usize, Aside>,
    last_good: &'a LastGood,
}

impl Settling<'_> {
    /// Puts a draft into force, as far as `on_invalid` wants it, or says why not.
    pub(crate) fn settle(
        &self,
        mut draft: Draft,
        last_good: &LastGood,
    ) -> Result<Settled, Failure> {
        let mut quarantine = None;
        let mut rounds = 0;
        let (applied, resources) = loop {
            let problems = match self.attempt(&mut draft) {
                Ok(applied) => break applied,
                Err(problems) => problems,
            };
            rounds += 1;
            let gives_up = self.on_invalid == OnInvalid::RejectAll || rounds > ROUNDS_MAX;
            let quarantine = quarantine.get_or_insert_with(|| Quarantine {
                objects: if gives_up { Vec::new() } else { draft.objects(self.loader) },
                told: BTreeMap::new(),
                aside: BTreeMap::new(),
                last_good,
            });
            if gives_up || !quarantine.contain(&mut draft, &problems) {
                return Err(refused(draft.into_parts().0, problems));
            }
        };
        let (told, aside, objects) = quarantine
            .map(|quarantine| (quarantine.told, quarantine.aside, quarantine.objects))
            .unwrap_or_default();
        let aside = aside.into_values().collect();
        let names = told.keys().filter_map(|at| Some(objects.get(*at)?.name.clone())).collect();
        let quarantined = told.into_values().collect();
        let origin = Some(Origin { draft, objects, resources });
        Ok(Settled { applied, quarantined, names, aside, origin })
    }

    /// What the next change of a configuration in force is judged by, and its last good version.
    /// That it serves waits for none of this.
    pub(crate) fn stand(
        &self,
        settled: &mut Settled,
        last_good: &mut LastGood,
    ) -> (Option<Ledger>, Option<Pages>) {
        let Some(Origin { draft, mut objects, resources }) = settled.origin.take() else {
            return (None, None);
        };
        // Freed first: what comes now finds room where this was.
        drop(resources);
        let ledger = draft.ledger();
        if self.on_invalid == OnInvalid::Quarantine {
            if ledger.is_none() && objects.is_empty() {
                objects = draft.objects(self.loader);
            }
            let kept = objects.into_iter().filter_map(|object| {
                let text = if draft.is_as_it_is(&object) {
                    object.text
                } else {
                    last_good.0.get(&object.name).filter(|_| object.is_named).cloned()
                };
                Some((object.name, text?))
            });
            *last_good = LastGood(kept.collect());
        }
        (ledger, draft.pages())
    }

    /// What a draft would amount to. Objects that `may_fail` go into quarantine where they are at
    /// fault; others are not allowed to be.
    pub(crate) fn foresee(
        &self,
        mut draft: Draft,
        last_good: &LastGood,
        may_fail: impl Fn(&ObjectName) -> bool,
    ) -> Result<Report, Trial> {
        let objects = draft.objects(self.loader);
        let mut quarantine =
            Quarantine { objects, told: BTreeMap::new(), aside: BTreeMap::new(), last_good };
        // As many as `settle` takes.
        for _ in 0..=ROUNDS_MAX {
            let problems = match self.judge(&mut draft) {
                Ok(report) => return Ok(report),
                Err(problems) => problems,
            };
            let named = |problem: Diagnostic| {
                let at = draft.object_of(&quarantine.objects, problem.place);
                let name = at.and_then(|at| Some(quarantine.objects.get(at)?.name.clone()));
                (name, problem)
            };
            let told: Vec<_> = problems.iter().cloned().map(named).collect();
            let is_allowed = told.iter().all(|(name, _)| name.as_ref().is_some_and(&may_fail));
            if !is_allowed || self.on_invalid == OnInvalid::RejectAll {
                // What may fail is no news to whoever wants the change.
                let is_news = |name: &Option<ObjectName>| !name.as_ref().is_some_and(&may_fail);
                let (news, known): (Vec<_>, Vec<_>) =
                    told.into_iter().partition(|(name, _)| is_news(name));
                return Err(Trial { problems: if news.is_empty() { known } else { news } });
            }
            if !quarantine.contain(&mut draft, &problems) {
                return Err(Trial { problems: told });
            }
        }
        Err(Trial { problems: Vec::new() })
    }

    fn judge(&self, draft: &mut Draft) -> Result<Report, Vec<Diagnostic>> {
        let mut resources = load::judge(draft, self.loader, self.fetch)?;
        self.overrides.resources(&mut resources);
        self.gateway.foresee(&resources).map_err(|faults| {
            faults.iter().map(|fault| fault.diagnostic(draft.sources())).collect()
        })
    }

    fn attempt(&self, draft: &mut Draft) -> Result<(Applied, Resources), Vec<Diagnostic>> {
        let mut resources = load::judge(draft, self.loader, self.fetch)?;
        self.overrides.resources(&mut resources);
        match self.gateway.attempt(self.node, &resources) {
            Ok(applied) => Ok((applied, resources)),
            Err(faults) => {
                Err(faults.iter().map(|fault| fault.diagnostic(draft.sources())).collect())
            }
        }
    }
}

impl Quarantine<'_> {
    /// Replaces or leaves out every object that a problem is about; false where one cannot be.
    fn contain(&mut self, draft: &mut Draft, problems: &[Diagnostic]) -> bool {
        let mut met = HashSet::new();
        for problem in problems {
            let Some(at) = draft.object_of(&self.objects, problem.place) else { return false };
            let Some(object) = self.objects.get(at) else { return false };
            let text = one_line(draft.sources(), problem);
            let aside = self.aside.entry(at).or_insert_with(|| Aside {
                object: format!("{}/{}", object.name.collection, object.name.id),
                stands_in: false,
                problems: Vec::new(),
            });
            if aside.problems.len() < PROBLEMS_MAX && !aside.problems.contains(&text) {
                aside.problems.push(text);
            }
            if !met.insert(at) {
                continue;
            }
            let line = format!("{}: {}", object.name, one_line(draft.sources(), problem));
            self.told.entry(at).or_insert(line);
            // What stands at a position now need not be what stood there before.
            let earlier = self.last_good.0.get(&object.name).filter(|_| object.is_named);
            let is_replaced = earlier.is_some_and(|text| draft.replace(object, text));
            if let Some(aside) = self.aside.get_mut(&at) {
                aside.stands_in = is_replaced;
            }
            if !is_replaced && !draft.set_aside(object) {
                return false;
            }
        }
        !met.is_empty()
    }
}

fn refused(sources: Sources, problems: Vec<Diagnostic>) -> Failure {
    Failure::Misconfigured { sources, problems }
}
