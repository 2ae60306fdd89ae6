//! Limits how many requests are under way at the same time.
//!
//! ```yaml
//! limit-conn:
//!   conn: 20
//!   burst: 10
//!   default_conn_delay: 0.1
//!   key: remote_addr
//! ```
//!
//! Up to `conn` requests of a key go on at once. Up to `burst` more go on after a delay: as long as
//! a request usually takes, once for each full round of `conn` that are before it. Beyond that a
//! request is refused. What is usual begins with `default_conn_delay` and follows what is measured,
//! from the request sent to the upstream's head; `only_use_default_delay` leaves it where it began.
//! A request that waits counts as under way; it is over when its answer is written, the client has
//! gone, or it failed: nothing is ever left behind.
//!
//! Requests are counted by `key`; where it has no value, by the client's address: an IPv6 client by
//! its /64 network (in compatibility mode by the whole address). With `rules` there are several
//! limits, each with a key of its own: a rule none of whose variables has a value does not apply,
//! all that apply must have room, the longest of their delays counts, and where none applies the
//! request is refused. A limit that needs no identity is spent before any cryptography, one by
//! consumer as soon as it is known who calls. `conn` and `burst` may be read from the request, as
//! in `${http_x_quota ?? 10}`; what is no number there is refused. Who chooses the key chooses the
//! counter, and who chooses the number the limit: such limits can be evaded, and do not count where
//! `security.require` asks for a limit.
//!
//! A refusal is 429 (503 in compatibility mode), without `Retry-After`: nobody knows when a request
//! will be over. No delay is longer than `limits.delay` (30 s), and what finds `limits.delayed`
//! (1,024) requests of this limit waiting is refused.
//!
//! The counts belong to the resource that the limit is written in; they are shared by all workers
//! and survive a reload. There are at most `limits.limit_keys` keys with requests under way; over
//! that, requests with new keys are refused and `bartizan_limit_conn_keys_refused_total` counts.
//!
//! # Headers
//!
//! It sets none: nobody knows when a request will be over.
//!
//! # What it costs
//!
//! Two short hashes and two locks without contention; a timer for who waits.
//!
//! # What it cannot do
//!
//! It counts requests per node, not per cluster, and not connections: those have
//! `limits.connections` and `limits.connections_per_address`.
//!
//! # How it differs from Apache APISIX
//!
//! Refusals are 429. Apache APISIX measures refused requests as well, so that a flood of them
//! shortens everybody's delay, and waits for any time. Counters in Redis are not supported yet.

mod connections;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    CompileCx, Flow, Kinship, Nothing, Outcome, Plugin, Proofs, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;
use smallvec::SmallVec;

use super::amount::{Amount, AmountOrZero, Figure, Unread};
use super::key::{KeySource, VarKeyType};
use super::metrics::keys_refused;
use super::refusal::{Refusal, inapplicable};
use crate::decimal;
use crate::tally::Tally;
use crate::waiting::{Crowded, Waiters};
use connections::{Connections, Permit, delay};

/// The configuration of `limit-conn`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many requests go on at once.
    conn: Option<Amount>,
    /// How many more go on after a delay.
    burst: Option<AmountOrZero>,
    /// How long a request is expected to take, in seconds; up to six decimals.
    #[schemars(extend("exclusiveMinimum" = 0))]
    default_conn_delay: Number,
    /// Leaves what is expected as it is, whatever is measured.
    #[serde(default)]
    only_use_default_delay: bool,
    /// What is counted: the name of a variable, or text with variables; see `key_type`.
    #[schemars(length(min = 1, max = 1024))]
    key: Option<String>,
    /// How `key` is read.
    #[serde(default)]
    key_type: VarKeyType,
    /// Several limits in place of `conn`, `burst` and `key`.
    #[schemars(length(min = 1, max = 16))]
    rules: Option<Vec<Rule>>,
    /// The status of a refusal: 429, or 503 where the node follows the habits of Apache APISIX.
    #[schemars(range(min = 400, max = 599))]
    rejected_code: Option<u16>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    rejected_msg: Option<String>,
    /// Where requests are counted: in this node.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one place so far; the schema refuses the others")]
    policy: Policy,
    /// Admits requests that cannot be counted: no rule applies, a number cannot be read, or no
    /// counter is left.
    #[serde(default)]
    danger_allow_degradation: bool,
}

/// One limit among several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How many requests go on at once.
    conn: Amount,
    /// How many more go on after a delay.
    burst: AmountOrZero,
    /// What is counted: text with variables, such as `$remote_addr $http_x_tenant`.
    #[schemars(length(min = 1, max = 1024))]
    key: String,
}

/// Where requests are counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-answers" = {
    "redis": "is not supported yet: each node counts for itself",
    "redis-cluster": "is not supported yet: each node counts for itself"
}))]
pub enum Policy {
    /// In this node.
    #[default]
    Local,
}

/// Compiled `limit-conn`.
pub struct LimitConn {
    rules: Box<[CompiledRule]>,
    expected: Duration,
    learns: bool,
    stage: Stage,
    waiters: Arc<Waiters>,
    refusal: Refusal,
    admits_uncounted: bool,
    proves: Proofs,
    keys_refused: Arc<Tally>,
}

struct CompiledRule {
    source: KeySource,
    conn: Figure,
    burst: Figure,
    connections: Arc<Connections>,
}

/// What `limit-conn` remembers of a request.
#[derive(Default)]
pub struct Call {
    /// Of each rule that applies, by its index.
    permits: SmallVec<[(usize, Permit); 1]>,
    waited: Duration,
}

/// What Apache APISIX says of what it cannot judge.
const FAILED: &str = "failed to limit conn";

const REDIS: Unsupported = Unsupported::NotYet("each node counts for itself");

impl Plugin for LimitConn {
    const NAME: &'static str = "limit-conn";
    const PRIORITY: i32 = 1003;
    const KINSHIP: Kinship = Kinship::Different(
        "refusals are 429; refused requests are not measured; counters are local",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Admit, Stage::Meter]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
        ("key_ttl", REDIS),
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
    ];

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let rules = rules(&config, cx)?;
        let waiters = Waiters::of(cx);
        let expected = decimal::seconds(&config.default_conn_delay)
            .and_then(|expected| waiters.admit(expected))
            .map_err(|fault| under("default_conn_delay", fault))?;
        if expected.is_zero() {
            return Err(Invalid::at("default_conn_delay", "a request takes some time"));
        }
        let is_firm = rules.iter().any(CompiledRule::is_firm);
        let needs_identity = rules.iter().any(CompiledRule::needs_identity);
        let is_apisix = cx.compatibility().is_apisix();
        Ok(Self {
            rules,
            expected,
            learns: !config.only_use_default_delay,
            stage: if needs_identity { Stage::Meter } else { Stage::Admit },
            waiters,
            refusal: Refusal::new(config.rejected_code, config.rejected_msg, is_apisix),
            admits_uncounted: config.danger_allow_degradation,
            proves: Proofs {
                limit: is_firm && !config.danger_allow_degradation,
                ..Proofs::default()
            },
            keys_refused: keys_refused(cx),
        })
    }

    fn traits(&self) -> Traits {
        Traits { on_finish: true, proves: self.proves, ..Traits::in_stages(&[self.stage]) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let begun = self.begin(cx, call);
        let wait = begun.inspect_err(|_| call.permits.clear())?;
        if self.waiters.wait(wait).await == Err(Crowded) {
            call.permits.clear();
            return Err(self.refusal.denial(Crowded::CAUSE));
        }
        call.waited = wait;
        Ok(Flow::Continue)
    }

    fn on_finish(&self, _cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Call) {
        let permits = std::mem::take(&mut call.permits);
        if !self.learns || !outcome.was_forwarded {
            return;
        }
        let took =
            outcome.upstream_duration.unwrap_or(outcome.duration.saturating_sub(call.waited));
        for (index, _permit) in &permits {
            if let Some(rule) = self.rules.get(*index) {
                rule.connections.learn(took, self.expected);
            }
        }
    }
}

impl LimitConn {
    /// Begins the request with every rule that applies, and tells how long it waits.
    fn begin(&self, cx: &RequestCx, call: &mut Call) -> Result<Duration, Denial> {
        let mut applies = false;
        let mut wait = Duration::ZERO;
        for (index, rule) in self.rules.iter().enumerate() {
            let table = &rule.connections.table;
            let Some(key) = rule.source.read(cx, table, self.refusal.is_apisix())? else {
                continue;
            };
            let (conn, burst) = match (rule.conn.read(cx), rule.burst.read(cx)) {
                (Ok(conn), Ok(burst)) => (conn, burst),
                (Err(Unread::Ambiguous(denial)), _) | (_, Err(Unread::Ambiguous(denial))) => {
                    return Err(denial);
                }
                (Err(Unread::NoNumber), _) | (_, Err(Unread::NoNumber)) => {
                    if self.admits_uncounted {
                        applies = true;
                        continue;
                    }
                    let detail = "`conn` or `burst` of the request is not a whole number";
                    return Err(self.refusal.unreadable(FAILED, detail));
                }
            };
            applies = true;
            let Ok(begun) = rule.connections.begin(key, conn.saturating_add(burst)) else {
                self.keys_refused.inc();
                if self.admits_uncounted {
                    continue;
                }
                let detail = "every counter of the limit is taken by a live key";
                return Err(self.refusal.denial(detail));
            };
            let Some(permit) = begun else {
                let detail = format!("more than {conn} at the same time and {burst} that wait");
                return Err(self.refusal.denial(detail));
            };
            let unit =
                if self.learns { rule.connections.usual(self.expected) } else { self.expected };
            wait = wait.max(delay(permit.number, conn, unit)).min(self.waiters.longest);
            call.permits.push((index, permit));
        }
        if applies || self.admits_uncounted {
            return Ok(wait);
        }
        Err(inapplicable(Self::NAME, FAILED))
    }
}

impl CompiledRule {
    fn is_firm(&self) -> bool {
        self.source.is_firm() && self.conn.is_firm() && self.burst.is_firm()
    }

    fn needs_identity(&self) -> bool {
        self.source.needs_identity() || self.conn.needs_identity() || self.burst.needs_identity()
    }

    fn new(
        source: KeySource,
        conn: &Amount,
        burst: &AmountOrZero,
        state_key: String,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        let keys_max = cx.node.limits.limit_keys;
        Ok(Self {
            source,
            conn: conn.figure().map_err(|fault| under("conn", fault))?,
            burst: burst.figure().map_err(|fault| under("burst", fault))?,
            connections: cx.state(state_key, || Connections::new(keys_max)),
        })
    }
}

/// The limits that a configuration states.
fn rules(config: &Config, cx: &CompileCx<'_>) -> Result<Box<[CompiledRule]>, Invalid> {
    let either = "give either `conn`, `burst` and `key`, or `rules`";
    let single = (&config.conn, &config.burst, &config.key);
    let Some(rules) = &config.rules else {
        let (Some(conn), Some(burst), Some(key)) = single else {
            let missing = match single {
                (None, _, _) => "conn",
                (_, None, _) => "burst",
                _ => "key",
            };
            return Err(Invalid::new(format!("needs a `{missing}`")).with_help(either));
        };
        let source = KeySource::of(key, config.key_type).map_err(|fault| under("key", fault))?;
        let state_key = format!("0 {:?} {key}", config.key_type);
        return Ok(Box::new([CompiledRule::new(source, conn, burst, state_key, cx)?]));
    };
    if !matches!(single, (None, None, None)) {
        return Err(
            Invalid::at("rules", "there is also a `conn`, `burst` or `key`").with_help(either)
        );
    }
    let rule = |(index, rule): (usize, &Rule)| {
        let source = KeySource::rule(&rule.key).map_err(|fault| under("key", fault));
        let state_key = format!("{} {}", index + 1, rule.key);
        source
            .and_then(|source| CompiledRule::new(source, &rule.conn, &rule.burst, state_key, cx))
            .map_err(|fault| under("rules", fault.under(PathStep::Index(index))))
    };
    rules.iter().enumerate().map(rule).collect()
}

fn under(key: &str, fault: Invalid) -> Invalid {
    fault.under(PathStep::Key(key.to_owned()))
}
