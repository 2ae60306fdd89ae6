//! What the settings of registries must hold beyond their schema, and what they name.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bartizan_core::{Secret, Span};

use super::super::complete::pem;
use super::super::store::is_local;
use super::{Discovery, DnsDiscovery, DnsRecords, cluster_authorities, token_file};
use crate::diagnostic::{Invalid, PathStep};
use crate::reference::Resolver;
use crate::words::quoted;

/// Servers that are asked in turn, at most.
const SERVERS_MAX: usize = 8;
/// The shortest and the longest interval and time for an answer.
const SPAN_MIN: Duration = Duration::from_secs(1);
const SPAN_MAX: Duration = Duration::from_secs(3_600);

/// Reads what the settings name, and tells what contradicts itself.
pub(in crate::node) fn complete(
    discovery: &mut Discovery,
    folder: &Path,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    let mut told = Vec::new();
    if let Some(dns) = &mut discovery.dns {
        complete_dns(dns, folder, resolver, &mut told);
    }
    if let Some(consul) = &mut discovery.consul {
        let asked = Asked {
            servers: &consul.servers,
            is_accepted: consul.danger_plaintext,
            login: (&None, &None),
            spans: &[("timeout", consul.timeout)],
            ca_certs: &mut consul.ca_certs,
        };
        asked.complete("consul", folder, resolver, &mut told);
    }
    if let Some(nacos) = &mut discovery.nacos {
        let asked = Asked {
            servers: &nacos.servers,
            is_accepted: nacos.danger_plaintext,
            login: (&nacos.username, &nacos.password),
            spans: &[("timeout", nacos.timeout), ("interval", nacos.interval)],
            ca_certs: &mut nacos.ca_certs,
        };
        asked.complete("nacos", folder, resolver, &mut told);
    }
    if let Some(eureka) = &mut discovery.eureka {
        let asked = Asked {
            servers: &eureka.servers,
            is_accepted: eureka.danger_plaintext,
            login: (&eureka.username, &eureka.password),
            spans: &[("timeout", eureka.timeout), ("interval", eureka.interval)],
            ca_certs: &mut eureka.ca_certs,
        };
        asked.complete("eureka", folder, resolver, &mut told);
    }
    if let Some(kubernetes) = &mut discovery.kubernetes {
        let mut tell =
            |invalid: Invalid| told.push(invalid.under(PathStep::Key("kubernetes".into())));
        let at = |problem: &str| Invalid::at("server", problem);
        check_plaintext(&kubernetes.server, kubernetes.danger_plaintext, at, &mut tell);
        if is_plaintext(&kubernetes.server) {
            if kubernetes.ca_certs != cluster_authorities() {
                tell(without_tls());
            }
        } else {
            match pem(&kubernetes.ca_certs, folder, resolver) {
                Ok(read) => kubernetes.ca_certs = read,
                Err(problem) => tell(Invalid::at("ca_certs", problem)),
            }
        }
        if kubernetes.token.is_some() && kubernetes.token_file != token_file() {
            let problem = "`token` and `token_file` are both given";
            tell(Invalid::at("token_file", problem).with_help("keep one of them"));
        }
        kubernetes.token_file = folder.join(&kubernetes.token_file);
        check_span("timeout", kubernetes.timeout, &mut tell);
    }
    let told = told.into_iter();
    problems.extend(told.map(|invalid| invalid.under(PathStep::Key("discovery".into()))));
}

/// What registries that are asked over HTTP have in common.
struct Asked<'a> {
    servers: &'a [String],
    is_accepted: bool,
    login: (&'a Option<String>, &'a Option<Secret>),
    spans: &'a [(&'static str, Span)],
    ca_certs: &'a mut Option<String>,
}

impl Asked<'_> {
    fn complete(
        self,
        registry: &str,
        folder: &Path,
        resolver: &Resolver<'_>,
        told: &mut Vec<Invalid>,
    ) {
        let mut tell = |invalid: Invalid| told.push(invalid.under(PathStep::Key(registry.into())));
        for (index, server) in self.servers.iter().enumerate() {
            let at = |problem: &str| Invalid::at_item("servers", index, problem);
            check_plaintext(server, self.is_accepted, at, &mut tell);
        }
        match self.login {
            (Some(_), None) => tell(Invalid::at("username", "a user needs a `password`")),
            (None, Some(_)) => tell(Invalid::at("password", "a password needs a `username`")),
            _ => {}
        }
        for (key, span) in self.spans {
            check_span(key, *span, &mut tell);
        }
        if self.ca_certs.is_some() && self.servers.iter().all(|server| is_plaintext(server)) {
            tell(without_tls());
        } else if let Some(text) = self.ca_certs {
            match pem(text, folder, resolver) {
                Ok(read) => *text = read,
                Err(problem) => tell(Invalid::at("ca_certs", problem)),
            }
        }
    }
}

/// Nobody is asked under TLS.
fn without_tls() -> Invalid {
    Invalid::at("ca_certs", "`ca_certs` has no effect without a server that is `https`")
}

fn is_plaintext(url: &str) -> bool {
    url.to_ascii_lowercase().starts_with("http://")
}

/// Over the network a registry is asked under TLS.
fn check_plaintext(
    url: &str,
    is_accepted: bool,
    at: impl Fn(&str) -> Invalid,
    tell: &mut impl FnMut(Invalid),
) {
    let lower = url.to_ascii_lowercase();
    let rest = lower.strip_prefix("http://");
    if rest.is_some_and(|rest| !is_local(rest)) && !is_accepted {
        let help = "write `https://`, or `danger_plaintext: true` beside it";
        tell(at("the server is on another machine and not `https`").with_help(help));
    }
}

fn check_span(key: &str, span: Span, tell: &mut impl FnMut(Invalid)) {
    if !(SPAN_MIN..=SPAN_MAX).contains(&span.0) {
        tell(Invalid::at(key, "must be from 1s to 1h"));
    }
}

fn complete_dns(
    dns: &mut DnsDiscovery,
    folder: &Path,
    resolver: &Resolver<'_>,
    problems: &mut Vec<Invalid>,
) {
    let mut told = Vec::new();
    match (&dns.resolv_conf, dns.servers.is_empty()) {
        (Some(_), false) => {
            let problem = "`servers` and `resolv_conf` are both given";
            told.push(Invalid::at("resolv_conf", problem).with_help("keep one of them"));
        }
        (None, true) => {
            let help = "write `servers`, or `resolv_conf: /etc/resolv.conf`";
            told.push(Invalid::new("no DNS server is named").with_help(help));
        }
        (Some(path), true) => match resolver.text_file(&folder.join(path)) {
            Ok(text) => {
                dns.addresses = name_servers(&text);
                if dns.addresses.is_empty() {
                    let problem = "the file names no DNS server";
                    told.push(Invalid::at("resolv_conf", problem));
                }
            }
            Err(problem) => told.push(Invalid::at("resolv_conf", problem)),
        },
        (None, false) => {
            for (index, server) in dns.servers.iter().enumerate() {
                if let Some(address) = address(server) {
                    dns.addresses.push(address);
                    continue;
                }
                let problem = format!("{} is no address", quoted(server));
                let invalid = Invalid::at_item("servers", index, problem);
                told.push(invalid.with_help("write `10.0.0.2` or `10.0.0.2:53`"));
            }
        }
    }
    if dns.order.iter().all(|records| *records == DnsRecords::Last) {
        let problem = "`last` alone asks for nothing";
        told.push(Invalid::at("order", problem).with_help("name types of records, such as `A`"));
    }
    let told = told.into_iter();
    problems.extend(told.map(|invalid| invalid.under(PathStep::Key("dns".into()))));
}

/// An address with a port, or with that of DNS.
fn address(text: &str) -> Option<SocketAddr> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return (address.port() > 0).then_some(address);
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    Some(SocketAddr::new(bare.parse::<IpAddr>().ok()?, 53))
}

/// The servers of a `resolv.conf`.
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let is_server = words.next() == Some("nameserver");
        is_server.then(|| words.next()).flatten().and_then(address)
    });
    named.take(SERVERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dns_server_is_an_address_with_or_without_a_port() {
        for (text, expected) in [
            ("10.0.0.2", Some("10.0.0.2:53")),
            ("10.0.0.2:8600", Some("10.0.0.2:8600")),
            ("::1", Some("[::1]:53")),
            ("[::1]", Some("[::1]:53")),
            ("[::1]:8600", Some("[::1]:8600")),
            ("10.0.0.2:0", None),
            ("10.0.0.2:70000", None),
            ("dns.example", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse().unwrap());
            assert_eq!(address(text), expected, "{text}");
        }
    }

    #[test]
    fn of_a_resolv_conf_the_first_servers_count() {
        let text = "# nameserver 10.0.0.9\nsearch a\nnameserver 10.0.0.2\n nameserver\t::1 # x\n\
                    nameserver\nnameserver dns.example\n";
        let expected: Vec<SocketAddr> =
            vec!["10.0.0.2:53".parse().unwrap(), "[::1]:53".parse().unwrap()];
        assert_eq!(name_servers(text), expected);
        assert_eq!(name_servers(&"nameserver 10.0.0.2\n".repeat(9)).len(), SERVERS_MAX);
    }
}
