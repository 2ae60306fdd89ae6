//! Serves a page that the node tells about itself on a route, in place of an upstream.
//!
//! ```yaml
//! public-api:
//!   uri: /apisix/prometheus/metrics
//! ```
//!
//! | page | is there |
//! |---|---|
//! | `/apisix/prometheus/metrics` | always: all metrics of the node |
//! | `/apisix/status` | while `node-status` is in force |
//! | `/v1/server_info` | while `server-info` is in force |
//! | `/v1/identity_keys` | while `identity-forward` with `jwt` is in force; empty until it has signed |
//!
//! Without `uri` the page is the one at the request's own path. Where there is none, the answer is
//! 404; other methods than GET and HEAD get 405.
//!
//! **The route guards the page.** Nothing about it is exempt: `security.require` asks the route for
//! authentication and authorization as ever, its limits are spent, and the page is given out in the
//! last stage, after all that. It opens nothing by itself: these pages only read, and nothing that
//! changes the node, or shows its configuration, can be exposed. What they tell is for operators:
//! metrics name routes and consumers. The route needs no upstream, and forwards nothing.
//!
//! # Headers
//!
//! The answer has `Content-Type`; a page that exists refuses other methods with `Allow`.
//!
//! # What it costs
//!
//! The page is made for each request; metrics of many routes take milliseconds, during which the
//! worker does nothing else. Scrape the status listener where you can.
//!
//! # What it cannot do
//!
//! It serves the pages of the table, which only read. Nothing that changes the node or shows its
//! configuration can be exposed.
//!
//! # How it differs from Apache APISIX
//!
//! Pages of Apache APISIX that are not here (those of `wolf-rbac`, `batch-requests` and others) are
//! refused where `uri` names them. The route needs authentication and a grant like any other.

use std::sync::{Arc, Mutex, PoisonError};

use bartizan_chain::{
    CompileCx, Flow, Kinship, LocalAnswer, Nothing, Pages, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet, exposition};
use bytes::Bytes;
use http::{Method, StatusCode};
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::observe::{node_status, server_info};
use crate::transform::identity_forward;

/// Where metrics are.
const METRICS: &str = "/apisix/prometheus/metrics";
/// Every page that can be exposed.
const PAGES: [&str; 4] = [METRICS, node_status::PATH, server_info::PATH, identity_forward::PATH];

/// The configuration of `public-api`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The page; the one at the request's own path if left out.
    #[schemars(length(min = 1, max = 1_024))]
    uri: Option<String>,
}

/// Compiled `public-api`.
pub struct PublicApi {
    uri: Option<&'static str>,
    pages: Pages,
    metrics: Arc<Mutex<Registry>>,
}

impl Plugin for PublicApi {
    const NAME: &'static str = "public-api";
    const PRIORITY: i32 = 501;
    const KINSHIP: Kinship = Kinship::Different("only what the catalogue lists as safe");
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let find = |uri: String| {
            PAGES.into_iter().find(|page| *page == uri).ok_or_else(|| {
                Invalid::at("uri", format!("there is no page at `{uri}`"))
                    .with_help(format!("one of `{}`", PAGES.join("`, `")))
            })
        };
        let uri = config.uri.map(find).transpose()?;
        Ok(Self { uri, pages: cx.node.pages.clone(), metrics: cx.node.metrics.clone() })
    }

    fn traits(&self) -> Traits {
        Traits { needs_no_upstream: true, ..Traits::in_stages(&[Stage::Transform]) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let canonical = cx.canonical();
        if ![Method::GET, Method::HEAD].contains(canonical.method()) {
            let detail = "a page is read with GET or HEAD";
            return Err(Denial::new(Reason::MethodNotAllowed, detail)
                .with_field("allow", "GET, HEAD".to_owned()));
        }
        let path = self.uri.unwrap_or(canonical.path());
        let Some((media, text)) = self.page(path)? else {
            return Err(Denial::new(Reason::NoRoute, "no page of the node is there"));
        };
        let mut answer = LocalAnswer::empty(StatusCode::OK);
        answer.fields.append("content-type", media);
        answer.fields.append("cache-control", "no-store");
        answer.fields.append("x-content-type-options", "nosniff");
        answer.body = Bytes::from(text);
        Ok(Flow::Answer(Box::new(answer)))
    }
}

impl PublicApi {
    /// The page at a path, with its media type.
    fn page(&self, path: &str) -> Result<Option<(&'static str, String)>, Denial> {
        if path != METRICS {
            return Ok(self.pages.find(path).map(|page| (page.media(), page.text())));
        }
        let registry = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let text = exposition::exposition(&registry)
            .map_err(|_| Denial::new(Reason::Internal, "the metrics cannot be written"))?;
        Ok(Some((exposition::CONTENT_TYPE, text)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn every_page_that_can_be_named_is_there_once_its_plugin_is() {
        let bench = Bench::new();
        let public: PublicApi = bench.compile(&json!({})).unwrap();
        let is_there = |path: &str| public.page(path).unwrap().is_some();
        assert_eq!(PAGES.map(is_there), [true, false, false, false]);
        let _status: node_status::NodeStatus = bench.compile(&json!({})).unwrap();
        let _info: server_info::ServerInfo = bench.compile(&json!({})).unwrap();
        let jwt = json!({ "jwt": { "issuer": "i", "audience": "a" } });
        let _keys: identity_forward::IdentityForward = bench.compile(&jwt).unwrap();
        assert_eq!(PAGES.map(is_there), [true; 4]);
    }

    proptest::proptest! {
        #[test]
        fn nothing_else_is_there(
            path in "(/[a-z/_.]{0,20}|/?(apisix/)?(prometheus/metrics|status|server_info|metrics)[/a]?)",
        ) {
            let bench = Bench::new();
            let public: PublicApi = bench.compile(&json!({})).unwrap();
            let is_there = public.page(&path).unwrap().is_some();
            proptest::prop_assert_eq!(is_there, path == METRICS);
            let named = bench.compile::<PublicApi>(&json!({ "uri": path.clone() })).is_ok();
            proptest::prop_assert_eq!(named, PAGES.contains(&path.as_str()));
        }
    }
}
