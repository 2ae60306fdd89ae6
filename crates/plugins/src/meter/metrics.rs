//! What limits count about themselves.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_chain::CompileCx;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use crate::node_state::node_metrics;

/// Requests that found no room in the table of a limit.
#[derive(Debug)]
pub(super) struct LimitMetrics {
    name: String,
    keys_refused: AtomicU64,
}

impl LimitMetrics {
    /// Those of the plugin that compiles.
    pub(super) fn of(cx: &CompileCx<'_>) -> Arc<Self> {
        let name = format!("bartizan_{}_keys_refused", cx.plugin.replace('-', "_"));
        node_metrics(cx, || Self { name, keys_refused: AtomicU64::new(0) })
    }

    pub(super) fn key_refused(&self) {
        self.keys_refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Collector for LimitMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(self.keys_refused.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            &self.name,
            "Requests whose key found every counter of a limit taken",
            None,
            counter.metric_type(),
        )?;
        counter.encode(metric)
    }
}
