//! What people see of the health of servers.

use std::fmt;
use std::sync::Weak;

use bartizan_core::{ServerHealth, Verdict};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{Health, Prober, Standing};

/// Most servers that metrics tell one by one.
const TOLD_MAX: usize = 10_000;

impl Health {
    /// How the servers stand.
    pub(crate) fn seen(&self) -> Vec<ServerHealth> {
        self.standings().iter().map(|standing| standing.seen()).collect()
    }
}

impl Standing {
    fn seen(&self) -> ServerHealth {
        let counts = self.counts();
        let verdict = match (counts.is_unhealthy, counts.is_known) {
            (true, _) => Verdict::Unhealthy,
            (false, true) => Verdict::Healthy,
            (false, false) => Verdict::NotChecked,
        };
        ServerHealth {
            server: self.label.clone(),
            verdict,
            successes: counts.successes,
            http_failures: counts.http_failures,
            tcp_failures: counts.tcp_failures,
            timeouts: counts.timeouts,
            last: self.last(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    upstream: String,
    node: String,
}

/// Tells metrics how servers stand when they are asked: what is not checked any more is not told.
#[derive(Debug)]
pub(crate) struct Gauges(pub(crate) Weak<Prober>);

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "bartizan_upstream_healthy",
            "1 while requests are sent to a server whose health is checked",
            None,
            MetricType::Gauge,
        )?;
        let all = self.0.upgrade().map_or_else(Vec::new, |prober| prober.all());
        let servers = all.iter().flat_map(|health| {
            health.standings().into_iter().map(move |one| (&health.origin, one))
        });
        for (origin, standing) in servers.take(TOLD_MAX) {
            let labels = Labels {
                upstream: format!("{}/{}", origin.kind.collection(), origin.id),
                node: standing.label.to_string(),
            };
            let gauge = ConstGauge::new(i64::from(standing.is_healthy()));
            gauge.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Registers what a gateway tells of health, of no upstream, for those who list the metrics.
pub fn describe_health(registry: &mut Registry) {
    registry.register_collector(Box::new(Gauges(Weak::new())));
}
