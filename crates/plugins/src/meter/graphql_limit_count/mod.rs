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
//! # What fields cost
//!
//! A service can say what fields of its queries cost, each in a `graphql_cost_decorations` of it:
//!
//! ```json
//! { "field_path": "people.ships", "mul_arguments": ["first"] }
//! ```
//!
//! Such a field costs `add_value` (1) and the values of `add_arguments`, and what is asked for below
//! it counts `mul_value` (1) times the values of `mul_arguments`. Any other field costs 1 and what is
//! below it. `complexity` sums that up, `depth` takes the most expensive way down, and
//! `node_quantifier` is `complexity` in which other fields cost nothing:
//! `{ people(first: 20) { ships(first: 10) { name } } }` then costs 1 and 20 times 1 for the ships
//! (21), where both fields are multiplied by `first`. A path begins at the root of an operation, or
//! says which: `Query.people`.
//!
//! Values are read out of the query, its variables and their defaults. An argument that is not
//! given, or `null`, adds nothing and multiplies nothing; 0 does not multiply either, since a server
//! may take it for no limit. A value that is no whole number is refused, as is an argument given
//! twice, and what is too large to be counted. At most 100,000 fields and fragments of a request are
//! counted, and only once all its operations are within `max_depth` and `max_fields`. Where a decoration is in quarantine, nobody knows what queries cost, and they get 503.
//!
//! One operation may have at most `max_depth` levels (16), `max_fields` fields (1,000) and, if
//! that is not 0, `max_cost`; with `introspection: refuse` none may ask for the schema. A body that
//! is a list of operations is charged with the sum and may have `max_batch` of them (1, so that
//! lists are refused).
//!
//! Every request of the route must be GraphQL, read in exactly one way, or it is refused: `query`
//! of a JSON body, a body that is `application/graphql`, or the parameter `query` of a GET request,
//! which may only read. Two places at once (such as `?variables=` of a POST request, which some
//! servers prefer to the body), names that occur twice, members other than `query`,
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
//! It knows no schema: fields are priced by their path and not by their type, and whether a field
//! exists is the upstream's to say. It counts per node.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX charges the depth of POST requests and bounds nothing else; GET requests and lists
//! are refused there.

mod config;
mod request;
#[cfg(test)]
mod tests;

use bartizan_chain::{
    AnswerHead, BodyNeed, CompileCx, Flow, JsonLimits, Kinship, Nothing as NoConsumerConfig,
    Plugin, Proofs, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};

pub use self::config::{Config, CostStrategy, Introspection};
use self::request::{Operation, Source, Tariff, Unreadable};
use super::limit_count::{Call, LimitCount, Metadata};
use crate::decimal::{self, WHOLE};
use crate::graphql::{Measure, PriceFault, STEPS_MAX};

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
        if config.resolve_variables == Some(false) {
            let fault = Invalid::new("variables that are not read would be free");
            return Err(under("resolve_variables", fault));
        }
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
        let costs = cx.matched().and_then(|matched| matched.route.graphql_costs.as_deref());
        if costs.is_some_and(|costs| costs.is_broken) {
            let detail = "what the service says of the costs of fields is at fault";
            return Err(Denial::new(Reason::Quarantined, detail));
        }
        let tariff = costs.map(|costs| (costs, self.strategy.way()));
        let source =
            Source::find(cx, self.json, tariff.is_some()).map_err(|fault| denied(&fault))?;
        let operations = source.operations(self.max_batch).map_err(|fault| denied(&fault))?;
        // What costs no time is looked at first, of all of them.
        operations.iter().try_for_each(|operation| self.bound(&operation.measure))?;
        let (mut sum, mut steps) = (0_u32, STEPS_MAX);
        for operation in &operations {
            sum = sum.saturating_add(self.price(operation, tariff, &mut steps)?);
        }
        Ok(sum)
    }

    /// Refuses an operation that asks for too much, whatever it costs.
    fn bound(&self, measure: &Measure) -> Result<(), Denial> {
        let Measure { depth, fields, introspects, .. } = *measure;
        if depth > self.max_depth {
            return Err(too_costly(format!("{depth} levels are more than `max_depth`")));
        }
        if fields > self.max_fields {
            return Err(too_costly(format!("{fields} fields are more than `max_fields`")));
        }
        if introspects && self.introspection == Introspection::Refuse {
            return Err(too_costly("it asks for the schema".into()));
        }
        Ok(())
    }

    /// What an operation costs, unless that is too much.
    fn price(
        &self,
        operation: &Operation<'_>,
        tariff: Option<Tariff<'_>>,
        steps: &mut u32,
    ) -> Result<u32, Denial> {
        let Measure { depth, fields, .. } = operation.measure;
        let units = match (tariff, self.strategy) {
            (Some(tariff), _) => operation.price(tariff, steps).map_err(|fault| denied(&fault))?,
            (None, CostStrategy::Depth) => u128::from(depth) * u128::from(WHOLE),
            (None, CostStrategy::Complexity) => u128::from(fields) * u128::from(WHOLE),
            (None, CostStrategy::NodeQuantifier) => 0,
        };
        let cost = units.saturating_mul(self.factor.into()).div_ceil(WHOLE.into());
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        if self.max_cost > 0 && cost > self.max_cost {
            let shown = decimal::shown(cost);
            return Err(too_costly(format!("a cost of {shown} is more than `max_cost`")));
        }
        Ok(u32::try_from(cost.div_ceil(WHOLE)).unwrap_or(u32::MAX).max(1))
    }
}

fn denied(fault: &Unreadable) -> Denial {
    if matches!(fault, Unreadable::Price(PriceFault::TooMuch)) {
        return too_costly(fault.to_string());
    }
    Denial::new(Reason::BadGraphql, fault.to_string())
}

fn too_costly(detail: String) -> Denial {
    Denial::new(Reason::GraphqlTooCostly, detail)
}

fn under(key: &str, fault: Invalid) -> Invalid {
    fault.under(PathStep::Key(key.to_owned()))
}
