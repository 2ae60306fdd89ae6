//! Upstreams whose nodes a registry knows. When it names others, only the set of nodes is exchanged:
//! routes refer to the upstream as before, and nodes that stay keep their connections and counts.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use bartizan_config::{FoundIn, Invalid, UpstreamNode};
use bartizan_discovery::{Follower, Found, SERVICES_MAX, Service};
use rustls::ClientConfig;

use super::compile::Compilation;
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

    fn node(&self, found: &Found) -> Result<(Arc<Node>, (u32, i32)), Invalid> {
        let port = found.port.unwrap_or_else(|| self.written.scheme.default_port());
        let (weight, priority) = (found.weight, found.priority);
        let node = UpstreamNode { host: found.host.clone(), port, weight, priority };
        let name = found.name.as_deref();
        let node = self.means.node(&self.written, &node, name, self.tls.as_ref())?;
        Ok((Arc::new(node), (weight, priority)))
    }
}

impl Follower for Discovered {
    fn take(&self, list: &[Found]) {
        // One that may not be reached keeps no other from being used.
        let (mut nodes, mut refused) = (Vec::with_capacity(list.len()), Vec::new());
        for found in list {
            match self.node(found) {
                Ok(node) => nodes.push(node),
                Err(invalid) => refused.push(invalid.problem),
            }
        }
        if let Some(first) = refused.first() {
            let (service, left_out) = (&**self.service.label(), refused.len());
            tracing::warn!(service, left_out, %first, "the registry names servers that are left out");
        }
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

impl<'a> Compilation<'a> {
    /// Counts a service among those of the resources as they will be, once however many upstreams
    /// are found by it. Fails where it is one too many.
    pub(super) fn count_service(&mut self, service: &'a FoundIn) -> Result<(), Invalid> {
        let mut services = self.services.take().unwrap_or_else(|| self.services_that_stay());
        services.insert(service);
        let count = services.len();
        self.services = Some(services);
        if count > SERVICES_MAX {
            let problem = format!("more than {SERVICES_MAX} services are named");
            return Err(Invalid::at("service_name", problem));
        }
        Ok(())
    }

    /// The services of upstreams that a change leaves as they are.
    fn services_that_stay(&self) -> HashSet<&'a FoundIn> {
        let stays = self.previous.filter(|_| self.base.is_some());
        let known = stays.into_iter().flat_map(|snapshot| snapshot.upstreams.iter());
        let kept = known.filter(|(origin, _)| !self.is_changed(origin.kind, &origin.id));
        kept.filter_map(|(_, upstream)| upstream.discovered.as_ref()?.written.found_in.as_ref())
            .collect()
    }
}
