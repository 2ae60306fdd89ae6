//! What `limit-count` counts about itself.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

/// Requests that found no counter left.
#[derive(Debug, Default)]
pub(super) struct LimitMetrics {
    keys_refused: AtomicU64,
}

impl LimitMetrics {
    pub(super) fn key_refused(&self) {
        self.keys_refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Collector for LimitMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(self.keys_refused.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "bartizan_limit_count_keys_refused",
            "Requests whose key found every counter of a limit taken",
            None,
            counter.metric_type(),
        )?;
        counter.encode(metric)
    }
}
