//! The configuration of `oas-validator`.

use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of `oas-validator`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "the switches of Apache APISIX, and ours")]
pub struct Config {
    /// The document itself, as JSON or YAML text: this or `spec_file`.
    #[schemars(length(min = 1))]
    pub(super) spec: Option<String>,
    /// The file with the document, JSON or YAML. It is read when the configuration is loaded, and
    /// watched.
    #[schemars(length(min = 1))]
    pub(super) spec_file: Option<String>,
    /// Files that references of the document may lead to, beside itself.
    #[schemars(length(min = 1, max = 256))]
    pub(super) ref_files: Option<Vec<String>>,
    /// What paths begin with before those of the document, such as `/v1`, or empty. Left out, the
    /// paths of the document's `servers` count; in compatibility mode nothing.
    pub(super) base_path: Option<String>,
    /// Whether a refused client reads what does not fit: places and rules, never values. Left out,
    /// it does; in compatibility mode it does not.
    pub(super) verbose_errors: Option<bool>,
    /// The status of a refusal. Left out, 404 for a path, 405 for a method and 415 for a content
    /// type that the document does not have, else 400; in compatibility mode always 400.
    #[schemars(range(min = 400, max = 599))]
    pub(super) rejection_status_code: Option<u16>,
    /// The largest body that is read, in bytes; `limits.inspected_body` if not given.
    #[schemars(range(min = 1))]
    pub(super) max_req_body_size: Option<u64>,
    /// Leaves bodies unchecked, and unread. Nothing is then proved of them.
    #[serde(default)]
    pub(super) skip_request_body_validation: bool,
    /// Leaves header fields and cookies unchecked.
    #[serde(default)]
    pub(super) skip_request_header_validation: bool,
    /// Leaves the query unchecked.
    #[serde(default)]
    pub(super) skip_query_param_validation: bool,
    /// Leaves the values in paths unchecked; the path itself must be in the document all the same.
    #[serde(default)]
    pub(super) skip_path_params_validation: bool,
    /// Whether query parameters that the operation does not name are refused. Left out, they are;
    /// in compatibility mode they pass.
    pub(super) reject_undeclared_query: Option<bool>,
    /// Whether the body of an operation that has none is refused. Left out, it is; in
    /// compatibility mode it passes.
    pub(super) reject_undeclared_body: Option<bool>,
    /// Whether properties that are `readOnly` are refused in bodies, and not only left out of what
    /// is required.
    #[serde(default = "yes")]
    pub(super) reject_read_only: bool,
    /// Whether requests that do not fit are refused. With `false` they are forwarded and counted
    /// in `bartizan_oas_validator_unmatched_total`: to see what a document would refuse, before it
    /// does.
    #[serde(default = "yes")]
    pub(super) danger_reject_if_not_match: bool,
    /// Leaves out patterns that cannot be matched in linear time, or are no regular expressions
    /// here, so that the document of somebody else can be used as it is. Such text is not checked
    /// against its pattern.
    #[serde(default)]
    pub(super) danger_skip_unsupported_patterns: bool,
}

fn yes() -> bool {
    true
}
