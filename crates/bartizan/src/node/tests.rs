//! A node whose store is written to in this very process, as the Admin API will.

use std::io::{Read, Write};
use std::net::TcpStream;

use bartizan_admin::{Outcome, Proposal, Refused};
use bartizan_store::{Commit, Embedded, Expect, Key, Sealed, Store, Write as Change};
use serde_json::{Value, json};

use super::*;

mod alike;
mod board;
mod kept;
mod proposals;
mod secrets;

const NODE: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
workers: 1
store: { embedded: { path: store } }
";

fn route(path: &str) -> Value {
    let plugins = json!({ "key-auth": {}, "any-authenticated": { "reason": "a test" } });
    json!({ "uri": path, "plugins": plugins, "upstream": { "nodes": { "127.0.0.1:1": 1 } } })
}

struct Scene {
    node: Node,
    folder: tempfile::TempDir,
}

impl Scene {
    fn start() -> Self {
        Self::with(NODE)
    }

    fn with(node: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bartizan.yaml");
        std::fs::write(&path, node).unwrap();
        let node = Node::start(&path, Overrides::default()).unwrap_or_else(|f| panic!("{f:?}"));
        Self { node, folder }
    }

    fn store(&self) -> &Sealed<Embedded> {
        let NodeStore::Embedded(store) = &*self.node.store else { panic!("an embedded store") };
        store
    }

    fn put(&self, key: &str, value: &Value) {
        let key = Key::parse(key).unwrap();
        let put = self.store().put(&key, value, Expect::Anything, "a test");
        self.node.control.block_on(put).unwrap();
    }

    /// Does what the node does when its store changes, which it must notice.
    fn take_change(&mut self) {
        let (store, seen) = (&self.node.store, self.node.seen);
        let changes = self.node.control.block_on(store.changed(seen));
        self.node.take(&changes);
    }

    /// What comes of a change by the Admin API.
    fn propose(&mut self, key: &str, value: &Value, is_dry: bool) -> Result<Outcome, Refused> {
        let key = Key::parse(key).unwrap();
        let content = Some(value.to_string().into_bytes().into());
        let write = Change { key, content, expect: Expect::Anything };
        let commit = Commit { author: "a test".into(), writes: vec![write] };
        self.node.take_proposal(Proposal { commit, is_dry, is_forced: false })
    }

    fn status(&self, path: &str) -> String {
        self.status_with(path, "none")
    }

    /// With a key of a consumer.
    fn status_with(&self, path: &str, key: &str) -> String {
        let mut socket = TcpStream::connect(self.node.addresses()[0]).unwrap();
        let key = if key == "none" { String::new() } else { format!("apikey: {key}\r\n") };
        let head = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n{key}");
        write!(socket, "{head}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    }

    fn quarantined(&self) -> i64 {
        self.node.metrics.quarantined.get()
    }
}

#[test]
fn what_is_written_to_the_store_takes_effect() {
    let mut scene = Scene::start();
    assert_eq!(scene.status("/a"), "404");
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    assert_eq!(scene.status("/a"), "401");
    let delete = Key::parse("routes/a").unwrap();
    let removed = scene.store().delete(&delete, Expect::Anything, "a test");
    scene.node.control.block_on(removed).unwrap();
    scene.take_change();
    assert_eq!(scene.status("/a"), "404");
}

#[test]
fn an_object_at_fault_keeps_its_last_good_version_and_the_rest_applies() {
    let mut scene = Scene::start();
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    let mut open = route("/a2");
    open["plugins"] = json!({});
    scene.put("routes/a", &open);
    scene.put("routes/b", &route("/b"));
    scene.take_change();
    assert_eq!(["/a", "/a2", "/b"].map(|path| scene.status(path)), ["401", "404", "401"]);
    assert_eq!(scene.quarantined(), 1);
    scene.put("routes/a", &route("/a3"));
    scene.take_change();
    assert_eq!(["/a", "/a3"].map(|path| scene.status(path)), ["404", "401"]);
    assert_eq!(scene.quarantined(), 0);
}

#[test]
fn a_route_that_never_was_in_order_answers_503_and_nothing_falls_through_to_a_wider_one() {
    let mut scene = Scene::start();
    scene.put("routes/wide", &route("/*"));
    let mut narrow = route("/orders/*");
    narrow["urii"] = json!("/typo");
    scene.put("routes/narrow", &narrow);
    scene.take_change();
    let statuses = ["/", "/orders/1", "/orders"].map(|path| scene.status(path));
    assert_eq!(statuses, ["401", "503", "401"]);
    assert_eq!(scene.quarantined(), 1);
}

#[test]
fn a_route_in_quarantine_stands_before_another_with_its_path() {
    let mut scene = Scene::start();
    let mut faulty = route("/a/*");
    faulty["methods"] = json!(["GET", "get"]);
    scene.put("routes/z", &faulty);
    scene.put("routes/b", &route("/a/*"));
    scene.take_change();
    assert_eq!((scene.status("/a/1"), scene.quarantined()), ("503".to_owned(), 1));
    faulty["status"] = json!(0);
    scene.put("routes/z", &faulty);
    scene.take_change();
    assert_eq!((scene.status("/a/1"), scene.quarantined()), ("401".to_owned(), 1));
}

#[test]
fn a_node_file_at_fault_does_not_make_the_store_tell_of_one_change_for_ever() {
    let mut scene = Scene::start();
    let path = scene.node.config.path.clone();
    std::fs::write(&path, "listeners: 7\n").unwrap();
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    assert_eq!(scene.status("/a"), "404");
    let seen = scene.node.seen;
    assert_eq!(scene.node.control.block_on(scene.node.store.snapshot()).unwrap().revision, seen);
    std::fs::write(&path, NODE).unwrap();
    scene.node.reload(&[path]);
    assert_eq!(scene.status("/a"), "401");
}

#[test]
fn what_refers_to_an_object_that_is_left_out_is_in_quarantine_with_it() {
    let mut scene = Scene::start();
    let mut uses = route("/a");
    uses.as_object_mut().unwrap().remove("upstream");
    uses["service_id"] = json!("s");
    scene.put("upstreams/u", &json!({ "nodes": 7 }));
    scene.put("services/s", &json!({ "upstream_id": "u", "hosts": ["a.test"] }));
    scene.put("routes/a", &uses);
    scene.put("routes/wide", &route("/*"));
    scene.take_change();
    assert_eq!((scene.status("/a"), scene.quarantined()), ("503".to_owned(), 3));
    scene.put("upstreams/u", &json!({ "nodes": { "127.0.0.1:1": 1 } }));
    scene.take_change();
    assert_eq!((scene.status("/a"), scene.quarantined()), ("401".to_owned(), 0));
}

#[test]
fn so_many_objects_in_quarantine_may_wait_for_each_other_and_no_more() {
    for (length, is_applied) in [(63, true), (64, true), (65, false)] {
        let mut scene = Scene::start();
        scene.put("consumers/c0", &json!({ "username": "c0", "plugins": 7 }));
        for n in 1..length {
            let restriction =
                json!({ "consumer-restriction": { "whitelist": [format!("c{}", n - 1)] } });
            let consumer = json!({ "username": format!("c{n}"), "plugins": restriction });
            scene.put(&format!("consumers/c{n}"), &consumer);
        }
        scene.put("routes/a", &route("/a"));
        scene.take_change();
        let expected = if is_applied { ("401".to_owned(), length) } else { ("404".to_owned(), 0) };
        assert_eq!((scene.status("/a"), scene.quarantined()), expected, "{length}");
    }
}

#[test]
fn a_global_rule_at_fault_that_never_was_in_order_stops_every_change() {
    let mut scene = Scene::start();
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    scene.put("global_rules/g", &json!({ "plugins": { "ip-restriction": { "whitelist": 7 } } }));
    scene.put("routes/b", &route("/b"));
    scene.take_change();
    assert_eq!(["/a", "/b"].map(|path| scene.status(path)), ["401", "404"]);
    scene.put(
        "global_rules/g",
        &json!({ "plugins": { "ip-restriction": { "whitelist": ["10.0.0.1"] } } }),
    );
    scene.take_change();
    assert_eq!(["/a", "/b"].map(|path| scene.status(path)), ["403", "403"]);
    // Once it was in order, its last good version stands for it, and other changes go on.
    scene.put("global_rules/g", &json!({ "plugins": { "ip-restriction": { "whitelist": 7 } } }));
    scene.put("routes/c", &route("/c"));
    scene.take_change();
    assert_eq!((scene.status("/c"), scene.quarantined()), ("403".to_owned(), 1));
}

#[test]
fn a_route_in_quarantine_is_in_the_way_wherever_it_may_have_stood() {
    // What is at fault is also what says where it stands; the other one is the route that would serve.
    let hosted = json!({ "host": "a.test" });
    for (name, change, other) in [
        ("a list where a text should be", json!({ "uri": ["/a/*"] }), json!({})),
        (
            "a priority in quotes",
            json!({ "priority": "7" }),
            json!({ "uri": "/a/*", "priority": 9 }),
        ),
        ("a method that is none", json!({ "methods": ["GTE"] }), json!({})),
        ("a service that is gone", json!({ "service_id": "gone" }), hosted.clone()),
        ("hosts that are no list", json!({ "hosts": { "a": 1 } }), hosted),
    ] {
        let with = |path: &str, change: &Value| {
            let mut route = route(path);
            route.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            route
        };
        let mut scene = Scene::start();
        scene.put("routes/a", &with("/*", &other));
        scene.put("routes/b", &with("/a/*", &change));
        scene.take_change();
        assert_eq!((scene.status("/a/1"), scene.quarantined()), ("503".to_owned(), 1), "{name}");
    }
}

#[test]
fn a_route_of_which_nobody_knows_where_it_stood_stops_the_change() {
    let mut scene = Scene::start();
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    let mut faulty = route("/b");
    faulty.as_object_mut().unwrap().remove("uri");
    scene.put("routes/b", &faulty);
    scene.put("routes/c", &route("/c"));
    scene.take_change();
    assert_eq!(["/a", "/c"].map(|path| scene.status(path)), ["401", "404"]);
}

#[test]
fn a_route_that_loses_its_last_good_version_too_keeps_the_paths_of_it() {
    let mut scene = Scene::start();
    scene.put("routes/wide", &route("/*"));
    scene.put("upstreams/u", &json!({ "nodes": { "127.0.0.1:1": 1 } }));
    let mut strict = route("/admin/*");
    strict.as_object_mut().unwrap().remove("upstream");
    strict["upstream_id"] = json!("u");
    scene.put("routes/r", &strict);
    scene.take_change();
    assert_eq!((scene.status("/admin/x"), scene.quarantined()), ("401".to_owned(), 0));
    strict["uri"] = json!("/adm/*");
    strict["urii"] = json!("/typo");
    scene.put("routes/r", &strict);
    let upstream = Key::parse("upstreams/u").unwrap();
    let gone = scene.store().delete(&upstream, Expect::Anything, "x");
    scene.node.control.block_on(gone).unwrap();
    scene.take_change();
    let statuses = ["/admin/x", "/adm/x", "/other"].map(|path| scene.status(path));
    assert_eq!(statuses, ["503", "503", "401"]);
}

/// What a change that was taken by itself leaves behind, and one that was not, does not.
fn is_by_itself(scene: &Scene, before: u64) -> bool {
    scene.node.ledger.is_some() && scene.node.seen > before && scene.node.keep_at.is_some()
}

#[test]
fn a_change_in_order_is_taken_by_itself_also_after_one_at_fault_was_mended() {
    let mut scene = Scene::start();
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    assert!(is_by_itself(&scene, 0));
    scene.node.keep();
    let seen = scene.node.seen;
    scene.put("routes/b", &json!({ "urii": "/b" }));
    scene.take_change();
    assert!(scene.node.ledger.is_none(), "nobody may build on what was refused");
    scene.put("routes/b", &route("/b"));
    scene.take_change();
    assert!(scene.node.ledger.is_some() && !is_by_itself(&scene, seen));
    scene.put("routes/c", &route("/c"));
    scene.take_change();
    assert!(is_by_itself(&scene, seen));
    assert_eq!(["/a", "/b", "/c"].map(|path| scene.status(path)), ["401", "401", "401"]);
}

/// A node whose resources are in a document of its own.
fn with_document(text: &str) -> (Node, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bartizan.yaml");
    std::fs::write(folder.path().join("r.yaml"), text).unwrap();
    std::fs::write(&path, NODE.replace("embedded: { path: store }", "file: { path: r.yaml }"))
        .unwrap();
    let node = Node::start(&path, Overrides::default()).unwrap_or_else(|f| panic!("{f:?}"));
    (node, folder)
}

#[test]
fn a_change_of_a_document_is_taken_by_itself_where_it_is_plain() {
    const TEXT: &str = "\
upstreams:
- id: u
  nodes: {\"127.0.0.1:1\": 1}
services:
- id: s
  upstream_id: u
  plugins: {key-auth: {}, any-authenticated: {reason: a test}}
routes:
- id: a
  uri: /a
  service_id: s
- id: b
  uri: /b
  service_id: s
";
    let (node, folder) = with_document(TEXT);
    let mut scene = Scene { node, folder };
    let document = scene.folder.path().join("r.yaml");
    let mut text = TEXT.to_owned();
    for (from, to, is_turned, statuses) in [
        ("/a\n", "/a2\n", true, ["404", "401", "401", "404"]),
        (
            "- id: b\n",
            "- id: c\n  uri: /c\n  service_id: s\n- id: b\n",
            true,
            ["404", "401", "401", "401"],
        ),
        ("/b\n  service_id: s\n", "/b\n  service_id: t\n", false, ["404", "401", "401", "401"]),
        ("service_id: t", "service_id: s", false, ["404", "401", "401", "401"]),
        ("- id: b\n  uri: /b\n  service_id: s\n", "", true, ["404", "401", "404", "401"]),
        ("upstreams:", "# upstreams\nupstreams:", false, ["404", "401", "404", "401"]),
    ] {
        text = text.replace(from, to);
        std::fs::write(&document, &text).unwrap();
        assert_eq!(scene.node.turn(std::slice::from_ref(&document)), is_turned, "{from} → {to}");
        if !is_turned {
            scene.node.reload(std::slice::from_ref(&document));
        }
        let now = ["/a", "/a2", "/b", "/c"].map(|path| scene.status(path));
        assert_eq!(now, statuses, "{from} → {to}");
    }
}
