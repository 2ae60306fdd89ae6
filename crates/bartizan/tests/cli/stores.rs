//! `bartizan run` from each store.

use std::sync::Arc;

use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Secret};
use bartizan_store::{
    Embedded, EmbeddedSettings, Etcd, EtcdSettings, Expect, FindSecrets, Key, SealAs, Sealed,
    SealedSettings, SealingKey, Store,
};
use bartizan_testkit::EtcdServer;
use bartizan_tls::UpstreamTlsSettings;
use serde_json::{Value, json};

use crate::driver::Bench;

/// A node with this store.
pub(crate) fn node(store: &str) -> String {
    format!(
        "\
listeners: [{{ address: \"127.0.0.1:0\" }}]
store: {store}
status: {{ address: \"127.0.0.2:0\" }}
audit: {{ sinks: [{{ file: {{ path: audit.jsonl }} }}] }}
"
    )
}

/// A route that answers 401.
pub(crate) fn route(path: &str) -> Value {
    json!({
        "uri": path,
        "plugins": { "key-auth": {}, "any-authenticated": { "reason": "a test" } },
        "upstream": { "nodes": { "127.0.0.1:1": 1 } },
    })
}

pub(crate) fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap()
}

fn embedded(bench: &Bench) -> Embedded {
    let path = bench.path("store");
    Embedded::open(EmbeddedSettings { path, history: 100, clock: Clock::System }).unwrap()
}

pub(crate) fn put(bench: &Bench, key: &str, value: &Value) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let store = embedded(bench);
    let key = Key::parse(key).unwrap();
    runtime.block_on(store.put(&key, value, Expect::Anything, "a test")).unwrap();
}

#[test]
fn an_embedded_store_is_served_over_restarts_and_is_of_one_process() {
    let bench = Bench::with(&[("bartizan.yaml", &node("{ embedded: { path: store } }"))]);
    put(&bench, "routes/a", &route("/a"));
    let serving = bench.serve(&["run"]);
    assert_eq!([status(&serving.get("/a", "")), status(&serving.get("/b", ""))], ["401", "404"]);
    let told = bench.bartizan(&["run", "--log-level", "off"]).fails_with(2);
    assert!(told.contains("is open in another process") && told.contains("one node has one store"));
    let told = bench.bartizan(&["check"]).succeeds();
    assert!(told.ends_with("The resources are in the store `embedded`, which is not read here.\n"));
    assert!(serving.stop().success());
    put(&bench, "routes/b", &route("/b"));
    let serving = bench.serve(&["run"]);
    assert_eq!([status(&serving.get("/a", "")), status(&serving.get("/b", ""))], ["401", "401"]);
    assert!(serving.stop().success());
}

#[test]
fn objects_in_quarantine_are_listed_with_key_and_revision() {
    let bench = Bench::with(&[("bartizan.yaml", &node("{ embedded: { path: store } }"))]);
    put(&bench, "routes/wide", &route("/*"));
    let mut narrow = route("/orders");
    narrow["urii"] = json!("/x");
    put(&bench, "routes/narrow", &narrow);
    let serving = bench.serve(&["run"]);
    assert_eq!(
        [status(&serving.get("/orders", "")), status(&serving.get("/", ""))],
        ["503", "401"]
    );
    let ready = serving.status_page("/readyz");
    assert!(ready.contains("\"quarantined_count\":1"), "{ready}");
    assert!(ready.contains("routes/narrow: routes/narrow at revision 2:1:"), "{ready}");
    assert!(ready.contains("unknown field `urii`"), "{ready}");
    let metrics = serving.status_page("/metrics");
    assert!(metrics.contains("bartizan_quarantined 1\n"), "{metrics}");
    assert!(serving.stop().success());
    assert!(bench.read("audit.jsonl").contains("\"reason\":\"route.quarantined\""));
}

fn document(routes: &[(&str, &str)]) -> String {
    let mut routes: Vec<Value> = routes
        .iter()
        .map(|(id, path)| {
            let mut route = route(path);
            route["id"] = json!(id);
            route
        })
        .collect();
    routes.sort_by_key(ToString::to_string);
    json!({ "routes": routes }).to_string()
}

#[test]
fn documents_that_come_change_and_go_in_a_folder_take_effect() {
    let bench = Bench::with(&[("bartizan.yaml", &node("{ file: { path: conf } }"))]);
    std::fs::create_dir(bench.path("conf")).unwrap();
    bench.write("conf/a.json", &document(&[("a", "/a")]));
    let mut serving = bench.serve(&["run"]);
    assert_eq!(status(&serving.get("/a", "")), "401");
    bench.write("conf/b.json", &document(&[("b", "/b")]));
    serving.log_line("reloaded");
    assert_eq!([status(&serving.get("/a", "")), status(&serving.get("/b", ""))], ["401", "401"]);
    std::fs::remove_file(bench.path("conf/a.json")).unwrap();
    serving.log_line("reloaded");
    assert_eq!([status(&serving.get("/a", "")), status(&serving.get("/b", ""))], ["404", "401"]);
    // Half of a document changes nothing.
    bench.write("conf/b.json", &document(&[("b", "/b")])[..40]);
    serving.log_line("the change is refused");
    assert_eq!(status(&serving.get("/b", "")), "401");
    assert!(serving.stop().success());
}

#[test]
fn files_can_be_quarantined_object_by_object_too() {
    let yaml = format!("{}on_invalid: quarantine\n", node("{ file: { path: r.json } }"));
    let good = document(&[("a", "/a"), ("b", "/b")]);
    let bench = Bench::with(&[("bartizan.yaml", &yaml), ("r.json", &good)]);
    let mut serving = bench.serve(&["run"]);
    let bad = document(&[("a", "/a2"), ("b", "no path"), ("c", "/c")]);
    bench.write("r.json", &bad);
    serving.log_line("reloaded, 1 in quarantine");
    let statuses = ["/a", "/a2", "/b", "/c"].map(|path| status(&serving.get(path, "")).to_owned());
    assert_eq!(statuses, ["404", "401", "401", "401"]);
    assert!(serving.status_page("/readyz").contains("routes/b: r.json:1:"));
    bench.write("r.json", "{\"routes\": [");
    serving.log_line("the change is refused");
    assert_eq!(status(&serving.get("/a2", "")), "401");
    assert!(serving.stop().success());
}

pub(crate) fn etcd_node(server: &EtcdServer) -> String {
    let key = "0f".repeat(32);
    node(&format!(
        "{{ etcd: {{ endpoints: [\"{}\"], timeout: 2s, \
         snapshot: {{ path: kept, key: \"{key}\" }} }} }}",
        server.url()
    ))
}

/// Waits until a page of the status listener says something.
pub(crate) fn until_told(serving: &crate::driver::Serving, path: &str, text: &str) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !serving.status_page(path).contains(text) {
        assert!(std::time::Instant::now() < end, "{}", serving.status_page(path));
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

#[test]
fn etcd_is_served_while_it_changes_goes_away_and_comes_back() {
    let mut server = EtcdServer::start();
    let bench = Bench::with(&[("bartizan.yaml", &etcd_node(&server))]);
    server.put("/apisix/routes/a", route("/a").to_string());
    let mut serving = bench.serve(&["run"]);
    assert_eq!(status(&serving.get("/a", "")), "401");
    server.put("/apisix/routes/b", route("/b").to_string());
    serving.log_line("reloaded");
    assert_eq!(status(&serving.get("/b", "")), "401");
    // What is at fault keeps its last good version, and is told with key and revision.
    let revision = server.put("/apisix/routes/b", "{\"uri\": ");
    server.put("/apisix/rooutes/x", "{}");
    until_told(&serving, "/readyz", "\"quarantined_count\":2");
    until_told(&serving, "/readyz", &format!("routes/b: routes/b at revision {revision}:1:"));
    until_told(&serving, "/readyz", "did you mean `routes`?");
    assert_eq!(status(&serving.get("/b", "")), "401");
    until_told(&serving, "/metrics", "bartizan_store_reachable 1\n");
    server.stop();
    until_told(&serving, "/metrics", "bartizan_store_reachable 0\n");
    assert_eq!([status(&serving.get("/a", "")), status(&serving.get("/b", ""))], ["401", "401"]);
    assert!(serving.stop().success());

    // A restart without etcd serves what was kept, the last good version of `b` included.
    assert!(
        !String::from_utf8_lossy(&std::fs::read(bench.path("kept")).unwrap())
            .contains("authenticated")
    );
    let mut serving = bench.serve(&["run"]);
    assert_eq!([status(&serving.get("/a", "")), status(&serving.get("/b", ""))], ["401", "401"]);
    server.start_again();
    server.put("/apisix/routes/c", route("/c").to_string());
    loop {
        serving.log_line("reloaded");
        if status(&serving.get("/c", "")) == "401" {
            break;
        }
    }
    assert_eq!(status(&serving.get("/b", "")), "401");
    assert!(serving.stop().success());
}

#[test]
fn a_node_that_never_reached_etcd_answers_503_until_it_does() {
    let mut server = EtcdServer::start();
    server.put("/apisix/routes/a", route("/a").to_string());
    let bench = Bench::with(&[("bartizan.yaml", &etcd_node(&server))]);
    server.stop();
    let mut serving = bench.serve(&["run"]);
    assert_eq!(status(&serving.get("/a", "")), "503");
    let ready = serving.status_page("/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 "), "{ready}");
    assert!(ready.contains("the store cannot be reached"), "{ready}");
    server.start_again();
    serving.log_line("applied what the store holds");
    assert_eq!(status(&serving.get("/a", "")), "401");
    assert!(serving.stop().success());
}

#[test]
fn objects_in_etcd_read_what_is_listed_and_nothing_else_of_the_machine() {
    let mut server = EtcdServer::start();
    let text = etcd_node(&server).replace("{ etcd: {", "{ etcd: { references: { files: [lent] },");
    let bench = Bench::with(&[("bartizan.yaml", &text), ("own", "key-of-the-node\n")]);
    std::fs::create_dir(bench.path("lent")).unwrap();
    bench.write("lent/jack", "key-of-jack\n");
    let jack = |key: &str| {
        json!({ "username": "jack", "plugins": { "key-auth": { "key": key, "danger_weak_secret": true } } }).to_string()
    };
    server.put("/apisix/routes/a", route("/a").to_string());
    server.put("/apisix/consumers/jack", jack("$file://lent/jack"));
    let mut serving = bench.serve(&["run"]);
    let with = |serving: &crate::driver::Serving, key: &str| {
        status(&serving.get("/a", &format!("apikey: {key}\r\n"))).to_owned()
    };
    assert_eq!([with(&serving, "key-of-jack"), with(&serving, "key-of-the-node")], ["502", "401"]);
    for (key, name) in [("$file://own", "own"), ("$file://lent/../own", "lent/../own")] {
        server.put("/apisix/consumers/jack", jack(key));
        until_told(&serving, "/readyz", &format!("$file://{name}` may not be read"));
        let seen = [with(&serving, "key-of-jack"), with(&serving, "key-of-the-node")];
        assert_eq!(seen, ["502", "401"], "{key}");
    }
    let mut sent = route("/b");
    sent["plugins"]["http-logger"] = json!({
        "uri": "http://127.0.0.1:1/",
        "auth_header": "$env://PATH",
    });
    server.put("/apisix/routes/b", sent.to_string());
    serving.log_line("reloaded, 2 in quarantine");
    assert_eq!(status(&serving.get("/b", "")), "503");
    assert!(serving.stop().success());
    // Without etcd, what was in force is.
    server.stop();
    let serving = bench.serve(&["run"]);
    assert_eq!([with(&serving, "key-of-jack"), with(&serving, "key-of-the-node")], ["502", "401"]);
    assert!(serving.stop().success());
}

/// Writes a consumer to etcd whose key is encrypted, as another node would.
fn put_sealed(server: &EtcdServer, key: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let settings = EtcdSettings {
        endpoints: vec![server.url()],
        prefix: "/apisix".to_owned(),
        user: None,
        tls: UpstreamTlsSettings::default(),
        time: std::time::Duration::from_secs(5),
        kept: None,
        clock: Clock::System,
        metrics: SharedMetrics::default(),
    };
    let sealing = SealingKey::new("k1", &Secret::new(vec![0xf0; 32])).unwrap();
    let settings_of_keys = SealedSettings {
        keys: vec![sealing],
        seal_as: SealAs::Sealed,
        is_shared: true,
        ..SealedSettings::default()
    };
    let find: FindSecrets = Arc::new(|_, _| vec!["/plugins/key-auth/key".to_owned()]);
    let etcd = Etcd::open(settings, runtime.handle()).unwrap();
    runtime.block_on(async {
        etcd.begin().await;
        let store = Sealed::new(etcd, settings_of_keys, find).unwrap();
        let value = json!({ "username": "jack", "plugins": { "key-auth": { "key": key, "danger_weak_secret": true } } });
        let jack = Key::parse("consumers/jack").unwrap();
        store.put(&jack, &value, Expect::Anything, "another node").await.unwrap();
    });
}

#[test]
fn a_secret_in_clear_opens_nothing_where_encryption_is_required() {
    let mut server = EtcdServer::start();
    let encryption = format!("required: true, keys: [{{ id: k1, key: \"{}\" }}]", "f0".repeat(32));
    let text = etcd_node(&server)
        .replace("{ etcd: {", &format!("{{ etcd: {{ encryption: {{ {encryption} }},"));
    let bench = Bench::with(&[("bartizan.yaml", &text)]);
    server.put("/apisix/routes/a", route("/a").to_string());
    let plugins = json!({ "key-auth": { "key": "key-in-clear", "danger_weak_secret": true } });
    let jill = json!({ "username": "jill", "plugins": plugins });
    server.put("/apisix/consumers/jill", jill.to_string());
    put_sealed(&server, "key-of-jack");
    let keys = ["key-of-jack", "key-in-clear", "$unreadable://clear"];
    let seen = |serving: &crate::driver::Serving| {
        keys.map(|key| status(&serving.get("/a", &format!("apikey: {key}\r\n"))).to_owned())
    };
    let serving = bench.serve(&["run"]);
    assert_eq!(seen(&serving), ["502", "401", "401"]);
    assert!(serving.status_page("/readyz").contains("is not encrypted, which"));
    assert!(serving.stop().success());
    // What was kept for a start without etcd is held to the same.
    server.stop();
    let serving = bench.serve(&["run"]);
    assert_eq!(seen(&serving), ["502", "401", "401"]);
    assert!(serving.stop().success());
}

#[test]
fn a_key_for_the_snapshot_that_is_none_is_refused() {
    let server = EtcdServer::start();
    let text = etcd_node(&server).replace(&"0f".repeat(32), "short");
    let bench = Bench::with(&[("bartizan.yaml", &text)]);
    let told = bench.bartizan(&["run", "--log-level", "off"]).fails_with(2);
    assert!(told.contains("is not 32 bytes in hexadecimal or Base64"), "{told}");
}
