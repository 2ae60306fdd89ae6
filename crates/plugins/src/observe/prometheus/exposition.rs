//! The series under the names and labels that dashboards for Apache APISIX ask for.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeMetric, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::series::{Histogram, Labels, Series, SeriesTable};

/// Most series of each kind.
const SERIES_MAX: usize = 100_000;

/// What is recorded of exchanges besides their status.
#[derive(Debug, Default)]
pub(super) struct Exchanges {
    pub(super) request: Histogram,
    pub(super) upstream: Histogram,
    pub(super) gateway: Histogram,
    pub(super) ingress: AtomicU64,
    pub(super) egress: AtomicU64,
}

/// What all instances of the plugin record in.
#[derive(Debug)]
pub(super) struct HttpMetrics {
    pub(super) status: SeriesTable<AtomicU64>,
    pub(super) exchanges: SeriesTable<Exchanges>,
    dropped: AtomicU64,
}

impl Default for HttpMetrics {
    fn default() -> Self {
        Self {
            status: SeriesTable::new(SERIES_MAX),
            exchanges: SeriesTable::new(SERIES_MAX),
            dropped: AtomicU64::new(0),
        }
    }
}

impl HttpMetrics {
    /// Counts an exchange that found no series.
    pub(super) fn drop_one(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the labels of a sample are besides those of its series.
enum Shown<'a> {
    Status(&'a Labels<'a>),
    Typed(&'static str, &'a Labels<'a>),
}

impl EncodeLabelSet for Shown<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let mut label = |pair: (&str, &str)| {
            use prometheus_client::encoding::EncodeLabel;
            pair.encode(encoder.encode_label())
        };
        let labels = match self {
            Self::Status(labels) => {
                label(("code", itoa::Buffer::new().format(labels.code)))?;
                label(("matched_uri", labels.matched_uri))?;
                label(("matched_host", labels.matched_host))?;
                let source = if labels.from_upstream { "upstream" } else { "apisix" };
                label(("response_source", source))?;
                labels
            }
            Self::Typed(kind, labels) => {
                label(("type", kind))?;
                labels
            }
        };
        label(("route", labels.route))?;
        label(("service", labels.service))?;
        label(("consumer", labels.consumer))?;
        let node = labels.node.map(|node| node.to_string()).unwrap_or_default();
        label(("node", &node))?;
        label(("request_type", "traditional_http"))?;
        label(("request_llm_model", ""))?;
        label(("llm_model", ""))
    }
}

impl Collector for HttpMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_status(&mut encoder)?;
        let exchanges = self.exchanges.all();
        encode_latency(&exchanges, &mut encoder)?;
        encode_bandwidth(&exchanges, &mut encoder)?;
        let dropped = ConstCounter::new(self.dropped.load(Ordering::Relaxed));
        let metric = encoder.encode_descriptor(
            "bartizan_http_series_dropped",
            "Exchanges that were not counted, because there were too many series",
            None,
            dropped.metric_type(),
        )?;
        dropped.encode(metric)
    }
}

/// In the text format the name of a counter ends in `_total`, and dashboards ask for the name
/// without it: only a gauge may have that.
const COUNTED: MetricType = MetricType::Gauge;

impl HttpMetrics {
    fn encode_status(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "HTTP status codes per service";
        let mut metric = encoder.encode_descriptor("apisix_http_status", help, None, COUNTED)?;
        for series in self.status.all() {
            let count = series.values.load(Ordering::Relaxed);
            metric.encode_family(&Shown::Status(&series.labels.borrow()))?.encode_gauge(&count)?;
        }
        Ok(())
    }
}

fn encode_latency(
    exchanges: &[Arc<Series<Exchanges>>],
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let help = "HTTP request latency in milliseconds per service";
    let kind = MetricType::Histogram;
    let mut metric = encoder.encode_descriptor("apisix_http_latency", help, None, kind)?;
    for series in exchanges {
        let Exchanges { request, upstream, gateway, .. } = &series.values;
        for (kind, histogram) in [("request", request), ("upstream", upstream), ("apisix", gateway)]
        {
            let labels = series.labels.borrow();
            encode_histogram(&mut metric, &Shown::Typed(kind, &labels), histogram)?;
        }
    }
    Ok(())
}

fn encode_histogram(
    metric: &mut MetricEncoder<'_>,
    labels: &Shown<'_>,
    histogram: &Histogram,
) -> fmt::Result {
    let (sum, number, buckets) = histogram.read();
    if number == 0 {
        return Ok(());
    }
    metric.encode_family(labels)?.encode_histogram::<NoLabelSet>(sum, number, &buckets, None)
}

fn encode_bandwidth(
    exchanges: &[Arc<Series<Exchanges>>],
    encoder: &mut DescriptorEncoder<'_>,
) -> fmt::Result {
    let help = "Total bandwidth in bytes consumed per service";
    let mut metric = encoder.encode_descriptor("apisix_bandwidth", help, None, COUNTED)?;
    for series in exchanges {
        for (kind, bytes) in
            [("ingress", &series.values.ingress), ("egress", &series.values.egress)]
        {
            let bytes = bytes.load(Ordering::Relaxed);
            let labels = series.labels.borrow();
            metric.encode_family(&Shown::Typed(kind, &labels))?.encode_gauge(&bytes)?;
        }
    }
    Ok(())
}
