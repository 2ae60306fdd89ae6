//! Keys that are exchanged by the node itself.
//!
//! A new key is stored, then handed over, and only when it arrived does the old one begin to retire:
//! where it cannot be handed over, everything stays as it was, and it is tried again later. After a
//! crash in between, the key of which nobody knows whether it arrived retires as the old one does.

use std::cmp::Reverse;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::EventKind;
use bartizan_core::Timestamp;
use bartizan_store::{Expect, Key, OWN_COLLECTION, Snapshot, Write};
use serde_json::json;

use super::Undone;
use super::credential::{Credential, Stage};
use super::desk::{CallerKeys, keys_of};
use super::hand_over::{COMMAND_TIME, Recipient};
use crate::key_text::NewKey;
use crate::operators::{Author, LIFETIME_MAX, Second};

/// Keys of a schedule that stay when they are over, the newest: a schedule makes many.
const ENDED_KEPT: usize = 8;
/// How often the node looks whether a key is due.
const LOOK: Duration = Duration::from_secs(30);
/// How long a key waits that could not be exchanged, at first; each time twice as long.
const PAUSE_MIN: Duration = Duration::from_secs(60);
/// The same, at last.
const PAUSE_MAX: Duration = Duration::from_secs(3_600);

/// A key that is exchanged again and again.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Whose.
    pub consumer: String,
    /// How often.
    pub every: Duration,
    /// How long the old one is good still.
    pub overlap: Duration,
    /// Where the new one goes.
    pub to: Recipient,
}

/// A rotation, and when it is tried again after it failed.
struct Kept {
    rotation: Rotation,
    pause: Duration,
    after: Timestamp,
}

impl CallerKeys {
    /// Exchanges keys when they are due, until `stop` is ready.
    pub async fn keep(self, rotations: Vec<Rotation>, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let keep = |rotation| Kept { rotation, pause: PAUSE_MIN, after: Timestamp::default() };
        let mut kept: Vec<Kept> = rotations.into_iter().map(keep).collect();
        let mut ticks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = &mut stop => return,
                _ = ticks.tick() => self.look(&mut kept).await,
            }
        }
    }

    async fn look(&self, kept: &mut [Kept]) {
        for one in kept {
            let now = self.clock().now();
            if now < one.after {
                continue;
            }
            match self.turn(&one.rotation).await {
                Ok(()) => one.pause = PAUSE_MIN,
                Err(undone) => {
                    let consumer = &one.rotation.consumer;
                    let detail = format!("did not exchange the key of `{consumer}`: {undone}");
                    self.operators().tell(EventKind::Error, detail, &author());
                    one.after = now.plus(one.pause);
                    one.pause = (one.pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Exchanges a key, if it is due.
    pub(super) async fn turn(&self, rotation: &Rotation) -> Result<(), Undone> {
        let snapshot = self.snapshot().await?;
        let (now, consumer) = (self.now(), &*rotation.consumer);
        let of = keys_of(&snapshot, consumer)?;
        let of_schedule =
            |stage| move |key: &&Credential| key.stage() == Some(stage) && key.is_staying(now);
        let current = of.iter().filter(of_schedule(Stage::Arrived)).max_by_key(|key| key.made());
        let is_due = current.is_none_or(|key| now >= key.made().plus(rotation.every));
        // What another node hands over just now is not lost yet.
        let is_handed_over = |key: &Credential| now < key.made().plus(2 * COMMAND_TIME);
        let mut under_way = of.iter().filter(of_schedule(Stage::UnderWay));
        if !is_due || under_way.any(is_handed_over) {
            return Ok(());
        }
        let lifetime = (2 * rotation.every + rotation.overlap).min(LIFETIME_MAX);
        let succeeds = current.map(Credential::id);
        let (key, mut fresh) = self.fresh(consumer, &of, succeeds, (now, lifetime))?;
        fresh.enter(Stage::UnderWay);
        let mut writes = vec![fresh.write(), turn_of(consumer, &snapshot, now)?];
        let mut ended: Vec<_> =
            of.iter().filter(|key| key.stage().is_some() && key.is_over(now)).collect();
        ended.sort_by_key(|key| Reverse(key.made()));
        let gone = ended.into_iter().skip(ENDED_KEPT);
        writes.extend(gone.map(|key| Write { content: None, ..key.write() }));
        self.propose(writes, &author()).await?;
        if let Err(not_taken) = rotation.to.take(&key.text).await {
            let removal = Write { content: None, expect: Expect::Anything, ..fresh.write() };
            self.propose(vec![removal], &author()).await?;
            return Err(Undone::new(not_taken.to_string(), "see what the recipient needs"));
        }
        self.arrived(rotation, &key, succeeds).await
    }

    /// Notes that a key arrived, and lets the one before it retire.
    async fn arrived(
        &self,
        rotation: &Rotation,
        key: &NewKey,
        before: Option<&str>,
    ) -> Result<(), Undone> {
        let (snapshot, now) = (self.snapshot().await?, self.now());
        let mut writes = Vec::new();
        for mut one in keys_of(&snapshot, &rotation.consumer)? {
            let is_lost = one.stage() == Some(Stage::UnderWay) && one.is_staying(now);
            if one.id() == key.id.as_str() {
                one.enter(Stage::Arrived);
            } else if is_lost || Some(one.id()) == before && !one.is_over(now) {
                one.retire(now.plus(rotation.overlap), now);
            } else {
                continue;
            }
            writes.push(one.write());
        }
        self.propose(writes, &author()).await?;
        let detail = format!(
            "exchanged the key of `{}`: `{}` was handed over{}",
            rotation.consumer,
            key.id,
            before.map_or(String::new(), |before| format!(", `{before}` retires")),
        );
        self.operators().tell(EventKind::Change, detail, &author());
        Ok(())
    }
}

/// Notes whose turn it was: of several nodes with the same schedule, one can.
fn turn_of(consumer: &str, snapshot: &Snapshot, now: Second) -> Result<Write, Undone> {
    let key = Key::new(OWN_COLLECTION, &format!("key-rotations/{consumer}"));
    let key = key.map_err(|fault| Undone::new(format!("`{consumer}` {fault}"), "name another"))?;
    let known = snapshot.get(&key).map(|object| object.revision);
    let content: Arc<[u8]> = json!({ "at": now.0 }).to_string().into_bytes().into();
    let expect = known.map_or(Expect::Absent, Expect::Revision);
    Ok(Write { key, content: Some(content), expect })
}

fn author() -> Author {
    Author { name: "schedule".into(), listener: "api_keys.rotate".into() }
}
