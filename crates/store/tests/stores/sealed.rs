//! Stores whose secrets are encrypted: the laws hold, and what lies in them tells nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan_core::Secret;
use bartizan_store::{
    ApisixKeyring, Change, Changes, Embedded, EmbeddedSettings, Expect, FindSecrets, SEALED,
    SealAs, Sealed, SealedSettings, SealingKey, Store, StoreError,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::suite::{Fixture, key};

/// Everything under `secret`, and the item of a list.
fn find() -> FindSecrets {
    Arc::new(|_, value| {
        ["/secret", "/nodes", "/list/0"]
            .into_iter()
            .filter(|pointer| value.pointer(pointer).is_some())
            .map(str::to_owned)
            .collect()
    })
}

fn sealing(id: &str, byte: u8) -> SealingKey {
    SealingKey::new(id, &Secret::new(vec![byte; 32])).unwrap()
}

fn ours(keys: Vec<SealingKey>) -> SealedSettings {
    SealedSettings { keys, seal_as: SealAs::Sealed, ..SealedSettings::default() }
}

fn apisix(keys: &[&str], seal_as: SealAs) -> SealedSettings {
    let keys = keys.iter().map(|key| Secret::new(*key)).collect();
    let keyring = ApisixKeyring::new(keys).unwrap();
    SealedSettings { keyring, seal_as, ..SealedSettings::default() }
}

struct Scene {
    store: Sealed<Embedded>,
    folder: TempDir,
}

impl Scene {
    fn with(settings: SealedSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder, settings);
        Self { store, folder }
    }

    /// The same file, opened with other keys.
    fn again(self, settings: SealedSettings) -> Self {
        let Self { store, folder } = self;
        drop(store);
        let store = open(&folder, settings);
        Self { store, folder }
    }

    async fn put(&self, name: &str, value: &Value) {
        self.store.put(&key(name), value, Expect::Anything, "a test").await.unwrap();
    }

    async fn read(&self, name: &str) -> Value {
        self.store.get(&key(name)).await.unwrap().unwrap().value().unwrap()
    }

    /// What lies in the store.
    async fn raw(&self, name: &str) -> Value {
        self.store.inner().get(&key(name)).await.unwrap().unwrap().value().unwrap()
    }

    async fn put_raw(&self, name: &str, value: &Value) {
        self.store.inner().put(&key(name), value, Expect::Anything, "x").await.unwrap();
    }
}

fn open(folder: &TempDir, settings: SealedSettings) -> Sealed<Embedded> {
    let inner = Embedded::open(EmbeddedSettings {
        path: folder.path().join("store"),
        history: 100,
        clock: bartizan_core::Clock::System,
    });
    Sealed::new(inner.unwrap(), settings, find()).unwrap()
}

impl Fixture for Scene {
    type Store = Sealed<Embedded>;

    async fn open() -> Self {
        Self::with(ours(vec![sealing("k1", 1)]))
    }

    fn store(&self) -> &Sealed<Embedded> {
        &self.store
    }

    async fn write(&self, key: &bartizan_store::Key, value: Option<Value>) {
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

fn object() -> Value {
    json!({ "name": "n", "secret": "hunter2", "list": ["hunter2", "hunter2"] })
}

#[tokio::test]
async fn secrets_lie_encrypted_and_are_read_in_clear() {
    let scene = Scene::open().await;
    scene.put("routes/a", &object()).await;
    let raw = scene.raw("routes/a").await;
    let text = |pointer: &str| raw.pointer(pointer).unwrap().as_str().unwrap().to_owned();
    assert!(text("/secret").starts_with("$sealed://k1/"), "{raw}");
    assert_ne!(text("/secret"), text("/list/0"));
    assert_eq!((text("/name"), text("/list/1")), ("n".to_owned(), "hunter2".to_owned()));
    assert_eq!(scene.read("routes/a").await, object());
    assert_eq!(scene.store.snapshot().await.unwrap().objects[0].value(), Some(object()));
    let Changes::Some { objects, .. } = scene.store.changes(0).await.unwrap() else { panic!() };
    let [Change { object: Some(changed), .. }] = objects.as_slice() else { panic!() };
    assert_eq!(changed.value(), Some(object()));
    let revisions = scene.store.revisions(&key("routes/a"), 9).await.unwrap();
    assert_eq!(revisions[0].content.as_deref(), Some(object().to_string().as_bytes()));
    let written = scene.store.written(9).await.unwrap();
    assert_eq!(written[0].1.content.as_deref(), Some(object().to_string().as_bytes()));
}

#[tokio::test]
async fn no_byte_of_the_file_tells_a_secret() {
    let scene = Scene::open().await;
    scene.put("routes/a", &json!({ "secret": "correct horse battery staple" })).await;
    scene.put("routes/a", &json!({ "secret": "another horse battery staple" })).await;
    let path = scene.folder.path().join("store");
    drop(scene.store);
    let bytes = std::fs::read(path).unwrap();
    assert!(!bytes.windows(13).any(|window| window == b"horse battery"));
    assert!(bytes.windows(SEALED.len()).any(|window| window == SEALED.as_bytes()));
}

#[tokio::test]
async fn references_stay_what_they_are() {
    let scene = Scene::open().await;
    let value = json!({ "secret": "$env://KEY", "list": ["$secret://vault/1/a/b"] });
    scene.put("routes/a", &value).await;
    assert_eq!(scene.raw("routes/a").await, value);
}

#[tokio::test]
async fn a_part_is_changed_and_an_earlier_one_brought_back_in_clear() {
    let scene = Scene::open().await;
    scene.put("routes/a", &object()).await;
    let first = scene.store.get(&key("routes/a")).await.unwrap().unwrap().revision;
    let patch = json!({ "name": "m", "secret": "other" });
    scene.store.patch(&key("routes/a"), &patch, Expect::Anything, "x").await.unwrap();
    assert_eq!(scene.read("routes/a").await["secret"], "other");
    assert_eq!(scene.read("routes/a").await["list"][0], "hunter2");
    scene.store.rollback(&key("routes/a"), first, Expect::Anything, "x").await.unwrap();
    assert_eq!(scene.read("routes/a").await, object());
    assert!(scene.raw("routes/a").await["secret"].as_str().unwrap().starts_with(SEALED));
}

#[tokio::test]
async fn what_was_moved_or_changed_is_not_read() {
    let scene = Scene::open().await;
    scene.put("routes/a", &object()).await;
    scene.put("routes/b", &json!({ "secret": "b" })).await;
    let (a, b) = (scene.raw("routes/a").await, scene.raw("routes/b").await);
    let damaged = "$unreadable://damaged/k1";
    scene.put_raw("routes/b", &json!({ "secret": a["secret"] })).await;
    assert_eq!(scene.read("routes/b").await["secret"], damaged);
    scene.put_raw("routes/a", &json!({ "secret": a["list"][0] })).await;
    assert_eq!(scene.read("routes/a").await["secret"], damaged);
    for wrong in ["$sealed://k1/", "$sealed://k1/AAAA", "$sealed://k1/not base64"] {
        scene.put_raw("routes/b", &json!({ "secret": wrong })).await;
        assert_eq!(scene.read("routes/b").await["secret"], damaged, "{wrong}");
    }
    let mut text = b["secret"].as_str().unwrap().to_owned();
    let last = if text.pop() == Some('A') { 'B' } else { 'A' };
    text.insert(text.len() - 4, last);
    scene.put_raw("routes/b", &json!({ "secret": text })).await;
    assert_eq!(scene.read("routes/b").await["secret"], damaged);
}

#[tokio::test]
async fn a_key_that_is_not_there_is_named_and_nothing_is_lost() {
    let scene = Scene::open().await;
    scene.put("routes/a", &object()).await;
    let scene = scene.again(ours(vec![sealing("k2", 2)]));
    assert_eq!(scene.read("routes/a").await["secret"], "$unreadable://key/k1");
    let (a, patch) = (key("routes/a"), json!({ "name": "m" }));
    let refused = scene.store.patch(&a, &patch, Expect::Anything, "x").await.unwrap_err();
    assert!(matches!(refused, StoreError::BadContent(..)), "{refused}");
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 0);
    // The same name, another key.
    let scene = scene.again(ours(vec![sealing("k1", 3)]));
    assert_eq!(scene.read("routes/a").await["secret"], "$unreadable://damaged/k1");
    let scene = scene.again(SealedSettings::default());
    assert_eq!(scene.read("routes/a").await["secret"], "$unreadable://key/k1");
    let scene = scene.again(ours(vec![sealing("k2", 2), sealing("k1", 1)]));
    assert_eq!(scene.read("routes/a").await, object());
}

#[tokio::test]
async fn marks_of_encrypted_values_are_not_written_by_hand() {
    for settings in [ours(vec![sealing("k1", 1)]), SealedSettings::default()] {
        let scene = Scene::with(settings);
        for mark in ["$sealed://k1/AAAA", "$SEALED://x", "$unreadable://key/k1"] {
            let value = json!({ "secret": mark });
            let put = scene.store.put(&key("routes/a"), &value, Expect::Anything, "x").await;
            assert!(matches!(put, Err(StoreError::BadContent(..))), "{mark}");
        }
        // Elsewhere it is text like any other.
        scene.put("routes/a", &json!({ "name": "$sealed://k1/AAAA" })).await;
    }
}

#[tokio::test]
async fn another_first_key_encrypts_everything_anew() {
    let scene = Scene::with(SealedSettings::default());
    for n in 0..100 {
        scene.put(&format!("routes/{n}"), &object()).await;
    }
    let scene = scene.again(ours(vec![sealing("k1", 1)]));
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 100);
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 0);
    let scene = scene.again(ours(vec![sealing("k2", 2), sealing("k1", 1)]));
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 100);
    let scene = scene.again(ours(vec![sealing("k2", 2)]));
    for n in 0..100 {
        assert_eq!(scene.read(&format!("routes/{n}")).await, object(), "{n}");
    }
    let revision = scene.store.get(&key("routes/7")).await.unwrap().unwrap();
    assert_eq!(revision.author.as_deref(), Some("encryption with another key"));
}

#[tokio::test]
async fn what_others_wrote_to_a_shared_store_stays_as_they_wrote_it() {
    let scene = Scene::open().await;
    scene.put("routes/a", &object()).await;
    scene.put_raw("routes/b", &object()).await;
    let shared =
        SealedSettings { is_shared: true, ..ours(vec![sealing("k2", 2), sealing("k1", 1)]) };
    let scene = scene.again(shared);
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(scene.raw("routes/b").await, object());
    assert!(scene.raw("routes/a").await["secret"].as_str().unwrap().starts_with("$sealed://k2/"));
}

#[tokio::test]
async fn what_apisix_encrypted_is_read_and_written_as_the_choice_says() {
    let ring = ["fedcba9876543210", "0123456789abcdef"];
    let scene = Scene::with(apisix(&["0123456789abcdef"], SealAs::Apisix));
    scene.put("routes/a", &object()).await;
    assert_eq!(scene.raw("routes/a").await["secret"], "5WrPd8556C66kUtoGbal5g==");
    let scene = scene.again(apisix(&ring, SealAs::Clear));
    assert_eq!(scene.read("routes/a").await, object());
    scene.put("routes/b", &object()).await;
    assert_eq!(scene.raw("routes/b").await, object());
    let both = SealedSettings {
        keys: vec![sealing("k1", 1)],
        seal_as: SealAs::Sealed,
        ..apisix(&ring, SealAs::Clear)
    };
    let scene = scene.again(both);
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 2);
    assert_eq!(scene.read("routes/a").await, object());
    let both = SealedSettings { keys: vec![sealing("k1", 1)], ..apisix(&ring, SealAs::Apisix) };
    let scene = scene.again(both);
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 2);
    let scene = scene.again(apisix(&ring[..1], SealAs::Apisix));
    assert_eq!(scene.read("routes/a").await, object());
}

#[tokio::test]
async fn what_looks_encrypted_and_no_key_opens_is_never_taken_for_a_secret() {
    let scene = Scene::with(apisix(&["fedcba9876543210"], SealAs::Clear));
    scene
        .put_raw(
            "routes/a",
            &json!({ "secret": "5WrPd8556C66kUtoGbal5g==", "name": "5WrPd8556C66kUtoGbal5g==" }),
        )
        .await;
    let read = scene.read("routes/a").await;
    assert_eq!(read["secret"], "$unreadable://keyring");
    assert_eq!(read["name"], "5WrPd8556C66kUtoGbal5g==");
    // In a copy on this machine, a secret in clear that looks so is read again as what it is.
    let object = scene.store.get(&key("routes/a")).await.unwrap().unwrap();
    let clear = json!({ "secret": "AAAAAAAAAAAAAAAAAAAAAA==" });
    let clear = bartizan_store::Object {
        content: clear.to_string().into_bytes().into(),
        revision: 77,
        ..object
    };
    let kept = scene.store.unambiguous(clear.clone());
    assert_eq!(scene.store.clear_object(kept).content, clear.content);
}

fn ring() -> ApisixKeyring {
    ApisixKeyring::new(vec![Secret::new("0123456789abcdef")]).unwrap()
}

fn required(keys: Vec<SealingKey>) -> SealedSettings {
    SealedSettings { is_required: true, ..ours(keys) }
}

#[tokio::test]
async fn where_encryption_is_required_clear_text_is_no_secret() {
    const CLEAR: &str = "$unreadable://clear";
    let shared = SealedSettings { is_shared: true, ..required(vec![sealing("k1", 1)]) };
    let scene = Scene::with(shared);
    scene.put("routes/a", &object()).await;
    assert_eq!(scene.read("routes/a").await, object());
    for text in ["hunter2", "", "5WrPd8556C66kUtoGbal5g==", "sealed://k1/AAAA"] {
        let value = json!({ "name": "n", "secret": text, "list": ["$env://KEY", text] });
        scene.put_raw("routes/b", &value).await;
        let read = scene.read("routes/b").await;
        let expected = json!({ "name": "n", "secret": CLEAR, "list": ["$env://KEY", text] });
        assert_eq!(read, expected, "{text}");
    }
    let snapshot = scene.store.snapshot().await.unwrap();
    assert_eq!(snapshot.objects[1].value().unwrap()["secret"], CLEAR);
    let Changes::Some { objects, .. } = scene.store.changes(0).await.unwrap() else { panic!() };
    let told = objects.iter().find(|change| change.key == key("routes/b")).unwrap();
    assert_eq!(told.object.as_ref().unwrap().value().unwrap()["secret"], CLEAR);
    // Nobody can tell who wrote it.
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 0);
    // What stands in its place is not written over it.
    let patch = json!({ "name": "m" });
    let patched = scene.store.patch(&key("routes/b"), &patch, Expect::Anything, "x").await;
    assert!(matches!(patched, Err(StoreError::BadContent(..))));
}

#[tokio::test]
async fn a_store_of_this_node_alone_is_encrypted_before_that_is_required_of_it() {
    let scene = Scene::with(SealedSettings::default());
    scene.put("routes/a", &object()).await;
    let scene = scene.again(required(vec![sealing("k1", 1)]));
    assert_eq!(scene.read("routes/a").await["secret"], "$unreadable://clear");
    assert_eq!(scene.store.reseal(Duration::ZERO).await.unwrap(), 1);
    assert_eq!(scene.read("routes/a").await, object());
}

#[tokio::test]
async fn what_is_kept_for_a_start_without_the_store_is_accepted_there() {
    let scene = Scene::with(required(vec![sealing("k1", 1)]));
    let value = json!({ "name": "n", "secret": "hunter2", "list": ["$env://KEY"] });
    scene.put("routes/a", &value).await;
    let read = scene.store.snapshot().await.unwrap().objects.remove(0);
    assert_eq!(read.value(), Some(value.clone()));
    let kept = scene.store.unambiguous(read);
    assert!(kept.value().unwrap()["secret"].as_str().unwrap().starts_with(SEALED));
    let again = Scene::with(required(vec![sealing("k2", 2), sealing("k1", 1)]));
    assert_eq!(again.store.clear_object(kept).value(), Some(value));
}

#[tokio::test]
async fn objects_are_looked_through_once_for_each_content() {
    let settings =
        || [apisix(&["0123456789abcdef"], SealAs::Clear), required(vec![sealing("k1", 1)])];
    for settings in settings() {
        let looked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&looked);
        let find: FindSecrets = Arc::new(move |_, _| {
            counter.fetch_add(1, Ordering::Relaxed);
            Vec::new()
        });
        let folder = tempfile::tempdir().unwrap();
        let inner = Embedded::open(EmbeddedSettings {
            path: folder.path().join("store"),
            history: 100,
            clock: bartizan_core::Clock::System,
        });
        let store = Sealed::new(inner.unwrap(), settings, find).unwrap();
        let put = async |n: u64| {
            let value = json!({ "name": n });
            store.inner().put(&key("routes/a"), &value, Expect::Anything, "x").await.unwrap();
        };
        put(1).await;
        for _ in 0..3 {
            assert_eq!(
                store.snapshot().await.unwrap().objects[0].value(),
                Some(json!({ "name": 1 }))
            );
        }
        assert_eq!(looked.load(Ordering::Relaxed), 1);
        put(2).await;
        assert_eq!(store.snapshot().await.unwrap().objects[0].value(), Some(json!({ "name": 2 })));
        assert_eq!(looked.load(Ordering::Relaxed), 2);
    }
}

#[tokio::test]
async fn ambiguous_content_is_left_for_the_reader_to_refuse() {
    let scene = Scene::with(apisix(&["0123456789abcdef"], SealAs::Clear));
    let twice = br#"{"secret":"5WrPd8556C66kUtoGbal5g==","secret":"x"}"#;
    let object = bartizan_store::Object {
        key: key("routes/a"),
        content: Arc::from(twice.as_slice()),
        revision: 1,
        created: 1,
        author: None,
        at: None,
    };
    assert_eq!(&*scene.store.clear_object(object).content, twice.as_slice());
}

#[test]
fn without_a_key_nothing_can_be_encrypted() {
    let folder = tempfile::tempdir().unwrap();
    for seal_as in [SealAs::Sealed, SealAs::Apisix] {
        let inner = Embedded::open(EmbeddedSettings {
            path: folder.path().join("store"),
            history: 1,
            clock: bartizan_core::Clock::System,
        });
        let settings = SealedSettings { seal_as, ..SealedSettings::default() };
        assert!(Sealed::new(inner.unwrap(), settings, find()).is_err());
    }
    let both = apisix(&["0123456789abcdef"], SealAs::Apisix);
    for settings in [
        SealedSettings { is_required: true, ..SealedSettings::default() },
        SealedSettings { keys: vec![sealing("k1", 1)], is_required: true, ..both },
        SealedSettings {
            is_required: true,
            ..SealedSettings { keyring: ring(), ..ours(vec![sealing("k1", 1)]) }
        },
    ] {
        let inner = Embedded::open(EmbeddedSettings {
            path: folder.path().join("store"),
            history: 1,
            clock: bartizan_core::Clock::System,
        });
        assert!(Sealed::new(inner.unwrap(), settings, find()).is_err());
    }
    assert!(SealingKey::new("k", &Secret::new(vec![0; 31])).is_none());
    assert!(SealingKey::new("a/b", &Secret::new(vec![0; 32])).is_none());
}
