//! The health of upstreams, as the node tells it and as people read it.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Timestamp;
use serde_json::{Value, json};

/// What is known of a server whose health is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Requests are sent to it.
    Healthy,
    /// Requests are not sent to it.
    Unhealthy,
    /// Nothing is known yet; requests are sent to it.
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

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::NotChecked => "not_checked",
        }
    }
}

/// The word for an upstream: that of its servers where they agree.
pub(crate) fn word(servers: &[ServerHealth]) -> &'static str {
    let count = |verdict| servers.iter().filter(|server| server.verdict == verdict).count();
    let (unhealthy, unknown) = (count(Verdict::Unhealthy), count(Verdict::NotChecked));
    if unknown == servers.len() {
        return Verdict::NotChecked.word();
    }
    match unhealthy {
        0 => Verdict::Healthy.word(),
        all if all == servers.len() => Verdict::Unhealthy.word(),
        _ => "partly_healthy",
    }
}

/// A server as the API tells it.
pub(crate) fn told(server: &ServerHealth) -> Value {
    let last = server.last.as_ref().map(|last| {
        json!({
            "time": last.at.to_rfc3339(),
            "took_ms": u64::try_from(last.took.as_millis()).unwrap_or(u64::MAX),
            "fault": last.fault.as_deref().map(crate::api::cut),
        })
    });
    json!({
        "server": &*server.server,
        "health": server.verdict.word(),
        "successes": server.successes,
        "http_failures": server.http_failures,
        "tcp_failures": server.tcp_failures,
        "timeouts": server.timeouts,
        "last_probe": last,
    })
}

#[cfg(test)]
mod tests {
    use super::Verdict::{Healthy, NotChecked, Unhealthy};
    use super::*;

    #[test]
    fn an_upstream_is_what_its_servers_are() {
        for (verdicts, expected) in [
            (&[][..], "not_checked"),
            (&[NotChecked, NotChecked], "not_checked"),
            (&[NotChecked, Healthy], "healthy"),
            (&[Healthy, Healthy], "healthy"),
            (&[Healthy, Unhealthy], "partly_healthy"),
            (&[NotChecked, Unhealthy], "partly_healthy"),
            (&[Unhealthy, Unhealthy], "unhealthy"),
        ] {
            let servers: Vec<ServerHealth> = verdicts
                .iter()
                .map(|verdict| ServerHealth {
                    server: "a:1".into(),
                    verdict: *verdict,
                    successes: 0,
                    http_failures: 0,
                    tcp_failures: 0,
                    timeouts: 0,
                    last: None,
                })
                .collect();
            assert_eq!(word(&servers), expected, "{verdicts:?}");
        }
    }
}
