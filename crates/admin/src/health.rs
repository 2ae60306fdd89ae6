//! The health of upstreams, as the node tells it and as people read it.

use bartizan_core::{ServerHealth, Verdict};
use serde_json::{Value, json};

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Healthy => "healthy",
        Verdict::Unhealthy => "unhealthy",
        Verdict::NotChecked => "not_checked",
    }
}

/// The word for an upstream: that of its servers where they agree.
pub(crate) fn word(servers: &[ServerHealth]) -> &'static str {
    let count = |verdict| servers.iter().filter(|server| server.verdict == verdict).count();
    let (unhealthy, unknown) = (count(Verdict::Unhealthy), count(Verdict::NotChecked));
    if unknown == servers.len() {
        return name(Verdict::NotChecked);
    }
    match unhealthy {
        0 => name(Verdict::Healthy),
        all if all == servers.len() => name(Verdict::Unhealthy),
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
        "health": name(server.verdict),
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
