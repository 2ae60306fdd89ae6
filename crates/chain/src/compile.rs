//! What a plugin can reach while it compiles.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use bartizan_audit::Redactor;
use bartizan_config::{Invalid, References, ResourceRef};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Compatibility, HashKeys, Limits, NodeKey, Timestamp};
use bartizan_protos::Protos;
use prometheus_client::registry::Registry;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::cpu::CpuPool;
use crate::key_uses::KeyUses;
use crate::outside::Outside;
use crate::pages::Pages;
use crate::registry::StateRegistry;

/// What logs must not show, exchanged as a whole when the configuration changes.
pub type SharedRedactor = Arc<ArcSwap<Redactor>>;

/// What is true for the node as a whole and does not change with the configuration of resources.
pub struct NodeFacts {
    /// Whose wire habits it follows.
    pub compatibility: Compatibility,
    /// Bounds of everything.
    pub limits: Limits,
    /// Where wall time comes from.
    pub clock: Clock,
    /// The key under which credentials are indexed.
    pub key: NodeKey,
    /// The keys under which the keys of callers are hashed where they are stored.
    pub hash_keys: HashKeys,
    /// When the keys of callers were used.
    pub key_uses: KeyUses,
    /// Where metrics are registered.
    pub metrics: Arc<Mutex<Registry>>,
    /// State that outlives snapshots.
    pub registry: StateRegistry,
    /// Where work goes that would hold up an event loop.
    pub cpu: CpuPool,
    /// The folder that relative paths in configuration start from.
    pub base_dir: PathBuf,
    /// The files that plugins read while they compile.
    pub files: FilesRead,
    /// When the node started.
    pub started: Timestamp,
    /// What the node counts about itself.
    pub counts: SharedMetrics,
    /// What it tells about itself.
    pub pages: Pages,
    /// The world outside.
    pub outside: Outside,
    /// What logs must not show; it knows the fields that carry credentials on this node.
    pub redactor: SharedRedactor,
}

/// The files that a configuration was compiled from, beside its documents: when one changes, the
/// configuration has changed.
#[derive(Debug, Default)]
pub struct FilesRead {
    read: Mutex<BTreeSet<PathBuf>>,
    references: References,
}

impl FilesRead {
    /// None is read yet, and only these may be.
    pub fn within(references: References) -> Self {
        Self { references, ..Self::default() }
    }

    /// Whether a file may be read whose path, from a folder, is written so in the configuration; if
    /// not, what is to be said behind its name.
    pub fn may_read(&self, folder: &Path, written: &Path) -> Result<(), &'static str> {
        self.references.file(folder, written)
    }

    /// Notes a file.
    pub fn note(&self, path: PathBuf) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(path);
    }

    /// Every file since the last time this was asked.
    pub fn take(&self) -> Vec<PathBuf> {
        let mut files = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *files).into_iter().collect()
    }
}

/// The compiling of one plugin of one resource.
pub struct CompileCx<'a> {
    /// The node.
    pub node: &'a NodeFacts,
    /// The resource in which the plugin is written; state belongs to it.
    pub resource: &'a ResourceRef,
    /// The plugin.
    pub plugin: &'static str,
    /// Whether it will not run: it is disabled, or in no route that is in service. It is compiled to
    /// know that it is sound, and takes part in nothing that it would share with others.
    pub is_disabled: bool,
    /// Its metadata, where the configuration has some.
    pub metadata: Option<&'a Value>,
    /// Whether there is a consumer of this name.
    pub has_consumer: &'a dyn Fn(&str) -> bool,
    /// Whether there is a consumer group of this id.
    pub has_group: &'a dyn Fn(&str) -> bool,
    /// The messages and services of the proto of this id; `None` where there is none.
    pub proto: &'a dyn Fn(&str) -> Option<Arc<Protos>>,
    /// What the plugin tells others on the way: servers beyond this machine to which it speaks in
    /// clear or unverified. Told as warnings, or as faults where the node requires TLS.
    pub exposed: &'a RefCell<Vec<Invalid>>,
}

impl CompileCx<'_> {
    /// Whose wire habits the node follows.
    pub fn compatibility(&self) -> Compatibility {
        self.node.compatibility
    }

    /// State that outlives this snapshot, of this plugin in this resource. Put into `key` whatever
    /// must restart it.
    pub fn state<T: std::any::Any + Send + Sync>(
        &self,
        key: impl Into<String>,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        self.node.registry.state(self.resource, self.plugin, key.into(), make)
    }

    /// The plugin's metadata, typed; `None` where the configuration has none.
    pub fn metadata<T: DeserializeOwned>(&self) -> Result<Option<T>, Invalid> {
        self.metadata
            .map(|value| T::deserialize(value))
            .transpose()
            .map_err(|error| Invalid::new(format!("metadata of `{}`: {error}", self.plugin)))
    }

    /// A path from the configuration, made absolute; the file is watched from then on. Where whoever
    /// wrote it may not read the file, what is to be said behind its name.
    pub fn resolve_path(&self, path: &str) -> Result<PathBuf, &'static str> {
        let (folder, written) = (&self.node.base_dir, Path::new(path));
        self.node.files.may_read(folder, written)?;
        let path = folder.join(written);
        self.node.files.note(path.clone());
        Ok(path)
    }
}
