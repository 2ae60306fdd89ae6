//! From resources to what requests read: one immutable, compiled configuration.
//!
//! [`Compiler::compile`] turns typed resources into a [`Snapshot`], or says everything that is
//! wrong with them. What is learnt while compiling and must outlive a snapshot (tickets, pool
//! numbers, upstream TLS settings) stays with the [`Compiler`]; state of plugins is in the node's
//! registry.
//!
//! A route is served only if what always runs for it proves what `security.require` asks for.
//! Limits: 10,000 nodes in an upstream. Of a change that says which objects it is about, only these
//! and what they touch are compiled, by [`Compiler::amend`]; the rest is shared with the snapshot
//! before. Otherwise everything is compiled, and certificates, upstream TLS settings and the turns
//! of balancers are carried over where nothing changed.

mod amend;
mod balancing;
mod certificates;
mod checks;
mod choice;
mod compile;
mod consumers;
mod discovered;
mod exposure;
mod fault;
mod held;
mod order;
mod overlap;
mod parameters;
mod plugins;
mod pools;
mod protos;
mod report;
mod require;
mod route;
mod routes;
mod standing;
#[cfg(test)]
mod tests;
mod upstreams;

use std::sync::Arc;

use crate::health::Health;
use crate::router::Router;
use bartizan_chain::{Chain, Consumer, ConsumerIndex, OwnedFields, Profiles, SharedMap};
use bartizan_config::ResourceRef;
use bartizan_plugins::AnyPlugin;
use bartizan_tls::CertificateStore;
pub(crate) use choice::Came;
pub(crate) use compile::Compiler;
pub use exposure::UpstreamTls;
pub use fault::{CompileFault, Warning};
pub(crate) use pools::PoolNumber;
pub use report::{Report, ReportedPlugin, RouteReport};
pub(crate) use route::Route;
pub(crate) use upstreams::Upstream;

/// The compiled configuration that a request is served by.
pub struct Snapshot {
    /// Counts the configurations of this process.
    pub generation: u64,
    pub(crate) router: Router<Route>,
    pub(crate) global: Arc<Chain<AnyPlugin>>,
    pub(crate) consumers: Arc<ConsumerIndex>,
    pub(crate) profiles: ChainProfiles,
    /// One for each listener of the node file, `None` for plaintext.
    pub(crate) tls: Vec<Option<Arc<CertificateStore>>>,
    upstreams: SharedMap<ResourceRef, Arc<Upstream>>,
    /// What the configuration amounts to, for people.
    pub report: Report,
    /// Which upstreams are probed from now on, until somebody sees to it.
    pub(crate) probed: ProbedNow,
}

/// Which upstreams have checks.
pub(crate) enum ProbedNow {
    /// These, and no others.
    All(Vec<Arc<Health>>),
    /// As before, but for what is written in these places.
    Changed(Vec<(ResourceRef, Option<Arc<Health>>)>),
}

impl Default for ProbedNow {
    fn default() -> Self {
        Self::Changed(Vec::new())
    }
}

impl Snapshot {
    /// How requests travel to an upstream.
    pub(crate) fn upstream_tls(&self, origin: &ResourceRef) -> Option<UpstreamTls> {
        self.upstreams.get(origin).map(|upstream| upstream.tls)
    }
}

/// The chains that come with a consumer: its group's and its own.
#[derive(Clone, Default)]
pub(crate) struct ChainProfiles {
    groups: SharedMap<Arc<str>, Arc<Chain<AnyPlugin>>>,
    own: SharedMap<Arc<str>, Arc<Chain<AnyPlugin>>>,
    /// The names of fields that these chains own.
    owned: Arc<OwnedFields>,
}

impl ChainProfiles {
    fn put_group(&mut self, id: Arc<str>, chain: Arc<Chain<AnyPlugin>>) {
        let before = self.groups.insert(id, chain.clone());
        self.exchange(before, Some(chain));
    }

    fn put_own(&mut self, username: Arc<str>, chain: Arc<Chain<AnyPlugin>>) {
        let before = self.own.insert(username, chain.clone());
        self.exchange(before, Some(chain));
    }

    fn remove_group(&mut self, id: &str) {
        let before = self.groups.remove(id);
        self.exchange(before, None);
    }

    fn remove_own(&mut self, username: &str) {
        let before = self.own.remove(username);
        self.exchange(before, None);
    }

    fn exchange(
        &mut self,
        before: Option<Arc<Chain<AnyPlugin>>>,
        after: Option<Arc<Chain<AnyPlugin>>>,
    ) {
        let owns = |chain: &Arc<Chain<AnyPlugin>>| !chain.owned_fields().is_empty();
        if let Some(chain) = after.filter(owns) {
            Arc::make_mut(&mut self.owned).join(chain.owned_fields());
        }
        if let Some(chain) = before.filter(owns) {
            Arc::make_mut(&mut self.owned).leave(chain.owned_fields());
        }
    }
}

impl Profiles<AnyPlugin> for ChainProfiles {
    fn of(&self, consumer: &Consumer) -> [Option<Arc<Chain<AnyPlugin>>>; 2] {
        let group = consumer.group_id().and_then(|id| self.groups.get(id));
        [group.cloned(), self.own.get(consumer.username()).cloned()]
    }

    fn owned_fields(&self) -> Option<&OwnedFields> {
        Some(&self.owned)
    }
}
