//! Counts exchanges for Prometheus, under the names that dashboards for Apache APISIX ask for.
//!
//! ```yaml
//! prometheus:
//!   prefer_name: true
//! ```
//!
//! - `apisix_http_status` by `code`, `route`, `matched_uri`, `matched_host`, `service`, `consumer`,
//!   `node` and `response_source` (`upstream`, or `apisix` for answers of the gateway);
//! - `apisix_http_latency`, a histogram in milliseconds by `type` (`request` from the first byte to
//!   the last, `upstream` until its head, `apisix` the rest), `route`, `service`, `consumer`, `node`;
//! - `apisix_bandwidth`, in bytes, by `type` (`ingress`, `egress`) and the same.
//!
//! They stand beside the gateway's own `bartizan_*` metrics on the status listener, at `/metrics`
//! and `/apisix/prometheus/metrics`. An exchange counts once, also where a global rule and its route
//! both have the plugin. Every label comes from the configuration, never from a client; over 100,000
//! series of a kind new ones are not counted, which `bartizan_http_series_dropped` tells.
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! Two look-ups under short locks; no text is made.
//!
//! # What it cannot do
//!
//! Counters start again with the process, and are those of one node. Over 100,000 series of a kind
//! new ones are not counted.
//!
//! # How it differs from Apache APISIX
//!
//! The names and labels are the same. The gateway's own series are `bartizan_*`, and there is no
//! metadata for further labels.

mod exposition;
mod series;

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bartizan_chain::{CompileCx, Kinship, Nothing, Outcome, Plugin, RequestCx, RouteFacts, Traits};
use bartizan_config::Invalid;
use bartizan_core::{RequestId, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::node_state::node_metrics;
use exposition::HttpMetrics;
use series::Labels;

/// The configuration of `prometheus`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whether routes and services are shown by name, where they have one, in place of their id.
    #[serde(default)]
    prefer_name: bool,
}

/// Compiled `prometheus`.
pub struct Prometheus {
    prefers_name: bool,
    metrics: Arc<HttpMetrics>,
}

thread_local! {
    /// The exchange that was counted last. The plugins of one exchange finish one after the other
    /// on one thread, so this is enough to count it once.
    static COUNTED: Cell<Option<RequestId>> = const { Cell::new(None) };
}

impl Plugin for Prometheus {
    const NAME: &'static str = "prometheus";
    const PRIORITY: i32 = 500;
    const KINSHIP: Kinship =
        Kinship::Different("the gateway's own series are `bartizan_*`; no metadata");
    const STAGES: StageSet = StageSet::of(&[Stage::Observe]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        Ok(Self { prefers_name: config.prefer_name, metrics: node_metrics(cx, Default::default) })
    }

    fn traits(&self) -> Traits {
        Traits { on_finish: true, ..Traits::in_stages(&[Stage::Observe]) }
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, _call: &mut ()) {
        if COUNTED.replace(Some(cx.id)) != Some(cx.id) {
            self.count(cx, outcome);
        }
    }
}

impl Prometheus {
    fn count(&self, cx: &RequestCx, outcome: &Outcome<'_>) {
        let shared = self.labels(cx);
        let matched = cx.matched();
        let status = Labels {
            code: outcome.status,
            matched_uri: matched.map_or("", |matched| &matched.uri),
            matched_host: matched.and_then(|matched| matched.host.as_deref()).unwrap_or(""),
            from_upstream: outcome.upstream_status.is_some() && outcome.denial.is_none(),
            ..shared
        };
        let is_counted = self.metrics.status.record(&status, |count| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let is_measured = self.metrics.exchanges.record(&shared, |exchanges| {
            exchanges.request.observe(outcome.duration);
            let upstream = outcome.upstream_duration.unwrap_or_default();
            if outcome.upstream_duration.is_some() {
                exchanges.upstream.observe(upstream);
            }
            exchanges.gateway.observe(outcome.duration.saturating_sub(upstream));
            exchanges.ingress.fetch_add(outcome.bytes_in, Ordering::Relaxed);
            exchanges.egress.fetch_add(outcome.bytes_out, Ordering::Relaxed);
        });
        if !(is_counted && is_measured) {
            self.metrics.drop_one();
        }
    }

    /// The labels that every series has.
    fn labels<'a>(&self, cx: &'a RequestCx) -> Labels<'a> {
        let (route, service) = cx.matched().map_or(("", ""), |m| self.names(&m.route));
        let consumer = cx.identity().and_then(|identity| identity.consumer());
        Labels {
            route,
            service,
            consumer: consumer.map_or("", |consumer| consumer.username()),
            node: cx.upstream.address.map(|address| address.ip()),
            ..Labels::default()
        }
    }

    fn names<'a>(&self, route: &'a RouteFacts) -> (&'a str, &'a str) {
        let name = |name: &'a Option<Arc<str>>| name.as_deref().filter(|_| self.prefers_name);
        let service_id = route.service_id.as_deref().unwrap_or("");
        (name(&route.name).unwrap_or(&route.id), name(&route.service_name).unwrap_or(service_id))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bartizan_chain::Matched;
    use bartizan_core::{Denial, Reason};
    use prometheus_client::encoding::text::encode;
    use serde_json::json;

    use super::*;
    use crate::fixture::{Bench, request_of};

    fn outcome(denial: Option<&Denial>) -> Outcome<'_> {
        Outcome {
            status: denial.map_or(200, Denial::status),
            denial,
            was_forwarded: denial.is_none(),
            upstream_status: denial.is_none().then_some(200),
            upstream_node: None,
            duration: Duration::from_micros(2_500),
            upstream_duration: denial.is_none().then_some(Duration::from_millis(2)),
            bytes_in: 100,
            bytes_out: 1_000,
        }
    }

    fn matched() -> Matched {
        let route = RouteFacts {
            id: "r1".into(),
            name: Some("orders".into()),
            service_id: Some("s1".into()),
            service_name: None,
            graphql_costs: None,
        };
        Matched { route: Arc::new(route), uri: "/orders/*".into(), host: None }
    }

    fn scrape(bench: &Bench) -> String {
        let mut out = String::new();
        encode(&mut out, &bench.node.metrics.lock().unwrap()).unwrap();
        out
    }

    fn finish(plugin: &Prometheus, id: u8, matched: Option<Matched>, outcome: &Outcome<'_>) {
        let mut cx = request_of("/orders/1", &[], matched);
        cx.id = RequestId::from_bytes([id; 16]);
        cx.upstream.address = outcome.was_forwarded.then(|| ([192, 0, 2, 9], 8_080).into());
        plugin.on_finish(&cx, outcome, &mut ());
    }

    #[test]
    fn exchanges_are_shown_as_dashboards_for_apisix_ask() {
        let bench = Bench::new();
        let plugin = bench.compile::<Prometheus>(&json!({"prefer_name": true})).unwrap();
        finish(&plugin, 1, Some(matched()), &outcome(None));
        finish(&plugin, 2, Some(matched()), &outcome(None));
        let text = scrape(&bench);
        for line in [
            concat!(
                r#"apisix_http_status{code="200",matched_uri="/orders/*",matched_host="","#,
                r#"response_source="upstream",route="orders",service="s1",consumer="","#,
                r#"node="192.0.2.9",request_type="traditional_http",request_llm_model="","#,
                r#"llm_model=""} 2"#
            ),
            concat!(
                r#"apisix_bandwidth{type="egress",route="orders",service="s1",consumer="","#,
                r#"node="192.0.2.9",request_type="traditional_http",request_llm_model="","#,
                r#"llm_model=""} 2000"#
            ),
            r#"apisix_http_latency_sum{type="request",route="orders""#,
            r#"apisix_http_latency_count{type="apisix",route="orders""#,
            "bartizan_http_series_dropped_total 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        let bucket = |le: &str| {
            let end = format!(r#"le="{le}""#);
            let parts = ["apisix_http_latency_bucket{", r#"type="upstream""#, &end];
            let is_it = |line: &&str| parts.iter().all(|part| line.contains(part));
            text.lines().find(is_it).and_then(|line| line.rsplit(' ').next()).unwrap().to_owned()
        };
        assert_eq!(
            (bucket("1.0"), bucket("2.0"), bucket("+Inf")),
            ("0".into(), "2".into(), "2".into())
        );
    }

    #[test]
    fn refusals_are_the_gateways_own_also_where_nothing_matched() {
        let bench = Bench::new();
        let plugin = bench.compile::<Prometheus>(&json!({})).unwrap();
        let denial = Denial::new(Reason::RateLimited, "");
        finish(&plugin, 1, None, &outcome(Some(&denial)));
        finish(&plugin, 2, Some(matched()), &outcome(Some(&denial)));
        let text = scrape(&bench);
        for part in [
            r#"code="429",matched_uri="",matched_host="",response_source="apisix",route="","#,
            r#"code="429",matched_uri="/orders/*",matched_host="",response_source="apisix",route="r1","#,
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains(r#"type="upstream""#));
    }

    #[test]
    fn an_exchange_counts_once_and_metrics_survive_a_reload() {
        let bench = Bench::new();
        let global = bench.compile::<Prometheus>(&json!({})).unwrap();
        let route = bench.compile::<Prometheus>(&json!({})).unwrap();
        finish(&global, 1, Some(matched()), &outcome(None));
        finish(&route, 1, Some(matched()), &outcome(None));
        drop((global, route));
        let again = bench.compile::<Prometheus>(&json!({})).unwrap();
        finish(&again, 2, Some(matched()), &outcome(None));
        let text = scrape(&bench);
        let line = text.lines().find(|line| line.starts_with("apisix_http_status{")).unwrap();
        assert!(line.ends_with(" 2"), "{line}");
        assert_eq!(text.matches("# TYPE apisix_http_status").count(), 1);
    }
}
