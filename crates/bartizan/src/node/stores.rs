//! The store of a node, whichever it is.

use bartizan_config::{Draft, NodeConfig, Store as Configured, StoredObject};
use bartizan_core::Clock;
use bartizan_store::{Embedded, EmbeddedSettings, OpenError, Snapshot, Store, StoreError};

use crate::failure::Failure;

/// Where a node's resources are, beside the files that it reads.
#[derive(Debug)]
pub(crate) enum NodeStore {
    /// In files, which are read and watched with the node file.
    Files,
    /// In a database.
    Embedded(Embedded),
}

impl NodeStore {
    /// Opens the store that a node file names.
    pub(crate) fn open(config: &NodeConfig, clock: &Clock) -> Result<Self, Failure> {
        Ok(match &config.store {
            None | Some(Configured::File { .. }) => Self::Files,
            Some(Configured::Embedded { path, history }) => {
                let (path, history, clock) = (path.clone(), *history, clock.clone());
                let settings = EmbeddedSettings { path, history, clock };
                Self::Embedded(Embedded::open(settings).map_err(not_open)?)
            }
            Some(Configured::Etcd(_)) => return Err(Failure::new("etcd is not served yet")),
        })
    }

    /// Whether the resources are in the files that the node reads.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Files)
    }

    /// Everything in it.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match self {
            Self::Files => Ok(Snapshot::default()),
            Self::Embedded(store) => store.snapshot().await,
        }
    }

    /// Waits until something is other than at a revision.
    pub(crate) async fn changed(&self, after: u64) {
        let outcome = match self {
            Self::Files => std::future::pending().await,
            Self::Embedded(store) => store.changes(after).await,
        };
        if let Err(error) = outcome {
            tracing::error!("the store tells no changes: {error}");
            // A store that is broken stays so; the configuration in force stays too.
            std::future::pending::<()>().await;
        }
    }
}

/// Adds what is in a store to a draft.
pub(crate) fn add(draft: &mut Draft, snapshot: &Snapshot) {
    for object in &snapshot.objects {
        let (collection, id) = (object.key.collection(), object.key.id());
        let name = format!("{} at revision {}", object.key, object.revision);
        draft.add_object(&StoredObject { collection, id, name: &name, content: &object.content });
    }
}

fn not_open(error: OpenError) -> Failure {
    let failure = Failure::new(error.problem);
    match error.help {
        Some(help) => failure.with_help(&*help),
        None => failure,
    }
}
