//! Objects that live for a while: `?ttl=` on a write.
//!
//! When an object ends is kept in the store beside it, in the same commit, so that it is honoured
//! by whichever node runs then. A write without `ttl` makes it live on.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_core::Timestamp;
use bartizan_store::{Commit, Expect, Key, OWN_COLLECTION, Object, Snapshot, Write};
use serde_json::{Value, json};

use super::answer::Answer;
use super::kinds::Kind;
use super::{Api, references};
use crate::plane::{Proposal, Refused};

/// How often the node looks whether something ends.
pub(crate) const LOOK: Duration = Duration::from_secs(1);
/// How often it looks at the store, into which others write too.
const LOOK_AT_STORE: Duration = Duration::from_secs(60);
/// Most removals in one commit: fewer than any store takes.
const ENDING_MAX: usize = 120;
/// Who removes what is at its end.
const AUTHOR: &str = "its time to live";

fn key_of(key: &Key) -> Result<Key, Answer> {
    Key::parse(&format!("{OWN_COLLECTION}/expiries/{key}"))
        .map_err(|fault| Answer::bad(format!("the id {fault}")))
}

impl Api {
    /// What is written about the end of an object along with it.
    pub(super) fn expiry_write(
        &self,
        key: &Key,
        life: Option<u64>,
        snapshot: &Snapshot,
    ) -> Result<Option<Write>, Answer> {
        let key = key_of(key)?;
        let known = snapshot.get(&key).map(|object| object.revision);
        let expect = known.map_or(Expect::Absent, Expect::Revision);
        let content = life.map(|seconds| {
            let end = self.0.clock.now().plus(Duration::from_secs(seconds));
            self.0.expiries.hear(end);
            json!({ "at": end.as_secs() }).to_string().into_bytes().into()
        });
        Ok((content.is_some() || known.is_some()).then_some(Write { key, content, expect }))
    }

    /// Whether it is time to look what is at its end.
    pub(crate) fn is_expiring(&self) -> bool {
        self.0.expiries.is_due(self.0.clock.now())
    }

    /// Removes what is at its end now.
    pub(crate) async fn expire_now(&self) {
        let now = self.0.clock.now();
        self.0.expiries.looked(now);
        let Ok(snapshot) = self.0.plane.snapshot().await else { return };
        let mut going = BTreeMap::new();
        let mut ends = Vec::new();
        for object in &snapshot.objects {
            let Some((end, key)) = ending(object) else { continue };
            if let Some(again) = self.0.expiries.refused_until(&key, now) {
                self.0.expiries.hear(again);
                continue;
            }
            let is_tried = end <= now && going.len() < ENDING_MAX;
            let is_whole = is_tried && goes(object, &key, &snapshot, &mut going);
            if !is_whole {
                self.0.expiries.hear(end);
            }
            if is_tried {
                ends.push((object, key));
            }
        }
        if going.is_empty() {
            return;
        }
        match self.remove_ended(&going).await {
            Ok(()) => {}
            Err(Refused::Invalid(_)) => {
                // One that must not go, such as what is in use, does not keep the others.
                for (object, key) in ends {
                    let mut own = BTreeMap::new();
                    goes(object, &key, &snapshot, &mut own);
                    if let Err(refused) = self.remove_ended(&own).await {
                        tracing::warn!("`{key}` is not removed at its end: {refused:?}");
                        self.0.expiries.refuse(key, now.plus(LOOK_AT_STORE));
                    }
                }
            }
            Err(refused) => {
                // Another node was faster, or the store is away: it is tried again.
                tracing::warn!("objects at their end are not removed: {refused:?}");
                self.0.expiries.hear(now.plus(LOOK));
            }
        }
    }

    /// Removes objects in one commit, and tells of each that is no note of an end.
    async fn remove_ended(&self, going: &BTreeMap<Key, &Object>) -> Result<(), Refused> {
        let write = |object: &&Object| Write {
            key: object.key.clone(),
            content: None,
            expect: Expect::Revision(object.revision),
        };
        let commit = Commit { author: AUTHOR.into(), writes: going.values().map(write).collect() };
        let proposal = Proposal { commit, is_dry: false, is_forced: true };
        let outcome = self.0.plane.propose(proposal).await?;
        let ended = going.values().filter(|object| object.key.collection() != OWN_COLLECTION);
        for object in ended {
            self.record_end(&object.key, object.value().as_ref(), outcome.revision);
        }
        Ok(())
    }
}

/// Adds what goes at an end: what stands below the object, the object, and what says so. False
/// where not all of it has room in one commit; then what says so stays for the next one.
fn goes<'s>(
    end: &'s Object,
    key: &Key,
    snapshot: &'s Snapshot,
    going: &mut BTreeMap<Key, &'s Object>,
) -> bool {
    let below = Kind::of(key).map(|kind| references::below(kind, key.id(), snapshot));
    for object in below.into_iter().flatten().chain(snapshot.get(key)) {
        let own = key_of(&object.key).ok().and_then(|key| snapshot.get(&key));
        for object in [object].into_iter().chain(own.filter(|own| own.key != end.key)) {
            if going.len() >= ENDING_MAX && !going.contains_key(&object.key) {
                return false;
            }
            going.insert(object.key.clone(), object);
        }
    }
    let has_room = going.len() < ENDING_MAX || going.contains_key(&end.key);
    if has_room {
        going.insert(end.key.clone(), end);
    }
    has_room
}

/// What ends when, as an object of the store says.
fn ending(object: &Object) -> Option<(Timestamp, Key)> {
    let id = object.key.id().strip_prefix("expiries/")?;
    if object.key.collection() != OWN_COLLECTION {
        return None;
    }
    let at = object.value()?.get("at").and_then(Value::as_u64)?;
    Some((Timestamp::from_secs(at), Key::parse(id).ok()?))
}

/// When something ends next, as far as is known.
#[derive(Debug, Default)]
pub(crate) struct Expiries(std::sync::Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    next: Option<Timestamp>,
    looked: Option<Timestamp>,
    /// What could not be removed, until when it is not tried again.
    refused: BTreeMap<Key, Timestamp>,
}

impl Expiries {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn hear(&self, end: Timestamp) {
        let mut known = self.lock();
        known.next = Some(known.next.map_or(end, |next| next.min(end)));
    }

    fn looked(&self, now: Timestamp) {
        let mut known = self.lock();
        (known.next, known.looked) = (None, Some(now));
        known.refused.retain(|_, until| *until > now);
    }

    fn refuse(&self, key: Key, until: Timestamp) {
        self.hear(until);
        self.lock().refused.insert(key, until);
    }

    fn refused_until(&self, key: &Key, now: Timestamp) -> Option<Timestamp> {
        self.lock().refused.get(key).copied().filter(|until| *until > now)
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let known = self.lock();
        known.next.is_some_and(|next| next <= now)
            || known.looked.is_none_or(|looked| looked.plus(LOOK_AT_STORE) <= now)
    }
}
