use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_core::{Clock, HashKeys, ManualClock, Timestamp};
use bartizan_store::{Expect, Key, Object, Revision, Snapshot, StoreError};
use serde_json::{Value, json};

use super::hand_over::COMMAND_TIME;
use super::*;
use crate::coverage::Coverage;
use crate::operators::samples::{DAY, Sample, author};
use crate::operators::{LIFETIME_MAX, LIFETIME_MIN, OVERLAP_MAX};
use crate::plane::{
    Aside, Document, Later, Outcome, Plane, Problem, Proposal, Refused, StoreFacts, Written,
};

const START: u64 = 1_800_000_000;

/// A store in memory.
#[derive(Default)]
struct Shelf {
    snapshot: Mutex<Snapshot>,
    is_files: bool,
}

impl Shelf {
    fn put(&self, key: &str, value: &Value) {
        let mut snapshot = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        put(&mut snapshot, &Key::parse(key).unwrap(), Some(value.to_string().into_bytes().into()));
    }

    fn value(&self, key: &str) -> Option<Value> {
        let snapshot = self.snapshot.lock().unwrap();
        snapshot.get(&Key::parse(key).unwrap()).and_then(Object::value)
    }
}

fn put(snapshot: &mut Snapshot, key: &Key, content: Option<Arc<[u8]>>) {
    snapshot.revision += 1;
    let revision = snapshot.revision;
    snapshot.objects.retain(|object| object.key != *key);
    snapshot.objects.extend(content.map(|content| Object {
        key: key.clone(),
        content,
        revision,
        created: revision,
        author: None,
        at: None,
    }));
    snapshot.objects.sort_by(|a, b| a.key.cmp(&b.key));
}

impl Plane for Shelf {
    fn store(&self) -> StoreFacts {
        let read_only = self.is_files.then_some("edit the documents");
        let kind = if self.is_files { "file" } else { "embedded" };
        StoreFacts { kind, prefix: "/apisix".to_owned(), read_only, keeps_log: true }
    }

    fn accepts_fail_open(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Later<'_, Result<Snapshot, StoreError>> {
        Box::pin(async { Ok(self.snapshot.lock().unwrap().clone()) })
    }

    fn propose(&self, proposal: Proposal) -> Later<'_, Result<Outcome, Refused>> {
        Box::pin(async move {
            let mut snapshot = self.snapshot.lock().unwrap();
            for write in &proposal.commit.writes {
                let current = snapshot.get(&write.key).map(|object| object.revision);
                let holds = match write.expect {
                    Expect::Anything => true,
                    Expect::Absent => current.is_none(),
                    Expect::Revision(revision) => current == Some(revision),
                };
                assert!(holds, "{write:?} of {current:?}");
            }
            for write in proposal.commit.writes {
                put(&mut snapshot, &write.key, write.content);
            }
            Ok(Outcome::default())
        })
    }

    fn judge(&self, _: Document) -> Later<'_, Result<Vec<Problem>, Refused>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn written(&self, _: usize) -> Later<'_, Result<Vec<Written>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn revisions(&self, _: Key, _: usize) -> Later<'_, Result<Vec<Revision>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn status(&self) -> Value {
        Value::Null
    }

    fn quarantine(&self) -> Vec<String> {
        Vec::new()
    }

    fn aside(&self) -> Arc<[Aside]> {
        Arc::default()
    }

    fn health(&self, _: &bartizan_config::ObjectName) -> Option<Vec<bartizan_core::ServerHealth>> {
        None
    }

    fn found(&self, _: &bartizan_config::ObjectName) -> Option<bartizan_core::FoundServers> {
        None
    }

    fn coverage(&self) -> Option<Arc<dyn Coverage>> {
        None
    }
}

/// Alice, and who makes keys for her.
struct Scene {
    shelf: Arc<Shelf>,
    keys: CallerKeys,
    clock: ManualClock,
    used: Arc<Mutex<Vec<[u8; 32]>>>,
    sample: Sample,
}

impl Scene {
    fn new(is_files: bool) -> Self {
        let shelf = Arc::new(Shelf { is_files, ..Shelf::default() });
        shelf.put("consumers/alice", &json!({ "username": "alice" }));
        let clock = ManualClock::at(Timestamp::from_secs(START));
        let sample = Sample::new();
        let used: Arc<Mutex<Vec<[u8; 32]>>> = Arc::default();
        let seen = Arc::clone(&used);
        let keys = CallerKeys::new(CallerKeySettings {
            plane: shelf.clone(),
            operators: sample.operators.clone(),
            hash_keys: HashKeys::new([("h1", &Secret::new([7; 32]))]),
            prefix: "shop".to_owned(),
            clock: Clock::Manual(clock.clone()),
            uses: Arc::new(move |digest| seen.lock().unwrap().contains(digest).then_some(START)),
        });
        Self { shelf, keys, clock, used, sample }
    }

    async fn create(&self) -> MadeCallerKey {
        self.keys.create("alice", 90 * DAY, &author()).await.unwrap()
    }

    /// A client sends the key.
    fn use_key(&self, key: &Secret) {
        let hash_keys = HashKeys::new([("h1", &Secret::new([7; 32]))]);
        self.used.lock().unwrap().push(hash_keys.first().unwrap().hash(key.expose()));
    }

    async fn states(&self) -> Vec<(String, KeyState)> {
        let listed = self.keys.list(Some("alice")).await.unwrap();
        listed.into_iter().map(|view| (view.id, view.state)).collect()
    }

    fn credential(&self, id: &str) -> Value {
        self.shelf.value(&format!("consumers/alice/credentials/{id}")).unwrap()
    }
}

#[tokio::test]
async fn the_store_gets_the_hash_of_a_key_and_never_the_key() {
    let scene = Scene::new(false);
    let made = scene.create().await;
    let text = made.key.expose_str().unwrap().to_owned();
    assert!(text.starts_with(&format!("shop_{}_", made.view.id)), "{text}");
    let stored = scene.credential(&made.view.id);
    let plugin = &stored["plugins"]["key-auth"];
    assert_eq!(plugin["hash_key"], "h1");
    assert_eq!(plugin["expires_at"], "2027-04-15T08:00:00Z");
    assert_eq!((&stored["create_time"], &stored["labels"]), (&json!(START), &Value::Null));
    let secret = text.rsplit('_').next().unwrap();
    assert!(!stored.to_string().contains(secret), "{stored}");
    assert_eq!((made.view.state, made.paste), (KeyState::Active, None));
    let events = serde_json::to_string(&scene.sample.events()).unwrap();
    assert!(events.contains("made the key") && !events.contains(secret), "{events}");
}

#[tokio::test]
async fn a_key_is_next_active_retiring_and_retired_in_turn() {
    let scene = Scene::new(false);
    let first = scene.create().await;
    let old = first.view.id.clone();
    let made = scene.keys.rotate((&old, None), 7 * DAY, None, &author()).await.unwrap();
    let new = made.view.id.clone();
    assert_eq!(made.view.succeeds.as_deref(), Some(&*old));
    assert_eq!(made.view.ends.as_deref(), Some("2027-04-15T08:00:00.000Z"));
    assert_eq!(made.old.unwrap().ends.as_deref(), Some("2027-01-22T08:00:00.000Z"));
    let state = |states: Vec<(String, KeyState)>, id: &str| {
        states.into_iter().find(|(known, _)| known == id).map(|(_, state)| state)
    };
    let now = scene.states().await;
    assert_eq!(state(now.clone(), &old), Some(KeyState::Retiring));
    assert_eq!(state(now, &new), Some(KeyState::Next));
    scene.use_key(&made.key);
    assert_eq!(state(scene.states().await, &new), Some(KeyState::Active));
    scene.clock.advance(6 * DAY + Duration::from_secs(86_399));
    assert_eq!(state(scene.states().await, &old), Some(KeyState::Retiring));
    scene.clock.advance(Duration::from_secs(1));
    assert_eq!(state(scene.states().await, &old), Some(KeyState::Retired));
    // A month later it goes with the next change.
    scene.clock.advance(30 * DAY);
    scene.create().await;
    assert_eq!(state(scene.states().await, &old), None);
}

#[tokio::test]
async fn a_key_is_active_wherever_it_was_used_and_also_after_a_restart() {
    let scene = Scene::new(false);
    let old = scene.create().await.view.id;
    let made = scene.keys.rotate((&old, None), 7 * DAY, None, &author()).await.unwrap();
    // Another node of the store, which sees the new key in use.
    let hash_keys = HashKeys::new([("h1", &Secret::new([7; 32]))]);
    let digest = hash_keys.first().unwrap().hash(made.key.expose());
    let there: FindUse = Arc::new(move |used| (*used == digest).then_some(START));
    let snapshot = scene.shelf.snapshot.lock().unwrap().clone();
    let now = Clock::Manual(scene.clock.clone()).now();
    let mut commit = SharedUses::news(&snapshot, &there, now).unwrap();
    let write = commit.writes.pop().unwrap();
    put(&mut scene.shelf.snapshot.lock().unwrap(), &write.key, write.content);
    let listed = scene.keys.list(Some("alice")).await.unwrap();
    let view = listed.iter().find(|view| view.id == made.view.id).unwrap();
    assert_eq!(view.state, KeyState::Active);
    assert_eq!(view.last_used.as_deref(), Some("2027-01-15T08:00:00.000Z"));
    let first = listed.iter().find(|view| view.id == old).unwrap();
    assert_eq!((first.state, first.last_used.as_deref()), (KeyState::Retiring, None));
    let retired = scene.keys.retire((&made.view.id, None), DAY, &author()).await.unwrap();
    assert_eq!(retired.last_used.as_deref(), Some("2027-01-15T08:00:00.000Z"));
}

#[tokio::test]
async fn a_key_is_rotated_once_and_ends_no_later_than_it_would_have() {
    let scene = Scene::new(false);
    let id = scene.create().await.view.id;
    scene.keys.rotate((&id, Some("alice")), 7 * DAY, Some(DAY), &author()).await.unwrap();
    let twice = scene.keys.rotate((&id, None), DAY, None, &author()).await.unwrap_err();
    assert!(twice.problem.contains("was rotated"), "{twice}");
    let later = scene.keys.retire((&id, None), 30 * DAY, &author()).await.unwrap();
    assert_eq!(later.ends.as_deref(), Some("2027-01-22T08:00:00.000Z"));
    let now = scene.keys.retire((&id, None), Duration::ZERO, &author()).await.unwrap();
    assert_eq!((now.state, now.over.as_deref()), (KeyState::Retired, Some("retired")));
    let over = scene.keys.retire((&id, None), Duration::ZERO, &author()).await.unwrap_err();
    assert!(over.problem.contains("over already"), "{over}");
}

#[tokio::test]
async fn times_have_a_least_and_a_most() {
    let scene = Scene::new(false);
    let second = Duration::from_secs(1);
    for (lifetime, fits) in [
        (LIFETIME_MIN.saturating_sub(second), false),
        (LIFETIME_MIN, true),
        (LIFETIME_MAX, true),
        (LIFETIME_MAX + second, false),
    ] {
        let made = scene.keys.create("alice", lifetime, &author()).await;
        assert_eq!(made.is_ok(), fits, "{lifetime:?}");
    }
    let id = scene.create().await.view.id;
    for (overlap, fits) in [(OVERLAP_MAX + second, false), (OVERLAP_MAX, true)] {
        let retired = scene.keys.retire((&id, None), overlap, &author()).await;
        assert_eq!(retired.is_ok(), fits, "{overlap:?}");
    }
}

#[tokio::test]
async fn a_consumer_has_so_many_keys_and_must_be_there() {
    let scene = Scene::new(false);
    for name in ["bob", "alice/credentials/x", ""] {
        let refused = scene.keys.create(name, DAY, &author()).await.unwrap_err();
        assert!(refused.problem.contains("no consumer"), "{refused}");
    }
    for _ in 0..64 {
        scene.create().await;
    }
    let refused = scene.keys.create("alice", DAY, &author()).await.unwrap_err();
    assert!(refused.problem.contains("has 64 keys"), "{refused}");
}

#[tokio::test]
async fn a_key_that_stands_in_the_store_itself_is_rotated_into_a_hash() {
    let scene = Scene::new(false);
    let plain = json!({ "id": "laptop", "plugins": { "key-auth": { "key": "0f8b7e6d5c4b3a29" } } });
    scene.shelf.put("consumers/alice/credentials/laptop", &plain);
    let refused = scene.keys.rotate(("laptop", None), DAY, None, &author()).await.unwrap_err();
    assert!(refused.help.contains("--expires"), "{refused:?}");
    let made = scene.keys.rotate(("laptop", None), DAY, Some(90 * DAY), &author()).await.unwrap();
    assert!(made.old.unwrap().is_plain && !made.view.is_plain);
    let left = scene.credential("laptop");
    assert_eq!(left["plugins"]["key-auth"]["key"], "0f8b7e6d5c4b3a29");
    assert_eq!(left["plugins"]["key-auth"]["retires_at"], "2027-01-16T08:00:00Z");
}

#[tokio::test]
async fn an_id_that_two_consumers_have_needs_a_name() {
    let scene = Scene::new(false);
    for name in ["alice", "bob"] {
        scene.shelf.put(&format!("consumers/{name}"), &json!({ "username": name }));
        let key = json!({ "id": "k", "plugins": { "key-auth": { "key": name } } });
        scene.shelf.put(&format!("consumers/{name}/credentials/k"), &key);
    }
    let refused = scene.keys.retire(("k", None), DAY, &author()).await.unwrap_err();
    assert!(refused.help.contains("--consumer"), "{refused:?}");
    let retired = scene.keys.retire(("k", Some("bob")), DAY, &author()).await.unwrap();
    assert_eq!(retired.consumer, "bob");
}

#[tokio::test]
async fn files_are_not_written_and_what_to_write_is_said() {
    let scene = Scene::new(true);
    let made = scene.create().await;
    let paste = made.paste.unwrap();
    assert_eq!(paste.why, "nothing was changed: the store is `file`, which this node only reads");
    assert_eq!(paste.lines[0], "under the consumer `alice`, in `credentials`, add:");
    let written: Value = serde_json::from_str(paste.lines[1].strip_prefix("- ").unwrap()).unwrap();
    assert_eq!(written["id"], *made.view.id);
    assert_eq!(scene.states().await, []);
    let secret = made.key.expose_str().unwrap().rsplit('_').next().unwrap().to_owned();
    assert!(!paste.lines[1].contains(&secret));
    scene.shelf.put(&format!("consumers/alice/credentials/{}", made.view.id), &written);
    let undone = scene.keys.retire((&made.view.id, None), DAY, &author()).await.unwrap_err();
    assert!(undone.help.ends_with("add: retires_at: 2027-01-16T08:00:00Z"), "{undone:?}");
}

#[tokio::test]
async fn without_hash_keys_no_key_is_made() {
    let scene = Scene::new(false);
    let mut settings = CallerKeySettings {
        hash_keys: HashKeys::default(),
        plane: scene.shelf.clone(),
        operators: scene.sample.operators.clone(),
        prefix: String::new(),
        clock: Clock::Manual(scene.clock.clone()),
        uses: Arc::new(|_| None),
    };
    let refused = CallerKeys::new(settings.clone()).create("alice", DAY, &author()).await;
    assert!(refused.unwrap_err().help.contains("api_keys"));
    settings.hash_keys = HashKeys::new([("h1", &Secret::new([7; 32]))]);
    assert!(CallerKeys::new(settings).create("alice", DAY, &author()).await.is_ok());
}

/// Alice's key every ten days, into a file.
fn rotation(to: Recipient) -> Rotation {
    Rotation { consumer: "alice".to_owned(), every: 10 * DAY, overlap: 3 * DAY, to }
}

impl Scene {
    /// The states of alice's keys, the oldest first.
    async fn in_order(&self) -> Vec<KeyState> {
        let mut listed = self.keys.list(Some("alice")).await.unwrap();
        listed.sort_by(|a, b| a.created.cmp(&b.created));
        listed.into_iter().map(|view| view.state).collect()
    }
}

#[tokio::test]
async fn a_key_is_exchanged_when_it_is_due_and_arrives_before_the_old_one_retires() {
    let scene = Scene::new(false);
    let path = scene.sample.folder.path().join("alice.key");
    let rotation = rotation(Recipient::File(path.clone()));
    let read = || std::fs::read_to_string(&path).unwrap();
    scene.keys.turn(&rotation).await.unwrap();
    let first = read();
    assert_eq!(scene.in_order().await, [KeyState::Active]);
    scene.clock.advance(9 * DAY + Duration::from_secs(86_399));
    scene.keys.turn(&rotation).await.unwrap();
    assert_eq!(read(), first);
    scene.clock.advance(Duration::from_secs(1));
    scene.keys.turn(&rotation).await.unwrap();
    assert_ne!(read(), first);
    assert_eq!(scene.in_order().await, [KeyState::Retiring, KeyState::Next]);
    scene.keys.turn(&rotation).await.unwrap();
    scene.clock.advance(3 * DAY);
    assert_eq!(scene.in_order().await, [KeyState::Retired, KeyState::Next]);
    let id = read()["shop_".len()..][..8].to_owned();
    assert_eq!(scene.credential(&id)["labels"]["schedule"], "arrived");
}

#[tokio::test]
async fn a_key_that_does_not_arrive_changes_nothing() {
    let scene = Scene::new(false);
    let path = scene.sample.folder.path().join("alice.key");
    scene.keys.turn(&rotation(Recipient::File(path.clone()))).await.unwrap();
    scene.clock.advance(10 * DAY);
    let refuses = rotation(Recipient::Command(vec!["/bin/false".to_owned()]));
    let undone = scene.keys.turn(&refuses).await.unwrap_err();
    assert!(undone.problem.contains("ended with"), "{undone}");
    assert_eq!(scene.in_order().await, [KeyState::Active]);
    scene.keys.turn(&rotation(Recipient::File(path))).await.unwrap();
    assert_eq!(scene.in_order().await, [KeyState::Retiring, KeyState::Next]);
}

#[tokio::test]
async fn of_ended_keys_of_a_schedule_the_newest_eight_stay() {
    for (count, left) in [(7_u64, 7), (8, 8), (9, 8)] {
        let scene = Scene::new(false);
        for n in 0..count {
            let key = json!({
                "id": format!("k{n}"), "create_time": n, "labels": { "schedule": "arrived" },
                "plugins": { "key-auth": { "key": "x", "expires_at": "2020-01-01T00:00:00Z" } },
            });
            scene.shelf.put(&format!("consumers/alice/credentials/k{n}"), &key);
        }
        let path = scene.sample.folder.path().join("alice.key");
        scene.keys.turn(&rotation(Recipient::File(path))).await.unwrap();
        let states = scene.states().await;
        let ended = states.iter().filter(|(id, _)| id.len() == 2).count();
        assert_eq!(ended, left, "{count}: {states:?}");
    }
}

#[tokio::test]
async fn a_schedule_goes_on_for_ever_and_leaves_few_keys_behind() {
    let scene = Scene::new(false);
    let path = scene.sample.folder.path().join("alice.key");
    let often = Duration::from_secs(60);
    let rotation = Rotation { every: often, overlap: often / 2, ..rotation(Recipient::File(path)) };
    for round in 0..100 {
        scene.keys.turn(&rotation).await.unwrap();
        let states = scene.states().await;
        assert!(states.len() < 16, "{round}: {states:?}");
        scene.clock.advance(often);
    }
}

#[tokio::test]
async fn a_key_of_which_nobody_knows_whether_it_arrived_retires_too() {
    let scene = Scene::new(false);
    let path = scene.sample.folder.path().join("alice.key");
    let rotation = rotation(Recipient::File(path));
    scene.keys.turn(&rotation).await.unwrap();
    // As a node leaves it that ends between storing and handing over.
    let id = scene.states().await[0].0.clone();
    let mut cut = scene.credential(&id);
    cut["labels"]["schedule"] = json!("under-way");
    scene.shelf.put(&format!("consumers/alice/credentials/{id}"), &cut);
    // Another node could be handing it over.
    scene.clock.advance(2 * COMMAND_TIME.saturating_sub(Duration::from_millis(500)));
    scene.keys.turn(&rotation).await.unwrap();
    assert_eq!(scene.states().await.len(), 1);
    scene.clock.advance(Duration::from_secs(1));
    // Whoever has it keeps it until there is another.
    let refuses = Recipient::Command(vec!["/bin/false".to_owned()]);
    let failing = Rotation { to: refuses, ..rotation.clone() };
    scene.keys.turn(&failing).await.unwrap_err();
    assert!(scene.states().await.contains(&(id.clone(), KeyState::Active)));
    scene.keys.turn(&rotation).await.unwrap();
    let states = scene.states().await;
    assert_eq!(states.iter().filter(|(known, _)| *known == id).count(), 1);
    assert!(states.contains(&(id, KeyState::Retiring)), "{states:?}");
    assert_eq!(states.len(), 2);
    // The keys that people made are not the schedule's.
    let own = scene.create().await.view.id;
    scene.clock.advance(11 * DAY);
    scene.keys.turn(&rotation).await.unwrap();
    assert!(scene.states().await.contains(&(own, KeyState::Active)));
}
