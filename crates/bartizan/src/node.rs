//! A node at work: everything that `run` and `quickstart` share.
//!
//! Order of a start: read, open the logs, compile, bind every port, then serve; whatever fails ends
//! it before a request was taken. Order of an end: readiness says so, listeners close, requests
//! get `limits.drain`, logs are written out.

mod amend;
mod judge;
mod operators;
mod plane;
mod settle;
mod stores;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bartizan_admin::{FindPage, Readiness, SharedRegistry, StatusServer};
use bartizan_audit::EventKind;
use bartizan_chain::CpuPool;
use bartizan_config::{Draft, Ledger, NodeConfig, ObjectName, OnInvalid, Pages, Store};
use bartizan_core::NodeKey;
use bartizan_core::metrics::SharedMetrics;
use bartizan_proxy::{BindError, Dialer, Gateway, GatewaySettings, Report, Running};
use bartizan_secrets::Vaults;
use bartizan_store::{Changes, FileWatch};
use prometheus_client::registry::Registry;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::failure::{Failure, plain};
use crate::load::{self, Record};
use crate::logs::Logs;
use crate::overrides::Overrides;
use crate::signals::{Signal, Signals};
use crate::telemetry;
use operators::Keys;
use plane::{AdminApi, Ask};
use settle::{LastGood, Settled, Settling};
use stores::NodeStore;

/// How long the node waits where a store tells of a change that cannot be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;

/// A node that serves.
pub(crate) struct Node {
    control: Runtime,
    gateway: Arc<Gateway>,
    running: Running,
    config: NodeConfig,
    overrides: Overrides,
    /// The files that are read at the start: the node file and its certificates.
    own_files: Vec<PathBuf>,
    files: FileWatch,
    store: Arc<NodeStore>,
    /// The revision of the store that was last read.
    seen: u64,
    last_good: LastGood,
    /// What is in force, where a change of the store can be judged by itself.
    ledger: Option<Ledger>,
    /// The document that it is written in, where it is one.
    pages: Option<Pages>,
    /// The files that what is in force was read from.
    record: Record,
    /// When what is in force is to be kept for a start without the store.
    keep_at: Option<tokio::time::Instant>,
    vaults: Arc<Vaults>,
    /// The secrets with which the configuration was last judged.
    secrets_seen: u64,
    /// The routes in force, where the Admin API is served, and what is in quarantine.
    report: Report,
    quarantined: HashSet<ObjectName>,
    metrics: SharedMetrics,
    readiness: Readiness,
    logs: Logs,
    status: Option<Status>,
    keys: Option<Keys>,
    admin: Option<AdminApi>,
    /// What the Admin API asks.
    asks: Option<mpsc::Receiver<Ask>>,
}

/// Why the node wakes up.
enum Wake {
    Signal(Signal),
    Changed(Vec<PathBuf>),
    Stored(Changes),
    Keep,
    Secrets,
    Asked(Ask),
}

impl Node {
    /// Reads a node file and serves it.
    pub(crate) fn start(path: &Path, overrides: Overrides) -> Result<Self, Failure> {
        let record = Record::default();
        let loader = load::loader(&record);
        let (mut config, draft) = load::draft(path, &loader)?;
        overrides.node(&mut config);
        telemetry::raise_descriptor_limit();

        let metrics = SharedMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let registry: SharedRegistry = Arc::new(Mutex::new(registry));
        let logs = Logs::open(&config, &metrics)?;
        let control = control_runtime()?;
        let dialer = Dialer::Network(control.handle().clone());
        let port = config.admin.as_mut().map(|admin| plane::bind(&control, admin)).transpose()?;
        if let (Some((_, address)), Some(admin)) = (&port, &mut config.admin) {
            // Upstreams may not be there, wherever it is.
            admin.listen = *address;
        }
        let settings = settings(&config, &logs, &metrics, &registry, dialer);
        let gateway = match Gateway::new(settings) {
            Ok(gateway) => gateway,
            Err(faults) => return Err(load::not_serving(draft.into_parts().0, faults)),
        };
        let keys = config.admin.as_ref().map(|admin| Keys::start(&control, admin, &logs));
        let keys = keys.transpose()?;
        let store = NodeStore::open(&config, &logs.clock, &metrics, control.handle())?;
        let store = Arc::new(store);
        let mut last_good = control.block_on(store.begin());
        let vaults = load::vaults(&config, control.handle(), &logs.clock, &metrics);
        record.ask(Arc::clone(&vaults));
        let secrets_seen = vaults.begin();
        let settling = Settling {
            gateway: &gateway,
            node: &config,
            on_invalid: config.on_invalid(),
            overrides: &overrides,
            loader: &loader,
            fetch: &|| control.block_on(vaults.fetch()),
        };
        let (seen, first) = settle_all(&control, &store, &settling, draft, &mut last_good);
        // Whoever wrote files is there to read the answer; other stores may be in order later.
        let mut first = match first {
            Err(failure) if store.is_files() => return Err(failure),
            first => first,
        };
        if first.is_ok() {
            vaults.end();
        }
        let (ledger, document) = kept(&mut first);
        let readiness = Readiness::new();
        let pages = Arc::new(gateway.pages());
        let status = Status::start(&control, &config, &readiness, registry, pages)?;
        let (mut admin, mut asks) = (None, None);
        if let (Some(settings), Some((listener, _)), Some(keys)) = (&config.admin, port, &keys) {
            let around = (&store, &logs, &readiness);
            let uses = gateway.key_uses();
            let (api, asked) =
                AdminApi::start(&control, listener, &config, settings, keys, uses, around)?;
            (admin, asks) = (Some(api), Some(asked));
        }
        let running = gateway.start().map_err(|error| not_bound(&error, "listener"))?;
        let own_files = record.before(documents(&config));
        look_at_all(&record, &gateway, config.limits.document.0);
        let mut node = Self {
            own_files,
            files: FileWatch::new(record.files(), config.limits.document.0),
            store,
            seen: seen.unwrap_or_default(),
            last_good,
            ledger,
            pages: document,
            record,
            keep_at: None,
            vaults,
            secrets_seen,
            report: Report::default(),
            quarantined: HashSet::new(),
            control,
            gateway,
            running,
            config,
            overrides,
            metrics,
            readiness,
            logs,
            status,
            keys,
            admin,
            asks,
        };
        node.logs.tell(EventKind::Node, format!("started on {}", node.listed_addresses()));
        if let Ok(settled) = &mut first {
            node.remember(&mut settled.applied.report);
        }
        node.tell(&first);
        Ok(node)
    }

    /// Where it listens, in the order of the node file.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        self.running.addresses()
    }

    fn listed_addresses(&self) -> String {
        let addresses: Vec<String> = self.addresses().iter().map(ToString::to_string).collect();
        addresses.join(", ")
    }

    /// Serves until it is told to stop, and stops.
    pub(crate) fn serve_until_stopped(mut self) -> Result<(), Failure> {
        let mut signals = self.control.block_on(async { Signals::listen() })?;
        // From here on a signal means what it is documented to mean.
        let status = self.status.as_ref().map(|status| status.address.to_string());
        let admin = self.admin.as_ref().map(|admin| admin.address.to_string());
        tracing::info!(listeners = self.listed_addresses(), status, admin, "serving");
        loop {
            let (files, store, seen) = (&mut self.files, &self.store, self.seen);
            let keep_at = self.keep_at;
            let (vaults, secrets_seen) = (&self.vaults, self.secrets_seen);
            let asks = &mut self.asks;
            let wake = self.control.block_on(async {
                tokio::select! {
                    signal = signals.next() => Wake::Signal(signal),
                    change = files.changed() => Wake::Changed(change.files),
                    Some(ask) = next(asks) => Wake::Asked(ask),
                    changes = store.changed(seen) => Wake::Stored(changes),
                    () = vaults.changed(secrets_seen) => Wake::Secrets,
                    () = due(keep_at) => Wake::Keep,
                }
            });
            match wake {
                Wake::Signal(Signal::Reload) => self.read_again(&[]),
                // Any object may hold one, whether it changed or not.
                Wake::Secrets => self.reload(&[]),
                Wake::Stored(changes) => {
                    self.take(&changes);
                    if self.seen == seen {
                        // The store could not be read: it would tell of the same change at once.
                        self.control.block_on(tokio::time::sleep(STORE_PAUSE));
                    }
                }
                Wake::Keep => self.keep(),
                Wake::Changed(files) => self.read_again(&files),
                Wake::Asked(ask) => self.answer(ask),
                Wake::Signal(Signal::Reopen) => {
                    self.logs.reopen();
                    self.gateway.reopen_sinks();
                }
                Wake::Signal(Signal::Stop) => break,
            }
        }
        let impatience = self.control.spawn(async move {
            while signals.next().await != Signal::Stop {}
            tracing::warn!("told to stop again: what still runs is cut");
            std::process::exit(1);
        });
        self.stop();
        impatience.abort();
        Ok(())
    }

    /// Drains and stops.
    pub(crate) fn stop(mut self) {
        self.keep();
        let Self { control, running, readiness, logs, status, gateway, keys, admin, asks, .. } =
            self;
        readiness.draining();
        logs.tell(EventKind::Node, "draining".to_owned());
        tracing::info!("draining");
        // Who waits for a change is told that it is not made.
        drop(asks);
        if let Some(admin) = admin {
            admin.stop(&control);
        }
        running.shutdown();
        logs.tell(EventKind::Node, "stopped".to_owned());
        if let Some(status) = status {
            status.stop(&control);
        }
        drop(gateway);
        if let Some(keys) = keys {
            keys.stop(&control);
        }
        logs.close();
        tracing::info!("stopped");
    }

    /// Reads the resources again and puts them into force, as far as they are in order.
    fn reload(&mut self, changed: &[PathBuf]) {
        let record = Record::default();
        let ledger = self.ledger.take();
        if let Some(ledger) = ledger.filter(|_| self.config.on_invalid() == OnInvalid::Quarantine) {
            self.last_good = LastGood::of_ledger(&ledger);
        }
        let mut outcome = self.try_reload(&record);
        self.watch_again(&record, changed);
        self.record = record;
        (self.ledger, self.pages) = kept(&mut outcome);
        self.keep_at = None;
        if let Ok(settled) = &mut outcome {
            self.remember(&mut settled.applied.report);
        }
        self.tell(&outcome);
    }

    fn try_reload(&mut self, record: &Record) -> Result<Settled, Failure> {
        record.ask(Arc::clone(&self.vaults));
        self.secrets_seen = self.vaults.begin();
        let loader = load::loader(record);
        let (mut node, draft) = match load::draft(&self.config.path, &loader) {
            Ok(read) => read,
            Err(failure) => {
                // The file that is at fault is watched; what the store holds waits for it.
                if let Ok(snapshot) = self.control.block_on(self.store.snapshot()) {
                    self.seen = snapshot.revision;
                }
                return Err(failure);
            }
        };
        self.overrides.node(&mut node);
        let settling = Settling {
            gateway: &self.gateway,
            node: &node,
            on_invalid: self.config.on_invalid(),
            overrides: &self.overrides,
            loader: &loader,
            fetch: &|| self.control.block_on(self.vaults.fetch()),
        };
        let (seen, outcome) =
            settle_all(&self.control, &self.store, &settling, draft, &mut self.last_good);
        self.seen = seen.unwrap_or(self.seen);
        if outcome.is_ok() {
            self.vaults.end();
        }
        outcome
    }

    /// Answers what the Admin API asks; whoever asked may be gone.
    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Propose(proposal, told) => {
                let _ = told.send(self.take_proposal(proposal));
            }
            Ask::Judge { document, is_yaml, told } => {
                let _ = told.send(self.judge_document(&document, is_yaml));
            }
        }
    }

    /// Keeps what is said of the routes in force, where the Admin API holds changes against it.
    fn remember(&mut self, report: &mut Report) {
        if self.admin.is_some() {
            self.report.routes = std::mem::take(&mut report.routes);
        }
    }

    /// Tells everyone how a change ended.
    fn tell(&mut self, outcome: &Result<Settled, Failure>) {
        self.gateway.count(outcome.is_ok());
        match outcome {
            Ok(settled) => self.tell_applied(settled),
            Err(failure) => {
                let text = failure.lines();
                self.readiness.refused(self.logs.clock.now(), &text);
                self.logs.tell(EventKind::Reload, format!("refused: {text}"));
                for line in text.lines() {
                    tracing::error!("the change is refused: {line}");
                }
            }
        }
    }

    fn tell_applied(&mut self, settled: &Settled) {
        let Settled { applied, quarantined, names, .. } = settled;
        self.quarantined.clone_from(names);
        for warning in &applied.report.warnings {
            tracing::warn!(help = warning.help, "{}", warning.problem);
        }
        for line in quarantined {
            tracing::error!("in quarantine: {line}");
        }
        let generation = applied.generation;
        self.metrics.quarantined.set(i64::try_from(quarantined.len()).unwrap_or(i64::MAX));
        self.readiness.loaded(generation, self.logs.clock.now(), quarantined.clone());
        if generation > 1 || !quarantined.is_empty() {
            let aside = match quarantined.len() {
                0 => String::new(),
                count => format!(", {count} in quarantine"),
            };
            self.logs.tell(EventKind::Reload, format!("applied as generation {generation}{aside}"));
            tracing::info!(generation, "reloaded{aside}");
        } else if !self.store.is_files() {
            tracing::info!(generation, "applied what the store holds");
        }
    }

    /// Watches what was read now, and what is read at the start only.
    fn watch_again(&mut self, record: &Record, changed: &[PathBuf]) {
        for path in &self.own_files {
            if *path == self.config.path && changed.contains(path) {
                let file = path.display().to_string();
                tracing::warn!(
                    file,
                    "of the node itself, only certificates and resources change before the next \
                     start"
                );
            }
            if record.has(path) {
                continue;
            }
            record.look(path, self.config.limits.document.0);
        }
        look_at_all(record, &self.gateway, self.config.limits.document.0);
        self.files.watch(record.files());
    }
}

/// What the next change is judged by.
fn kept(outcome: &mut Result<Settled, Failure>) -> (Option<Ledger>, Option<Pages>) {
    let Ok(settled) = outcome else { return (None, None) };
    (settled.ledger.take(), settled.pages.take())
}

/// Waits until then; for ever, where there is nothing to do.
async fn due(at: Option<tokio::time::Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What is asked next; nothing ever, where nobody can ask.
async fn next(asks: &mut Option<mpsc::Receiver<Ask>>) -> Option<Ask> {
    match asks {
        Some(asks) => asks.recv().await,
        None => std::future::pending().await,
    }
}

fn control_runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|cause| Failure::new(format!("no threads can be started: {cause}")))
}

/// Where the documents of resources are, if they are not in the node file.
fn documents(config: &NodeConfig) -> Option<&Path> {
    match &config.store {
        Some(Store::File { path }) => Some(path),
        _ => None,
    }
}

/// Puts into force what is in the node's documents and its store. Gives the revision of the store
/// too, where it could be read.
fn settle_all(
    control: &Runtime,
    store: &NodeStore,
    settling: &Settling<'_>,
    mut draft: Draft,
    last_good: &mut LastGood,
) -> (Option<u64>, Result<Settled, Failure>) {
    let snapshot = match control.block_on(store.snapshot()) {
        Ok(snapshot) => snapshot,
        Err(error) => return (None, Err(Failure::new(error.to_string()))),
    };
    stores::add(&mut draft, &snapshot);
    let settled = settling.settle(draft, last_good);
    if settled.is_ok() {
        let stand_ins = (settling.on_invalid == OnInvalid::Quarantine).then_some(&*last_good);
        store.keep(&snapshot, stand_ins);
    }
    (Some(snapshot.revision), settled)
}

/// What a gateway is made of.
pub(crate) fn settings(
    config: &NodeConfig,
    logs: &Logs,
    metrics: &SharedMetrics,
    registry: &SharedRegistry,
    dialer: Dialer,
) -> GatewaySettings {
    GatewaySettings {
        node: config.clone(),
        clock: logs.clock.clone(),
        audit: logs.audit.clone(),
        access: logs.access.clone(),
        metrics: metrics.clone(),
        registry: Arc::clone(registry),
        // It lives as long as the process: credentials are indexed anew at every load.
        key: NodeKey::random(),
        base_dir: config.path.parent().unwrap_or(Path::new("")).to_owned(),
        dialer,
        cpu: CpuPool::new(&config.limits),
        reach: None,
        hostname: telemetry::hostname(),
    }
}

/// The status listener at work.
struct Status {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Status {
    fn start(
        control: &Runtime,
        config: &NodeConfig,
        readiness: &Readiness,
        registry: SharedRegistry,
        pages: FindPage,
    ) -> Result<Option<Self>, Failure> {
        let Some(status) = &config.status else { return Ok(None) };
        let address = status.address;
        let bound = StatusServer::bind(address, readiness.clone(), registry);
        let server = control
            .block_on(bound)
            .map_err(|cause| not_bound(&BindError { address, cause }, "status listener"))?
            .with_pages(pages);
        let address = server.local_addr().unwrap_or(address);
        let (stop, stopped) = oneshot::channel();
        let task = control.spawn(server.serve(async {
            // A sender that is gone means the same.
            let _ = stopped.await;
        }));
        Ok(Some(Self { address, stop, task }))
    }

    fn stop(self, control: &Runtime) {
        let _ = self.stop.send(());
        if control.block_on(self.task).is_err() {
            tracing::error!("the status listener ended by a panic");
        }
    }
}

/// Watches what plugins have read, such as key sets.
fn look_at_all(record: &Record, gateway: &Gateway, limit: u64) {
    for path in gateway.take_files() {
        record.look(&path, limit);
    }
}

/// Why a port cannot be had, and whom to ask.
fn not_bound(error: &BindError, what: &str) -> Failure {
    let BindError { address, cause } = error;
    let failure =
        Failure::new(format!("the {what} `{address}` cannot be opened: {}", plain(cause)));
    match cause.kind() {
        std::io::ErrorKind::AddrInUse => failure.with_help(format!(
            "another process has it: `ss -ltnp 'sport = :{}'` says which",
            address.port()
        )),
        std::io::ErrorKind::PermissionDenied => failure.with_help(
            "ports below 1024 need a privilege: `setcap cap_net_bind_service=+ep` on the binary, \
             or another port",
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            failure.with_help("no interface of this machine has that address: `ip addr` lists them")
        }
        _ => failure,
    }
}
