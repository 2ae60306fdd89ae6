//! A node without listeners: a store in a file, and the reader of configurations as its judge.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use bartizan_audit::{AuditLog, AuditOptions, Target};
use bartizan_config::{Draft, Loader, Nowhere, ObjectName, StoredObject};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, FoundServers, Limits, ManualClock, ServerHealth, Timestamp};
use bartizan_plugins::Catalogue;
use bartizan_store::{
    Commit, Embedded, EmbeddedSettings, Expect, Key, OWN_COLLECTION, Revision, Snapshot, Store,
    StoreError, Write,
};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::play::{Answered, Step};
use crate::api::{Api, ApiSettings};
use crate::coverage::Coverage;
use crate::coverage::samples::Sample;
use crate::operators::samples::{DAY, author};
use crate::operators::{NewOperator, OperatorSettings, Operators, Rights};
use crate::plane::{
    Aside, Document, Later, Outcome, Plane, Problem, Proposal, Refused, StoreFacts, Written,
};

const NODE: &str = "\
listeners: [{ address: \"127.0.0.1:0\" }]
store: { embedded: { path: store } }
";

/// What was written into the audit log.
#[derive(Clone, Default)]
struct Told(Arc<std::sync::Mutex<Vec<u8>>>);

impl io::Write for Told {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The API with everything around it.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) api: Api,
    pub(crate) clock: ManualClock,
    plane: Arc<DeskPlane>,
    pub(crate) key: String,
    pub(crate) operators: Operators,
    _book: Arc<TempDir>,
    audit: AuditLog,
    told: Told,
}

struct DeskPlane {
    store: Embedded,
    folder: Arc<TempDir>,
    read_only: Option<&'static str>,
    /// Held while a change is judged and made.
    turn: Arc<Mutex<()>>,
    /// How many changes came to be judged.
    proposed: watch::Sender<usize>,
    /// How many changes are yet to find that somebody else was faster.
    rivals: AtomicUsize,
    /// Too much waits for its turn.
    is_busy: AtomicBool,
    /// The upstream of this id is not removed, whoever wants it.
    keeps: OnceLock<&'static str>,
    face: std::sync::Mutex<Face>,
}

/// What the node says of itself.
#[derive(Default)]
struct Face {
    aside: Arc<[Aside]>,
    coverage: Option<Arc<dyn Coverage>>,
    /// Those of the upstream `checked`.
    servers: Vec<ServerHealth>,
    /// Those of the upstream `found`.
    found: Option<FoundServers>,
}

/// How a desk is unlike others.
#[derive(Clone, Copy)]
struct Unlike {
    read_only: Option<&'static str>,
    reads_secrets: bool,
    history: u64,
}

const USUAL: Unlike = Unlike { read_only: None, reads_secrets: false, history: 1_000 };

impl Desk {
    /// The servers of the upstream `checked` stand so.
    pub(crate) fn stand(&self, servers: Vec<ServerHealth>) {
        self.plane.face.lock().unwrap().servers = servers;
    }

    /// A registry says this of the upstream `found`.
    pub(crate) fn find(&self, found: FoundServers) {
        self.plane.face.lock().unwrap().found = Some(found);
    }

    pub(crate) fn open() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("bartizan.yaml"), NODE).unwrap();
        Self::at(folder, ManualClock::at(Timestamp::from_secs(1_700_000_000)), USUAL)
    }

    fn at(folder: Arc<TempDir>, clock: ManualClock, unlike: Unlike) -> Self {
        let Unlike { read_only, reads_secrets, history } = unlike;
        let settings = EmbeddedSettings {
            path: folder.path().join("store"),
            history,
            clock: Clock::Manual(clock.clone()),
        };
        let store = Embedded::open(settings).unwrap();
        let (turn, proposed) = (Arc::default(), watch::Sender::new(0));
        let (rivals, is_busy) = (AtomicUsize::new(0), AtomicBool::new(false));
        let keeps = OnceLock::new();
        let plane = DeskPlane {
            store,
            folder,
            read_only,
            turn,
            proposed,
            rivals,
            is_busy,
            keeps,
            face: std::sync::Mutex::new(Face {
                coverage: Some(Arc::new(Sample::default())),
                ..Face::default()
            }),
        };
        let plane = Arc::new(plane);
        let told = Told::default();
        let targets = vec![Target::Writer(Box::new(told.clone()))];
        let options = AuditOptions::new(targets, &Limits::default(), SharedMetrics::default());
        let audit = AuditLog::open(options).unwrap();
        let book = Arc::new(tempfile::tempdir().unwrap());
        let operators = Operators::open(OperatorSettings {
            path: &book.path().join("keys"),
            clock: Clock::Manual(clock.clone()),
            audit: audit.clone(),
        });
        let operators = operators.unwrap();
        let rights = json!({ "role": "admin", "secrets": reads_secrets });
        let rights: Rights = serde_json::from_value(rights).unwrap();
        let new = NewOperator { name: "ann".to_owned(), rights, lifetime: 90 * DAY };
        let key = operators.create(&new, &author()).unwrap().key;
        let api = Api::new(ApiSettings {
            plane: plane.clone(),
            operators: operators.clone(),
            audit: audit.clone(),
            clock: Clock::Manual(clock.clone()),
            cors: vec!["https://a.test".to_owned()],
            dashboard: true,
        });
        let key = key.expose_str().unwrap().to_owned();
        Self { api, clock, plane, key, operators, _book: book, audit, told }
    }

    /// The same store, opened by a node that starts.
    pub(super) fn again(self) -> Self {
        self.anew(USUAL)
    }

    /// The same store, of which so many entries of the log are kept from the next commit on.
    pub(super) fn keeping(self, history: u64) -> Self {
        self.anew(Unlike { history, ..USUAL })
    }

    pub(super) fn read_only(self) -> Self {
        self.anew(Unlike { read_only: Some("edit the documents"), ..USUAL })
    }

    /// The same, asked by somebody with other rights.
    pub(crate) fn as_one_who(&self, name: &str, rights: &Value) -> Self {
        let rights: Rights = serde_json::from_value(rights.clone()).unwrap();
        let new = NewOperator { name: name.to_owned(), rights, lifetime: DAY };
        let key = self.operators.create(&new, &author()).unwrap().key;
        Self { key: key.expose_str().unwrap().to_owned(), ..self.clone() }
    }

    /// No change is made until what this gives is dropped.
    pub(super) async fn hold(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.plane.turn).lock_owned().await
    }

    /// So many changes find that somebody else was faster.
    pub(super) fn have_rivals(&self, count: usize) {
        self.plane.rivals.store(count, Ordering::Relaxed);
    }

    /// From now on an upstream is not removed, as where a route that must not fail needs it.
    pub(super) fn keep(&self, id: &'static str) {
        self.plane.keeps.set(id).unwrap();
    }

    /// From now on this protects the routes.
    /// Writes objects at once, past the API.
    pub(crate) async fn commit(&self, objects: &[(String, Value)]) -> u64 {
        let write = |(key, value): &(String, Value)| Write {
            key: Key::parse(key).unwrap(),
            content: Some(value.to_string().into_bytes().into()),
            expect: Expect::Anything,
        };
        let writes = objects.iter().map(write).collect();
        self.plane.store.commit(Commit { author: "somebody".into(), writes }).await.unwrap()
    }

    pub(crate) fn cover(&self, coverage: impl Coverage) {
        self.plane.face.lock().unwrap().coverage = Some(Arc::new(coverage));
    }

    /// From now on these are in quarantine.
    pub(crate) fn set_aside(&self, aside: Vec<Aside>) {
        self.plane.face.lock().unwrap().aside = aside.into();
    }

    /// From now on too much waits for its turn.
    pub(super) fn be_busy(&self) {
        self.plane.is_busy.store(true, Ordering::Relaxed);
    }

    /// How many changes came to be judged; who subscribes sees the next.
    pub(super) fn proposed(&self) -> watch::Receiver<usize> {
        let mut proposed = self.plane.proposed.subscribe();
        proposed.mark_unchanged();
        proposed
    }

    /// Writes upstreams, all in one commit, past everything that judges.
    pub(super) async fn write_upstreams(&self, ids: impl Iterator<Item = String>) {
        let content: Arc<[u8]> = br#"{"nodes":{"127.0.0.1:1":1}}"#.as_slice().into();
        let write = |id: String| Write {
            key: Key::parse(&format!("upstreams/{id}")).unwrap(),
            content: Some(content.clone()),
            expect: Expect::Anything,
        };
        let commit = Commit { author: "past".into(), writes: ids.map(write).collect() };
        self.plane.store.commit(commit).await.unwrap();
    }

    /// The head of a request as it is on the wire, with its body.
    pub(super) fn wire(&self, step: &Step) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: a.test\r\n", step.method, step.target);
        for (name, value) in step.fields_with(&self.key) {
            text.extend([name.as_str(), ": ", &value, "\r\n"]);
        }
        let length = step.body.len().to_string();
        text.extend(["Content-Length: ", &length, "\r\n\r\n", &step.body]);
        text.into_bytes()
    }

    pub(crate) fn reading_secrets(self) -> Self {
        let before = self.told();
        let desk = self.anew(Unlike { reads_secrets: true, ..USUAL });
        desk.told.0.lock().unwrap().extend_from_slice(before.as_bytes());
        desk
    }

    fn anew(self, unlike: Unlike) -> Self {
        let Self { api, clock, plane, .. } = self;
        let folder = plane.folder.clone();
        drop((api, plane));
        Self::at(folder, clock, unlike)
    }

    /// Everything that is in the audit log.
    pub(crate) fn told(&self) -> String {
        let _ = self.audit.close(std::time::Duration::from_secs(5));
        String::from_utf8(self.told.0.lock().unwrap().clone()).unwrap()
    }

    /// Sends a request as the listener would.
    pub(crate) async fn ask(&self, step: &Step) -> Answered {
        let mut request = Request::builder().method(step.method.as_str()).uri(&step.target);
        for (name, value) in step.fields_with(&self.key) {
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let answer = match self.api.open_answer(&head) {
            Some(answer) => answer,
            None => match self.api.before_body(&head, peer) {
                Err(answer) => answer,
                Ok(operator) => {
                    let body = step.body.clone().into_bytes().into();
                    self.api.answer(head.clone(), body, operator).await
                }
            },
        };
        let (parts, body) = self.api.finish(&head, answer).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
        Answered {
            status: parts.status.as_u16(),
            fields: parts.headers.iter().map(|(k, v)| (k.to_string(), text(v))).collect(),
            body: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    fn snapshot(&self) -> Snapshot {
        let (plane, runtime) = (&self.plane, tokio::runtime::Handle::current());
        std::thread::scope(|scope| {
            scope.spawn(|| runtime.block_on(plane.store.snapshot())).join().unwrap().unwrap()
        })
    }

    /// The revision of the store.
    pub(super) fn revision(&self) -> u64 {
        self.snapshot().revision
    }

    /// The keys of what is stored.
    pub(super) fn keys(&self) -> Vec<String> {
        self.snapshot().objects.iter().map(|object| object.key.to_string()).collect()
    }

    /// Everything that is stored.
    pub(super) fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let objects = self.snapshot().objects.into_iter();
        objects.map(|object| (object.key.to_string(), object.content.to_vec())).collect()
    }

    /// The text of an object.
    pub(super) fn content(&self, key: &str) -> String {
        let snapshot = self.snapshot();
        let object = snapshot.get(&Key::parse(key).unwrap()).unwrap();
        String::from_utf8(object.content.to_vec()).unwrap()
    }
}

impl DeskPlane {
    fn path(&self) -> PathBuf {
        self.folder.path().join("bartizan.yaml")
    }

    fn problems(&self, proposal: &Proposal, snapshot: &Snapshot) -> Vec<Problem> {
        let loader = Loader::new(&Catalogue);
        let (_, mut draft) = loader.node_draft(&self.path()).unwrap();
        let writes = &proposal.commit.writes;
        let add = |draft: &mut Draft, key: &Key, content: &[u8]| {
            if key.collection() != OWN_COLLECTION {
                let (collection, id, name) = (key.collection(), key.id(), key.as_str());
                draft.add_object(&StoredObject { collection, id, name, content: &content.into() });
            }
        };
        for object in &snapshot.objects {
            if !writes.iter().any(|write| write.key == object.key) {
                add(&mut draft, &object.key, &object.content);
            }
        }
        for write in writes {
            if let Some(content) = &write.content {
                add(&mut draft, &write.key, content);
            }
        }
        let found = draft.judge(&loader).err().unwrap_or_default();
        let told = found.into_iter().map(|problem| Problem {
            path: problem.path.to_string(),
            what: problem.problem,
            help: problem.help,
            ..Problem::default()
        });
        told.collect()
    }
}

impl Plane for DeskPlane {
    fn store(&self) -> StoreFacts {
        StoreFacts {
            kind: "embedded",
            prefix: "/apisix".to_owned(),
            read_only: self.read_only,
            keeps_log: true,
        }
    }

    fn accepts_fail_open(&self) -> bool {
        false
    }

    fn snapshot(&self) -> Later<'_, Result<Snapshot, StoreError>> {
        Box::pin(self.store.snapshot())
    }

    fn propose(&self, proposal: Proposal) -> Later<'_, Result<Outcome, Refused>> {
        Box::pin(async move {
            self.proposed.send_modify(|count| *count += 1);
            if self.is_busy.load(Ordering::Relaxed) {
                return Err(Refused::Busy);
            }
            let fewer = |count: usize| count.checked_sub(1);
            if self.rivals.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer).is_ok() {
                let key = proposal.commit.writes[0].key.clone();
                return Err(Refused::Store(StoreError::Conflict { key, current: None }));
            }
            let _turn = self.turn.lock().await;
            let snapshot = self.store.snapshot().await.map_err(Refused::Store)?;
            let found = self.problems(&proposal, &snapshot);
            let mut gone = proposal.commit.writes.iter().filter(|write| write.content.is_none());
            if gone.any(|write| self.keeps.get().is_some_and(|id| write.key.id() == *id)) {
                return Err(Refused::Invalid(Vec::new()));
            }
            if !found.is_empty() && !proposal.is_forced {
                return Err(Refused::Invalid(found));
            }
            if proposal.is_dry {
                return Ok(Outcome::default());
            }
            let revision = self.store.commit(proposal.commit).await.map_err(Refused::Store)?;
            Ok(Outcome { revision, ..Outcome::default() })
        })
    }

    fn judge(&self, document: Document) -> Later<'_, Result<Vec<Problem>, Refused>> {
        Box::pin(async move {
            if self.is_busy.load(Ordering::Relaxed) {
                return Err(Refused::Busy);
            }
            let name = if document.is_yaml { "document.yaml" } else { "document.json" };
            let document = document.text;
            let loader = Loader::new(&Catalogue).with_surroundings(&Nowhere);
            let (node, _) = Loader::new(&Catalogue).node_draft(&self.path()).unwrap();
            let path = self.folder.path().join(name);
            let found = loader.resources_text(&node, &path, &document).err();
            let found = found.map(|failure| failure.diagnostics).unwrap_or_default();
            let value: Value = serde_json::from_str(&document).unwrap_or_default();
            let told = found.into_iter().map(|problem| {
                let path = problem.path.to_string();
                let (list, rest) = path.split_once('[').unwrap_or_default();
                let (index, rest) = rest.split_once(']').unwrap_or_default();
                let index: usize = index.parse().unwrap_or_default();
                let id = value[list][index]["id"].as_str().unwrap_or_default();
                Problem {
                    object: Some(bartizan_config::ObjectName {
                        collection: list.into(),
                        id: id.into(),
                    }),
                    index: Some(index),
                    path: rest.trim_start_matches('.').to_owned(),
                    what: problem.problem,
                    help: problem.help,
                }
            });
            Ok(told.collect())
        })
    }

    fn written(&self, max: usize) -> Later<'_, Result<Vec<Written>, StoreError>> {
        Box::pin(async move {
            let found = self.store.written(max).await?;
            Ok(found.into_iter().map(|(key, revision)| Written { key, revision }).collect())
        })
    }

    fn revisions(&self, key: Key, max: usize) -> Later<'_, Result<Vec<Revision>, StoreError>> {
        Box::pin(async move { self.store.revisions(&key, max).await })
    }

    fn status(&self) -> Value {
        json!({ "store": "embedded", "writable": true })
    }

    fn quarantine(&self) -> Vec<String> {
        Vec::new()
    }

    fn aside(&self) -> Arc<[Aside]> {
        self.face.lock().unwrap().aside.clone()
    }

    fn health(&self, object: &ObjectName) -> Option<Vec<ServerHealth>> {
        let face = self.face.lock().unwrap();
        (*object.id == *"checked").then(|| face.servers.clone())
    }

    fn found(&self, object: &ObjectName) -> Option<FoundServers> {
        (*object.id == *"found").then(|| self.face.lock().unwrap().found.clone())?
    }

    fn coverage(&self) -> Option<Arc<dyn Coverage>> {
        self.face.lock().unwrap().coverage.clone()
    }
}
