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
#[derive(Clone)]
pub(crate) struct Route {
    pub(crate) facts: Arc<RouteFacts>,
    pub(crate) chain: Arc<Chain<AnyPlugin>>,
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// Largest request body.
    pub(crate) body_max: u64,
    pub(super) conditions: Arc<Conditions>,
    pub(super) timeout: Option<Timeouts>,
    /// It is in quarantine: nothing is served where it would have been.
    pub(crate) is_blocked: bool,
    /// Connections may be upgraded to WebSocket.
    pub(crate) allows_websocket: bool,
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
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

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

    /// An address as 128 bits: an IPv4 address is where it is mapped into IPv6.
    fn bits(address: IpAddr) -> u128 {
        match address {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        }
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        let v4 = (10_u8..12, 0_u8..2).prop_map(|(a, b)| Ipv4Addr::new(a, b, 0, 1));
        prop_oneof![
            v4.clone().prop_map(IpAddr::V4),
            v4.prop_map(|v4| IpAddr::V6(v4.to_ipv6_mapped())),
            (0_u16..3, 0_u16..2)
                .prop_map(|(a, b)| Ipv6Addr::new(0x2001, a, b, 0, 0, 0, 0, 1).into()),
        ]
    }

    fn method() -> impl Strategy<Value = Method> {
        prop::sample::select(vec![Method::GET, Method::HEAD, Method::OPTIONS, Method::POST])
    }

    proptest! {
        #[test]
        fn methods_and_addresses_agree_with_a_naive_reading(
            methods in prop::collection::vec(method(), 0..3),
            networks in prop::collection::vec((address(), 0_u8..130), 0..3),
            asked in method(),
            client in address(),
            answers_preflights: bool,
            is_preflight: bool,
        ) {
            // Networks wide of the mark by a bit are the near misses; one that is mapped reaches
            // no further than IPv4 does.
            let written: Vec<IpNet> = networks
                .iter()
                .map(|(base, length)| match base {
                    IpAddr::V4(v4) => IpNet::new((*v4).into(), length % 33).unwrap(),
                    IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
                        IpNet::new((*v6).into(), 96 + length % 33).unwrap()
                    }
                    IpAddr::V6(v6) => IpNet::new((*v6).into(), length % 129).unwrap(),
                })
                .collect();
            let conditions = Conditions {
                methods: methods.clone().into(),
                remote_addrs: written.iter().copied().map(canonical_network).collect(),
                vars: None,
                answers_preflights,
            };
            let fields = if is_preflight { preflight() } else { Fields::new() };
            let opens = answers_preflights && is_preflight && asked == Method::OPTIONS;
            let takes = methods.is_empty() || methods.contains(&asked) || opens;
            prop_assert_eq!(conditions.takes(&asked, &fields), takes);
            let admits = written.is_empty() || written.iter().any(|net| {
                let is_v4 = |ip: IpAddr| ip.to_canonical().is_ipv4();
                let own = u32::from(net.prefix_len()) + if net.addr().is_ipv4() { 96 } else { 0 };
                let differ = (bits(net.addr()) ^ bits(client)).leading_zeros() < own;
                !differ && is_v4(net.addr()) == is_v4(client)
            });
            prop_assert_eq!(conditions.admits(client.to_canonical()), admits);
        }
    }
}
