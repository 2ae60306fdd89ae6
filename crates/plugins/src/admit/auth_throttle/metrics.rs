//! What is counted of failures and of what they led to.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    plugin: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Held {
    rule: &'static str,
    kind: &'static str,
}

/// What all instances of a node count.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    failures: Family<Failed, Counter>,
    begun: Family<Held, Counter>,
    refused: Family<Held, Counter>,
    known: Counter,
}

impl Metrics {
    /// A credential was wrong.
    pub(super) fn failed(&self, plugin: &'static str) {
        self.failures.get_or_create_owned(&Failed { plugin }).inc();
    }

    /// A delay or a lock begins.
    pub(super) fn begins(&self, rule: &'static str, kind: &'static str) {
        self.begun.get_or_create_owned(&Held { rule, kind }).inc();
    }

    /// A request is refused for one.
    pub(super) fn refused(&self, rule: &'static str, kind: &'static str) {
        self.refused.get_or_create_owned(&Held { rule, kind }).inc();
    }

    /// A password that was seen good is judged in spite of one.
    pub(super) fn known(&self) {
        self.known.inc();
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        put(&mut encoder, "failures", "Credentials that were wrong, by plugin", &self.failures)?;
        put(&mut encoder, "holds", "Delays and locks that began, by rule", &self.begun)?;
        put(
            &mut encoder,
            "refused",
            "Requests refused for a delay or lock, by rule",
            &self.refused,
        )?;
        let help = "Passwords judged in spite of one, because they were seen good before";
        put(&mut encoder, "known", help, &self.known)
    }
}

fn put(
    encoder: &mut DescriptorEncoder<'_>,
    what: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> fmt::Result {
    let name = format!("bartizan_auth_throttle_{what}");
    let encoder = encoder.encode_descriptor(&name, help, None, metric.metric_type())?;
    metric.encode(encoder)
}
