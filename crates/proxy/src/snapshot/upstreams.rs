//! Upstreams: who answers, and how they are reached.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bartizan_config::{
    Balancing, FoundIn, Invalid, PassHost, PathStep, ResourceKind, ResourceRef, SslType, Timeouts,
    UpstreamNode,
};
use bartizan_net::{EgressPolicy, Target, TargetTls};
use bartizan_tls::{TlsFault, UpstreamTlsSettings};
use rustls::ClientConfig;

use super::certificates::pair_field;
use super::checks::{Checks, stand};
use super::compile::Compilation;
use super::discovered::Discovered;
use super::exposure::UpstreamTls;
use super::fault::Warning;
use super::pools::Pools;
use crate::balance::Balancer;
use crate::health::Health;
use crate::upstream::{KeepAlive, Node};

/// Most servers of one upstream.
const NODES_MAX: usize = 10_000;

/// Requests on one connection to an upstream, where the upstream does not say.
const REQUESTS: u32 = 1_000;

/// An upstream, as requests use it.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// Where it is written.
    pub(super) origin: ResourceRef,
    /// How requests travel to it.
    pub(super) tls: UpstreamTls,
    /// Where its nodes are found, if they are not written; it has none itself then.
    pub(crate) discovered: Option<Arc<Discovered>>,
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) balancer: Arc<Balancer>,
    pub(crate) keep: KeepAlive,
    pub(crate) pass_host: PassHost,
    /// HTTP/2 is spoken to it.
    pub(crate) is_http2: bool,
    /// Time for all tries together.
    pub(crate) retry_timeout: Option<Duration>,
    pub(crate) timeout: Option<Timeouts>,
    /// Health checks, where it has any.
    pub(crate) health: Option<Arc<Health>>,
    retries: Option<u32>,
    /// Weight and priority of each node.
    pub(super) shares: Box<[(u32, i32)]>,
    pub(super) balancing: Balancing,
}

impl Upstream {
    /// How often a request may be tried in all, each time on another node.
    pub(crate) fn tries(&self) -> usize {
        let others = || self.nodes.len().saturating_sub(1);
        let retries = self.retries.map(|retries| usize::try_from(retries).unwrap_or(usize::MAX));
        retries.unwrap_or_else(others).saturating_add(1)
    }

    /// Its name in a sentence.
    pub(super) fn subject(&self) -> String {
        upstream_subject(&self.origin)
    }
}

/// How a server is spoken to under TLS.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    pub(super) danger_verify_off: bool,
    /// It must agree to HTTP/2.
    pub(super) http2: bool,
}

/// What upstreams are made with, whatever servers they have.
#[derive(Clone, Debug)]
pub(super) struct Means {
    /// Where upstreams may not be, as far as that is known before names are resolved.
    pub(super) egress: EgressPolicy,
    pub(super) pools: Arc<Pools>,
    /// Idle connections and for how long, where an upstream does not say.
    pub(super) idle: (u32, Duration),
    /// Whether paths have parameters.
    pub(super) has_parameters: bool,
}

impl Means {
    /// An upstream with these nodes, each with its weight and priority; what is the same as before goes on.
    pub(super) fn make(
        &self,
        written: &bartizan_config::Upstream,
        nodes: Vec<(Arc<Node>, (u32, i32))>,
        health: Option<Arc<Health>>,
        before: Option<&Upstream>,
    ) -> Result<Upstream, Invalid> {
        let (nodes, shares): (Vec<_>, Vec<_>) = nodes.into_iter().unzip();
        let shares = shares.into_boxed_slice();
        let (idle, idle_time) = self.idle;
        let size = written.keepalive_size.unwrap_or(idle);
        Ok(Upstream {
            origin: written.origin.clone(),
            tls: UpstreamTls::of(written),
            discovered: None,
            balancer: self.balancer(written, &nodes, &shares, before)?,
            nodes,
            keep: KeepAlive {
                size: usize::try_from(size).unwrap_or(usize::MAX),
                idle: written.keepalive_idle.unwrap_or(idle_time),
                requests: written.keepalive_requests.unwrap_or(REQUESTS),
            },
            pass_host: written.pass_host.clone(),
            is_http2: written.scheme.is_http2(),
            retry_timeout: written.retry_timeout.filter(|limit| !limit.is_zero()),
            timeout: written.timeout,
            health,
            retries: written.retries,
            shares,
            balancing: written.balancing.clone(),
        })
    }

    /// A server of an upstream; `name` is what it is known by, where that is not its host.
    pub(super) fn node(
        &self,
        written: &bartizan_config::Upstream,
        node: &UpstreamNode,
        name: Option<&str>,
        tls: Option<&Arc<ClientConfig>>,
    ) -> Result<Node, Invalid> {
        let label: Arc<str> = format!("{}:{}", bracketed(&node.host), node.port).into();
        if let Ok(ip) = node.host.parse::<IpAddr>() {
            // A name is judged when it is resolved, each time anew.
            self.egress
                .check(SocketAddr::new(ip, node.port))
                .map_err(|denial| Invalid::at("nodes", format!("`{label}` {denial}")))?;
        }
        let name = name.unwrap_or(&node.host);
        let tls = tls.map(|config| server_tls(config, &written.pass_host, name)).transpose()?;
        let target = Target { host: node.host.clone(), port: node.port, tls };
        let host = bracketed(name);
        let is_usual = node.port == written.scheme.default_port();
        Ok(Node {
            host: if is_usual { host } else { format!("{host}:{}", node.port) }.into(),
            label,
            pool: self.pools.number(&target),
            target,
            standing: None,
        })
    }
}

impl<'a> Compilation<'a> {
    /// The upstream written in one place; `None`, and a fault told once, where it does not compile.
    /// In a place that did not change, it is what it was.
    pub(super) fn upstream(
        &mut self,
        written: &'a bartizan_config::Upstream,
    ) -> Option<Arc<Upstream>> {
        let origin = &written.origin;
        if self.base.is_some()
            && !self.is_changed(origin.kind, &origin.id)
            && let Some(known) = self.previous.and_then(|known| known.upstreams.get(origin))
        {
            return Some(known.clone());
        }
        self.upstream_anew(written)
    }

    /// The same, whatever there was before.
    pub(super) fn upstream_anew(
        &mut self,
        written: &'a bartizan_config::Upstream,
    ) -> Option<Arc<Upstream>> {
        if let Some(known) = self.upstreams.get(&written.origin) {
            return known.clone();
        }
        let compiled = self.compile_upstream(written).map(Arc::new);
        self.upstreams.insert(&written.origin, compiled.clone());
        compiled
    }

    fn compile_upstream(&mut self, written: &'a bartizan_config::Upstream) -> Option<Upstream> {
        let subject = upstream_subject(&written.origin);
        if written.nodes.len() > NODES_MAX {
            let problem =
                format!("{} nodes are given, at most 10,000 are used", written.nodes.len());
            self.fault(written.place, &subject, Invalid::at("nodes", problem));
            return None;
        }
        if written.found_in.is_none() && written.nodes.iter().all(|node| node.weight == 0) {
            self.warnings.push(Warning {
                subject: subject.clone(),
                problem: format!("{subject} has no node with a weight: it answers nothing"),
                help: Some("give at least one node a weight above 0".into()),
            });
        }
        let tls = if written.scheme.is_tls() {
            let trust = Trust {
                danger_verify_off: written.tls.danger_verify_off,
                http2: written.scheme.is_http2(),
            };
            Some(self.tls_towards(written, &subject, trust)?)
        } else {
            None
        };
        let before = self.previous.and_then(|snapshot| snapshot.upstreams.get(&written.origin));
        let nodes = written.nodes.iter();
        let nodes = nodes.map(|node| self.means.node(written, node, None, tls.as_ref()));
        let nodes = match nodes.collect::<Result<Vec<_>, _>>() {
            Ok(nodes) => nodes,
            Err(invalid) => {
                self.fault(written.place, &subject, invalid);
                return None;
            }
        };
        let checks = match &written.checks {
            Some(checks) => Some(self.checks(written, checks, &subject)?),
            None => None,
        };
        let made = match &written.found_in {
            Some(found_in) => self.found(written, found_in, (tls, checks), before),
            None => self.listed(written, nodes, checks.as_ref(), before),
        };
        made.map_err(|invalid| self.fault(written.place, &subject, invalid)).ok()
    }

    /// An upstream whose servers are written.
    fn listed(
        &self,
        written: &bartizan_config::Upstream,
        mut nodes: Vec<Node>,
        checks: Option<&Checks>,
        before: Option<&Arc<Upstream>>,
    ) -> Result<Upstream, Invalid> {
        let known = before.and_then(|before| before.health.as_ref());
        let health = checks.map(|checks| checks.health(self.means, written, &nodes, known));
        let health = health.transpose()?;
        if let Some(health) = &health {
            stand(&mut nodes, &health.probes());
        }
        let shares = written.nodes.iter().map(|node| (node.weight, node.priority));
        let nodes = nodes.into_iter().map(Arc::new).zip(shares).collect();
        self.means.make(written, nodes, health, before.map(|before| &**before))
    }

    /// An upstream whose servers a registry names.
    fn found(
        &mut self,
        written: &bartizan_config::Upstream,
        found_in: &'a FoundIn,
        (tls, checks): (Option<Arc<ClientConfig>>, Option<Checks>),
        before: Option<&Arc<Upstream>>,
    ) -> Result<Upstream, Invalid> {
        let made = self.means.make(written, Vec::new(), None, None)?;
        self.count_service(found_in)?;
        let service = self.registries.service(found_in)?;
        let before = before.and_then(|before| before.discovered.as_deref());
        let discovered = Discovered::new(service, self.means, written, (tls, checks), before);
        let health = discovered.health().cloned();
        Ok(Upstream { discovered: Some(discovered), health, ..made })
    }

    /// What is trusted and shown towards an upstream, by requests or by probes.
    pub(super) fn tls_towards(
        &mut self,
        written: &bartizan_config::Upstream,
        subject: &str,
        trust: Trust,
    ) -> Option<Arc<ClientConfig>> {
        let tls = &written.tls;
        let mut settings = UpstreamTlsSettings {
            ca_certs: tls.ca_certs.clone(),
            client_cert: tls.client_cert.clone(),
            client_key: tls.client_key.clone(),
            danger_verify_off: trust.danger_verify_off,
            http2: trust.http2,
        };
        let in_tls = |key: &str, problem: String| {
            Invalid::at(key, problem).under(PathStep::Key("tls".into()))
        };
        if let Some(id) = &tls.client_cert_id {
            let ssl = self.resources.ssls.iter().find(|ssl| ssl.id == *id);
            let pair = match ssl {
                Some(ssl) if ssl.ssl_type != SslType::Client => {
                    Err(format!("ssl `{id}` is shown to clients, not to upstreams"))
                }
                Some(ssl) if !ssl.is_enabled => Err(format!("ssl `{id}` is out of service")),
                Some(ssl) => ssl.pairs.first().ok_or_else(|| format!("ssl `{id}` is empty")),
                None => Err(format!("there is no ssl of type client `{id}`")),
            };
            match pair {
                Ok((chain, key)) => {
                    settings.client_cert = Some(chain.clone());
                    settings.client_key = Some(key.clone());
                }
                Err(problem) => {
                    self.fault(written.place, subject, in_tls("client_cert_id", problem));
                    return None;
                }
            }
        }
        match self.upstream_tls.compile(&settings, &self.node.clock) {
            Ok(config) => Some(config),
            // Told once, where the certificate is written.
            Err(fault) if tls.client_cert_id.is_some() && pair_field(&fault).is_some() => None,
            Err(fault) => {
                let invalid = in_tls(field(&fault), fault.to_string());
                self.fault(written.place, subject, invalid);
                None
            }
        }
    }

    /// Checks certificates for upstreams, also those that no upstream refers to.
    pub(super) fn check_client_certificates(&mut self) {
        for ssl in &self.resources.ssls {
            if ssl.ssl_type != SslType::Client || !ssl.is_enabled {
                continue;
            }
            let Some((chain, key)) = ssl.pairs.first() else { continue };
            // Only the pair is in question: without verification no authorities are needed.
            let settings = UpstreamTlsSettings {
                client_cert: Some(chain.clone()),
                client_key: Some(key.clone()),
                danger_verify_off: true,
                ..UpstreamTlsSettings::default()
            };
            if let Err(fault) = self.upstream_tls.compile(&settings, &self.node.clock) {
                let problem = fault.to_string();
                let invalid = match pair_field(&fault) {
                    Some(key) => Invalid::at(key, problem),
                    None => Invalid::new(problem),
                };
                self.fault(ssl.place, format!("ssl `{}`", ssl.id), invalid);
            }
        }
    }
}

/// What is verified of a server: that it is whom the request names where that is fixed, else that
/// it is the node. The client's own Host is nothing to verify by: clients choose it.
pub(super) fn server_tls(
    config: &Arc<ClientConfig>,
    pass_host: &PassHost,
    node: &str,
) -> Result<TargetTls, Invalid> {
    let (key, name) = match pass_host {
        PassHost::Rewrite(host) => ("upstream_host", without_port(host)),
        PassHost::Pass | PassHost::Node => ("nodes", node),
    };
    TargetTls::new(config.clone(), name).ok_or_else(|| {
        Invalid::at(key, format!("no certificate can be for `{name}`"))
            .with_help("a host name of letters, digits and `-`, or an address")
    })
}

pub(super) fn without_port(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split_once(']').map_or(host, |(address, _)| address);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

fn bracketed(host: &str) -> String {
    let is_bare = host.contains(':') && !host.starts_with('[');
    if is_bare { format!("[{host}]") } else { host.to_owned() }
}

/// The name of an upstream in a sentence.
pub(super) fn upstream_subject(origin: &ResourceRef) -> String {
    match origin.kind {
        ResourceKind::Upstream => origin.to_string(),
        _ => format!("the upstream of {origin}"),
    }
}

/// The field under `tls` that a fault is about.
fn field(fault: &TlsFault) -> &'static str {
    match (pair_field(fault), fault) {
        (Some("key"), _) => "client_key",
        (Some(_), _) | (None, TlsFault::HalfClientCertificate) => "client_cert",
        (None, _) => "ca_certs",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_verified_without_its_port() {
        for (host, expected) in [
            ("a.example", "a.example"),
            ("a.example:8443", "a.example"),
            ("[::1]:8443", "::1"),
            ("[::1]", "::1"),
            ("10.0.0.1:443", "10.0.0.1"),
        ] {
            assert_eq!(without_port(host), expected);
        }
    }
}
