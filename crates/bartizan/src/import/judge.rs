//! Judging objects until what is in order remains.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use bartizan_chain::Kinship;
use bartizan_config::{
    Diagnostic, Draft, Loader, NodeConfig, ObjectFacts, ObjectName, Place, Requirement, one_line,
};
use bartizan_core::metrics::SharedMetrics;
use bartizan_plugins::authenticate::DANGER_WEAK_SECRET;
use bartizan_proxy::{CompileFault, Dialer, Gateway};
use serde_json::{Map, Value, json};
use tokio::runtime::Builder;

use super::findings::{Note, ObjectFinding, Verdict};
use crate::failure::Failure;
use crate::load;
use crate::logs::Logs;
use crate::node::settings;

/// Why a route is open that says nothing of its own.
const REASON: &str = "imported, to be reviewed";
/// How often everything is judged; each time at least one object is mended or left out.
const ROUNDS_MAX: usize = 1_000;

/// What was found, and the resources as they can be written.
pub(super) struct Judged {
    pub(super) objects: Vec<ObjectFinding>,
    pub(super) resources: Value,
}

/// Something that an object is at fault for.
struct Problem {
    diagnostic: Diagnostic,
    lacks: Option<Requirement>,
}

/// What becomes of the objects, by position.
#[derive(Default)]
struct Course {
    refused: BTreeMap<usize, Vec<Note>>,
    added: BTreeMap<usize, &'static str>,
    /// The plugins whose secrets can be guessed, and are taken as they are.
    weak: BTreeMap<usize, BTreeSet<String>>,
    holds_up_all: BTreeSet<usize>,
    /// Lists that no object of is read.
    lists: Vec<(String, Note)>,
}

/// Judges every object of a draft.
pub(super) fn judge(
    node: &NodeConfig,
    mut draft: Draft,
    loader: &Loader<'_>,
    fetch: &dyn Fn() -> bool,
) -> Result<Judged, Failure> {
    let metrics = SharedMetrics::default();
    let logs = Logs::nowhere(node, &metrics)?;
    let runtime = Builder::new_current_thread()
        .build()
        .map_err(|cause| Failure::new(format!("no runtime can be started: {cause}")))?;
    let dialer = Dialer::Network(runtime.handle().clone());
    let registry = Arc::new(Mutex::default());
    let gateway = match Gateway::new(settings(node, &logs, &metrics, &registry, dialer)) {
        Ok(gateway) => gateway,
        Err(faults) => return Err(load::not_serving(draft.into_parts().0, faults)),
    };
    let objects = draft.objects(loader);
    let mut course = Course::default();
    for _ in 0..ROUNDS_MAX {
        let problems = match attempt(&gateway, &mut draft, loader, fetch) {
            Ok(()) => return Ok(course.ended(&objects, draft.enabled_plugins())),
            Err(problems) => problems,
        };
        if !course.go_on(&mut draft, &objects, &problems) {
            let (problems, sources) =
                (problems.into_iter().map(|problem| problem.diagnostic), draft.into_parts().0);
            return Err(Failure::Misconfigured { sources, problems: problems.collect() });
        }
    }
    Err(Failure::new(format!("more than {ROUNDS_MAX} objects refer to each other in a row")))
}

fn attempt(
    gateway: &Gateway,
    draft: &mut Draft,
    loader: &Loader<'_>,
    fetch: &dyn Fn() -> bool,
) -> Result<(), Vec<Problem>> {
    let read = |diagnostic| Problem { diagnostic, lacks: None };
    let resources = load::judge(draft, loader, fetch)
        .map_err(|problems| problems.into_iter().map(read).collect::<Vec<_>>())?;
    let compiled = |fault: CompileFault| Problem {
        diagnostic: fault.diagnostic(draft.sources()),
        lacks: fault.lacks,
    };
    match gateway.check(&resources) {
        Ok(_) => Ok(()),
        Err(faults) => Err(faults.into_iter().map(compiled).collect()),
    }
}

impl Course {
    /// Mends or leaves out what problems are about; false where one is about no object.
    fn go_on(&mut self, draft: &mut Draft, objects: &[ObjectFacts], problems: &[Problem]) -> bool {
        let mut lacking: BTreeMap<usize, Vec<Requirement>> = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        let mut weakened = BTreeSet::new();
        for problem in problems {
            let place: Option<Place> = problem.diagnostic.place;
            let Some(at) = draft.object_of(objects, place) else {
                let Some(list) = place.and_then(|place| draft.forget(place)) else { return false };
                let note = Note::new(one_line(draft.sources(), &problem.diagnostic));
                self.lists.push((list, note));
                continue;
            };
            if let Some(plugin) = objects.get(at).and_then(|it| weak(it, &problem.diagnostic))
                && (weakened.contains(&at) || !self.weak.contains_key(&at))
            {
                self.weak.entry(at).or_default().insert(plugin);
                weakened.insert(at);
                continue;
            }
            match problem.lacks {
                Some(requirement @ (Requirement::Authentication | Requirement::Grant))
                    if !self.added.contains_key(&at) =>
                {
                    lacking.entry(at).or_default().push(requirement);
                }
                _ => {
                    let note = Note::new(one_line(draft.sources(), &problem.diagnostic));
                    self.refused.entry(at).or_default().push(note);
                    left_out.insert(at);
                }
            }
        }
        for at in &left_out {
            let Some(object) = objects.get(*at) else { return false };
            if !draft.set_aside(object) {
                draft.leave_out(object);
                self.holds_up_all.insert(*at);
            }
        }
        if !weakened.difference(&left_out).all(|at| self.accept_weak(draft, objects, *at)) {
            return false;
        }
        for (at, lacks) in &lacking {
            let Some(object) = objects.get(*at) else { return false };
            if left_out.contains(at) {
                continue;
            }
            let name = if lacks.contains(&Requirement::Authentication) {
                "anonymous-access"
            } else {
                "any-authenticated"
            };
            let added = with_plugin(object, name).is_some_and(|text| draft.replace(object, &text));
            if !added {
                return false;
            }
            self.added.insert(*at, name);
        }
        true
    }

    /// Lets an object have its secrets as they are; false where that cannot be written.
    fn accept_weak(&self, draft: &mut Draft, objects: &[ObjectFacts], at: usize) -> bool {
        let (Some(object), Some(plugins)) = (objects.get(at), self.weak.get(&at)) else {
            return false;
        };
        let text = accepting_weak(object, plugins);
        text.is_some_and(|text| draft.replace(object, &text))
    }

    fn ended(mut self, objects: &[ObjectFacts], enabled: Option<Value>) -> Judged {
        let mut findings = Vec::new();
        let mut resources = Map::new();
        resources.extend(enabled.map(|list| ("plugins".to_owned(), list)));
        for (at, object) in objects.iter().enumerate() {
            // What is refused is kept as it was, without what would open it once it is mended.
            let added = self.added.get(&at).copied().filter(|_| !self.refused.contains_key(&at));
            let weak = self.weak.remove(&at).filter(|_| !self.refused.contains_key(&at));
            let text = match (&weak, added) {
                (Some(plugins), _) => accepting_weak(object, plugins),
                (None, added) => added.and_then(|name| with_plugin(object, name)),
            };
            let text = text.as_deref().or(object.text.as_deref());
            let value: Value =
                text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let (verdict, notes) = match (self.refused.remove(&at), added) {
                (Some(notes), _) => (Verdict::Refused, notes),
                (None, _) if weak.is_some() => {
                    (Verdict::Review, guessed(&weak.unwrap_or_default(), &value))
                }
                (None, Some(name)) => (Verdict::Review, reviewed(name, &value)),
                (None, None) => {
                    let notes = stricter(&value);
                    (if notes.is_empty() { Verdict::Same } else { Verdict::Stricter }, notes)
                }
            };
            let holds_up_all = self.holds_up_all.contains(&at);
            findings.push(ObjectFinding {
                name: object.name.clone(),
                verdict,
                notes,
                holds_up_all,
            });
            keep(&mut resources, object, value);
        }
        findings.extend(self.lists.into_iter().map(|(list, note)| ObjectFinding {
            name: ObjectName { collection: list.into(), id: "*".into() },
            verdict: Verdict::Refused,
            notes: vec![note],
            holds_up_all: false,
        }));
        Judged { objects: findings, resources: Value::Object(resources) }
    }
}

/// Adds an object to the document that is written, under the name that it has.
fn keep(resources: &mut Map<String, Value>, object: &ObjectFacts, mut value: Value) {
    if let Value::Object(members) = &mut value {
        let has_name = members.contains_key("username") && !object.name.id.contains('/');
        if !has_name {
            let mut whole = Map::new();
            whole.insert("id".to_owned(), (*object.name.id).into());
            whole.extend(std::mem::take(members).into_iter().filter(|(key, _)| key != "id"));
            *members = whole;
        }
    }
    let list = resources.entry(&*object.name.collection).or_insert_with(|| json!([]));
    match (&mut *list, value) {
        (Value::Array(_), Value::Array(names)) => *list = Value::Array(names),
        (Value::Array(items), value) => items.push(value),
        _ => {}
    }
}

fn with_plugin(object: &ObjectFacts, name: &str) -> Option<String> {
    let mut value: Value = serde_json::from_str(object.text.as_deref()?).ok()?;
    let plugins = value.as_object_mut()?.entry("plugins").or_insert_with(|| json!({}));
    plugins.as_object_mut()?.insert(name.to_owned(), json!({ "reason": REASON }));
    Some(value.to_string())
}

/// The plugin of an object whose secret can be guessed, if that is what is wrong.
fn weak(object: &ObjectFacts, diagnostic: &Diagnostic) -> Option<String> {
    let flag = format!("{DANGER_WEAK_SECRET}: true");
    diagnostic.help.as_deref().filter(|help| help.contains(&flag))?;
    let value: Value = serde_json::from_str(object.text.as_deref()?).ok()?;
    let plugins = value.get("plugins")?.as_object()?;
    let is_at = |name: &&String| diagnostic.path.contains(&format!("plugins.{name}."));
    plugins.keys().find(is_at).cloned()
}

/// An object whose secrets of these plugins are taken as they are.
fn accepting_weak(object: &ObjectFacts, plugins: &BTreeSet<String>) -> Option<String> {
    let mut value: Value = serde_json::from_str(object.text.as_deref()?).ok()?;
    for name in plugins {
        let config = value.get_mut("plugins")?.get_mut(name)?.as_object_mut()?;
        config.insert(DANGER_WEAK_SECRET.to_owned(), true.into());
    }
    Some(value.to_string())
}

fn guessed(plugins: &BTreeSet<String>, value: &Value) -> Vec<Note> {
    let note = |name: &String| Note {
        text: format!(
            "the secret of `{name}` can be guessed: `{DANGER_WEAK_SECRET}: true` is added"
        ),
        help: Some("give its owner a better one, and take the field out".to_owned()),
    };
    plugins.iter().map(note).chain(stricter(value)).collect()
}

fn reviewed(name: &str, value: &Value) -> Vec<Note> {
    let (lack, help) = if name == "anonymous-access" {
        ("anybody may call it", "add authentication, such as `key-auth`, and take the plugin out")
    } else {
        (
            "every consumer may call it",
            "say who may, such as with `consumer-restriction`, and take the plugin out",
        )
    };
    let first = Note {
        text: format!("{lack}: `{name}` is added with the reason \"{REASON}\""),
        help: Some(help.to_owned()),
    };
    [first].into_iter().chain(stricter(value)).collect()
}

/// What of an object that is accepted asks for more here, or lets less through.
fn stricter(value: &Value) -> Vec<Note> {
    let mut notes = Vec::new();
    let plugins = value.get("plugins").and_then(Value::as_object);
    for name in plugins.into_iter().flat_map(Map::keys) {
        if let Some(entry) = bartizan_plugins::find(name)
            && let Kinship::Different(how) = entry.kinship
        {
            notes.push(Note::new(format!("`{name}`: {how}")));
        }
    }
    let upstream = value.get("upstream").unwrap_or(value);
    let scheme = upstream.get("scheme").and_then(Value::as_str).unwrap_or_default();
    if matches!(scheme, "https" | "grpcs") && upstream.get("nodes").is_some() {
        notes.push(Note::new("the certificate of the upstream is verified, for the node's name"));
    }
    notes
}
