//! What tests compile and ask: a node, resources as people write them, requests without sockets.

use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bartizan_chain::{
    Arrival, BodySource, CpuPool, Matched, NodeFacts, Peer, RequestCx, Run, Screening,
    StateRegistry,
};
use bartizan_config::{Loader, NodeConfig, Resources, Sources};
use bartizan_core::{Clock, Denial, ManualClock, NodeKey, Reason, RequestId, Timestamp};
use bartizan_plugins::Catalogue;
use bartizan_wire::{
    BodyLength, Canonical, ConnectionUse, Fields, PathPolicy, RequestHead, Version,
};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::snapshot::{CompileFault, Compiler, Route, Snapshot};

/// When tests happen.
pub(super) const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A node that follows `security`, with one loopback listener.
pub(super) fn node_with(security: &Value) -> Value {
    json!({ "listeners": [{ "address": "127.0.0.1:9080" }], "security": security })
}

/// A node with the defaults, and a registry of servers.
pub(super) fn node() -> Value {
    let dns = json!({ "servers": ["127.0.0.1"] });
    json!({ "listeners": [{ "address": "127.0.0.1:9080" }], "discovery": { "dns": dns } })
}

/// A node, and a compiler that lives as long as its process would.
pub(super) struct Bench {
    pub(super) facts: Arc<NodeFacts>,
    pub(super) compiler: Compiler,
    pub(super) node: NodeConfig,
}

impl Bench {
    pub(super) fn new(node: &Value) -> Self {
        match Self::try_new(node) {
            Ok(bench) => bench,
            Err(faults) => panic!("{faults:?}"),
        }
    }

    pub(super) fn try_new(node: &Value) -> Result<Self, Vec<CompileFault>> {
        let mut with_resources = node.clone();
        with_resources["resources"] = json!({});
        let text = with_resources.to_string();
        let loaded = Loader::new(&Catalogue).node_text(Path::new("node.json"), &text);
        let node = loaded.unwrap_or_else(|failure| panic!("{:?}", failure.diagnostics)).node;
        let facts = Arc::new(NodeFacts {
            compatibility: node.compatibility,
            limits: node.limits.clone(),
            clock: Clock::Manual(ManualClock::at(NOW)),
            key: NodeKey::new(&[7; 32]),
            hash_keys: bartizan_core::HashKeys::default(),
            key_uses: bartizan_chain::KeyUses::default(),
            metrics: Arc::default(),
            registry: StateRegistry::default(),
            cpu: CpuPool::inline(&node.limits),
            base_dir: PathBuf::new(),
            files: bartizan_chain::FilesRead::default(),
            started: bartizan_core::Timestamp::from_secs(0),
            counts: Arc::default(),
            pages: bartizan_chain::Pages::default(),
            outside: bartizan_chain::Outside::default(),
            redactor: Arc::default(),
        });
        Ok(Self { compiler: Compiler::new(facts.clone(), &node)?, facts, node })
    }

    /// Reads resources; `None` where they are wrong before anything is compiled.
    pub(super) fn read(&self, resources: &Value) -> Option<(Resources, Sources)> {
        let loader = Loader::new(&Catalogue);
        let text = resources.to_string();
        let read = loader.resources_text(&self.node, Path::new("resources.json"), &text).ok()?;
        Some((read.resources, read.sources))
    }

    /// Compiles resources that are well formed.
    pub(super) fn try_compile(&self, written: &Value) -> Result<Snapshot, Vec<CompileFault>> {
        let loader = Loader::new(&Catalogue);
        let text = written.to_string();
        let path = Path::new("resources.json");
        let read = loader.resources_text(&self.node, path, &text);
        let read = read.unwrap_or_else(|failure| panic!("{:#?}", failure.diagnostics));
        self.compiler.compile(&read.resources, 1, None)
    }

    pub(super) fn compile(&self, written: &Value) -> Snapshot {
        self.try_compile(written).unwrap_or_else(|faults| panic!("{faults:#?}"))
    }

    /// What is wrong with resources.
    pub(super) fn problems(&self, written: &Value) -> Vec<String> {
        match self.try_compile(written) {
            Ok(_) => Vec::new(),
            Err(faults) => faults.into_iter().map(|fault| fault.problem).collect(),
        }
    }
}

/// An upstream on this machine.
pub(super) fn local() -> Value {
    json!({ "nodes": { "127.0.0.1:1980": 1 } })
}

/// A route for `/<id>` and all below, with an upstream on this machine.
pub(super) fn route(id: &str, plugins: &Value) -> Value {
    json!({
        "id": id, "uris": [format!("/{id}"), format!("/{id}/*")],
        "upstream": local(), "plugins": plugins
    })
}

/// The declaration that opens a route.
pub(super) fn open() -> Value {
    json!({ "anonymous-access": { "reason": "public" } })
}

/// What a route needs to be served by default.
pub(super) fn guarded() -> Value {
    json!({ "key-auth": {}, "any-authenticated": { "reason": "customers" } })
}

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It would have been sent to the upstream of this route.
    Forwarded(String),
    /// A plugin answered with this status.
    Answered(u16),
    Denied(Reason),
    Missed,
}

/// A request.
pub(super) struct Probe<'a> {
    pub(super) method: Method,
    pub(super) target: &'a str,
    pub(super) fields: &'a [(&'a str, &'a str)],
    pub(super) client: IpAddr,
}

impl<'a> Probe<'a> {
    pub(super) fn get(target: &'a str) -> Self {
        Self { method: Method::GET, target, fields: &[], client: IpAddr::from([192, 0, 2, 1]) }
    }

    pub(super) fn with(self, fields: &'a [(&'a str, &'a str)]) -> Self {
        Self { fields, ..self }
    }

    pub(super) fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    pub(super) fn from(self, client: &str) -> Self {
        Self { client: client.parse().unwrap(), ..self }
    }

    fn cx(&self, snapshot: &Snapshot, node: &NodeFacts) -> RequestCx {
        let mut fields = Fields::new();
        fields.append("host", "a.example");
        for (name, value) in self.fields {
            let owned = |text: &str| Bytes::copy_from_slice(text.as_bytes());
            fields.append(owned(name), owned(value));
        }
        let head = RequestHead {
            method: self.method.clone(),
            target: Bytes::copy_from_slice(self.target.as_bytes()),
            authority: None,
            scheme: None,
            version: Version::Http11,
            fields,
            body: BodyLength::None,
            connection: ConnectionUse::KeepAlive,
            expects_continue: false,
            handshake: bartizan_wire::Handshake::Absent,
        };
        let canonical = Canonical::from_request(&head, false, PathPolicy::default()).unwrap();
        let arrival = Arrival {
            id: RequestId::from_bytes([1; 16]),
            received: NOW,
            clock: node.clock.clone(),
            version: head.version,
            peer: Arc::new(Peer::new(
                (self.client, 5_000).into(),
                ([127, 0, 0, 1], 9_080).into(),
                None,
            )),
            client: self.client,
            canonical,
            fields: head.fields,
            consumers: snapshot.consumers.clone(),
            declared_length: None,
            body_max: node.limits.body.0,
            https_port: None,
            trusts_forwarded: false,
        };
        RequestCx::new(arrival, None)
    }

    /// The route that it is for.
    pub(super) fn route(&self, snapshot: &Snapshot, node: &NodeFacts) -> Option<Arc<Route>> {
        let cx = self.cx(snapshot, node);
        let canonical = cx.canonical();
        let (host, authority) = (canonical.host(), canonical.authority());
        let found =
            snapshot.router.find(host, authority, canonical.path(), |route| route.fits(&cx));
        found.unwrap().map(|leaf| leaf.route.clone())
    }

    /// Sends it through the router and the chains, as the data path does.
    pub(super) fn send(&self, snapshot: &Snapshot, node: &NodeFacts) -> Fate {
        let mut cx = self.cx(snapshot, node);
        let canonical = cx.canonical();
        let (host, authority) = (canonical.host(), canonical.authority());
        let found =
            snapshot.router.find(host, authority, canonical.path(), |route| route.fits(&cx));
        let Ok(found) = found else { return Fate::Denied(Reason::AmbiguousParameter) };
        let Some(leaf) = found else { return Fate::Missed };
        let route = leaf.route.clone();
        cx.set_matched(Matched {
            route: route.facts.clone(),
            uri: leaf.uri.clone(),
            host: leaf.host.clone(),
        });
        let mut run = Run::new(cx, &snapshot.global, Some(&route.chain), &node.limits);
        let mut body = NoBody;
        let screening = now(run.screen(&mut body, &snapshot.profiles));
        match screening {
            Ok(Screening::Proceed(_)) => Fate::Forwarded(route.facts.id.to_string()),
            Ok(Screening::Answer(answer)) => Fate::Answered(answer.status.as_u16()),
            Err(denial) => Fate::Denied(denial.reason),
        }
    }
}

struct NoBody;

impl BodySource for NoBody {
    fn collect<'a>(
        &'a mut self,
        _max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        Box::pin(std::future::ready(Ok(Bytes::new())))
    }
}

/// The outcome of what waits for nothing.
fn now<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => panic!("the chain waits for something"),
    }
}
