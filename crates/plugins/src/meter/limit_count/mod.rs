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
//! Who chooses the key chooses the counter: a limit by a header, parameter or path alone can be
//! evaded, and does not count where `security.require` asks for a limit.
//!
//! Cost: two short hashes, a lock without contention, and a look-up. It counts per node, not per
//! cluster.

mod counters;
mod draft;
mod group;
mod quota_fields;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, CompileCx, Flow, Nothing, Plugin, Proofs, RequestCx, Traits, Unsupported,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use schemars::JsonSchema;
use serde::Deserialize;
use smallvec::SmallVec;

use super::key::KeySource;
use super::metrics::LimitMetrics;
use super::refusal::{Refusal, whole_seconds};
use super::table::Key;
use counters::Counters;
use draft::{Draft, algorithm, drafts};
use group::Membership;
pub use quota_fields::Metadata;
use quota_fields::{QuotaFields, write};
use window::{Quota, Verdict};

/// The configuration of `limit-count`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many requests fit into a window.
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
    /// The status of a refusal: 429, or 503 where the node follows the habits of Apache APISIX.
    #[schemars(range(min = 400, max = 599))]
    rejected_code: Option<u16>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    rejected_msg: Option<String>,
    /// Whether answers say how much of the quota is left.
    #[serde(default = "yes")]
    show_limit_quota_header: bool,
    /// Where the counters are: in this node.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one place so far; the schema refuses the others")]
    policy: Policy,
    /// Shares the counters with every resource that names the same group.
    #[schemars(length(min = 1, max = 256))]
    group: Option<String>,
    /// Admits requests that cannot be counted, because no rule applies or no counter is left.
    #[serde(default)]
    danger_allow_degradation: bool,
}

/// One limit among several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How many requests fit into a window.
    count: Amount,
    /// The length of a window in seconds.
    time_window: Amount,
    /// What is counted: text with variables, such as `$remote_addr $http_x_tenant`.
    #[schemars(length(min = 1, max = 1024))]
    key: String,
    /// Names the rule in what the client is told; otherwise its number, from 1.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    header_prefix: Option<String>,
}

/// A whole number above zero, as a number or as text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Amount {
    /// As a number.
    Number(std::num::NonZeroU32),
    /// As text.
    Text(String),
}

/// How a key is read.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyType {
    /// The name of one variable.
    #[default]
    Var,
    /// Text with variables.
    VarCombination,
    /// A text: all requests count together.
    Constant,
}

/// How a window moves.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WindowType {
    /// One window after the other.
    Fixed,
    /// With every request.
    Sliding,
}

/// Where counters are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(extend("x-answers" = {
    "redis": "is not supported yet: each node counts for itself",
    "redis-cluster": "is not supported yet: each node counts for itself",
    "redis-sentinel": "is not supported yet: each node counts for itself"
}))]
pub enum Policy {
    /// In this node.
    #[default]
    Local,
}

fn yes() -> bool {
    true
}

/// Compiled `limit-count`.
pub struct LimitCount {
    rules: Box<[CompiledRule]>,
    stage: Stage,
    refusal: Refusal,
    shows_quota: bool,
    admits_uncounted: bool,
    proves: Proofs,
    metrics: Arc<LimitMetrics>,
    _membership: Option<Membership>,
}

struct CompiledRule {
    source: KeySource,
    quota: Quota,
    fields: QuotaFields,
    counters: Arc<Counters>,
}

/// What one request spent.
struct Spent {
    rule: usize,
    key: Key,
    verdict: Verdict,
}

/// What `limit-count` remembers of a request.
#[derive(Default)]
pub struct Call {
    spent: SmallVec<[Spent; 1]>,
}

const REDIS: Unsupported = Unsupported::NotYet("each node counts for itself");

impl Plugin for LimitCount {
    const NAME: &'static str = "limit-count";
    const PRIORITY: i32 = 1002;
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
            return Err(Invalid::new(
                "the metadata of `limit-count` names headers that are sent only with \
                 `compatibility: apisix`",
            ));
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
                Ok(CompiledRule { source: draft.source, quota: draft.quota, fields, counters })
            })
            .collect::<Result<Box<[_]>, Invalid>>()?;
        let is_firm = rules.iter().any(|rule| rule.source.is_firm());
        let needs_identity = rules.iter().any(|rule| rule.source.needs_identity());
        Ok(Self {
            rules,
            stage: if needs_identity { Stage::Meter } else { Stage::Admit },
            refusal: Refusal::new(config.rejected_code, config.rejected_msg, is_apisix),
            proves: Proofs {
                limit: is_firm && !config.danger_allow_degradation,
                ..Proofs::default()
            },
            shows_quota: config.show_limit_quota_header,
            admits_uncounted: config.danger_allow_degradation,
            metrics: LimitMetrics::of(cx),
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
        call.spent.clear();
        let result = self.spend(cx, call);
        if result.is_err() {
            // A refused request is counted nowhere.
            for spent in call.spent.iter().filter(|spent| spent.verdict.is_admitted) {
                if let Some(rule) = self.rules.get(spent.rule) {
                    counters::refund(&rule.counters, spent.key, spent.verdict.receipt);
                }
            }
            call.spent.retain(|spent| !spent.verdict.is_admitted);
        }
        result.map(|()| Flow::Continue)
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        let said = call.spent.iter().filter_map(|spent| {
            self.rules.get(spent.rule).map(|rule| (&rule.fields, &spent.verdict))
        });
        write(said, &mut answer.fields);
        Ok(())
    }
}

impl LimitCount {
    /// Spends one request of every rule that applies, until one has no room.
    fn spend(&self, cx: &RequestCx, call: &mut Call) -> Result<(), Denial> {
        let mut applies = false;
        for (index, rule) in self.rules.iter().enumerate() {
            let key = rule.source.read(cx, &rule.counters, self.refusal.is_apisix())?;
            let Some(key) = key else { continue };
            applies = true;
            let Ok(verdict) = counters::spend(&rule.counters, key, &rule.quota, &cx.clock) else {
                self.metrics.key_refused();
                if self.admits_uncounted {
                    continue;
                }
                let detail = "every counter of the limit is taken by a live key";
                return Err(self.refusal.denial(detail));
            };
            call.spent.push(Spent { rule: index, key, verdict });
            if !verdict.is_admitted {
                return Err(self.denial(&rule.quota, &verdict));
            }
        }
        if applies || self.admits_uncounted {
            return Ok(());
        }
        Err(Denial::new(Reason::Internal, "no rule of `limit-count` applies to the request")
            .with_apisix_message("failed to limit count"))
    }

    fn denial(&self, quota: &Quota, verdict: &Verdict) -> Denial {
        let seconds = whole_seconds(quota.window);
        self.refusal.until(verdict.wait, format!("more than {} in {seconds} s", quota.count))
    }
}
