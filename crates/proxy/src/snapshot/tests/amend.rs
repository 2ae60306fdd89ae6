//! A change that is compiled by itself comes to what compiling everything comes to.

use std::collections::BTreeMap;
use std::sync::Arc;

use bartizan_chain::{PluginSet, Profiles as _};
use bartizan_discovery::SERVICES_MAX;
use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fixture::{Bench, Fate, Probe, guarded, node};
use super::live::{Change, Live, Written, first, has_page, judged};
use crate::snapshot::Snapshot;

/// What a request comes to: its route, where that leads and what runs for it, and its fate.
fn seen(probe: &Probe<'_>, snapshot: &Snapshot, bench: &Bench) -> (Option<Vec<String>>, Fate) {
    let route = probe.route(snapshot, &bench.facts).map(|route| {
        let nodes = route.upstream.iter().flat_map(|upstream| &upstream.nodes);
        let found = route.upstream.iter().filter_map(|upstream| upstream.discovered.as_ref());
        let found = found.map(|found| format!("{found:?}"));
        let steps = route.chain.steps().iter().map(|step| step.plugin.name().to_owned());
        let facts = [Some(&route.facts.id), route.facts.service_id.as_ref()];
        let priced = route.facts.graphql_costs.as_ref().map(|costs| format!("{costs:?}"));
        let facts = facts.into_iter().flatten().map(ToString::to_string).chain(priced);
        let nodes = nodes.map(|node| node.label.to_string()).chain(found);
        facts.chain(nodes).chain(steps).collect()
    });
    (route, probe.send(snapshot, &bench.facts))
}

fn probes() -> Vec<Probe<'static>> {
    let mut probes = Vec::new();
    for target in ["/a", "/a/b", "/b", "/c"] {
        let keys: [&[(&str, &str)]; 5] = [
            &[],
            &[("apikey", "k1")],
            &[("apikey", "k2")],
            &[("apikey", "k3")],
            &[("apikey", "k4")],
        ];
        for fields in keys {
            probes.push(Probe::get(target).with(fields));
            probes.push(Probe::get(target).with(fields).by(Method::POST));
        }
    }
    probes
}

fn pick(values: &[Value]) -> impl Strategy<Value = Value> + use<> {
    prop::sample::select(values.to_vec())
}

/// An object out of choices for each of its keys, absent where a choice is `null`.
fn object(choices: Vec<(&'static str, Vec<Value>)>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = choices.into_iter().unzip();
    let values: Vec<_> = values.iter().map(|values| pick(values)).collect();
    let assemble = move |values: Vec<Value>| {
        let members = keys.iter().zip(values).filter(|(_, value)| !value.is_null());
        Value::Object(members.map(|(key, value)| ((*key).to_owned(), value)).collect())
    };
    values.prop_map(assemble).boxed()
}

/// Plugins of which one has a page, and the same with that one disabled.
fn told() -> [Value; 2] {
    [json!({}), json!({ "_meta": { "disable": true } })].map(|config| {
        let mut plugins = guarded();
        plugins["node-status"] = config;
        plugins
    })
}

fn route() -> BoxedStrategy<Value> {
    let none = Value::Null;
    let inline = json!({ "nodes": { "127.0.0.1:1980": 1 } });
    let limited = json!({ "limit-count": { "count": 1000, "time_window": 60 } });
    let [told, untold] = told();
    object(vec![
        ("uri", vec![json!("/a"), json!("/a/*"), json!("/b"), json!("/*")]),
        ("host", vec![none.clone(), none.clone(), json!("a.example"), json!("*.example")]),
        ("priority", vec![none.clone(), none.clone(), json!(5)]),
        ("methods", vec![none.clone(), none.clone(), json!(["POST"])]),
        ("status", vec![none.clone(), none.clone(), none.clone(), json!(0)]),
        ("plugins", vec![none.clone(), guarded(), guarded(), limited, told, untold]),
        ("service_id", vec![none.clone(), json!("s0"), json!("s0"), json!("s1")]),
        ("plugin_config_id", vec![none.clone(), none.clone(), json!("c0")]),
        ("upstream", vec![none.clone(), inline]),
        ("upstream_id", vec![none, json!("u0"), json!("u1")]),
    ])
}

fn content(key: &'static str) -> BoxedStrategy<Value> {
    let none = Value::Null;
    let deny = json!({ "ip-restriction": { "blacklist": ["192.0.2.1"] } });
    let admit = json!({ "ip-restriction": { "blacklist": ["192.0.2.9"] } });
    let keyed = |key: &str| json!({ "key-auth": { "key": key, "danger_weak_secret": true } });
    let [told, untold] = told();
    let nodes = [json!({ "127.0.0.1:1": 1 }), json!({ "127.0.0.1:2": 1, "127.0.0.1:3": 1 })];
    match key.split_once('/').unwrap() {
        ("routes", _) => {
            // Two keys for the same thing are refused, which is of little use most of the time.
            let one_upstream = |mut route: Value| {
                if route.get("upstream").is_some() {
                    route.as_object_mut().unwrap().remove("upstream_id");
                }
                route
            };
            route().prop_map(one_upstream).boxed()
        }
        ("services", id) if id.contains('/') => object(vec![
            ("field_path", vec![json!("a"), json!("b.c")]),
            ("mul_arguments", vec![none, json!(["first"])]),
        ]),
        ("services", _) => object(vec![
            ("plugins", vec![none.clone(), guarded(), guarded(), told, untold]),
            ("upstream_id", vec![json!("u0"), json!("u0"), json!("u1")]),
            ("hosts", vec![none.clone(), none, json!(["a.example"]), json!(["b.example"])]),
        ]),
        ("upstreams", _) => {
            let found = ["a.test", "b.test"]
                .map(|name| json!({ "service_name": name, "discovery_type": "dns" }));
            prop_oneof![object(vec![("nodes", nodes.to_vec())]), pick(&found)].boxed()
        }
        ("protos", _) => object(vec![("content", vec![json!("message A {}"), json!("message")])]),
        ("plugin_configs", _) => object(vec![("plugins", vec![guarded(), deny, admit, told])]),
        ("consumer_groups", _) => object(vec![("plugins", vec![deny, admit])]),
        ("global_rules", _) => object(vec![("plugins", vec![admit])]),
        (_, id) if id.contains('/') => object(vec![("plugins", vec![keyed("k2"), keyed("k4")])]),
        (_, id) => object(vec![
            ("username", vec![json!(id)]),
            ("plugins", vec![none.clone(), keyed("k1"), keyed("k2"), keyed("k3")]),
            ("group_id", vec![none.clone(), none, json!("g0")]),
        ]),
    }
}

fn change() -> impl Strategy<Value = Change> {
    let often = ["routes/r0", "routes/r1", "routes/r2", "services/s0", "consumers/alice"];
    let seldom = [
        "services/s1",
        "upstreams/u0",
        "upstreams/u1",
        "plugin_configs/c0",
        "consumers/bob",
        "consumers/alice/credentials/x",
        "services/s0/graphql_cost_decorations/x",
        "consumer_groups/g0",
        "protos/p0",
    ];
    let key = prop_oneof![
        12 => prop::sample::select(often.to_vec()),
        8 => prop::sample::select(seldom.to_vec()),
        1 => Just("global_rules/g"),
    ];
    (key, prop::bool::weighted(0.85)).prop_flat_map(|(key, is_put)| {
        let content = content(key);
        let content = if is_put { content.prop_map(Some).boxed() } else { Just(None).boxed() };
        (Just(key), content)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_changes_come_to_what_compiling_everything_comes_to(
        steps in prop::collection::vec(prop::collection::vec(change(), 1..3), 1..12),
        written in prop::sample::select(vec![
            Written::Stored, Written::Listed, Written::Backwards,
        ]),
    ) {
        let mut live = Live::start(written, first());
        for changes in steps {
            let mut distinct: BTreeMap<&str, Option<Value>> = BTreeMap::new();
            distinct.extend(changes);
            let changes: Vec<Change> = distinct.into_iter().collect();
            let is_amended = live.amend(&changes);
            let anew = Bench::new(&node());
            let whole = judged(written, &live.objects)
                .and_then(|(_, resources)| anew.compiler.compile(&resources, 1, None).ok());
            let Some(whole) = whole else {
                prop_assert!(!is_amended, "what is at fault was put into force: {changes:?}");
                prop_assert!(live.take().is_err());
                continue;
            };
            if !is_amended {
                live.take().unwrap();
            }
            prop_assert_eq!(live.has_page(), has_page(&anew), "{:?}", changes);
            let now = live.snapshot.as_ref().unwrap();
            for probe in probes() {
                let (one, other) = (seen(&probe, now, &live.bench), seen(&probe, &whole, &anew));
                prop_assert_eq!(one, other, "{} {} {:?}", probe.method, probe.target, probe.fields);
            }
        }
    }
}

/// The property above would hold of a compiler that always compiles everything.
#[test]
fn what_concerns_only_itself_is_compiled_by_itself() {
    let guard = guarded();
    let deny = json!({ "ip-restriction": { "blacklist": ["192.0.2.1"] } });
    for (key, value, is_amended) in [
        ("routes/r0", Some(json!({ "uri": "/b", "service_id": "s0" })), true),
        ("routes/r9", Some(json!({ "uri": "/b", "plugins": guard, "upstream_id": "u1" })), true),
        ("routes/r9", Some(json!({ "uri": "/b", "upstream_id": "u1" })), false),
        ("routes/r0", None, true),
        ("services/s0", Some(json!({ "plugins": guard, "upstream_id": "u1" })), true),
        ("services/s0", Some(json!({ "upstream_id": "u1" })), false),
        ("services/s0", None, false),
        ("services/s9", Some(json!({ "upstream_id": "u1" })), true),
        ("upstreams/u0", Some(json!({ "nodes": { "127.0.0.1:7": 1 } })), true),
        ("upstreams/u0", Some(json!({ "nodes": 7 })), false),
        ("upstreams/u0", Some(json!({ "service_name": "a.test", "discovery_type": "dns" })), true),
        ("upstreams/u0", Some(json!({ "service_name": "a", "discovery_type": "consul" })), false),
        ("upstreams/u0", None, false),
        ("upstreams/u1", None, true),
        ("plugin_configs/c0", Some(json!({ "plugins": deny })), true),
        (
            "consumers/bob",
            Some(json!({ "plugins": { "key-auth": { "key": "k2", "danger_weak_secret": true } } })),
            true,
        ),
        (
            "consumers/bob",
            Some(json!({ "plugins": { "key-auth": { "key": "k1", "danger_weak_secret": true } } })),
            false,
        ),
        ("consumers/alice", None, true),
        (
            "consumers/alice/credentials/x",
            Some(json!({ "plugins": { "key-auth": { "key": "k2", "danger_weak_secret": true } } })),
            true,
        ),
        ("services/s0/graphql_cost_decorations/x", Some(json!({ "field_path": "a" })), true),
        ("services/s0/graphql_cost_decorations/x", Some(json!({ "field_path": "a b" })), false),
        ("services/s9/graphql_cost_decorations/x", Some(json!({ "field_path": "a" })), false),
        ("consumer_groups/g0", Some(json!({ "plugins": deny })), true),
        ("global_rules/g", Some(json!({ "plugins": deny })), false),
        ("plugin_metadata/cors", Some(json!({})), false),
        ("stream_routes/s", Some(json!({})), false),
    ] {
        let mut live = Live::start(Written::Stored, first());
        assert_eq!(live.amend(&[(key, value.clone())]), is_amended, "{key}: {value:?}");
    }
}

#[test]
fn what_fields_cost_changes_by_itself_for_the_routes_of_its_service() {
    let mut live = Live::start(Written::Stored, first());
    let priced = |live: &Live| {
        let snapshot = live.snapshot.as_ref().unwrap();
        let route = Probe::get("/a").route(snapshot, &live.bench.facts).unwrap();
        let costs = route.facts.graphql_costs.clone();
        costs.map(|costs| costs.below.keys().map(ToString::to_string).collect::<Vec<_>>())
    };
    let key = "services/s0/graphql_cost_decorations/x";
    assert_eq!(priced(&live), None);
    assert!(live.amend(&[(key, Some(json!({ "field_path": "a" })))]));
    assert_eq!(priced(&live), Some(vec!["a".to_owned()]));
    assert!(live.amend(&[(key, Some(json!({ "field_path": "b" })))]));
    assert_eq!(priced(&live), Some(vec!["b".to_owned()]));
    // Neither a change of the service nor one of the route loses it.
    let service = json!({ "plugins": guarded(), "upstream_id": "u1" });
    assert!(live.amend(&[("services/s0", Some(service))]));
    assert_eq!(priced(&live), Some(vec!["b".to_owned()]));
    let route = json!({ "uri": "/a", "service_id": "s0", "priority": 1 });
    assert!(live.amend(&[("routes/r0", Some(route))]));
    assert_eq!(priced(&live), Some(vec!["b".to_owned()]));
    assert!(live.amend(&[(key, None)]));
    assert_eq!(priced(&live), None);
}

#[test]
fn a_change_leaves_the_snapshot_before_and_what_it_does_not_touch_as_they_were() {
    let mut objects = first();
    objects.insert("routes/r1", json!({ "uri": "/b", "service_id": "s0" }));
    let mut live = Live::start(Written::Stored, objects);
    let (a, b) = (Probe::get("/a"), Probe::get("/b"));
    let route = |probe: &Probe<'_>, live: &Live| {
        probe.route(live.snapshot.as_ref().unwrap(), &live.bench.facts)
    };
    let (before_a, before_b) = (route(&a, &live).unwrap(), route(&b, &live).unwrap());
    assert!(live.amend(&[("routes/r0", Some(json!({ "uri": "/c", "service_id": "s0" })))]));
    assert!(route(&a, &live).is_none());
    assert!(Arc::ptr_eq(&before_b, &route(&b, &live).unwrap()), "the same route");
    let after = route(&Probe::get("/c"), &live).unwrap();
    assert!(Arc::ptr_eq(&before_a.chain, &after.chain), "one chain for all of a service");
}

#[test]
fn names_that_plugins_of_callers_own_come_and_go_with_them() {
    let own = json!({ "attach-consumer-label": { "headers": { "X-Own": "$plan" } } });
    let owning = |key: &str| {
        let label = &own["attach-consumer-label"];
        json!({ "key-auth": { "key": key, "danger_weak_secret": true }, "attach-consumer-label": label })
    };
    let mut live = Live::start(Written::Stored, first());
    for (key, value, is_owned) in [
        ("consumer_groups/g0", json!({ "plugins": own }), true),
        ("consumers/alice", json!({ "plugins": owning("k1") }), true),
        ("consumers/bob", json!({ "plugins": owning("k2") }), true),
        ("consumer_groups/g0", json!({ "plugins": {} }), true),
        (
            "consumers/alice",
            json!({ "plugins": { "key-auth": { "key": "k1", "danger_weak_secret": true } } }),
            true,
        ),
        (
            "consumers/bob",
            json!({ "plugins": { "key-auth": { "key": "k2", "danger_weak_secret": true } } }),
            false,
        ),
    ] {
        assert!(live.amend(&[(key, Some(value))]), "{key}");
        let owned = live.snapshot.as_ref().unwrap().profiles.owned_fields().unwrap();
        assert_eq!(owned.owns(b"x_own"), is_owned, "{key}");
    }
}

#[test]
fn a_change_names_no_more_services_than_all_resources_may() {
    let found = |name: &str| json!({ "service_name": name, "discovery_type": "dns" });
    let mut objects = first();
    for n in 1..SERVICES_MAX {
        let key: &'static str = format!("upstreams/many{n}").leak();
        objects.insert(key, found(&format!("h{n}.test")));
    }
    for (changes, is_amended) in [
        (vec![("upstreams/more", Some(found("a.test")))], true),
        (
            vec![
                ("upstreams/more", Some(found("a.test"))),
                ("upstreams/same", Some(found("h1.test"))),
            ],
            true,
        ),
        (
            vec![
                ("upstreams/more", Some(found("a.test"))),
                ("upstreams/many1", Some(found("b.test"))),
            ],
            true,
        ),
        (
            vec![
                ("upstreams/more", Some(found("a.test"))),
                ("upstreams/much", Some(found("b.test"))),
            ],
            false,
        ),
    ] {
        let mut live = Live::start(Written::Stored, objects.clone());
        assert_eq!(live.amend(&changes), is_amended, "{changes:?}");
    }
}
