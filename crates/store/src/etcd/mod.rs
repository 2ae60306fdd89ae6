//! etcd, version 3, in the key layout of Apache APISIX, so that its control plane, dashboard and
//! ingress controller can write what we read.
//!
//! A task follows etcd and keeps its content in memory: snapshots and changes are answered from
//! there, also while etcd is away. Writes go to etcd, compare and swap there, and return once the copy in memory has
//! them. etcd knows no authors; what it forgets of the past is up to whoever compacts it.
//!
//! It is spoken to over the JSON form of its API, by the client that plugins use too: the tree of a
//! gRPC client would be larger than everything else here.

mod client;
mod follow;
mod kept;
mod mirror;
mod wire;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Secret};
use bartizan_net::{EgressPolicy, Endpoint, Network, Url};
use bartizan_tls::{UpstreamTlsSettings, client_config};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::client::{Client, Fault, Repeat};
use self::mirror::{Mirror, object};
use self::wire::{Bytes, Compare, Number, Operation, TxnRequest, TxnResponse};
use crate::fault::{OpenError, StoreError};
use crate::key::Key;
use crate::object::{COMMIT_MAX, Changes, Commit, Expect, Object, Revision, Snapshot, Write};
use crate::store::Store;

pub use self::kept::{KeptAt, parse_key};

/// What an etcd store is made of.
#[derive(Clone, Debug)]
pub struct EtcdSettings {
    /// The members of the cluster.
    pub endpoints: Vec<String>,
    /// What all keys begin with, without a slash at its end.
    pub prefix: String,
    /// User and password.
    pub user: Option<(String, Secret)>,
    /// TLS towards endpoints that are `https`.
    pub tls: UpstreamTlsSettings,
    /// Time that etcd has for an answer.
    pub time: Duration,
    /// Where the last good configuration is kept.
    pub kept: Option<KeptAt>,
    /// The time of certificates.
    pub clock: Clock,
    /// Where it is told whether etcd is reached.
    pub metrics: SharedMetrics,
}

/// Resources in etcd.
#[derive(Debug)]
pub struct Etcd {
    shared: Arc<Shared>,
    /// What was kept when the process began.
    before: Option<Snapshot>,
    keep: Option<Arc<watch::Sender<Keeping>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What is to be kept on this machine.
#[derive(Debug, Default)]
struct Keeping {
    next: Option<Snapshot>,
    is_writing: bool,
}

/// What the store and its tasks share.
#[derive(Debug)]
struct Shared {
    client: Client,
    prefix: String,
    state: Mutex<State>,
    /// The revision of the mirror.
    revision: watch::Sender<u64>,
    metrics: SharedMetrics,
}

#[derive(Debug, Default)]
struct State {
    mirror: Mirror,
    /// The mirror was read from etcd, not from what was kept.
    is_listed: bool,
    /// Why etcd is not followed now; `None` while it is.
    lost: Option<String>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key in etcd of an object.
    fn path(&self, key: &Key) -> Bytes {
        self.lock().mirror.path(&self.prefix, key)
    }

    fn lost(&self, fault: &Fault) {
        self.metrics.store_reachable.set(0);
        let text = fault.to_string();
        let before = self.lock().lost.replace(text.clone());
        if before.as_ref() != Some(&text) {
            tracing::warn!("etcd is not followed: {text}");
        }
    }

    fn found(&self) {
        self.metrics.store_reachable.set(1);
        if self.lock().lost.take().is_some() {
            tracing::info!("etcd is followed again");
        }
    }
}

impl Etcd {
    /// Begins to follow etcd on `runtime`.
    pub fn open(settings: EtcdSettings, runtime: &Handle) -> Result<Self, OpenError> {
        let endpoints = endpoints(&settings)?;
        let policy = EgressPolicy { own: Vec::new(), danger_allow_link_local: false };
        let reach = Arc::new(Network::new(runtime.clone(), policy));
        let client = Client::new(reach, endpoints, settings.user, settings.time);
        let (revision, _) = watch::channel(0);
        let shared = Arc::new(Shared {
            client,
            prefix: settings.prefix,
            state: Mutex::default(),
            revision,
            metrics: settings.metrics,
        });
        let before = settings.kept.as_ref().and_then(|at| match kept::read(at) {
            Ok(before) => before,
            Err(error) => {
                let path = at.path.display();
                tracing::error!("the snapshot `{path}` cannot be read: {error}");
                None
            }
        });
        if let Some(before) = &before {
            // Until etcd was read; one that is empty and older is then known to be so.
            let (revision, objects) = (before.revision, before.objects.clone());
            shared.lock().mirror.replace(revision, objects, 0);
        }
        let mut tasks = vec![runtime.spawn(follow::follow(shared.clone()))];
        let keep = settings.kept.map(|at| {
            let keeping = Arc::new(watch::Sender::new(Keeping::default()));
            tasks.push(runtime.spawn(keep_for_ever(at, keeping.clone())));
            keeping
        });
        Ok(Self { shared, before, keep, tasks })
    }

    /// What was kept on this machine when the process began.
    pub fn before(&self) -> Option<&Snapshot> {
        self.before.as_ref()
    }

    /// Waits for etcd to be read, for a while; after that, what was kept on this machine, if
    /// anything was, is all there is.
    pub async fn begin(&self) {
        let mut revision = self.shared.revision.subscribe();
        let is_listed = |_: &u64| self.shared.lock().is_listed;
        // A first attempt, and one more at another member.
        let patience = self.shared.client.time * 2;
        if timeout(patience, revision.wait_for(is_listed)).await.is_ok() {
            return;
        }
        if self.before.is_some() {
            tracing::warn!("etcd cannot be reached: what was kept on this machine is served");
        }
    }

    /// Whether anything is kept on this machine.
    pub fn keeps(&self) -> bool {
        self.keep.is_some()
    }

    /// Keeps a configuration on this machine, as the last good one. It is written soon.
    pub fn keep(&self, snapshot: Snapshot) {
        if let Some(keep) = &self.keep {
            keep.send_modify(|keeping| keeping.next = Some(snapshot));
        }
    }

    /// Waits until what was to be kept is written.
    pub async fn kept(&self) {
        let Some(keep) = &self.keep else { return };
        let is_done = |keeping: &Keeping| keeping.next.is_none() && !keeping.is_writing;
        // The sender lives as long as we do.
        let _ = keep.subscribe().wait_for(is_done).await;
    }

    /// Why etcd is not followed now; `None` while it is.
    pub fn lost(&self) -> Option<String> {
        self.shared.lock().lost.clone()
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn keep_for_ever(at: KeptAt, keeping: Arc<watch::Sender<Keeping>>) {
    let mut told = keeping.subscribe();
    while told.wait_for(|keeping| keeping.next.is_some()).await.is_ok() {
        let mut next = None;
        keeping.send_modify(|keeping| {
            next = keeping.next.take();
            keeping.is_writing = true;
        });
        if let Some(snapshot) = next {
            let place = at.clone();
            let write = tokio::task::spawn_blocking(move || kept::write(&place, &snapshot));
            if let Ok(Err(error)) = write.await {
                let path = at.path.display();
                tracing::error!("the snapshot `{path}` cannot be written: {error}");
            }
        }
        keeping.send_modify(|keeping| keeping.is_writing = false);
    }
}

fn endpoints(settings: &EtcdSettings) -> Result<Vec<Endpoint>, OpenError> {
    let mut tls = None;
    if settings.endpoints.iter().any(|endpoint| endpoint.to_ascii_lowercase().starts_with("https:"))
    {
        let config = client_config(&settings.tls, &settings.clock);
        tls = Some(config.map_err(|fault| OpenError::new(format!("tls towards etcd: {fault}")))?);
    }
    let read = |text: &String| {
        let refused = |why: String| OpenError::new(format!("the endpoint `{text}` {why}"));
        let url = Url::parse(text).map_err(|fault| refused(fault.to_string()))?;
        if &*url.target != "/" {
            return Err(refused("has a path; only scheme, host and port are expected".to_owned()));
        }
        Endpoint::new(&url, tls.clone())
            .ok_or_else(|| refused("names a host that no certificate can be for".to_owned()))
    };
    settings.endpoints.iter().map(read).collect()
}

impl Store for Etcd {
    fn kind(&self) -> &'static str {
        "etcd"
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let state = self.shared.lock();
        if !state.is_listed && state.mirror.is_empty() {
            let why = state.lost.clone();
            return Err(StoreError::Unreachable(why.unwrap_or_else(|| "not yet".to_owned())));
        }
        Ok(state.mirror.snapshot())
    }

    async fn changes(&self, after: u64) -> Result<Changes, StoreError> {
        let mut revision = self.shared.revision.subscribe();
        let is_elsewhere = |_: &u64| {
            let state = self.shared.lock();
            (state.is_listed || !state.mirror.is_empty()) && state.mirror.revision != after
        };
        // The sender lives as long as we do.
        let _ = revision.wait_for(is_elsewhere).await;
        Ok(self.shared.lock().mirror.changes(after))
    }

    async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        commit.check(COMMIT_MAX)?;
        let request = transaction(&|key| self.shared.path(key), &commit.writes);
        let answer: TxnResponse =
            self.shared.client.ask("/v3/kv/txn", &request, Repeat::IfUnsent).await?;
        if !answer.succeeded {
            return Err(conflict(&commit.writes, &answer));
        }
        let written = answer.header.revision.0;
        let mut revision = self.shared.revision.subscribe();
        // It is in etcd, whether we see it there in time or not.
        let seen = revision.wait_for(|revision| *revision >= written);
        let _ = timeout(self.shared.client.time, seen).await;
        Ok(written)
    }

    /// As etcd has it now, since others may be ahead of the copy in memory; from there only while
    /// etcd is away.
    async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        match follow::read_at(&self.shared, key, 0).await {
            Ok(read) => Ok(read.kvs.first().map(|pair| object(key.clone(), pair))),
            Err(Fault::Unreachable(_)) => Ok(self.shared.lock().mirror.get(key)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Since the object was last made; what came before its removal is not told.
    async fn revisions(&self, key: &Key, max: usize) -> Result<Vec<Revision>, StoreError> {
        let mut found = Vec::new();
        let mut at = 0;
        while found.len() < max {
            let read = match follow::read_at(&self.shared, key, at).await {
                Ok(read) => read,
                Err(Fault::Compacted) => break,
                Err(fault) => return Err(fault.into()),
            };
            let Some(pair) = read.kvs.first() else { break };
            found.push(revision_of(object(key.clone(), pair)));
            if pair.mod_revision <= pair.create_revision {
                break;
            }
            at = pair.mod_revision.0.saturating_sub(1);
        }
        Ok(found)
    }

    async fn revision(&self, key: &Key, number: u64) -> Result<Revision, StoreError> {
        let missing = || StoreError::NoRevision(key.clone(), number);
        let read = match follow::read_at(&self.shared, key, number).await {
            Ok(read) => read,
            Err(Fault::Compacted | Fault::Future) => return Err(missing()),
            Err(fault) => return Err(fault.into()),
        };
        match read.kvs.first() {
            Some(pair) if pair.mod_revision.0 == number => {
                Ok(revision_of(object(key.clone(), pair)))
            }
            Some(_) => Err(missing()),
            None => {
                let before = number.saturating_sub(1).max(1);
                match follow::read_at(&self.shared, key, before).await {
                    Ok(read) if !read.kvs.is_empty() => Ok(Revision {
                        number,
                        author: None,
                        at: None,
                        content: None,
                        is_first: false,
                    }),
                    Ok(_) | Err(Fault::Compacted) => Err(missing()),
                    Err(fault) => Err(fault.into()),
                }
            }
        }
    }
}

fn revision_of(object: Object) -> Revision {
    let Object { revision, created, author, at, content, .. } = object;
    let is_first = revision == created;
    Revision { number: revision, author, at, content: Some(content), is_first }
}

fn transaction(path: &dyn Fn(&Key) -> Bytes, writes: &[Write]) -> TxnRequest {
    let key = |write: &Write| path(&write.key);
    let compare = |write: &Write| {
        let (result, revision) = match (write.expect, &write.content) {
            (Expect::Revision(revision), _) => ("EQUAL", revision),
            (Expect::Absent, _) => ("EQUAL", 0),
            // What is removed must be there.
            (Expect::Anything, None) => ("NOT_EQUAL", 0),
            (Expect::Anything, Some(_)) => return None,
        };
        Some(Compare { key: key(write), target: "MOD", result, mod_revision: Number(revision) })
    };
    let change = |write: &Write| match &write.content {
        Some(content) => Operation::Put { key: key(write), value: Bytes(content.to_vec()) },
        None => Operation::Delete { key: key(write) },
    };
    TxnRequest {
        compare: writes.iter().filter_map(compare).collect(),
        success: writes.iter().map(change).collect(),
        failure: writes.iter().map(|write| Operation::Range { key: key(write) }).collect(),
    }
}

/// The first object that is not as it was expected.
fn conflict(writes: &[Write], answer: &TxnResponse) -> StoreError {
    for (write, response) in writes.iter().zip(&answer.responses) {
        let read = response.response_range.as_ref();
        let current = read.and_then(|read| read.kvs.first()).map(|pair| pair.mod_revision.0);
        if write.content.is_none() && current.is_none() && write.expect == Expect::Anything {
            return StoreError::Missing(write.key.clone());
        }
        if !write.expect.holds(current) {
            return StoreError::Conflict { key: write.key.clone(), current };
        }
    }
    StoreError::Broken("etcd refused a write for which nothing speaks".to_owned())
}
