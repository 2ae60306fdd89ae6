//! The laws of stores.

use std::time::Duration;

use bartizan_store::{
    Changes, Commit, Difference, EMBEDDED_COMMIT_MAX, Expect, Key, OBJECT_MAX, Revision, Store,
    StoreError, Write,
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How long anything may take. It takes milliseconds, unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const AUTHOR: &str = "a test";

/// A store, and whoever else writes to it.
pub(crate) trait Fixture {
    type Store: Store;

    /// A store without objects.
    async fn open() -> Self;

    fn store(&self) -> &Self::Store;

    /// Writes or removes an object by the means that the store is written with.
    async fn write(&self, key: &Key, value: Option<Value>);
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

fn upstream(port: u16) -> Value {
    json!({ "id": "u", "nodes": { format!("127.0.0.1:{port}"): 1 } })
}

/// Waits until the store is as a condition says, as whoever follows it would.
pub(crate) async fn until<S: Store>(store: &S, condition: impl Fn(&[(Key, Value)]) -> bool) {
    let waiting = async {
        let mut snapshot = store.snapshot().await.unwrap();
        loop {
            let held: Vec<(Key, Value)> = snapshot
                .objects
                .iter()
                .map(|object| (object.key.clone(), object.value().unwrap()))
                .collect();
            if condition(&held) {
                return;
            }
            store.changes(snapshot.revision).await.unwrap();
            snapshot = store.snapshot().await.unwrap();
        }
    };
    timeout(PATIENCE, waiting).await.expect("the store to become so");
}

/// What all stores do, also those that are not written through us.
pub(crate) mod reading {
    use super::*;

    pub(crate) async fn what_others_write_is_read<F: Fixture>() {
        let fixture = F::open().await;
        assert!(fixture.store().snapshot().await.unwrap().objects.is_empty());
        fixture.write(&key("upstreams/u"), Some(upstream(1))).await;
        until(fixture.store(), |held| *held == [(key("upstreams/u"), upstream(1))]).await;
        let object = fixture.store().get(&key("upstreams/u")).await.unwrap().unwrap();
        assert_eq!(object.value().unwrap(), upstream(1));
        assert!(fixture.store().get(&key("upstreams/other")).await.unwrap().is_none());
    }

    pub(crate) async fn who_follows_sees_each_change_and_removal<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        fixture.write(&key("upstreams/u"), Some(upstream(1))).await;
        until(store, |held| held.len() == 1).await;
        let before = store.snapshot().await.unwrap().revision;
        let u = key("upstreams/u");
        let (changes, ()) = tokio::join!(
            async { timeout(PATIENCE, store.changes(before)).await.unwrap().unwrap() },
            fixture.write(&u, Some(upstream(2))),
        );
        assert!(changes.revision() > before);
        until(store, |held| *held == [(key("upstreams/u"), upstream(2))]).await;
        fixture.write(&key("upstreams/u"), None).await;
        until(store, <[_]>::is_empty).await;
    }

    pub(crate) async fn a_wait_that_is_given_up_loses_nothing<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let before = store.snapshot().await.unwrap().revision;
        // Polled once and dropped.
        tokio::select! {
            biased;
            _ = store.changes(before) => panic!("nothing has changed"),
            () = std::future::ready(()) => {}
        }
        fixture.write(&key("upstreams/u"), Some(upstream(1))).await;
        let changes = timeout(PATIENCE, store.changes(before)).await.unwrap().unwrap();
        let told = match changes {
            Changes::Some { objects, .. } => objects.into_iter().map(|change| change.key).collect(),
            Changes::Anew(snapshot) => {
                snapshot.objects.into_iter().map(|object| object.key).collect::<Vec<_>>()
            }
        };
        assert_eq!(told, [key("upstreams/u")]);
    }

    pub(crate) async fn the_revision_that_is_there_can_be_looked_at<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        fixture.write(&key("upstreams/u"), Some(upstream(1))).await;
        until(store, |held| held.len() == 1).await;
        let object = store.get(&key("upstreams/u")).await.unwrap().unwrap();
        let revisions = store.revisions(&key("upstreams/u"), 10).await.unwrap();
        assert_eq!(revisions[0].number, object.revision);
        let revision = store.revision(&key("upstreams/u"), object.revision).await.unwrap();
        assert_eq!(revision.content.as_deref(), Some(&*object.content));
        let missing = store.revision(&key("upstreams/u"), object.revision + 1_000).await;
        assert!(matches!(missing, Err(StoreError::NoRevision(..))), "{missing:?}");
        assert!(store.revisions(&key("upstreams/none"), 10).await.unwrap().is_empty());
    }
}

/// What stores do that are written through us.
pub(crate) mod writing {
    use super::*;

    pub(crate) async fn what_is_acknowledged_is_read_back<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let first = store.put(&key("upstreams/u"), &upstream(1), Expect::Absent, AUTHOR).await;
        let object = store.get(&key("upstreams/u")).await.unwrap().unwrap();
        assert_eq!((object.revision, object.value().unwrap()), (first.unwrap(), upstream(1)));
        let snapshot = store.snapshot().await.unwrap();
        assert!(snapshot.revision >= object.revision);
        assert_eq!(snapshot.objects, [object]);
    }

    pub(crate) async fn an_expectation_that_does_not_hold_changes_nothing<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let u = key("upstreams/u");
        let early = store.put(&u, &upstream(1), Expect::Revision(1), AUTHOR).await;
        assert!(matches!(early, Err(StoreError::Conflict { current: None, .. })), "{early:?}");
        let first = store.put(&u, &upstream(1), Expect::Absent, AUTHOR).await.unwrap();
        let again = store.put(&u, &upstream(2), Expect::Absent, AUTHOR).await;
        let is_at = |outcome: Result<u64, StoreError>, at| match outcome {
            Err(StoreError::Conflict { current, .. }) => current == Some(at),
            _ => false,
        };
        assert!(is_at(again, first));
        let second = store.put(&u, &upstream(2), Expect::Revision(first), AUTHOR).await.unwrap();
        assert!(is_at(store.put(&u, &upstream(3), Expect::Revision(first), AUTHOR).await, second));
        assert!(is_at(store.delete(&u, Expect::Revision(first), AUTHOR).await, second));
        let patch = json!({ "retries": 3 });
        assert!(is_at(store.patch(&u, &patch, Expect::Revision(first), AUTHOR).await, second));
        assert_eq!(store.get(&u).await.unwrap().unwrap().value().unwrap(), upstream(2));
    }

    pub(crate) async fn of_two_writers_who_expect_the_same_one_is_first<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let u = key("upstreams/u");
        let first = store.put(&u, &upstream(1), Expect::Absent, AUTHOR).await.unwrap();
        let (two, three) = (upstream(2), upstream(3));
        let (one, other) = tokio::join!(
            store.put(&u, &two, Expect::Revision(first), AUTHOR),
            store.put(&u, &three, Expect::Revision(first), AUTHOR),
        );
        assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
        let expected = if one.is_ok() { two } else { three };
        assert_eq!(store.get(&u).await.unwrap().unwrap().value().unwrap(), expected);
    }

    pub(crate) async fn a_commit_is_whole_or_nothing<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let write = |id: &str, expect| Write {
            key: key(id),
            content: Some(upstream(1).to_string().into_bytes().into()),
            expect,
        };
        let commit = |writes| Commit { author: AUTHOR.into(), writes };
        let halves = commit(vec![
            write("upstreams/a", Expect::Absent),
            write("upstreams/b", Expect::Revision(7)),
        ]);
        assert!(matches!(store.commit(halves).await, Err(StoreError::Conflict { .. })));
        assert!(store.snapshot().await.unwrap().objects.is_empty());
        let whole = commit(vec![
            write("upstreams/a", Expect::Absent),
            write("upstreams/b", Expect::Anything),
        ]);
        let revision = store.commit(whole).await.unwrap();
        let held = store.snapshot().await.unwrap().objects;
        let held: Vec<_> =
            held.iter().map(|object| (object.key.as_str(), object.revision)).collect();
        assert_eq!(held, [("upstreams/a", revision), ("upstreams/b", revision)]);
    }

    pub(crate) async fn what_is_removed_is_gone_and_cannot_be_removed_again<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let u = key("upstreams/u");
        let before = store.put(&u, &upstream(1), Expect::Absent, AUTHOR).await.unwrap();
        let removed = store.delete(&u, Expect::Revision(before), AUTHOR).await.unwrap();
        assert!(removed > before);
        assert!(store.get(&u).await.unwrap().is_none());
        let again = store.delete(&u, Expect::Anything, AUTHOR).await;
        assert!(matches!(again, Err(StoreError::Missing(_))), "{again:?}");
        match store.changes(before).await.unwrap() {
            Changes::Some { objects, .. } => assert!(objects[0].object.is_none(), "{objects:?}"),
            Changes::Anew(snapshot) => assert!(snapshot.objects.is_empty()),
        }
    }

    /// For stores that keep a log.
    pub(crate) async fn a_removal_is_among_what_was_written<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let (u, v) = (key("upstreams/u"), key("upstreams/v"));
        let made = store.put(&u, &upstream(1), Expect::Absent, AUTHOR).await.unwrap();
        let other = store.put(&v, &upstream(2), Expect::Absent, "other").await.unwrap();
        let removed = store.delete(&u, Expect::Anything, AUTHOR).await.unwrap();
        let told = |written: Vec<(Key, Revision)>| -> Vec<(Key, u64, Option<Value>)> {
            let value = |text: std::sync::Arc<[u8]>| serde_json::from_slice(&text).unwrap();
            let told = written.into_iter();
            told.map(|(key, write)| (key, write.number, write.content.map(value))).collect()
        };
        let all = [
            (u.clone(), removed, None),
            (v, other, Some(upstream(2))),
            (u, made, Some(upstream(1))),
        ];
        for max in [2, 3, 4] {
            let written = told(store.written(max).await.unwrap());
            assert_eq!(written, all[..max.min(3)], "{max}");
        }
    }

    pub(crate) async fn patches_of_many_at_once_are_all_there<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let u = key("upstreams/u");
        store.put(&u, &json!({ "gone": 1 }), Expect::Absent, AUTHOR).await.unwrap();
        let patches = ["a", "b", "c", "d"].map(|name| json!({ name: true, "gone": null }));
        let [one, two, three, four] = &patches;
        let outcomes = tokio::join!(
            store.patch(&u, one, Expect::Anything, AUTHOR),
            store.patch(&u, two, Expect::Anything, AUTHOR),
            store.patch(&u, three, Expect::Anything, AUTHOR),
            store.patch(&u, four, Expect::Anything, AUTHOR),
        );
        assert!(
            outcomes.0.is_ok() && outcomes.1.is_ok() && outcomes.2.is_ok() && outcomes.3.is_ok()
        );
        let value = store.get(&u).await.unwrap().unwrap().value().unwrap();
        assert_eq!(value, json!({ "a": true, "b": true, "c": true, "d": true }));
        let missing = store.patch(&key("upstreams/none"), one, Expect::Anything, AUTHOR).await;
        assert!(matches!(missing, Err(StoreError::Missing(_))), "{missing:?}");
    }

    pub(crate) async fn revisions_are_told_compared_and_rolled_back_to<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let u = key("upstreams/u");
        let mut written = Vec::new();
        for port in 1..=3 {
            written.push(store.put(&u, &upstream(port), Expect::Anything, AUTHOR).await.unwrap());
        }
        let told = store.revisions(&u, 10).await.unwrap();
        let numbers: Vec<u64> = told.iter().map(|revision| revision.number).collect();
        assert_eq!(numbers, [written[2], written[1], written[0]]);
        assert_eq!(store.revisions(&u, 2).await.unwrap().len(), 2);
        let found = store.diff(&u, written[0], written[2]).await.unwrap();
        let difference = |port: u16, before: Option<i32>, after: Option<i32>| Difference {
            pointer: format!("/nodes/127.0.0.1:{port}"),
            before: before.map(Value::from),
            after: after.map(Value::from),
        };
        assert_eq!(found, [difference(1, Some(1), None), difference(3, None, Some(1))]);
        let back =
            store.rollback(&u, written[0], Expect::Revision(written[2]), AUTHOR).await.unwrap();
        assert!(back > written[2]);
        assert_eq!(store.get(&u).await.unwrap().unwrap().value().unwrap(), upstream(1));
        store.delete(&u, Expect::Anything, AUTHOR).await.unwrap();
        store.rollback(&u, written[1], Expect::Absent, AUTHOR).await.unwrap();
        assert_eq!(store.get(&u).await.unwrap().unwrap().value().unwrap(), upstream(2));
    }

    pub(crate) async fn what_is_no_object_is_refused<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let deep = format!("{}1{}", "{\"a\":".repeat(70), "}".repeat(70));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(OBJECT_MAX));
        for content in ["[]", "7", "", "{", "{\"a\": 1, \"a\": 2}", &deep, &long] {
            let write = Write {
                key: key("upstreams/u"),
                content: Some(content.as_bytes().into()),
                expect: Expect::Anything,
            };
            let outcome = store.commit(Commit { author: AUTHOR.into(), writes: vec![write] }).await;
            assert!(matches!(outcome, Err(StoreError::BadContent(..))), "{outcome:?}");
        }
        let write = Write { key: key("upstreams/u"), content: None, expect: Expect::Anything };
        let twice = Commit { author: AUTHOR.into(), writes: vec![write.clone(), write.clone()] };
        assert!(matches!(store.commit(twice).await, Err(StoreError::Twice(_))));
        let many = Commit { author: AUTHOR.into(), writes: vec![write; EMBEDDED_COMMIT_MAX + 1] };
        assert!(matches!(store.commit(many).await, Err(StoreError::CommitSize(..))));
        assert!(store.snapshot().await.unwrap().objects.is_empty());
    }
}

/// What stores do that others write.
pub(crate) mod refusing {
    use super::*;

    pub(crate) async fn each_write_is_refused_and_says_how_it_is_done<F: Fixture>() {
        let fixture = F::open().await;
        let store = fixture.store();
        let u = key("upstreams/u");
        fixture.write(&u, Some(upstream(1))).await;
        until(store, |held| held.len() == 1).await;
        let revision = store.get(&u).await.unwrap().unwrap().revision;
        let outcomes = [
            store.put(&u, &upstream(2), Expect::Anything, AUTHOR).await,
            store.patch(&u, &json!({ "retries": 1 }), Expect::Anything, AUTHOR).await,
            store.delete(&u, Expect::Anything, AUTHOR).await,
            store.rollback(&u, revision, Expect::Anything, AUTHOR).await,
        ];
        for outcome in outcomes {
            assert!(matches!(outcome, Err(StoreError::ReadOnly { .. })), "{outcome:?}");
        }
        assert_eq!(store.get(&u).await.unwrap().unwrap().value().unwrap(), upstream(1));
    }
}

/// One test for each law.
macro_rules! laws {
    ($fixture:ty: $($group:ident::$law:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $law() {
                $crate::suite::$group::$law::<$fixture>().await;
            }
        )*
    };
}

/// The laws of reading.
macro_rules! reads {
    ($fixture:ty) => {
        laws! { $fixture:
            reading::what_others_write_is_read,
            reading::who_follows_sees_each_change_and_removal,
            reading::a_wait_that_is_given_up_loses_nothing,
            reading::the_revision_that_is_there_can_be_looked_at,
        }
    };
}

/// The laws of stores that keep a log.
macro_rules! logs {
    ($fixture:ty) => {
        laws! { $fixture: writing::a_removal_is_among_what_was_written }
    };
}

/// The laws of writing.
macro_rules! writes {
    ($fixture:ty) => {
        laws! { $fixture:
            writing::what_is_acknowledged_is_read_back,
            writing::an_expectation_that_does_not_hold_changes_nothing,
            writing::of_two_writers_who_expect_the_same_one_is_first,
            writing::a_commit_is_whole_or_nothing,
            writing::what_is_removed_is_gone_and_cannot_be_removed_again,
            writing::patches_of_many_at_once_are_all_there,
            writing::revisions_are_told_compared_and_rolled_back_to,
            writing::what_is_no_object_is_refused,
        }
    };
}
