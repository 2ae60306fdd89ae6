//! Upstreams.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::{Reader, Site};
use crate::diagnostic::{Invalid, PathStep};
use crate::resources::{
    Balancing, FoundArgs, FoundIn, HashedBy, PassHost, RegistryType, ResourceKind, ResourceRef,
    Scheme, Timeouts, Upstream, UpstreamNode, UpstreamTls,
};
use crate::wire::{
    Balancer, DiscoveryTypeWire, HashOnWire, NodesWire, PassHostWire, SchemeWire, TimeoutWire,
    UpstreamWire,
};
use crate::words::quoted;

impl Reader<'_> {
    pub(super) fn shared_upstream(&mut self, site: &Site<'_>, id: &Arc<str>) -> Option<Upstream> {
        let origin = ResourceRef { kind: ResourceKind::Upstream, id: Arc::clone(id) };
        let wire: UpstreamWire = self.wire(site, ResourceKind::Upstream)?;
        self.upstream(site, &wire, &origin)
    }

    /// Turns a checked upstream into its type.
    pub(super) fn upstream(
        &mut self,
        site: &Site<'_>,
        wire: &UpstreamWire,
        origin: &ResourceRef,
    ) -> Option<Upstream> {
        let before = self.diagnostics.len();
        let scheme = match wire.scheme {
            SchemeWire::Http => Scheme::Http,
            SchemeWire::Https => Scheme::Https,
            SchemeWire::Grpc => Scheme::Grpc,
            SchemeWire::Grpcs => Scheme::Grpcs,
        };
        let found_in = self.found_in(site, wire);
        let nodes = wire.nodes.as_ref().map(|nodes| self.nodes(site, nodes, scheme));
        let balancing = self.balancing(site, wire);
        let pass_host = self.pass_host(site, wire);
        let tls = self.upstream_tls(site, wire, scheme);
        let checks = self.checks(site, wire.checks.as_ref());
        let timeout = wire.timeout.and_then(|wire| self.timeouts(site, &["timeout"], wire));
        let retry_timeout =
            wire.retry_timeout.and_then(|value| self.seconds(site, &["retry_timeout"], value));
        let pool = wire.keepalive_pool.unwrap_or_default();
        let keepalive_idle = pool
            .idle_timeout
            .and_then(|value| self.seconds(site, &["keepalive_pool", "idle_timeout"], value));
        (self.diagnostics.len() == before).then(|| Upstream {
            id: Arc::clone(&origin.id),
            origin: origin.clone(),
            name: wire.name.as_ref().map(|name| name.0.as_str().into()),
            nodes: nodes.unwrap_or_default(),
            found_in,
            balancing,
            scheme,
            pass_host,
            retries: wire.retries,
            retry_timeout,
            timeout,
            keepalive_size: pool.size,
            keepalive_idle,
            keepalive_requests: pool.requests,
            tls,
            checks,
            place: site.node.place,
        })
    }

    /// Servers are written, or found in a registry, and not both.
    fn found_in(&mut self, site: &Site<'_>, wire: &UpstreamWire) -> Option<FoundIn> {
        let registry = wire.discovery_type.map(|registry| match registry {
            DiscoveryTypeWire::Dns => RegistryType::Dns,
            DiscoveryTypeWire::Consul => RegistryType::Consul,
            DiscoveryTypeWire::Kubernetes => RegistryType::Kubernetes,
            DiscoveryTypeWire::Nacos => RegistryType::Nacos,
            DiscoveryTypeWire::Eureka => RegistryType::Eureka,
        });
        if wire.discovery_args.is_some() && registry != Some(RegistryType::Nacos) {
            let problem = "`discovery_args` has no effect without `discovery_type: nacos`";
            self.invalid(site, &Invalid::at("discovery_args", problem));
        }
        let args = wire.discovery_args.as_ref().map(|args| FoundArgs {
            namespace: args.namespace_id.as_deref().map(Arc::from),
            group: args.group_name.as_deref().map(Arc::from),
        });
        let invalid = match (&wire.nodes, &wire.service_name, registry) {
            (Some(_), None, None) => return None,
            (None, Some(service), Some(registry)) => {
                let (service, args) = (service.as_str().into(), args.unwrap_or_default());
                return Some(FoundIn { registry, service, args });
            }
            (None, None, None) => Invalid::new("`nodes` is required")
                .with_help("write `nodes`, or `service_name` and `discovery_type`"),
            (Some(_), Some(_), _) => {
                Invalid::at("service_name", "`nodes` and `service_name` are both given")
                    .with_help("keep one of them")
            }
            (_, None, Some(_)) => {
                Invalid::at("discovery_type", "`discovery_type` needs `service_name`")
            }
            (None, Some(_), None) => {
                Invalid::at("service_name", "`service_name` needs `discovery_type`")
                    .with_help("name the registry, such as `discovery_type: dns`")
            }
        };
        self.invalid(site, &invalid);
        None
    }

    fn nodes(&mut self, site: &Site<'_>, nodes: &NodesWire, scheme: Scheme) -> Vec<UpstreamNode> {
        let default_port = scheme.default_port();
        let mut read = Vec::new();
        match nodes {
            NodesWire::Map(weights) => {
                for (key, weight) in &weights.0 {
                    let weight = weight.as_u64().and_then(|weight| u32::try_from(weight).ok());
                    let step = PathStep::Key(key.clone());
                    match split_port(key).and_then(|(host, port)| Ok((host_name(host)?, port))) {
                        Ok((host, port)) => read.push(UpstreamNode {
                            host,
                            port: port.unwrap_or(default_port),
                            weight: weight.unwrap_or_default(),
                            priority: 0,
                        }),
                        Err(problem) => {
                            let invalid = Invalid::at("nodes", problem);
                            self.invalid(site, &below(invalid, step));
                        }
                    }
                }
            }
            NodesWire::List(nodes) => {
                for (index, node) in nodes.iter().enumerate() {
                    self.metadata(site, index, node.metadata.as_ref());
                    match host_name(&node.host) {
                        Ok(host) => read.push(UpstreamNode {
                            host,
                            port: node.port.unwrap_or(default_port),
                            weight: node.weight,
                            priority: node.priority,
                        }),
                        Err(problem) => {
                            let invalid = Invalid::at_item("nodes", index, problem);
                            let step = PathStep::Key("host".to_owned());
                            self.invalid(site, &below(invalid, step));
                        }
                    }
                }
            }
        }
        read
    }

    fn balancing(&mut self, site: &Site<'_>, wire: &UpstreamWire) -> Balancing {
        let on = wire.hash_on.unwrap_or_default();
        if wire.balancer != Balancer::Chash {
            for (key, is_there) in
                [("hash_on", on != HashOnWire::Vars), ("key", wire.key.is_some())]
            {
                if is_there {
                    let problem = format!("`{key}` has no effect without `type: chash`");
                    self.invalid(site, &Invalid::at(key, problem));
                }
            }
            return match wire.balancer {
                Balancer::LeastConn => Balancing::LeastConnections,
                Balancer::Ewma => Balancing::Latency,
                _ => Balancing::Turns,
            };
        }
        if on == HashOnWire::Consumer {
            if wire.key.is_some() {
                let problem = "`key` has no effect with `hash_on: consumer`";
                self.invalid(site, &Invalid::at("key", problem));
            }
            return Balancing::Hash(HashedBy::Consumer);
        }
        let Some(key) = wire.key.clone() else {
            let invalid = Invalid::at("type", "`chash` needs a `key`");
            let help = "name what is hashed, such as `key: remote_addr`";
            self.invalid(site, &invalid.with_help(help));
            return Balancing::Turns;
        };
        if matches!(on, HashOnWire::Header | HashOnWire::Cookie) && !is_token(&key) {
            let what = if on == HashOnWire::Header { "header" } else { "cookie" };
            let problem = format!("{} is not the name of a {what}", quoted(&key));
            self.invalid(site, &Invalid::at("key", problem));
        }
        Balancing::Hash(match on {
            HashOnWire::Header => HashedBy::Header(key.to_ascii_lowercase()),
            HashOnWire::Cookie => HashedBy::Cookie(key),
            HashOnWire::VarsCombinations => HashedBy::Combination(key),
            HashOnWire::Vars | HashOnWire::Consumer => HashedBy::Variable(key),
        })
    }

    fn pass_host(&mut self, site: &Site<'_>, wire: &UpstreamWire) -> PassHost {
        match (wire.pass_host, &wire.upstream_host) {
            (PassHostWire::Pass, None) => PassHost::Pass,
            (PassHostWire::Node, None) => PassHost::Node,
            (PassHostWire::Rewrite, Some(host)) => PassHost::Rewrite(host.0.clone()),
            (PassHostWire::Rewrite, None) => {
                let problem = "`pass_host: rewrite` needs `upstream_host`";
                self.invalid(site, &Invalid::at("pass_host", problem));
                PassHost::Pass
            }
            (_, Some(_)) => {
                let problem = "`upstream_host` has no effect without `pass_host: rewrite`";
                self.invalid(site, &Invalid::at("upstream_host", problem));
                PassHost::Pass
            }
        }
    }

    fn upstream_tls(
        &mut self,
        site: &Site<'_>,
        wire: &UpstreamWire,
        scheme: Scheme,
    ) -> UpstreamTls {
        let Some(tls) = &wire.tls else { return UpstreamTls::default() };
        let accepts_fail_open = self.rules.accepts_fail_open;
        let mut tell = |key: &str, problem: &str, help: Option<&str>| {
            let mut invalid = Invalid::at(key, problem).under(PathStep::Key("tls".to_owned()));
            invalid.help = help.map(str::to_owned);
            self.invalid(site, &invalid);
        };
        let is_off = tls.danger_tls_verify_off;
        match tls.verify {
            Some(false) if !is_off && !accepts_fail_open => tell(
                "verify",
                "`verify: false` weakens protection: whoever is on the way can take the \
                 upstream's place",
                Some(
                    "name its authority in `ca_certs`; where it is meant, write \
                     `danger_tls_verify_off: true`",
                ),
            ),
            Some(true) if is_off => {
                tell("verify", "`verify: true` contradicts `danger_tls_verify_off: true`", None);
            }
            _ => {}
        }
        match (&tls.client_cert, &tls.client_key, &tls.client_cert_id) {
            (Some(_), Some(_), None) | (None, None, _) => {}
            (_, _, Some(_)) => tell(
                "client_cert_id",
                "`client_cert_id` and an inline certificate are both given",
                Some("keep one of them"),
            ),
            (Some(_), None, None) => tell("client_cert", "`client_cert` needs `client_key`", None),
            (None, Some(_), None) => tell("client_key", "`client_key` needs `client_cert`", None),
        }
        if !scheme.is_tls() {
            let invalid = Invalid::at("tls", "`tls` has no effect on plaintext");
            let help = format!("write `scheme: {}`", scheme.under_tls());
            self.invalid(site, &invalid.with_help(help));
        }
        let path = Invalid::at("client_cert_id", "").under(PathStep::Key("tls".to_owned()));
        let client_cert_id = self.link(site, &path, ResourceKind::Ssl, tls.client_cert_id.as_ref());
        UpstreamTls {
            ca_certs: tls.ca_certs.as_ref().map(|pem| pem.0.clone()),
            client_cert: tls.client_cert.as_ref().map(|pem| pem.0.clone()),
            client_key: tls.client_key.clone(),
            client_cert_id,
            danger_verify_off: is_off || tls.verify == Some(false),
        }
    }

    /// Turns seconds into timeouts.
    pub(super) fn timeouts(
        &mut self,
        site: &Site<'_>,
        path: &[&str],
        wire: TimeoutWire,
    ) -> Option<Timeouts> {
        let mut seconds = |key, value| self.seconds(site, &[path, &[key]].concat(), value);
        let connect = seconds("connect", wire.connect);
        let send = seconds("send", wire.send);
        let read = seconds("read", wire.read);
        Some(Timeouts { connect: connect?, send: send?, read: read? })
    }

    fn seconds(&mut self, site: &Site<'_>, path: &[&str], value: f64) -> Option<Duration> {
        /// No wait is meant to be longer than a year.
        const SECONDS_MAX: f64 = 31_536_000.0;
        let span = Duration::try_from_secs_f64(value).ok().filter(|_| value <= SECONDS_MAX);
        if span.is_none() {
            let path = path.iter().map(|key| PathStep::Key((*key).to_owned())).collect();
            let problem = format!("must be at most {SECONDS_MAX} seconds");
            self.invalid(site, &Invalid { path, problem, help: None });
        }
        span
    }
}

fn below(mut invalid: Invalid, step: PathStep) -> Invalid {
    invalid.path.push(step);
    invalid
}

/// True for what names of headers and cookies are made of (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Splits `host:port`; the host of an IPv6 address stands in brackets if there is a port.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => return Ok((text, None)),
    };
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        _ => Err(format!("{} has no port from 1 to 65535", quoted(text))),
    }
}

/// A host name or an address; an IPv6 address without its brackets.
fn host_name(text: &str) -> Result<Arc<str>, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_name = || {
        !text.is_empty()
            && text.len() <= 253
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
    };
    match bare {
        Some(bare) if bare.parse::<Ipv6Addr>().is_ok() => Ok(bare.into()),
        None if text.parse::<IpAddr>().is_ok() || is_name() => Ok(text.into()),
        _ => Err(format!("{} is no host name or address", quoted(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        for (text, expected) in [
            ("a.b", Some(("a.b", None))),
            ("a_b:80", Some(("a_b", Some(80)))),
            ("10.0.0.1:8080", Some(("10.0.0.1", Some(8080)))),
            ("::1", Some(("::1", None))),
            ("[::1]", Some(("::1", None))),
            ("[::1]:443", Some(("::1", Some(443)))),
            ("a:0", None),
            ("a:65536", None),
            ("a:b", None),
            (":80", None),
            ("a b:80", None),
            ("[a]:80", None),
            ("", None),
            ("*.a", None),
        ] {
            let read = split_port(text).and_then(|(host, port)| Ok((host_name(host)?, port))).ok();
            let read = read.as_ref().map(|(host, port)| (&**host, *port));
            assert_eq!(read, expected, "{text}");
        }
    }
}
