//! The health checks of an upstream.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bartizan_config::{CheckKind, HealthChecks, Invalid, PassHost, PathStep};
use bartizan_net::{Target, TargetTls};
use rustls::ClientConfig;

use super::compile::Compilation;
use super::upstreams::{Means, Trust, server_tls, without_port};
use crate::health::{Form, Health, Probe, Standing};
use crate::upstream::Node;

/// How the servers of an upstream are checked, whoever they are.
#[derive(Debug)]
pub(super) struct Checks {
    written: Arc<HealthChecks>,
    form: Arc<Form>,
    tls: Option<Arc<ClientConfig>>,
}

impl Compilation<'_> {
    /// The checks of an upstream; `None`, and a fault, where they do not compile.
    pub(super) fn checks(
        &mut self,
        written: &bartizan_config::Upstream,
        checks: &Arc<HealthChecks>,
        subject: &str,
    ) -> Option<Checks> {
        let active = &checks.active;
        if written.scheme.is_http2() && active.kind != CheckKind::Tcp && active.port.is_none() {
            let problem = "probes speak HTTP/1.1, and the servers HTTP/2";
            let help = "use `type: tcp`, or a `port` that speaks HTTP/1.1";
            let invalid = below_active(Invalid::at("type", problem).with_help(help));
            self.fault(written.place, subject, invalid);
            return None;
        }
        let tls = match active.kind {
            CheckKind::Https => {
                // Probes speak HTTP/1.1, whatever requests do.
                let trust = Trust { danger_verify_off: active.danger_verify_off, http2: false };
                Some(self.tls_towards(written, subject, trust)?)
            }
            CheckKind::Http | CheckKind::Tcp => None,
        };
        if let (Some(config), Some(host)) = (&tls, &active.host)
            && let Err(invalid) = named_tls(config, host)
        {
            self.fault(written.place, subject, invalid);
            return None;
        }
        match Form::compile(active) {
            Ok(form) => Some(Checks { written: checks.clone(), form: Arc::new(form), tls }),
            Err(invalid) => {
                self.fault(written.place, subject, below_active(invalid));
                None
            }
        }
    }
}

impl Checks {
    /// The health of servers that are probed so. What was known of them in `before` goes on.
    pub(super) fn of(
        &self,
        written: &bartizan_config::Upstream,
        probes: Vec<Probe>,
        before: Option<&Arc<Health>>,
    ) -> Arc<Health> {
        Health::new(&written.origin, &self.written, self.form.clone(), probes, before)
    }

    /// The health of these servers.
    pub(super) fn health<'n>(
        &self,
        means: &Means,
        written: &bartizan_config::Upstream,
        nodes: impl IntoIterator<Item = &'n Node>,
        before: Option<&Arc<Health>>,
    ) -> Result<Arc<Health>, Invalid> {
        let mut seen = HashSet::new();
        let distinct = nodes.into_iter().filter(|node| seen.insert(node.label.clone()));
        let probes = distinct.map(|node| self.probe(means, written, node));
        Ok(self.of(written, probes.collect::<Result<Vec<_>, _>>()?, before))
    }

    /// The probe of one server.
    pub(super) fn probe(
        &self,
        means: &Means,
        written: &bartizan_config::Upstream,
        node: &Node,
    ) -> Result<Probe, Invalid> {
        let active = &self.written.active;
        let host = node.target.host.clone();
        let port = active.port.unwrap_or(node.target.port);
        if let Ok(ip) = host.parse::<IpAddr>() {
            // A name is judged when it is resolved, each time anew.
            means.egress.check(SocketAddr::new(ip, port)).map_err(|denial| {
                below_active(Invalid::at("port", format!("`{host}` at port {port} {denial}")))
            })?;
        }
        let tls = match (&self.tls, &active.host) {
            (Some(config), Some(host)) => Some(named_tls(config, host)?),
            // By the name of requests, which is not the address that a registry tells.
            (Some(config), None) => {
                Some(server_tls(config, &written.pass_host, without_port(&node.host))?)
            }
            (None, _) => None,
        };
        let authority: Arc<str> = match (&active.host, &written.pass_host) {
            (Some(host), _) => (&**host).into(),
            (None, PassHost::Rewrite(host)) => host.as_str().into(),
            (None, PassHost::Pass | PassHost::Node) => node.host.clone(),
        };
        Ok(Probe::new(node.label.clone(), Target { host, port, tls }, authority))
    }
}

/// TLS for the `host` that probes name.
fn named_tls(config: &Arc<ClientConfig>, host: &str) -> Result<TargetTls, Invalid> {
    let name = without_port(host);
    let problem = || Invalid::at("host", format!("no certificate can be for `{name}`"));
    TargetTls::new(config.clone(), name).ok_or_else(|| below_active(problem()))
}

/// Gives each server its standing among those that are probed.
pub(super) fn stand<'n>(nodes: impl IntoIterator<Item = &'n mut Node>, probes: &[Probe]) {
    let standings: HashMap<&str, &Arc<Standing>> =
        probes.iter().map(|probe| (&*probe.standing.label, &probe.standing)).collect();
    for node in nodes {
        node.standing = standings.get(&*node.label).map(|standing| (*standing).clone());
    }
}

fn below_active(invalid: Invalid) -> Invalid {
    invalid.under(PathStep::Key("active".into())).under(PathStep::Key("checks".into()))
}
