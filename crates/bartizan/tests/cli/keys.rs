//! `bartizan key` and the node that it talks to.

use bartizan_core::Clock;
use bartizan_store::{Embedded, EmbeddedSettings, Expect, Key, Store};
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
