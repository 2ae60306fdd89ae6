//! Roles and confinement, tried from outside: an attempt for each act that is forbidden.

use serde_json::{Value, json};

use crate::tried::Tried;

const CONFIGS: &str = "/apisix/admin/configs";
const ROLLBACK: &str = "/bartizan/v1/rollback";

fn with_id(route: &Value) -> Value {
    let mut route = route.clone();
    route["id"] = json!("1");
    route
}

fn route(uri: &str, host: Option<&str>, team: &str) -> Value {
    let mut route = json!({
        "uri": uri,
        "labels": { "team": team },
        "plugins": { "key-auth": {}, "any-authenticated": { "reason": "a test" } },
        "upstream": { "nodes": { "127.0.0.1:1": 1 } },
    });
    if let Some(host) = host {
        route["host"] = json!(host);
    }
    route
}

/// Tries something that must be refused, leave the store as it is, and be told.
fn is_refused(tried: &Tried, who: (&str, &str), attempts: &[(&str, &str, Option<Value>)]) {
    let (name, key) = who;
    for (method, path, body) in attempts {
        let before = tried.stored();
        let (status, answer) = tried.call(key, method, path, body.as_ref());
        // Writing viewers are answered as Apache APISIX does.
        let expected = if name == "viewer" && *method != "GET" { 401 } else { 403 };
        assert_eq!(status, expected, "{name}: {method} {path} {body:?}: {answer}");
        assert_eq!(tried.stored(), before, "{name}: {method} {path} changed something");
    }
}

fn is_let(tried: &Tried, who: (&str, &str), acts: &[(&str, &str, Option<Value>)]) {
    let (name, key) = who;
    for (method, path, body) in acts {
        let (status, answer) = tried.call(key, method, path, body.as_ref());
        assert!(status < 300, "{name}: {method} {path} {body:?}: {status} {answer}");
    }
}

#[test]
fn an_editor_stays_inside_its_confinement_whatever_it_tries() {
    let tried = Tried::new();
    let theirs = route("/bank/a", Some("bank.example"), "bank");
    tried.put("/apisix/admin/routes/bank", &theirs);
    let service = json!({ "hosts": ["shop.example"], "labels": { "team": "shop" } });
    tried.put("/apisix/admin/services/shop", &service);
    let open = json!({ "labels": { "team": "shop" } });
    tried.put("/apisix/admin/services/open", &open);
    let (bank, shop) = (json!({ "username": "bank", "labels": { "team": "bank" } }), "shop");
    tried.put("/apisix/admin/consumers/bank", &bank);
    for (id, labels) in [("bank", json!({ "team": "bank" })), ("lent", json!({ "shared": "all" }))]
    {
        let upstream = json!({ "nodes": { "127.0.0.1:1": 1 }, "labels": labels });
        tried.put(&format!("/apisix/admin/upstreams/{id}"), &upstream);
    }
    let mut logging = route("/shop/log", Some("shop.example"), "shop");
    logging["plugins"]["http-logger"] =
        json!({ "uri": "http://127.0.0.1:1/", "auth_header": "Bearer a-long-secret" });
    tried.put("/apisix/admin/routes/logging", &logging);
    let rights = [
        "--role",
        "editor",
        "--uses",
        "shared=all",
        "--labels",
        "team=shop",
        "--hosts",
        "shop.example,*.shop.example",
        "--paths",
        "/shop",
    ];
    let key = tried.key(shop, &rights);
    let who = (shop, key.as_str());
    let own = route("/shop/a", Some("shop.example"), shop);
    let with = |name: &str, value: Value| {
        let mut route = own.clone();
        route[name] = value;
        Some(route)
    };
    let of_service = |service: &str| {
        let mut route = route("/shop/b", None, shop);
        route["service_id"] = json!(service);
        Some(route)
    };
    let sent_to = |upstream: &str| {
        let mut route = own.clone();
        route.as_object_mut().unwrap().remove("upstream");
        route["upstream_id"] = json!(upstream);
        Some(route)
    };
    let logger = |config: Value| Some(json!({ "plugins": { "http-logger": config } }));
    let labels = json!({ "team": shop });
    let upstream = json!({ "nodes": { "127.0.0.1:1": 1 }, "labels": labels });
    is_let(
        &tried,
        who,
        &[
            ("GET", "/apisix/admin/routes", None),
            ("PUT", "/apisix/admin/routes/own", Some(own.clone())),
            ("PUT", "/apisix/admin/routes/own", with("host", json!("*.eu.shop.example"))),
            ("PATCH", "/apisix/admin/routes/own", Some(json!({ "uri": "/shop/*" }))),
            ("PUT", "/apisix/admin/routes/inherits", of_service("shop")),
            ("PUT", "/apisix/admin/upstreams/own", Some(upstream.clone())),
            ("PUT", "/apisix/admin/routes/sends", sent_to("own")),
            ("PUT", "/apisix/admin/routes/sends", sent_to("lent")),
            ("PATCH", "/apisix/admin/routes/logging", logger(json!({ "batch_max_size": 5 }))),
            ("PUT", "/apisix/admin/consumers", Some(json!({ "username": shop, "labels": labels }))),
        ],
    );
    let routes = "/apisix/admin/routes/own";
    is_refused(
        &tried,
        who,
        &[
            // Out of its hosts, its paths and its labels.
            ("PUT", routes, with("host", json!("bank.example"))),
            ("PUT", routes, with("host", json!("*"))),
            ("PUT", routes, with("host", json!("*shop.example"))),
            ("PUT", routes, with("host", json!("*.example"))),
            ("PUT", routes, Some(route("/shop/a", None, shop))),
            ("PUT", routes, with("uri", json!("/*"))),
            ("PUT", routes, with("uri", json!("/shop*"))),
            ("PUT", routes, with("uri", json!("/bank/a"))),
            ("PUT", routes, with("labels", json!({ "team": "bank" }))),
            ("PUT", routes, with("labels", json!({}))),
            ("PUT", "/apisix/admin/routes/new", with("uri", json!("/bank/*"))),
            ("POST", "/apisix/admin/routes", with("host", json!("bank.example"))),
            ("PUT", "/apisix/admin/routes/inherits", of_service("open")),
            // By parts.
            ("PATCH", routes, Some(json!({ "host": null }))),
            ("PATCH", routes, Some(json!({ "uri": "/bank/*" }))),
            ("PATCH", "/apisix/admin/routes/own/labels", Some(json!({ "team": "bank" }))),
            ("PATCH", "/apisix/admin/services/shop", Some(json!({ "hosts": null }))),
            ("PATCH", "/apisix/admin/services/shop", Some(json!({ "hosts": ["bank.example"] }))),
            // What it refers to, and secrets that it does not know.
            ("PUT", "/apisix/admin/routes/sends", sent_to("bank")),
            ("PUT", "/apisix/admin/routes/new", sent_to("bank")),
            ("PUT", "/apisix/admin/routes/sends", with("service_id", json!("open"))),
            ("PATCH", "/apisix/admin/upstreams/lent", Some(json!({ "desc": "mine" }))),
            (
                "PATCH",
                "/apisix/admin/routes/logging",
                logger(json!({ "uri": "http://127.0.0.2:1/" })),
            ),
            (
                "PATCH",
                "/apisix/admin/routes/logging/plugins/http-logger/uri",
                Some(json!("http://127.0.0.2:1/")),
            ),
            // What is another's.
            ("PUT", "/apisix/admin/routes/bank", Some(own.clone())),
            ("PATCH", "/apisix/admin/routes/bank", Some(json!({ "labels": { "team": shop } }))),
            ("DELETE", "/apisix/admin/routes/bank", None),
            ("DELETE", "/apisix/admin/routes/bank?force=true", None),
            ("DELETE", "/apisix/admin/services/open", None),
            ("DELETE", "/apisix/admin/consumers/bank", None),
            (
                "PUT",
                "/apisix/admin/consumers/bank/credentials/mine",
                Some(
                    json!({ "plugins": { "key-auth": { "key": "a-key-of-32-characters-or-more-xx" } } }),
                ),
            ),
            // What is about all.
            ("PUT", "/apisix/admin/global_rules/1", Some(json!({ "plugins": {} }))),
            ("PUT", "/apisix/admin/plugin_metadata/http-logger", Some(json!({}))),
            (
                "PUT",
                "/apisix/admin/ssls/1",
                Some(json!({ "snis": ["shop.example"], "labels": labels })),
            ),
            ("GET", "/bartizan/v1/revisions", None),
            // All at once.
            ("PUT", CONFIGS, Some(json!({}))),
            ("PUT", CONFIGS, Some(json!({ "routes": [] }))),
            ("PUT", "/apisix/admin/configs?dry_run=true", Some(json!({}))),
            ("POST", ROLLBACK, Some(json!({ "revision": 1 }))),
            ("POST", ROLLBACK, Some(json!({ "revision": 1, "object": "routes/bank" }))),
        ],
    );
    let gone = tried.call(&key, "DELETE", "/apisix/admin/routes/none", None);
    assert_eq!(gone, (404, "{\"message\":\"Key not found\"}".to_owned()));
    let (count, told) = tried.forbidden(39);
    assert!(count >= 39, "{count}: {told:#?}");
    assert!(told.iter().all(|detail| !detail.contains("btz_admin_")), "{told:#?}");
}

#[test]
fn viewers_and_auditors_change_nothing() {
    let tried = Tried::new();
    let own = route("/a", Some("shop.example"), "shop");
    tried.put("/apisix/admin/routes/1", &own);
    tried.put("/apisix/admin/consumers/a", &json!({ "username": "a" }));
    let account = json!({ "username": "a" });
    let changes: &[(&str, &str, Option<Value>)] = &[
        ("PUT", "/apisix/admin/routes/1", Some(own.clone())),
        ("PUT", "/apisix/admin/routes/2", Some(own.clone())),
        ("POST", "/apisix/admin/routes", Some(own.clone())),
        ("PATCH", "/apisix/admin/routes/1", Some(json!({ "uri": "/b" }))),
        ("DELETE", "/apisix/admin/routes/1", None),
        ("PUT", "/apisix/admin/consumers", Some(json!({ "username": "b" }))),
        ("DELETE", "/apisix/admin/consumers/a", None),
        ("PUT", "/apisix/admin/global_rules/1", Some(json!({ "plugins": {} }))),
        ("PUT", CONFIGS, Some(json!({}))),
        // What is there already, so that no object changes.
        ("PUT", CONFIGS, Some(json!({ "routes": [with_id(&own)], "consumers": [account] }))),
        ("POST", ROLLBACK, Some(json!({ "revision": 1 }))),
        ("POST", ROLLBACK, Some(json!({ "revision": 3 }))),
    ];
    let mut expected = 0;
    for role in ["viewer", "auditor"] {
        let key = tried.key(role, &["--role", role]);
        is_refused(&tried, (role, &key), changes);
        expected += changes.len();
        assert_eq!(tried.forbidden(expected).0, expected, "{role}");
        let (reads, not) = match role {
            "viewer" => ("/apisix/admin/routes/1", "/bartizan/v1/revisions"),
            _ => ("/bartizan/v1/revisions", "/apisix/admin/routes/1"),
        };
        is_let(&tried, (role, &key), &[("GET", reads, None)]);
        is_refused(&tried, (role, &key), &[("GET", not, None)]);
        expected += 1;
    }
}

#[test]
fn viewers_who_validate_learn_nothing_of_the_node() {
    let tried = Tried::new();
    let viewer = tried.key("viewer", &["--role", "viewer"]);
    let path = std::env::var("PATH").unwrap();
    let judged = |document: Value| {
        tried.call(&viewer, "POST", "/apisix/admin/configs/validate", Some(&document))
    };
    let upstream =
        |text: &str| judged(json!({ "upstreams": [{ "id": "u", "type": text, "nodes": {} }] }));
    let (status, told) = upstream("${{PATH}}");
    assert_eq!(status, 400, "{told}");
    assert!(!told.contains(&path), "{told}");
    assert_eq!(upstream("${{NO_SUCH_VARIABLE}}"), (status, told));
    let consumer = |key: &str| {
        let plugins = json!({ "key-auth": { "key": key } });
        judged(json!({ "consumers": [{ "username": "a", "plugins": plugins }] }))
    };
    for reference in ["$env://PATH", "$ENV://NO_SUCH_VARIABLE", "$file://keys", "$File://none"] {
        assert_eq!(consumer(reference), (200, "{}".to_owned()), "{reference}");
    }
    // A file that a plugin names is not read.
    let path = |file: &str| {
        let mut route = with_id(&route("/a", None, "shop"));
        route["plugins"]["oas-validator"] = json!({ "spec_file": file });
        judged(json!({ "routes": [route] }))
    };
    assert_eq!(path("keys"), path("none"));
    let auditor = tried.key("auditor", &["--role", "auditor"]);
    let (status, _) =
        tried.call(&auditor, "POST", "/apisix/admin/configs/validate", Some(&json!({})));
    assert_eq!(status, 403);
}
