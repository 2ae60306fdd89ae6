//! Upstreams, and servers that plugins speak to, that others on the way can read or take the place
//! of.

use bartizan_config::{CheckKind, Invalid, PathStep, PluginUse, Requirement, Scheme, Upstream};
use bartizan_net::is_loopback;

use super::compile::Compilation;
use super::fault::Warning;
use super::upstreams::upstream_subject;

/// How requests travel to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamTls {
    /// Under TLS, and the upstream proves who it is.
    Verified,
    /// Under TLS, to whoever answers.
    Unverified,
    /// In clear, to some node beyond this machine.
    InClear,
    /// In clear, within this machine.
    OnThisMachine,
}

impl UpstreamTls {
    pub(super) fn of(upstream: &Upstream) -> Self {
        let mut beyond = upstream.nodes.iter().filter(|node| !is_loopback(&node.host));
        match upstream.scheme {
            // Where they are is not known, and may change.
            Scheme::Http | Scheme::Grpc if upstream.found_in.is_some() => Self::InClear,
            Scheme::Https | Scheme::Grpcs if upstream.tls.danger_verify_off => Self::Unverified,
            Scheme::Https | Scheme::Grpcs => Self::Verified,
            Scheme::Http | Scheme::Grpc if beyond.next().is_some() => Self::InClear,
            Scheme::Http | Scheme::Grpc => Self::OnThisMachine,
        }
    }
}

impl<'a> Compilation<'a> {
    /// Tells, once for each upstream that is used, where requests leave the machine in clear or
    /// unverified: a fault where `security.require` asks for `upstream_tls`.
    pub(super) fn expose(&mut self, upstream: Option<&'a Upstream>, only_answers: bool) {
        let Some(upstream) = upstream.filter(|_| !only_answers) else { return };
        let origin = &upstream.origin;
        let is_told = self.base.is_some_and(|base| base.exposed.contains(origin));
        if is_told && !self.is_changed(origin.kind, &origin.id) || !self.exposed.insert(origin) {
            return;
        }
        let Some(exposure) = exposure(upstream) else { return };
        let subject = upstream_subject(&upstream.origin);
        if self.require.contains(&Requirement::UpstreamTls) {
            self.fault(upstream.place, subject, exposure);
            return;
        }
        let Invalid { problem, help, .. } = exposure;
        self.warnings.push(Warning { subject, problem, help });
    }

    /// Tells what a plugin sends beyond the machine in clear or unverified: entries of logs, or
    /// requests about which somebody else decides.
    pub(super) fn expose_plugin(&mut self, used: &PluginUse, exposures: Vec<Invalid>) {
        if used.meta.disable {
            return;
        }
        for exposure in exposures {
            let subject = format!("plugin `{}` of {}", used.name, used.origin);
            let exposure =
                Invalid { problem: format!("{subject} {}", exposure.problem), ..exposure };
            if self.require.contains(&Requirement::UpstreamTls) {
                self.fault(used.place, subject, exposure);
                continue;
            }
            let Invalid { problem, help, .. } = exposure;
            self.warnings.push(Warning { subject, problem, help });
        }
    }
}

fn exposure(upstream: &Upstream) -> Option<Invalid> {
    let subject = upstream_subject(&upstream.origin);
    let mut beyond = upstream.nodes.iter().filter(|node| !is_loopback(&node.host));
    let place = match (&upstream.found_in, beyond.next()) {
        (Some(found_in), _) => {
            format!("the servers of `{}` in `{}`", found_in.service, found_in.registry.name())
        }
        (None, Some(first)) => {
            let more = match beyond.count() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("`{}:{}`{more}", first.host, first.port)
        }
        (None, None) => return None,
    };
    match upstream.scheme {
        Scheme::Http | Scheme::Grpc => {
            let problem = format!("{subject} is spoken to in clear at {place}");
            let scheme = upstream.scheme.under_tls();
            let help =
                format!("write `scheme: {scheme}`: whoever is on the way can read and change all");
            Some(Invalid::at("scheme", problem).with_help(help))
        }
        Scheme::Https | Scheme::Grpcs if upstream.tls.danger_verify_off => {
            let problem = format!("the certificate of {subject} is not verified");
            let help = "name its authority in `tls.ca_certs`: whoever is on the way can take its \
                        place";
            let key = PathStep::Key("tls".into());
            Some(Invalid::at("danger_tls_verify_off", problem).with_help(help).under(key))
        }
        Scheme::Https | Scheme::Grpcs => exposed_probes(upstream, &subject),
    }
}

/// Where requests are protected and probes are not.
fn exposed_probes(upstream: &Upstream, subject: &str) -> Option<Invalid> {
    let active = &upstream.checks.as_ref()?.active;
    let at = |key: &str, problem: String| {
        let above = ["active", "checks"].map(|key| PathStep::Key(key.into()));
        above.into_iter().fold(Invalid::at(key, problem), Invalid::under)
    };
    match active.kind {
        CheckKind::Http => {
            let problem = format!("{subject} is spoken to under TLS, and probed in clear");
            let help = "write `type: https` in `checks.active`";
            Some(at("type", problem).with_help(help))
        }
        CheckKind::Https if active.danger_verify_off => {
            let problem = format!("the certificate of {subject} is not verified by probes");
            let help = "name its authority in `tls.ca_certs`: whoever is on the way can say that it \
                        is healthy";
            Some(at("danger_https_verify_certificate", problem).with_help(help))
        }
        CheckKind::Https | CheckKind::Tcp => None,
    }
}
