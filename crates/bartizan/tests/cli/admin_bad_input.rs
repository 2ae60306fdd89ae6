//! What is wrong with a call is told as documented; nothing is stored, and nothing changes for
//! who calls the gateway.

use std::sync::Barrier;

use serde_json::{Value, json};

use crate::driver::Bench;
use crate::stores::{node, status};
use crate::tried::{Tried, keyed};

/// Bodies as they are written, with what is answered.
fn malformed() -> Vec<(String, &'static str)> {
    let object = keyed("/a").to_string();
    let told = "invalid request body";
    vec![
        (format!("{}{}", "[".repeat(200), "]".repeat(200)), told),
        (
            format!("{{\"desc\":{}{}}}", "{\"a\":".repeat(200), "1".to_owned() + &"}".repeat(200)),
            told,
        ),
        ("[".repeat(1_000_000), told),
        (format!("{{\"desc\":\"{}\"}}", "x".repeat(1_600_000)), told),
        (object.replacen('{', "{\"uri\":\"/b\",", 1), told),
        (format!("{object} {object}"), told),
        (object[..object.len() - 1].to_owned(), told),
        ("uri: /a".to_owned(), told),
        ("null".to_owned(), told),
        ("\"\u{0}\"".to_owned(), told),
        (String::new(), told),
    ]
}

fn with(member: &str, value: Value) -> Value {
    let mut route = keyed("/a");
    route[member] = value;
    route
}

/// Calls whose bodies are sound JSON, with status and a piece of what is answered.
fn refused() -> Vec<(&'static str, &'static str, Value, u16, &'static str)> {
    let plugin = |name: &str, config: Value| {
        let mut route = keyed("/a");
        route["plugins"][name] = config;
        route
    };
    let key = json!({ "key-auth": { "key": "a-key-of-sixteen-bytes-and-more" } });
    vec![
        ("PUT", "routes/1", plugin("nosuch", json!({})), 400, "unknown plugin [nosuch]"),
        ("PUT", "routes/1", plugin("serverless-pre-function", json!({ "functions": [] })), 400, ""),
        (
            "PUT",
            "routes/1",
            plugin("limit-count", json!({ "count": 0, "time_window": 60 })),
            400,
            "failed to check the configuration of plugin limit-count err: ",
        ),
        ("PUT", "routes/1", with("urii", json!("/b")), 400, "did you mean `uri`?"),
        ("PUT", "routes/1", with("script", json!("return 1")), 400, "invalid configuration: "),
        ("PUT", "routes/1", with("plugins", json!({})), 400, "has no authentication"),
        ("PUT", "routes/1", with("id", json!("2")), 400, "wrong route id"),
        ("PUT", "routes/1", with("id", json!({})), 400, "wrong route id"),
        ("PUT", "routes", keyed("/a"), 400, "missing route id"),
        ("PUT", "routes/a%2Fb", keyed("/a"), 400, "the path or the query cannot be read"),
        ("PUT", "routes/a%20b", keyed("/a"), 400, "expected an id of up to 64"),
        ("POST", "routes", with("id", json!("2")), 400, "wrong route id, do not need it"),
        ("PUT", "routes/1", with("create_time", json!(1)), 400, "additional properties forbidden"),
        ("PUT", "routes/1?ttl=soon", keyed("/a"), 400, "invalid argument ttl"),
        ("PUT", "routes/1?ttl=-1", keyed("/a"), 400, "invalid argument ttl"),
        ("PUT", "routes/1", with("service_id", json!("none")), 400, "by service id [none]"),
        (
            "PUT",
            "routes/1",
            with("plugin_config_id", json!("none")),
            400,
            "[none], response code: 404",
        ),
        (
            "PATCH",
            "routes/served",
            json!({ "plugins": { "key-auth": null } }),
            400,
            "no authentication",
        ),
        ("PATCH", "routes/served/uri", json!(7), 400, "invalid configuration: "),
        ("PATCH", "routes/served/a/b/c", json!(7), 400, ""),
        ("PATCH", "routes/none", json!({ "uri": "/b" }), 404, "Key not found"),
        ("DELETE", "routes/none", Value::Null, 404, "Key not found"),
        ("DELETE", "upstreams/used", Value::Null, 400, "service [used] is still using it now"),
        ("DELETE", "services/used", Value::Null, 400, "route [served] is still using it now"),
        ("DELETE", "consumer_groups/used", Value::Null, 400, "consumer [jack] is still using it"),
        (
            "PUT",
            "consumers",
            json!({ "username": "rose", "plugins": key }),
            400,
            "duplicate key of plugin key-auth found with consumer: jack",
        ),
        ("PUT", "consumers/jack", json!({ "username": "rose" }), 400, "wrong username"),
        ("PUT", "consumers", json!({}), 400, "missing consumer name"),
        (
            "PUT",
            "consumers/none/credentials/1",
            json!({ "plugins": key }),
            404,
            "consumer not found",
        ),
        (
            "PUT",
            "global_rules/2",
            json!({ "plugins": { "request-id": {} } }),
            400,
            "plugin 'request-id' already exists in global rule with id '1'",
        ),
        ("PUT", "plugin_metadata/nosuch", json!({}), 400, ""),
        ("PUT", "secrets/nosuch/1", json!({}), 400, ""),
        ("PUT", "ssls/1", json!({ "snis": ["a.test"], "cert": "c", "key": "k" }), 400, ""),
        ("POST", "consumers", json!({ "username": "rose" }), 405, "not supported `POST` method"),
        ("PATCH", "consumers/jack", json!({ "desc": "x" }), 405, "not supported `PATCH` method"),
        ("PUT", "nosuch/1", json!({}), 404, "Unsupported resource type: nosuch"),
        ("PUT", "plugins", json!({}), 405, ""),
    ]
}

#[test]
fn whatever_is_wrong_is_told_and_changes_nothing() {
    let tried = Tried::new();
    for (path, object) in [
        ("upstreams/used", json!({ "nodes": { "127.0.0.1:1": 1 } })),
        ("services/used", json!({ "upstream_id": "used" })),
        (
            "consumer_groups/used",
            json!({ "plugins": { "limit-count": { "count": 5, "time_window": 60 } } }),
        ),
        (
            "consumers/jack",
            json!({
                "username": "jack",
                "group_id": "used",
                "plugins": { "key-auth": { "key": "a-key-of-sixteen-bytes-and-more" } },
            }),
        ),
        ("global_rules/1", json!({ "plugins": { "request-id": {} } })),
    ] {
        tried.put(&format!("/apisix/admin/{path}"), &object);
    }
    let mut served = keyed("/served");
    served.as_object_mut().unwrap().remove("upstream");
    served["service_id"] = json!("used");
    tried.put("/apisix/admin/routes/served", &served);
    let jack = "apikey: a-key-of-sixteen-bytes-and-more\r\n";
    let plane = || {
        let asked = [("/served", ""), ("/served", jack), ("/a", ""), ("/b", jack)];
        asked.map(|(path, fields)| status(&tried.serving.get(path, fields)).to_owned())
    };
    let (stored, answers) = (tried.stored(), plane());
    assert_eq!(answers, ["401", "502", "404", "404"]);
    let key = format!("X-API-KEY: {}", tried.root);
    for (body, text) in malformed() {
        let shown: String = body.chars().take(60).collect();
        for (method, path) in [
            ("PUT", "/apisix/admin/routes/1"),
            ("POST", "/apisix/admin/routes"),
            ("PATCH", "/apisix/admin/routes/served"),
            ("PUT", "/apisix/admin/configs"),
            ("POST", "/bartizan/v1/rollback"),
        ] {
            let fields = [key.as_str(), "X-Digest: one"];
            let heard = tried.send(method, path, &fields, Some(&body));
            assert_eq!(heard.status, 400, "{method} {path} {shown}: {}", heard.body);
            assert!(heard.body.contains(text), "{method} {path} {shown}: {}", heard.body);
        }
        assert_eq!(tried.stored(), stored, "{shown}");
    }
    for (method, path, body, code, text) in refused() {
        let body = (!body.is_null()).then_some(&body);
        let path = format!("/apisix/admin/{path}");
        let (status, answer) = tried.call(&tried.root, method, &path, body);
        assert_eq!(status, code, "{method} {path} {body:?}: {answer}");
        assert!(answer.contains(text), "{method} {path} {body:?}: {answer}");
        assert_eq!(tried.stored(), stored, "{method} {path} {body:?}");
    }
    assert_eq!(plane(), answers);
    assert!(tried.serving.stop().success());
}

#[test]
fn of_writers_at_the_same_time_one_is_first_and_none_is_lost_unseen() {
    let tried = Tried::new();
    tried.put("/apisix/admin/routes/1", &keyed("/0"));
    let key = format!("X-API-KEY: {}", tried.root);
    let shown = tried.send("GET", "/apisix/admin/routes/1", &[&key], None);
    let read = format!("If-Match: {}", shown.field("ETag").unwrap());
    for fields in [&[key.as_str(), read.as_str()][..], &[key.as_str()]] {
        let together = Barrier::new(6);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let writers: Vec<_> = (1..=6)
                .map(|n| {
                    let (tried, together) = (&tried, &together);
                    scope.spawn(move || {
                        let body = keyed(&format!("/{n}")).to_string();
                        together.wait();
                        tried.send("PUT", "/apisix/admin/routes/1", fields, Some(&body)).status
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect()
        });
        let count = |status: u16| statuses.iter().filter(|known| **known == status).count();
        let expected = if fields.len() == 2 { (1, 5) } else { (6, 0) };
        assert_eq!((count(200), count(412)), expected, "{statuses:?}");
        // What is stored is what is served, whoever was last.
        let shown = tried.send("GET", "/apisix/admin/routes/1", &[&key], None).value();
        let uri = shown["value"]["uri"].as_str().unwrap();
        let served: Vec<String> = (0..=6)
            .map(|n| format!("/{n}"))
            .filter(|path| status(&tried.serving.get(path, "")) == "401")
            .collect();
        assert_eq!(served, [uri]);
    }
    assert!(tried.serving.stop().success());
}

#[test]
fn a_change_is_an_event_with_who_where_which_revision_and_what_without_secrets() {
    let tried = Tried::new();
    let secret = "a-key-of-sixteen-bytes-and-more";
    let account =
        |key: &str| json!({ "username": "jack", "plugins": { "key-auth": { "key": key } } });
    tried.put("/apisix/admin/consumers", &account(secret));
    tried.put("/apisix/admin/consumers", &account("another-key-of-sixteen-bytes"));
    let _ = tried.call(&tried.root, "DELETE", "/apisix/admin/consumers/jack", None);
    assert!(tried.serving.stop().success());
    let log = tried.bench.read("audit.jsonl");
    assert!(!log.contains("sixteen"), "{log}");
    let events = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let changes: Vec<Value> = events.filter(|event| event["object"] == "consumers/jack").collect();
    let told: Vec<Value> = changes
        .iter()
        .map(|event| {
            json!([event["operator"], event["client"], event["revision"], event["method"]])
        })
        .collect();
    let expected = json!([
        ["root", "127.0.0.1", 2, "PUT"],
        ["root", "127.0.0.1", 3, "PUT"],
        ["root", "127.0.0.1", 4, "DELETE"],
    ]);
    assert_eq!(json!(told), expected, "{changes:#?}");
    let second = changes[1]["changes"].to_string();
    assert!(
        second.contains("/plugins/key-auth/key") && second.contains("*** (changed)"),
        "{second}"
    );
}

#[test]
fn a_store_that_is_away_is_503_and_nothing_is_half_done() {
    let mut server = bartizan_testkit::EtcdServer::start();
    let store = format!("{{ etcd: {{ endpoints: [\"{}\"], timeout: 1s }} }}", server.url());
    let file = node(&store) + "admin: { listen: \"127.0.0.1:0\" }\n";
    let tried = Tried::of(Bench::with(&[("bartizan.yaml", &file)]));
    tried.put("/apisix/admin/routes/1", &keyed("/a"));
    server.stop();
    for (method, path, body) in [
        ("PUT", "/apisix/admin/routes/2", Some(keyed("/b"))),
        ("PATCH", "/apisix/admin/routes/1", Some(json!({ "uri": "/c" }))),
        ("DELETE", "/apisix/admin/routes/1", None),
    ] {
        let (code, answer) = tried.call(&tried.root, method, path, body.as_ref());
        assert_eq!(code, 503, "{method} {path}: {answer}");
        assert!(answer.contains("error_msg"), "{answer}");
    }
    let served = ["/a", "/b", "/c"].map(|path| status(&tried.serving.get(path, "")).to_owned());
    assert_eq!(served, ["401", "404", "404"]);
    assert!(tried.serving.stop().success());
}

#[test]
fn what_loses_what_it_needs_by_force_is_quarantined_and_listed_until_it_is_back() {
    let tried = Tried::new();
    let upstream = json!({ "nodes": { "127.0.0.1:1": 1 } });
    tried.put("/apisix/admin/upstreams/u", &upstream);
    let mut route = keyed("/a");
    route.as_object_mut().unwrap().remove("upstream");
    route["upstream_id"] = json!("u");
    tried.put("/apisix/admin/routes/1", &route);
    tried.put("/apisix/admin/routes/2", &keyed("/*"));
    let served = || ["/a", "/b"].map(|path| status(&tried.serving.get(path, "")).to_owned());
    assert_eq!(served(), ["401", "401"]);
    let call = |method: &str, path: &str| tried.call(&tried.root, method, path, None);
    let (code, told) = call("DELETE", "/apisix/admin/upstreams/u");
    assert_eq!((code, told.contains("route [1] is still using it now")), (400, true), "{told}");
    let (code, told) = call("DELETE", "/apisix/admin/upstreams/u?force=true");
    assert_eq!(code, 200, "{told}");
    // It keeps its place: the wider route does not take it.
    assert_eq!(served(), ["503", "401"]);
    let (_, told) = call("GET", "/bartizan/v1/quarantine");
    let listed: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(listed["total"], 1, "{told}");
    assert!(told.contains("routes/1") && told.contains("there is no upstream `u`"), "{told}");
    tried.put("/apisix/admin/upstreams/u", &upstream);
    let (_, told) = call("GET", "/bartizan/v1/quarantine");
    assert!(told.contains("\"total\":0"), "{told}");
    assert_eq!(served(), ["401", "401"]);
    assert!(tried.serving.stop().success());
}
