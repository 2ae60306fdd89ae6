//! Health checks: what becomes of them when a configuration changes, and what does not compile.

use std::sync::Arc;

use bartizan_config::{ResourceKind, ResourceRef};
use serde_json::{Value, json};

use super::fixture::{Bench, guarded, node};
use super::live::{Live, Written, first};
use crate::balance::Balancer;
use crate::health::Health;
use crate::snapshot::ProbedNow;

fn checked(nodes: &Value, active: &Value) -> Value {
    json!({ "nodes": nodes, "checks": { "active": active } })
}

fn of(live: &Live, kind: ResourceKind, id: &str) -> Option<Arc<Health>> {
    let snapshot = live.snapshot.as_ref().unwrap();
    let upstream = snapshot.upstreams.get(&ResourceRef { kind, id: id.into() })?;
    for node in &upstream.nodes {
        let listed = upstream.health.as_ref().map(|health| {
            health.standings().into_iter().find(|standing| standing.label == node.label).unwrap()
        });
        let (own, listed) = (node.standing.as_ref(), listed.as_ref());
        assert_eq!(own.map(Arc::as_ptr), listed.map(Arc::as_ptr), "nodes hold what probes write");
    }
    upstream.health.clone()
}

fn shared(live: &Live) -> Option<Arc<Health>> {
    of(live, ResourceKind::Upstream, "u0")
}

/// What is to be probed from now on, by name.
fn probed(live: &mut Live) -> Vec<(String, bool)> {
    let snapshot = live.snapshot.as_mut().unwrap();
    let mut probed: Vec<(String, bool)> = match std::mem::take(&mut snapshot.probed) {
        ProbedNow::All(all) => all.iter().map(|health| (health.origin.to_string(), true)).collect(),
        ProbedNow::Changed(places) => {
            places.iter().map(|(origin, health)| (origin.to_string(), health.is_some())).collect()
        }
    };
    probed.sort();
    probed
}

fn name(text: &str, is_probed: bool) -> (String, bool) {
    (text.to_owned(), is_probed)
}

#[test]
fn state_outlives_every_change_but_the_end_of_the_checks() {
    let two = json!({ "10.0.0.1:80": 1, "10.0.0.2:80": 1 });
    let active = json!({ "http_path": "/up" });
    for written in [Written::Stored, Written::Listed, Written::Backwards] {
        let mut objects = first();
        objects.insert("upstreams/u0", checked(&two, &active));
        let mut live = Live::start(written, objects);
        assert_eq!(probed(&mut live), [name("upstream `u0`", true)]);
        let begun = shared(&live).unwrap();
        // Another object.
        let change = json!({ "nodes": { "127.0.0.1:2": 1 } });
        assert!(live.amend(&[("upstreams/u1", Some(change))]));
        assert!(Arc::ptr_eq(&shared(&live).unwrap(), &begun), "{written:?}");
        assert!(!probed(&mut live).contains(&name("upstream `u0`", true)));
        // Everything anew.
        live.take().unwrap();
        assert!(Arc::ptr_eq(&shared(&live).unwrap(), &begun), "{written:?}");
        assert_eq!(probed(&mut live), [name("upstream `u0`", true)]);
        // Another field of the upstream.
        let mut retried = checked(&two, &active);
        retried["retries"] = json!(0);
        assert!(live.amend(&[("upstreams/u0", Some(retried))]));
        assert!(Arc::ptr_eq(&shared(&live).unwrap(), &begun), "{written:?}");
        // Another server beside one that stays.
        let other = json!({ "10.0.0.3:80": 1, "10.0.0.2:80": 1 });
        assert!(live.amend(&[("upstreams/u0", Some(checked(&other, &active)))]));
        let moved = shared(&live).unwrap();
        let standings = [begun.standings(), moved.standings()].concat();
        assert!(
            Arc::ptr_eq(&standings[1], &standings[3]) && !Arc::ptr_eq(&standings[0], &standings[2])
        );
        assert!(probed(&mut live).contains(&name("upstream `u0`", true)));
        // Another check.
        let active = json!({ "http_path": "/other" });
        assert!(live.amend(&[("upstreams/u0", Some(checked(&other, &active)))]));
        let changed = shared(&live).unwrap();
        let mut pairs = moved.standings().into_iter().zip(changed.standings());
        assert!(pairs.all(|(one, two)| Arc::ptr_eq(&one, &two)), "{written:?}");
        assert!(!Arc::ptr_eq(&moved, &changed), "{written:?}");
        // None any more.
        assert!(live.amend(&[("upstreams/u0", Some(json!({ "nodes": other })))]));
        assert!(shared(&live).is_none());
        assert!(probed(&mut live).contains(&name("upstream `u0`", false)));
    }
}

#[test]
fn upstreams_of_routes_come_and_go_with_them() {
    let mut live = Live::start(Written::Stored, first());
    assert_eq!(probed(&mut live), []);
    let inline = checked(&json!({ "10.0.0.1:80": 1 }), &json!({}));
    let route = json!({ "uri": "/b", "service_id": "s0", "upstream": inline });
    assert!(live.amend(&[("routes/r1", Some(route))]));
    assert!(of(&live, ResourceKind::Route, "r1").is_some());
    assert_eq!(probed(&mut live), [name("route `r1`", true)]);
    let route = json!({ "uri": "/b", "service_id": "s0" });
    assert!(live.amend(&[("routes/r1", Some(route))]));
    assert_eq!(probed(&mut live), [name("route `r1`", false)]);
    live.take().unwrap();
    assert_eq!(probed(&mut live), []);
}

/// What is said of an upstream with these fields.
fn problems(upstream: &Value) -> Vec<String> {
    Bench::new(&node()).problems(&json!({ "upstreams": [upstream] }))
}

#[test]
fn probes_obey_what_requests_obey() {
    let on_port = |port: u16| {
        let nodes = json!({ "127.0.0.1:80": 1 });
        let active = json!({ "port": port });
        problems(&json!({ "id": "u", "nodes": nodes, "checks": { "active": active } }))
    };
    let told = on_port(9080);
    assert!(told[0].contains("is a listener of this gateway"), "{told:?}");
    assert_eq!(on_port(9081), Vec::<String>::new());
    let named = |host: &str| {
        let active = json!({ "type": "https", "host": host });
        let nodes = json!({ "127.0.0.1:443": 1 });
        let checks = json!({ "active": active });
        problems(&json!({ "id": "u", "scheme": "https", "nodes": nodes, "checks": checks }))
    };
    assert_eq!(named("a.example:8443"), Vec::<String>::new());
    let told = named("a..b");
    assert!(told[0].contains("no certificate can be for `a..b`"), "{told:?}");
}

#[test]
fn probes_that_are_less_protected_than_requests_are_told() {
    for (active, told) in [
        (json!({}), Some("is spoken to under TLS, and probed in clear")),
        (json!({ "type": "tcp" }), None),
        (json!({ "type": "https" }), None),
        (
            json!({ "type": "https", "danger_https_verify_certificate": false }),
            Some("is not verified by probes"),
        ),
    ] {
        let upstream = json!({
            "scheme": "https", "nodes": { "10.0.0.1:443": 1 }, "checks": { "active": active },
        });
        let route = json!({ "id": "r", "uri": "/a", "plugins": guarded(), "upstream": upstream });
        let snapshot = Bench::new(&node()).compile(&json!({ "routes": [route] }));
        let warnings: Vec<&str> =
            snapshot.report.warnings.iter().map(|warning| warning.problem.as_str()).collect();
        assert_eq!(warnings.len(), usize::from(told.is_some()), "{warnings:?}");
        assert!(told.is_none_or(|told| warnings[0].contains(told)), "{warnings:?}");
    }
}

#[test]
fn how_long_answers_took_is_known_on_whatever_else_changes() {
    let two = json!({ "10.0.0.1:80": 1, "10.0.0.2:80": 1 });
    let mut objects = first();
    objects.insert("upstreams/u0", json!({ "type": "ewma", "nodes": two }));
    let mut live = Live::start(Written::Stored, objects);
    let balancer = |live: &Live| {
        let name = ResourceRef { kind: ResourceKind::Upstream, id: "u0".into() };
        live.snapshot.as_ref().unwrap().upstreams.get(&name).unwrap().balancer.clone()
    };
    let paces = |balancer: &Balancer| {
        let Balancer::Latency(latency) = balancer else { panic!("{balancer:?}") };
        [0, 1].map(|node| latency.pace(node).unwrap().clone())
    };
    let begun = balancer(&live);
    live.take().unwrap();
    let retried = json!({ "type": "ewma", "nodes": two, "retries": 0 });
    assert!(live.amend(&[("upstreams/u0", Some(retried))]));
    assert!(Arc::ptr_eq(&balancer(&live), &begun));
    let other = json!({ "10.0.0.3:80": 1, "10.0.0.1:80": 1 });
    assert!(live.amend(&[("upstreams/u0", Some(json!({ "type": "ewma", "nodes": other })))]));
    let (before, after) = (paces(&begun), paces(&balancer(&live)));
    assert!(Arc::ptr_eq(&before[0], &after[1]), "the server that stayed");
    assert!(!Arc::ptr_eq(&before[1], &after[0]), "the server that came");
}

#[test]
fn servers_of_grpc_are_not_probed_with_what_they_do_not_speak() {
    for scheme in ["grpc", "grpcs"] {
        let told = |active: Value| {
            let nodes = json!({ "10.0.0.1:50051": 1 });
            let checks = json!({ "active": active });
            problems(&json!({ "id": "u", "scheme": scheme, "nodes": nodes, "checks": checks }))
        };
        for active in [json!({}), json!({ "type": "http" }), json!({ "type": "https" })] {
            let told = told(active);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].contains("probes speak HTTP/1.1"), "{told:?}");
        }
        for active in [json!({ "type": "tcp" }), json!({ "type": "http", "port": 8080 })] {
            assert_eq!(told(active), Vec::<String>::new());
        }
    }
}
