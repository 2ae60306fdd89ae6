//! `bartizan key` and the node that it talks to.

use bartizan_core::Clock;
use bartizan_store::{Embedded, EmbeddedSettings, Expect, Key, Store};
use bartizan_testkit::VaultDouble;
use serde_json::{Value, json};

use crate::driver::{Bench, Serving};
use crate::stores::{route, status};

const HASH_KEY: &str = "6f1d0c9b8a7e5f4d3c2b1a0918273645";

fn node(store: &str) -> String {
    format!(
        "\
listeners: [{{ address: \"127.0.0.1:0\" }}]
admin: {{ listen: \"127.0.0.1:0\", keys: keys, socket: sock }}
api_keys: {{ prefix: shop, hash_keys: [{{ id: \"2026\", key: {HASH_KEY} }}] }}
store: {store}
audit: {{ sinks: [{{ file: {{ path: audit.jsonl }} }}] }}
"
    )
}

/// A node whose store is a database, with a route and the consumer `alice`.
fn bench() -> Bench {
    let bench = Bench::with(&[("bartizan.yaml", &node("{ embedded: { path: store } }"))]);
    let path = bench.path("store");
    let settings = EmbeddedSettings { path, history: 100, clock: Clock::System };
    let store = Embedded::open(settings).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for (key, value) in
        [("routes/a", route("/a")), ("consumers/alice", json!({ "username": "alice" }))]
    {
        let key = Key::parse(key).unwrap();
        runtime.block_on(store.put(&key, &value, Expect::Anything, "a test")).unwrap();
    }
    bench
}

/// What a key gets: 401 where it is none, 502 from an upstream that is not there where it is one.
fn with(serving: &Serving, key: &str) -> String {
    status(&serving.get("/a", &format!("apikey: {}\r\n", key.trim()))).to_owned()
}

fn id(key: &str) -> &str {
    key.strip_prefix("shop_").and_then(|rest| rest.get(..8)).unwrap()
}

fn listed(bench: &Bench) -> Vec<(String, String)> {
    let list: Value =
        serde_json::from_str(&bench.bartizan(&["key", "list", "--json"]).succeeds()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    list.as_array().unwrap().iter().map(|key| (text(&key["id"]), text(&key["state"]))).collect()
}

#[test]
fn a_key_of_a_consumer_is_good_once_it_is_printed_and_until_it_is_retired() {
    let bench = bench();
    let serving = bench.serve(&["run"]);
    let made = bench.bartizan(&["key", "create", "--consumer", "alice", "--expires", "90d"]);
    assert!(made.stderr.contains("the only time that the key is shown"), "{}", made.stderr);
    let first = made.succeeds();
    let hash_of_nobody = first.replace("shop_", "shop-");
    assert_eq!([with(&serving, &first), with(&serving, &hash_of_nobody)], ["502", "401"]);

    let second = bench.bartizan(&["key", "rotate", id(&first), "--overlap", "1h"]).succeeds();
    let states = |first_is: &str, second_is: &str| {
        let mut expected = vec![
            (id(&first).to_owned(), first_is.to_owned()),
            (id(&second).to_owned(), second_is.to_owned()),
        ];
        expected.sort();
        let mut listed = listed(&bench);
        listed.sort();
        assert_eq!(listed, expected);
    };
    states("retiring", "next");
    assert_eq!([with(&serving, &first), with(&serving, &second)], ["502", "502"]);
    states("retiring", "active");

    bench.bartizan(&["key", "retire", id(&first), "--overlap", "0s"]).succeeds();
    assert_eq!([with(&serving, &first), with(&serving, &second)], ["401", "502"]);
    states("retired", "active");
    let log = bench.read("audit.jsonl");
    for told in ["made the key", "rotated the key", "retired the key", "is retired"] {
        assert!(log.contains(told), "{told}: {log}");
    }
    for key in [&first, &second] {
        let secret = key.trim().rsplit('_').next().unwrap();
        assert!(!log.contains(secret), "a key in the audit log");
        assert!(
            !String::from_utf8_lossy(&std::fs::read(bench.path("store")).unwrap_or_default())
                .contains(secret)
        );
    }
    assert!(serving.stop().success());
    // The hashes are the store's, and outlive the process.
    let serving = bench.serve(&["run"]);
    assert_eq!([with(&serving, &first), with(&serving, &second)], ["401", "502"]);
}

#[test]
fn what_cannot_be_done_says_why_and_changes_nothing() {
    let bench = bench();
    let _serving = bench.serve(&["run"]);
    for (arguments, problem) in [
        (&["create", "--consumer", "bob", "--expires", "90d"][..], "there is no consumer `bob`"),
        (&["create", "--consumer", "alice", "--expires", "1s"], "at least a minute"),
        (&["rotate", "k7f2m9qa"], "there is no key `k7f2m9qa`"),
        (&["retire", "k7f2m9qa", "--overlap", "91d"], "longer than 90 days"),
    ] {
        let told = bench.bartizan(&[&["key"], arguments].concat()).fails_with(2);
        assert!(told.contains(problem), "{told}");
    }
    assert_eq!(listed(&bench), []);
}

#[test]
fn where_the_store_is_files_the_text_to_paste_is_printed() {
    let resources = json!({ "routes": [route("/a")], "consumers": [{ "username": "alice" }] });
    let bench = Bench::with(&[
        ("bartizan.yaml", &node("{ file: { path: resources.yaml } }")),
        ("resources.yaml", &resources.to_string()),
    ]);
    let serving = bench.serve(&["run"]);
    let ended = bench.bartizan(&["key", "create", "--consumer", "alice", "--expires", "90d"]);
    let key = ended.stdout.trim().to_owned();
    let stderr = ended.fails_with(2);
    assert!(stderr.contains("which this node only reads"), "{stderr}");
    assert_eq!(with(&serving, &key), "401");
    let line = stderr.lines().find_map(|line| line.strip_prefix("- ")).unwrap();
    let credential: Value = serde_json::from_str(line).unwrap();
    let consumer = json!({ "username": "alice", "credentials": [credential] });
    let resources = json!({ "routes": [route("/a")], "consumers": [consumer] });
    assert!(serving.stop().success());
    bench.write("resources.yaml", &resources.to_string());
    let serving = bench.serve(&["run"]);
    assert_eq!(with(&serving, &key), "502");
}

/// When keys were last used, by their ids.
fn last_used(bench: &Bench, id: &str) -> Option<String> {
    let list: Value =
        serde_json::from_str(&bench.bartizan(&["key", "list", "--json"]).succeeds()).unwrap();
    let key = list.as_array().unwrap().iter().find(|key| key["id"] == id).unwrap();
    key["last_used"].as_str().map(str::to_owned)
}

#[test]
fn when_a_key_was_used_outlives_the_process_and_is_no_revision() {
    let bench = bench();
    let serving = bench.serve(&["run"]);
    let made = ["key", "create", "--consumer", "alice", "--expires", "90d"];
    let key = bench.bartizan(&made).succeeds();
    assert_eq!(last_used(&bench, id(&key)), None);
    assert_eq!(with(&serving, &key), "502");
    let used = last_used(&bench, id(&key));
    assert!(used.is_some());
    assert!(serving.stop().success());
    let _serving = bench.serve(&["run"]);
    assert_eq!(last_used(&bench, id(&key)), used);
    assert_eq!(listed(&bench), [(id(&key).to_owned(), "active".to_owned())]);
}

#[test]
fn two_nodes_of_a_store_know_of_each_others_uses() {
    let server = bartizan_testkit::EtcdServer::start();
    let store = format!("{{ etcd: {{ endpoints: [\"{}\"], timeout: 2s }} }}", server.url());
    let file = node(&store);
    server.put("/apisix/routes/a", route("/a").to_string());
    server.put("/apisix/consumers/alice", json!({ "username": "alice" }).to_string());
    let [here, there] = [0, 1].map(|_| Bench::with(&[("bartizan.yaml", &*file)]));
    let _serving = here.serve(&["run"]);
    let made = ["key", "create", "--consumer", "alice", "--expires", "90d"];
    let old = here.bartizan(&made).succeeds();
    let next = here.bartizan(&["key", "rotate", id(&old), "--overlap", "1h"]).succeeds();
    let state = |id: &str| listed(&here).into_iter().find(|(known, _)| known == id).unwrap().1;
    assert_eq!(state(id(&next)), "next");
    let serving = there.serve(&["run"]);
    assert_eq!(with(&serving, &next), "502");
    assert!(serving.stop().success());
    // The store tells the other node.
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while state(id(&next)) != "active" {
        assert!(std::time::Instant::now() < end, "{:?}", listed(&here));
    }
    assert!(last_used(&here, id(&next)).is_some() && last_used(&here, id(&old)).is_none());
}

/// Waits for an event that says something.
fn event(bench: &Bench, text: &str) -> String {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let log = bench.read("audit.jsonl");
        if let Some(line) = log.lines().find(|line| line.contains(text)) {
            return line.to_owned();
        }
        assert!(std::time::Instant::now() < end, "{log}");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

/// Where the schedule puts alice's key.
const IN_VAULT: &str = "kv2/shop/alice";

/// A node that exchanges alice's key and brings it to a Vault, which the store says how to enter.
fn with_vault(vault: &VaultDouble, path: &str) -> Bench {
    let uri = format!("http://127.0.0.1:{}", vault.listen());
    let to = format!("{{ manager: main, uri: \"{uri}\", mount: kv2, path: {path}, key: api-key }}");
    let rotate = format!(
        "rotate: [{{ consumer: alice, every: 1h, overlap: 1m, to: {{ vault: {to} }} }}], prefix:"
    );
    let bench = bench();
    bench.replace("bartizan.yaml", "prefix:", &rotate);
    let path = bench.path("store");
    let store = Embedded::open(EmbeddedSettings { path, history: 100, clock: Clock::System });
    let manager = json!({ "uri": uri, "prefix": "kv2/shop", "kv_version": 2, "token": "root" });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = Key::parse("secrets/vault/main").unwrap();
    let store = store.unwrap();
    runtime.block_on(store.put(&key, &manager, Expect::Anything, "a test")).unwrap();
    vault.token("root", None, false);
    vault.put(IN_VAULT, json!({ "port": 7 }));
    bench
}

#[test]
fn a_key_that_is_exchanged_by_itself_stands_in_vault_and_is_good() {
    let vault = VaultDouble::default();
    let bench = with_vault(&vault, "shop/alice");
    let serving = bench.serve(&["run"]);
    let line = event(&bench, "exchanged the key of `alice`");
    let kept = vault.kept(IN_VAULT).unwrap();
    let key = kept["api-key"].as_str().unwrap();
    assert_eq!((with(&serving, key), &kept["port"]), ("502".to_owned(), &json!(7)));
    assert!(!line.contains(key.rsplit('_').next().unwrap()), "{line}");
}

#[test]
fn a_key_that_vault_does_not_take_is_taken_back() {
    let vault = VaultDouble::default();
    let bench = with_vault(&vault, "elsewhere/alice");
    let _serving = bench.serve(&["run"]);
    let line = event(&bench, "did not exchange the key of `alice`");
    assert!(line.contains("has a `prefix` that the path is not below"), "{line}");
    assert_eq!(vault.kept(IN_VAULT), Some(json!({ "port": 7 })));
    assert_eq!(listed(&bench), []);
}
