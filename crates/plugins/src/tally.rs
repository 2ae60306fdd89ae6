//! Counters of what a plugin did, for the scrape.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bartizan_chain::CompileCx;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

use crate::node_state::node_metrics;

/// One counter of a plugin, the same for all resources that use it.
#[derive(Debug)]
pub(crate) struct Tally {
    name: String,
    help: &'static str,
    count: AtomicU64,
}

impl Tally {
    /// The counter `bartizan_<plugin>_<what>_total` of the plugin that compiles, which has one.
    pub(crate) fn of(cx: &CompileCx<'_>, what: &str, help: &'static str) -> Arc<Self> {
        let name = format!("bartizan_{}_{what}", cx.plugin.replace('-', "_"));
        node_metrics(cx, || Self { name, help, count: AtomicU64::new(0) })
    }

    /// Counts one more.
    pub(crate) fn inc(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Collector for Tally {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(self.count.load(Ordering::Relaxed));
        let metric =
            encoder.encode_descriptor(&self.name, self.help, None, counter.metric_type())?;
        counter.encode(metric)
    }
}
