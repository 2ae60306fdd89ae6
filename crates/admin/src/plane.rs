//! What the Admin API asks of the node around it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bartizan_config::ObjectName;
use bartizan_core::{FoundServers, ServerHealth};
use bartizan_store::{Commit, Key, Revision, Snapshot, StoreError};
use serde_json::Value;

use crate::coverage::Coverage;

/// An answer that takes a while.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The store, as far as the API must know it.
#[derive(Clone, Debug)]
pub struct StoreFacts {
    /// Its kind, as the node file names it.
    pub kind: &'static str,
    /// What keys begin with, such as `/apisix`.
    pub prefix: String,
    /// How it is written, where not by this API.
    pub read_only: Option<&'static str>,
    /// Whether it remembers every write, removals too, so that all of it can be rolled back.
    pub keeps_log: bool,
}

/// A change that is judged, and made if it is in order.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// What changes, and who changes it.
    pub commit: Commit,
    /// Nothing is made; the answer says what would be.
    pub is_dry: bool,
    /// Objects that refer to what goes may be at fault afterwards. They go into quarantine.
    pub is_forced: bool,
}

/// What came, or would come, of a change.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The revision of the store that it made; 0 where nothing was.
    pub revision: u64,
    /// What it opens, one sentence each.
    pub opens: Vec<String>,
    /// What it closes.
    pub closes: Vec<String>,
    /// What is served but deserves a look.
    pub warnings: Vec<String>,
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, Default)]
pub struct Problem {
    /// The object that it is in, where it is in one.
    pub object: Option<ObjectName>,
    /// The position of that object among those of its kind in a document.
    pub index: Option<usize>,
    /// The dotted path of the field.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// A declarative document that is judged for somebody, who learns nothing of the node by it.
#[derive(Clone, Debug)]
pub struct Document {
    /// The text.
    pub text: String,
    /// It is YAML, else JSON.
    pub is_yaml: bool,
    /// It is compiled as well, by which files that plugins name are read: for those who could have
    /// them read by a write. A document that refers to values is not, since nobody knows them here.
    pub is_compiled: bool,
}

/// Why a change is not made. Nothing was changed.
#[derive(Clone, Debug)]
pub enum Refused {
    /// The configuration that it leads to is not in order.
    Invalid(Vec<Problem>),
    /// The store does not take it.
    Store(StoreError),
    /// Too many changes wait for their turn, or the node ends.
    Busy,
}

/// One write, as the store remembers it.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object.
    pub key: Key,
    /// What was written when and by whom.
    pub revision: Revision,
}

/// An object in quarantine.
#[derive(Clone, Debug)]
pub struct Aside {
    /// The object, as in `routes/1`.
    pub object: String,
    /// Its last good version is in force; otherwise it is out of service.
    pub stands_in: bool,
    /// What is wrong with it.
    pub problems: Vec<String>,
}

/// The node, as the Admin API sees it.
pub trait Plane: Send + Sync + 'static {
    /// The store.
    fn store(&self) -> StoreFacts;

    /// Whether the node accepts fields of Apache APISIX that fail open.
    fn accepts_fail_open(&self) -> bool;

    /// Everything in the store.
    fn snapshot(&self) -> Later<'_, Result<Snapshot, StoreError>>;

    /// Judges a change by the whole configuration that it leads to, makes it, and puts it into
    /// force before it answers.
    fn propose(&self, proposal: Proposal) -> Later<'_, Result<Outcome, Refused>>;

    /// What is wrong with a declarative document that stood in place of everything. No variable,
    /// no file that is referred to and no secret manager has a part in it.
    fn judge(&self, document: Document) -> Later<'_, Result<Vec<Problem>, Refused>>;

    /// The last writes, the newest first.
    fn written(&self, max: usize) -> Later<'_, Result<Vec<Written>, StoreError>>;

    /// The revisions of an object, the newest first.
    fn revisions(&self, key: Key, max: usize) -> Later<'_, Result<Vec<Revision>, StoreError>>;

    /// How the node is, as `/bartizan/v1/status` tells it.
    fn status(&self) -> Value;

    /// The objects in quarantine, each with what is wrong.
    fn quarantine(&self) -> Vec<String>;

    /// The same objects with everything that is wrong with them, in order of their names.
    fn aside(&self) -> Arc<[Aside]>;

    /// How the servers stand of the upstream that is an object or in it; `None` where nobody checks
    /// their health.
    fn health(&self, object: &ObjectName) -> Option<Vec<ServerHealth>>;

    /// What a registry says of the upstream that is an object or in it; `None` where its servers are
    /// written.
    fn found(&self, object: &ObjectName) -> Option<FoundServers>;

    /// What protects the routes in force; `None` before there are any.
    fn coverage(&self) -> Option<Arc<dyn Coverage>>;
}
