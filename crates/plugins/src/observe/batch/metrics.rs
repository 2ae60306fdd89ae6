//! What sinks count.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

/// Which sink.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SinkLabels {
    plugin: &'static str,
    name: String,
    resource: String,
}

/// Which sink, and why an entry did not reach it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DropLabels {
    plugin: &'static str,
    name: String,
    resource: String,
    cause: &'static str,
}

/// The counters of all sinks of a node.
#[derive(Debug, Default)]
pub(crate) struct SinkMetrics {
    delivered: Family<SinkLabels, Counter>,
    dropped: Family<DropLabels, Counter>,
    waiting: Family<SinkLabels, Gauge>,
}

/// The counters of one sink.
#[derive(Debug)]
pub(super) struct Counts {
    delivered: Counter,
    full: Counter,
    failed: Counter,
    closed: Counter,
    waiting: Gauge,
}

impl SinkMetrics {
    /// The counters of the sink of this name, of a plugin in a resource.
    pub(super) fn of(&self, plugin: &'static str, name: &str, resource: &str) -> Counts {
        let (name, resource) = (name.to_owned(), resource.to_owned());
        let sink = SinkLabels { plugin, name: name.clone(), resource: resource.clone() };
        let dropped = |cause| {
            let (name, resource) = (name.clone(), resource.clone());
            let labels = DropLabels { plugin, name, resource, cause };
            self.dropped.get_or_create_owned(&labels)
        };
        Counts {
            delivered: self.delivered.get_or_create_owned(&sink),
            full: dropped("full"),
            failed: dropped("failed"),
            closed: dropped("closed"),
            waiting: self.waiting.get_or_create_owned(&sink),
        }
    }
}

impl Counts {
    /// Entries were handed over.
    pub(super) fn delivered(&self, count: usize) {
        self.delivered.inc_by(count as u64);
    }

    /// There was no room for entries.
    pub(super) fn full(&self, count: usize) {
        self.full.inc_by(count as u64);
    }

    /// Entries could not be handed over.
    pub(super) fn failed(&self, count: usize) {
        self.failed.inc_by(count as u64);
    }

    /// Entries came when the sink had ended, or were still there when it was cut off.
    pub(super) fn closed(&self, count: usize) {
        self.closed.inc_by(count as u64);
    }

    /// So many entries wait now.
    pub(super) fn waiting(&self, count: usize) {
        self.waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Entries that were dropped so far, for want of room and for any other cause.
    pub(super) fn dropped(&self) -> (u64, u64) {
        (self.full.get(), self.failed.get().saturating_add(self.closed.get()))
    }
}

impl Collector for SinkMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = |name, help, metric: &dyn EncodeMetric| {
            metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
        };
        family(
            "bartizan_sink_delivered",
            "Entries that sinks of loggers have taken",
            &self.delivered,
        )?;
        family(
            "bartizan_sink_dropped",
            "Entries that never reached the sink of a logger, by cause",
            &self.dropped,
        )?;
        family("bartizan_sink_waiting", "Entries that wait for the sink of a logger", &self.waiting)
    }
}
