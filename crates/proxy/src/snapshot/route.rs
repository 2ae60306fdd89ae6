//! A compiled route.

use std::sync::Arc;

use bartizan_chain::{Chain, Expr, RequestCx, RouteFacts};
use bartizan_config::Timeouts;
use bartizan_core::Limits;
use bartizan_plugins::AnyPlugin;
use bartizan_wire::{Fields, QueryFault};
use http::Method;
use ipnet::IpNet;
use tokio::time::Instant;

use super::upstreams::Upstream;
use crate::exchange::forward::Waits;

/// A route, as requests use it.
pub(crate) struct Route {
    pub(crate) facts: Arc<RouteFacts>,
    pub(crate) chain: Arc<Chain<AnyPlugin>>,
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// Largest request body.
    pub(crate) body_max: u64,
    pub(super) conditions: Conditions,
    pub(super) timeout: Option<Timeouts>,
    /// It is in quarantine: nothing is served where it would have been.
    pub(crate) is_blocked: bool,
}

/// What a request must meet besides host and path.
#[derive(Default)]
pub(super) struct Conditions {
    /// Empty means any.
    pub(super) methods: Box<[Method]>,
    /// Empty means any; IPv4 networks are written as such.
    pub(super) remote_addrs: Box<[IpNet]>,
    pub(super) vars: Option<Expr>,
    /// Preflights are answered by a plugin that always runs.
    pub(super) answers_preflights: bool,
}

impl Route {
    /// Whether methods, client address and variables fit. A preflight fits any methods where the
    /// chain has `cors`.
    pub(crate) fn fits(&self, cx: &RequestCx) -> Result<bool, QueryFault> {
        let conditions = &self.conditions;
        let client = cx.client().to_canonical();
        if !conditions.takes(cx.canonical().method(), &cx.fields) || !conditions.admits(client) {
            return Ok(false);
        }
        conditions.vars.as_ref().map_or(Ok(true), |vars| vars.holds(cx))
    }

    /// The waits of an exchange that must be over at `end`: the route's, else its upstream's, else
    /// the node's.
    pub(crate) fn waits(&self, limits: &Limits, end: Instant) -> Waits {
        let of_upstream = || self.upstream.as_ref().and_then(|upstream| upstream.timeout);
        match self.timeout.or_else(of_upstream) {
            Some(Timeouts { connect, send, read }) => Waits { connect, send, read, end },
            None => Waits {
                connect: limits.upstream_connect.0,
                send: limits.upstream_send.0,
                read: limits.upstream_read.0,
                end,
            },
        }
    }
}

impl Conditions {
    fn takes(&self, method: &Method, fields: &Fields) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (self.answers_preflights && is_preflight(method, fields))
    }

    fn admits(&self, client: std::net::IpAddr) -> bool {
        self.remote_addrs.is_empty() || self.remote_addrs.iter().any(|net| net.contains(&client))
    }
}

/// True for what a browser asks before it sends a request to another origin (Fetch §4.8).
fn is_preflight(method: &Method, fields: &Fields) -> bool {
    method == Method::OPTIONS
        && fields.contains("origin")
        && fields.contains("access-control-request-method")
}

/// The network as client addresses are compared with it: an IPv4 network mapped into IPv6 is the
/// IPv4 network.
pub(super) fn canonical_network(net: IpNet) -> IpNet {
    let IpNet::V6(mapped) = net else { return net };
    let Some(v4) = mapped.addr().to_ipv4_mapped() else { return net };
    let prefix = mapped.prefix_len().checked_sub(96);
    prefix.and_then(|prefix| IpNet::new(v4.into(), prefix).ok()).unwrap_or(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_network_is_the_network_it_maps() {
        for (written, expected) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(canonical_network(written.parse().unwrap()).to_string(), expected);
        }
    }

    fn preflight() -> Fields {
        let mut fields = Fields::new();
        fields.append("origin", "https://a.example");
        fields.append("access-control-request-method", "PUT");
        fields
    }

    #[test]
    fn preflights_fit_any_methods_where_they_are_answered() {
        let conditions = |answers_preflights| Conditions {
            methods: [Method::GET].into(),
            answers_preflights,
            ..Conditions::default()
        };
        assert!(conditions(true).takes(&Method::OPTIONS, &preflight()));
        assert!(!conditions(false).takes(&Method::OPTIONS, &preflight()));
        assert!(!conditions(true).takes(&Method::PUT, &preflight()));
        assert!(!conditions(true).takes(&Method::OPTIONS, &Fields::new()));
    }
}
