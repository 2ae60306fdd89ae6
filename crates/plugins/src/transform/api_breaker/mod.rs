//! Keeps requests from an upstream that fails, until it has had time to recover.
//!
//! ```yaml
//! api-breaker:
//!   break_response_code: 503
//!   break_response_body: '{"error": "try again later"}'
//!   break_response_headers: [{key: Content-Type, value: application/json}]
//!   unhealthy: {http_statuses: [500, 503], failures: 3}
//!   healthy: {http_statuses: [200], successes: 3}
//! ```
//!
//! After `unhealthy.failures` failures requests are refused for two seconds, after as many again
//! for four, then eight and so on, never longer than `max_breaker_sec`. In between they go through,
//! and what comes of them counts. `healthy.successes` healthy answers without a failure between
//! them forget all failures, and let requests through at once.
//!
//! A failure is an answer of the upstream with one of the `unhealthy` statuses, and any fault of it:
//! it could not be reached, did not answer in time, closed the connection or answered what is not
//! HTTP, also in the middle of a body. A healthy answer has one of the `healthy` statuses; others
//! say nothing. What counts is the upstream's own status, whatever `response-rewrite` makes of it.
//! What the gateway refuses or answers itself, and clients that go away, count for nothing: nobody
//! can open the circuit without reaching the upstream.
//!
//! There is one circuit for the resource that the plugin is written in: a service's is one for all
//! its routes. It is shared by all workers and survives a reload, also with other numbers.
//!
//! A refusal has `break_response_code`, `upstream.broken` as its reason, the seconds until requests
//! go through again as `Retry-After` (not in compatibility mode), and `break_response_headers`,
//! whose values may have variables. `break_response_body` is sent as `text/plain` unless a header
//! says otherwise; without it the body is that of any refusal. It comes last, so that who may not
//! call gets the usual refusal. `bartizan_api_breaker_opened_total` counts how often a circuit
//! opened.
//!
//! # Headers
//!
//! A refusal has `Retry-After` (not in compatibility mode) and `break_response_headers`. Nothing is
//! sent upstream.
//!
//! # What it costs
//!
//! Reading one number; a lock after failures only.
//!
//! # What it cannot do
//!
//! It watches what requests see, and sends none of its own: an upstream that nobody asks for is not
//! known to have recovered. The circuit belongs to one process.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX has one circuit for each host and path that a client makes up, so that clients
//! decide how many there are and each starts anew; it sends headers only with a body; and it counts
//! connections that fail only where 502 and 504 are listed.

mod circuit;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Outcome, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_wire::Fields;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::field_change::{ChangeFault, FieldChange, FieldChanges, Side};
use crate::monotonic::{Epoch, SECOND};
use crate::tally::Tally;
use circuit::{Circuit, Terms};

/// The configuration of `api-breaker`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The status of a refusal.
    #[schemars(range(min = 200, max = 599))]
    break_response_code: u16,
    /// The body of a refusal.
    #[schemars(length(min = 1, max = 65_536))]
    break_response_body: Option<String>,
    /// Headers of a refusal.
    #[schemars(length(min = 1, max = 64))]
    break_response_headers: Option<Vec<Header>>,
    /// The longest time for which requests are refused, in seconds.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 3))]
    max_breaker_sec: u32,
    /// What a failure is, and how many open the circuit.
    #[serde(default)]
    unhealthy: Unhealthy,
    /// What a healthy answer is, and how many close the circuit.
    #[serde(default)]
    healthy: Healthy,
}

/// A header of a refusal.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The name of the header.
    #[schemars(length(min = 1))]
    key: String,
    /// The value of the header; may have variables.
    #[schemars(length(min = 1))]
    value: String,
}

/// What a failure is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unhealthy {
    /// Statuses of the upstream that are failures.
    #[schemars(
        length(min = 1),
        extend("uniqueItems" = true),
        extend("items" = {"type": "integer", "minimum": 500, "maximum": 599})
    )]
    http_statuses: Vec<u16>,
    /// How many failures open the circuit.
    #[schemars(range(min = 1))]
    failures: u32,
}

/// What a healthy answer is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Healthy {
    /// Statuses of the upstream that are healthy.
    #[schemars(
        length(min = 1),
        extend("uniqueItems" = true),
        extend("items" = {"type": "integer", "minimum": 200, "maximum": 499})
    )]
    http_statuses: Vec<u16>,
    /// How many healthy answers, one after the other, close the circuit.
    #[schemars(range(min = 1))]
    successes: u32,
}

impl Default for Unhealthy {
    fn default() -> Self {
        Self { http_statuses: vec![500], failures: 3 }
    }
}

impl Default for Healthy {
    fn default() -> Self {
        Self { http_statuses: vec![200], successes: 3 }
    }
}

fn five_minutes() -> u32 {
    300
}

/// Compiled `api-breaker`.
pub struct ApiBreaker {
    terms: Terms,
    unhealthy: Box<[u16]>,
    healthy: Box<[u16]>,
    status: u16,
    body: Option<Arc<str>>,
    fields: FieldChange,
    says_when: bool,
    breaker: Arc<Breaker>,
    opened: Arc<Tally>,
}

/// The circuit of one resource, and what of it is read without a lock.
struct Breaker {
    epoch: Epoch,
    circuit: Mutex<Circuit>,
    open_until: AtomicU64,
    is_well: AtomicBool,
}

/// What `api-breaker` remembers of a request.
#[derive(Default)]
pub struct Call {
    /// It let the request through.
    has_passed: bool,
}

/// What an exchange says of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Failure,
    Success,
    Nothing,
}

impl Plugin for ApiBreaker {
    const NAME: &'static str = "api-breaker";
    const PRIORITY: i32 = 1005;
    const KINSHIP: Kinship = Kinship::Different(
        "connection faults and timeouts count as well; refusals of the gateway do not",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Transform]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let fields = fields(config.break_response_headers.as_deref().unwrap_or_default())
            .map_err(|fault| fault.under(PathStep::Key("break_response_headers".into())))?;
        if config.break_response_body.is_some()
            && matches!(config.break_response_code, 204 | 205 | 304)
        {
            let problem = "answers with this `break_response_code` have no body";
            return Err(Invalid::at("break_response_body", problem));
        }
        let breaker = cx.state("circuit", || Breaker {
            epoch: Epoch::begin(),
            circuit: Mutex::default(),
            open_until: AtomicU64::new(0),
            is_well: AtomicBool::new(true),
        });
        Ok(Self {
            terms: Terms {
                failures: config.unhealthy.failures,
                successes: config.healthy.successes,
                longest: u64::from(config.max_breaker_sec) * SECOND,
            },
            unhealthy: config.unhealthy.http_statuses.into(),
            healthy: config.healthy.http_statuses.into(),
            status: config.break_response_code,
            body: config.break_response_body.map(Arc::from),
            fields,
            says_when: !cx.compatibility().is_apisix(),
            breaker,
            opened: Tally::of(cx, "opened", "How often requests were kept from an upstream"),
        })
    }

    fn traits(&self) -> Traits {
        Traits { on_finish: true, ..Traits::in_stages(&[Stage::Transform]) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let open_until = self.breaker.open_until.load(Ordering::Relaxed);
        if open_until > 0 {
            let left = open_until.saturating_sub(self.breaker.epoch.nanos());
            if left > 0 {
                return Err(self.refusal(cx, left)?);
            }
        }
        call.has_passed = true;
        Ok(Flow::Continue)
    }

    fn on_finish(&self, _cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Call) {
        if !call.has_passed {
            return;
        }
        match self.sign(outcome) {
            Sign::Failure => {
                if self.breaker.note(|circuit, now| circuit.fail(&self.terms, now)) {
                    self.opened.inc();
                }
            }
            Sign::Success if !self.breaker.is_well.load(Ordering::Relaxed) => {
                self.breaker.note(|circuit, _now| circuit.succeed(&self.terms));
            }
            Sign::Success | Sign::Nothing => {}
        }
    }
}

impl ApiBreaker {
    fn sign(&self, outcome: &Outcome<'_>) -> Sign {
        if !outcome.was_forwarded {
            return Sign::Nothing;
        }
        let fault = outcome.denial.map(|denial| denial.reason);
        if fault.is_some_and(is_fault_of_upstream) {
            return Sign::Failure;
        }
        match outcome.upstream_status {
            Some(status) if self.unhealthy.contains(&status) => Sign::Failure,
            Some(status) if self.healthy.contains(&status) => Sign::Success,
            _ => Sign::Nothing,
        }
    }

    fn refusal(&self, cx: &RequestCx, left: u64) -> Result<Denial, Denial> {
        let seconds = left.div_ceil(SECOND);
        let detail = format!("the upstream failed; it is left alone for {seconds} s");
        let mut denial = Denial::new(Reason::UpstreamBroken, detail).with_status(self.status);
        denial.error_response = self.body.clone().map(|body| (body, false));
        let mut fields = Fields::new();
        self.fields.apply(cx, &[], &mut fields).map_err(|fault| {
            let reason = match fault {
                ChangeFault::Variable(_) => Reason::AmbiguousParameter,
                ChangeFault::Value => Reason::RewriteRefused,
            };
            Denial::new(reason, fault.to_string())
        })?;
        if self.says_when && !fields.contains("retry-after") {
            denial = denial.with_field("retry-after", seconds.to_string());
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let own = fields.iter().map(|field| (text(field.name).into(), text(field.value)));
        denial.fields.extend(own);
        Ok(denial)
    }
}

impl Breaker {
    /// Notes what came of a request, under the lock; what is read without it follows.
    fn note<R>(&self, work: impl FnOnce(&mut Circuit, u64) -> R) -> R {
        let mut circuit = self.circuit.lock().unwrap_or_else(PoisonError::into_inner);
        let result = work(&mut circuit, self.epoch.nanos());
        self.open_until.store(circuit.open_until(), Ordering::Relaxed);
        self.is_well.store(circuit.is_well(), Ordering::Relaxed);
        result
    }
}

fn fields(headers: &[Header]) -> Result<FieldChange, Invalid> {
    let mut changes = FieldChanges::new(Side::Response, 0);
    for (index, Header { key, value }) in headers.iter().enumerate() {
        // The name alone first, so that each fault is where it stands.
        let name = changes.add(key, &[]).map_err(|fault| (fault, "key"));
        let both = name.and_then(|()| {
            changes.add(key, std::slice::from_ref(value)).map_err(|fault| (fault, "value"))
        });
        both.map_err(|(fault, at)| {
            let path = vec![PathStep::Index(index), PathStep::Key(at.into())];
            Invalid { path, ..fault }
        })?;
    }
    changes.build()
}

/// True for what only the upstream can be blamed for.
fn is_fault_of_upstream(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::UpstreamConnect
            | Reason::UpstreamMalformed
            | Reason::UpstreamClosed
            | Reason::UpstreamTimeout
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::fixture::{Bench, request};

    fn config(change: &Value) -> Value {
        let mut config = json!({"break_response_code": 503, "unhealthy": {"failures": 1}});
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        config
    }

    async fn is_open(plugin: &ApiBreaker, call: &mut Call) -> bool {
        plugin.on_request(Stage::Transform, &mut request("/", &[]), call).await.is_err()
    }

    /// Lets one request through and tells how it ended.
    async fn serve(plugin: &ApiBreaker, status: Option<u16>, fault: Option<Reason>) {
        let mut call = Call::default();
        assert!(!is_open(plugin, &mut call).await);
        finish(plugin, &mut call, status, fault, true);
    }

    fn finish(
        plugin: &ApiBreaker,
        call: &mut Call,
        status: Option<u16>,
        fault: Option<Reason>,
        was_forwarded: bool,
    ) {
        let denial = fault.map(|reason| Denial::new(reason, ""));
        let outcome = Outcome {
            status: status.unwrap_or(502),
            denial: denial.as_ref(),
            was_forwarded,
            upstream_status: status,
            upstream_node: None,
            duration: Duration::ZERO,
            upstream_duration: None,
            bytes_in: 0,
            bytes_out: 0,
        };
        plugin.on_finish(&request("/", &[]), &outcome, call);
    }

    #[test]
    fn only_the_upstream_opens_the_circuit() {
        bartizan_testkit::run(async {
            for (status, fault, opens) in [
                (Some(500), None, true),
                (Some(503), None, false),
                (Some(404), None, false),
                (Some(200), None, false),
                (Some(200), Some(Reason::UpstreamClosed), true),
                (None, Some(Reason::UpstreamConnect), true),
                (None, Some(Reason::UpstreamTimeout), true),
                (None, Some(Reason::UpstreamMalformed), true),
                (None, Some(Reason::NoUpstream), false),
                (None, Some(Reason::ClientGone), false),
                (None, Some(Reason::RewriteRefused), false),
                (None, Some(Reason::RequestTimeout), false),
                (Some(500), Some(Reason::ClientGone), true),
            ] {
                let plugin = Bench::new().compile::<ApiBreaker>(&config(&json!({}))).unwrap();
                serve(&plugin, status, fault).await;
                let open = is_open(&plugin, &mut Call::default()).await;
                assert_eq!(open, opens, "{status:?} {fault:?}");
            }
        });
    }

    #[test]
    fn what_was_not_forwarded_or_not_let_through_counts_for_nothing() {
        bartizan_testkit::run(async {
            let plugin = Bench::new().compile::<ApiBreaker>(&config(&json!({}))).unwrap();
            let mut call = Call::default();
            assert!(!is_open(&plugin, &mut call).await);
            finish(&plugin, &mut call, Some(500), None, false);
            finish(&plugin, &mut Call::default(), Some(500), None, true);
            assert!(!is_open(&plugin, &mut Call::default()).await);
        });
    }

    #[test]
    fn it_opens_for_longer_each_time_and_closes_when_all_is_well() {
        bartizan_testkit::run(async {
            let healthy = json!({"healthy": {"successes": 2}});
            let plugin = Bench::new().compile::<ApiBreaker>(&config(&healthy)).unwrap();
            for seconds in [2, 4, 8] {
                serve(&plugin, Some(500), None).await;
                tokio::time::advance(Duration::from_millis(seconds * 1_000 - 1)).await;
                assert!(is_open(&plugin, &mut Call::default()).await);
                tokio::time::advance(Duration::from_millis(1)).await;
                assert!(!is_open(&plugin, &mut Call::default()).await);
            }
            serve(&plugin, Some(200), None).await;
            serve(&plugin, Some(200), None).await;
            serve(&plugin, Some(500), None).await;
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(!is_open(&plugin, &mut Call::default()).await, "it begins with two seconds");
        });
    }

    #[test]
    fn the_circuit_survives_a_reload_and_belongs_to_the_resource() {
        bartizan_testkit::run(async {
            let bench = Bench::new();
            let first = bench.compile::<ApiBreaker>(&config(&json!({}))).unwrap();
            serve(&first, Some(500), None).await;
            let other = config(&json!({"unhealthy": {"failures": 9}, "max_breaker_sec": 3}));
            let second = bench.compile::<ApiBreaker>(&other).unwrap();
            assert!(is_open(&second, &mut Call::default()).await);
            let elsewhere = bench.compile_in::<ApiBreaker>("other", &other).unwrap();
            assert!(!is_open(&elsewhere, &mut Call::default()).await);
        });
    }

    #[test]
    fn it_runs_behind_every_check_and_proves_nothing() {
        let traits = Bench::new().compile::<ApiBreaker>(&config(&json!({}))).unwrap().traits();
        assert_eq!(traits.stages, StageSet::of(&[Stage::Transform]));
        assert!(traits.on_finish && !traits.only_answers && !traits.proves.limit);
    }
}
