//! Changes by the Admin API, and documents that it has judged.

use std::time::Duration;

use bartizan_admin::{Document, Problem};
use bartizan_testkit::VaultDouble;

use super::secrets::{PASSED, REFUSED, jack, scene, vault};
use super::*;

#[test]
fn a_change_of_the_api_is_taken_by_itself_with_what_others_wrote_before() {
    let mut scene = Scene::start();
    scene.put("routes/a", &route("/a"));
    scene.take_change();
    scene.node.keep_at = None;
    scene.put("routes/b", &route("/b"));
    let outcome = scene.propose("routes/c", &route("/c"), false).unwrap();
    assert_eq!(outcome.revision, scene.node.seen);
    assert!(scene.node.keep_at.is_some() && scene.node.ledger.is_some());
    assert_eq!(["/a", "/b", "/c"].map(|path| scene.status(path)), ["401", "401", "401"]);
}

#[test]
fn a_change_of_the_api_that_concerns_everything_is_in_force_when_it_is_answered() {
    let mut scene = Scene::start();
    scene.propose("routes/a", &route("/a"), false).unwrap();
    let rule = json!({ "plugins": { "ip-restriction": { "whitelist": ["10.0.0.1"] } } });
    scene.propose("global_rules/g", &rule, false).unwrap();
    assert_eq!(scene.status("/a"), "403");
}

#[test]
fn a_route_that_is_not_served_any_more_opens_nothing() {
    let mut scene = Scene::with(&format!("{NODE}admin: {{ listen: \"127.0.0.1:0\" }}\n"));
    scene.propose("routes/a", &route("/a"), false).unwrap();
    let mut off = route("/b");
    off["status"] = json!(0);
    off["plugins"]["request-id"] = json!({});
    let outcome = scene.propose("routes/a", &off, true).unwrap();
    let closes = ["route `a` at /a on any host for any method, to who proves to be known, is not \
                   served any more"];
    assert_eq!((outcome.opens, outcome.closes), (Vec::new(), closes.map(str::to_owned).to_vec()));
    scene.propose("routes/a", &off, false).unwrap();
    let outcome = scene.propose("routes/a", &route("/b"), true).unwrap();
    assert_eq!((outcome.opens.len(), outcome.closes.len()), (1, 0), "{outcome:?}");
}

#[test]
fn a_write_that_comes_to_nothing_leaves_the_secret_managers_that_are_in_force() {
    let (mut scene, double) = scene();
    scene.put("secrets/vault/1", &vault(&double));
    scene.put("consumers/jack", &jack("$secret://vault/1/jack/key"));
    scene.take_change();
    assert_eq!(scene.status_with("/a", "first-key"), PASSED);
    let theirs = VaultDouble::default();
    theirs.token("root", None, false);
    theirs.put("kv/jack", json!({ "key": "their-key" }));
    scene.propose("secrets/vault/1", &vault(&theirs), true).unwrap();
    let mut bad = vault(&theirs);
    bad["token"] = json!("nobody's");
    assert!(scene.propose("secrets/vault/1", &bad, false).is_err());
    // The one in force is asked as before: it notices.
    double.put("kv/jack", json!({ "key": "second-key" }));
    let (managers, seen) = (Arc::clone(&scene.node.managers), scene.node.secrets_seen);
    let noticed =
        async { tokio::time::timeout(Duration::from_secs(20), managers.changed(seen)).await };
    scene.node.control.block_on(noticed).expect("the manager in force to be asked");
    scene.node.reload(&[]);
    let keys = ["first-key", "second-key", "their-key"];
    assert_eq!(keys.map(|key| scene.status_with("/a", key)), [REFUSED, PASSED, REFUSED]);
}

fn judged(scene: &Scene, document: &Value, is_compiled: bool) -> Vec<Problem> {
    let document = Document { text: document.to_string(), is_yaml: false, is_compiled };
    scene.node.judge_document(&document)
}

#[test]
fn a_document_that_is_judged_reads_nothing_and_asks_nobody() {
    let (mut scene, double) = scene();
    scene.put("secrets/vault/1", &vault(&double));
    scene.put("consumers/jack", &jack("$secret://vault/1/jack/key"));
    scene.take_change();
    let theirs = VaultDouble::default();
    let mut manager = vault(&theirs);
    manager["id"] = json!("vault/1");
    let upstream = |text: &str| json!({ "id": "u", "desc": text, "nodes": { "127.0.0.1:1": 1 } });
    for token in ["root", "$env://PATH", "$env://NO_SUCH_VARIABLE", "$File:///etc/hostname"] {
        manager["token"] = json!(token);
        let document = json!({
            "secrets": [manager], "consumers": [jack("$secret://vault/1/jack/key")],
            "upstreams": [upstream("x")],
        });
        for is_compiled in [false, true] {
            let told = judged(&scene, &document, is_compiled);
            assert!(told.is_empty(), "{token}: {told:?}");
        }
    }
    for text in ["${{PATH}}", "${{NO_SUCH_VARIABLE}}", "${{PATH:=x}}"] {
        let told = judged(&scene, &json!({ "upstreams": [upstream(text)] }), true);
        let told: Vec<&str> = told.iter().map(|problem| &*problem.what).collect();
        assert_eq!(told, ["`${{…}}` is not replaced here: no variable is read"], "{text}");
    }
    assert!(theirs.take().is_empty());
    assert_eq!(scene.status_with("/a", "first-key"), PASSED);
}

#[test]
fn a_document_is_compiled_for_those_only_who_could_write_it() {
    let scene = Scene::start();
    let mut open = route("/a");
    open["id"] = json!("a");
    open["plugins"] = json!({});
    let document = json!({ "routes": [open] });
    assert!(judged(&scene, &document, true)[0].what.contains("has no authentication"));
    assert!(judged(&scene, &document, false).is_empty());
}
