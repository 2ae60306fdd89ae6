//! What a command changes of a configuration in memory, so that files stay as their owner wrote
//! them: other ports where the usual ones are taken.

use std::net::SocketAddr;

use bartizan_config::{NodeConfig, Resources};

/// Changes of a configuration that was read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    /// Addresses in place of others, of listeners.
    pub(crate) listeners: Vec<(SocketAddr, SocketAddr)>,
    /// Where the status is told.
    pub(crate) status: StatusAt,
    /// The port of all nodes of an upstream.
    pub(crate) upstream_port: Option<(&'static str, u16)>,
}

/// Where a node tells its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StatusAt {
    /// Where its file says.
    #[default]
    Written,
    /// Nowhere.
    Nowhere,
    /// There instead, if anywhere.
    Address(SocketAddr),
}

impl Overrides {
    /// Changes the node.
    pub(crate) fn node(&self, node: &mut NodeConfig) {
        for listener in &mut node.listeners {
            if let Some((_, to)) = self.listeners.iter().find(|(from, _)| *from == listener.address)
            {
                listener.address = *to;
            }
        }
        match self.status {
            StatusAt::Written => {}
            StatusAt::Nowhere => node.status = None,
            StatusAt::Address(address) => {
                if let Some(status) = &mut node.status {
                    status.address = address;
                }
            }
        }
    }

    /// Changes the resources.
    pub(crate) fn resources(&self, resources: &mut Resources) {
        let Some((id, port)) = self.upstream_port else { return };
        let upstreams = resources.upstreams.iter_mut().filter(|upstream| &*upstream.id == id);
        for node in upstreams.flat_map(|upstream| &mut upstream.nodes) {
            node.port = port;
        }
    }
}
