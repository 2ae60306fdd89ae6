//! The gateway as a whole: settings in, running workers out, configurations applied atomically.

mod hidden;
mod running;

use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwapOption;
use bartizan_audit::{AccessLog, AuditLog, Redactor};
use bartizan_chain::{CpuPool, KeyUses, NodeFacts, Outside, StateRegistry};
use bartizan_config::{Amendment, ApiKeys, NodeConfig, ResourceRef, Resources};
use bartizan_core::metrics::{ReloadLabel, SharedMetrics};
use bartizan_core::{Clock, FoundServers, IdSource, NodeKey, ServerHealth};
use bartizan_net::{Client, Connector, EgressPolicy, Network, NoReach, Reach, Resolver};
use bartizan_wire::{ChunkLimits, HeadLimits, PathPolicy};
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::admission::Admission;
use crate::exchange::ResponseLimits;
use crate::health::{Gauges, Prober};
use crate::links::Links;
use crate::listener::{self, ListenerSpec};
use crate::piece::Scratch;
use crate::snapshot::{CompileFault, Compiler, ProbedNow, Report, Snapshot};
use crate::splice::Pipes;
use crate::tally::Tally;
use crate::upstream::{Dial, Pool};
use crate::ways::Ways;
use crate::worker::{Shared, Worker};

use hidden::redactor;
pub use running::Running;
use running::Upstreams;

/// How upstreams are reached.
#[derive(Clone)]
pub enum Dialer {
    /// Over the network; names are resolved on this runtime.
    Network(tokio::runtime::Handle),
    /// By whatever this makes for each worker: upstreams inside the process, in tests.
    Custom(Arc<dyn Fn() -> Box<dyn Dial> + Send + Sync>),
}

/// What a gateway is made of.
pub struct GatewaySettings {
    /// The node file.
    pub node: NodeConfig,
    /// Where wall time comes from.
    pub clock: Clock,
    /// Where events go.
    pub audit: AuditLog,
    /// Where the access log goes.
    pub access: Option<AccessLog>,
    /// The node's own metrics, registered already.
    pub metrics: SharedMetrics,
    /// Where plugins register theirs.
    pub registry: Arc<Mutex<Registry>>,
    /// The key under which credentials are indexed.
    pub key: NodeKey,
    /// The folder that relative paths start from.
    pub base_dir: PathBuf,
    /// How upstreams are reached.
    pub dialer: Dialer,
    /// Where work goes that would hold up an event loop.
    pub cpu: CpuPool,
    /// How plugins reach the world outside, where not over the network that upstreams are on.
    pub reach: Option<Arc<dyn Reach>>,
    /// The name of this machine, as logs tell it.
    pub hostname: String,
}

/// A configuration was put into force.
#[derive(Clone, Debug)]
pub struct Applied {
    /// Counts configurations from one.
    pub generation: u64,
    /// What it protects, and what deserves a look.
    pub report: Report,
}

/// A listener that cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {cause}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    /// What the system said.
    pub cause: io::Error,
}

/// A gateway: compiles and applies configurations, and starts workers.
pub struct Gateway {
    shared: Arc<Shared>,
    node: NodeConfig,
    compiler: Mutex<Compiler>,
    generation: AtomicU64,
    access: Option<AccessLog>,
    dialer: Dialer,
    /// How plugins reach the network, where it is one.
    network: Option<Arc<Network>>,
    /// Sends the probes of upstreams with checks.
    prober: Arc<Prober>,
    draining: watch::Sender<bool>,
    workers_made: AtomicU16,
}

impl Gateway {
    /// A gateway without a configuration; it answers 503 until one is applied.
    pub fn new(settings: GatewaySettings) -> Result<Arc<Self>, Vec<CompileFault>> {
        let GatewaySettings { node, clock, audit, access, metrics, registry, key, .. } = settings;
        let limits = node.limits.clone();
        let network = network(&settings.dialer, &node);
        let reach = match (settings.reach, &network) {
            (Some(reach), _) => reach,
            (None, Some(network)) => network.clone(),
            (None, None) => Arc::new(NoReach),
        };
        let redactor: Arc<arc_swap::ArcSwap<Redactor>> = Arc::default();
        let started = clock.now();
        let facts = Arc::new(NodeFacts {
            compatibility: node.compatibility,
            limits: limits.clone(),
            clock,
            key,
            hash_keys: node.api_keys.as_ref().map(ApiKeys::hash_keys).unwrap_or_default(),
            key_uses: KeyUses::default(),
            metrics: registry,
            registry: StateRegistry::default(),
            cpu: settings.cpu,
            base_dir: settings.base_dir,
            files: bartizan_chain::FilesRead::within(node.references.clone()),
            started,
            counts: metrics.clone(),
            pages: bartizan_chain::Pages::default(),
            outside: Outside::new(reach, &settings.hostname),
            redactor: redactor.clone(),
        });
        let compiler = Compiler::new(facts.clone(), &node)?;
        let (draining, is_draining) = watch::channel(false);
        let outside = facts.outside.reach.clone();
        let prober = Prober::new(outside, &limits, audit.clone(), facts.clock.clone());
        let prober = Arc::new(prober);
        let gauges = Box::new(Gauges(Arc::downgrade(&prober)));
        let registered = facts.metrics.lock();
        registered.unwrap_or_else(PoisonError::into_inner).register_collector(gauges);
        let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let head = HeadLimits::from(&limits);
        let shared = Shared {
            node: facts,
            snapshot: ArcSwapOption::empty(),
            metrics,
            audit,
            redactor,
            https_port: std::sync::OnceLock::new(),
            admission: Admission::new(&limits, descriptors),
            trusted_proxies: node.trusted_proxies.clone(),
            path_policy: PathPolicy {
                merge_slashes: node.merge_slashes,
                delete_tail_slash: node.delete_uri_tail_slash,
                drop_parameters: node.normalize_uri_like_servlet,
                encoded_slashes: node.danger_match_uri_encoded_slash,
            },
            head_limits: head,
            response_limits: ResponseLimits { head, chunks: ChunkLimits::from(&limits) },
            draining: is_draining,
            is_draining: AtomicBool::new(false),
        };
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
            node,
            compiler: Mutex::new(compiler),
            generation: AtomicU64::new(0),
            access,
            dialer: settings.dialer,
            network,
            prober,
            draining,
            workers_made: AtomicU16::new(0),
        }))
    }

    /// Compiles a configuration and puts it into force for every request that begins after this.
    /// One that does not compile changes nothing.
    pub fn apply(&self, resources: &Resources) -> Result<Applied, Vec<CompileFault>> {
        let outcome = self.put_into_force(None, resources);
        self.count(outcome.is_ok());
        outcome
    }

    /// The same, with the listeners' certificates that the node file has now. What else it says
    /// about the node takes effect at the next start.
    pub fn apply_renewed(
        &self,
        node: &NodeConfig,
        resources: &Resources,
    ) -> Result<Applied, Vec<CompileFault>> {
        let outcome = self.put_into_force(Some(node), resources);
        self.count(outcome.is_ok());
        outcome
    }

    /// The same, as one of several attempts at a change: whoever makes them says with
    /// [`Self::count`] how they ended.
    pub fn attempt(
        &self,
        node: &NodeConfig,
        resources: &Resources,
    ) -> Result<Applied, Vec<CompileFault>> {
        self.put_into_force(Some(node), resources)
    }

    /// Counts a change of the configuration.
    pub fn count(&self, is_applied: bool) {
        let metrics = &self.shared.metrics;
        let result = if is_applied { "applied" } else { "refused" };
        metrics.reloads.get_or_create(&ReloadLabel { result }).inc();
        metrics.reload_refused.set(i64::from(!is_applied));
    }

    fn put_into_force(
        &self,
        node: Option<&NodeConfig>,
        resources: &Resources,
    ) -> Result<Applied, Vec<CompileFault>> {
        let mut compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        let previous = self.shared.snapshot.load_full();
        let renewed = node.map_or(Ok(None), |node| compiler.renew(node));
        let compiled = renewed.and_then(|before| {
            let compiled = compiler.compile_all(resources, generation, previous.as_deref());
            if let (true, Some(before)) = (compiled.is_err(), before) {
                compiler.restore(before);
            }
            compiled
        });
        let (snapshot, standing) = compiled?;
        compiler.stand(standing);
        self.shared.redactor.store(Arc::new(redactor(Redactor::default(), resources)));
        drop(previous);
        Ok(self.exchange(snapshot))
    }

    /// Compiles a change of the configuration in force and puts it into force, as one that changes
    /// nothing else; `None` where everything has to be compiled, whether because something is at
    /// fault or because it concerns everything.
    pub fn amend(&self, change: &Amendment) -> Option<Applied> {
        let mut compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        let previous = self.shared.snapshot.load_full()?;
        let snapshot = compiler.amend(change, generation, &previous)?;
        // Names that nothing asks for any more stay hidden until everything is compiled.
        let redactor = redactor((**self.shared.redactor.load()).clone(), &change.put);
        self.shared.redactor.store(Arc::new(redactor));
        drop(previous);
        Some(self.exchange(snapshot))
    }

    /// Puts a snapshot into force. What it says to people is given away: nobody else asks for it.
    fn exchange(&self, mut snapshot: Snapshot) -> Applied {
        let generation = snapshot.generation;
        let report = std::mem::take(&mut snapshot.report);
        let probed = std::mem::take(&mut snapshot.probed);
        self.generation.store(generation, Ordering::Relaxed);
        self.shared.snapshot.store(Some(Arc::new(snapshot)));
        match probed {
            ProbedNow::All(healths) => self.prober.follow_all(&healths),
            ProbedNow::Changed(places) => {
                for (origin, health) in places {
                    self.prober.follow(&origin, health.as_ref());
                }
            }
        }
        self.shared.node.registry.sweep();
        Applied { generation, report }
    }

    /// The files beside its documents that the last configuration was compiled from, whether it was
    /// put into force or not.
    pub fn take_files(&self) -> Vec<PathBuf> {
        self.shared.node.files.take()
    }

    /// Compiles a configuration and says what it would do.
    pub fn check(&self, resources: &Resources) -> Result<Applied, Vec<CompileFault>> {
        let compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        let snapshot: Snapshot = compiler.compile(resources, generation, None)?;
        Ok(Applied { generation, report: snapshot.report })
    }

    /// What a configuration would amount to after the one in force; what did not change is not
    /// compiled again.
    pub fn foresee(&self, resources: &Resources) -> Result<Report, Vec<CompileFault>> {
        let compiler = self.compiler.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = self.generation.load(Ordering::Relaxed) + 1;
        let previous = self.shared.snapshot.load_full();
        let snapshot: Snapshot = compiler.compile(resources, generation, previous.as_deref())?;
        Ok(snapshot.report)
    }

    /// Opens every listener and starts the workers.
    pub fn start(self: &Arc<Self>) -> Result<Running, BindError> {
        let workers = self.worker_count();
        let mut specs = Vec::new();
        let mut sockets: Vec<Vec<std::net::TcpListener>> = Vec::new();
        sockets.resize_with(workers, Vec::new);
        for listener in &self.node.listeners {
            let mut spec = ListenerSpec {
                address: listener.address,
                is_tls: listener.tls.is_some(),
                danger_plaintext: listener.danger_plaintext,
            };
            let fail = |cause| BindError { address: listener.address, cause };
            listener::is_taken(spec.address).map_err(fail)?;
            for sockets in &mut sockets {
                let socket = listener::bind(spec.address).map_err(fail)?;
                spec.address = socket.local_addr().map_err(fail)?;
                sockets.push(socket);
            }
            specs.push(spec);
        }
        if let Some(secure) = specs.iter().find(|spec: &&ListenerSpec| spec.is_tls) {
            // A gateway is started once; a second time would find its ports taken.
            let _ = self.shared.https_port.set(secure.address.port());
        }
        let addresses: Vec<SocketAddr> = specs.iter().map(|spec| spec.address).collect();
        if let Some(network) = &self.network {
            network.obey(self.policy(self.own_addresses(&addresses)));
        }
        let mut threads = Vec::new();
        for (number, sockets) in sockets.into_iter().enumerate() {
            let gateway = self.clone();
            let specs = specs.clone();
            let own = self.own_addresses(&addresses);
            let thread = std::thread::Builder::new()
                .name(format!("worker-{number}"))
                .spawn(move || gateway.work(sockets, &specs, own))
                .map_err(|cause| BindError { address: own_first(&addresses), cause })?;
            threads.push(thread);
        }
        Ok(Running { gateway: self.clone(), addresses, threads })
    }

    fn worker_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.node.workers.map_or_else(cores, |n| usize::try_from(n).unwrap_or(1)).max(1)
    }

    /// Where upstreams may not be: our own listeners.
    fn own_addresses(&self, listeners: &[SocketAddr]) -> Vec<SocketAddr> {
        let status = self.node.status.as_ref().map(|status| status.address);
        let admin = self.node.admin.as_ref().map(|admin| admin.listen);
        listeners.iter().copied().chain(status).chain(admin).collect()
    }

    fn policy(&self, own: Vec<SocketAddr>) -> EgressPolicy {
        EgressPolicy { own, danger_allow_link_local: self.node.danger_allow_link_local }
    }

    /// Finds the page of a plugin in force by its path: its media type and its text.
    pub fn pages(&self) -> impl Fn(&str) -> Option<(&'static str, String)> + Send + Sync + 'static {
        let pages = self.shared.node.pages.clone();
        move |path| pages.find(path).map(|page| (page.media(), page.text()))
    }

    /// How requests travel to this node and on from it, now; `None` before the first configuration.
    pub fn ways(&self) -> Option<Ways> {
        Some(Ways::new(&self.node.listeners, self.shared.snapshot.load_full()?))
    }

    /// How the servers stand of the upstream written there; `None` where it has no checks.
    pub fn health(&self, origin: &ResourceRef) -> Option<Vec<ServerHealth>> {
        self.prober.find(origin).map(|health| health.seen())
    }

    /// What a registry says of the upstream written there; `None` where its servers are written.
    pub fn found(&self, origin: &ResourceRef) -> Option<FoundServers> {
        let snapshot = self.shared.snapshot.load_full()?;
        snapshot.found(origin)
    }

    /// When the keys of callers were used on this node.
    pub fn key_uses(&self) -> KeyUses {
        self.shared.node.key_uses.clone()
    }

    /// Lets sinks of plugins open their files anew, after they were moved away.
    pub fn reopen_sinks(&self) {
        self.shared.node.outside.sinks.reopen();
    }

    /// The worker that serves on the calling thread.
    pub(crate) fn worker(&self, own: Vec<SocketAddr>) -> Rc<Worker> {
        let dialer: Box<dyn Dial> = match &self.dialer {
            Dialer::Network(control) => {
                let policy = self.policy(own);
                let resolver = Resolver::system(control.clone());
                Box::new(Upstreams(Connector::new(Arc::new(resolver), Arc::new(policy))))
            }
            Dialer::Custom(make) => make(),
        };
        Rc::new(Worker {
            shared: self.shared.clone(),
            pool: Pool::default(),
            links: Links::default(),
            scratch: Scratch::default(),
            pipes: Pipes::default(),
            dialer,
            http: Rc::new(Client::new(
                self.shared.node.outside.reach.clone(),
                &self.shared.node.limits,
            )),
            access: self.access.as_ref().map(|log| RefCell::new(log.writer())),
            date: RefCell::new((u64::MAX, bytes::Bytes::new())),
            ids: IdSource::of_worker(self.workers_made.fetch_add(1, Ordering::Relaxed)),
            tally: Tally::default(),
            busy: Cell::new(0),
        })
    }
}

/// The network as plugins reach it, as far as it is known before our listeners are open.
fn network(dialer: &Dialer, node: &NodeConfig) -> Option<Arc<Network>> {
    let Dialer::Network(control) = dialer else { return None };
    let policy = EgressPolicy {
        own: node.listeners.iter().map(|listener| listener.address).collect(),
        danger_allow_link_local: node.danger_allow_link_local,
    };
    Some(Arc::new(Network::new(control.clone(), policy)))
}

/// The address to blame where no listener in particular is at fault.
fn own_first(addresses: &[SocketAddr]) -> SocketAddr {
    addresses.first().copied().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
}
