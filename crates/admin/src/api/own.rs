//! What Apache APISIX does not have: `/bartizan/v1`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;

use bartizan_store::{Commit, Key, OWN_COLLECTION, Object, Revision, Snapshot};
use serde_json::{Value, json};

use super::answer::{Answer, Done};
use super::asked::{Asked, Expected};
use super::configs::target_of;
use super::references::Changing;
use super::seal::redacted;
use super::{Api, What};
use crate::operators::{Role, Verb};
use crate::plane::{Proposal, Written};

/// Revisions that are listed where the query says no number.
const LISTED: usize = 100;
/// Most writes of the log that are looked at.
const LOG_MAX: usize = 10_000;
/// Most revisions of one object that are looked at.
const HISTORY_MAX: usize = 1_000;

/// A revision as it is listed, by what it wrote.
fn told(written: &[Written]) -> Option<Value> {
    let first = &written.first()?.revision;
    let objects = written.iter().map(|Written { key, revision }| {
        json!({ "object": key.as_str(), "removed": revision.content.is_none() })
    });
    Some(json!({
        "revision": first.number,
        "author": first.author.as_deref(),
        "at": first.at.map(bartizan_core::Timestamp::to_rfc3339),
        "objects": objects.collect::<Vec<_>>(),
    }))
}

impl Api {
    /// How the node is.
    pub(crate) fn status(&self, asked: &Asked) -> Done {
        asked.allow(&What::read("status"))?;
        Ok(Answer::ok(&self.0.plane.status()))
    }

    /// The objects in quarantine.
    pub(crate) fn quarantine(&self, asked: &Asked) -> Done {
        asked.allow(&What::read("quarantine"))?;
        let found = self.0.plane.quarantine();
        Ok(Answer::ok(&json!({ "total": found.len(), "list": found })))
    }

    async fn log(&self) -> Result<Vec<Written>, Answer> {
        let written = self.0.plane.written(LOG_MAX).await;
        let mut written = written.map_err(|error| Answer::of_store(&error))?;
        written.retain(|written| written.key.collection() != OWN_COLLECTION);
        Ok(written)
    }

    /// The revisions of the store that are kept, the newest first.
    pub(crate) async fn revisions(&self, asked: &Asked) -> Done {
        asked.allow(&What::read("revisions"))?;
        let limit = match asked.query.find("limit").map(str::parse::<usize>) {
            None => LISTED,
            Some(Ok(limit)) if (1..=1_000).contains(&limit) => limit,
            Some(_) => return Err(Answer::bad("`limit` must be between 1 and 1000")),
        };
        let (list, _) = self.revision_list(|_| 0..limit).await?;
        Ok(Answer::ok(&json!({ "list": list, "total": list.len() })))
    }

    /// Those of them that are wanted, by how many there are, each with the objects that it wrote; and
    /// how many there are.
    pub(crate) async fn revision_list(
        &self,
        wanted: impl FnOnce(usize) -> Range<usize>,
    ) -> Result<(Vec<Value>, usize), Answer> {
        let log = self.log().await?;
        let revisions = || log.chunk_by(|one, next| one.revision.number == next.revision.number);
        let total = revisions().count();
        let wanted = wanted(total);
        let list = revisions().skip(wanted.start).take(wanted.len()).filter_map(told).collect();
        Ok((list, total))
    }

    /// What a revision changed.
    pub(crate) async fn revision_diff(&self, asked: &Asked, number: &str) -> Done {
        let (difference, _) = self.difference(asked, number, usize::MAX).await?;
        Ok(Answer::ok(&difference))
    }

    /// The same, of so many objects at most, and how many more there are. Of those, nothing is read.
    pub(crate) async fn difference(
        &self,
        asked: &Asked,
        number: &str,
        most: usize,
    ) -> Result<(Value, usize), Answer> {
        let snapshot = self.snapshot().await?;
        asked.allow(&What::read("revisions"))?;
        let number = number.parse::<u64>().map_err(|_| Answer::not_found())?;
        let log = self.log().await?;
        let own: Vec<&Written> =
            log.iter().filter(|written| written.revision.number == number).collect();
        let Some(first) = own.first() else {
            return Err(Answer::error(
                http::StatusCode::NOT_FOUND,
                format!("there is no revision {number} that is kept"),
            ));
        };
        let (author, at) = (first.revision.author.clone(), first.revision.at);
        let mut objects = Vec::new();
        let more = own.len().saturating_sub(most);
        for Written { key, revision } in own.into_iter().take(most) {
            let history = self.0.plane.revisions(key.clone(), HISTORY_MAX).await;
            let history = history.map_err(|error| Answer::of_store(&error))?;
            let earlier = history.iter().find(|earlier| earlier.number < number);
            let (before, after) = (earlier.and_then(value_of), value_of(revision));
            let shown = before.as_ref().or(after.as_ref());
            let kind = target_of(key).map_or("unknown", |target| target.kind.segment);
            let what = What::object(kind, key.id(), shown, &snapshot);
            let (before, after) = (before.as_ref(), after.as_ref());
            let differences = if what.judged(|act| asked.operator.reveals(act)) {
                for value in before.into_iter().chain(after) {
                    self.record_reading(asked, key, value);
                }
                bartizan_store::differences(before, after)
            } else {
                redacted(key, before, after, &self.0.plugins)
            };
            let changes: Vec<Value> = differences
                .into_iter()
                .map(|d| json!({ "path": d.pointer, "before": d.before, "after": d.after }))
                .collect();
            objects.push(json!({ "object": key.as_str(), "changes": changes }));
        }
        let difference = json!({
            "revision": number,
            "author": author.as_deref(),
            "at": at.map(bartizan_core::Timestamp::to_rfc3339),
            "objects": objects,
        });
        Ok((difference, more))
    }

    /// Gives everything, or one object, the content that it had at a revision.
    pub(crate) async fn rollback(&self, asked: &Asked) -> Done {
        let body = asked.is_json_object()?;
        let is_dry = asked.query.flag("dry_run")?;
        let known = ["revision", "object"];
        let keys = body.as_object().into_iter().flat_map(serde_json::Map::keys);
        if let Some(unknown) = keys.into_iter().find(|key| !known.contains(&key.as_str())) {
            return Err(Answer::bad(format!("unknown field `{unknown}`")));
        }
        let Some(number) = body.get("revision").and_then(Value::as_u64) else {
            return Err(Answer::bad("`revision` must be the number of a revision"));
        };
        let object = match body.get("object").map(|object| object.as_str().map(Key::parse)) {
            None => None,
            Some(Some(Ok(key))) if key.collection() != OWN_COLLECTION => Some(key),
            Some(_) => return Err(Answer::bad("`object` must be of the form `routes/1`")),
        };
        // An editor may bring back what it may change.
        if asked.operator.role() != Role::Editor {
            asked.allow(&What { verb: Verb::Write, ..What::read("rollback") })?;
        }
        self.writable()?;
        let snapshot = self.snapshot().await?;
        if let Expected::Revision(wanted) = asked.expected()?
            && wanted != snapshot.revision
        {
            let text = format!("the store is at revision {}", snapshot.revision);
            return Err(Answer::precondition(&text));
        }
        let changes = self.backwards(number, object, &snapshot).await?;
        let mut writes = Vec::new();
        let changing = Changing::new(changes.keys(), &snapshot);
        for (key, (before, after)) in &changes {
            let target =
                target_of(key).ok_or_else(|| Answer::bad(format!("`{key}` is no resource")))?;
            // What comes back stood together before, its secrets with it.
            let values = [before.as_ref(), after.as_ref()];
            asked.allow_change(&target, key, values, None, &snapshot)?;
            if after.is_none() {
                asked.allow_removal(&target, key, &changing)?;
            }
            writes.extend(self.replacing(key, after.as_ref(), &snapshot)?);
        }
        let changed: Vec<&str> = changes.keys().map(Key::as_str).collect();
        if writes.is_empty() {
            let told = json!({ "revision": snapshot.revision, "changed": changed });
            return Ok(Answer::ok(&told));
        }
        let commit = Commit { author: asked.operator.name().into(), writes };
        let outcome = self.0.plane.propose(Proposal { commit, is_dry, is_forced: false }).await;
        let outcome = outcome.map_err(|refused| Answer::of_refusal(&refused, None))?;
        if is_dry {
            return Ok(Answer::ok(&json!({
                "dry_run": true, "changed": changed, "opens": outcome.opens,
                "closes": outcome.closes, "warnings": outcome.warnings,
            })));
        }
        for (key, (before, after)) in &changes {
            self.record_change(asked, key, before.as_ref(), after.as_ref(), outcome.revision);
        }
        Ok(Answer::ok(&json!({ "revision": outcome.revision, "changed": changed })))
    }

    /// What must change for everything, or one object, to be as it was at a revision.
    async fn backwards(
        &self,
        number: u64,
        object: Option<Key>,
        snapshot: &Snapshot,
    ) -> Result<BTreeMap<Key, (Option<Value>, Option<Value>)>, Answer> {
        let gone = || {
            let text = format!("what there was at revision {number} is not kept any more");
            Answer::error(http::StatusCode::NOT_FOUND, text)
        };
        if number > snapshot.revision {
            return Err(gone());
        }
        let keys: BTreeSet<Key> = if let Some(key) = object {
            [key].into()
        } else {
            let store = self.0.plane.store();
            if !store.keeps_log {
                let text = format!(
                    "the store `{}` does not tell what was removed: name an `object`",
                    store.kind
                );
                return Err(Answer::bad(text));
            }
            let all = self.0.plane.written(LOG_MAX).await;
            let all = all.map_err(|error| Answer::of_store(&error))?;
            if !reaches(&all, number, snapshot) {
                return Err(gone());
            }
            let newer = all.into_iter().filter(|written| written.revision.number > number);
            let keys = newer.map(|written| written.key);
            keys.filter(|key| key.collection() != OWN_COLLECTION).collect()
        };
        let mut changes = BTreeMap::new();
        for key in keys {
            let history = self.0.plane.revisions(key.clone(), HISTORY_MAX).await;
            let history = history.map_err(|error| Answer::of_store(&error))?;
            let then = history.iter().find(|revision| revision.number <= number);
            let after = match (then, history.last()) {
                (Some(then), _) => value_of(then),
                // It was made later; unless what came before is not known any more.
                (None, Some(oldest)) if oldest.is_first => None,
                _ => return Err(gone()),
            };
            let before = snapshot.get(&key).and_then(Object::value);
            if before != after {
                changes.insert(key, (before, after));
            }
        }
        Ok(changes)
    }
}

/// Whether the last writes, the newest first, are all that there were since a revision. The log is
/// cut between writes, not between revisions: of the oldest one that it holds, some may be missing.
fn reaches(written: &[Written], number: u64, snapshot: &Snapshot) -> bool {
    let Some(oldest) = written.last() else { return snapshot.revision <= number };
    if oldest.revision.number <= number {
        return true;
    }
    // Before the first revision there was nothing that it could have removed: what it wrote is in
    // the log or still there.
    let is_first = number == 0 && oldest.revision.number == 1;
    let logged: HashSet<&Key> = written.iter().map(|written| &written.key).collect();
    is_first && snapshot.objects.iter().all(|object| logged.contains(&object.key))
}

fn value_of(revision: &Revision) -> Option<Value> {
    serde_json::from_slice(revision.content.as_deref()?).ok()
}
