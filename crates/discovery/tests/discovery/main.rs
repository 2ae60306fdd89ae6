//! Services in registries that answer over streams in memory, under a clock that tests move.

mod consul;
mod dns;
mod flapping;
mod gateway;
mod kubernetes;
mod polled;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_config::{Discovery, FoundArgs, FoundIn, Invalid, Loader, RegistryType};
use bartizan_core::metrics::SharedMetrics;
use bartizan_discovery::{Follower, Found, Registries, Service};
use bartizan_plugins::Catalogue;
use bartizan_testkit::Remotes;
use serde_json::{Value, json};

/// The registries of a node, and the world in which they are.
struct Scene {
    registries: Registries,
    remotes: Remotes,
    metrics: SharedMetrics,
}

/// The settings of a node as they are read.
fn settings(discovery: &Value) -> Discovery {
    let node = json!({
        "listeners": [{ "address": "127.0.0.1:9080" }], "resources": {}, "discovery": discovery,
    });
    let path = std::path::Path::new("node.json");
    let loaded = Loader::new(&Catalogue).node_text(path, &node.to_string());
    loaded.unwrap_or_else(|failure| panic!("{:?}", failure.diagnostics)).node.discovery
}

impl Scene {
    fn of(discovery: &Value) -> Self {
        let (remotes, metrics) = (Remotes::default(), SharedMetrics::default());
        let reach = Arc::new(remotes.clone());
        let clock = bartizan_core::Clock::System;
        let registries = Registries::new(&settings(discovery), reach, &clock, metrics.clone());
        let registries = registries.unwrap_or_else(|invalid| panic!("{invalid:?}"));
        Self { registries, remotes, metrics }
    }

    fn try_service(&self, registry: RegistryType, name: &str) -> Result<Arc<Service>, Invalid> {
        let args = FoundArgs::default();
        self.registries.service(&FoundIn { registry, service: name.into(), args })
    }

    /// How many services fail, and how many lists there were.
    fn counts(&self) -> (i64, u64) {
        (self.metrics.discovery_failing.get(), self.metrics.discovery_lists.get())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what may not be known")]
fn some(hosts: &[&str]) -> Option<Vec<String>> {
    Some(hosts.iter().map(|host| (*host).to_owned()).collect())
}

/// Lets everything go on until it waits.
async fn settle() {
    for _ in 0..256 {
        tokio::task::yield_now().await;
    }
}

async fn pass(time: Duration) {
    settle().await;
    tokio::time::advance(time).await;
    settle().await;
}

/// A list in short: `host:port weight/priority`.
fn short(list: &[Found]) -> Vec<String> {
    let one = |found: &Found| {
        let port = found.port.map_or("-".to_owned(), |port| port.to_string());
        format!("{}:{port} {}/{}", found.host, found.weight, found.priority)
    };
    list.iter().map(one).collect()
}

fn list(service: &Service) -> Option<Vec<String>> {
    service.list().map(|list| short(&list))
}

/// Remembers what it was told.
#[derive(Default)]
struct Told(Mutex<Vec<Vec<String>>>);

impl Follower for Told {
    fn take(&self, list: &[Found]) {
        self.0.lock().unwrap().push(short(list));
    }
}
