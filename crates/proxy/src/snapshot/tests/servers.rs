//! Upstreams: how they are reached, and what is told of them.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Limits;
use bartizan_tls::{Authority, Validity};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::fixture::{Bench, NOW, node, node_with, open};
use crate::balance::Balancer;
use crate::snapshot::{Route, Snapshot, Upstream};

fn resources(upstream: &Value) -> Value {
    json!({
        "upstreams": [upstream],
        "routes": [{ "id": "r", "uri": "/r", "upstream_id": "u", "plugins": open() }]
    })
}

fn upstream(more: &Value) -> Value {
    let mut upstream = json!({ "id": "u", "nodes": { "127.0.0.1:1980": 1 } });
    upstream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    upstream
}

fn found(snapshot: &Snapshot) -> Arc<Route> {
    let fits = |_: &Route| Ok::<_, std::convert::Infallible>(true);
    snapshot.router.find("h", "h", "/r", fits).unwrap().unwrap().route.clone()
}

fn compiled(more: &Value) -> Arc<Upstream> {
    let snapshot = Bench::new(&node()).compile(&resources(&upstream(more)));
    found(&snapshot).upstream.clone().unwrap()
}

fn warnings(more: &Value) -> Vec<String> {
    let snapshot = Bench::new(&node()).compile(&resources(&upstream(more)));
    snapshot.report.warnings.into_iter().map(|warning| warning.problem).collect()
}

fn validity() -> Validity {
    Validity::starting(NOW, Duration::from_secs(86_400))
}

#[test]
fn a_node_is_named_by_its_port_unless_that_is_the_schemes() {
    let of = |scheme: &str, host: &str, port: u16| {
        let nodes = json!([{ "host": host, "port": port, "weight": 1 }]);
        let upstream = compiled(&json!({ "scheme": scheme, "nodes": nodes }));
        (upstream.nodes[0].host.to_string(), upstream.nodes[0].label.to_string())
    };
    let owned = |host: &str, label: &str| (host.to_owned(), label.to_owned());
    assert_eq!(of("http", "a.example", 80), owned("a.example", "a.example:80"));
    assert_eq!(of("http", "a.example", 443), owned("a.example:443", "a.example:443"));
    assert_eq!(of("https", "a.example", 443), owned("a.example", "a.example:443"));
    assert_eq!(of("http", "::1", 80), owned("[::1]", "[::1]:80"));
}

#[test]
fn retries_default_to_the_other_nodes() {
    let nodes = json!({ "127.0.0.1:1": 1, "127.0.0.1:2": 1, "127.0.0.1:3": 1 });
    assert_eq!(compiled(&json!({ "nodes": nodes })).tries(), 3);
    assert_eq!(compiled(&json!({ "nodes": nodes, "retries": 0 })).tries(), 1);
    assert_eq!(compiled(&json!({ "nodes": nodes, "retries": 7 })).tries(), 8);
    assert_eq!(compiled(&json!({ "retry_timeout": 0 })).retry_timeout, None);
    let limit = compiled(&json!({ "retry_timeout": 2 })).retry_timeout;
    assert_eq!(limit, Some(Duration::from_secs(2)));
}

#[tokio::test]
async fn the_routes_timeouts_win_over_the_upstreams_and_those_over_the_nodes() {
    let bench = Bench::new(&node());
    let (limits, end) = (Limits::default(), Instant::now());
    let seconds = |of_route: Option<u64>, of_upstream: Option<u64>| {
        let timeout = |value: u64| json!({ "connect": value, "send": value, "read": value });
        let mut written = resources(&upstream(&json!({})));
        if let Some(value) = of_route {
            written["routes"][0]["timeout"] = timeout(value);
        }
        if let Some(value) = of_upstream {
            written["upstreams"][0]["timeout"] = timeout(value);
        }
        let waits = found(&bench.compile(&written)).waits(&limits, end);
        [waits.connect, waits.send, waits.read].map(|wait| wait.as_secs())
    };
    assert_eq!(seconds(Some(1), Some(2)), [1; 3]);
    assert_eq!(seconds(None, Some(2)), [2; 3]);
    assert_eq!(seconds(None, None), [5, 60, 60]);
}

#[test]
fn connections_are_shared_across_reloads_while_what_they_prove_is_the_same() {
    let bench = Bench::new(&node());
    let id = |more: &Value, previous: Option<&Snapshot>| {
        let (resources, _) = bench.read(&resources(&upstream(more))).unwrap();
        let snapshot = bench.compiler.compile(&resources, 1, previous).unwrap();
        let id = found(&snapshot).upstream.as_ref().unwrap().nodes[0].pool.id();
        (snapshot, id)
    };
    let off = json!({ "scheme": "https", "tls": { "danger_tls_verify_off": true } });
    let (first, plain) = id(&json!({}), None);
    let (second, again) = id(&json!({ "retries": 3 }), Some(&first));
    assert_eq!(plain, again);
    let (third, unverified) = id(&off, Some(&second));
    assert_ne!(plain, unverified);
    let (fourth, same) = id(&off, Some(&third));
    assert_eq!(unverified, same);
    let mut named = off.clone();
    named["pass_host"] = json!("rewrite");
    named["upstream_host"] = json!("b.example");
    assert_ne!(id(&named, Some(&fourth)).1, unverified);
}

#[test]
fn turns_go_on_across_reloads_while_the_nodes_are_the_same() {
    let bench = Bench::new(&node());
    let nodes = json!({ "nodes": { "127.0.0.1:1": 1, "127.0.0.1:2": 1 } });
    let (read, _) = bench.read(&resources(&upstream(&nodes))).unwrap();
    let first = bench.compiler.compile(&read, 1, None).unwrap();
    let second = bench.compiler.compile(&read, 2, Some(&first)).unwrap();
    let balancer = |snapshot: &Snapshot| found(snapshot).upstream.clone().unwrap().balancer.clone();
    assert!(Arc::ptr_eq(&balancer(&first), &balancer(&second)));
    let (read, _) = bench.read(&resources(&upstream(&json!({})))).unwrap();
    let third = bench.compiler.compile(&read, 3, Some(&second)).unwrap();
    assert!(!Arc::ptr_eq(&balancer(&second), &balancer(&third)));
}

#[test]
fn requests_under_way_are_counted_on_across_reloads() {
    let bench = Bench::new(&node());
    let compile = |nodes: &Value, previous: Option<&Snapshot>| {
        let written = json!({ "nodes": nodes, "type": "least_conn" });
        let (read, _) = bench.read(&resources(&upstream(&written))).unwrap();
        bench.compiler.compile(&read, 1, previous).unwrap()
    };
    let before = compile(&json!({ "127.0.0.1:1": 1, "127.0.0.1:2": 1 }), None);
    let busy = found(&before).upstream.as_ref().unwrap().balancer.lease(1);
    let after = compile(&json!({ "127.0.0.1:2": 1, "127.0.0.1:3": 1 }), Some(&before));
    let balancer = found(&after).upstream.clone().unwrap().balancer.clone();
    let Balancer::Load(load) = &*balancer else { panic!("another balancer") };
    assert_eq!(
        [load.first(|_| true), load.first(|_| true)],
        [Some(1), Some(1)],
        "the one that is not busy"
    );
    drop(busy);
    assert_eq!(
        [load.first(|_| true), load.first(|_| true)].map(Option::unwrap).iter().sum::<u16>(),
        1
    );
}

#[test]
fn what_is_hashed_is_known_before_there_is_an_answer() {
    let problems = |on: &str, key: &str| {
        let more = json!({ "type": "chash", "hash_on": on, "key": key });
        Bench::new(&node()).problems(&resources(&upstream(&more)))
    };
    for (on, key) in [
        ("vars", "uri"),
        ("vars", "arg_user-id"),
        ("header", "X-User"),
        ("cookie", "session"),
        ("vars_combinations", "$host-${arg_user}"),
    ] {
        assert!(problems(on, key).is_empty(), "{on} {key}");
    }
    for (on, key, problem) in [
        ("vars", "nothing", "there is no variable `nothing`"),
        ("vars", "pipe", "the variable `pipe` is not supported: requests are served one by one"),
        ("vars", "status", "the server is chosen before there is an answer"),
        (
            "vars_combinations",
            "$host$upstream_addr",
            "the server is chosen before there is an answer",
        ),
        ("vars_combinations", "$host$nothing", "there is no variable `nothing`"),
        ("vars_combinations", "host", "there is no variable in it"),
    ] {
        assert_eq!(problems(on, key), [problem], "{on} {key}");
    }
}

#[test]
fn plaintext_beyond_the_machine_is_told_and_refused_where_tls_is_required() {
    let beyond = json!({ "nodes": { "10.0.0.5:80": 1, "10.0.0.6:80": 1, "127.0.0.1:80": 1 } });
    let problem = "upstream `u` is spoken to in clear at `10.0.0.5:80` and 1 more";
    assert_eq!(warnings(&beyond), [problem]);
    assert_eq!(warnings(&json!({})), [""; 0]);

    let require = json!({ "require": ["authentication", "grant", "upstream_tls"] });
    let bench = Bench::new(&node_with(&require));
    assert_eq!(bench.problems(&resources(&upstream(&beyond))), [problem]);
    assert!(bench.problems(&resources(&upstream(&json!({})))).is_empty());
}

#[test]
fn an_unverified_upstream_is_told_and_refused_where_tls_is_required() {
    let off = json!({
        "scheme": "https", "nodes": { "10.0.0.5:443": 1 }, "tls": { "danger_tls_verify_off": true }
    });
    let problem = "the certificate of upstream `u` is not verified";
    assert_eq!(warnings(&off), [problem]);
    let require = json!({ "require": ["authentication", "grant", "upstream_tls"] });
    let bench = Bench::new(&node_with(&require));
    assert_eq!(bench.problems(&resources(&upstream(&off))), [problem]);
}

#[test]
fn plaintext_of_plugins_beyond_the_machine_is_told_and_refused_where_tls_is_required() {
    let require = json!({ "require": ["authentication", "grant", "upstream_tls"] });
    let (lax, strict) = (Bench::new(&node()), Bench::new(&node_with(&require)));
    let opa = |host: &str, verify: bool| {
        let mut config = json!({ "host": host, "policy": "p" });
        if !verify {
            config["danger_ssl_verify"] = json!(false);
        }
        config
    };
    let beyond = |to: &str| format!("speaks in clear to `{to}`");
    for (name, config, told) in [
        ("http-logger", json!({ "uri": "http://logs.example/in" }), beyond("logs.example:80")),
        ("http-logger", json!({ "uri": "http://[::1]:9/in" }), String::new()),
        ("http-logger", json!({ "uri": "https://logs.example/in" }), String::new()),
        ("tcp-logger", json!({ "host": "10.0.0.5", "port": 9 }), beyond("10.0.0.5:9")),
        ("tcp-logger", json!({ "host": "10.0.0.5", "port": 9, "tls": true }), String::new()),
        ("udp-logger", json!({ "host": "10.0.0.5", "port": 9 }), beyond("10.0.0.5:9")),
        ("udp-logger", json!({ "host": "localhost", "port": 9 }), String::new()),
        ("syslog", json!({ "host": "logs.example", "port": 9 }), beyond("logs.example:9")),
        ("forward-auth", json!({ "uri": "http://auth.example/" }), beyond("auth.example:80")),
        ("opa", opa("http://opa.example:8181", true), beyond("opa.example:8181")),
        (
            "opa",
            opa("https://opa.example", false),
            "does not verify the certificate of `opa.example:443`".to_owned(),
        ),
    ] {
        let mut plugins = json!({ "anonymous-access": { "reason": "x" } });
        plugins[name] = config;
        let written = json!({ "routes": [super::fixture::route("r", &plugins)] });
        let snapshot = lax.compile(&written);
        let warnings: Vec<&str> =
            snapshot.report.warnings.iter().map(|warning| warning.problem.as_str()).collect();
        let told = if told.is_empty() {
            Vec::new()
        } else {
            vec![format!("plugin `{name}` of route `r` {told}")]
        };
        assert_eq!(warnings, told, "{name}");
        assert_eq!(strict.problems(&written), told, "{name}");
        plugins[name]["_meta"] = json!({ "disable": true });
        let written = json!({ "routes": [super::fixture::route("r", &plugins)] });
        assert!(strict.problems(&written).is_empty(), "{name} is disabled");
    }
}

#[test]
fn an_upstream_without_weight_is_told() {
    let told = ["upstream `u` has no node with a weight: it answers nothing"];
    assert_eq!(warnings(&json!({ "nodes": { "127.0.0.1:1": 0, "127.0.0.1:2": 0 } })), told);
    assert_eq!(warnings(&json!({ "nodes": [] })), told);
}

#[test]
fn what_is_verified_is_the_host_that_is_asked_for_where_that_is_fixed() {
    let authority = Authority::create("test", validity()).unwrap().certificate();
    let name = |more: &Value| {
        let mut written = json!({
            "scheme": "https", "nodes": { "127.0.0.1:443": 1 }, "tls": { "ca_certs": authority }
        });
        written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let target = &compiled(&written).nodes[0].target;
        target.tls.as_ref().unwrap().server_name.to_str().into_owned()
    };
    assert_eq!(name(&json!({})), "127.0.0.1");
    assert_eq!(name(&json!({ "pass_host": "node" })), "127.0.0.1");
    let fixed = json!({ "pass_host": "rewrite", "upstream_host": "b.example:8443" });
    assert_eq!(name(&fixed), "b.example");
}

#[test]
fn faults_of_upstream_tls_are_told_at_their_field() {
    let bench = Bench::new(&node());
    let authority = Authority::create("test", validity()).unwrap();
    let one = authority.issue_client("one", &[], validity()).unwrap();
    let other = authority.issue_client("other", &[], validity()).unwrap();
    let text = |key: &bartizan_core::Secret| key.expose_str().unwrap().to_owned();
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let fault = |more: &Value| {
        let mut written = upstream(&json!({ "scheme": "https" }));
        written.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (resources, sources) = bench.read(&resources(&written)).unwrap();
        let faults = bench.compiler.compile(&resources, 1, None).err().unwrap();
        assert_eq!(faults.len(), 1, "{faults:?}");
        faults[0].diagnostic(&sources).path.to_string()
    };
    assert_eq!(fault(&json!({ "tls": { "ca_certs": junk } })), "upstreams[0].tls.ca_certs");
    let mixed = json!({ "client_cert": one.chain, "client_key": text(&other.key) });
    assert_eq!(fault(&json!({ "tls": mixed })), "upstreams[0].tls.client_key");
    let named = json!({
        "nodes": { "127.0.0.1:443": 1 }, "tls": { "ca_certs": authority.certificate() },
        "pass_host": "rewrite", "upstream_host": "a_b-.example"
    });
    assert_eq!(fault(&named), "upstreams[0].upstream_host");
}

#[test]
fn a_certificate_for_upstreams_is_checked_once_where_it_is_written() {
    let bench = Bench::new(&node());
    let authority = Authority::create("test", validity()).unwrap();
    let one = authority.issue_client("one", &[], validity()).unwrap();
    let other = authority.issue_client("other", &[], validity()).unwrap();
    let written = |key: &bartizan_core::Secret| {
        let more = json!({
            "scheme": "https",
            "tls": { "ca_certs": authority.certificate(), "client_cert_id": "c" }
        });
        let mut written = resources(&upstream(&more));
        written["ssls"] = json!([{
            "id": "c", "type": "client", "cert": one.chain, "key": key.expose_str()
        }]);
        written
    };
    assert!(bench.problems(&written(&one.key)).is_empty());
    let problems = bench.problems(&written(&other.key));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("the private key is not the key of the certificate"));

    let mut off = written(&one.key);
    off["ssls"][0]["status"] = json!(0);
    assert_eq!(bench.problems(&off), ["ssl `c` is out of service"]);
}

fn misplaced(node: &Value, address: &str) -> Vec<String> {
    Bench::new(node).problems(&resources(&upstream(&json!({ "nodes": { address: 1 } }))))
}

#[test]
fn an_address_that_must_not_be_reached_is_refused_by_name_before_it_is_tried() {
    for address in
        ["169.254.169.254:80", "[fe80::1]:80", "[::ffff:169.254.0.1]:80", "127.0.0.1:9080"]
    {
        let problems = misplaced(&node(), address);
        assert_eq!(problems.len(), 1, "{address}: {problems:?}");
        assert!(problems[0].contains(&format!("`{address}`")), "{address}: {problems:?}");
    }
    assert!(misplaced(&node(), "127.0.0.1:9081").is_empty());
}

#[test]
fn danger_admits_link_local_upstreams_and_never_our_own_listener() {
    let mut danger = node();
    danger["danger_allow_link_local"] = true.into();
    assert_eq!(misplaced(&danger, "169.254.169.254:80"), [""; 0]);
    assert_eq!(misplaced(&danger, "127.0.0.1:9080").len(), 1);
}
