//! Tells how busy the node is, at `/apisix/status` of the status listener.
//!
//! ```yaml
//! node-status: {}
//! ```
//!
//! Write it in a global rule; it is about the node, not about a route, and the page is there as long
//! as it is in force anywhere. The page is JSON: `id` (the name of the machine) and `status` with
//! `total` (requests that began), `active` (connections of clients), `upstream` (connections to
//! upstreams, idle ones included) and `denied` (requests that were refused or failed).
//!
//! # Headers
//!
//! It reads no header and sets none.
//!
//! # What it costs
//!
//! Nothing for requests.
//!
//! # What it cannot do
//!
//! It asks for no credential where the status listener does not; on a route it can be put with
//! `public-api`, behind that route's authentication. For graphs, `prometheus` tells more.
//!
//! # How it differs from Apache APISIX
//!
//! The page is on the status listener. Apache APISIX counts connections by what they wait for,
//! which is not known here.

use std::sync::Arc;

use bartizan_chain::{CompileCx, Kinship, Nothing, Page, Plugin, Traits};
use bartizan_config::Invalid;
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::node_page::node_page;

/// Where the page is.
pub(crate) const PATH: &str = "/apisix/status";

/// The configuration of `node-status`: it has no fields.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// Compiled `node-status`.
pub struct NodeStatus(#[expect(dead_code, reason = "held, the page is there")] Arc<StatusPage>);

pub(crate) struct StatusPage {
    metrics: SharedMetrics,
    hostname: Arc<str>,
}

impl Page for StatusPage {
    fn media(&self) -> &'static str {
        "application/json"
    }

    fn text(&self) -> String {
        let metrics = &self.metrics;
        let denied: u64 = Reason::ALL
            .iter()
            .map(|reason| metrics.denials_so_far(*reason))
            .fold(0, u64::saturating_add);
        let status = json!({
            "total": metrics.requests.get(),
            "active": metrics.connections.get(),
            "upstream": metrics.upstream_connections.get(),
            "denied": denied,
        });
        json!({ "id": &*self.hostname, "status": status }).to_string()
    }
}

impl Plugin for NodeStatus {
    const NAME: &'static str = "node-status";
    const PRIORITY: i32 = 1000;
    const KINSHIP: Kinship = Kinship::Different("on the status listener");
    const STAGES: StageSet = StageSet::of(&[Stage::Observe]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(_config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let make = || StatusPage {
            metrics: cx.node.counts.clone(),
            hostname: cx.node.outside.hostname.clone(),
        };
        Ok(Self(node_page(cx, PATH, make)))
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Observe])
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn the_page_counts_and_ends_with_the_plugin() {
        let bench = Bench::new();
        let plugin: NodeStatus = bench.compile(&json!({})).unwrap();
        bench.node.counts.requests.inc_by(3);
        bench.node.counts.denied(Reason::RateLimited);
        let page = bench.node.pages.find(PATH).unwrap();
        let told: Value = serde_json::from_str(&page.text()).unwrap();
        assert_eq!(told["id"], "localhost");
        assert_eq!((&told["status"]["total"], &told["status"]["denied"]), (&json!(3), &json!(1)));
        drop((page, plugin));
        assert!(bench.node.pages.find(PATH).is_none());
    }

    proptest::proptest! {
        #[test]
        fn any_number_of_requests_is_told(count in 0_u64..1_000_000) {
            let bench = Bench::new();
            let _plugin: NodeStatus = bench.compile(&json!({})).unwrap();
            bench.node.counts.requests.inc_by(count);
            let text = bench.node.pages.find(PATH).unwrap().text();
            let told: Value = serde_json::from_str(&text).unwrap();
            proptest::prop_assert_eq!(&told["status"]["total"], &json!(count));
        }
    }
}
