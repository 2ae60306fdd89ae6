//! A gateway on ports of its own, and what it wrote.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use bartizan_audit::{AuditLog, AuditOptions, Event, EventKind, Target};
use bartizan_chain::CpuPool;
use bartizan_config::{Loader, NodeConfig, Resources, one_line};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, NodeKey};
use bartizan_plugins::Catalogue;
use bartizan_proxy::{Dial, Dialer, GatewaySettings, Running};
use prometheus_client::registry::Registry;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::{Client, until};

/// Begins the detail of the event that marks how far the log is written.
const MARK: &str = "wire mark ";

/// What a gateway is made of.
#[derive(Clone)]
pub(crate) struct Setup {
    listeners: String,
    limits: String,
    /// Registries of servers.
    discovery: String,
    workers: u32,
    /// How upstreams are reached, where not over the network as ever.
    dialer: Option<Dialer>,
}

impl Default for Setup {
    fn default() -> Self {
        let listeners = "{address: '127.0.0.1:0'}".to_owned();
        let discovery = "{}".to_owned();
        Self { listeners, limits: String::new(), discovery, workers: 1, dialer: None }
    }
}

impl Setup {
    /// Other listeners than one in clear on the loopback, each in YAML's flow style.
    pub(crate) fn listeners(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.listeners);
        self
    }

    /// Limits, in YAML's flow style without the braces.
    pub(crate) fn limits(mut self, yaml: &str) -> Self {
        self.limits = format!(", {yaml}");
        self
    }

    /// Registries of servers, in YAML's flow style.
    pub(crate) fn discovery(mut self, yaml: &str) -> Self {
        yaml.clone_into(&mut self.discovery);
        self
    }

    pub(crate) fn workers(mut self, workers: u32) -> Self {
        self.workers = workers;
        self
    }

    /// Another way to reach upstreams, made once for each worker.
    pub(crate) fn dialer<D: Dial + 'static>(
        mut self,
        make: impl Fn() -> D + Send + Sync + 'static,
    ) -> Self {
        self.dialer = Some(Dialer::Custom(Arc::new(move || Box::new(make()))));
        self
    }

    /// A gateway that serves these resources.
    pub(crate) fn serve(self, resources: &str) -> Gateway {
        Gateway::start(self.node(), self.dialer, resources)
    }

    fn node(&self) -> NodeConfig {
        let text = format!(
            "listeners: [{}]\nworkers: {}\nresources: {{}}\nlimits: {{audit_fold: 1000000{}}}\n\
             discovery: {}\n",
            self.listeners, self.workers, self.limits, self.discovery,
        );
        let loaded = Loader::new(&Catalogue).node_text(Path::new("bartizan.yaml"), &text);
        loaded.unwrap_or_else(|failure| refused(&failure)).node
    }
}

/// A gateway that serves.
pub(crate) struct Gateway {
    inner: Arc<bartizan_proxy::Gateway>,
    running: Option<Running>,
    node: NodeConfig,
    audit: AuditLog,
    log: MemoryLog,
    registry: Arc<Mutex<Registry>>,
    _control: Runtime,
}

impl Gateway {
    /// A gateway with nothing but what is needed.
    pub(crate) fn serving(resources: &str) -> Self {
        Setup::default().serve(resources)
    }

    fn start(node: NodeConfig, dialer: Option<Dialer>, resources: &str) -> Self {
        let metrics = SharedMetrics::default();
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let registry = Arc::new(Mutex::new(registry));
        let log = MemoryLog::default();
        let targets = vec![Target::Writer(Box::new(log.clone()))];
        let options = AuditOptions::new(targets, &node.limits, metrics.clone());
        let audit = AuditLog::open(options).expect("an audit log in memory");
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let settings = GatewaySettings {
            node: node.clone(),
            clock: Clock::System,
            audit: audit.clone(),
            access: None,
            metrics,
            registry: registry.clone(),
            key: NodeKey::random(),
            base_dir: std::env::temp_dir(),
            dialer: dialer.unwrap_or_else(|| Dialer::Network(control.handle().clone())),
            cpu: CpuPool::new(&node.limits),
            reach: None,
            hostname: "gateway.test".to_owned(),
        };
        let inner = match bartizan_proxy::Gateway::new(settings) {
            Ok(inner) => inner,
            Err(faults) => panic!("the node file does not compile: {faults:?}"),
        };
        let mut gateway =
            Self { inner, running: None, node, audit, log, registry, _control: control };
        gateway.apply(resources);
        gateway.running = Some(gateway.inner.start().expect("free ports"));
        gateway
    }

    /// Puts other resources into force.
    pub(crate) fn apply(&self, resources: &str) {
        if let Err(faults) = self.inner.apply(&self.read(resources)) {
            panic!("the resources do not compile: {faults:?}\n{resources}");
        }
    }

    /// The same, with the listeners' certificates of another node file.
    pub(crate) fn apply_renewed(&self, setup: &Setup, resources: &str) {
        if let Err(faults) = self.inner.apply_renewed(&setup.node(), &self.read(resources)) {
            panic!("not renewed: {faults:?}\n{resources}");
        }
    }

    fn read(&self, resources: &str) -> Resources {
        let path = Path::new("resources.yaml");
        let loaded = Loader::new(&Catalogue).resources_text(&self.node, path, resources);
        loaded.unwrap_or_else(|failure| refused(&failure)).resources
    }

    pub(crate) fn running(&self) -> &Running {
        self.running.as_ref().expect("a gateway that serves")
    }

    /// Where the first listener is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running().addresses()[0]
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    /// Sends these bytes on a connection of their own and gives what comes back first.
    #[track_caller]
    pub(crate) fn ask(&self, bytes: impl AsRef<[u8]>) -> super::Reply {
        let mut client = self.connect();
        client.send(bytes);
        client.reply("GET")
    }

    /// Every event so far, once no client is connected: then nothing is under way.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        until("no client is connected", || self.running().connections() == 0);
        self.events_now()
    }

    /// Every event so far.
    pub(crate) fn events_now(&self) -> Vec<Value> {
        self.log.read(&self.audit)
    }

    /// The one event that there is, once no client is connected.
    #[track_caller]
    pub(crate) fn only_event(&self) -> Value {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:#?}");
        events.remove(0)
    }

    /// What a scrape would get.
    pub(crate) fn metrics(&self) -> String {
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string");
        text
    }

    /// Drains and waits for the end.
    pub(crate) fn shut_down(mut self) {
        self.running.take().expect("a gateway that serves").shutdown();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = &self.running {
            running.drain();
        }
    }
}

fn refused(failure: &bartizan_config::Failure) -> ! {
    let problems = failure.diagnostics.iter().map(|problem| one_line(&failure.sources, problem));
    panic!("{}", problems.collect::<Vec<_>>().join("\n"))
}

/// A route for everything, open to everyone, to one upstream node; further keys of the upstream in
/// YAML's flow style, with a comma before them.
pub(crate) fn open_route(node: SocketAddr, upstream: &str) -> String {
    format!(
        "\
routes:
- id: open
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{nodes: {{'{node}': 1}}{upstream}}}
"
    )
}

/// A text as YAML's flow style takes it, line ends and all.
pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// What the audit log wrote.
#[derive(Clone, Default)]
struct MemoryLog {
    bytes: Arc<Mutex<Vec<u8>>>,
    marks: Arc<Mutex<u64>>,
}

impl Write for MemoryLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MemoryLog {
    fn text(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every event recorded so far. A mark is sent behind them; when it is written, they are.
    fn read(&self, log: &AuditLog) -> Vec<Value> {
        let mark = {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            *marks += 1;
            format!("{MARK}{}.", *marks)
        };
        let mut event = Event::new(EventKind::Node, Clock::System.now());
        event.detail = Some(mark.clone().into());
        log.record(event);
        until("the audit log is written", || self.text().contains(&mark));
        let text = self.text();
        let lines = text.lines().filter(|line| !line.contains(MARK));
        lines.map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}
