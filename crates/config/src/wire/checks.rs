//! Health checks of the servers of an upstream.

use bartizan_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::Host;

/// Health checks: which servers requests are not sent to.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChecksWire {
    /// Probes that the gateway sends.
    pub(crate) active: ActiveWire,
    /// What the answers to requests say of a server.
    pub(crate) passive: Option<PassiveWire>,
    /// Where every server is unhealthy, all are used as if there were no checks. Otherwise requests
    /// are answered with 503 then.
    pub(crate) danger_use_unhealthy: Option<bool>,
}

/// Probes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActiveWire {
    /// What a probe is.
    #[serde(default, rename = "type")]
    pub(crate) kind: CheckTypeWire,
    /// Seconds that a probe may take, from resolving the name to the head of the answer.
    #[serde(default = "second")]
    #[schemars(range(max = 30), extend("exclusiveMinimum" = 0))]
    pub(crate) timeout: f64,
    /// Most probes of the upstream at once; more than 32 are the same as 32.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1_024))]
    pub(crate) concurrency: u32,
    /// The Host of a probe, and the name that a certificate must be for. Absent: those of requests,
    /// the server's own name in the place of the client's Host.
    pub(crate) host: Option<Host>,
    /// The port that is probed. Absent: that of the server.
    #[schemars(range(min = 1))]
    pub(crate) port: Option<u16>,
    /// Path and query of a probe.
    #[serde(default = "root")]
    #[schemars(length(min = 1, max = 4096))]
    pub(crate) http_path: String,
    /// The method of a probe.
    #[serde(default)]
    pub(crate) http_method: CheckMethodWire,
    /// The body of a probe.
    #[serde(default)]
    #[schemars(extend("maxLength" = 65536))]
    pub(crate) http_req_body: Secret,
    /// Further header fields of a probe, as in `X-Probe: 1`; where one is a reference, that stands for
    /// the name as well.
    #[schemars(length(min = 1, max = 64), extend("uniqueItems" = true))]
    pub(crate) req_headers: Option<Vec<Secret>>,
    /// `false`: the certificate of a server that is probed is not verified, so that whoever is on
    /// the way can say that it is healthy.
    #[serde(default = "yes")]
    pub(crate) danger_https_verify_certificate: bool,
    /// What makes a server healthy.
    #[serde(default)]
    pub(crate) healthy: ActiveHealthyWire,
    /// What makes a server unhealthy.
    #[serde(default)]
    pub(crate) unhealthy: ActiveUnhealthyWire,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(crate) enum CheckTypeWire {
    /// Answers over HTTP, in clear.
    #[default]
    Http,
    /// Answers over HTTP under TLS.
    Https,
    /// Connections alone.
    Tcp,
}

/// The method of a probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline, extend("x-answers" = {
    "CONNECT": "is refused: it asks the server for a tunnel to somewhere else"
}))]
pub(crate) enum CheckMethodWire {
    #[default]
    Get,
    Post,
    Put,
    Delete,
    Patch,
    Head,
    Options,
    Trace,
    Purge,
}

/// When probes make a server healthy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ActiveHealthyWire {
    /// Seconds between probes of a healthy server.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(crate) interval: u32,
    /// Statuses that speak for a server.
    #[schemars(length(min = 1), extend("uniqueItems" = true), inner(range(min = 200, max = 599)))]
    pub(crate) http_statuses: Vec<u16>,
    /// So many in a row, and the server is healthy.
    #[schemars(range(min = 1, max = 254))]
    pub(crate) successes: u8,
}

/// When probes make a server unhealthy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ActiveUnhealthyWire {
    /// Seconds between probes of an unhealthy server.
    #[schemars(range(min = 1, max = 31_536_000))]
    pub(crate) interval: u32,
    /// Statuses that speak against a server.
    #[schemars(length(min = 1), extend("uniqueItems" = true), inner(range(min = 200, max = 599)))]
    pub(crate) http_statuses: Vec<u16>,
    /// So many of these statuses without a success between them, and the server is unhealthy.
    #[schemars(range(min = 1, max = 254))]
    pub(crate) http_failures: u8,
    /// So many connections that fail.
    #[schemars(range(min = 1, max = 254))]
    pub(crate) tcp_failures: u8,
    /// So many probes that take too long.
    #[schemars(range(min = 1, max = 254))]
    pub(crate) timeouts: u8,
}

/// What requests say of a server.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PassiveWire {
    /// `http` and `https` count statuses, and connections that fail; `tcp` counts connections alone,
    /// and any answer speaks for the server.
    #[serde(default, rename = "type")]
    pub(crate) kind: CheckTypeWire,
    /// What makes a server healthy.
    #[serde(default)]
    pub(crate) healthy: PassiveHealthyWire,
    /// What makes a server unhealthy.
    #[serde(default)]
    pub(crate) unhealthy: PassiveUnhealthyWire,
}

/// When requests make a server healthy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PassiveHealthyWire {
    /// Statuses that speak for a server.
    #[schemars(length(min = 1), extend("uniqueItems" = true), inner(range(min = 200, max = 599)))]
    pub(crate) http_statuses: Vec<u16>,
    /// So many in a row, and the server is healthy; 0: they are not counted.
    #[schemars(range(max = 254))]
    pub(crate) successes: u8,
}

/// When requests make a server unhealthy.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PassiveUnhealthyWire {
    /// Statuses that speak against a server.
    #[schemars(length(min = 1), extend("uniqueItems" = true), inner(range(min = 200, max = 599)))]
    pub(crate) http_statuses: Vec<u16>,
    /// So many of these statuses without a success between them, and the server is unhealthy; 0:
    /// they are not counted.
    #[schemars(range(max = 254))]
    pub(crate) http_failures: u8,
    /// So many connections that fail; 0: they are not counted.
    #[schemars(range(max = 254))]
    pub(crate) tcp_failures: u8,
    /// So many answers that do not come in time; 0: they are not counted.
    #[schemars(range(max = 254))]
    pub(crate) timeouts: u8,
}

impl Default for ActiveHealthyWire {
    fn default() -> Self {
        Self { interval: 1, http_statuses: vec![200, 302], successes: 2 }
    }
}

impl Default for ActiveUnhealthyWire {
    fn default() -> Self {
        Self {
            interval: 1,
            http_statuses: vec![429, 404, 500, 501, 502, 503, 504, 505],
            http_failures: 5,
            tcp_failures: 2,
            timeouts: 3,
        }
    }
}

impl Default for PassiveHealthyWire {
    fn default() -> Self {
        let found = (200..=208).chain([226]).chain(300..=308);
        Self { http_statuses: found.collect(), successes: 5 }
    }
}

impl Default for PassiveUnhealthyWire {
    fn default() -> Self {
        Self { http_statuses: vec![429, 500, 503], http_failures: 5, tcp_failures: 2, timeouts: 7 }
    }
}

impl CheckMethodWire {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Purge => "PURGE",
        }
    }
}

fn second() -> f64 {
    1.0
}

fn ten() -> u32 {
    10
}

fn root() -> String {
    "/".to_owned()
}

fn yes() -> bool {
    true
}
