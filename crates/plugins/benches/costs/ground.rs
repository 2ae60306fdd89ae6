//! The node that the plugins are compiled for.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use bartizan_chain::{
    Chain, ChainBuilder, CompileCx, Consumer, ConsumerIndex, CpuPool, NodeFacts, Outside,
    StateRegistry, Step,
};
use bartizan_config::{ResourceKind, ResourceRef};
use bartizan_core::{Clock, Compatibility, IdSource, Limits, NodeKey};
use bartizan_net::Client;
use bartizan_plugins::{AnyPlugin, find};
use serde_json::{Map, Value, json};

use crate::credentials::Credentials;
use crate::entries::Document;
use crate::near::Near;

/// A node with one consumer.
pub(crate) struct Ground {
    pub(crate) folder: PathBuf,
    pub(crate) node: NodeFacts,
    pub(crate) consumers: Arc<ConsumerIndex>,
    pub(crate) http: Rc<Client>,
    pub(crate) credentials: Credentials,
    pub(crate) ids: IdSource,
}

impl Ground {
    pub(crate) fn new(folder: PathBuf) -> Self {
        let folder = std::path::absolute(folder).expect("a folder");
        std::fs::write(folder.join("places.mmdb"), places()).expect("a file in the folder");
        let limits = Limits::default();
        let node = NodeFacts {
            compatibility: Compatibility::None,
            limits,
            clock: Clock::System,
            key: NodeKey::random(),
            hash_keys: bartizan_core::HashKeys::default(),
            key_uses: bartizan_chain::KeyUses::default(),
            metrics: Arc::default(),
            registry: StateRegistry::default(),
            cpu: CpuPool::inline(&Limits::default()),
            base_dir: folder.clone(),
            files: bartizan_chain::FilesRead::default(),
            started: Clock::System.now(),
            counts: Arc::default(),
            pages: bartizan_chain::Pages::default(),
            outside: Outside::new(Arc::new(Near), "gateway"),
            redactor: Arc::default(),
        };
        let http = Rc::new(Client::new(Arc::new(Near), &Limits::default()));
        let (credentials, ids) = (Credentials::new(), IdSource::new());
        let mut ground = Self { folder, node, consumers: Arc::default(), http, credentials, ids };
        ground.consumers = Arc::new(ground.alice());
        ground
    }

    fn alice(&self) -> ConsumerIndex {
        let alice = Document::read().consumer(&self.credentials.words("", "/"));
        let labels = alice["labels"].as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| {
            (Arc::from(name.as_str()), Arc::from(value.as_str().unwrap_or_default()))
        });
        let consumer = Arc::new(Consumer::new("alice".into(), None, labels.collect()));
        let mut index = ConsumerIndex::default();
        index.add_consumer(consumer.clone());
        for (name, config) in alice["plugins"].as_object().into_iter().flatten() {
            let entry = find(name).unwrap_or_else(|| panic!("`{name}` is no plugin"));
            let made = self.within(entry.name, "alice", |cx| (entry.credential)(config, cx));
            let made = made.unwrap_or_else(|fault| panic!("alice's {name}: {fault}"));
            index.add_credential(entry.name, &consumer, None, made).expect("one of each");
        }
        index
    }

    /// A chain of plugins, written in the route `id`.
    pub(crate) fn chain(&self, id: &str, plugins: &Map<String, Value>) -> Arc<Chain<AnyPlugin>> {
        let mut chain = ChainBuilder::new();
        for (name, config) in plugins {
            let entry = find(name).unwrap_or_else(|| panic!("`{name}` is no plugin"));
            let made = self.within(entry.name, id, |cx| (entry.compile)(config, cx));
            let made = made.unwrap_or_else(|fault| panic!("{id}: {name}: {fault}"));
            chain.add(Step::new(Arc::new(made)));
        }
        Arc::new(chain.build())
    }

    fn within<T>(
        &self,
        plugin: &'static str,
        id: &str,
        work: impl FnOnce(&mut CompileCx<'_>) -> T,
    ) -> T {
        let resource = ResourceRef { kind: ResourceKind::Route, id: Arc::from(id) };
        work(&mut CompileCx {
            node: &self.node,
            resource: &resource,
            plugin,
            is_disabled: false,
            metadata: None,
            exposed: &std::cell::RefCell::default(),
            has_consumer: &|_| true,
            has_group: &|_| true,
            proto: &|_| None,
        })
    }
}

/// A database of some thousand networks, with the clients' own among them.
fn places() -> Vec<u8> {
    let countries = ["DE", "FR", "US", "JP", "BR"];
    let mut networks = Map::new();
    for number in 0..4_096_usize {
        let network = format!("{}.{}.0.0/16", 11 + number / 256, number % 256);
        let country = countries[number % countries.len()];
        networks.insert(network, json!({"country": {"iso_code": country}}));
    }
    networks.insert("127.0.0.0/8".into(), json!({"country": {"iso_code": "DE"}}));
    bartizan_testkit::geo_database(&Value::Object(networks))
}
