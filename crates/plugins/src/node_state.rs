//! Metrics that a plugin has once per node, whichever resources use it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use bartizan_chain::CompileCx;
use bartizan_config::{ResourceKind, ResourceRef};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

#[derive(Debug)]
struct Slot<T> {
    metrics: Arc<T>,
    is_registered: AtomicBool,
}

/// Holds the slot, so that it lives as long as the node's registry and never starts again.
#[derive(Debug)]
struct Registered<T>(Arc<Slot<T>>);

impl<T: Collector> Collector for Registered<T> {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.metrics.encode(encoder)
    }
}

/// The metrics of the plugin that compiles: made and registered for the first instance of it.
pub(crate) fn node_metrics<T: Collector>(cx: &CompileCx<'_>, make: impl FnOnce() -> T) -> Arc<T> {
    shared_metrics(cx, cx.plugin, make)
}

/// Metrics that several plugins have together, under a name of theirs.
pub(crate) fn shared_metrics<T: Collector>(
    cx: &CompileCx<'_>,
    owner: &'static str,
    make: impl FnOnce() -> T,
) -> Arc<T> {
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(owner) };
    let slot = cx.node.registry.state(&node, owner, "metrics".into(), || Slot {
        metrics: Arc::new(make()),
        is_registered: AtomicBool::new(false),
    });
    if !slot.is_registered.swap(true, Ordering::Relaxed) {
        let mut registry = cx.node.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        registry.register_collector(Box::new(Registered(slot.clone())));
    }
    slot.metrics.clone()
}
