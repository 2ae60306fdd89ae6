//! The node as the Admin API sees it: changes wait for their turn in the node's own loop, where
//! they are judged with everything else, stored and put into force before they are answered.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bartizan_admin::callers::{CallerKeySettings, CallerKeys, Keeper, Recipient, Rotation};
use bartizan_admin::coverage::Coverage;
use bartizan_admin::{
    AdminCertificates, AdminServer, Api, ApiSettings, Aside, Document, Later, Operators, Outcome,
    Plane, Problem, Proposal, Readiness, Refused, StoreFacts, Written,
};
use bartizan_chain::KeyUses;
use bartizan_config::{
    Admin, ApiKeys, KeyInVault, KeyRecipient, KeyRotation, NodeConfig, ObjectName,
    Store as Configured,
};
use bartizan_core::{Clock, FoundServers, Secret, ServerHealth};
use bartizan_secrets::Managers;
use bartizan_store::{FileStore, Key, Revision, Snapshot, Store, StoreError};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, spawn_blocking};

use super::board::Board;
use super::operators::Keys;
use super::status::not_bound;
use super::stores::NodeStore;
use crate::failure::Failure;
use crate::logs::Logs;
use bartizan_proxy::BindError;

/// Changes that wait for their turn; more are refused.
const WAITING_MAX: usize = 32;

/// How a store is written that this API does not write to.
const BY_EDITING: &str = "edit its documents; the node reads them again by itself";
const IN_NODE_FILE: &str =
    "the resources stand in the node file; name a `store` to change them here";

/// What is asked of the node's loop.
pub(super) enum Ask {
    /// A change.
    Propose(Proposal, oneshot::Sender<Result<Outcome, Refused>>),
    /// What is wrong with a document.
    Judge(Document, oneshot::Sender<Vec<Problem>>),
}

/// The node, as the Admin API sees it.
struct NodePlane {
    store: Arc<NodeStore>,
    facts: StoreFacts,
    /// The documents, where the store is files.
    documents: Option<PathBuf>,
    document_max: u64,
    accepts_fail_open: bool,
    asks: mpsc::Sender<Ask>,
    readiness: Readiness,
    board: Board,
}

/// The Admin API at work.
pub(super) struct AdminApi {
    pub(super) address: SocketAddr,
    certificates: Option<Arc<AdminCertificates>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Opens the port of the Admin API.
pub(super) fn bind(control: &Runtime, admin: &Admin) -> Result<(TcpListener, SocketAddr), Failure> {
    let address = admin.listen;
    let bound = control.block_on(TcpListener::bind(address));
    let bound = bound.and_then(|listener| Ok((listener.local_addr()?, listener)));
    let (address, listener) =
        bound.map_err(|cause| not_bound(&BindError { address, cause }, "admin listener"))?;
    Ok((listener, address))
}

/// What of a node the Admin API is about.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) store: &'a Arc<NodeStore>,
    pub(super) managers: &'a Arc<Managers>,
    pub(super) logs: &'a Logs,
    pub(super) readiness: &'a Readiness,
    pub(super) board: &'a Board,
}

impl AdminApi {
    /// Serves the Admin API. What it asks of the node comes out of the receiver.
    pub(super) fn start(
        control: &Runtime,
        listener: TcpListener,
        config: &NodeConfig,
        admin: &Admin,
        keys: &Keys,
        key_uses: KeyUses,
        around: Around<'_>,
    ) -> Result<(Self, mpsc::Receiver<Ask>), Failure> {
        let Around { store, managers, logs, readiness, board } = around;
        let (asks, asked) = mpsc::channel(WAITING_MAX);
        let plane = NodePlane {
            store: Arc::clone(store),
            facts: facts(config),
            documents: super::documents(config).map(ToOwned::to_owned),
            document_max: config.limits.document.0,
            accepts_fail_open: config.danger_accept_apisix_fail_open,
            asks,
            readiness: readiness.clone(),
            board: board.clone(),
        };
        let clock: Clock = logs.clock.clone();
        let plane: Arc<dyn Plane> = Arc::new(plane);
        let operators = keys.operators.clone();
        let of_callers = callers(config, &plane, &operators, &clock, key_uses);
        let rotations = rotations(config, managers);
        if !rotations.is_empty() {
            control.spawn(of_callers.clone().keep(rotations, keys.stopping()));
        }
        // It is set this once.
        let _ = keys.callers.set(of_callers);
        let api = Api::new(ApiSettings {
            plane,
            operators,
            audit: logs.audit.clone(),
            clock: clock.clone(),
            cors: admin.cors.clone(),
            dashboard: admin.dashboard,
        });
        let certificates = admin.tls.as_ref().map(|tls| AdminCertificates::new(tls, &clock));
        let certificates = certificates.transpose().map(|certificates| certificates.map(Arc::new));
        let certificates = certificates.map_err(|problem| {
            Failure::new(format!("the certificate of `admin` cannot be shown: {problem}"))
        })?;
        let server = AdminServer::new(listener, api, admin.allow.clone(), certificates.clone());
        let address = server.local_addr().unwrap_or(admin.listen);
        let (stop, stopped) = oneshot::channel();
        let task = control.spawn(server.serve(async {
            // A sender that is gone means the same.
            let _ = stopped.await;
        }));
        Ok((Self { address, certificates, stop, task }, asked))
    }

    /// Takes the certificates that the node file has now.
    pub(super) fn renew(&self, config: &NodeConfig, clock: &Clock) {
        let now = config.admin.as_ref().and_then(|admin| admin.tls.as_ref());
        let problem = match (&self.certificates, now) {
            (Some(own), Some(now)) => own.renew(now, clock).err(),
            (None, None) => None,
            _ => Some("whether it is there at all is fixed at the start".to_owned()),
        };
        if let Some(problem) = problem {
            tracing::error!("the certificate of `admin` stays as it was: {problem}");
        }
    }

    /// Closes it; what is being answered is cut, except for changes that are made already.
    pub(super) fn stop(self, control: &Runtime) {
        let _ = self.stop.send(());
        if control.block_on(self.task).is_err() {
            tracing::error!("the admin listener ended by a panic");
        }
    }
}

/// The keys of callers.
fn callers(
    config: &NodeConfig,
    plane: &Arc<dyn Plane>,
    operators: &Operators,
    clock: &Clock,
    key_uses: KeyUses,
) -> CallerKeys {
    let of_node = config.api_keys.as_ref();
    CallerKeys::new(CallerKeySettings {
        plane: Arc::clone(plane),
        operators: operators.clone(),
        hash_keys: of_node.map(ApiKeys::hash_keys).unwrap_or_default(),
        prefix: of_node.map(|keys| keys.prefix.clone()).unwrap_or_default(),
        clock: clock.clone(),
        uses: Arc::new(move |digest| key_uses.last(digest)),
    })
}

/// A place in a Vault that keeps a key.
#[derive(Debug)]
struct InVault {
    managers: Arc<Managers>,
    at: KeyInVault,
}

impl Keeper for InVault {
    fn keep<'a>(&'a self, key: &'a Secret) -> Later<'a, Result<(), String>> {
        Box::pin(async move {
            let KeyInVault { mount, path, .. } = &self.at;
            let not_kept = |fault| format!("`{mount}/{path}` in Vault is not written: {fault}");
            self.managers.write(&self.at, key).await.map_err(not_kept)
        })
    }
}

/// The keys that this node exchanges by itself.
fn rotations(config: &NodeConfig, managers: &Arc<Managers>) -> Vec<Rotation> {
    let written = config.api_keys.iter().flat_map(|keys| &keys.rotate);
    let rotation = |rotation: &KeyRotation| Rotation {
        consumer: rotation.consumer.clone(),
        every: rotation.every.0,
        overlap: rotation.overlap.0,
        to: match &rotation.to {
            KeyRecipient::File(path) => Recipient::File(path.clone()),
            KeyRecipient::Command(words) => Recipient::Command(words.clone()),
            KeyRecipient::Vault(at) => Recipient::Keeper(Arc::new(InVault {
                managers: Arc::clone(managers),
                at: at.clone(),
            })),
        },
    };
    written.map(rotation).collect()
}

/// What the API must know of the store.
fn facts(config: &NodeConfig) -> StoreFacts {
    let prefix = "/apisix".to_owned();
    match &config.store {
        None => {
            StoreFacts { kind: "file", prefix, read_only: Some(IN_NODE_FILE), keeps_log: false }
        }
        Some(Configured::File { .. }) => {
            StoreFacts { kind: "file", prefix, read_only: Some(BY_EDITING), keeps_log: false }
        }
        Some(Configured::Embedded { .. }) => {
            StoreFacts { kind: "embedded", prefix, read_only: None, keeps_log: true }
        }
        Some(Configured::Etcd(etcd)) => StoreFacts {
            kind: "etcd",
            prefix: etcd.prefix.clone(),
            read_only: None,
            keeps_log: false,
        },
    }
}

impl NodePlane {
    /// What stands in documents, as they are now.
    async fn documents(&self) -> Result<Snapshot, StoreError> {
        let Some(path) = self.documents.clone() else {
            let what = "the resources stand in the node file, which is not read here";
            return Err(StoreError::Unreachable(what.to_owned()));
        };
        let limit = self.document_max;
        let opened = spawn_blocking(move || FileStore::open(&path, limit)).await;
        match opened {
            Ok(Ok(store)) => store.snapshot().await,
            Ok(Err(error)) => Err(StoreError::Unreachable(error.to_string())),
            Err(error) => Err(StoreError::Broken(error.to_string())),
        }
    }

    async fn ask<T>(&self, ask: Ask, told: oneshot::Receiver<T>) -> Option<T> {
        self.asks.try_send(ask).ok()?;
        told.await.ok()
    }
}

impl Plane for NodePlane {
    fn store(&self) -> StoreFacts {
        self.facts.clone()
    }

    fn accepts_fail_open(&self) -> bool {
        self.accepts_fail_open
    }

    fn snapshot(&self) -> Later<'_, Result<Snapshot, StoreError>> {
        Box::pin(async move {
            if self.store.is_files() { self.documents().await } else { self.store.snapshot().await }
        })
    }

    fn propose(&self, proposal: Proposal) -> Later<'_, Result<Outcome, Refused>> {
        Box::pin(async move {
            if let Some(how) = self.facts.read_only {
                let store = self.facts.kind;
                return Err(Refused::Store(StoreError::ReadOnly { store, how }));
            }
            let (answer, told) = oneshot::channel();
            let outcome = self.ask(Ask::Propose(proposal, answer), told).await;
            outcome.unwrap_or(Err(Refused::Busy))
        })
    }

    fn judge(&self, document: Document) -> Later<'_, Result<Vec<Problem>, Refused>> {
        Box::pin(async move {
            let (answer, told) = oneshot::channel();
            self.ask(Ask::Judge(document, answer), told).await.ok_or(Refused::Busy)
        })
    }

    fn written(&self, max: usize) -> Later<'_, Result<Vec<Written>, StoreError>> {
        Box::pin(async move {
            let found = match &*self.store {
                NodeStore::Files => Vec::new(),
                NodeStore::Embedded(store) => store.written(max).await?,
                NodeStore::Etcd(store) => store.written(max).await?,
            };
            Ok(found.into_iter().map(|(key, revision)| Written { key, revision }).collect())
        })
    }

    fn revisions(&self, key: Key, max: usize) -> Later<'_, Result<Vec<Revision>, StoreError>> {
        Box::pin(async move {
            match &*self.store {
                NodeStore::Files => Ok(Vec::new()),
                NodeStore::Embedded(store) => store.revisions(&key, max).await,
                NodeStore::Etcd(store) => store.revisions(&key, max).await,
            }
        })
    }

    fn status(&self) -> Value {
        let (_, report) = self.readiness.report();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "store": self.facts.kind,
            "writable": self.facts.read_only.is_none(),
            "node": report,
        })
    }

    fn quarantine(&self) -> Vec<String> {
        self.readiness.quarantined()
    }

    fn aside(&self) -> Arc<[Aside]> {
        self.board.aside()
    }

    fn health(&self, object: &ObjectName) -> Option<Vec<ServerHealth>> {
        self.board.health(object)
    }

    fn found(&self, object: &ObjectName) -> Option<FoundServers> {
        self.board.found(object)
    }

    fn coverage(&self) -> Option<Arc<dyn Coverage>> {
        self.board.coverage()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn so_many_wait_for_their_turn_and_the_next_is_to_come_back() {
        let (asks, mut asked) = mpsc::channel(WAITING_MAX);
        let plane = NodePlane {
            store: Arc::new(NodeStore::Files),
            facts: StoreFacts {
                kind: "file",
                prefix: "/apisix".to_owned(),
                read_only: None,
                keeps_log: false,
            },
            documents: None,
            document_max: 1,
            accepts_fail_open: false,
            asks,
            readiness: Readiness::new(),
            board: Board::default(),
        };
        let judge = || {
            let document = Document { text: String::new(), is_yaml: false, is_compiled: false };
            timeout(Duration::ZERO, plane.judge(document))
        };
        for n in 1..=WAITING_MAX {
            assert!(judge().await.is_err(), "{n} waits");
        }
        assert!(matches!(judge().await, Ok(Err(Refused::Busy))));
        drop(asked.recv().await);
        assert!(judge().await.is_err(), "there is room again");
    }
}
