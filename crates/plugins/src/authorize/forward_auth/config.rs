//! The configuration of `forward-auth`.

use std::collections::BTreeMap;

use bartizan_core::Limits;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::authorize::service::ServiceSettings;
use crate::outgoing::{Pem, Trust};

/// The configuration of `forward-auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches in configuration")]
pub struct Config {
    /// The address of the service.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) uri: String,
    /// How it is asked. With POST it gets the client's body.
    #[serde(default)]
    pub(super) request_method: AskMethod,
    /// Header fields of the client that it gets. Nothing else of them goes there.
    #[serde(default)]
    pub(super) request_headers: Vec<String>,
    /// Header fields that it gets besides, with texts in which variables may stand.
    #[schemars(extend("minProperties" = 1))]
    pub(super) extra_headers: Option<BTreeMap<String, String>>,
    /// Header fields of its answer that the upstream gets. What the client sends under these names
    /// is taken out, always.
    #[serde(default)]
    pub(super) upstream_headers: Vec<String>,
    /// Header fields of its answer that a refused client gets.
    #[serde(default)]
    pub(super) client_headers: Vec<String>,
    /// The header field of its answer that says who calls. With it the plugin authenticates.
    #[schemars(length(min = 1, max = 256))]
    pub(super) user_header: Option<String>,
    /// Whether who calls must be a consumer of that name.
    #[serde(default)]
    pub(super) attach_consumer: bool,
    /// The longest body that is sent along, in bytes; over it the request is refused with 413. Left
    /// out, `limits.inspected_body`; in compatibility mode 64 MiB. What the route may have
    /// (`limits.body`) bounds it.
    #[schemars(range(min = 1, max = 67_108_864))]
    pub(super) max_req_body_size: Option<u64>,
    /// The status of a refusal where there is no answer: 503 if left out, in compatibility mode 403.
    #[schemars(range(min = 400, max = 599))]
    pub(super) status_on_error: Option<u16>,
    /// Milliseconds that a call may take, connecting and the whole answer included.
    #[serde(default = "three_seconds")]
    #[schemars(range(min = 1, max = 60_000))]
    pub(super) timeout: u32,
    /// Whether connections are kept for the next calls.
    #[serde(default = "yes")]
    pub(super) keepalive: bool,
    /// Milliseconds that a connection is kept without a call.
    #[serde(default = "one_minute")]
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub(super) keepalive_timeout: u32,
    /// Connections without a call that each worker keeps.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1_024))]
    pub(super) keepalive_pool: u32,
    /// PEM of the authorities that may have signed the service's certificate; the system's if left
    /// out.
    pub(super) ca_certs: Option<Pem>,
    /// Whether the service's certificate is verified. Off, whoever sits between decides.
    #[serde(default = "yes")]
    pub(super) danger_ssl_verify: bool,
    /// Lets requests pass where there is no answer.
    #[serde(default)]
    pub(super) danger_allow_degradation: bool,
}

/// How the service is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum AskMethod {
    /// Without a body.
    #[default]
    Get,
    /// With the client's body.
    Post,
}

fn three_seconds() -> u32 {
    3_000
}

fn one_minute() -> u32 {
    60_000
}

fn five() -> u32 {
    5
}

fn yes() -> bool {
    true
}

impl Config {
    pub(super) fn service(&self) -> ServiceSettings {
        ServiceSettings {
            trust: Trust { ca_certs: self.ca_certs.clone(), verifies: self.danger_ssl_verify },
            timeout: self.timeout,
            keepalive: self.keepalive,
            keepalive_timeout: self.keepalive_timeout,
            keepalive_pool: self.keepalive_pool,
        }
    }

    pub(super) fn body_max(&self, limits: &Limits, is_apisix: bool) -> usize {
        let usual = if is_apisix { limits.body_max.0 } else { limits.inspected_body.0 };
        let max = self.max_req_body_size.unwrap_or(usual);
        usize::try_from(max).unwrap_or(usize::MAX)
    }
}
