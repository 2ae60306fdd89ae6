//! A credential of `key-auth` as the store has it.

use std::sync::Arc;

use bartizan_core::{HashKey, Timestamp};
use bartizan_store::{Expect, Key, Object, Write};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{CallerKeyView, Undone};
use crate::operators::{KeyState, Second};

/// The plugin.
const PLUGIN: &str = "key-auth";
/// What stands between the name of a consumer and the id of its credential.
const CREDENTIALS: &str = "/credentials/";
/// The label that names the key that a key succeeds.
const SUCCEEDS: &str = "succeeds";

/// The label that says how far a key of the schedule has come.
const STAGE: &str = "schedule";

/// How far a key of the schedule has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is stored, and nobody has it yet.
    UnderWay,
    /// Who needs it has it.
    Arrived,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::UnderWay => "under-way",
            Self::Arrived => "arrived",
        }
    }
}

/// A credential with a key.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    key: Key,
    revision: Option<u64>,
    value: Value,
}

impl Credential {
    /// Reads an object, if it is one.
    pub(super) fn read(object: &Object) -> Option<Self> {
        if object.key.collection() != "consumers" || !object.key.id().contains(CREDENTIALS) {
            return None;
        }
        let value = object.value()?;
        value.get("plugins")?.get(PLUGIN)?.as_object()?;
        Some(Self { key: object.key.clone(), revision: Some(object.revision), value })
    }

    /// One that holds the hash of a new key.
    pub(super) fn new(
        (consumer, id): (&str, &str),
        (hash_key, digest): (&HashKey, &[u8; 32]),
        succeeds: Option<&str>,
        (now, ends): (Second, Second),
    ) -> Result<Self, Undone> {
        let key =
            Key::new("consumers", &format!("{consumer}{CREDENTIALS}{id}")).map_err(|fault| {
                Undone::new(format!("`{consumer}` {fault}"), "name a consumer that there is")
            })?;
        let mut value = json!({
            "id": id,
            "plugins": { PLUGIN: {
                "hash": STANDARD.encode(digest),
                "hash_key": hash_key.id(),
                "expires_at": written(ends),
            } },
            "create_time": now.0,
            "update_time": now.0,
        });
        if let (Some(other), Some(members)) = (succeeds, value.as_object_mut()) {
            members.insert("labels".to_owned(), json!({ SUCCEEDS: other }));
        }
        Ok(Self { key, revision: None, value })
    }

    pub(super) fn consumer(&self) -> &str {
        self.key.id().split_once(CREDENTIALS).map_or("", |(consumer, _)| consumer)
    }

    pub(super) fn id(&self) -> &str {
        self.key.id().split_once(CREDENTIALS).map_or("", |(_, id)| id)
    }

    pub(super) fn succeeds(&self) -> Option<&str> {
        self.value.get("labels")?.get(SUCCEEDS)?.as_str()
    }

    /// Of a key of the schedule: how far it has come.
    pub(super) fn stage(&self) -> Option<Stage> {
        let name = self.value.get("labels")?.get(STAGE)?.as_str()?;
        [Stage::UnderWay, Stage::Arrived].into_iter().find(|stage| stage.name() == name)
    }

    /// Lets it come as far as that.
    pub(super) fn enter(&mut self, stage: Stage) {
        let Some(members) = self.value.as_object_mut() else { return };
        let labels = members.entry("labels").or_insert_with(|| json!({}));
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(STAGE.to_owned(), stage.name().into());
        }
    }

    /// Whether it is good, and nothing is to take its place.
    pub(super) fn is_staying(&self, now: Second) -> bool {
        !self.is_over(now) && self.date("retires_at").is_none()
    }

    /// When it was made; long ago where that is not known.
    pub(super) fn made(&self) -> Second {
        self.created().unwrap_or(Second(0))
    }

    fn plugin(&self) -> Option<&Map<String, Value>> {
        self.value.get("plugins")?.get(PLUGIN)?.as_object()
    }

    fn date(&self, name: &str) -> Option<Second> {
        let text = self.plugin()?.get(name)?.as_str()?;
        Timestamp::from_rfc3339(text).map(Second::of)
    }

    /// The hash of the key, where the store holds one.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        STANDARD.decode(self.plugin()?.get("hash")?.as_str()?).ok()?.try_into().ok()
    }

    fn created(&self) -> Option<Second> {
        self.value.get("create_time")?.as_u64().map(Second)
    }

    /// When it ends.
    pub(super) fn end(&self) -> Option<Second> {
        let dates = [self.date("retires_at"), self.date("expires_at")];
        dates.into_iter().flatten().min()
    }

    pub(super) fn is_over(&self, now: Second) -> bool {
        self.end().is_some_and(|end| now >= end)
    }

    /// How long it was made for, where that is known.
    pub(super) fn lifetime(&self) -> Option<u64> {
        self.date("expires_at")?.0.checked_sub(self.created()?.0)
    }

    /// Lets it end at a date, unless it ends sooner anyway. Says what stands in it from now on.
    pub(super) fn retire(&mut self, date: Second, now: Second) -> Second {
        let date = self.end().map_or(date, |end| end.min(date));
        let plugin = self.value.get_mut("plugins").and_then(|plugins| plugins.get_mut(PLUGIN));
        if let Some(plugin) = plugin.and_then(Value::as_object_mut) {
            plugin.insert("retires_at".to_owned(), written(date).into());
        }
        if let Some(members) = self.value.as_object_mut() {
            members.insert("update_time".to_owned(), now.0.into());
        }
        date
    }

    /// The change that brings it into the store.
    pub(super) fn write(&self) -> Write {
        let content: Arc<[u8]> = self.value.to_string().into_bytes().into();
        let expect = self.revision.map_or(Expect::Absent, Expect::Revision);
        Write { key: self.key.clone(), content: Some(content), expect }
    }

    /// It as one line of YAML, for a list of credentials.
    pub(super) fn line(&self) -> String {
        let mut value = self.value.clone();
        if let Some(members) = value.as_object_mut() {
            members.remove("update_time");
        }
        format!("- {value}")
    }

    /// What is known of it; `last_used` tells by the digest.
    pub(super) fn view(
        &self,
        now: Second,
        last_used: impl FnOnce(&[u8; 32]) -> Option<u64>,
    ) -> CallerKeyView {
        let digest = self.digest();
        let last_used = digest.as_ref().and_then(last_used).map(Second);
        let is_retiring = self.date("retires_at").is_some();
        let (state, over) = if self.is_over(now) {
            (KeyState::Retired, Some(if is_retiring { "retired" } else { "expired" }))
        } else if is_retiring {
            (KeyState::Retiring, None)
        } else if self.succeeds().is_some() && last_used.is_none() {
            (KeyState::Next, None)
        } else {
            (KeyState::Active, None)
        };
        CallerKeyView {
            id: self.id().to_owned(),
            consumer: self.consumer().to_owned(),
            state,
            over: over.map(str::to_owned),
            is_plain: digest.is_none(),
            created: self.created().map(Second::to_rfc3339),
            ends: self.end().map(Second::to_rfc3339),
            last_used: last_used.map(Second::to_rfc3339),
            succeeds: self.succeeds().map(str::to_owned),
        }
    }
}

/// A second as configurations have it.
pub(super) fn written(second: Second) -> String {
    let text = second.to_rfc3339();
    text.strip_suffix(".000Z").map_or(text.clone(), |whole| format!("{whole}Z"))
}
