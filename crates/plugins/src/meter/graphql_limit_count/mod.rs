//! Limits what GraphQL operations cost in a window of time, and how large one may be.
//!
//! ```yaml
//! graphql-limit-count:
//!   count: 500
//!   time_window: 60
//!   key: consumer_name
//!   max_depth: 8
//! ```
//!
//! It is `limit-count`, with all that is said there of keys, windows, rules, groups and headers,
//! charged with the cost of the operation in place of one. With `cost_strategy: depth` (the
//! default) that is the number of levels: `{ orders { items { name } } }` costs 3. With
//! `complexity` it is the number of fields. Fragments count where they are used, fields as often as
//! they are asked for under whatever alias, introspection like anything else; `@skip` and
//! `@include` are not believed. The cost is multiplied by `score_factor` and rounded up to a whole
//! number, at least 1. What costs more than `count` is refused without a time to try again.
//!
//! One operation may have at most `max_depth` levels (16), `max_fields` fields (1,000) and, if
//! that is not 0, `max_cost`; with `introspection: refuse` none may ask for the schema. A body that
//! is a list of operations is charged with the sum and may have `max_batch` of them (1, so that
//! lists are refused).
//!
//! Every request of the route must be GraphQL, read in exactly one way, or it is refused: `query`
//! of a JSON body, a body that is `application/graphql`, or the parameter `query` of a GET request,
//! which may only read. Two places at once, names that occur twice, members other than `query`,
//! `operationName`, `variables` and `extensions` (such as the id of a stored query), and encodings
//! other than UTF-8 are refused. So are fragments that lead into themselves or are not there,
//! documents with several operations of which none is named, those of types, more than 20,000
//! tokens, and nesting beyond 100. Reading takes time in proportion to the text, whatever fragments
//! expand to. The body is at most `limits.inspected_body`; a larger one is 413.
//!
//! It needs the body, so that it runs behind authorization, with the checks of bodies: whoever may
//! not call is not read. A request that cannot be read or is too large costs 1. Refusals are
//! `graphql.malformed` and `graphql.too_costly` (400), and 429 (503 in compatibility mode) where
//! the limit is spent; details are in the audit log only.
//!
//! # Headers
//!
//! As with `limit-count`: `RateLimit`, `RateLimit-Policy` and `Retry-After`, or the `X-RateLimit-*`
//! of compatibility mode.
//!
//! # What it costs
//!
//! One pass over the query, in time in proportion to its length, and that of `limit-count`.
//!
//! # What it cannot do
//!
//! It knows no schema: weights for fields and arguments that multiply (`first: 100`) are not there
//! yet, and whether a field exists is the upstream's to say. It counts per node.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX charges the depth of POST requests and bounds nothing else; GET requests and lists
//! are refused there.

mod request;
#[cfg(test)]
mod tests;

use bartizan_chain::{
    AnswerHead, BodyNeed, CompileCx, Flow, JsonLimits, Kinship, Nothing as NoConsumerConfig,
    Plugin, Proofs, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;

use super::amount::Amount;
use super::limit_count::{self, Call, KeyType, LimitCount, Metadata, Policy, Rule, WindowType};
use crate::decimal::{self, WHOLE};
use crate::graphql::Measure;

/// The configuration of `graphql-limit-count`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What fits into a window, in units of cost.
    count: Option<Amount>,
    /// The length of a window in seconds.
    time_window: Option<Amount>,
    /// What is counted: the name of a variable, text with variables, or any text; see `key_type`.
    #[schemars(length(min = 1, max = 1024), extend("default" = "remote_addr"))]
    key: Option<String>,
    /// How `key` is read.
    #[schemars(extend("default" = "var"))]
    key_type: Option<KeyType>,
    /// How the window moves. Sliding, unless the node follows the habits of Apache APISIX.
    window_type: Option<WindowType>,
    /// Several limits in place of `count`, `time_window` and `key`.
    #[schemars(length(min = 1, max = 16))]
    rules: Option<Vec<Rule>>,
    /// What an operation costs.
    #[serde(default)]
    cost_strategy: CostStrategy,
    /// Multiplies the cost; up to six decimals.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1_000_000))]
    score_factor: Number,
    /// The largest cost of one operation, `score_factor` included; 0 for no maximum.
    #[serde(default = "zero")]
    #[schemars(extend("minimum" = 0, "maximum" = 4_294_967_295_u32))]
    max_cost: Number,
    /// The most levels of one operation.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 100))]
    max_depth: u32,
    /// The most fields of one operation, fragments put in.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1))]
    max_fields: u32,
    /// The most operations of one request.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 100))]
    max_batch: u32,
    /// Whether an operation may ask for the schema.
    #[serde(default)]
    introspection: Introspection,
    /// The status of a refusal: 429, or 503 where the node follows the habits of Apache APISIX.
    #[schemars(range(min = 400, max = 599))]
    rejected_code: Option<u16>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    rejected_msg: Option<String>,
    /// Whether answers say how much of the quota is left.
    #[serde(default = "limit_count::yes")]
    show_limit_quota_header: bool,
    /// Where the counters are: in this node.
    #[serde(default)]
    policy: Policy,
    /// Shares the counters with every resource that names the same group.
    #[schemars(length(min = 1, max = 256))]
    group: Option<String>,
    /// Admits requests that cannot be counted: no rule applies, a number cannot be read, or no
    /// counter is left.
    #[serde(default)]
    danger_allow_degradation: bool,
}

/// What an operation costs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(extend("x-answers" = {
    "node_quantifier": "is not supported yet: no argument multiplies the cost"
}))]
pub enum CostStrategy {
    /// As many units as it has levels.
    #[default]
    Depth,
    /// As many units as it has fields.
    Complexity,
}

/// Whether an operation may ask for the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Introspection {
    /// It counts like anything else.
    #[default]
    Allow,
    /// It is refused.
    Refuse,
}

fn one() -> Number {
    1.into()
}

fn zero() -> Number {
    0.into()
}

fn sixteen() -> u32 {
    16
}

fn thousand() -> u32 {
    1_000
}

fn single() -> u32 {
    1
}

/// Compiled `graphql-limit-count`.
pub struct GraphqlLimitCount {
    limit: LimitCount,
    strategy: CostStrategy,
    /// In millionths.
    factor: u64,
    /// In millionths; 0 for none.
    max_cost: u64,
    max_depth: u64,
    max_fields: u64,
    max_batch: usize,
    introspection: Introspection,
    body_max: usize,
    json: JsonLimits,
}

const REDIS: Unsupported = Unsupported::NotYet("each node counts for itself");
const SCHEMA: Unsupported =
    Unsupported::NotYet("costs come from the query alone; no schema is fetched");

impl Plugin for GraphqlLimitCount {
    const NAME: &'static str = "graphql-limit-count";
    const PRIORITY: i32 = 1004;
    const KINSHIP: Kinship =
        Kinship::Different("a strict parser with bounds; fragments that go in circles are refused");
    const STAGES: StageSet = StageSet::of(&[Stage::Validate]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("introspection_endpoint", SCHEMA),
        ("introspection_headers", SCHEMA),
        (
            "resolve_variables",
            Unsupported::NotYet("no argument multiplies the cost, so that no variable matters"),
        ),
        ("sync_interval", REDIS),
        ("redis_host", REDIS),
        ("redis_port", REDIS),
        ("redis_username", REDIS),
        ("redis_password", REDIS),
        ("redis_database", REDIS),
        ("redis_timeout", REDIS),
        ("redis_ssl", REDIS),
        ("redis_ssl_verify", REDIS),
        ("redis_keepalive_timeout", REDIS),
        ("redis_keepalive_pool", REDIS),
        ("redis_cluster_nodes", REDIS),
        ("redis_cluster_name", REDIS),
        ("redis_cluster_ssl", REDIS),
        ("redis_cluster_ssl_verify", REDIS),
        ("redis_connect_timeout", REDIS),
        ("redis_read_timeout", REDIS),
        ("redis_master_name", REDIS),
        ("redis_role", REDIS),
        ("redis_sentinels", REDIS),
        ("sentinel_username", REDIS),
        ("sentinel_password", REDIS),
    ];

    type Config = Config;
    type ConsumerConfig = NoConsumerConfig;
    type Metadata = Metadata;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let factor = decimal::millionths(&config.score_factor);
        let factor = factor.map_err(|fault| under("score_factor", fault))?;
        let max_cost = decimal::millionths(&config.max_cost);
        let max_cost = max_cost.map_err(|fault| under("max_cost", fault))?;
        let limits = &cx.node.limits;
        Ok(Self {
            strategy: config.cost_strategy,
            factor,
            max_cost,
            max_depth: config.max_depth.into(),
            max_fields: config.max_fields.into(),
            max_batch: usize::try_from(config.max_batch).unwrap_or(1),
            introspection: config.introspection,
            body_max: limits.inspected_body.as_usize(),
            json: limits.into(),
            limit: LimitCount::compile(config.limit(), cx)?,
        })
    }

    fn traits(&self) -> Traits {
        let limit = self.limit.traits();
        Traits {
            body: BodyNeed::Bytes { max: self.body_max },
            on_response: limit.on_response,
            proves: Proofs { limit: limit.proves.limit, ..Proofs::default() },
            ..Traits::in_stages(&[Stage::Validate])
        }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let judged = self.cost(cx);
        let cost = judged.as_ref().map_or(1, |cost| *cost);
        self.limit.charge(cx, cost, call)?;
        judged.map(|_| Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        self.limit.on_response_head(cx, answer, call)
    }
}

impl GraphqlLimitCount {
    /// What a request costs, unless it cannot be read or is too large.
    fn cost(&self, cx: &RequestCx) -> Result<u32, Denial> {
        let operations = request::operations(cx, self.max_batch, self.json)
            .map_err(|fault| Denial::new(Reason::BadGraphql, fault.to_string()))?;
        let mut sum = 0_u32;
        for operation in &operations {
            sum = sum.saturating_add(self.price(operation)?);
        }
        Ok(sum)
    }

    /// What an operation costs, unless it is too large.
    fn price(&self, operation: &Measure) -> Result<u32, Denial> {
        let Measure { depth, fields, .. } = *operation;
        let refuse = |detail: String| Err(Denial::new(Reason::GraphqlTooCostly, detail));
        if depth > self.max_depth {
            return refuse(format!("{depth} levels are more than `max_depth`"));
        }
        if fields > self.max_fields {
            return refuse(format!("{fields} fields are more than `max_fields`"));
        }
        if operation.introspects && self.introspection == Introspection::Refuse {
            return refuse("it asks for the schema".into());
        }
        let units = match self.strategy {
            CostStrategy::Depth => depth,
            CostStrategy::Complexity => fields,
        };
        let cost = units.saturating_mul(self.factor);
        if self.max_cost > 0 && cost > self.max_cost {
            return refuse(format!("a cost of {} is more than `max_cost`", decimal::shown(cost)));
        }
        Ok(u32::try_from(cost.div_ceil(WHOLE)).unwrap_or(u32::MAX).max(1))
    }
}

impl Config {
    /// The limit that is charged.
    fn limit(self) -> limit_count::Config {
        limit_count::Config {
            count: self.count,
            time_window: self.time_window,
            key: self.key,
            key_type: self.key_type,
            window_type: self.window_type,
            rules: self.rules,
            rejected_code: self.rejected_code,
            rejected_msg: self.rejected_msg,
            show_limit_quota_header: self.show_limit_quota_header,
            policy: self.policy,
            group: self.group,
            danger_allow_degradation: self.danger_allow_degradation,
        }
    }
}

fn under(key: &str, fault: Invalid) -> Invalid {
    fault.under(PathStep::Key(key.to_owned()))
}
