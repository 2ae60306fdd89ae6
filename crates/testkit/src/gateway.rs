//! The gateway of a test.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_audit::{AuditLog, AuditOptions, Target};
use bartizan_chain::{CpuPool, TlsFacts};
use bartizan_config::NodeConfig;
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, ManualClock, NodeKey, Timestamp};
use bartizan_proxy::{Applied, Dialer, GatewaySettings, InProcess};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::LocalSet;

use crate::client::{CLIENT, Connection, Request};
use crate::events::MemoryLog;
use crate::load::{self, Refusal, Things};
use crate::remotes::Remotes;
use crate::upstream::{self, Upstream};

/// The wall time at which every gateway of a test starts: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_secs(1_767_225_600);

/// How often tasks get their turn before a test looks at what they did. Everything is in memory,
/// so that a few turns are enough for what is under way to come to rest.
const TURNS: usize = 32;

/// Runs a test on one thread, with tokio's clock standing still while anything can go on.
pub fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, test)
}

/// Lets every task go on until it waits.
pub(crate) async fn settle() {
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
}

/// What a gateway is made of.
#[derive(Clone, Debug, Default)]
pub struct GatewayBuilder {
    node: String,
    resources: String,
    things: Things,
}

impl GatewayBuilder {
    /// Keys of the node file as YAML, beside those that a test needs.
    #[must_use]
    pub fn node(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.node);
        self
    }

    /// The resources as YAML.
    #[must_use]
    pub fn resources(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.resources);
        self
    }

    /// A file beside the configuration, for `$file://` and for plugins that read files.
    #[must_use]
    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.things.files.insert(path.to_owned(), content.to_owned());
        self
    }

    /// An environment variable, for `$env://`.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.things.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A gateway with this configuration in force; panics where it is refused.
    pub fn start(self) -> Gateway {
        self.try_start().unwrap_or_else(|refusal| panic!("{refusal}"))
    }

    /// A gateway with this configuration in force.
    pub fn try_start(self) -> Result<Gateway, Refusal> {
        let gateway = Gateway::idle(&self.node, self.things)?;
        gateway.reload(&self.resources)?;
        Ok(gateway)
    }
}

/// A gateway, its client and its upstream, all in the test's own thread.
pub struct Gateway {
    inner: Arc<bartizan_proxy::Gateway>,
    process: InProcess,
    node: NodeConfig,
    things: Things,
    folder: TempDir,
    clock: ManualClock,
    audit: AuditLog,
    log: MemoryLog,
    registry: Arc<Mutex<Registry>>,
    upstream: Upstream,
    remotes: Remotes,
}

impl Gateway {
    /// A gateway with these resources and an ordinary node; panics where they are refused.
    pub fn of(resources: &str) -> Self {
        Self::builder().resources(resources).start()
    }

    /// What a gateway is made of, one by one.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// A gateway without resources. Inside [`run`] only.
    pub(crate) fn idle(node: &str, things: Things) -> Result<Self, Refusal> {
        let node = load::node(node, &things)?;
        let folder = folder(&things);
        let clock = ManualClock::at(START);
        let metrics = SharedMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let registry = Arc::new(Mutex::new(registry));
        let log = MemoryLog::default();
        let targets = vec![Target::Writer(Box::new(log.clone()))];
        let options = AuditOptions {
            clock: Clock::Manual(clock.clone()),
            ..AuditOptions::new(targets, &node.limits, metrics.clone())
        };
        let audit = AuditLog::open(options).expect("an audit log in memory");
        let upstream = Upstream::default();
        let dialled = upstream.clone();
        let remotes = Remotes::default();
        let settings = GatewaySettings {
            node: node.clone(),
            clock: Clock::Manual(clock.clone()),
            audit: audit.clone(),
            access: None,
            metrics,
            registry: registry.clone(),
            key: NodeKey::random(),
            base_dir: folder.path().to_owned(),
            dialer: Dialer::Custom(Arc::new(move || Box::new(upstream::Dialer(dialled.clone())))),
            // Threads would be waited for, and a paused clock runs on while everything waits.
            cpu: CpuPool::inline(&node.limits),
            reach: Some(Arc::new(remotes.clone())),
            hostname: "gateway.test".to_owned(),
        };
        let inner = bartizan_proxy::Gateway::new(settings)
            .map_err(|faults| Refusal::compiling(bartizan_config::Sources::new(), &faults))?;
        let process = InProcess::new(&inner);
        Ok(Self {
            inner,
            process,
            node,
            things,
            folder,
            clock,
            audit,
            log,
            registry,
            upstream,
            remotes,
        })
    }

    /// Puts other resources into force; where they are refused the old ones stay.
    pub fn reload(&self, resources: &str) -> Result<Applied, Refusal> {
        let (resources, sources) = load::resources(&self.node, resources, &self.things)?;
        self.inner.apply(&resources).map_err(|faults| Refusal::compiling(sources, &faults))
    }

    /// The upstream that every node is.
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// The servers outside that plugins ask and send to.
    pub fn remotes(&self) -> &Remotes {
        &self.remotes
    }

    /// The folder that relative paths start from.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The files that the test itself put there.
    pub(crate) fn own_files(&self) -> impl Iterator<Item = &String> {
        self.things.files.keys().chain(self.things.databases.keys())
    }

    /// A request of any method.
    pub fn request(&self, method: &str, target: &str) -> Request<'_> {
        Request::new(self, method, target)
    }

    /// A GET request.
    pub fn get(&self, target: &str) -> Request<'_> {
        self.request("GET", target)
    }

    /// A POST request.
    pub fn post(&self, target: &str) -> Request<'_> {
        self.request("POST", target)
    }

    /// Bytes in place of a request, however malformed.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> Request<'_> {
        Request::raw(self, bytes.as_ref())
    }

    /// A connection that stays open, from the usual client.
    pub fn open(&self) -> Connection {
        Connection::new(self.connect(SocketAddr::from(CLIENT), None))
    }

    /// A connection of HTTP/2 that nothing was sent on, from the usual client.
    pub fn open_http2(&self) -> tokio::io::DuplexStream {
        self.process.connect_http2(SocketAddr::from(CLIENT))
    }

    pub(crate) fn connect(
        &self,
        from: SocketAddr,
        tls: Option<TlsFacts>,
    ) -> tokio::io::DuplexStream {
        self.process.connect_with(from, tls)
    }

    /// Every event so far, in order.
    pub fn events(&self) -> Vec<Value> {
        self.log.read(&self.audit)
    }

    /// What a scrape would get, in the text format of Prometheus.
    pub fn metrics(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string");
        text
    }

    /// The wall time.
    pub fn now(&self) -> Timestamp {
        Clock::Manual(self.clock.clone()).now()
    }

    /// Moves wall time and timers on.
    pub async fn advance(&self, by: Duration) {
        self.clock.advance(by);
        tokio::time::advance(by).await;
        settle().await;
    }
}

/// A folder with the files that plugins read themselves.
fn folder(things: &Things) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let texts = things.files.iter().map(|(path, text)| (path, text.as_bytes()));
    let databases = things.databases.iter().map(|(path, bytes)| (path, bytes.as_slice()));
    for (path, content) in texts.chain(databases) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}
