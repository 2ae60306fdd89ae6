//! Delays requests or answers them with an error, to see how clients and services bear it.
//!
//! ```yaml
//! fault-injection:
//!   delay: {duration: 0.5, percentage: 10}
//!   abort:
//!     http_status: 503
//!     body: not now
//!     vars: [[[http_x_test, "==", abort]]]
//! ```
//!
//! A fault hits where one of the expressions in its `vars` holds (without `vars` always), and of
//! those requests `percentage` of a hundred (without it all), drawn anew for each request and each
//! fault. First comes the delay, then the abort, so that a request can have both.
//!
//! It runs last, in place of the upstream: a request that is refused for any reason gets that
//! refusal, and no fault. Nothing is answered before it is known who calls, which is why `vars` may
//! ask for the consumer, and why the plugin is no authentication, grant or limit of the route.
//!
//! An abort is an answer and no refusal: the access log has it, without an upstream; the audit log
//! does not. Its body is `text/plain` unless `headers` say otherwise. `body` and the values of
//! `headers` may have variables, `\$` is a dollar. What a client sent and is put into a body stands
//! there as it came: do not make it HTML.
//!
//! A delay is at most `limits.delay` (30 s). Where `limits.delayed` (1,024) requests of this plugin
//! wait already, the next one is refused: 503, `limit.too_many_waiting`. `vars` that read a value
//! which the client repeated refuse the request, too.
//!
//! # Headers
//!
//! An abort has those of `abort.headers`, and `Content-Type: text/plain` unless they say otherwise.
//!
//! # What it costs
//!
//! Nothing beside the expressions, and a timer for who waits.
//!
//! # What it cannot do
//!
//! It breaks no connections and cuts no bodies. It is no limit and no authentication, and a test of
//! clients, not of the gateway.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX injects before authentication, so that who may not call at all learns of the test;
//! and it waits for any time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    CompileCx, Expr, Flow, Kinship, LocalAnswer, Nothing, Plugin, RequestCx, Traits, Var,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::{Fields, QueryFault};
use bytes::Bytes;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Number, Value};

use crate::chance::Chance;
use crate::decimal;
use crate::field_change::{ChangeFault, FieldChange, FieldChanges, HeaderValue, Side};
use crate::rewrite_text::{Escape, RewriteText};
use crate::waiting::Waiters;

/// The configuration of `fault-injection`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Config {
    /// Answers in place of the upstream.
    abort: Option<Abort>,
    /// Holds the request back.
    delay: Option<Delay>,
}

/// An answer in place of the upstream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Abort {
    /// The status of the answer.
    #[schemars(range(min = 200, max = 599))]
    http_status: u16,
    /// The body of the answer; may have variables.
    #[schemars(length(max = 65_536))]
    body: Option<String>,
    /// The headers of the answer; their values may have variables.
    #[schemars(extend("minProperties" = 1))]
    headers: Option<BTreeMap<String, HeaderValue>>,
    /// How many of a hundred requests it hits; without it all.
    #[schemars(range(min = 0, max = 100))]
    percentage: Option<u8>,
    /// Expressions of which one must hold, each a list of conditions that must all hold.
    #[schemars(length(min = 1, max = 20))]
    vars: Option<Vec<Vec<Value>>>,
}

/// A time for which a request is held back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// For how long, in seconds; up to six decimals.
    #[schemars(extend("minimum" = 0))]
    duration: Number,
    /// How many of a hundred requests it hits; without it all.
    #[schemars(range(min = 0, max = 100))]
    percentage: Option<u8>,
    /// Expressions of which one must hold, each a list of conditions that must all hold.
    #[schemars(length(min = 1, max = 20))]
    vars: Option<Vec<Vec<Value>>>,
}

/// Compiled `fault-injection`.
pub struct FaultInjection {
    abort: Option<CompiledAbort>,
    delay: Option<CompiledDelay>,
    chance: Arc<Chance>,
    waiters: Arc<Waiters>,
}

struct CompiledAbort {
    when: When,
    status: StatusCode,
    body: RewriteText,
    fields: FieldChange,
}

struct CompiledDelay {
    when: When,
    wait: Duration,
}

/// Which requests a fault hits.
struct When {
    percentage: u8,
    /// One of them must hold; `None` where nothing is asked.
    any_of: Option<Box<[Expr]>>,
}

impl Plugin for FaultInjection {
    const NAME: &'static str = "fault-injection";
    const PRIORITY: i32 = 11000;
    const KINSHIP: Kinship =
        Kinship::Different("runs behind every check; delays are bounded; patterns in linear time");
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if config.abort.is_none() && config.delay.is_none() {
            return Err(Invalid::new("needs an `abort` or a `delay`"));
        }
        let waiters = Waiters::of(cx);
        let abort = config.abort.map(abort).transpose();
        let delay = config.delay.map(|config| delay(config, &waiters)).transpose();
        Ok(Self {
            abort: abort.map_err(|fault| under("abort", fault))?,
            delay: delay.map_err(|fault| under("delay", fault))?,
            chance: Chance::of(cx),
            waiters,
        })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Transform])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        if let Some(delay) = &self.delay
            && delay.when.hits(cx, &self.chance)?
        {
            self.waiters.wait(delay.wait).await?;
        }
        match &self.abort {
            Some(abort) if abort.when.hits(cx, &self.chance)? => {
                abort.answer(cx).map(|answer| Flow::Answer(Box::new(answer)))
            }
            _ => Ok(Flow::Continue),
        }
    }
}

impl When {
    fn compile(percentage: Option<u8>, vars: Option<Vec<Vec<Value>>>) -> Result<Self, Invalid> {
        let any_of = vars.map(|vars| {
            let compile = |(index, conditions)| {
                expression(conditions)
                    .map_err(|fault| under("vars", fault.under(PathStep::Index(index))))
            };
            vars.into_iter().enumerate().map(compile).collect()
        });
        Ok(Self { percentage: percentage.unwrap_or(100), any_of: any_of.transpose()? })
    }

    fn hits(&self, cx: &RequestCx, chance: &Chance) -> Result<bool, Denial> {
        if let Some(any_of) = &self.any_of {
            let mut holds = false;
            for expr in any_of {
                holds |= expr.holds(cx).map_err(ambiguous)?;
            }
            if !holds {
                return Ok(false);
            }
        }
        Ok(chance.hits(self.percentage))
    }
}

impl CompiledAbort {
    fn answer(&self, cx: &RequestCx) -> Result<LocalAnswer, Denial> {
        let mut body = String::new();
        self.body.render(cx, &[], Escape::None, &mut body).map_err(ambiguous)?;
        let mut fields = Fields::new();
        if !body.is_empty() {
            let media = Bytes::from_static(b"text/plain; charset=utf-8");
            fields.append(Bytes::from_static(b"content-type"), media);
        }
        self.fields.apply(cx, &[], &mut fields).map_err(|fault| match fault {
            ChangeFault::Variable(fault) => ambiguous(fault),
            ChangeFault::Value => Denial::new(Reason::RewriteRefused, fault.to_string()),
        })?;
        Ok(LocalAnswer { status: self.status, fields, body: Bytes::from(body) })
    }
}

fn abort(config: Abort) -> Result<CompiledAbort, Invalid> {
    let status = StatusCode::from_u16(config.http_status);
    let status = status.map_err(|_| Invalid::at("http_status", "is no status"))?;
    let text = config.body.unwrap_or_default();
    if !text.is_empty() && matches!(config.http_status, 204 | 205 | 304) {
        return Err(Invalid::at("body", "answers with this `http_status` have no body"));
    }
    let body = RewriteText::parse(&text, 0).map_err(|fault| under("body", fault))?;
    if body.vars().any(Var::needs_answer) {
        return Err(Invalid::at("body", "it is written before there is an answer"));
    }
    let mut changes = FieldChanges::new(Side::Response, 0);
    for (name, value) in config.headers.iter().flatten() {
        changes.set(name, &[value.text()]).map_err(|fault| under("headers", fault))?;
    }
    let fields = changes.build().map_err(|fault| under("headers", fault))?;
    let when = When::compile(config.percentage, config.vars)?;
    Ok(CompiledAbort { when, status, body, fields })
}

fn delay(config: Delay, waiters: &Waiters) -> Result<CompiledDelay, Invalid> {
    let wait = decimal::seconds(&config.duration).and_then(|wait| waiters.admit(wait));
    let wait = wait.map_err(|fault| under("duration", fault))?;
    let when = When::compile(config.percentage, config.vars)?;
    Ok(CompiledDelay { when, wait })
}

fn expression(conditions: Vec<Value>) -> Result<Expr, Invalid> {
    // One level of brackets less would mean that any condition is enough, unlike everywhere else.
    let head = conditions.first().and_then(Value::as_str);
    if head.is_some_and(|head| !["AND", "OR", "!AND", "!OR"].contains(&head)) {
        return Err(Invalid::new("each of the `vars` is a list of conditions")
            .with_help("for example [[[\"arg_version\", \"==\", \"2\"]]]"));
    }
    let expr = Expr::compile(&Value::Array(conditions))?;
    if expr.vars().into_iter().any(Var::needs_answer) {
        return Err(Invalid::new("it reads the answer, which is not there yet"));
    }
    Ok(expr)
}

fn ambiguous(fault: QueryFault) -> Denial {
    Denial::new(Reason::AmbiguousParameter, format!("a variable of a fault: {fault}"))
}

fn under(key: &str, fault: Invalid) -> Invalid {
    fault.under(PathStep::Key(key.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::fixture::{Bench, request};

    async fn pass(plugin: &FaultInjection, target: &str) -> Result<Option<LocalAnswer>, Denial> {
        match plugin.on_request(Stage::Transform, &mut request(target, &[]), &mut ()).await? {
            Flow::Continue => Ok(None),
            Flow::Answer(answer) => Ok(Some(*answer)),
        }
    }

    #[test]
    fn it_runs_behind_every_check_and_proves_nothing() {
        let config = json!({"abort": {"http_status": 200}});
        let traits = Bench::new().compile::<FaultInjection>(&config).unwrap().traits();
        assert_eq!(traits.stages, StageSet::of(&[Stage::Transform]));
        assert!(!traits.only_answers);
        let proofs = traits.proves;
        assert!(!(proofs.authentication || proofs.grant || proofs.limit || proofs.schema));
    }

    #[test]
    fn a_part_of_all_requests_is_hit() {
        bartizan_testkit::run(async {
            let config = json!({"abort": {"http_status": 503, "percentage": 30}});
            let mut plugin = Bench::new().compile::<FaultInjection>(&config).unwrap();
            plugin.chance = Arc::new(Chance::seeded(1));
            let mut hits = 0_u32;
            for _ in 0..1_000 {
                hits += u32::from(pass(&plugin, "/").await.unwrap().is_some());
            }
            assert!((250..350).contains(&hits), "{hits}");
        });
    }

    #[test]
    fn one_of_the_expressions_must_hold() {
        bartizan_testkit::run(async {
            let config = json!({"abort": {"http_status": 503, "vars": [
                [["arg_a", "==", "1"], ["arg_b", "==", "1"]],
                [["arg_c", "==", "1"]],
            ]}});
            let plugin = Bench::new().compile::<FaultInjection>(&config).unwrap();
            for (target, hits) in
                [("/?a=1&b=1", true), ("/?a=1", false), ("/?c=1", true), ("/", false)]
            {
                assert_eq!(pass(&plugin, target).await.unwrap().is_some(), hits, "{target}");
            }
            let denial = pass(&plugin, "/?a=1&a=2").await.unwrap_err();
            assert_eq!(denial.reason, Reason::AmbiguousParameter);
        });
    }

    #[test]
    fn no_more_wait_than_may() {
        bartizan_testkit::run(async {
            let mut bench = Bench::new();
            bench.node.limits.delayed = 1;
            let config = json!({"delay": {"duration": 2.5}});
            let plugin = bench.compile::<FaultInjection>(&config).unwrap();
            let begin = Instant::now();
            let (first, second) = tokio::join!(pass(&plugin, "/"), pass(&plugin, "/"));
            assert!(first.unwrap().is_none());
            assert_eq!(begin.elapsed(), Duration::from_millis(2_500));
            assert_eq!(second.unwrap_err().reason, Reason::TooManyWaiting);
        });
    }

    #[test]
    fn values_cannot_end_a_header() {
        bartizan_testkit::run(async {
            let config = json!({"abort": {"http_status": 503, "headers": {"x-said": "$arg_said"}}});
            let plugin = Bench::new().compile::<FaultInjection>(&config).unwrap();
            let denial = pass(&plugin, "/?said=a%0d%0ab:%20c").await.unwrap_err();
            assert_eq!(denial.reason, Reason::RewriteRefused);
            let answer = pass(&plugin, "/?said=hello").await.unwrap().unwrap();
            assert_eq!(answer.fields.get_str("x-said"), Some("hello"));
        });
    }

    proptest::proptest! {
        #[test]
        fn one_of_several_lists_of_which_all_must_hold(
            lists in proptest::collection::vec(proptest::collection::vec((0_u8..3, 0_u8..2), 1..3), 1..4),
            values in proptest::collection::vec(0_u8..2, 3),
        ) {
            let condition = |(name, value): &(u8, u8)| json!([format!("arg_v{name}"), "==", value.to_string()]);
            let vars: Vec<Vec<Value>> =
                lists.iter().map(|list| list.iter().map(condition).collect()).collect();
            let target = format!("/?v0={}&v1={}&v2={}", values[0], values[1], values[2]);
            let all = |list: &Vec<(u8, u8)>| list.iter().all(|(name, own)| values[usize::from(*name)] == *own);
            let when = When::compile(None, Some(vars)).unwrap();
            let hits = when.hits(&request(&target, &[]), &Chance::seeded(1)).unwrap();
            proptest::prop_assert_eq!(hits, lists.iter().any(all));
        }
    }
}
