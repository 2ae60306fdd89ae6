//! Asks Open Policy Agent whether a request may pass.
//!
//! ```yaml
//! opa:
//!   host: http://127.0.0.1:8181
//!   policy: gateway/orders
//!   with_consumer: true
//! ```
//!
//! Each request becomes a POST to `host`/v1/data/`policy` with
//!
//! ```json
//! {"input": {
//!   "type": "http",
//!   "request": {"scheme": "https", "method": "GET", "host": "api.example", "port": 443,
//!               "path": "/orders/1", "headers": {"accept": "*/*"}, "query": {"id": "7"}},
//!   "var": {"server_addr": "192.0.2.2", "server_port": 443, "remote_addr": "192.0.2.1",
//!           "remote_port": 50000, "timestamp": 1767225600},
//!   "route": {"id": "orders", "name": "…", "uri": "/orders/*", "host": "…"},
//!   "service": {"id": "…", "name": "…"},
//!   "consumer": {"username": "alice", "group_id": "staff", "labels": {"tenant": "acme"}}
//! }}
//! ```
//!
//! where the last three are there with `with_route`, `with_service` and `with_consumer` (of a token
//! without a consumer, `{"subject": …}`). Host, path and query are in the one form that everything
//! is decided on; query values are decoded, a header or parameter that occurs more than once is a
//! list. With `with_body` the body is there as `request.body`, parsed strictly: what cannot be read
//! in exactly one way is refused with 400. Credentials that another plugin took out of the request
//! are not there; other headers are, `Authorization` and `Cookie` too: put the engine where you
//! would put the upstream, or behind `https`.
//!
//! The request passes only if the answer is 200 and its `result.allow` is `true`. The upstream then
//! gets the headers of `result.headers` that `send_headers_upstream` names; what a client sends under
//! these names is taken out, always, however it is spelt. Otherwise the client gets
//! `result.status_code` (300 to 599; 403 if left out), `result.reason` as the body (a text, or JSON)
//! and `result.headers`.
//!
//! No answer, one over 64 KiB, one that is not what OPA answers, and a policy that is undefined deny
//! with 503 (in compatibility mode 403 where the engine cannot be reached). It proves a *grant*, as a
//! policy engine does, and never who calls: `with_consumer` needs a plugin that authenticates.
//!
//! # Headers
//!
//! The engine gets those of the request without credentials that were taken out; the upstream gets
//! those of `result.headers` that `send_headers_upstream` names, and never from a client; a refused
//! client gets `result.headers`.
//!
//! # What it costs
//!
//! One call for each request, over connections that the worker keeps; answers are not remembered.
//! At most `limits.calls` wait per worker. An `https` engine is verified by the system's
//! authorities or those of `ca_certs`, unless `danger_ssl_verify: false` is written.
//!
//! # What it cannot do
//!
//! While the engine is away nobody passes. Policies are not kept or run here. It never proves who
//! calls.
//!
//! # How it differs from Apache APISIX
//!
//! `timeout` is for the whole call, an error denies, answers are bounded, and of routes, services
//! and consumers names are sent, never configurations with their secrets.

mod decision;
mod input;

use bartizan_chain::{
    BodyNeed, CompileCx, Flow, JsonLimits, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use bartizan_wire::Fields;
use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use super::service::{HeaderNames, Service, ServiceSettings, Towards, no_decision};
use crate::outgoing::{Pem, Trust};
use decision::Decision;
use input::Input;

/// The configuration of `opa`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches in configuration")]
pub struct Config {
    /// The address of the engine.
    #[schemars(length(min = 1, max = 2_048))]
    host: String,
    /// The policy: its path below `data`, as in `gateway/orders`.
    #[schemars(
        length(min = 1, max = 256),
        regex(pattern = r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")
    )]
    policy: String,
    /// Whether the engine gets the route's id and name, and what matched.
    #[serde(default)]
    with_route: bool,
    /// Whether it gets the service's id and name.
    #[serde(default)]
    with_service: bool,
    /// Whether it gets who calls.
    #[serde(default)]
    with_consumer: bool,
    /// Whether it gets the body, parsed.
    #[serde(default)]
    with_body: bool,
    /// The longest body that it gets, in bytes; over it the request is refused with 413. Left out,
    /// `limits.inspected_body`.
    #[schemars(range(min = 1, max = 67_108_864))]
    max_req_body_size: Option<u64>,
    /// Headers of the answer that the upstream gets. What the client sends under these names is
    /// taken out, always.
    #[schemars(length(min = 1))]
    send_headers_upstream: Option<Vec<String>>,
    /// Milliseconds that a call may take, connecting and the whole answer included.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 1, max = 60_000))]
    timeout: u32,
    /// Whether connections are kept for the next calls.
    #[serde(default = "yes")]
    keepalive: bool,
    /// Milliseconds that a connection is kept without a call.
    #[serde(default = "one_minute")]
    #[schemars(range(min = 1_000, max = 3_600_000))]
    keepalive_timeout: u32,
    /// Connections without a call that each worker keeps.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1_024))]
    keepalive_pool: u32,
    /// PEM of the authorities that may have signed the engine's certificate; the system's if left
    /// out.
    ca_certs: Option<Pem>,
    /// Whether the engine's certificate is verified. Off, whoever sits between decides.
    #[serde(default = "yes")]
    danger_ssl_verify: bool,
}

fn three_seconds() -> u32 {
    3_000
}

fn one_minute() -> u32 {
    60_000
}

fn five() -> u32 {
    5
}

fn yes() -> bool {
    true
}

/// Compiled `opa`.
pub struct Opa {
    service: Service,
    /// The path of the policy.
    target: String,
    fields: Fields,
    input: Input,
    upstream_headers: HeaderNames,
    body_max: Option<usize>,
    json: JsonLimits,
    is_apisix: bool,
}

impl Plugin for Opa {
    const NAME: &'static str = "opa";
    const PRIORITY: i32 = 2001;
    const KINSHIP: Kinship = Kinship::Different(
        "an error denies; the server's certificate is verified; answers are bounded",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authorize]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let settings = ServiceSettings {
            trust: Trust { ca_certs: config.ca_certs, verifies: config.danger_ssl_verify },
            timeout: config.timeout,
            keepalive: config.keepalive,
            keepalive_timeout: config.keepalive_timeout,
            keepalive_pool: config.keepalive_pool,
        };
        let service = Service::compile("host", &config.host, &settings, cx)?;
        if service.target.contains('?') {
            return Err(Invalid::at("host", "an address with a query cannot be gone on from"));
        }
        if config.policy.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(Invalid::at("policy", "leads out of the policies"));
        }
        let limits = &cx.node.limits;
        let body_max = match (config.with_body, config.max_req_body_size) {
            (false, Some(_)) => {
                return Err(Invalid::at("max_req_body_size", "no body is sent")
                    .with_help("`with_body: true` sends it"));
            }
            (false, None) => None,
            (true, max) => Some(max.unwrap_or(limits.inspected_body.0)),
        };
        let list = config.send_headers_upstream.unwrap_or_default();
        let mut fields = Fields::new();
        fields.append("content-type", "application/json");
        Ok(Self {
            target: format!("{}/v1/data/{}", service.target.trim_end_matches('/'), config.policy),
            service,
            fields,
            input: Input {
                with_route: config.with_route,
                with_service: config.with_service,
                with_consumer: config.with_consumer,
                with_body: config.with_body,
            },
            upstream_headers: HeaderNames::compile(
                "send_headers_upstream",
                &list,
                Towards::Upstream,
            )?,
            body_max: body_max.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
            json: limits.into(),
            is_apisix: cx.compatibility().is_apisix(),
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authorize]);
        traits.proves.grant = true;
        traits.body = self.body_max.map_or(BodyNeed::None, |max| BodyNeed::Value { max });
        traits
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        // Boxed, so that the wait costs routes without it nothing.
        Box::pin(self.decide(cx)).await?;
        Ok(Flow::Continue)
    }
}

impl Opa {
    async fn decide(&self, cx: &mut RequestCx) -> Result<(), Denial> {
        // Whatever comes of it, the client's own copies go.
        self.upstream_headers.take_out(&mut cx.fields);
        let body = self.input.of(cx);
        let asked = self.service.ask(cx, &Method::POST, &self.target, &self.fields, &body).await;
        let unreachable = self.is_apisix.then_some(403);
        let answered = asked.map_err(|cause| no_decision(&cause, unreachable))?;
        if answered.status.as_u16() != 200 {
            return Err(no_decision(&format!("it answers {}", answered.status), None));
        }
        match Decision::read(answered.body(), self.json) {
            Ok(Decision::Allow(headers)) => {
                headers.copy(&self.upstream_headers, &mut cx.fields);
                Ok(())
            }
            Ok(Decision::Deny(denial)) => Err(denial),
            Err(cause) => Err(no_decision(&cause, None)),
        }
    }
}

#[cfg(test)]
mod tests;
