//! What `oas-validator` counts about itself.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;

/// Requests that did not fit and were forwarded all the same.
#[derive(Debug, Default)]
pub(super) struct OasMetrics {
    unmatched: AtomicU64,
}

impl OasMetrics {
    pub(super) fn unmatched(&self) {
        self.unmatched.fetch_add(1, Ordering::Relaxed);
    }
}

impl Collector for OasMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let counter = ConstCounter::new(self.unmatched.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "bartizan_oas_validator_unmatched",
            "Requests that did not fit their OpenAPI document and were forwarded all the same",
            None,
            counter.metric_type(),
        )?;
        counter.encode(metric)
    }
}
