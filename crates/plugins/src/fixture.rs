//! What tests compile plugins with: a node, a route, and who is there.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_chain::{
    Arrival, CompileCx, CpuPool, CredentialEntry, Matched, NodeFacts, Peer, Plugin, RequestCx,
    StateRegistry,
};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_core::{Clock, Compatibility, Limits, ManualClock, NodeKey, RequestId, Timestamp};
use bartizan_protos::Protos;
use bartizan_wire::{
    BodyLength, Canonical, ConnectionUse, Fields, PathPolicy, RequestHead, Version,
};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A node of a test. Its consumers are `alice`, `bob` and `guest`, its group is `staff`.
pub(crate) struct Bench {
    pub(crate) node: NodeFacts,
    pub(crate) metadata: Option<Value>,
    pub(crate) protos: HashMap<&'static str, Arc<Protos>>,
}

impl Bench {
    /// A node that follows its own habits.
    pub(crate) fn new() -> Self {
        Self::with(Compatibility::None)
    }

    /// A node that follows the habits of Apache APISIX.
    pub(crate) fn apisix() -> Self {
        Self::with(Compatibility::Apisix)
    }

    fn with(compatibility: Compatibility) -> Self {
        let node = NodeFacts {
            compatibility,
            limits: Limits::default(),
            clock: Clock::Manual(ManualClock::at(Timestamp::from_secs(1_000_000))),
            key: NodeKey::new(&[7; 32]),
            hash_keys: bartizan_core::HashKeys::default(),
            key_uses: bartizan_chain::KeyUses::default(),
            metrics: Arc::default(),
            registry: StateRegistry::default(),
            cpu: CpuPool::inline(&Limits::default()),
            base_dir: PathBuf::from(env!("CARGO_MANIFEST_DIR")),
            files: bartizan_chain::FilesRead::default(),
            started: bartizan_core::Timestamp::from_secs(0),
            counts: Arc::default(),
            pages: bartizan_chain::Pages::default(),
            outside: bartizan_chain::Outside::default(),
            redactor: Arc::default(),
        };
        Self { node, metadata: None, protos: HashMap::new() }
    }

    /// The same with a proto.
    pub(crate) fn with_proto(mut self, id: &'static str, protos: Arc<Protos>) -> Self {
        self.protos.insert(id, protos);
        self
    }

    /// Compiles a plugin of the route `r`.
    pub(crate) fn compile<P: Plugin>(&self, config: &Value) -> Result<P, Invalid> {
        self.within::<P, _>(|cx| P::compile(read(config)?, cx))
    }

    /// Compiles a plugin of the route `id`.
    pub(crate) fn compile_in<P: Plugin>(&self, id: &str, config: &Value) -> Result<P, Invalid> {
        self.within_route::<P, _>(id, |cx| P::compile(read(config)?, cx))
    }

    /// Why a configuration does not compile.
    pub(crate) fn fault<P: Plugin>(&self, config: &Value) -> Invalid {
        match self.compile::<P>(config) {
            Ok(_) => panic!("{config} compiles"),
            Err(fault) => fault,
        }
    }

    /// Makes a credential of a consumer's configuration.
    pub(crate) fn credential<P: Plugin>(&self, config: &Value) -> Result<CredentialEntry, Invalid> {
        self.within::<P, _>(|cx| P::credential(read(config)?, cx))
    }

    /// Works inside the compiling of a plugin of the route `r`.
    pub(crate) fn within<P: Plugin, T>(&self, work: impl FnOnce(&mut CompileCx<'_>) -> T) -> T {
        self.within_route::<P, T>("r", work)
    }

    fn within_route<P: Plugin, T>(
        &self,
        id: &str,
        work: impl FnOnce(&mut CompileCx<'_>) -> T,
    ) -> T {
        let resource = ResourceRef { kind: ResourceKind::Route, id: Arc::from(id) };
        work(&mut CompileCx {
            node: &self.node,
            resource: &resource,
            plugin: P::NAME,
            is_disabled: false,
            metadata: self.metadata.as_ref(),
            has_consumer: &|name| ["alice", "bob", "guest"].contains(&name),
            has_group: &|id| id == "staff",
            proto: &|id| self.protos.get(id).cloned(),
            exposed: &RefCell::default(),
        })
    }
}

fn read<T: DeserializeOwned>(config: &Value) -> Result<T, Invalid> {
    T::deserialize(config).map_err(|error| Invalid::new(error.to_string()))
}

/// A request for `target` at `example.com`, from 192.0.2.1.
pub(crate) fn request(target: &str, lines: &[(&'static str, &'static str)]) -> RequestCx {
    request_of(target, lines, None)
}

/// The same, of a route.
pub(crate) fn request_of(
    target: &str,
    lines: &[(&'static str, &'static str)],
    matched: Option<Matched>,
) -> RequestCx {
    RequestCx::new(arrival(target, lines), matched)
}

/// What a request for `target` begins with.
pub(crate) fn arrival(target: &str, lines: &[(&'static str, &'static str)]) -> Arrival {
    let mut fields = Fields::new();
    fields.append("host", "example.com");
    for (name, value) in lines {
        fields.append(*name, *value);
    }
    let head = RequestHead {
        method: http::Method::GET,
        target: Bytes::copy_from_slice(target.as_bytes()),
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
    let now = Timestamp::from_secs(1_000_000);
    let peer = Peer::new(([192, 0, 2, 1], 40_000).into(), ([192, 0, 2, 2], 80).into(), None);
    Arrival {
        id: RequestId::from_bytes([1; 16]),
        received: now,
        clock: Clock::Manual(ManualClock::at(now)),
        version: head.version,
        client: peer.address.ip(),
        peer: Arc::new(peer),
        canonical,
        fields: head.fields,
        consumers: Arc::default(),
        declared_length: None,
        body_max: 1_048_576,
        https_port: None,
        trusts_forwarded: false,
    }
}

/// The certificate of an authority, as PEM.
pub(crate) fn authority() -> String {
    let validity = bartizan_tls::Validity::starting(
        Timestamp::from_secs(1_000_000),
        std::time::Duration::from_secs(1_000_000),
    );
    bartizan_tls::Authority::create("test", validity).unwrap().certificate()
}

/// Every byte of a text, percent-encoded.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |out, byte| format!("{out}%{byte:02X}"))
}
