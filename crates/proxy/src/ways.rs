//! How requests travel: from clients to the listeners, and from here to upstreams. For people, who
//! want to know of each route whether others on the way can read it.

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_config::{Listener, ResourceRef};

use crate::snapshot::{Snapshot, UpstreamTls};

/// How clients can reach a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTls {
    /// Under TLS alone.
    Only,
    /// Under TLS alone, but no certificate is shown for this host: its handshakes are refused.
    NoCertificate(String),
    /// In clear, from this machine alone.
    OnThisMachine,
    /// Under TLS, and in clear from other machines too.
    AlsoInClear,
    /// In clear, from other machines too.
    InClear,
    /// By no listener: what there is only redirects.
    Nowhere,
}

/// The listeners and upstreams of the configuration in force.
pub struct Ways {
    snapshot: Arc<Snapshot>,
    /// The positions of the listeners with TLS.
    secure: Vec<usize>,
    /// Whether there is a plaintext listener that serves other machines, and one that serves this
    /// one. Others only redirect.
    is_clear: bool,
    is_clear_here: bool,
}

impl Ways {
    pub(crate) fn new(listeners: &[Listener], snapshot: Arc<Snapshot>) -> Self {
        let is_local = |listener: &Listener| listener.address.ip().to_canonical().is_loopback();
        let mut plain = listeners.iter().filter(|listener| listener.tls.is_none());
        let secure = listeners.iter().enumerate().filter(|(_, listener)| listener.tls.is_some());
        Self {
            snapshot,
            secure: secure.map(|(at, _)| at).collect(),
            is_clear: plain.clone().any(|plain| plain.danger_plaintext && !is_local(plain)),
            is_clear_here: plain.any(is_local),
        }
    }

    /// How requests get to an upstream; `None` where there is none of that name.
    pub fn of_upstream(&self, origin: &ResourceRef) -> Option<UpstreamTls> {
        self.snapshot.upstream_tls(origin)
    }

    /// How clients reach what is served for these hosts; for none of its own, whatever is asked for.
    pub fn of_clients(&self, hosts: &[String]) -> ClientTls {
        match (self.secure.is_empty(), self.is_clear) {
            (true, true) => return ClientTls::InClear,
            (false, true) => return ClientTls::AlsoInClear,
            (true, false) if self.is_clear_here => return ClientTls::OnThisMachine,
            (true, false) => return ClientTls::Nowhere,
            (false, false) => {}
        }
        let bare = hosts.iter().find(|host| !self.is_certified(host));
        bare.map_or(ClientTls::Only, |host| ClientTls::NoCertificate(host.clone()))
    }

    /// Whether some listener shows a certificate to who asks for a host.
    fn is_certified(&self, host: &str) -> bool {
        let stores = || self.secure.iter().filter_map(|at| self.snapshot.tls.get(*at)?.as_deref());
        // What stands in the place of a star is as good as anything else.
        let name = host.replacen('*', "any", 1);
        // Addresses are no server names: who asks for one sends none.
        let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
        let name = (!is_address).then_some(name);
        stores().any(|store| store.server_config(name.as_deref()).is_some())
    }
}
