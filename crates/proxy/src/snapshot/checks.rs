//! The health checks of an upstream.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bartizan_config::{CheckKind, HealthChecks, Invalid, PassHost, PathStep};
use bartizan_net::{Target, TargetTls};
use rustls::ClientConfig;

use super::compile::Compilation;
use super::upstreams::{Trust, server_tls, without_port};
use crate::health::{Form, Health, Probe, Standing};
use crate::upstream::Node;

impl Compilation<'_> {
    /// The checks of an upstream, and where each of its nodes stands; `None`, and a fault, where they
    /// do not compile.
    pub(super) fn health(
        &mut self,
        written: &bartizan_config::Upstream,
        checks: &Arc<HealthChecks>,
        subject: &str,
        nodes: &mut [Node],
    ) -> Option<Arc<Health>> {
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
        let compiled = Form::compile(active).map_err(below_active).and_then(|form| {
            let mut seen = HashSet::new();
            let distinct = nodes.iter().filter(|node| seen.insert(&*node.label));
            let probes = distinct.map(|node| self.probe(written, checks, node, tls.as_ref()));
            Ok((form, probes.collect::<Result<Vec<_>, _>>()?))
        });
        let (form, probes) = match compiled {
            Ok(compiled) => compiled,
            Err(invalid) => {
                self.fault(written.place, subject, invalid);
                return None;
            }
        };
        let before = self.previous.and_then(|snapshot| snapshot.upstreams.get(&written.origin));
        let before = before.and_then(|upstream| upstream.health.as_ref());
        let health = Health::new(&written.origin, checks, form, probes, before);
        let standings: HashMap<&str, &Arc<Standing>> =
            health.standings().map(|standing| (&*standing.label, standing)).collect();
        for node in nodes {
            node.standing = standings.get(&*node.label).map(|standing| (*standing).clone());
        }
        Some(health)
    }

    fn probe(
        &self,
        written: &bartizan_config::Upstream,
        checks: &HealthChecks,
        node: &Node,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Probe, Invalid> {
        let active = &checks.active;
        let host = node.target.host.clone();
        let port = active.port.unwrap_or(node.target.port);
        if let Ok(ip) = host.parse::<IpAddr>() {
            // A name is judged when it is resolved, each time anew.
            self.means.egress.check(SocketAddr::new(ip, port)).map_err(|denial| {
                below_active(Invalid::at("port", format!("`{host}` at port {port} {denial}")))
            })?;
        }
        let tls = match (tls, &active.host) {
            (Some(config), Some(host)) => {
                let name = without_port(host);
                let tls = TargetTls::new(config.clone(), name);
                let problem = || Invalid::at("host", format!("no certificate can be for `{name}`"));
                Some(tls.ok_or_else(|| below_active(problem()))?)
            }
            (Some(config), None) => Some(server_tls(config, &written.pass_host, &host)?),
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

fn below_active(invalid: Invalid) -> Invalid {
    invalid.under(PathStep::Key("active".into())).under(PathStep::Key("checks".into()))
}
