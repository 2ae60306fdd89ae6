//! Limits how fast requests come: a bucket that leaks at a steady rate.
//!
//! ```yaml
//! limit-req:
//!   rate: 10
//!   burst: 20
//!   key: remote_addr
//! ```
//!
//! Requests that come faster than `rate` a second take turns: each waits until those before it have
//! had theirs, so that what goes on is spaced evenly. Up to `burst` requests may stand in this
//! queue, the next one is refused. With `nodelay` nobody waits: the burst goes on at once, and then
//! the rate again. In any time of `t` seconds at most 1 + `burst` + `rate` × `t` requests are let
//! in, exactly; a refused request counts nowhere.
//!
//! Requests are counted by `key`; where it has no value, by the client's address: an IPv6 client by
//! its /64 network (in compatibility mode by the whole address). A limit that needs no identity is
//! spent before any cryptography, one by consumer as soon as it is known who calls. Who chooses the
//! key chooses the bucket: a limit by a header, parameter or path alone can be evaded, and does not
//! count where `security.require` asks for a limit.
//!
//! A refusal is 429 with `Retry-After`: the seconds, rounded up, until one request is let in again
//! (503 without it in compatibility mode). Refused is also what would wait longer than
//! `limits.delay` (30 s), whatever `burst` says, and what finds `limits.delayed` (1,024) requests
//! of this limit waiting. A client that goes away while it waits keeps its turn.
//!
//! The buckets belong to the resource that the limit is written in. They survive a reload, also
//! with another rate or burst, and start again with another key. There are at most
//! `limits.limit_keys` of them; over that, requests with new keys are refused while all others are
//! live, and `bartizan_limit_req_keys_refused_total` counts.
//!
//! # Headers
//!
//! A refusal has `Retry-After` (not in compatibility mode).
//!
//! # What it costs
//!
//! Two short hashes, a lock without contention, and a look-up; a timer for who waits.
//!
//! # What it cannot do
//!
//! It counts per node, not per cluster. A limit by something that the client chooses can be evaded.
//!
//! # How it differs from Apache APISIX
//!
//! Apache APISIX counts in floating-point thousandths, lets clients wait for any time, and answers
//! 503 without saying until when. Counters in Redis are not supported yet.

mod bucket;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    CompileCx, Flow, Kinship, Nothing, Plugin, Proofs, RequestCx, Traits, Unsupported,
};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Denial, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;

use super::key::{KeySource, VarKeyType};
use super::metrics::keys_refused;
use super::refusal::Refusal;
use super::table::{Key, Table};
use crate::decimal;
use crate::monotonic::Epoch;
use crate::tally::Tally;
use crate::waiting::{Crowded, Waiters};
use bucket::{Bucket, Terms, Verdict};

/// The configuration of `limit-req`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Requests a second; up to six decimals.
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1_000_000))]
    rate: Number,
    /// How many requests may stand in the queue; up to six decimals.
    #[schemars(extend("minimum" = 0, "maximum" = 1_000_000))]
    burst: Number,
    /// What is counted: the name of a variable, or text with variables; see `key_type`.
    #[schemars(length(min = 1, max = 1024))]
    key: String,
    /// How `key` is read.
    #[serde(default)]
    key_type: VarKeyType,
    /// Lets the burst go on at once, in place of one after the other.
    #[serde(default)]
    nodelay: bool,
    /// The status of a refusal: 429, or 503 where the node follows the habits of Apache APISIX.
    #[schemars(range(min = 400, max = 599))]
    rejected_code: Option<u16>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    rejected_msg: Option<String>,
    /// Where the buckets are: in this node.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one place so far; the schema refuses the others")]
    policy: Policy,
    /// Admits requests for which no bucket is left.
    #[serde(default)]
    danger_allow_degradation: bool,
}

/// Where buckets are kept.
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

/// Compiled `limit-req`.
pub struct LimitReq {
    source: KeySource,
    terms: Terms,
    is_nodelay: bool,
    stage: Stage,
    buckets: Arc<Buckets>,
    waiters: Arc<Waiters>,
    refusal: Refusal,
    /// The cause of a refusal.
    detail: String,
    admits_uncounted: bool,
    proves: Proofs,
    keys_refused: Arc<Tally>,
}

/// The buckets of one limit, and since when their time runs.
struct Buckets {
    table: Table<Bucket>,
    epoch: Epoch,
}

const REDIS: Unsupported = Unsupported::NotYet("each node counts for itself");

impl Plugin for LimitReq {
    const NAME: &'static str = "limit-req";
    const PRIORITY: i32 = 1001;
    const KINSHIP: Kinship = Kinship::Different(
        "counts in whole numbers, 429 with `Retry-After`, a bounded queue; counters are local",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Admit, Stage::Meter]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
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
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        let source = KeySource::of(&config.key, config.key_type).map_err(at("key"))?;
        let rate = decimal::millionths(&config.rate).map_err(at("rate"))?;
        if rate == 0 {
            return Err(Invalid::at("rate", "a rate of zero would admit nothing"));
        }
        let burst = decimal::millionths(&config.burst).map_err(at("burst"))?;
        let waiters = Waiters::of(cx);
        let longest = u64::try_from(waiters.longest.as_nanos()).unwrap_or(u64::MAX);
        let keys_max = cx.node.limits.limit_keys;
        let state_key = format!("{:?} {}", config.key_type, config.key);
        let buckets =
            cx.state(state_key, || Buckets { table: Table::new(keys_max), epoch: Epoch::begin() });
        let terms = Terms::new(rate, burst, (!config.nodelay).then_some(longest));
        let (rate, burst) = (decimal::shown(rate), decimal::shown(burst));
        let cut = if terms.is_cut { ", as far as `limits.delay` allows" } else { "" };
        Ok(Self {
            stage: if source.needs_identity() { Stage::Meter } else { Stage::Admit },
            proves: Proofs {
                limit: source.is_firm() && !config.danger_allow_degradation,
                ..Proofs::default()
            },
            source,
            terms,
            is_nodelay: config.nodelay,
            buckets,
            waiters,
            refusal: Refusal::new(config.rejected_code, config.rejected_msg, is_apisix),
            detail: format!("more than {rate} a second with a burst of {burst}{cut}"),
            admits_uncounted: config.danger_allow_degradation,
            keys_refused: keys_refused(cx),
        })
    }

    fn traits(&self) -> Traits {
        Traits { proves: self.proves, ..Traits::in_stages(&[self.stage]) }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let Some((key, wait)) = self.admit(cx)? else { return Ok(Flow::Continue) };
        if self.is_nodelay {
            return Ok(Flow::Continue);
        }
        if let Err(Crowded) = self.waiters.wait(Duration::from_nanos(wait)).await {
            self.buckets.table.visit(key, Bucket::take_back);
            return Err(self.refusal.denial(Crowded::CAUSE));
        }
        Ok(Flow::Continue)
    }
}

impl LimitReq {
    /// Puts the request into its bucket, and tells how long it waits there; `None` for one that is
    /// let in without.
    fn admit(&self, cx: &RequestCx) -> Result<Option<(Key, u64)>, Denial> {
        let Buckets { table, epoch } = &*self.buckets;
        let Some(key) = self.source.read(cx, table, self.refusal.is_apisix())? else {
            return Ok(None);
        };
        let verdict = table.with(
            key,
            &self.terms,
            || epoch.nanos(),
            Bucket::empty,
            |bucket, now| bucket.admit(&self.terms, now),
        );
        match verdict {
            Ok(Verdict::Admitted { wait }) => Ok(Some((key, wait))),
            Ok(Verdict::Refused { retry }) => Err(self.refusal.until(retry, self.detail.clone())),
            Err(_full) => {
                self.keys_refused.inc();
                if self.admits_uncounted {
                    return Ok(None);
                }
                Err(self.refusal.denial("every bucket of the limit is taken by a live key"))
            }
        }
    }
}

fn at(key: &'static str) -> impl FnOnce(Invalid) -> Invalid {
    move |fault| fault.under(PathStep::Key(key.to_owned()))
}
