//! The start of a node.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use bartizan_admin::{Readiness, SharedRegistry};
use bartizan_audit::EventKind;
use bartizan_chain::CpuPool;
use bartizan_config::{Draft, Ledger, NodeConfig, Pages};
use bartizan_core::NodeKey;
use bartizan_core::metrics::SharedMetrics;
use bartizan_proxy::{Dialer, Gateway, GatewaySettings, Running};
use bartizan_secrets::Managers;
use bartizan_store::FileWatch;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::board::Board;
use super::key_uses::Sharing;
use super::operators::Keys;
use super::plane::{self, AdminApi, Around, Ask};
use super::reload::{give_back, settle_all, stand_all};
use super::settle::{LastGood, Settled, Settling};
use super::status::{Status, not_bound};
use super::stores::NodeStore;
use super::{Node, documents, look_at_all};
use crate::failure::Failure;
use crate::load::{self, Record};
use crate::logs::Logs;
use crate::overrides::Overrides;
use crate::signals::Signals;
use crate::telemetry;

/// Threads of the control runtime.
const CONTROL_THREADS: usize = 2;

/// A node before its configuration is in force.
struct Begun {
    config: NodeConfig,
    overrides: Overrides,
    record: Record,
    metrics: SharedMetrics,
    registry: SharedRegistry,
    logs: Logs,
    control: Runtime,
    gateway: Arc<Gateway>,
    keys: Option<Keys>,
    store: Arc<NodeStore>,
    managers: Arc<Managers>,
}

/// What is open to others.
struct Fronts {
    readiness: Readiness,
    board: Board,
    status: Option<Status>,
    admin: Option<(AdminApi, mpsc::Receiver<Ask>)>,
    running: Running,
}

impl Node {
    /// Reads a node file and serves it, for [`Self::serve_until_stopped`]: signals are heeded from
    /// before the ports open, so that none of them ends a process which serves already.
    pub(crate) fn start_to_serve(path: &Path, overrides: Overrides) -> Result<Self, Failure> {
        Self::start_and(path, overrides, true)
    }

    /// Reads a node file and serves it for a while, in which signals mean what they always do.
    pub(crate) fn start(path: &Path, overrides: Overrides) -> Result<Self, Failure> {
        Self::start_and(path, overrides, false)
    }

    fn start_and(path: &Path, overrides: Overrides, heeds: bool) -> Result<Self, Failure> {
        let (begun, draft, port) = Begun::read(path, overrides)?;
        let Begun { control, store, managers, .. } = &begun;
        let mut last_good = control.block_on(store.begin());
        let secrets_seen = managers.begin();
        let loader = load::loader(&begun.record);
        let settling = Settling {
            gateway: &begun.gateway,
            node: &begun.config,
            on_invalid: begun.config.on_invalid(),
            overrides: &begun.overrides,
            loader: &loader,
            fetch: &|| control.block_on(managers.fetch()),
        };
        let (snapshot, first) = settle_all(control, store, &settling, draft, &last_good);
        // Whoever wrote files is there to read the answer; other stores may be in order later.
        let mut first = match first {
            Err(failure) if store.is_files() => return Err(failure),
            first => first,
        };
        if let Ok(settled) = &first {
            managers.end();
            managers.know(settled.managers());
        }
        let signals = heeds.then(|| control.block_on(async { Signals::listen() })).transpose()?;
        let fronts = begun.open(port, first.as_mut().ok())?;
        let snapshot = snapshot.as_ref();
        let standing = stand_all(store, &settling, snapshot, &mut first, &mut last_good);
        let seen = snapshot.map_or(0, |snapshot| snapshot.revision);
        give_back(control);
        let mut node = begun.into_node(fronts, [seen, secrets_seen], last_good, standing);
        node.signals = signals;
        node.logs.tell(EventKind::Node, format!("started on {}", node.listed_addresses()));
        node.tell(&first);
        Ok(node)
    }
}

impl Begun {
    /// Reads a node file, and the documents of its resources. Gives the port of the Admin API too.
    fn read(
        path: &Path,
        overrides: Overrides,
    ) -> Result<(Self, Draft, Option<TcpListener>), Failure> {
        let record = Record::default();
        let (mut config, draft) = load::draft(path, &load::loader(&record))?;
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
        let managers = load::managers(&config, control.handle(), &logs.clock, &metrics);
        record.ask(Arc::clone(&managers));
        let begun = Self {
            config,
            overrides,
            record,
            metrics,
            registry,
            logs,
            control,
            gateway,
            keys,
            store,
            managers,
        };
        Ok((begun, draft, port.map(|(listener, _)| listener)))
    }

    /// Opens every port, those of the gateway last.
    fn open(
        &self,
        port: Option<TcpListener>,
        settled: Option<&mut Settled>,
    ) -> Result<Fronts, Failure> {
        let Self { config, control, gateway, logs, store, .. } = self;
        let (readiness, board) = (Readiness::new(), Board::of(gateway));
        if let (Some(settled), Some(_)) = (settled, &port) {
            board.replace(std::mem::take(&mut settled.applied.report.routes));
        }
        let pages = Arc::new(gateway.pages());
        let registry = Arc::clone(&self.registry);
        let status = Status::start(control, config, &readiness, registry, pages)?;
        let mut admin = None;
        if let (Some(settings), Some(listener), Some(keys)) = (&config.admin, port, &self.keys) {
            let (managers, readiness, board) = (&self.managers, &readiness, &board);
            let around = Around { store, managers, logs, readiness, board };
            let uses = gateway.key_uses();
            let started = AdminApi::start(control, listener, config, settings, keys, uses, around);
            admin = Some(started?);
        }
        let running = gateway.start().map_err(|error| not_bound(&error, "listener"))?;
        Ok(Fronts { readiness, board, status, admin, running })
    }

    fn into_node(
        self,
        fronts: Fronts,
        [seen, secrets_seen]: [u64; 2],
        last_good: LastGood,
        (ledger, pages): (Option<Ledger>, Option<Pages>),
    ) -> Node {
        let Self { config, overrides, record, metrics, logs, control, gateway, .. } = self;
        let Fronts { readiness, board, status, admin, running } = fronts;
        let (admin, asks) = admin.unzip();
        let limit = config.limits.document.0;
        let own_files = record.before(documents(&config));
        look_at_all(&record, &gateway, limit);
        let is_told = config.api_keys.is_some() && !self.store.is_files();
        let sharing = is_told.then(|| Sharing {
            store: Arc::clone(&self.store),
            uses: gateway.key_uses(),
            clock: logs.clock.clone(),
        });
        if let Some(sharing) = &sharing {
            control.spawn(sharing.clone().run());
        }
        Node {
            own_files,
            files: FileWatch::new(record.files(), limit),
            store: self.store,
            seen,
            last_good,
            ledger,
            pages,
            record,
            keep_at: None,
            keep_cost: std::time::Duration::ZERO,
            managers: self.managers,
            secrets_seen,
            board,
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
            sharing,
            keys: self.keys,
            admin,
            asks,
            signals: None,
        }
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
