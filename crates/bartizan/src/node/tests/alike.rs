//! Whatever store a document comes through, it means the same.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{LazyLock, Mutex};

use bartizan_config::{
    Diagnostic, Draft, Loader, NodeConfig, OnInvalid, Resources, System, objects_at,
};
use bartizan_core::{Clock, Timestamp};
use bartizan_plugins::Catalogue;
use bartizan_proxy::Dialer;
use bartizan_testkit::EtcdServer;
use bartizan_tls::{Authority, Issued, KeyKind, Validity};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Map;
use tokio::runtime::{Builder, Runtime};

use super::settle::Settling;
use super::*;

static CERTIFICATE: LazyLock<Issued> = LazyLock::new(|| {
    let validity = Validity {
        not_before: Timestamp::from_secs(1_500_000_000),
        not_after: Timestamp::from_secs(4_000_000_000),
    };
    let authority = Authority::create("test", validity).unwrap();
    authority.issue_server(&["a.test"], validity, KeyKind::EcP256).unwrap()
});

/// A map of some of these members.
fn some_of(members: &[(&'static str, Value)]) -> impl Strategy<Value = Map<String, Value>> + use<> {
    let members = members.to_vec();
    let count = members.len();
    prop::sample::subsequence(members, 0..=count).prop_map(|members| {
        members.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    })
}

/// Objects of a list, by id, each with some of these members beside the others.
fn list(
    key: &'static str,
    always: &Value,
    members: &[(&'static str, Value)],
) -> impl Strategy<Value = Vec<Value>> + use<> {
    let always = always.clone();
    prop::collection::btree_map("[a-c]", some_of(members), 0..4).prop_map(move |objects| {
        let object = |(id, more): (String, Map<String, Value>)| {
            let mut object = always.clone();
            let members = object.as_object_mut().unwrap();
            members.extend(more);
            members.insert(key.to_owned(), Value::from(id));
            object
        };
        objects.into_iter().map(object).collect()
    })
}

fn routes() -> impl Strategy<Value = Vec<Value>> {
    let filter = json!([["arg_a", "==", "1"]]);
    let plugins = json!({
        "key-auth": {}, "any-authenticated": { "reason": "a test" },
        "limit-count": { "count": 5, "time_window": 60, "_meta": { "filter": filter } },
    });
    let node = json!({ "nodes": [{ "host": "127.0.0.1", "port": 2, "weight": 3 }] });
    list(
        "id",
        &json!({ "uris": ["/a", "/b/*"], "plugins": plugins, "upstream": node }),
        &[
            ("hosts", json!(["a.test", "*.b.test"])),
            ("methods", json!(["GET", "POST"])),
            ("priority", json!(3)),
            ("vars", json!([["http_x", "~~", "^a"], ["arg_n", ">", 3]])),
            ("remote_addrs", json!(["10.0.0.0/8"])),
            ("status", json!(0)),
            ("service_id", json!("a")),
            ("plugin_config_id", json!("b")),
            ("timeout", json!({ "connect": 1, "send": 2.5, "read": 3 })),
            ("labels", json!({ "team": "one" })),
            // Wrong, each in its own way.
            ("name", json!(7)),
            ("urii", json!("/x")),
        ],
    )
}

fn documents() -> impl Strategy<Value = Value> {
    let certificate = json!({
        "cert": CERTIFICATE.chain, "key": CERTIFICATE.key.expose_str().unwrap(), "snis": ["a.test"],
    });
    let limit = json!({ "limit-count": { "count": 9, "time_window": 60 } });
    let vault = json!({ "id": "vault/v", "uri": "https://a.test", "prefix": "kv", "token": "x" });
    let credential =
        json!([{ "id": "c", "plugins": { "key-auth": { "key": "0123456789abcdefghij" } } }]);
    let lists = (
        routes(),
        list(
            "id",
            &json!({ "upstream_id": "a" }),
            &[
                ("hosts", json!(["s.test"])),
                ("plugins", limit.clone()),
                ("graphql_cost_decorations", json!([{ "id": "d", "field_path": "a.b" }])),
            ],
        ),
        list(
            "id",
            &json!({ "nodes": { "127.0.0.1:1": 1 } }),
            &[
                ("type", json!("least_conn")),
                ("retries", json!(2)),
                ("upstream_host", json!("u.test")),
                ("pass_host", json!("rewrite")),
            ],
        ),
        list(
            "username",
            &json!({}),
            &[
                ("group_id", json!("a")),
                ("credentials", credential),
                ("labels", json!({ "tenant": "t" })),
            ],
        ),
        list("id", &json!({ "plugins": limit }), &[]),
        list("id", &json!({ "plugins": { "request-id": {} } }), &[]),
        list("id", &json!({ "plugins": { "ip-restriction": { "blacklist": ["10.0.0.1"] } } }), &[]),
        list("id", &certificate, &[("status", json!(0))]),
        some_of(&[
            ("plugin_metadata", json!([{ "id": "file-logger", "log_format": { "a": "$host" } }])),
            ("secrets", json!([vault])),
            ("protos", json!([{ "id": "p", "content": "message A {}" }])),
        ]),
    );
    (lists, prop::bool::weighted(0.6)).prop_map(|(lists, is_mended)| {
        let (routes, services, upstreams, consumers, groups, configs, rules, ssls, more) = lists;
        let mut document = json!({
            "routes": routes, "services": services, "upstreams": upstreams, "consumers": consumers,
            "consumer_groups": groups, "plugin_configs": configs, "global_rules": rules,
            "ssls": ssls,
        });
        document.as_object_mut().unwrap().extend(more);
        if is_mended {
            mend(&mut document);
        }
        document
    })
}

/// Takes out what is wrong, and puts in what is referred to.
fn mend(document: &mut Value) {
    for route in document["routes"].as_array_mut().unwrap() {
        route.as_object_mut().unwrap().retain(|key, _| key != "name" && key != "urii");
    }
    // The same key is of one consumer only.
    for consumer in document["consumers"].as_array_mut().unwrap().iter_mut().skip(1) {
        consumer.as_object_mut().unwrap().remove("credentials");
    }
    for (list, id, object) in [
        ("upstreams", "a", json!({ "nodes": { "127.0.0.1:1": 1 } })),
        ("services", "a", json!({ "upstream_id": "a" })),
        ("plugin_configs", "b", json!({ "plugins": {} })),
        ("consumer_groups", "a", json!({ "plugins": {} })),
    ] {
        let objects = document[list].as_array_mut().unwrap();
        if objects.iter().all(|known| known["id"] != id) {
            let mut object = object;
            object["id"] = json!(id);
            objects.push(object);
            objects.sort_by_key(|object| object["id"].as_str().map(str::to_owned));
        }
    }
}

/// Nodes that differ in their stores, and a gateway that compiles for all of them.
struct Nodes {
    folder: tempfile::TempDir,
    runtime: Runtime,
    gateway: Arc<Gateway>,
    config: NodeConfig,
}

/// What is made of a document under a way to treat what is at fault: the routes that are served and
/// what is in quarantine, or what is wrong.
type Served = Result<(String, BTreeSet<String>), Vec<String>>;

/// What is made of a document.
#[derive(Debug, PartialEq)]
struct Made {
    /// The resources, without the places where they stand, where they are in order.
    resources: Result<String, Vec<String>>,
    all_or_nothing: Served,
    in_parts: Served,
}

impl Nodes {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n.yaml");
        std::fs::write(&path, NODE).unwrap();
        let (config, _) = Loader::new(&Catalogue).node_draft(&path).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let metrics = SharedMetrics::default();
        let logs = Logs::nowhere(&config, &metrics).unwrap();
        let dialer = Dialer::Network(runtime.handle().clone());
        let registry = Arc::new(Mutex::default());
        let settings = settings(&config, &logs, &metrics, &registry, dialer);
        let gateway = Gateway::new(settings).unwrap_or_else(|faults| panic!("{faults:?}"));
        Self { folder, runtime, gateway, config }
    }

    /// A node with this store, and the resources that its files hold.
    fn node(&self, store: &str) -> (NodeConfig, Draft) {
        let path = self.folder.path().join("node.yaml");
        let text = format!("listeners: [{{ address: \"127.0.0.1:0\" }}]\nstore: {store}\n");
        std::fs::write(&path, text).unwrap();
        Loader::new(&Catalogue).node_draft(&path).unwrap_or_else(|f| panic!("{:?}", f.diagnostics))
    }

    /// Through the files that people write.
    fn through_files(&self) -> Made {
        self.made(|| self.node("{ file: { path: r.json } }").1)
    }

    /// Through a store, object by object.
    fn through(&self, store: &str, document: &Path) -> Made {
        let (config, _) = self.node(store);
        let metrics = SharedMetrics::default();
        let opened = NodeStore::open(&config, &Clock::System, &metrics, self.runtime.handle());
        let opened = opened.unwrap_or_else(|failure| panic!("{failure:?}"));
        let objects = objects_at(document, 1 << 20, &System).unwrap();
        let held = self.runtime.block_on(async {
            opened.begin().await;
            for (name, value) in objects {
                let key = Key::parse(&format!("{}/{}", name.collection, name.id)).unwrap();
                let put = match &opened {
                    NodeStore::Embedded(store) => {
                        store.put(&key, &value, Expect::Absent, "x").await
                    }
                    NodeStore::Etcd(store) => store.put(&key, &value, Expect::Absent, "x").await,
                    NodeStore::Files => panic!("files are written by people"),
                };
                put.unwrap();
            }
            opened.snapshot().await.unwrap()
        });
        self.made(|| {
            let (_, mut draft) = self.node(store);
            stores::add(&mut draft, &held);
            draft
        })
    }

    fn made(&self, draft: impl Fn() -> Draft) -> Made {
        let resources = draft().judge(&Loader::new(&Catalogue));
        Made {
            resources: resources.map_err(what).map(|mut resources| {
                // Ids tell the order of objects in a store; these are written in that order.
                resources.is_keyed = false;
                placeless(&resources)
            }),
            all_or_nothing: self.served(draft(), OnInvalid::RejectAll),
            in_parts: self.served(draft(), OnInvalid::Quarantine),
        }
    }

    fn served(&self, draft: Draft, on_invalid: OnInvalid) -> Served {
        let settling = Settling {
            gateway: &self.gateway,
            node: &self.config,
            on_invalid,
            overrides: &Overrides::default(),
            loader: &Loader::new(&Catalogue),
            fetch: &|| false,
        };
        match settling.settle(draft, &LastGood::default()) {
            Ok(settled) => {
                let names = settled.names.iter().map(ToString::to_string).collect();
                Ok((format!("{:?}", settled.applied.report.routes), names))
            }
            Err(Failure::Misconfigured { problems, .. }) => Err(what(problems)),
            Err(failure) => panic!("{failure:?}"),
        }
    }
}

fn what(problems: Vec<Diagnostic>) -> Vec<String> {
    let mut told: Vec<_> = problems.into_iter().map(|problem| problem.problem).collect();
    told.sort();
    told
}

fn placeless(resources: &Resources) -> String {
    let text = format!("{resources:?}");
    let mut parts = text.split("Place {");
    let mut left = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        left.push_str(part.split_once('}').map_or(part, |(_, rest)| rest));
    }
    left
}

#[test]
fn a_document_means_the_same_through_every_store() {
    let (nodes, etcd) = (Nodes::new(), EtcdServer::start());
    let path = nodes.folder.path().join("r.json");
    let (cases, whole, parts) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() };
    let outcome = TestRunner::new(config).run(&documents(), |document| {
        let case = cases.replace(cases.get() + 1);
        std::fs::write(&path, document.to_string()).unwrap();
        let of_files = nodes.through_files();
        if of_files.all_or_nothing.is_ok() {
            whole.set(whole.get() + 1);
        } else if of_files.in_parts.is_ok() {
            parts.set(parts.get() + 1);
        }
        let embedded = format!("{{ embedded: {{ path: s{case} }} }}");
        prop_assert_eq!(&nodes.through(&embedded, &path), &of_files);
        let url = etcd.url();
        let etcd = format!("{{ etcd: {{ endpoints: [\"{url}\"], prefix: /c{case} }} }}");
        prop_assert_eq!(&nodes.through(&etcd, &path), &of_files);
        Ok(())
    });
    outcome.unwrap_or_else(|fault| panic!("{fault}"));
    assert!(whole.get() > 4 && parts.get() > 4, "{whole:?}, {parts:?} of {cases:?}");
}
