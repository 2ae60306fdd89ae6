//! What is counted of questions.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    server: String,
    result: &'static str,
}

/// What all introspection of a node counts.
#[derive(Debug, Default)]
pub(super) struct Metrics(Family<Labels, Counter>);

/// What is counted of one server.
#[derive(Debug)]
pub(super) struct Counts {
    metrics: Arc<Metrics>,
    server: String,
}

impl Counts {
    pub(super) fn of(metrics: Arc<Metrics>, server: &str) -> Self {
        Self { metrics, server: server.to_owned() }
    }

    /// A question has ended, or was not asked.
    pub(super) fn done(&self, result: &'static str) {
        let labels = Labels { server: self.server.clone(), result };
        self.metrics.0.get_or_create_owned(&labels).inc();
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Questions to issuers about tokens, by result";
        let kind = self.0.metric_type();
        let encoder = encoder.encode_descriptor("bartizan_introspections", help, None, kind)?;
        self.0.encode(encoder)
    }
}
