//! Upstreams whose nodes a registry knows. When it names others, only the set of nodes is exchanged:
//! routes refer to the upstream as before, and nodes that stay keep their connections and counts.

use std::fmt;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use bartizan_config::UpstreamNode;
use bartizan_discovery::{Follower, Found, Service};
use rustls::ClientConfig;

use super::upstreams::{Means, Upstream};
use crate::upstream::Node;

/// Where the nodes of an upstream are found, and what they are now.
pub(crate) struct Discovered {
    /// Held, so that it is followed.
    service: Arc<Service>,
    means: Means,
    written: bartizan_config::Upstream,
    tls: Option<Arc<ClientConfig>>,
    /// The upstream with the nodes of the last list.
    now: ArcSwapOption<Upstream>,
}

impl fmt::Debug for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Discovered").field(&self.service).finish()
    }
}

impl Discovered {
    /// Follows a service for an upstream. `before` is what the upstream was in the snapshot before.
    pub(super) fn new(
        service: Arc<Service>,
        means: &Means,
        written: &bartizan_config::Upstream,
        tls: Option<Arc<ClientConfig>>,
        before: Option<&Arc<Upstream>>,
    ) -> Arc<Self> {
        let (means, written) = (means.clone(), written.clone());
        let now = ArcSwapOption::new(before.cloned());
        let this = Arc::new(Self { service, means, written, tls, now });
        let weak: Weak<Self> = Arc::downgrade(&this);
        if !this.service.tell(weak) {
            // The nodes of before were for the counts only: another service may have been meant.
            this.now.compare_and_swap(&before.cloned(), None);
        }
        this
    }

    /// The upstream with the nodes that it has now; `None` before the registry has told any.
    pub(crate) fn now(&self) -> Option<Arc<Upstream>> {
        self.now.load_full()
    }

    /// Why there are no nodes yet, for the event of a refusal.
    pub(crate) fn unknown(&self) -> String {
        let service = self.service.label();
        match self.service.failing() {
            Some(cause) => format!("the servers of `{service}` are not known: {cause}"),
            None => format!("the servers of `{service}` are not known yet"),
        }
    }

    fn node(&self, found: &Found) -> Option<(Arc<Node>, (u32, i32))> {
        let port = found.port.unwrap_or_else(|| self.written.scheme.default_port());
        let (weight, priority) = (found.weight, found.priority);
        let node = UpstreamNode { host: found.host.clone(), port, weight, priority };
        match self.means.node(&self.written, &node, found.name.as_deref(), self.tls.as_ref()) {
            Ok(node) => Some((Arc::new(node), (weight, priority))),
            Err(invalid) => {
                let (service, problem) = (self.service.label(), invalid.problem);
                tracing::warn!(service = &**service, problem, "a server is left out");
                None
            }
        }
    }
}

impl Follower for Discovered {
    fn take(&self, list: &[Found]) {
        // One that may not be reached keeps no other from being used.
        let nodes = list.iter().filter_map(|found| self.node(found)).collect();
        let before = self.now();
        match self.means.make(&self.written, nodes, None, before.as_deref()) {
            Ok(upstream) => self.now.store(Some(Arc::new(upstream))),
            Err(invalid) => {
                let (service, problem) = (self.service.label(), invalid.problem);
                tracing::error!(service = &**service, problem, "the list of servers is not used");
            }
        }
    }
}
