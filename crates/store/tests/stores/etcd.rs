//! etcd: the laws, and whatever can happen to it.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::{Clock, Secret, Timestamp};
use bartizan_store::{
    ApisixKeyring, Etcd, EtcdSettings, Expect, FindSecrets, KeptAt, Key, SealAs, Sealed,
    SealedSettings, Store, StoreError, parse_key,
};
use bartizan_testkit::EtcdServer;
use bartizan_tls::{Authority, KeyKind, UpstreamTlsSettings, Validity};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::suite::{Fixture, PATIENCE, key, until};

struct Scene {
    server: EtcdServer,
    store: Etcd,
}

fn settings(endpoints: &[String]) -> EtcdSettings {
    EtcdSettings {
        endpoints: endpoints.to_vec(),
        prefix: "/apisix".to_owned(),
        user: None,
        tls: UpstreamTlsSettings::default(),
        time: PATIENCE,
        kept: None,
        clock: Clock::System,
        metrics: bartizan_core::metrics::SharedMetrics::default(),
    }
}

/// A store that does not wait long, for what only waiting shows.
fn hasty(endpoints: &[String]) -> EtcdSettings {
    EtcdSettings { time: Duration::from_millis(500), ..settings(endpoints) }
}

fn open(settings: EtcdSettings) -> Etcd {
    Etcd::open(settings, &Handle::current()).unwrap()
}

async fn begun(settings: EtcdSettings) -> Etcd {
    let store = open(settings);
    lost_until(&store, |lost| lost.is_none()).await;
    listed(&store).await;
    store
}

/// Waits until the store has been read.
async fn listed(store: &Etcd) {
    let reading = async {
        while store.snapshot().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, reading).await.expect("etcd to be read");
}

/// Waits until why etcd is not followed is as a condition says.
async fn lost_until(store: &Etcd, condition: impl Fn(Option<&str>) -> bool) {
    let waiting = async {
        while !condition(store.lost().as_deref()) {
            tokio::task::yield_now().await;
        }
    };
    let outcome = timeout(PATIENCE, waiting).await;
    assert!(outcome.is_ok(), "still: {:?}", store.lost());
}

impl Fixture for Scene {
    type Store = Etcd;

    async fn open() -> Self {
        let server = EtcdServer::start();
        let store = begun(settings(&[server.url()])).await;
        Self { server, store }
    }

    fn store(&self) -> &Etcd {
        &self.store
    }

    async fn write(&self, key: &Key, value: Option<Value>) {
        let path = format!("/apisix/{key}");
        match value {
            Some(value) => self.server.put(&path, value.to_string()),
            None => self.server.delete(&path),
        };
    }
}

reads!(Scene);
writes!(Scene);

const A: &str = "/apisix/routes/a";
const B: &str = "/apisix/routes/b";

/// A scene with two routes.
async fn with_two() -> Scene {
    let scene = Scene::open().await;
    scene.server.put(A, n(1));
    scene.server.put(B, n(1));
    until(&scene.store, holds(&[("routes/a", 1), ("routes/b", 1)])).await;
    scene
}

fn holds(expected: &'static [(&'static str, u64)]) -> impl Fn(&[(Key, Value)]) -> bool {
    move |held| {
        held.len() == expected.len()
            && held
                .iter()
                .zip(expected)
                .all(|((key, value), (name, n))| key.as_str() == *name && value["n"] == *n)
    }
}

fn n(n: u64) -> String {
    json!({ "n": n }).to_string()
}

#[tokio::test]
async fn a_stopped_etcd_leaves_what_was_read_and_is_followed_again() {
    let Scene { mut server, store } = Scene::open().await;
    server.put(A, n(1));
    until(&store, holds(&[("routes/a", 1)])).await;
    server.stop();
    lost_until(&store, |lost| lost.is_some()).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    let refused = store.put(&key("routes/b"), &json!({}), Expect::Absent, "x").await;
    assert!(matches!(refused, Err(StoreError::Unreachable(_))), "{refused:?}");
    server.start_again();
    server.put(B, n(2));
    until(&store, holds(&[("routes/a", 1), ("routes/b", 2)])).await;
}

async fn held(store: &Etcd) -> Vec<(Key, Value)> {
    let objects = store.snapshot().await.unwrap().objects;
    objects.iter().map(|object| (object.key.clone(), object.value().unwrap())).collect()
}

#[tokio::test]
async fn a_paused_etcd_is_noticed_although_its_connections_stay() {
    let server = EtcdServer::start();
    server.put(A, n(1));
    let store = begun(hasty(&[server.url()])).await;
    until(&store, holds(&[("routes/a", 1)])).await;
    server.pause();
    lost_until(&store, |lost| lost.is_some()).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    server.resume();
    server.put(A, n(2));
    until(&store, holds(&[("routes/a", 2)])).await;
    lost_until(&store, |lost| lost.is_none()).await;
}

/// Passes connections on until it is told that those of now are to die without a word.
struct Middlebox {
    url: String,
    silent: tokio::sync::watch::Sender<u64>,
}

impl Middlebox {
    async fn before(server: &EtcdServer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let behind = server.url().strip_prefix("http://").unwrap().to_owned();
        let silent = tokio::sync::watch::Sender::new(0);
        let told = silent.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut server = TcpStream::connect(&behind).await.unwrap();
                let mut told = told.subscribe();
                told.mark_unchanged();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        // Both ends stay open and hear nothing any more.
                        _ = told.changed() => std::future::pending().await,
                    }
                });
            }
        });
        Self { url, silent }
    }

    fn drop_what_is_open(&self) {
        self.silent.send_modify(|count| *count += 1);
    }
}

#[tokio::test]
async fn a_watch_that_died_without_a_word_is_noticed_although_nothing_came_or_went() {
    let server = EtcdServer::start();
    server.put(A, n(1));
    let middlebox = Middlebox::before(&server).await;
    let store = begun(hasty(std::slice::from_ref(&middlebox.url))).await;
    until(&store, holds(&[("routes/a", 1)])).await;
    middlebox.drop_what_is_open();
    server.put(A, n(2));
    until(&store, holds(&[("routes/a", 2)])).await;
}

#[tokio::test]
async fn what_happened_in_an_outage_is_caught_up_with() {
    let Scene { mut server, store } = with_two().await;
    server.elsewhere(|server| {
        server.delete(A);
        server.put("/apisix/routes/c", n(3));
    });
    until(&store, holds(&[("routes/b", 1), ("routes/c", 3)])).await;
}

#[tokio::test]
async fn what_was_compacted_in_an_outage_is_listed_again() {
    let Scene { mut server, store } = with_two().await;
    server.elsewhere(|server| {
        server.delete(A);
        for turn in 2..10 {
            let revision = server.put(B, n(turn));
            server.compact(revision);
        }
    });
    until(&store, holds(&[("routes/b", 9)])).await;
    assert!(store.revisions(&key("routes/b"), 100).await.unwrap().len() == 1);
}

#[tokio::test]
async fn an_etcd_that_was_wiped_is_not_believed_until_it_holds_something() {
    let Scene { mut server, store } = Scene::open().await;
    server.put(A, n(1));
    until(&store, holds(&[("routes/a", 1)])).await;
    server.wipe();
    server.start_again();
    lost_until(&store, |lost| lost.is_some_and(|lost| lost.contains("wiped"))).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    // Also where it has come further than it was.
    server.stop();
    lost_until(&store, |lost| lost.is_some_and(|lost| !lost.contains("wiped"))).await;
    server.start_again();
    for _ in 0..20 {
        server.put("/other", "x");
    }
    lost_until(&store, |lost| lost.is_some_and(|lost| lost.contains("wiped"))).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    server.put("/apisix/routes/new", n(5));
    until(&store, holds(&[("routes/new", 5)])).await;
    // From here on, removing everything is removing everything.
    server.delete("/apisix/routes/new");
    until(&store, <[_]>::is_empty).await;
}

#[tokio::test]
async fn wrong_credentials_are_told_and_right_ones_survive_lost_tokens() {
    let mut server = EtcdServer::start();
    server.put(A, n(1));
    server.ask_for_users("right");
    let with = |password: &str| EtcdSettings {
        user: Some(("root".to_owned(), Secret::new(password))),
        ..settings(&[server.url()])
    };
    let (wrong, none, right) =
        (open(with("wrong")), open(settings(&[server.url()])), with("right"));
    lost_until(&wrong, |lost| lost.is_some_and(|lost| lost.contains("authentication failed")))
        .await;
    lost_until(&none, |lost| lost.is_some_and(|lost| lost.contains("user name is empty"))).await;
    assert!(matches!(wrong.snapshot().await, Err(StoreError::Unreachable(_))));
    let store = begun(right).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    // Its tokens are in memory only.
    server.start_again();
    let put = async {
        while store.put(&key("routes/a"), &json!({ "n": 2 }), Expect::Anything, "x").await.is_err()
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, put).await.unwrap();
    until(&store, holds(&[("routes/a", 2)])).await;
}

#[tokio::test]
async fn another_endpoint_is_asked_where_one_does_not_answer() {
    let server = EtcdServer::start();
    server.put(A, n(1));
    let mut gone = EtcdServer::start();
    gone.stop();
    let store = begun(settings(&[gone.url(), server.url()])).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    store.put(&key("routes/a"), &json!({ "n": 2 }), Expect::Anything, "x").await.unwrap();
    until(&store, holds(&[("routes/a", 2)])).await;
}

#[tokio::test]
async fn two_nodes_on_one_etcd_converge() {
    let server = EtcdServer::start();
    let (one, two) =
        (begun(settings(&[server.url()])).await, begun(settings(&[server.url()])).await);
    one.put(&key("routes/a"), &json!({}), Expect::Absent, "one").await.unwrap();
    let patches: Vec<Value> = (0..10).map(|turn| json!({ format!("k{turn}"): turn })).collect();
    for pair in patches.chunks(2) {
        let a = key("routes/a");
        let (first, second) = tokio::join!(
            one.patch(&a, &pair[0], Expect::Anything, "one"),
            two.patch(&a, &pair[1], Expect::Anything, "two"),
        );
        first.unwrap();
        second.unwrap();
    }
    let is_whole = |held: &[(Key, Value)]| {
        held.len() == 1 && (0..10).all(|turn| held[0].1[format!("k{turn}")] == turn)
    };
    until(&one, is_whole).await;
    until(&two, is_whole).await;
    let snapshots = (one.snapshot().await.unwrap(), two.snapshot().await.unwrap());
    assert_eq!(snapshots.0.objects, snapshots.1.objects);
}

#[tokio::test]
async fn many_objects_are_listed_in_pages_at_one_revision() {
    let server = EtcdServer::start();
    for turn in 0..600 {
        server.put(&format!("/apisix/routes/{turn:04}"), n(turn));
    }
    server.put("/apisix/routes/", "init_dir");
    server.put("/apisix/plugins", "[]");
    server.put("/apisix/routes/not\u{7}readable", "{}");
    server.put("/apisix2/routes/other", "{}");
    let store = begun(settings(&[server.url()])).await;
    let objects = store.snapshot().await.unwrap().objects;
    assert_eq!(objects.len(), 602);
    assert_eq!(objects[0].key.as_str(), "plugins/list");
    assert_eq!(objects[600].value().unwrap()["n"], 599);
    assert_eq!(objects[601].key.as_str(), "routes/not%07readable");
}

#[tokio::test]
async fn what_is_no_json_is_handed_on_as_it_is() {
    let Scene { server, store } = Scene::open().await;
    let revision = server.put(A, b"\xff{");
    let told = async {
        loop {
            let snapshot = store.snapshot().await.unwrap();
            if let Some(object) = snapshot.get(&key("routes/a")) {
                return object.clone();
            }
            store.changes(snapshot.revision).await.unwrap();
        }
    };
    let object = timeout(PATIENCE, told).await.unwrap();
    assert_eq!((&*object.content, object.revision), (&b"\xff{"[..], revision));
}

#[tokio::test]
async fn a_node_that_starts_without_etcd_begins_with_what_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let at = KeptAt { path: folder.path().join("kept"), key: parse_key(&"0f".repeat(32)).unwrap() };
    let mut server = EtcdServer::start();
    server.put(A, n(1));
    let kept = || EtcdSettings { kept: Some(at.clone()), ..hasty(&[server.url()]) };
    let store = begun(kept()).await;
    store.keep(store.snapshot().await.unwrap());
    let written = async {
        while !at.path.exists() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, written).await.unwrap();
    drop(store);
    let again = kept();
    server.stop();
    let store = open(again.clone());
    store.begin().await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
    assert!(store.lost().is_some());
    // It is no more than what was kept: etcd has the last word.
    server.start_again();
    server.put(A, n(2));
    until(&store, holds(&[("routes/a", 2)])).await;
    drop(store);
    // A wiped etcd is not believed after a restart either.
    server.wipe();
    server.start_again();
    let store = open(again);
    store.begin().await;
    lost_until(&store, |lost| lost.is_some_and(|lost| lost.contains("wiped"))).await;
    assert!(holds(&[("routes/a", 1)])(&held(&store).await));
}

#[tokio::test]
async fn etcd_must_prove_who_it_is() {
    let now = Clock::System.now();
    let day = Duration::from_secs(24 * 3_600);
    let valid = Validity::starting(now, day);
    let past = |days: u64| Timestamp::from_secs(now.as_secs() - days * day.as_secs());
    let over = Validity { not_before: past(3), not_after: past(1) };
    let authority = Authority::create("etcd", valid).unwrap();
    let other = Authority::create("other", valid).unwrap();
    let issue =
        |validity| authority.issue_server(&["127.0.0.1"], validity, KeyKind::EcP256).unwrap();
    let trusting = |authority: &Authority, server: &EtcdServer| EtcdSettings {
        tls: UpstreamTlsSettings {
            ca_certs: Some(authority.certificate()),
            ..UpstreamTlsSettings::default()
        },
        ..settings(&[server.url()])
    };
    let issued = issue(valid);
    let server = EtcdServer::start_with_tls(&issued.chain, issued.key.expose_str().unwrap());
    let store = begun(trusting(&authority, &server)).await;
    store.put(&key("routes/a"), &json!({ "n": 1 }), Expect::Absent, "x").await.unwrap();
    until(&store, holds(&[("routes/a", 1)])).await;
    let refused = open(trusting(&other, &server));
    lost_until(&refused, |lost| lost.is_some_and(|lost| lost.contains("tls"))).await;
    assert!(refused.snapshot().await.is_err());
    let issued = issue(over);
    let server = EtcdServer::start_with_tls(&issued.chain, issued.key.expose_str().unwrap());
    let refused = open(trusting(&authority, &server));
    lost_until(&refused, |lost| lost.is_some_and(|lost| lost.contains("expired"))).await;
    assert!(refused.snapshot().await.is_err());
}

#[tokio::test]
async fn endpoints_that_make_no_sense_are_refused() {
    for endpoint in ["ftp://a", "http://u:p@a", "http://a/path", "not an url"] {
        let refused = Etcd::open(settings(&[endpoint.to_owned()]), &Handle::current());
        assert!(refused.unwrap_err().problem.starts_with("the endpoint `"), "{endpoint}");
    }
}

#[tokio::test]
async fn what_apisix_encrypted_is_read_from_etcd_and_written_as_it_reads() {
    let Scene { server, store } = Scene::open().await;
    let keyring = ApisixKeyring::new(vec![Secret::new("0123456789abcdef")]).unwrap();
    let settings =
        SealedSettings { keyring, seal_as: SealAs::Apisix, is_shared: true, ..Default::default() };
    let find: FindSecrets = Arc::new(|_, _| vec!["/key".to_owned()]);
    let store = Sealed::new(store, settings, find).unwrap();
    // As APISIX writes it: `hunter2` under that key.
    let sealed = json!({ "id": "s", "key": "5WrPd8556C66kUtoGbal5g==" });
    server.put("/apisix/ssls/s", sealed.to_string());
    until(&store, |held| *held == [(key("ssls/s"), json!({ "id": "s", "key": "hunter2" }))]).await;
    let other = json!({ "id": "t", "key": "hunter2" });
    store.put(&key("ssls/t"), &other, Expect::Absent, "x").await.unwrap();
    let raw = store.inner().get(&key("ssls/t")).await.unwrap().unwrap().value().unwrap();
    assert_eq!(raw["key"], sealed["key"]);
}

#[tokio::test]
async fn what_is_no_key_is_seen_and_can_be_removed() {
    let server = EtcdServer::start();
    server.put(A, n(1));
    let raws = ["routes/", "routes//1", "routes/c\nd", "routes/c%0ad", "plugins/list"];
    for raw in raws {
        server.put(&format!("/apisix/{raw}"), n(2));
    }
    let long = format!("routes/{}", "x".repeat(2_000));
    server.put(&format!("/apisix/{long}"), n(2));
    server.put("/apisix/plugins", "[]");
    let store = begun(settings(&[server.url()])).await;
    // One that comes later is found as one that was there.
    server.put("/apisix/routes/%", n(2));
    let count = |count: usize| move |held: &[(Key, Value)]| held.len() == count;
    until(&store, count(9)).await;
    let strays: Vec<Key> = store
        .snapshot()
        .await
        .unwrap()
        .objects
        .into_iter()
        .map(|object| object.key)
        .filter(|key| key.as_str().contains('%'))
        .collect();
    assert_eq!(strays.len(), 7);
    for key in &strays {
        assert!(store.get(key).await.unwrap().is_some(), "{key}");
        store.delete(key, Expect::Anything, "a test").await.unwrap();
    }
    until(&store, count(2)).await;
    let left = begun(settings(&[server.url()])).await.snapshot().await.unwrap();
    let left: Vec<&str> = left.objects.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(left, ["plugins/list", "routes/a"]);
}

/// A server whose answers about one key are of that length.
async fn wordy(length: usize) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut io, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while !seen.ends_with(b"}") {
                    if io.read_buf(&mut seen).await.unwrap_or_default() == 0 {
                        return;
                    }
                }
                let is_of_one = !String::from_utf8_lossy(&seen).contains("range_end");
                let length = if is_of_one { length } else { 2 };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                let mut body = vec![b' '; length];
                body[..2].copy_from_slice(b"{}");
                if io.write_all(head.as_bytes()).await.is_ok() {
                    drop(io.write_all(&body).await);
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn an_answer_is_of_a_length_at_most() {
    const MOST: usize = 64 * 1_024 * 1_024;
    for (length, is_read) in [(MOST - 1, true), (MOST, true), (MOST + 1, false)] {
        let store = open(settings(&[wordy(length).await]));
        match store.get(&key("routes/a")).await {
            Ok(None) => assert!(is_read, "{length}"),
            Err(StoreError::Broken(why)) => {
                assert!(!is_read && why.contains("more than 67108864 bytes"), "{length}: {why}");
            }
            other => panic!("{length}: {other:?}"),
        }
    }
}
