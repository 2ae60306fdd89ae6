//! The node's metrics in the text format of Prometheus, version 0.0.4.
//!
//! The registry writes `OpenMetrics`, whose counters all end in `_total`. In the older format a
//! counter has the name it has: ours keep the suffix, and those of Apache APISIX (`apisix_…`) are
//! written without it, as existing dashboards know them.

use std::fmt::{self, Write};

use prometheus_client::encoding::text::encode_registry;
use prometheus_client::registry::Registry;

/// The content type of what [`exposition`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Every metric of the registry.
pub fn exposition(registry: &Registry) -> Result<String, fmt::Error> {
    let mut metrics = String::new();
    encode_registry(&mut metrics, registry)?;
    let mut text = String::with_capacity(metrics.len());
    let mut help = None;
    // The suffixed name that samples of the current family lose, and the name that they get.
    let mut renamed: Option<(String, &str)> = None;
    for line in metrics.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) =
            line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let is_foreign = name.starts_with("apisix_");
            let suffix = if kind == "counter" && !is_foreign { "_total" } else { "" };
            renamed = (kind == "counter" && is_foreign).then(|| (format!("{name}_total"), name));
            if let Some(help) = help.take() {
                writeln!(text, "# HELP {name}{suffix} {help}")?;
            }
            writeln!(text, "# TYPE {name}{suffix} {}", classic(kind))?;
        } else if !line.starts_with('#') {
            match &renamed {
                Some((long, short)) if line.starts_with(long.as_str()) => {
                    writeln!(text, "{short}{}", line.get(long.len()..).unwrap_or_default())?;
                }
                _ => writeln!(text, "{line}")?,
            }
        }
    }
    Ok(text)
}

/// The older format's name for a kind of metric.
fn classic(kind: &str) -> &str {
    match kind {
        "unknown" => "untyped",
        "info" | "stateset" => "gauge",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;
    use prometheus_client::metrics::family::Family;
    use prometheus_client::metrics::gauge::Gauge;
    use prometheus_client::metrics::histogram::Histogram;

    use super::*;

    #[test]
    fn counters_are_named_as_their_readers_know_them() {
        let mut registry = Registry::default();
        let status = Family::<Vec<(&str, &str)>, Counter>::default();
        status.get_or_create(&vec![("route", "a\"\n_total")]).inc();
        registry.register("apisix_http_status", "Statuses", status);
        registry.register("bartizan_requests", "Requests", Counter::<u64>::default());
        registry.register("bartizan_connections", "Open", Gauge::<i64>::default());
        let expected = "\
# HELP apisix_http_status Statuses.
# TYPE apisix_http_status counter
apisix_http_status{route=\"a\\\"\\n_total\"} 1
# HELP bartizan_requests_total Requests.
# TYPE bartizan_requests_total counter
bartizan_requests_total 0
# HELP bartizan_connections Open.
# TYPE bartizan_connections gauge
bartizan_connections 0
";
        assert_eq!(exposition(&registry).unwrap(), expected);
    }

    #[test]
    fn histograms_keep_their_buckets() {
        let mut registry = Registry::default();
        let latency = Histogram::new([1.0, 2.0]);
        latency.observe(1.5);
        registry.register("apisix_http_latency", "Latency", latency);
        let text = exposition(&registry).unwrap();
        assert!(text.contains("# TYPE apisix_http_latency histogram\n"), "{text}");
        assert!(text.contains("apisix_http_latency_bucket{le=\"+Inf\"} 1\n"), "{text}");
        assert!(text.contains("apisix_http_latency_count 1\n"), "{text}");
    }
}
