//! What others wrote to a store that is no configuration: told with key, revision and place, and
//! nothing is opened or lost.

use bartizan_testkit::EtcdServer;
use serde_json::json;

use crate::driver::{Bench, Serving};
use crate::stores::{etcd_node, route, status, until_told};

/// Keys below the prefix, what is put there, and what is said of it.
fn bad_objects() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    let deep = format!("{{\"uri\":\"/new\",\"labels\":{}1{}}}", "[".repeat(70), "]".repeat(70));
    let long = json!({ "uri": "/new", "desc": "x".repeat(300) }).to_string();
    let mut dangling = route("/new");
    dangling["service_id"] = json!("none");
    let mut typed = route("/new");
    typed["priority"] = json!("high");
    let mut other = route("/new");
    other["id"] = json!("of-another");
    let mut script = route("/new");
    script["script"] = json!("return 1 return 1");
    vec![
        ("routes/n", b"{\"uri\": \"/new\", \"desc\": \"\xff\"}".to_vec(), "not UTF-8"),
        ("routes/n", text("{\"uri\": \"/new\", \"plug"), "not JSON"),
        ("routes/n", text(&deep), "nested deeper than 64"),
        ("routes/n", text(&long), "256"),
        ("routes/n", text("[]"), "expected a JSON object"),
        ("routes/n", text(""), "not JSON"),
        ("routes/n", text("{\"uri\": \"/new\", \"uri\": \"/old\"}"), "given twice"),
        ("routes/n", text("{\"uri\": 7, \"plugins\": {}}"), "expected a string"),
        ("routes/n", text(&typed.to_string()), "expected an integer"),
        ("routes/n", text(&dangling.to_string()), "there is no service `none`"),
        ("routes/n", text(&other.to_string()), "of-another"),
        ("routes/n", text(&script.to_string()), "it is code in the configuration"),
        ("services/n", text("{\"upstream_id\": \"n\"}"), "there is no upstream `n`"),
        (
            "consumers/n",
            text("{\"username\": \"n\", \"group_id\": \"n\"}"),
            "there is no consumer group `n`",
        ),
        ("rooutes/n", text("{}"), "did you mean `routes`?"),
        ("stream_routes/n", text("{\"server_port\": 9}"), "not supported yet"),
        ("secrets/aws/n", text("{}"), "`access_key_id` is required"),
    ]
}

fn statuses(serving: &Serving) -> [String; 3] {
    ["/old", "/new", "/other"].map(|path| status(&serving.get(path, "")).to_owned())
}

#[test]
fn what_is_wrong_in_etcd_is_told_with_key_and_revision_and_opens_nothing() {
    let server = EtcdServer::start();
    let bench = Bench::with(&[("bartizan.yaml", &etcd_node(&server))]);
    server.put("/apisix/routes/old", route("/old").to_string());
    let serving = bench.serve(&["run"]);
    for (number, (key, content, problem)) in bad_objects().into_iter().enumerate() {
        let revision = server.put(&format!("/apisix/{key}"), &content);
        let shown = format!("{key} at revision {revision}:1:");
        until_told(&serving, "/readyz", &shown);
        let ready = serving.status_page("/readyz");
        let told = ready.split_once(&*shown).unwrap().1;
        assert!(told.contains(problem), "{number}: {problem} is not in {ready}");
        let [old, new, other] = statuses(&serving);
        assert_eq!((&*old, &*other), ("401", "404"), "{number}: {problem}");
        assert!(new == "404" || new == "503", "{number}: {problem}: {new}");
        server.delete(&format!("/apisix/{key}"));
        until_told(&serving, "/readyz", "\"quarantined_count\":0");
        until_told(&serving, "/readyz", "\"last_error\":null");
    }
    // A route stands in the way also under a key that is none.
    for (key, shown) in [("routes//n", "routes/%2fn"), ("routes/a\nb", "routes/a%0ab")] {
        let revision = server.put(&format!("/apisix/{key}"), route("/new").to_string());
        until_told(
            &serving,
            "/readyz",
            &format!("{shown} at revision {revision}:1:1: expected an id"),
        );
        assert_eq!(statuses(&serving), ["401", "503", "404"]);
        server.delete(&format!("/apisix/{key}"));
        until_told(&serving, "/readyz", "\"quarantined_count\":0");
    }
    assert!(serving.stop().success());
}
