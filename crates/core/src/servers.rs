//! What is known of the servers of an upstream, for those who look.

use std::sync::Arc;
use std::time::Duration;

use crate::Timestamp;

/// What is known of a server whose health is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Requests are sent to it.
    Healthy,
    /// Requests are not sent to it.
    Unhealthy,
    /// Nothing was counted yet; requests are sent to it.
    NotChecked,
}

/// A server of an upstream with checks.
#[derive(Clone, Debug)]
pub struct ServerHealth {
    /// `host:port`.
    pub server: Arc<str>,
    /// What is known of it.
    pub verdict: Verdict,
    /// Successes in a row, while it is unhealthy.
    pub successes: u8,
    /// Bad answers since the last success.
    pub http_failures: u8,
    /// Connections that failed since the last success.
    pub tcp_failures: u8,
    /// Waits that were too long since the last success.
    pub timeouts: u8,
    /// The last probe.
    pub last: Option<LastProbe>,
}

/// The last probe of a server.
#[derive(Clone, Debug)]
pub struct LastProbe {
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What was wrong; nothing where it succeeded.
    pub fault: Option<Arc<str>>,
}

/// What a registry says of the servers of an upstream.
#[derive(Clone, Debug)]
pub struct FoundServers {
    /// Registry and service, as in `dns/orders.internal`.
    pub service: Arc<str>,
    /// They; `None` before it has told any.
    pub servers: Option<Vec<FoundServer>>,
    /// Why it told nothing when it was last asked; the last list stays.
    pub failing: Option<String>,
}

/// A server that a registry names.
#[derive(Clone, Debug)]
pub struct FoundServer {
    /// A name or an address.
    pub host: Arc<str>,
    /// Where it listens.
    pub port: u16,
    /// Its share of the requests.
    pub weight: u32,
    /// Those of the highest are used first.
    pub priority: i32,
}
