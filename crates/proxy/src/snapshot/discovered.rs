//! Upstreams whose nodes a registry knows. When it names others, only the set of nodes is exchanged:
//! routes refer to the upstream as before, and nodes that stay keep their connections and counts.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use bartizan_config::{FoundIn, Invalid, ResourceRef, UpstreamNode};
use bartizan_core::{FoundServer, FoundServers};
use bartizan_discovery::{Follower, Found, SERVICES_MAX, Service};
use rustls::ClientConfig;

use super::Snapshot;
use super::checks::{Checks, stand};
use super::compile::Compilation;
use super::upstreams::{Means, Upstream};
use crate::health::{Health, Probe, Standing};
use crate::upstream::Node;

/// Where the nodes of an upstream are found, and what they are now.
pub(crate) struct Discovered {
    /// Held, so that it is followed.
    service: Arc<Service>,
    means: Means,
    written: bartizan_config::Upstream,
    tls: Option<Arc<ClientConfig>>,
    /// How its servers are checked, and what is known of them.
    checked: Option<(Checks, Arc<Health>)>,
    /// The upstream with the nodes of the last list.
    now: ArcSwapOption<Upstream>,
}

/// One that a registry names.
struct Server {
    node: Node,
    probe: Option<Probe>,
    /// Its weight and priority.
    share: (u32, i32),
}

impl fmt::Debug for Discovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Discovered").field(&self.service).finish()
    }
}

impl Discovered {
    /// Follows a service for an upstream. `before` is where its nodes were found in the snapshot
    /// before.
    pub(super) fn new(
        service: Arc<Service>,
        means: &Means,
        written: &bartizan_config::Upstream,
        (tls, checks): (Option<Arc<ClientConfig>>, Option<Checks>),
        before: Option<&Self>,
    ) -> Arc<Self> {
        let known = before.and_then(Self::now);
        // Of the same service the servers stay what they are, and go on being probed.
        let same = before.filter(|before| {
            Arc::ptr_eq(&before.service, &service)
                && before.written.scheme == written.scheme
                && before.written.pass_host == written.pass_host
        });
        let nodes = known.iter().filter(|_| same.is_some()).flat_map(|known| &known.nodes);
        let mut seen = HashSet::new();
        let distinct = nodes.filter(|node| seen.insert(node.label.clone()));
        let health = |checks: &Checks| {
            let health = same.and_then(Self::health).filter(|health| !health.probes().is_empty());
            // One that may not be probed is left out once it is told.
            let probes = distinct.filter_map(|node| checks.probe(means, written, node).ok());
            checks.of(written, probes.collect(), health)
        };
        let health = checks.as_ref().map(health);
        let checked = checks.zip(health);
        let (means, written) = (means.clone(), written.clone());
        let now = ArcSwapOption::new(known.clone());
        let this = Arc::new(Self { service, means, written, tls, checked, now });
        let weak: Weak<Self> = Arc::downgrade(&this);
        if !this.service.tell(weak) {
            // The nodes of before were for the counts only: another service may have been meant.
            this.now.compare_and_swap(&known, None);
        }
        this
    }

    /// What is known of its servers, where they are checked.
    pub(super) fn health(&self) -> Option<&Arc<Health>> {
        self.checked.as_ref().map(|(_, health)| health)
    }

    /// The upstream with the nodes that it has now; `None` before the registry has told any.
    pub(crate) fn now(&self) -> Option<Arc<Upstream>> {
        self.now.load_full()
    }

    /// Its servers, for those who look.
    fn told(&self) -> FoundServers {
        let servers = self.now().map(|now| {
            let nodes = now.nodes.iter().zip(&now.shares);
            let told = |(node, (weight, priority)): (&Arc<Node>, &(u32, i32))| FoundServer {
                host: node.target.host.clone(),
                port: node.target.port,
                weight: *weight,
                priority: *priority,
            };
            nodes.map(told).collect()
        });
        let (service, failing) = (self.service.label().clone(), self.service.failing());
        FoundServers { service, servers, failing }
    }

    /// Why there are no nodes yet, for the event of a refusal.
    pub(crate) fn unknown(&self) -> String {
        let service = self.service.label();
        match self.service.failing() {
            Some(cause) => format!("the servers of `{service}` are not known: {cause}"),
            None => format!("the servers of `{service}` are not known yet"),
        }
    }

    fn server(&self, found: &Found) -> Result<Server, Invalid> {
        let port = found.port.unwrap_or_else(|| self.written.scheme.default_port());
        let (weight, priority) = (found.weight, found.priority);
        let node = UpstreamNode { host: found.host.clone(), port, weight, priority };
        let name = found.name.as_deref();
        let node = self.means.node(&self.written, &node, name, self.tls.as_ref())?;
        let probe = |(checks, _): &(Checks, _)| checks.probe(&self.means, &self.written, &node);
        let probe = self.checked.as_ref().map(probe).transpose()?;
        Ok(Server { node, probe, share: (weight, priority) })
    }
}

impl Follower for Discovered {
    fn take(&self, list: &[Found]) {
        let before = self.now();
        let nodes = before.iter().flat_map(|before| &before.nodes);
        let known: HashMap<&str, &Arc<Standing>> =
            nodes.filter_map(|node| Some((&*node.label, node.standing.as_ref()?))).collect();
        // One that may not be reached keeps no other from being used.
        let (mut nodes, mut refused) = (Vec::with_capacity(list.len()), Vec::new());
        let (mut shares, mut probes, mut probed) = (Vec::new(), Vec::new(), HashSet::new());
        for found in list {
            match self.server(found) {
                Ok(Server { node, probe, share }) => {
                    if let Some(mut probe) = probe.filter(|_| probed.insert(node.label.clone())) {
                        if let Some(standing) = known.get(&*node.label) {
                            probe.standing = (*standing).clone();
                        }
                        probes.push(probe);
                    }
                    nodes.push(node);
                    shares.push(share);
                }
                Err(invalid) => refused.push(invalid.problem),
            }
        }
        if let Some(first) = refused.first() {
            let (service, left_out) = (&**self.service.label(), refused.len());
            tracing::warn!(service, left_out, %first, "the registry names servers that are left out");
        }
        let health = self.health();
        if let Some(health) = health {
            stand(&mut nodes, &health.exchange(probes));
        }
        let nodes = nodes.into_iter().map(Arc::new).zip(shares).collect();
        match self.means.make(&self.written, nodes, health.cloned(), before.as_deref()) {
            Ok(upstream) => self.now.store(Some(Arc::new(upstream))),
            Err(invalid) => {
                let (service, problem) = (self.service.label(), invalid.problem);
                tracing::error!(service = &**service, problem, "the list of servers is not used");
            }
        }
    }
}

impl Snapshot {
    /// What a registry says of the upstream written there; `None` where its servers are written.
    pub(crate) fn found(&self, origin: &ResourceRef) -> Option<FoundServers> {
        Some(self.upstreams.get(origin)?.discovered.as_ref()?.told())
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
