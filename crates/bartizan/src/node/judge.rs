//! Judging a change before it is stored: by everything that it leads to, and by what it would open
//! or close.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bartizan_admin::{Document, Outcome, Problem, Proposal, Refused};
use bartizan_config::{Diagnostic, Loader, Nowhere, ObjectName, OnInvalid, Sources};
use bartizan_core::metrics::SharedMetrics;
use bartizan_plugins::Catalogue;
use bartizan_proxy::{Report, RouteReport};
use bartizan_secrets::Managers;
use bartizan_store::{Expect, Key, OWN_COLLECTION, Object, Snapshot, StoreError, Write};
use tokio::time::timeout;

use super::Node;
use super::settle::{LastGood, Settling, Trial};
use super::stores;
use crate::failure::Failure;
use crate::load::{self, Record};

/// Time for a store to tell of what is in it already.
const CATCH_UP_TIME: Duration = Duration::from_secs(1);

impl Node {
    /// Judges a change, makes it and puts it into force; or says why not.
    pub(super) fn take_proposal(&mut self, proposal: Proposal) -> Result<Outcome, Refused> {
        let snapshot = self.control.block_on(self.store.snapshot()).map_err(Refused::Store)?;
        let writes = &proposal.commit.writes;
        check_expected(&snapshot, writes).map_err(Refused::Store)?;
        let is_own = |write: &Write| write.key.collection() == OWN_COLLECTION;
        let mut outcome = Outcome::default();
        let is_apart = writes.iter().all(is_own);
        if !is_apart {
            let report = self.foresee(&with(&snapshot, writes), &proposal)?;
            (outcome.opens, outcome.closes) = effects(&self.board.routes(), &report.routes);
            outcome.warnings = report.warnings.iter().map(|w| w.problem.clone()).collect();
        }
        if proposal.is_dry {
            return Ok(outcome);
        }
        let committed = self.control.block_on(self.store.commit(proposal.commit));
        outcome.revision = committed.map_err(Refused::Store)?;
        // What is no resource is passed over with what the store tells next. The revision alone would
        // pass over what others wrote in between, too.
        if !is_apart {
            self.catch_up();
        }
        Ok(outcome)
    }

    /// Puts into force what was written since the store was last read: this change, and what others
    /// wrote in between.
    fn catch_up(&mut self) {
        let (store, seen) = (&self.store, self.seen);
        let told =
            self.control.block_on(async { timeout(CATCH_UP_TIME, store.changes(seen)).await });
        match told {
            Ok(Ok(changes)) => self.take(&changes),
            // Whatever the store does not tell is in it.
            Ok(Err(_)) | Err(_) => self.reload(&[]),
        }
    }

    /// The secret managers that a change is judged with: those in force, unless it is about them.
    /// What may come to nothing must not take their place.
    fn managers_for(&self, writes: &[Write]) -> Arc<Managers> {
        if !writes.iter().any(|write| write.key.collection() == "secrets") {
            return Arc::clone(&self.managers);
        }
        // Nor may it tell how many secrets cannot be had.
        let metrics = SharedMetrics::default();
        load::managers(&self.config, self.control.handle(), &self.logs.clock, &metrics)
    }

    /// What a changed store amounts to, if nothing that was in order is at fault then.
    fn foresee(&self, changed: &Snapshot, proposal: &Proposal) -> Result<Report, Refused> {
        let record = Record::default();
        let managers = self.managers_for(&proposal.commit.writes);
        record.ask(Arc::clone(&managers));
        let loader = load::loader(&record);
        let told = |failure: &Failure| {
            let what = failure.lines();
            Refused::Invalid(vec![Problem { what, ..Problem::default() }])
        };
        let read = load::draft(&self.config.path, &loader);
        let (mut node, mut draft) = read.map_err(|failure| told(&failure))?;
        self.overrides.node(&mut node);
        self.keep_lent(&mut node, &mut draft);
        stores::add(&mut draft, changed);
        let settling = Settling {
            gateway: &self.gateway,
            node: &node,
            on_invalid: self.config.on_invalid(),
            overrides: &self.overrides,
            loader: &loader,
            fetch: &|| self.control.block_on(managers.fetch()),
        };
        let written: HashSet<ObjectName> = proposal
            .commit
            .writes
            .iter()
            .map(|write| ObjectName {
                collection: write.key.collection().into(),
                id: write.key.id().into(),
            })
            .collect();
        let may_fail = |name: &ObjectName| {
            !written.contains(name) && (proposal.is_forced || self.quarantined.contains(name))
        };
        let in_force =
            self.ledger.as_ref().filter(|_| settling.on_invalid == OnInvalid::Quarantine);
        let in_force = in_force.map(LastGood::of_ledger);
        let last_good = in_force.as_ref().unwrap_or(&self.last_good);
        let trial = settling.foresee(draft, last_good, may_fail);
        trial.map_err(|trial| Refused::Invalid(problems(&trial)))
    }

    /// What is wrong with a declarative document, which is judged without anything that this node
    /// knows beside it: whoever sent it need not be one who may know it.
    pub(super) fn judge_document(&self, document: &Document) -> Vec<Problem> {
        let loader = Loader::new(&Catalogue).with_surroundings(&Nowhere);
        let folder = self.config.path.parent().unwrap_or(std::path::Path::new(""));
        let name = folder.join(if document.is_yaml { "document.yaml" } else { "document.json" });
        let loaded = match loader.resources_text(&self.config, &name, &document.text) {
            Ok(loaded) if document.is_compiled => loaded,
            Ok(_) => return Vec::new(),
            // None are told where all that is amiss is that it refers to something.
            Err(failure) => return document_problems(&failure.sources, &failure.diagnostics),
        };
        let checked = self.gateway.check(&loaded.resources);
        // What it names is not watched.
        drop(self.gateway.take_files());
        match checked {
            Ok(_) => Vec::new(),
            Err(faults) => {
                let found: Vec<Diagnostic> =
                    faults.iter().map(|fault| fault.diagnostic(&loaded.sources)).collect();
                document_problems(&loaded.sources, &found)
            }
        }
    }
}

/// Whether every object is at the revision that a change expects.
fn check_expected(snapshot: &Snapshot, writes: &[Write]) -> Result<(), StoreError> {
    for write in writes {
        let current = snapshot.get(&write.key).map(|object| object.revision);
        let holds = match write.expect {
            Expect::Anything => true,
            Expect::Absent => current.is_none(),
            Expect::Revision(revision) => current == Some(revision),
        };
        if !holds {
            return Err(StoreError::Conflict { key: write.key.clone(), current });
        }
    }
    Ok(())
}

/// The store after a change.
fn with(snapshot: &Snapshot, writes: &[Write]) -> Snapshot {
    let revision = snapshot.revision.saturating_add(1);
    let mut objects = snapshot.objects.clone();
    let written: HashSet<&Key> = writes.iter().map(|write| &write.key).collect();
    objects.retain(|object| !written.contains(&object.key));
    for write in writes {
        if let Some(content) = write.content.clone() {
            let (key, created) = (write.key.clone(), revision);
            objects.push(Object { key, content, revision, created, author: None, at: None });
        }
    }
    objects.sort_by(|a, b| a.key.cmp(&b.key));
    Snapshot { revision, objects }
}

fn problems(trial: &Trial) -> Vec<Problem> {
    let told = trial.problems.iter().map(|(object, problem)| Problem {
        object: object.clone(),
        index: None,
        path: problem.path.to_string(),
        what: problem.problem.clone(),
        help: problem.help.clone(),
    });
    told.collect()
}

/// Problems of a document, whose paths begin with the list and the position of the object.
fn document_problems(sources: &Sources, found: &[Diagnostic]) -> Vec<Problem> {
    let told = found.iter().map(|problem| {
        let path = problem.path.to_string();
        let (head, rest) = path.split_once('.').unwrap_or((&path, ""));
        let listed = head.split_once('[').and_then(|(collection, index)| {
            Some((collection, index.strip_suffix(']')?.parse::<usize>().ok()?))
        });
        let (object, index, path) = match listed {
            Some((collection, index)) => {
                let id = id_of(sources, problem, collection, index).unwrap_or_default();
                let name = ObjectName { collection: collection.into(), id: id.into() };
                (Some(name), Some(index), rest.to_owned())
            }
            None => (None, None, path.clone()),
        };
        let (what, help) = (problem.problem.clone(), problem.help.clone());
        Problem { object, index, path, what, help }
    });
    told.collect()
}

/// The id of an item of a list of a document.
fn id_of(sources: &Sources, problem: &Diagnostic, list: &str, index: usize) -> Option<String> {
    let document = sources.read(problem.place?.source).ok()?;
    let item = document.get(list)?.to_json().get(index)?.clone();
    let id = item.get("id").or_else(|| item.get("username"))?;
    Some(id.as_str().map_or_else(|| id.to_string(), str::to_owned))
}

/// What one configuration opens and closes that another did not.
fn effects(before: &[Arc<RouteReport>], after: &[RouteReport]) -> (Vec<String>, Vec<String>) {
    let (mut opens, mut closes) = (Vec::new(), Vec::new());
    let known: HashMap<&str, &RouteReport> =
        before.iter().map(|route| (&*route.id, &**route)).collect();
    let coming: HashSet<&str> = after.iter().map(|route| &*route.id).collect();
    for route in after {
        match known.get(&*route.id) {
            Some(old) => compare(old, route, &mut opens, &mut closes),
            None if route.is_enabled => opens.push(format!("{} is served", told(route))),
            None => {}
        }
    }
    for route in before.iter().filter(|route| route.is_enabled) {
        if !coming.contains(&*route.id) {
            closes.push(format!("{} is not served any more", told(route)));
        }
    }
    (opens, closes)
}

fn compare(
    old: &RouteReport,
    new: &RouteReport,
    opens: &mut Vec<String>,
    closes: &mut Vec<String>,
) {
    let id = &new.id;
    match (old.is_enabled, new.is_enabled) {
        (true, true) => {}
        // What a route had or has while it is not served neither opens nor closes anything.
        (false, true) => return opens.push(format!("{} is served", told(new))),
        (true, false) => return closes.push(format!("{} is not served any more", told(old))),
        (false, false) => return,
    }
    if (&old.uris, &old.hosts, &old.methods) != (&new.uris, &new.hosts, &new.methods) {
        opens.push(format!("route `{id}` is served at {}", place(new)));
        closes.push(format!("route `{id}` is not served as before at {}", place(old)));
    }
    match (old.is_public, new.is_public) {
        (false, true) => opens.push(format!("route `{id}` needs no proof of who calls")),
        (true, false) => closes.push(format!("route `{id}` needs proof of who calls")),
        _ => {}
    }
    let plugins = |route: &RouteReport| -> HashSet<&'static str> {
        let always = |plugin: &&bartizan_proxy::ReportedPlugin| !plugin.is_conditional;
        let all = route.stages.iter().flat_map(|(_, plugins)| plugins);
        all.filter(always).map(|plugin| plugin.name).collect()
    };
    let (was, is) = (plugins(old), plugins(new));
    let sorted = |names: Vec<&&'static str>| {
        let mut names: Vec<&str> = names.into_iter().copied().collect();
        names.sort_unstable();
        names
    };
    for plugin in sorted(was.difference(&is).collect()) {
        opens.push(format!("route `{id}` loses `{plugin}`"));
    }
    for plugin in sorted(is.difference(&was).collect()) {
        closes.push(format!("route `{id}` gains `{plugin}`"));
    }
}

fn place(route: &RouteReport) -> String {
    let list = |items: &[String], any: &str| {
        if items.is_empty() { any.to_owned() } else { items.join(", ") }
    };
    format!(
        "{} on {} for {}",
        list(&route.uris, "no path"),
        list(&route.hosts, "any host"),
        list(&route.methods, "any method")
    )
}

/// A route with where it is served and who must be known there.
fn told(route: &RouteReport) -> String {
    let who = if route.is_public { "anyone" } else { "who proves to be known" };
    format!("route `{}` at {}, to {who},", route.id, place(route))
}
