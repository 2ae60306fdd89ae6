//! Limits how many requests fit into a window of time.
//!
//! ```yaml
//! limit-count:
//!   count: 100
//!   time_window: 60
//!   key: remote_addr
//! ```
//!
//! Requests are counted by `key`; where it has no value, by the client's address. With `rules`
//! there are several limits, each with a key of its own: a rule none of whose variables has a value
//! does not apply, all that apply must have room, and where none applies the request is refused. A
//! refused request is counted nowhere. Limits that need no identity are spent before any
//! cryptography, the others as soon as it is known who calls.
//!
//! `sliding` (the default) never admits more than `count` in any window, wherever it begins: up to
//! a count of 1,000 it remembers every request, above that a hundred parts of the window, and may
//! then refuse up to one part too long. `fixed` begins a window with its first request, so that
//! twice the count can pass around a boundary. In compatibility mode `fixed` is the default and
//! `sliding` is Apache APISIX's estimate from two fixed windows.
//!
//! An IPv6 client counts by its /64 network, since whoever has one of its addresses has them all
//! (in compatibility mode by the whole address). Counters belong to the resource that the limit is
//! written in, or to the `group`; they survive a reload, also with another `count`, and start again
//! with another window, key or type. There are at most `limits.limit_keys` of them for a limit;
//! over that, requests with new keys are refused while all others are live, and
//! `bartizan_limit_count_keys_refused_total` counts.
//!
//! `count` and `time_window` may be read from the request, as in `${http_x_quota ?? 10}`: what is no
//! whole number above zero there is refused, and windows of different lengths are counted apart.
//!
//! Who chooses the key chooses the counter, and who chooses the number the limit: a limit by a
//! header, parameter or path alone can be evaded, and does not count where `security.require` asks
//! for a limit. Read numbers from what a trusted proxy sets, and nobody else can.
//!
//! # Headers
//!
//! Answers have `RateLimit` and `RateLimit-Policy`, in compatibility mode the `X-RateLimit-*` that
//! the metadata names; `show_limit_quota_header: false` leaves these out. A refusal has
//! `Retry-After` in whole seconds, rounded up (not in compatibility mode).
//!
//! # What it costs
//!
//! Two short hashes, a lock without contention, and a look-up.
//!
//! # What it cannot do
//!
//! It counts per node, not per cluster, and begins anew with the process. A limit by something that
//! the client chooses can be evaded.
//!
//! # How it differs from Apache APISIX
//!
//! `sliding` is the default and never admits more than `count`, refusals are 429 with the fields
//! above, IPv6 clients count by network, refused requests are counted nowhere, and the number of
//! keys is bounded. Counters in Redis are not supported yet.

mod config;
mod counters;
mod draft;
mod group;
mod quota_fields;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, CompileCx, Flow, Kinship, Nothing, Plugin, Proofs, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};
use smallvec::SmallVec;

use super::amount::{Figure, Unread};
use super::key::KeySource;
use super::metrics::keys_refused;
use super::refusal::{Refusal, inapplicable, whole_seconds};
use super::table::Key;
use crate::tally::Tally;
pub(super) use config::yes;
pub use config::{Config, KeyType, Policy, Rule, WindowType};
use counters::Counters;
use draft::{Draft, algorithm, drafts};
use group::Membership;
pub use quota_fields::Metadata;
use quota_fields::{QuotaFields, write};
use window::{Algorithm, Quota, Verdict};

/// Compiled `limit-count`.
pub struct LimitCount {
    /// The plugin that spends it.
    name: &'static str,
    rules: Box<[CompiledRule]>,
    stage: Stage,
    refusal: Refusal,
    shows_quota: bool,
    admits_uncounted: bool,
    proves: Proofs,
    keys_refused: Arc<Tally>,
    _membership: Option<Membership>,
}

struct CompiledRule {
    source: KeySource,
    count: Figure,
    /// In seconds.
    window: Figure,
    algorithm: Algorithm,
    fields: QuotaFields,
    counters: Arc<Counters>,
}

/// What one request spent.
struct Spent {
    rule: usize,
    key: Key,
    quota: Quota,
    cost: u32,
    verdict: Verdict,
}

/// What `limit-count` remembers of a request.
#[derive(Default)]
pub struct Call {
    spent: SmallVec<[Spent; 1]>,
}

/// What Apache APISIX says of what it cannot judge.
const FAILED: &str = "failed to limit count";

const REDIS: Unsupported = Unsupported::NotYet("each node counts for itself");

impl Plugin for LimitCount {
    const NAME: &'static str = "limit-count";
    const PRIORITY: i32 = 1002;
    const KINSHIP: Kinship = Kinship::Different(
        "sliding windows that never admit more, 429 with `RateLimit` and `Retry-After`; \
         counters are local",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Admit, Stage::Meter]);
    const UNSUPPORTED: &'static [(&'static str, Unsupported)] = &[
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
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        let drafts = drafts(&config, algorithm(config.window_type, is_apisix))?;
        let metadata = cx.metadata::<Metadata>()?;
        if metadata.is_some() && !is_apisix {
            let problem = format!(
                "the metadata of `{}` names headers that are sent only with `compatibility: apisix`",
                cx.plugin
            );
            return Err(Invalid::new(problem));
        }
        let names = metadata.unwrap_or_default();
        let shape: Vec<String> = drafts.iter().map(Draft::state_key).collect();
        let membership =
            config.group.as_deref().map(|name| group::join(cx, name, &shape.join("\n")));
        let membership = membership.transpose()?;
        let owner = config.group.as_deref().map_or_else(|| cx.resource.clone(), group::owner);
        let keys_max = cx.node.limits.limit_keys;
        let rules = drafts
            .into_iter()
            .map(|draft| {
                let counters = || Counters::new(keys_max);
                let key = draft.state_key();
                let counters = cx.node.registry.state(&owner, cx.plugin, key, counters);
                let fields = draft.fields(is_apisix, &names, cx)?;
                let Draft { source, count, window, algorithm, .. } = draft;
                Ok(CompiledRule { source, count, window, algorithm, fields, counters })
            })
            .collect::<Result<Box<[_]>, Invalid>>()?;
        let is_firm = rules.iter().any(CompiledRule::is_firm);
        let needs_identity = rules.iter().any(CompiledRule::needs_identity);
        Ok(Self {
            name: cx.plugin,
            rules,
            stage: if needs_identity { Stage::Meter } else { Stage::Admit },
            refusal: Refusal::new(config.rejected_code, config.rejected_msg, is_apisix),
            proves: Proofs {
                limit: is_firm && !config.danger_allow_degradation,
                ..Proofs::default()
            },
            shows_quota: config.show_limit_quota_header,
            admits_uncounted: config.danger_allow_degradation,
            keys_refused: keys_refused(cx),
            _membership: membership,
        })
    }

    fn traits(&self) -> Traits {
        Traits {
            on_response: self.shows_quota,
            proves: self.proves,
            ..Traits::in_stages(&[self.stage])
        }
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        self.charge(cx, 1, call).map(|()| Flow::Continue)
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        let said = call.spent.iter().filter_map(|spent| {
            let rule = self.rules.get(spent.rule)?;
            Some((&rule.fields, &spent.quota, &spent.verdict))
        });
        write(said, &mut answer.fields);
        Ok(())
    }
}

impl LimitCount {
    /// Spends so much of every rule that applies, or nothing of any.
    pub(super) fn charge(&self, cx: &RequestCx, cost: u32, call: &mut Call) -> Result<(), Denial> {
        call.spent.clear();
        let result = self.spend(cx, cost, call);
        if result.is_err() {
            // A refused request is counted nowhere.
            for spent in call.spent.iter().filter(|spent| spent.verdict.is_admitted) {
                if let Some(rule) = self.rules.get(spent.rule) {
                    let receipt = spent.verdict.receipt;
                    counters::refund(&rule.counters, spent.key, receipt, spent.cost);
                }
            }
            call.spent.retain(|spent| !spent.verdict.is_admitted);
        }
        result
    }

    /// Spends so much of every rule that applies, until one has no room.
    fn spend(&self, cx: &RequestCx, cost: u32, call: &mut Call) -> Result<(), Denial> {
        let mut applies = false;
        for (index, rule) in self.rules.iter().enumerate() {
            let key = rule.source.read(cx, &rule.counters, self.refusal.is_apisix())?;
            let Some(key) = key else { continue };
            applies = true;
            let quota = match rule.quota(cx) {
                Ok(quota) => quota,
                Err(Unread::Ambiguous(denial)) => return Err(denial),
                Err(Unread::NoNumber) if self.admits_uncounted => continue,
                Err(Unread::NoNumber) => {
                    let detail = "`count` or `time_window` of the request is not a whole number";
                    return Err(self.refusal.unreadable(FAILED, detail));
                }
            };
            if cost > quota.count {
                return Err(self.refusal.denial(format!("{cost} never fit into {}", quota.count)));
            }
            // Windows of different lengths are counted apart.
            let key = match rule.window.fixed() {
                Some(_) => key,
                None => rule.counters.derived(key, quota.window),
            };
            let Ok(verdict) = counters::spend(&rule.counters, key, &quota, cost, &cx.clock) else {
                self.keys_refused.inc();
                if self.admits_uncounted {
                    continue;
                }
                let detail = "every counter of the limit is taken by a live key";
                return Err(self.refusal.denial(detail));
            };
            call.spent.push(Spent { rule: index, key, quota, cost, verdict });
            if !verdict.is_admitted {
                let seconds = whole_seconds(quota.window);
                let detail = format!("more than {} in {seconds} s", quota.count);
                return Err(self.refusal.until(verdict.wait, detail));
            }
        }
        if applies || self.admits_uncounted {
            return Ok(());
        }
        Err(inapplicable(self.name, FAILED))
    }
}

impl CompiledRule {
    /// The quota of a request.
    fn quota(&self, cx: &RequestCx) -> Result<Quota, Unread> {
        Ok(Quota::of(self.count.read(cx)?, self.window.read(cx)?, self.algorithm))
    }

    fn is_firm(&self) -> bool {
        self.source.is_firm() && self.count.is_firm() && self.window.is_firm()
    }

    fn needs_identity(&self) -> bool {
        self.source.needs_identity() || self.count.needs_identity() || self.window.needs_identity()
    }
}
