//! What is configured.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::amount::Amount;

/// The configuration of `limit-count`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How many requests fit into a window.
    pub(in super::super) count: Option<Amount>,
    /// The length of a window in seconds.
    pub(in super::super) time_window: Option<Amount>,
    /// What is counted: the name of a variable, text with variables, or any text; see `key_type`.
    #[schemars(length(min = 1, max = 1024), extend("default" = "remote_addr"))]
    pub(in super::super) key: Option<String>,
    /// How `key` is read.
    #[schemars(extend("default" = "var"))]
    pub(in super::super) key_type: Option<KeyType>,
    /// How the window moves. Sliding, unless the node follows the habits of Apache APISIX.
    pub(in super::super) window_type: Option<WindowType>,
    /// Several limits in place of `count`, `time_window` and `key`.
    #[schemars(length(min = 1, max = 16))]
    pub(in super::super) rules: Option<Vec<Rule>>,
    /// The status of a refusal: 429, or 503 where the node follows the habits of Apache APISIX.
    #[schemars(range(min = 400, max = 599))]
    pub(in super::super) rejected_code: Option<u16>,
    /// What a refused client reads.
    #[schemars(length(min = 1, max = 1024))]
    pub(in super::super) rejected_msg: Option<String>,
    /// Whether answers say how much of the quota is left.
    #[serde(default = "yes")]
    pub(in super::super) show_limit_quota_header: bool,
    /// Where the counters are: in this node.
    #[serde(default)]
    #[expect(dead_code, reason = "there is one place so far; the schema refuses the others")]
    pub(in super::super) policy: Policy,
    /// Shares the counters with every resource that names the same group.
    #[schemars(length(min = 1, max = 256))]
    pub(in super::super) group: Option<String>,
    /// Admits requests that cannot be counted: no rule applies, a number cannot be read, or no
    /// counter is left.
    #[serde(default)]
    pub(in super::super) danger_allow_degradation: bool,
}

/// One limit among several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// How many requests fit into a window.
    pub(in super::super) count: Amount,
    /// The length of a window in seconds.
    pub(in super::super) time_window: Amount,
    /// What is counted: text with variables, such as `$remote_addr $http_x_tenant`.
    #[schemars(length(min = 1, max = 1024))]
    pub(in super::super) key: String,
    /// Names the rule in what the client is told; otherwise its number, from 1.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_-]+$"))]
    pub(in super::super) header_prefix: Option<String>,
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

/// What `show_limit_quota_header` is if nobody says otherwise.
pub(in super::super) fn yes() -> bool {
    true
}
