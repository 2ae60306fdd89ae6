//! The whole configuration as one document: `/apisix/admin/configs`.
//!
//! Apache APISIX has this where it keeps no store; here the document replaces what is in the
//! store, in one commit of what differs.

use std::collections::{BTreeMap, BTreeSet};

use bartizan_config::Format;
use bartizan_store::{Commit, Expect, Key, OWN_COLLECTION, Object, Snapshot, Write};
use http::StatusCode;
use http::header::{ACCEPT, HeaderName};
use serde_json::{Map, Value, json};

use super::answer::{Answer, Done};
use super::asked::{self, Asked};
use super::kept::{Secrets, Sent};
use super::kinds::{KINDS, Kind, Naming, Target};
use super::references::Changing;
use super::schemas::is_yaml;
use super::{Api, What};
use crate::operators::{Role, Verb};
use crate::plane::Proposal;

const DIGEST: HeaderName = HeaderName::from_static("x-digest");
const LAST_MODIFIED: HeaderName = HeaderName::from_static("x-last-modified");

/// Longest digest, in bytes.
const DIGEST_MAX: usize = 512;

/// What is kept about the last document.
#[derive(Clone, Debug, Default)]
struct Stand {
    digest: Option<String>,
    modified: u64,
    versions: BTreeMap<String, u64>,
    revision: Option<u64>,
}

/// Replacing everything, whatever it is.
const REPLACE: What<'_> = What { verb: Verb::Write, ..What::read("configs") };

/// What an object was and will be.
struct Change {
    key: Key,
    before: Option<Value>,
    after: Option<Value>,
    secrets: Secrets,
}

fn stand_key() -> Result<Key, Answer> {
    Key::new(OWN_COLLECTION, "configs").map_err(|fault| Answer::bad(fault.to_string()))
}

impl Stand {
    fn read(snapshot: &Snapshot) -> Result<Self, Answer> {
        let key = stand_key()?;
        let Some(object) = snapshot.get(&key) else { return Ok(Self::default()) };
        let value = object.value().unwrap_or_default();
        let versions = value.get("versions").and_then(Value::as_object).into_iter().flatten();
        Ok(Self {
            digest: value.get("digest").and_then(Value::as_str).map(str::to_owned),
            modified: value.get("modified").and_then(Value::as_u64).unwrap_or_default(),
            versions: versions.filter_map(|(k, v)| Some((k.clone(), v.as_u64()?))).collect(),
            revision: Some(object.revision),
        })
    }

    /// Takes back the versions of kinds of which nothing changes: who may change some objects may
    /// not say what is the newest of others.
    fn keep_versions(&mut self, before: BTreeMap<String, u64>, changes: &[Change]) {
        let of = |key: &Key| listed().find(|kind| kind.segment == key.collection());
        let changed: BTreeSet<String> =
            changes.iter().filter_map(|change| of(&change.key).map(version_of)).collect();
        self.versions.retain(|name, _| changed.contains(name));
        for (name, version) in before {
            self.versions.entry(name).or_insert(version);
        }
    }

    fn write(&self) -> Result<Write, Answer> {
        let content = json!({
            "digest": self.digest, "modified": self.modified, "versions": self.versions,
        });
        Ok(Write {
            key: stand_key()?,
            content: Some(content.to_string().into_bytes().into()),
            expect: self.revision.map_or(Expect::Absent, Expect::Revision),
        })
    }
}

/// The kinds that are lists of the document; what stands below others is among those.
fn listed() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(|kind| kind.naming.below().is_none())
}

fn version_of(kind: &Kind) -> String {
    format!("{}_conf_version", kind.segment)
}

fn is_of(object: &Object, kind: &Kind) -> bool {
    object.key.collection() == kind.segment
}

impl Api {
    /// `GET` and `HEAD`: the document.
    pub(crate) async fn show_configs(&self, asked: &Asked) -> Done {
        let snapshot = self.snapshot().await?;
        let stand = Stand::read(&snapshot)?;
        let mut document = Map::new();
        for kind in listed() {
            let mut list = Vec::new();
            for object in snapshot.objects.iter().filter(|object| is_of(object, kind)) {
                let value = object.value().unwrap_or_default();
                let Some(target) = target_of(&object.key) else { continue };
                let kind = target.kind.segment;
                asked.allow(&What::object(kind, object.key.id(), Some(&value), &snapshot))?;
                let mut shown = self.shown(asked, &object.key, &value, &snapshot);
                if let Some(members) = shown.as_object_mut() {
                    if target.kind.naming.below().is_some() {
                        members.insert("id".to_owned(), object.key.id().into());
                    }
                    members.insert("modifiedIndex".to_owned(), object.revision.into());
                }
                list.push(shown);
            }
            document.insert(kind.segment.to_owned(), list.into());
            let version = version_of(kind);
            let number = stand.versions.get(&version).copied().unwrap_or_default();
            document.insert(version, number.into());
        }
        let accept = asked.fields.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let mut answer = Answer::ok(&Value::Object(document));
        if accept.is_some_and(|accept| accept.contains("yaml")) {
            // JSON is YAML (YAML 1.2 §1.3).
            answer = answer.with_media("application/yaml");
        }
        Ok(with_stand(answer, &stand).with_revision(snapshot.revision))
    }

    /// `PUT`: the document in place of everything.
    pub(crate) async fn put_configs(&self, asked: &Asked) -> Done {
        let digest = asked.fields.get(DIGEST).and_then(|digest| digest.to_str().ok());
        let Some(digest) = digest.filter(|text| !text.is_empty() && text.len() <= DIGEST_MAX)
        else {
            return Err(Answer::bad("missing digest header"));
        };
        // An editor may replace what its document changes, if it may change all of that.
        if asked.operator.role() != Role::Editor {
            asked.allow(&REPLACE)?;
        }
        self.writable()?;
        let is_dry = asked.query.flag("dry_run")?;
        let format = if is_yaml(asked) { Format::Yaml } else { Format::Json };
        let body = asked::value(&asked.body, format)?;
        let Value::Object(body) = body else {
            return Err(Answer::bad("invalid request body: expected a map of lists"));
        };
        let snapshot = self.snapshot().await?;
        let mut stand = Stand::read(&snapshot)?;
        let is_known = stand.digest.as_deref() == Some(digest);
        let versions = stand.versions.clone();
        let hides = is_dry && !asked.operator.reads_secrets();
        let changes = self.document_changes(&body, &mut stand, &snapshot, hides)?;
        if changes.is_empty() {
            // The same digest alone says nothing: others may have changed what it was of.
            if is_known {
                return Ok(Answer::empty(StatusCode::NO_CONTENT));
            }
            asked.allow(&REPLACE)?;
        }
        let changing = Changing::new(changes.iter().map(|change| &change.key), &snapshot);
        for Change { key, before, after, secrets } in &changes {
            let target =
                target_of(key).ok_or_else(|| Answer::bad(format!("`{key}` is no resource")))?;
            let both = [before.as_ref(), after.as_ref()];
            asked.allow_change(&target, key, both, Some(secrets), &snapshot)?;
            if after.is_none() {
                asked.allow_removal(&target, key, &changing)?;
            }
        }
        if asked.operator.role() == Role::Editor {
            stand.keep_versions(versions, &changes);
        }
        stand.digest = Some(digest.to_owned());
        stand.modified = self.0.clock.now().as_secs();
        let mut writes = vec![stand.write()?];
        for Change { key, after, .. } in &changes {
            writes.extend(self.replacing(key, after.as_ref(), &snapshot)?);
        }
        let commit = Commit { author: asked.operator.name().into(), writes };
        let outcome = self.0.plane.propose(Proposal { commit, is_dry, is_forced: false }).await;
        let outcome = outcome.map_err(|refused| Answer::of_refusal(&refused, None))?;
        if is_dry {
            let changed: Vec<String> =
                changes.iter().map(|change| change.key.to_string()).collect();
            return Ok(Answer::ok(&json!({
                "dry_run": true, "changed": changed, "opens": outcome.opens,
                "closes": outcome.closes, "warnings": outcome.warnings,
            })));
        }
        for Change { key, before, after, .. } in &changes {
            self.record_change(asked, key, before.as_ref(), after.as_ref(), outcome.revision);
        }
        Ok(with_stand(Answer::empty(StatusCode::ACCEPTED), &stand))
    }

    /// What is written to give an object other content, or to remove it. It does not end as what
    /// it replaces would have.
    pub(super) fn replacing(
        &self,
        key: &Key,
        after: Option<&Value>,
        snapshot: &Snapshot,
    ) -> Result<impl Iterator<Item = Write> + use<>, Answer> {
        let known = snapshot.get(key).map(|object| object.revision);
        let content = after.map(|after| after.to_string().into_bytes().into());
        let expect = known.map_or(Expect::Absent, Expect::Revision);
        let expiry = self.expiry_write(key, None, snapshot)?;
        let write = Write { key: key.clone(), content, expect };
        Ok([write].into_iter().chain(expiry))
    }

    /// What a document changes, kind by kind.
    fn document_changes(
        &self,
        body: &Map<String, Value>,
        stand: &mut Stand,
        snapshot: &Snapshot,
        hides: bool,
    ) -> Result<Vec<Change>, Answer> {
        let known: BTreeSet<String> =
            listed().flat_map(|kind| [kind.segment.to_owned(), version_of(kind)]).collect();
        if let Some(unknown) = body.keys().find(|key| !known.contains(*key)) {
            let text = format!("additional properties forbidden, found {unknown}");
            return Err(Answer::bad(format!("invalid configuration: {text}")));
        }
        let mut changes = Vec::new();
        for kind in listed() {
            let name = version_of(kind);
            let current = stand.versions.get(&name).copied().unwrap_or_default();
            let version = match body.get(&name) {
                None => current.saturating_add(1),
                Some(given) => match given.as_u64() {
                    Some(given) if given < current => {
                        let text = format!("{name} must be greater than or equal to ({current})");
                        return Err(Answer::bad(text));
                    }
                    // Equal: this kind is left alone.
                    Some(given) if given == current && current > 0 => continue,
                    Some(given) => given,
                    None => return Err(Answer::bad(format!("{name} must be a number"))),
                },
            };
            stand.versions.insert(name, version);
            self.kind_changes(kind, body.get(kind.segment), snapshot, hides, &mut changes)?;
        }
        Ok(changes)
    }

    fn kind_changes(
        &self,
        kind: &Kind,
        list: Option<&Value>,
        snapshot: &Snapshot,
        hides: bool,
        changes: &mut Vec<Change>,
    ) -> Result<(), Answer> {
        let items = match list {
            None | Some(Value::Null) => &[][..],
            Some(Value::Array(items)) => items.as_slice(),
            Some(_) => return Err(Answer::bad(format!("{} must be a list", kind.segment))),
        };
        let mut met = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let (key, target, mut value) = placed(kind, index, item)?;
            if !met.insert(key.clone()) {
                let (noun, id) = (kind.segment, key.id());
                return Err(Answer::bad(format!("found duplicate id {id} in {noun}")));
            }
            let before = snapshot.get(&key).and_then(Object::value);
            self.unsealed(&key, &mut value, before.as_ref())?;
            let id = target.id.clone().unwrap_or_default();
            let times = |value: &Value| {
                let mut value = value.clone();
                if let Some(members) = value.as_object_mut() {
                    members.remove("create_time");
                    members.remove("update_time");
                }
                value
            };
            self.stamp(&target, &id, &mut value, before.as_ref());
            let is_changed = before.as_ref().map(times) != Some(times(&value));
            if !is_changed && !hides {
                continue;
            }
            let secrets = Secrets::of(&key, &value, Sent::Object(item), &self.0.plugins);
            // That a secret was guessed is told by no answer that changes nothing.
            if is_changed || !secrets.clear.is_empty() {
                changes.push(Change { key, before, after: Some(value), secrets });
            }
        }
        let gone = snapshot.objects.iter().filter(|object| is_of(object, kind));
        for object in gone.filter(|object| !met.contains(&object.key)) {
            let (key, before) = (object.key.clone(), object.value());
            changes.push(Change { key, before, after: None, secrets: Secrets::default() });
        }
        Ok(())
    }
}

fn with_stand(answer: Answer, stand: &Stand) -> Answer {
    let answer = answer.with(LAST_MODIFIED, &stand.modified.to_string());
    match &stand.digest {
        Some(digest) => answer.with(DIGEST, digest),
        None => answer,
    }
}

/// The object that a key names, as a path would.
pub(super) fn target_of(key: &Key) -> Option<Target> {
    let kind = Kind::of(key)?;
    let below = kind.naming.below().and_then(|(_, between)| key.id().split_once(between));
    let (owner, id) = match below {
        Some((owner, id)) => (Some(owner.to_owned()), id),
        None => (None, key.id()),
    };
    Some(Target { kind, owner, id: Some(id.to_owned()), part: Vec::new() })
}

/// An item of a list, with the key that it says.
fn placed(kind: &Kind, index: usize, item: &Value) -> Result<(Key, Target, Value), Answer> {
    let refused = |what: &str| {
        Answer::bad(format!("invalid configuration: {}[{index}] {what}", kind.segment))
    };
    let mut value = item.clone();
    let members = value.as_object_mut().ok_or_else(|| refused("is no object"))?;
    for own in ["modifiedIndex", "createdIndex", "create_time", "update_time"] {
        members.shift_remove(own);
    }
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let (id, username) = (text(members.get("id")), text(members.get("username")));
    let id = match kind.naming {
        Naming::Username => username.or(id),
        _ => id,
    };
    let id = id.ok_or_else(|| refused("has no id"))?;
    let key = Key::new(kind.segment, &id).map_err(|_| refused("has an id that is none"))?;
    let target = target_of(&key).ok_or_else(|| refused("is of no kind"))?;
    Ok((key, target, value))
}
