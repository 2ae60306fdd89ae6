//! Health checks of upstreams.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::upstreams::is_token;
use super::{Reader, Site};
use crate::checks::{ActiveCheck, CheckKind, CheckRule, HealthChecks, Hidden, PassiveCheck};
use crate::diagnostic::{Invalid, PathStep};
use crate::wire::{ActiveWire, CheckTypeWire, ChecksWire, PassiveWire};
use crate::words::quoted;

/// Longest `metadata` of a node, in bytes of JSON.
const METADATA_MAX: usize = 16 * 1_024;

/// Fields that say how a message is framed or what becomes of its connection (RFC 9110 §7.6.1, RFC
/// 9112 §6): whoever sends the probe writes them.
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Reader<'_> {
    /// Turns checks into their type.
    pub(super) fn checks(
        &mut self,
        site: &Site<'_>,
        wire: Option<&ChecksWire>,
    ) -> Option<Arc<HealthChecks>> {
        let wire = wire?;
        let accepts_fail_open = self.rules.accepts_fail_open;
        Some(Arc::new(HealthChecks {
            active: self.active_check(site, &wire.active),
            passive: wire.passive.as_ref().map(passive_check),
            danger_use_unhealthy: wire.danger_use_unhealthy.unwrap_or(accepts_fail_open),
        }))
    }

    fn active_check(&mut self, site: &Site<'_>, wire: &ActiveWire) -> ActiveCheck {
        const THEIRS: &str = "https_verify_certificate";
        const OURS: &str = "danger_https_verify_certificate";
        let written = site.node.get("checks").and_then(|checks| checks.get("active"));
        let is_theirs = written.is_some_and(|active| active.get(THEIRS).is_some());
        let mut tell = |mut invalid: Invalid| {
            let above = ["checks", "active"].map(|key| PathStep::Key(key.to_owned()));
            invalid.path.splice(0..0, above);
            self.invalid(site, &invalid);
        };
        let is_visible = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if !wire.http_path.starts_with('/') || !wire.http_path.bytes().all(is_visible) {
            let problem = format!("{} is no path", quoted(&wire.http_path));
            let help = "begin it with `/`, and write what is not visible ASCII as `%XX`";
            tell(Invalid::at("http_path", problem).with_help(help));
        }
        let host = wire.host.as_ref().map(|host| host.0.as_str());
        if host.is_some_and(|host| host.contains('*')) {
            let problem = "a probe names one host, without `*`";
            tell(Invalid::at("host", problem));
        }
        let mut fields = Vec::new();
        for (index, line) in wire.req_headers.iter().flatten().enumerate() {
            match field(line.expose_str().unwrap_or_default()) {
                Ok(field) => fields.push(field),
                Err(problem) => tell(Invalid::at_item("req_headers", index, problem)),
            }
        }
        if wire.kind == CheckTypeWire::Tcp {
            for (key, is_there) in [
                ("host", wire.host.is_some()),
                ("http_req_body", !wire.http_req_body.is_empty()),
                ("req_headers", wire.req_headers.is_some()),
            ] {
                if is_there {
                    tell(Invalid::at(key, format!("`{key}` has no effect with `type: tcp`")));
                }
            }
        }
        if !wire.danger_https_verify_certificate && wire.kind != CheckTypeWire::Https {
            let key = if is_theirs { THEIRS } else { OURS };
            let problem = format!("`{key}` has no effect without `type: https`");
            tell(Invalid::at(key, problem).with_help("take it out"));
        }
        ActiveCheck {
            kind: kind(wire.kind),
            timeout: Duration::try_from_secs_f64(wire.timeout).unwrap_or(Duration::from_secs(1)),
            concurrency: wire.concurrency,
            method: wire.http_method.name(),
            path: wire.http_path.as_str().into(),
            body: wire.http_req_body.clone().into(),
            host: host.map(Into::into),
            port: wire.port,
            fields,
            danger_verify_off: !wire.danger_https_verify_certificate,
            healthy_every: Duration::from_secs(wire.healthy.interval.into()),
            unhealthy_every: Duration::from_secs(wire.unhealthy.interval.into()),
            rule: CheckRule {
                good: sorted(&wire.healthy.http_statuses),
                bad: sorted(&wire.unhealthy.http_statuses),
                successes: wire.healthy.successes,
                http_failures: wire.unhealthy.http_failures,
                tcp_failures: wire.unhealthy.tcp_failures,
                timeouts: wire.unhealthy.timeouts,
            },
        }
    }

    /// What is noted about a node is kept where it is written: only its size is looked at.
    pub(super) fn metadata(
        &mut self,
        site: &Site<'_>,
        index: usize,
        metadata: Option<&Map<String, Value>>,
    ) {
        let Some(metadata) = metadata else { return };
        let length = serde_json::to_string(metadata).map_or(usize::MAX, |text| text.len());
        if length > METADATA_MAX {
            let problem = format!("`metadata` has {length} bytes, at most {METADATA_MAX} are kept");
            let mut invalid = Invalid::at_item("nodes", index, problem);
            invalid.path.push(PathStep::Key("metadata".to_owned()));
            self.invalid(site, &invalid);
        }
    }
}

fn passive_check(wire: &PassiveWire) -> PassiveCheck {
    PassiveCheck {
        kind: kind(wire.kind),
        rule: CheckRule {
            good: sorted(&wire.healthy.http_statuses),
            bad: sorted(&wire.unhealthy.http_statuses),
            successes: wire.healthy.successes,
            http_failures: wire.unhealthy.http_failures,
            tcp_failures: wire.unhealthy.tcp_failures,
            timeouts: wire.unhealthy.timeouts,
        },
    }
}

fn kind(wire: CheckTypeWire) -> CheckKind {
    match wire {
        CheckTypeWire::Http => CheckKind::Http,
        CheckTypeWire::Https => CheckKind::Https,
        CheckTypeWire::Tcp => CheckKind::Tcp,
    }
}

fn sorted(statuses: &[u16]) -> Arc<[u16]> {
    let mut sorted = statuses.to_vec();
    sorted.sort_unstable();
    sorted.into()
}

/// Name and value of a header line, as in `X-Probe: 1`. It may be a secret: what is said of it repeats
/// no more than names that are known.
fn field(line: &str) -> Result<(Box<str>, Hidden), String> {
    let Some((name, value)) = line.split_once(':') else {
        return Err("the item is no header line such as `X-Probe: 1`".to_owned());
    };
    let value = value.trim_matches([' ', '\t']);
    if name.is_empty() || !is_token(name) {
        return Err("what the item begins with is not the name of a header".to_owned());
    }
    if value.bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
        return Err("the value has control characters".to_owned());
    }
    let name = name.to_ascii_lowercase();
    if name == "host" {
        return Err("the Host of a probe is `host`".to_owned());
    }
    if FRAMING.contains(&name.as_str()) {
        return Err(format!("`{name}` is written by whoever sends the probe"));
    }
    Ok((name.into(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lines_are_a_name_and_a_value_and_nothing_that_frames() {
        for (line, expected) in [
            ("X-Probe: 1", Some(("x-probe", "1"))),
            ("X-Probe:1", Some(("x-probe", "1"))),
            ("X-Probe: \t a: b \t", Some(("x-probe", "a: b"))),
            ("X-Probe:", Some(("x-probe", ""))),
            ("X-Probe", None),
            (": 1", None),
            ("X Probe: 1", None),
            ("X-Probe : 1", None),
            ("X-Probe: 1\r\nX-Other: 2", None),
            ("X-Probe: 1\n", None),
            ("X-Probe: \0", None),
            ("Host: a", None),
            ("Content-Length: 0", None),
            ("Transfer-Encoding: chunked", None),
            ("CONNECTION: close", None),
            ("Upgrade: h2c", None),
        ] {
            let read = field(line).ok();
            let read = read.as_ref().map(|(name, value)| (&**name, value.expose()));
            let expected = expected.map(|(name, value): (&str, &str)| (name, value.as_bytes()));
            assert_eq!(read, expected, "{line:?}");
        }
    }
}
