//! The embedded store.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bartizan_core::{Clock, ManualClock, Timestamp};
use bartizan_store::{Changes, Embedded, EmbeddedSettings, Expect, Key, Store, StoreError};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::suite::{Fixture, key};

struct Scene {
    store: Embedded,
    _folder: TempDir,
}

fn settings(path: &Path) -> EmbeddedSettings {
    EmbeddedSettings { path: path.to_owned(), history: 100, clock: Clock::System }
}

impl Fixture for Scene {
    type Store = Embedded;

    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(settings(&folder.path().join("store"))).unwrap();
        Self { store, _folder: folder }
    }

    fn store(&self) -> &Embedded {
        &self.store
    }

    async fn write(&self, key: &Key, value: Option<Value>) {
        let written = match value {
            Some(value) => self.store.put(key, &value, Expect::Anything, "another").await,
            None => self.store.delete(key, Expect::Anything, "another").await,
        };
        written.unwrap();
    }
}

reads!(Scene);
writes!(Scene);
logs!(Scene);

#[tokio::test]
async fn who_wrote_what_when_is_kept_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let clock = ManualClock::at(Timestamp::from_secs(1_000));
    let settings = EmbeddedSettings {
        clock: Clock::Manual(clock.clone()),
        ..settings(&folder.path().join("store"))
    };
    let store = Embedded::open(settings.clone()).unwrap();
    store.put(&key("routes/a"), &json!({ "uri": "/1" }), Expect::Absent, "alice").await.unwrap();
    clock.set(Timestamp::from_secs(2_000));
    store.put(&key("routes/a"), &json!({ "uri": "/2" }), Expect::Anything, "bob").await.unwrap();
    store.delete(&key("routes/a"), Expect::Anything, "carol").await.unwrap();
    drop(store);
    let store = Embedded::open(settings).unwrap();
    let told: Vec<_> = store.revisions(&key("routes/a"), 10).await.unwrap();
    let told: Vec<_> = told
        .iter()
        .map(|revision| {
            let author = revision.author.as_deref().unwrap();
            (revision.number, author, revision.at.unwrap().as_secs(), revision.content.is_some())
        })
        .collect();
    assert_eq!(
        told,
        [(3, "carol", 2_000, false), (2, "bob", 2_000, true), (1, "alice", 1_000, true)]
    );
    assert_eq!(store.snapshot().await.unwrap().revision, 3);
}

#[tokio::test]
async fn the_log_is_bounded_and_what_fell_out_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let settings = EmbeddedSettings { history: 3, ..settings(&folder.path().join("store")) };
    let store = Embedded::open(settings).unwrap();
    store.put(&key("routes/old"), &json!({}), Expect::Absent, "a").await.unwrap();
    for n in 2..=5 {
        store.put(&key("routes/a"), &json!({ "n": n }), Expect::Anything, "a").await.unwrap();
    }
    let kept = store.revisions(&key("routes/a"), 10).await.unwrap();
    assert_eq!(kept.iter().map(|revision| revision.number).collect::<Vec<_>>(), [5, 4, 3]);
    let gone = store.rollback(&key("routes/a"), 2, Expect::Anything, "a").await;
    assert!(matches!(gone, Err(StoreError::NoRevision(_, 2))), "{gone:?}");
    // What is there stays, and can be looked at, however old it is.
    assert_eq!(store.revision(&key("routes/old"), 1).await.unwrap().number, 1);
    assert!(
        matches!(store.changes(1).await.unwrap(), Changes::Anew(all) if all.objects.len() == 2)
    );
    assert!(
        matches!(store.changes(2).await.unwrap(), Changes::Some { objects, .. } if objects.len() == 1)
    );
}

#[tokio::test]
async fn the_file_is_for_its_owner_alone_also_where_it_was_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mode = || std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    drop(Embedded::open(settings(&path)).unwrap());
    assert_eq!(mode(), 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(Embedded::open(settings(&path)).unwrap());
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn a_second_opener_and_a_file_of_others_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let held = Embedded::open(settings(&path)).unwrap();
    let refused = Embedded::open(settings(&path)).unwrap_err();
    assert!(refused.problem.ends_with("is open in another process"), "{refused}");
    assert!(refused.help.is_some());
    drop(held);
    let other = folder.path().join("other");
    std::fs::write(&other, "no database\n".repeat(1_000)).unwrap();
    let refused = Embedded::open(settings(&other)).unwrap_err();
    assert!(refused.problem.contains("cannot be opened"), "{refused}");
    let refused = Embedded::open(settings(folder.path())).unwrap_err();
    assert!(refused.problem.contains("cannot be opened"), "{refused}");
}
