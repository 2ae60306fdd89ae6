//! Health checks of an upstream, typed.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Secret;

/// Which servers requests are not sent to, and how that is found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthChecks {
    /// Probes.
    pub active: ActiveCheck,
    /// What requests say of a server.
    pub passive: Option<PassiveCheck>,
    /// Where every server is unhealthy, all are used.
    pub danger_use_unhealthy: bool,
}

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// Answers over HTTP, in clear.
    Http,
    /// Answers over HTTP under TLS.
    Https,
    /// Connections alone.
    Tcp,
}

/// Probes of the servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveCheck {
    /// What a probe is.
    pub kind: CheckKind,
    /// Time for all of a probe.
    pub timeout: Duration,
    /// Most probes of the upstream at once.
    pub concurrency: u32,
    /// The method.
    pub method: &'static str,
    /// Path and query.
    pub path: Box<str>,
    /// The body.
    pub body: Hidden,
    /// The Host, and the name that a certificate must be for; that of requests where absent.
    pub host: Option<Box<str>>,
    /// The port; that of the server where absent.
    pub port: Option<u16>,
    /// Further fields, their names in lower case.
    pub fields: Vec<(Box<str>, Hidden)>,
    /// `danger_https_verify_certificate: false`: certificates are not verified.
    pub danger_verify_off: bool,
    /// Time between probes of a healthy server.
    pub healthy_every: Duration,
    /// Time between probes of an unhealthy server.
    pub unhealthy_every: Duration,
    /// How outcomes are counted.
    pub rule: CheckRule,
}

/// What is sent with probes, and may prove who sends it: never shown.
#[derive(Clone, Debug, Default)]
pub struct Hidden(Secret);

impl Hidden {
    /// What is sent.
    pub fn expose(&self) -> &[u8] {
        self.0.expose()
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(Secret::new(text))
    }
}

impl From<Secret> for Hidden {
    fn from(secret: Secret) -> Self {
        Self(secret)
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.matches(other.expose())
    }
}

impl Eq for Hidden {}

/// What requests say of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PassiveCheck {
    /// Whether statuses count, or only that there is an answer.
    pub kind: CheckKind,
    /// How outcomes are counted.
    pub rule: CheckRule,
}

/// How outcomes are counted. A threshold of 0 switches its counter off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckRule {
    /// Statuses that speak for a server; in order.
    pub good: Arc<[u16]>,
    /// Statuses that speak against a server, unless they are among the good ones too; in order.
    pub bad: Arc<[u16]>,
    /// Successes in a row that make a server healthy.
    pub successes: u8,
    /// Bad statuses that make it unhealthy.
    pub http_failures: u8,
    /// Connections that failed that make it unhealthy.
    pub tcp_failures: u8,
    /// Waits that were too long that make it unhealthy.
    pub timeouts: u8,
}
