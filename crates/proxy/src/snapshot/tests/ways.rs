//! What people are told of a route beside what it proves: where its plugins stand, and how requests
//! travel.

use std::sync::Arc;
use std::time::Duration;

use bartizan_config::ResourceKind;
use bartizan_tls::{Authority, KeyKind, Validity};
use serde_json::{Value, json};

use super::fixture::{Bench, NOW, guarded, node, open};
use crate::snapshot::UpstreamTls;
use crate::ways::{ClientTls, Ways};

#[test]
fn a_plugin_is_told_with_the_object_that_it_stands_in_and_what_it_proves() {
    let plugins = |names: &[&str]| {
        let written = names.iter().map(|name| ((*name).to_owned(), json!({})));
        Value::Object(written.collect())
    };
    let service = guarded();
    let snapshot = Bench::new(&node()).compile(&json!({
        "global_rules": [{ "id": "g", "plugins": plugins(&["request-id"]) }],
        "services": [{ "id": "s", "plugins": service, "upstream": { "nodes": { "127.0.0.1:1": 1 } } }],
        "plugin_configs": [{ "id": "c", "plugins": plugins(&["prometheus"]) }],
        "routes": [
            { "id": "own", "uri": "/a", "service_id": "s", "plugins": { "key-auth": { "header": "x" } } },
            { "id": "all", "uri": "/b", "service_id": "s", "plugin_config_id": "c" },
        ]
    }));
    let origins = |at: usize| {
        let stages = snapshot.report.routes[at].stages.iter().flat_map(|(_, plugins)| plugins);
        let mut told: Vec<_> = stages.map(|plugin| (plugin.name, plugin.origin)).collect();
        told.dedup();
        told
    };
    let (route, service, global) =
        (ResourceKind::Route, ResourceKind::Service, ResourceKind::GlobalRule);
    assert!(origins(1).contains(&("prometheus", ResourceKind::PluginConfig)));
    for (at, of_key) in [(0, route), (1, service)] {
        let told = origins(at);
        for expected in
            [("request-id", global), ("key-auth", of_key), ("any-authenticated", service)]
        {
            assert!(told.contains(&expected), "{at}: {told:?}");
        }
    }
    let stages = snapshot.report.routes[0].stages.iter().flat_map(|(_, plugins)| plugins);
    let proves = |name: &str| stages.clone().find(|plugin| plugin.name == name).unwrap().proves;
    assert!(proves("key-auth").authentication && !proves("key-auth").grant);
    assert!(proves("any-authenticated").grant);
}

#[test]
fn a_websocket_goes_to_no_upstream_of_grpc() {
    let bench = Bench::new(&node());
    let problems = |scheme: &str, of_service: bool, of_route: Option<bool>| {
        let upstream = json!({ "scheme": scheme, "nodes": { "127.0.0.1:1": 1 } });
        let mut route = json!({ "id": "r", "uri": "/a", "service_id": "s" });
        if let Some(of_route) = of_route {
            route["enable_websocket"] = json!(of_route);
        }
        let service = json!({
            "id": "s", "plugins": open(), "upstream": upstream, "enable_websocket": of_service
        });
        bench.problems(&json!({ "services": [service], "routes": [route] })).len()
    };
    for (scheme, of_service, of_route, expected) in [
        ("http", true, None, 0),
        ("grpc", false, None, 0),
        ("grpc", true, None, 1),
        ("grpc", true, Some(false), 0),
        ("grpc", false, Some(true), 1),
    ] {
        let found = problems(scheme, of_service, of_route);
        assert_eq!(found, expected, "{scheme} {of_service} {of_route:?}");
    }
}

#[test]
fn how_requests_travel_to_an_upstream_is_told_of_the_upstream_in_force() {
    for (upstream, expected) in [
        (json!({ "nodes": { "127.0.0.1:1": 1, "[::1]:2": 1 } }), UpstreamTls::OnThisMachine),
        (json!({ "nodes": { "127.0.0.1:1": 1, "10.0.0.1:2": 1 } }), UpstreamTls::InClear),
        (json!({ "scheme": "https", "nodes": { "10.0.0.1:2": 1 } }), UpstreamTls::Verified),
        (
            json!({ "scheme": "https", "nodes": { "10.0.0.1:2": 1 }, "tls": { "danger_tls_verify_off": true } }),
            UpstreamTls::Unverified,
        ),
    ] {
        let bench = Bench::new(&node());
        let route = json!({ "id": "r", "uri": "/r", "upstream": upstream, "plugins": open() });
        let snapshot = bench.compile(&json!({ "routes": [route] }));
        let origin = snapshot.report.routes[0].upstream.clone().unwrap();
        let ways = Ways::new(&bench.node.listeners, Arc::new(snapshot));
        assert_eq!(ways.of_upstream(&origin), Some(expected), "{upstream}");
    }
}

#[test]
fn how_clients_reach_a_host_depends_on_the_listeners_and_their_certificates() {
    let validity = Validity::starting(NOW, Duration::from_secs(86_400));
    let authority = Authority::create("test", validity).unwrap();
    let issued =
        authority.issue_server(&["a.test", "*.b.test"], validity, KeyKind::EcP256).unwrap();
    let certificate = json!({ "cert": issued.chain, "key": issued.key.expose_str() });
    let secure = json!({ "address": "0.0.0.0:1", "tls": { "certificates": [certificate] } });
    let redirects = json!({ "address": "0.0.0.0:2" });
    let local = json!({ "address": "127.0.0.1:3" });
    let clear = json!({ "address": "0.0.0.0:4", "danger_plaintext": true });
    let none = |host: &str| ClientTls::NoCertificate(host.to_owned());
    for (listeners, hosts, expected) in [
        (json!([secure]), vec!["a.test", "x.b.test", "*.b.test"], ClientTls::Only),
        (json!([secure, redirects, local]), vec![], ClientTls::Only),
        (json!([secure, local]), vec!["a.test", "c.test"], none("c.test")),
        (json!([secure]), vec!["10.0.0.1"], none("10.0.0.1")),
        (json!([secure, clear]), vec!["a.test"], ClientTls::AlsoInClear),
        (json!([local, redirects]), vec!["c.test"], ClientTls::OnThisMachine),
        (json!([clear, local]), vec![], ClientTls::InClear),
        (json!([redirects]), vec!["a.test"], ClientTls::Nowhere),
    ] {
        let bench = Bench::new(&json!({ "listeners": listeners }));
        let snapshot = bench.compile(&json!({}));
        let ways = Ways::new(&bench.node.listeners, Arc::new(snapshot));
        let hosts: Vec<String> = hosts.into_iter().map(str::to_owned).collect();
        assert_eq!(ways.of_clients(&hosts), expected, "{listeners} {hosts:?}");
    }
}
