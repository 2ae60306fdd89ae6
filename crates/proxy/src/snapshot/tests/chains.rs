//! Which plugins a route runs, whose they are, and what `_meta` may say.

use std::sync::Arc;

use bartizan_chain::PluginSet;
use bartizan_core::Reason;
use http::Method;
use serde_json::{Value, json};

use super::fixture::{Bench, Fate, Probe, guarded, local, node, node_with, open, route};
use crate::snapshot::{Route, Snapshot};

fn found(snapshot: &Snapshot, path: &str) -> Arc<Route> {
    let fits = |_: &Route| Ok::<_, std::convert::Infallible>(true);
    let leaf = snapshot.router.find("a.example", "a.example", path, fits).unwrap();
    leaf.unwrap().route.clone()
}

fn names(route: &Route) -> Vec<&'static str> {
    route.chain.steps().iter().map(|step| step.plugin.name()).collect()
}

fn cors() -> Value {
    json!({ "allow_origins": "https://b.example" })
}

/// Admits these networks only.
fn networks(list: &[&str]) -> Value {
    json!({ "whitelist": list })
}

#[test]
fn a_route_wins_over_its_plugin_config_and_that_over_the_service() {
    let bench = Bench::new(&node());
    let at = |name: &str| json!({ "ip-restriction": networks(&[name]) });
    let both = |mut plugins: Value| {
        plugins.as_object_mut().unwrap().extend(open().as_object().unwrap().clone());
        plugins
    };
    let snapshot = bench.compile(&json!({
        "services": [{ "id": "s", "plugins": both(at("10.0.0.1")), "upstream": local() }],
        "plugin_configs": [{ "id": "c", "plugins": at("10.0.0.2") }],
        "routes": [
            { "id": "of-service", "uri": "/1", "service_id": "s" },
            { "id": "of-config", "uri": "/2", "service_id": "s", "plugin_config_id": "c" },
            {
                "id": "own", "uri": "/3", "service_id": "s", "plugin_config_id": "c",
                "plugins": at("10.0.0.3")
            },
        ]
    }));
    for (path, admitted) in [("/1", "10.0.0.1"), ("/2", "10.0.0.2"), ("/3", "10.0.0.3")] {
        for client in ["10.0.0.1", "10.0.0.2", "10.0.0.3"] {
            let fate = Probe::get(path).from(client).send(&snapshot, &bench.facts);
            let passes = matches!(fate, Fate::Forwarded(_));
            assert_eq!(passes, client == admitted, "{path} from {client}: {fate:?}");
        }
        assert_eq!(names(&found(&snapshot, path)), ["ip-restriction", "anonymous-access"]);
    }
}

#[test]
fn routes_of_a_service_share_its_plugins_and_what_they_remember() {
    let bench = Bench::new(&node());
    let limit = json!({ "count": 1, "time_window": 60, "key": "remote_addr" });
    let mut plugins = open();
    plugins["limit-count"] = limit;
    let snapshot = bench.compile(&json!({
        "services": [{ "id": "s", "plugins": plugins, "upstream": local() }],
        "routes": [
            { "id": "a", "uri": "/a", "service_id": "s" },
            { "id": "b", "uri": "/b", "service_id": "s",
              "plugins": { "ip-restriction": networks(&["192.0.2.0/24"]) } },
        ]
    }));
    let (a, b) = (found(&snapshot, "/a"), found(&snapshot, "/b"));
    let limiter = |route: &Route| {
        let step = route.chain.steps().iter().find(|step| step.plugin.name() == "limit-count");
        step.unwrap().plugin.clone()
    };
    assert!(Arc::ptr_eq(&limiter(&a), &limiter(&b)));
    let send = |path| Probe::get(path).send(&snapshot, &bench.facts);
    assert_eq!(send("/a"), Fate::Forwarded("a".into()));
    assert_eq!(send("/b"), Fate::Denied(Reason::RateLimited));
}

#[test]
fn routes_without_plugins_of_their_own_share_one_chain() {
    let bench = Bench::new(&node());
    let snapshot = bench.compile(&json!({
        "services": [{ "id": "s", "plugins": guarded(), "upstream": local() }],
        "routes": [
            { "id": "a", "uri": "/a", "service_id": "s" },
            { "id": "b", "uri": "/b", "service_id": "s" },
        ]
    }));
    assert!(Arc::ptr_eq(&found(&snapshot, "/a").chain, &found(&snapshot, "/b").chain));
}

#[test]
fn what_is_disabled_is_checked_and_does_not_run() {
    let bench = Bench::new(&node());
    let mut plugins = open();
    plugins["ip-restriction"] = json!({ "whitelist": ["10.0.0.1"], "_meta": { "disable": true } });
    let snapshot = bench.compile(&json!({ "routes": [route("a", &plugins)] }));
    assert_eq!(names(&found(&snapshot, "/a")), ["anonymous-access"]);

    plugins["ip-restriction"]["blacklist"] = json!(["10.0.0.2"]);
    let problems = bench.problems(&json!({ "routes": [route("a", &plugins)] }));
    assert_eq!(problems, ["there is also a `whitelist`"]);
}

#[test]
fn what_nobody_refers_to_is_checked_too() {
    let bench = Bench::new(&node());
    let broken = json!({ "ip-restriction": { "whitelist": ["10.0.0.0/99"] } });
    let problems = bench.problems(&json!({
        "services": [{ "id": "s", "plugins": broken }],
        "plugin_configs": [{ "id": "c", "plugins": broken }],
        "consumer_groups": [{ "id": "g", "plugins": broken }],
        "global_rules": [{ "id": "r", "plugins": broken }],
        "routes": [{
            "id": "off", "uri": "/off", "status": 0, "upstream": local(), "plugins": broken
        }],
    }));
    assert_eq!(problems.len(), 5, "{problems:?}");
}

#[test]
fn a_route_out_of_service_is_not_served_and_needs_nothing() {
    let bench = Bench::new(&node());
    let mut off = route("a", &json!({}));
    off["status"] = json!(0);
    let snapshot = bench.compile(&json!({ "routes": [off] }));
    assert_eq!(Probe::get("/a").send(&snapshot, &bench.facts), Fate::Missed);
    assert!(!snapshot.report.routes[0].is_enabled);
}

#[test]
fn a_plugin_runs_where_its_filter_holds_and_denies_where_that_is_unknown() {
    let bench = Bench::new(&node());
    let mut plugins = open();
    plugins["ip-restriction"] = json!({
        "whitelist": ["10.0.0.1"], "_meta": { "filter": [["arg_strict", "==", "1"]] }
    });
    let snapshot = bench.compile(&json!({ "routes": [route("a", &plugins)] }));
    let send = |target| Probe::get(target).send(&snapshot, &bench.facts);
    assert_eq!(send("/a"), Fate::Forwarded("a".into()));
    assert_eq!(send("/a?strict=1"), Fate::Denied(Reason::AddressDenied));
    assert_eq!(send("/a?strict=0&strict=1"), Fate::Denied(Reason::AmbiguousParameter));
}

#[test]
fn a_filter_reads_only_what_is_known_when_the_plugin_runs() {
    let bench = Bench::new(&node());
    let filtered = |name: &str, config: &Value, var: &str| {
        let mut plugins = guarded();
        plugins[name] = config.clone();
        plugins[name]["_meta"] = json!({ "filter": [[var, "==", "x"]] });
        bench.problems(&json!({ "routes": [route("a", &plugins)] }))
    };
    let address = networks(&["10.0.0.1"]);
    let caller = "the filter reads who calls, which is not known when the plugin runs";
    let answer = "the filter reads the answer, which is not known when the plugin runs";
    assert_eq!(filtered("ip-restriction", &address, "consumer_name"), [caller]);
    assert_eq!(filtered("ip-restriction", &address, "status"), [answer]);
    let group = json!({ "type": "route_id", "blacklist": ["x"] });
    assert!(filtered("consumer-restriction", &group, "consumer_name").is_empty());
    assert_eq!(filtered("consumer-restriction", &group, "status"), [answer]);
    let body = "the filter reads the body, which is not known when the plugin runs";
    assert_eq!(filtered("consumer-restriction", &group, "post_arg_x"), [body]);
    let rewrite = json!({ "headers": { "set": { "x-a": "b" } } });
    assert!(filtered("proxy-rewrite", &rewrite, "post_arg_x").is_empty());
    assert_eq!(filtered("proxy-rewrite", &rewrite, "sent_http_x"), [answer]);
    let end = "the filter reads how it ended, which is not known when the plugin runs";
    let response = json!({ "status_code": 200 });
    assert_eq!(filtered("response-rewrite", &response, "bytes_sent"), [end]);
    assert_eq!(filtered("response-rewrite", &response, "post_arg_x"), [body]);
    assert!(filtered("response-rewrite", &response, "sent_http_x").is_empty());
    assert!(filtered("file-logger", &json!({ "path": "a" }), "bytes_sent").is_empty());
    // A consumer's plugins begin once it is known who calls.
    let of_consumer = json!({
        "whitelist": ["10.0.0.1"], "_meta": { "filter": [["consumer_name", "==", "x"]] }
    });
    let resources = json!({
        "consumers": [{ "username": "alice", "plugins": { "ip-restriction": of_consumer } }]
    });
    assert!(bench.problems(&resources).is_empty());
}

#[test]
fn a_priority_orders_a_plugin_inside_its_stage_and_nowhere_else() {
    let bench = Bench::new(&node());
    let with = |priority: i32| {
        let mut plugins = open();
        plugins["cors"] = cors();
        plugins["ip-restriction"] = networks(&["192.0.2.0/24"]);
        plugins["ip-restriction"]["_meta"] = json!({ "priority": priority });
        json!({ "routes": [route("a", &plugins)] })
    };
    let order = |priority| names(&found(&bench.compile(&with(priority)), "/a"));
    assert_eq!(order(3_000), ["cors", "ip-restriction", "anonymous-access"]);
    assert_eq!(order(4_000), ["cors", "ip-restriction", "anonymous-access"]);
    assert_eq!(order(2_000), ["cors", "anonymous-access", "ip-restriction"]);
    for outside in [-1, 100_000] {
        let problem = format!("`{outside}` would move `ip-restriction` out of its stage `admit`");
        assert_eq!(bench.problems(&with(outside)), [problem]);
    }
}

#[test]
fn an_error_response_is_text_as_it_is_or_an_object_as_json() {
    let bench = Bench::new(&node());
    for (written, expected) in
        [(json!("go away"), ("go away", false)), (json!({ "code": 7 }), (r#"{"code":7}"#, true))]
    {
        let mut plugins = open();
        plugins["ip-restriction"] = networks(&["10.0.0.1"]);
        plugins["ip-restriction"]["_meta"] = json!({ "error_response": written });
        let snapshot = bench.compile(&json!({ "routes": [route("a", &plugins)] }));
        let route = found(&snapshot, "/a");
        let (text, is_json) = route.chain.steps()[0].error_response.clone().unwrap();
        assert_eq!((&*text, is_json), expected);
    }
}

#[test]
fn global_rules_run_before_the_route_and_twice_where_they_are_written_twice() {
    let bench = Bench::new(&node());
    let rule = |id: &str, net: &str| json!({ "id": id, "plugins": { "ip-restriction": networks(&[net]) } });
    let snapshot = bench.compile(&json!({
        "global_rules": [rule("one", "10.0.0.0/8"), rule("two", "10.1.0.0/16")],
        "routes": [route("a", &open())]
    }));
    assert_eq!(snapshot.global.steps().len(), 2);
    let send = |client| Probe::get("/a").from(client).send(&snapshot, &bench.facts);
    assert_eq!(send("10.1.0.1"), Fate::Forwarded("a".into()));
    assert_eq!(send("10.2.0.1"), Fate::Denied(Reason::AddressDenied));
    assert_eq!(send("192.0.2.1"), Fate::Denied(Reason::AddressDenied));
}

#[test]
fn preflights_fit_a_route_of_other_methods_where_cors_always_answers_them() {
    let bench = Bench::new(&node());
    let preflight = [("origin", "https://b.example"), ("access-control-request-method", "GET")];
    let fate = |cors: Value, global: Value| {
        let mut plugins = open();
        plugins.as_object_mut().unwrap().extend(cors.as_object().unwrap().clone());
        let mut written = route("a", &plugins);
        written["methods"] = json!(["GET"]);
        let snapshot = bench.compile(&json!({
            "routes": [written], "global_rules": [{ "id": "g", "plugins": global }]
        }));
        Probe::get("/a").by(Method::OPTIONS).with(&preflight).send(&snapshot, &bench.facts)
    };
    let mut filtered = json!({ "cors": cors() });
    filtered["cors"]["_meta"] = json!({ "filter": [["arg_x", "==", "1"]] });
    let cors = json!({ "cors": cors() });
    assert_eq!(fate(json!({}), json!({})), Fate::Missed);
    assert_eq!(fate(cors.clone(), json!({})), Fate::Answered(204));
    assert_eq!(fate(json!({}), cors), Fate::Answered(204));
    assert_eq!(fate(filtered, json!({})), Fate::Missed);
}

#[test]
fn a_route_takes_what_fits_its_methods_addresses_and_variables() {
    let bench = Bench::new(&node());
    let mut narrow = route("a", &open());
    narrow["methods"] = json!(["POST"]);
    narrow["remote_addrs"] = json!(["::ffff:10.0.0.0/104"]);
    narrow["vars"] = json!([["arg_v", "==", "2"]]);
    let snapshot = bench.compile(&json!({ "routes": [narrow] }));
    let send = |method, target, client: &str| {
        Probe::get(target).by(method).from(client).send(&snapshot, &bench.facts)
    };
    assert_eq!(send(Method::POST, "/a?v=2", "10.0.0.1"), Fate::Forwarded("a".into()));
    assert_eq!(send(Method::POST, "/a?v=2", "::ffff:10.0.0.1"), Fate::Forwarded("a".into()));
    assert_eq!(send(Method::GET, "/a?v=2", "10.0.0.1"), Fate::Missed);
    assert_eq!(send(Method::POST, "/a?v=2", "11.0.0.1"), Fate::Missed);
    assert_eq!(send(Method::POST, "/a?v=3", "10.0.0.1"), Fate::Missed);
    let twice = send(Method::POST, "/a?v=2&v=3", "10.0.0.1");
    assert_eq!(twice, Fate::Denied(Reason::AmbiguousParameter));
}

#[test]
fn variables_of_a_route_read_the_request_only() {
    let bench = Bench::new(&node());
    for var in ["consumer_name", "remote_user", "status", "route_id", "service_name", "server_name"]
    {
        let mut written = route("a", &open());
        written["vars"] = json!([[var, "==", "x"]]);
        let problems = bench.problems(&json!({ "routes": [written] }));
        assert_eq!(problems, ["reads what is not known before the route is chosen"], "{var}");
    }
    for (var, why) in [
        ("post_arg_x", "reads the body, which happens after authentication; use a plugin"),
        ("sent_http_x", "is only known once there is an answer, to filters and logs"),
        ("bytes_sent", "is only known once there is an answer, to filters and logs"),
        ("document_root", "is not supported: no files are served"),
    ] {
        let mut written = route("a", &open());
        written["vars"] = json!([[var, "==", "x"]]);
        let problems = bench.problems(&json!({ "routes": [written] }));
        assert_eq!(problems, [format!("the variable `{var}` {why}")]);
    }
}

#[test]
fn routes_are_chosen_by_what_is_known_of_a_connection() {
    let bench = Bench::new(&node());
    let chosen = |condition: Value| {
        let mut written = route("a", &open());
        written["vars"] = json!([condition]);
        let snapshot = bench.compile(&json!({ "routes": [written] }));
        Probe::get("/a?b").send(&snapshot, &bench.facts) == Fate::Forwarded("a".into())
    };
    for (condition, expected) in [
        (json!(["request", "GET /a?b HTTP/1.1"]), true),
        (json!(["request", "GET /a HTTP/1.1"]), false),
        (json!(["pid", ">", 0]), true),
        (json!(["connection", ">", 0]), true),
        (json!(["connection_requests", "==", 0]), true),
        (json!(["time_iso8601", "~~", "^[0-9]{4}-.*Z$"]), true),
        (json!(["time_local", "~~", r"^\d\d/[A-Z][a-z]{2}/\d{4}:[\d:]{8} \+0000$"]), true),
        (json!(["ssl_cipher", "~=", "x"]), true),
        (json!(["ssl_session_reused", "==", "."]), false),
    ] {
        assert_eq!(chosen(condition.clone()), expected, "{condition}");
    }
}

#[test]
fn every_fault_is_told_at_once_in_the_order_of_the_document() {
    let bench = Bench::new(&node_with(&json!({ "require": ["authentication"] })));
    let (resources, sources) = bench
        .read(&json!({
            "routes": [
                route("a", &json!({})),
                route("b", &json!({ "ip-restriction": networks(&["10.0.0.0/99"]) })),
                route("c", &json!({})),
            ]
        }))
        .unwrap();
    let faults = bench.compiler.compile(&resources, 1, None).err().unwrap();
    let paths: Vec<String> =
        faults.iter().map(|fault| fault.diagnostic(&sources).path.to_string()).collect();
    assert_eq!(paths, ["routes[0]", "routes[1].plugins.ip-restriction.whitelist[0]", "routes[2]"]);
}
