//! What no configuration may come to.

use std::sync::LazyLock;

use bartizan_config::{Meta, Place, PluginUse, ResourceKind, ResourceRef, Resources, SourceId};
use http::Method;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::fixture::{Bench, Fate, Probe, local, node};

static BENCH: LazyLock<Bench> = LazyLock::new(|| Bench::new(&node()));

/// Everything but the plugins.
static SKELETON: LazyLock<Resources> = LazyLock::new(|| {
    let written = json!({
        "routes": [{
            "id": "r", "uri": "/r", "methods": ["GET"], "plugin_config_id": "c", "service_id": "s"
        }],
        "plugin_configs": [{ "id": "c", "plugins": {} }],
        "services": [{ "id": "s", "upstream": local() }],
        "global_rules": [{ "id": "g", "plugins": {} }],
        "consumer_groups": [{ "id": "all", "plugins": {} }],
        "consumers": [
            { "username": "alice", "plugins": { "key-auth": { "key": "alices", "danger_weak_secret": true } } },
            { "username": "guest", "group_id": "all" },
        ]
    });
    BENCH.read(&written).unwrap().0
});

/// A plugin with some configuration that it has, and sometimes a `_meta`.
fn plugin() -> impl Strategy<Value = (&'static str, Value)> {
    let configured = prop_oneof![
        1 => Just(("ip-restriction", json!({ "blacklist": ["10.0.0.1"] }))),
        1 => Just(("cors", json!({ "allow_origins": "https://b.example" }))),
        3 => Just(("key-auth", json!({}))),
        2 => Just(("key-auth", json!({ "anonymous_consumer": "guest" }))),
        2 => Just(("jwt-auth", json!({}))),
        1 => Just(("jwt-auth", json!({ "anonymous_consumer": "guest" }))),
        2 => Just(("anonymous-access", json!({ "reason": "public" }))),
        3 => Just(("any-authenticated", json!({ "reason": "customers" }))),
        1 => Just(("consumer-restriction", json!({ "whitelist": ["alice", "guest"] }))),
        1 => Just(("consumer-restriction", json!({ "blacklist": ["alice"] }))),
        1 => Just(("consumer-restriction", json!({ "type": "route_id", "whitelist": ["r"] }))),
        1 => Just(("object-guard", json!({ "bindings": [
            { "object": { "query": "owner" }, "equals": { "consumer": true } }
        ] }))),
        1 => Just(("limit-count", json!({ "count": 1000, "time_window": 60 }))),
    ];
    let meta = prop_oneof![
        6 => Just(None),
        1 => Just(Some(json!({ "disable": true }))),
        1 => Just(Some(json!({ "filter": [["arg_f", "==", "1"]] }))),
        1 => Just(Some(json!({ "filter": [["http_x_f", "!", "==", "1"]] }))),
    ];
    (configured, meta).prop_map(|((name, mut config), meta)| {
        if let Some(meta) = meta {
            config["_meta"] = meta;
        }
        (name, config)
    })
}

/// The plugins of one resource, one of each name.
fn plugins(most: usize) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::vec(plugin(), 0..=most).prop_map(|plugins| {
        plugins.into_iter().map(|(name, config)| (name.to_owned(), config)).collect()
    })
}

/// Where plugins of one route can be written.
#[derive(Clone, Debug)]
struct Spread {
    route: Map<String, Value>,
    shared: Map<String, Value>,
    service: Map<String, Value>,
    global: Map<String, Value>,
    group: Map<String, Value>,
}

fn spread() -> impl Strategy<Value = Spread> {
    (plugins(3), plugins(2), plugins(3), plugins(2), plugins(1)).prop_map(
        |(route, shared, service, global, group)| Spread { route, shared, service, global, group },
    )
}

impl Spread {
    fn resources(&self) -> Resources {
        let mut resources = SKELETON.clone();
        resources.routes[0].plugins = uses(&self.route, ResourceKind::Route, "r");
        resources.plugin_configs[0].plugins = uses(&self.shared, ResourceKind::PluginConfig, "c");
        resources.services[0].plugins = uses(&self.service, ResourceKind::Service, "s");
        resources.global_rules[0].plugins = uses(&self.global, ResourceKind::GlobalRule, "g");
        let group = &mut resources.consumer_groups[0].plugins;
        *group = uses(&self.group, ResourceKind::ConsumerGroup, "all");
        // The reader refuses these there.
        group.retain(|used| !used.name.ends_with("-auth"));
        resources
    }

    /// Whether the route says that nobody needs to be known: the nearest declaration counts.
    fn is_declared_open(&self) -> bool {
        let nearest = [&self.route, &self.shared, &self.service]
            .into_iter()
            .find_map(|plugins| plugins.get("anonymous-access"));
        let is_on = |key: &str, config: &Value| config["_meta"].get(key).is_none();
        nearest.is_some_and(|config| is_on("disable", config) && is_on("filter", config))
    }
}

/// Requests of somebody who has no credential, with what conditions could ask for.
fn strangers() -> Vec<Probe<'static>> {
    let preflight: &[_] =
        &[("origin", "https://b.example"), ("access-control-request-method", "GET")];
    let mut probes = Vec::new();
    for target in ["/r", "/r?f=1", "/r?owner=guest", "/r?f=1&owner=guest", "/r?apikey="] {
        let fields: [&[(&str, &str)]; 4] = [
            &[],
            &[("x-f", "1")],
            &[("apikey", "nobodys"), ("x-consumer-username", "alice")],
            &[("authorization", "Bearer e30.e30.AA"), ("x-f", "0")],
        ];
        probes.extend(fields.map(|fields| Probe::get(target).with(fields)));
        probes.push(Probe::get(target).with(preflight).by(Method::OPTIONS));
    }
    probes
}

/// Plugins as the reader of resources gives them.
fn uses(plugins: &Map<String, Value>, kind: ResourceKind, id: &str) -> Vec<PluginUse> {
    let origin = ResourceRef { kind, id: id.into() };
    let place = Place { source: SourceId(0), start: 0, end: 0 };
    let used = |(name, config): (&String, &Value)| {
        let mut config = config.clone();
        let meta = config.as_object_mut().and_then(|fields| fields.remove("_meta"));
        let meta = meta.unwrap_or_default();
        let meta = Meta {
            disable: meta["disable"] == json!(true),
            filter: meta.get("filter").cloned(),
            ..Meta::default()
        };
        PluginUse { name: name.as_str().into(), config, meta, origin: origin.clone(), place }
    };
    plugins.iter().map(used).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gets_through_without_an_identity_unless_the_route_declares_it(spread in spread()) {
        let bench = &*BENCH;
        let Ok(snapshot) = bench.compiler.compile(&spread.resources(), 1, None) else {
            return Ok(());
        };
        let report = &snapshot.report.routes[0];
        prop_assert!(report.proofs.authentication && report.proofs.grant);
        if spread.is_declared_open() {
            return Ok(());
        }
        prop_assert!(!report.is_public);
        for probe in strangers() {
            let fate = probe.send(&snapshot, &bench.facts);
            prop_assert!(!matches!(fate, Fate::Forwarded(_)), "{} {}", probe.method, probe.target);
        }
    }
}

/// The property above would hold of a compiler that refuses everything.
#[test]
fn who_has_a_credential_gets_through_what_was_generated() {
    let plugins = json!({ "key-auth": {}, "any-authenticated": { "reason": "customers" } });
    let map = |value: &Value| value.as_object().cloned().unwrap_or_default();
    for place in 0..4 {
        let at = |this| if this == place { map(&plugins) } else { Map::new() };
        let spread = Spread {
            route: at(0),
            shared: at(1),
            service: at(2),
            global: at(3),
            group: Map::new(),
        };
        assert!(!spread.is_declared_open());
        let snapshot = BENCH.compiler.compile(&spread.resources(), 1, None);
        let snapshot = snapshot.unwrap_or_else(|faults| panic!("{faults:#?}"));
        let send = |fields| Probe::get("/r").with(fields).send(&snapshot, &BENCH.facts);
        assert_eq!(send(&[("apikey", "alices")]), Fate::Forwarded("r".into()));
        assert!(matches!(send(&[]), Fate::Denied(_)));
    }
}
