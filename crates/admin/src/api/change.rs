//! Changing objects: `PUT`, `POST`, both forms of `PATCH`, and `DELETE`.
//!
//! What is written is judged with everything else before it is stored, under the revision that was
//! read; where others are faster, it is done again from the start.

use std::sync::Arc;

use bartizan_store::{Commit, Expect, Key, Object, Snapshot, StoreError, Write, merge};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::answer::{Answer, Done};
use super::asked::{Asked, Expected, json as read_json};
use super::kept::Secrets;
use super::kinds::{Naming, Target};
use super::making::{Make, expect, id_of, key, life, own, set};
use super::read::{has_owner, no_owner};
use super::references::{self, Changing};
use super::seal::{HIDDEN, redacted_but};
use super::{Api, What};
use crate::operators::{Role, Verb};
use crate::plane::{Outcome, Proposal, Refused};

/// How often a change is tried where others are faster.
const TRIES_MAX: usize = 16;

/// A change that is ready to be judged.
struct Ready {
    key: Key,
    id: String,
    before: Option<Value>,
    after: Option<Value>,
    /// What is removed with it.
    also: Vec<(Key, Option<Value>)>,
    writes: Vec<Write>,
    is_forced: bool,
    /// The secrets that were sent in clear, as JSON pointers.
    clear: Vec<String>,
}

impl Api {
    /// `PUT` of an object, whose id is in the path or in the body.
    pub(crate) async fn put(&self, asked: &Asked, target: &Target) -> Done {
        asked.allow_writing(target.kind.segment, target.id.as_deref())?;
        let body = own(asked)?;
        self.write(asked, target, &Make::Whole(body)).await
    }

    /// `POST` to a collection.
    pub(crate) async fn post(&self, asked: &Asked, target: &Target) -> Done {
        asked.allow_writing(target.kind.segment, None)?;
        let body = own(asked)?;
        if body.get("id").is_some() {
            let text = format!("wrong {} id, do not need it", target.kind.noun);
            return Err(Answer::bad(text));
        }
        self.write(asked, target, &Make::New(body)).await
    }

    /// `PATCH` of an object, or of what the rest of the path leads to in it.
    pub(crate) async fn patch(&self, asked: &Asked, target: &Target) -> Done {
        asked.allow_writing(target.kind.segment, target.id.as_deref())?;
        let make = if target.part.is_empty() {
            Make::Merged(own(asked)?)
        } else {
            Make::Part(target.part.clone(), read_json(&asked.body)?)
        };
        self.write(asked, target, &make).await
    }

    async fn write(&self, asked: &Asked, target: &Target, make: &Make) -> Done {
        if target.kind.segment == "stream_routes" {
            let text =
                "stream mode is disabled, can not add stream routes: streams are not proxied";
            return Err(Answer::bad(text));
        }
        let life = life(asked)?;
        self.propose(asked, target, |api, snapshot| api.ready(asked, target, make, life, snapshot))
            .await
    }

    /// `DELETE` of an object.
    pub(crate) async fn delete(&self, asked: &Asked, target: &Target, id: &str) -> Done {
        asked.allow_writing(target.kind.segment, Some(id))?;
        let is_forced = asked.query.flag("force")?;
        self.propose(asked, target, |api, snapshot| {
            api.removal(asked, target, id, is_forced, snapshot)
        })
        .await
    }

    /// Makes a change ready, has it judged and made, and says what came of it.
    async fn propose(
        &self,
        asked: &Asked,
        target: &Target,
        ready: impl Fn(&Self, &Snapshot) -> Result<Ready, Answer>,
    ) -> Done {
        let is_dry = asked.query.flag("dry_run")?;
        self.writable()?;
        let is_fixed = asked.expected()? != Expected::Anything;
        self.sealed().await?;
        let mut tries = 0;
        loop {
            let snapshot = self.snapshot().await?;
            let ready = ready(self, &snapshot)?;
            let author: Arc<str> = asked.operator.name().into();
            let commit = Commit { author, writes: ready.writes.clone() };
            let proposal = Proposal { commit, is_dry, is_forced: ready.is_forced };
            match self.0.plane.propose(proposal).await {
                Ok(outcome) if is_dry => {
                    return Ok(self.foreseen(asked, &ready, &outcome, &snapshot));
                }
                Ok(outcome) => return Ok(self.made(asked, &ready, outcome.revision, &snapshot)),
                Err(Refused::Store(StoreError::Conflict { .. }))
                    if !is_fixed && tries < TRIES_MAX =>
                {
                    tries += 1;
                }
                Err(Refused::Store(StoreError::Conflict { .. })) if is_fixed => {
                    return Err(Answer::precondition("the object was changed meanwhile"));
                }
                Err(refused) => {
                    let written = Some((target.kind.collection(), ready.key.id()));
                    return Err(Answer::of_refusal(&refused, written));
                }
            }
        }
    }

    /// The change that a write comes down to, at a revision of the store.
    fn ready(
        &self,
        asked: &Asked,
        target: &Target,
        make: &Make,
        life: Option<u64>,
        snapshot: &Snapshot,
    ) -> Result<Ready, Answer> {
        if target.owner.is_some() && !has_owner(target, snapshot) {
            return Err(no_owner(target));
        }
        let id = id_of(target, make, snapshot)?;
        let key = key(target, &id)?;
        let object = snapshot.get(&key);
        let before = object.and_then(Object::value);
        let expect = expect(asked, make, object)?;
        let mut after = match (make, &before) {
            (Make::Whole(body) | Make::New(body), _) => body.clone(),
            (_, None) => return Err(Answer::no_key()),
            (Make::Merged(patch), Some(before)) => {
                let mut value = before.clone();
                merge(&mut value, patch);
                value
            }
            (Make::Part(part, body), Some(before)) => {
                let mut value = before.clone();
                set(&mut value, part, body)?;
                value
            }
        };
        if !after.is_object() {
            return Err(Answer::bad("invalid configuration: expected an object"));
        }
        self.unsealed(&key, &mut after, before.as_ref())?;
        self.stamp(target, &id, &mut after, before.as_ref());
        let secrets = Secrets::of(&key, &after, make.sent(), &self.0.plugins);
        let both = [before.as_ref(), Some(&after)];
        asked.allow_change(target, &key, both, Some(&secrets), snapshot)?;
        if life.is_some() && asked.operator.is_confined() && references::can_be_used(target.kind) {
            let why = "a confined key may not give an end to what others may refer to by then";
            return Err(asked.forbid(target, &key, Verb::Write, why.to_owned()));
        }
        if let Some(problem) = references::dangling(target.kind, &after, snapshot) {
            return Err(Answer::bad(problem));
        }
        if target.kind.segment == "global_rules"
            && let Some(problem) = references::twice_global(&id, &after, snapshot)
        {
            return Err(Answer::bad(problem));
        }
        let content = after.to_string().into_bytes();
        let mut writes = vec![Write { key: key.clone(), content: Some(content.into()), expect }];
        writes.extend(self.expiry_write(&key, life, snapshot)?);
        let also = Vec::new();
        let clear = secrets.clear;
        Ok(Ready { key, id, before, after: Some(after), also, writes, is_forced: false, clear })
    }

    /// The change that a removal comes down to.
    fn removal(
        &self,
        asked: &Asked,
        target: &Target,
        id: &str,
        is_forced: bool,
        snapshot: &Snapshot,
    ) -> Result<Ready, Answer> {
        if target.owner.is_some() && !has_owner(target, snapshot) {
            return Err(no_owner(target));
        }
        let key = key(target, id)?;
        let object = snapshot.get(&key).filter(|object| target.kind.holds(object));
        let before = object.and_then(Object::value);
        let Some(object) = object else { return Err(Answer::no_key()) };
        asked.allow_change(target, &key, [before.as_ref(), None], None, snapshot)?;
        expect(asked, &Make::Merged(Value::Null), Some(object))?;
        let changing = Changing::new([&key], snapshot);
        if !is_forced && let Some(problem) = changing.problem(target.kind, id) {
            return Err(Answer::bad(problem));
        }
        asked.allow_removal(target, &key, &changing)?;
        let removed = |object: &Object| Write {
            key: object.key.clone(),
            content: None,
            expect: Expect::Revision(object.revision),
        };
        let mut writes = vec![removed(object)];
        writes.extend(self.expiry_write(&key, None, snapshot)?);
        let mut also = Vec::new();
        for below in references::below(target.kind, id, snapshot) {
            also.push((below.key.clone(), below.value()));
            writes.push(removed(below));
            writes.extend(self.expiry_write(&below.key, None, snapshot)?);
        }
        let id = id.to_owned();
        Ok(Ready { key, id, before, after: None, also, writes, is_forced, clear: Vec::new() })
    }

    /// Gives an object its id and times.
    pub(super) fn stamp(
        &self,
        target: &Target,
        id: &str,
        value: &mut Value,
        before: Option<&Value>,
    ) {
        let Some(members) = value.as_object_mut() else { return };
        let name = if target.kind.naming == Naming::Username { "username" } else { "id" };
        members.insert(name.to_owned(), Value::String(id.to_owned()));
        let now = Value::from(self.0.clock.now().as_secs());
        let made = before.and_then(|before| before.get("create_time").cloned());
        members.insert("create_time".to_owned(), made.unwrap_or_else(|| now.clone()));
        members.insert("update_time".to_owned(), now);
    }

    /// What a change was, for the one who asked; and its event.
    fn made(&self, asked: &Asked, ready: &Ready, revision: u64, snapshot: &Snapshot) -> Answer {
        self.record_change(
            asked,
            &ready.key,
            ready.before.as_ref(),
            ready.after.as_ref(),
            revision,
        );
        for (key, before) in &ready.also {
            self.record_change(asked, key, before.as_ref(), None, revision);
        }
        let key = self.shown_key(&ready.key);
        let Some(after) = &ready.after else {
            return Answer::ok(&json!({ "key": key, "deleted": "1" }));
        };
        let status = if ready.before.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let value = self.shown(asked, &ready.key, after, snapshot);
        Answer::json(status, &json!({ "key": key, "value": value })).with_revision(revision)
    }

    /// What a change would be.
    fn foreseen(
        &self,
        asked: &Asked,
        ready: &Ready,
        outcome: &Outcome,
        snapshot: &Snapshot,
    ) -> Answer {
        let (before, after) = (ready.before.as_ref(), ready.after.as_ref());
        let action = match (before, after) {
            (None, _) => "create",
            (Some(_), Some(_)) => "replace",
            (Some(_), None) => "delete",
        };
        // Who may not read secrets does not learn that one was guessed.
        let clear = if asked.operator.reads_secrets() { &[][..] } else { ready.clear.as_slice() };
        let differences = redacted_but(&ready.key, before, after, clear, &self.0.plugins);
        let changes: Vec<Value> = differences
            .into_iter()
            .filter(|change| change.pointer != "/update_time")
            .map(|change| {
                json!({ "path": change.pointer, "before": change.before, "after": change.after })
            })
            .collect();
        let value = after.map(|after| {
            let mut shown = self.shown(asked, &ready.key, after, snapshot);
            // Sealed, the same secret looks the same as before.
            for pointer in clear {
                if let Some(slot) = shown.pointer_mut(pointer) {
                    *slot = HIDDEN.into();
                }
            }
            shown
        });
        Answer::ok(&json!({
            "dry_run": true,
            "action": action,
            "key": self.shown_key(&ready.key),
            "id": ready.id,
            "value": value,
            "changes": changes,
            "opens": outcome.opens,
            "closes": outcome.closes,
            "warnings": outcome.warnings,
        }))
    }
}

impl Asked {
    /// Whether the operator's role writes anything. Asked first: whoever does not is not told what
    /// there is, or what is wrong with what was sent.
    pub(super) fn allow_writing(&self, kind: &str, id: Option<&str>) -> Result<(), Answer> {
        if matches!(self.operator.role(), Role::Admin | Role::Editor) {
            return Ok(());
        }
        let verb = if self.method == Method::DELETE { Verb::Delete } else { Verb::Write };
        self.allow(&What { verb, id, ..What::read(kind) })
    }

    /// Whether the operator may remove an object that others may refer to, apart from those that
    /// change with it. What takes its id afterwards would be used without having been asked for.
    pub(super) fn allow_removal(
        &self,
        target: &Target,
        key: &Key,
        changing: &Changing<'_>,
    ) -> Result<(), Answer> {
        if !self.operator.is_confined() {
            return Ok(());
        }
        let user = changing.user_of(target.kind, key.id());
        user.map_or(Ok(()), |user| {
            let why = format!("a confined key may not remove what `{user}` refers to");
            Err(self.forbid(target, key, Verb::Delete, why))
        })
    }

    /// The answer to a change that the operator may not make because of other objects.
    fn forbid(&self, target: &Target, key: &Key, verb: Verb, why: String) -> Answer {
        let what = What { verb, id: Some(key.id()), ..What::read(target.kind.segment) };
        let forbidden = what.judged(|act| self.operator.forbid(act, why));
        Answer::forbidden(&forbidden.to_string())
    }

    /// Whether the operator may make that change of an object, in which these secrets stay.
    pub(super) fn allow_change(
        &self,
        target: &Target,
        key: &Key,
        [before, after]: [Option<&Value>; 2],
        secrets: Option<&Secrets>,
        snapshot: &Snapshot,
    ) -> Result<(), Answer> {
        let what = What {
            verb: if after.is_none() { Verb::Delete } else { Verb::Write },
            kind: target.kind.segment,
            id: Some(key.id()),
            before,
            after,
            snapshot: Some(snapshot),
            secrets,
        };
        self.allow(&what)
    }
}
