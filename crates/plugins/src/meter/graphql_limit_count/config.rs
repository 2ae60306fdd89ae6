//! The configuration of `graphql-limit-count`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Number;

use super::super::amount::Amount;
use super::super::limit_count::{self, KeyType, Policy, Rule, WindowType};
use crate::graphql::Way;

/// The configuration of `graphql-limit-count`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What fits into a window, in units of cost.
    pub(super) count: Option<Amount>,
    /// The length of a window in seconds.
    pub(super) time_window: Option<Amount>,
    /// What is counted: the name of a variable, text with variables, or any text; see `key_type`.
    #[schemars(length(min = 1, max = 1024), extend("default" = "remote_addr"))]
    pub(super) key: Option<String>,
    /// How `key` is read.
    #[schemars(extend("default" = "var"))]
    pub(super) key_type: Option<KeyType>,
    /// How the window moves. Sliding, unless the node follows the habits of Apache APISIX.
    pub(super) window_type: Option<WindowType>,
    /// Several limits in place of `count`, `time_window` and `key`.
    #[schemars(length(min = 1, max = 16))]
    pub(super) rules: Option<Vec<Rule>>,
    /// What an operation costs.
    #[serde(default)]
    pub(super) cost_strategy: CostStrategy,
    /// Multiplies the cost; up to six decimals.
    #[serde(default = "one")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 1_000_000))]
    pub(super) score_factor: Number,
    /// Whether the values of variables are read where a field is priced by an argument. They are:
    /// what is not read would be free.
    pub(super) resolve_variables: Option<bool>,
    /// The largest cost of one operation, `score_factor` included; 0 for no maximum.
    #[serde(default = "zero")]
    #[schemars(extend("minimum" = 0, "maximum" = 4_294_967_295_u32))]
    pub(super) max_cost: Number,
    /// The most levels of one operation.
    #[serde(default = "sixteen")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) max_depth: u32,
    /// The most fields of one operation, fragments put in.
    #[serde(default = "thousand")]
    #[schemars(range(min = 1))]
    pub(super) max_fields: u32,
    /// The most operations of one request.
    #[serde(default = "single")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) max_batch: u32,
    /// Whether an operation may ask for the schema.
    #[serde(default)]
    pub(super) introspection: Introspection,
    /// The status of a refusal: 429, or 503 where the node follows the habits of Apache APISIX.
    #[schemars(range(min = 400, max = 599))]
    pub(super) rejected_code: Option<u16>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    pub(super) rejected_msg: Option<String>,
    /// Whether answers say how much of the quota is left.
    #[serde(default = "limit_count::yes")]
    pub(super) show_limit_quota_header: bool,
    /// Where the counters are: in this node.
    #[serde(default)]
    pub(super) policy: Policy,
    /// Shares the counters with every resource that names the same group.
    #[schemars(length(min = 1, max = 256))]
    pub(super) group: Option<String>,
    /// Admits requests that cannot be counted: no rule applies, a number cannot be read, or no
    /// counter is left.
    #[serde(default)]
    pub(super) danger_allow_degradation: bool,
}

/// What an operation costs.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CostStrategy {
    /// As many units as it has levels.
    #[default]
    Depth,
    /// As many units as it has fields.
    Complexity,
    /// What the fields cost of which the service says it; others cost nothing.
    NodeQuantifier,
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

impl CostStrategy {
    /// How costs are summed up.
    pub(super) fn way(self) -> Way {
        match self {
            Self::Depth => Way::Deepest,
            Self::Complexity => Way::All,
            Self::NodeQuantifier => Way::Priced,
        }
    }
}

impl Config {
    /// The limit that is charged.
    pub(super) fn limit(self) -> limit_count::Config {
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
