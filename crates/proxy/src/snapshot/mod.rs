//! From resources to what requests read: one immutable, compiled configuration.
//!
//! [`Compiler::compile`] turns typed resources into a [`Snapshot`], or says everything that is
//! wrong with them. What is learnt while compiling and must outlive a snapshot (tickets, pool
//! numbers, upstream TLS settings) stays with the [`Compiler`]; state of plugins is in the node's
//! registry.
//!
//! A route is served only if what always runs for it proves what `security.require` asks for.
//! Limits: 10,000 nodes in an upstream. Plugins and routes are compiled anew each time, in time
//! proportional to the configuration; certificates, upstream TLS settings and the turns of
//! balancers are carried over where nothing changed.

mod certificates;
mod compile;
mod consumers;
mod exposure;
mod fault;
mod overlap;
mod plugins;
mod pools;
mod report;
mod require;
mod route;
mod routes;
#[cfg(test)]
mod tests;
mod upstreams;

use std::sync::Arc;

use bartizan_chain::{Chain, Consumer, ConsumerIndex, Profiles};
use bartizan_config::ResourceRef;
use bartizan_plugins::AnyPlugin;
use bartizan_tls::CertificateStore;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::router::Router;
pub(crate) use compile::Compiler;
pub use fault::{CompileFault, Warning};
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
    upstreams: HashMap<ResourceRef, Arc<Upstream>, RandomState>,
    /// What the configuration amounts to, for people.
    pub report: Report,
}

/// The chains that come with a consumer: its group's and its own.
pub(crate) struct ChainProfiles {
    slots: Vec<[Option<Arc<Chain<AnyPlugin>>>; 2]>,
}

impl Profiles<AnyPlugin> for ChainProfiles {
    fn of(&self, consumer: &Consumer) -> [Option<Arc<Chain<AnyPlugin>>>; 2] {
        self.slots.get(consumer.slot()).cloned().unwrap_or_default()
    }
}
