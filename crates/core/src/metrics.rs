//! Counters and gauges that belong to the node as a whole. Plugins with metrics of their own
//! register them beside these.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::Registry;

use crate::Reason;

/// The label of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The reason's code.
    pub reason: &'static str,
}

/// The label of a limit that was hit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct LimitLabel {
    /// The limit's name in the node file.
    pub limit: &'static str,
}

/// The label of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PluginLabel {
    /// The plugin's name.
    pub plugin: &'static str,
}

/// How long something took, from a microsecond to four seconds.
#[derive(Clone, Debug)]
pub struct Times(Histogram);

impl Default for Times {
    fn default() -> Self {
        Self(Histogram::new(exponential_buckets(1e-6, 4.0, 12)))
    }
}

impl Times {
    /// Takes one in.
    pub fn observe(&self, time: Duration) {
        self.0.observe(time.as_secs_f64());
    }
}

impl TypedMetric for Times {
    const TYPE: MetricType = MetricType::Histogram;
}

impl EncodeMetric for Times {
    fn encode(&self, encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }

    fn metric_type(&self) -> MetricType {
        Self::TYPE
    }
}

/// The label of a configuration change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReloadLabel {
    /// `applied` or `refused`.
    pub result: &'static str,
}

/// What the node counts about itself.
#[derive(Clone, Debug, Default)]
pub struct NodeMetrics {
    /// Requests refused, by reason.
    pub denials: Family<ReasonLabel, Counter>,
    /// Limits hit, by name.
    pub limit_hits: Family<LimitLabel, Counter>,
    /// Requests that began.
    pub requests: Counter,
    /// Client connections open now.
    pub connections: Gauge,
    /// WebSocket connections open now.
    pub websockets: Gauge,
    /// Upstream connections open now, idle ones included.
    pub upstream_connections: Gauge,
    /// Upstream connections opened.
    pub upstream_connects: Counter,
    /// Exchanges that reused an upstream connection.
    pub upstream_reuses: Counter,
    /// Configuration changes, by result.
    pub reloads: Family<ReloadLabel, Counter>,
    /// 1 while the newest configuration is refused and an older one runs.
    pub reload_refused: Gauge,
    /// Objects of the configuration that are at fault and in quarantine.
    pub quarantined: Gauge,
    /// Secrets of secret managers that could not be had when they were last asked for.
    pub secrets_failing: Gauge,
    /// Services in registries of servers whose registry told nothing when it was last asked.
    pub discovery_failing: Gauge,
    /// Lists of servers that differed from the one before.
    pub discovery_lists: Counter,
    /// 1 while the store that others write to is followed; 0 while it cannot be reached.
    pub store_reachable: Gauge,
    /// Audit events that were dropped because the queue was full.
    pub audit_dropped: Counter,
    /// Lines of the access log that were dropped because its queue was full.
    pub access_dropped: Counter,
    /// Longest pause of an event loop in the last minute or so, in microseconds.
    pub loop_pause: Gauge<i64>,
    /// What plugins took of the requests that were measured, one in 64; waits included.
    pub plugin_seconds: Family<PluginLabel, Times>,
    /// Requests that panicked.
    pub panics: Counter,
    /// Bytes of request bodies.
    pub bytes_in: Counter<u64, AtomicU64>,
    /// Bytes of answer bodies.
    pub bytes_out: Counter<u64, AtomicU64>,
}

impl NodeMetrics {
    /// Registers everything under `bartizan_…`.
    pub fn register(&self, registry: &mut Registry) {
        let r = registry.sub_registry_with_prefix("bartizan");
        r.register("denials", "Requests refused, by reason", self.denials.clone());
        r.register("limit_hits", "Limits hit, by name", self.limit_hits.clone());
        r.register("requests", "Requests that began", self.requests.clone());
        r.register("connections", "Client connections open", self.connections.clone());
        r.register("websockets", "WebSocket connections open", self.websockets.clone());
        let open = self.upstream_connections.clone();
        r.register("upstream_connections", "Upstream connections open, idle ones included", open);
        r.register(
            "upstream_connects",
            "Upstream connections opened",
            self.upstream_connects.clone(),
        );
        r.register("upstream_reuses", "Upstream connections reused", self.upstream_reuses.clone());
        r.register("reloads", "Configuration changes, by result", self.reloads.clone());
        r.register(
            "reload_refused",
            "1 while the newest configuration is refused",
            self.reload_refused.clone(),
        );
        r.register(
            "quarantined",
            "Objects of the configuration that are at fault and left out or kept as they were",
            self.quarantined.clone(),
        );
        r.register(
            "secrets_failing",
            "Secrets of secret managers that could not be had when they were last asked for",
            self.secrets_failing.clone(),
        );
        r.register(
            "discovery_failing",
            "Services whose registry of servers told nothing when it was last asked",
            self.discovery_failing.clone(),
        );
        r.register(
            "discovery_lists",
            "Lists of servers from registries that differed from the one before",
            self.discovery_lists.clone(),
        );
        r.register(
            "store_reachable",
            "1 while the store that others write to is followed",
            self.store_reachable.clone(),
        );
        r.register("audit_dropped", "Audit events dropped", self.audit_dropped.clone());
        r.register("access_dropped", "Access log lines dropped", self.access_dropped.clone());
        r.register("loop_pause_microseconds", "Longest event-loop pause", self.loop_pause.clone());
        r.register(
            "plugin_seconds",
            "What a plugin took of a request in one stage, of one request in 64",
            self.plugin_seconds.clone(),
        );
        r.register("panics", "Requests that panicked", self.panics.clone());
        r.register("bytes_in", "Bytes of request bodies", self.bytes_in.clone());
        r.register("bytes_out", "Bytes of answer bodies", self.bytes_out.clone());
    }

    /// Counts a refusal.
    pub fn denied(&self, reason: Reason) {
        self.denials.get_or_create(&ReasonLabel { reason: reason.code() }).inc();
    }

    /// Refusals for this reason so far.
    pub fn denials_so_far(&self, reason: Reason) -> u64 {
        self.denials.get(&ReasonLabel { reason: reason.code() }).map_or(0, |count| count.get())
    }

    /// Counts a limit that was hit; `limit` is its name in the node file.
    pub fn limit_hit(&self, limit: &'static str) {
        self.limit_hits.get_or_create(&LimitLabel { limit }).inc();
    }
}

/// The node's metrics, shared by workers.
pub type SharedMetrics = Arc<NodeMetrics>;
