//! Why a store does not do what it is asked.

use std::sync::Arc;

use crate::key::Key;

/// Why a store does not do what it is asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// An object is not as the writer expected: someone else was faster.
    #[error("`{key}` {}", is_at(*.current))]
    Conflict {
        /// The object.
        key: Key,
        /// Its revision now; `None` where there is none.
        current: Option<u64>,
    },
    /// There is no such object.
    #[error("there is no `{0}`")]
    Missing(Key),
    /// The object has no such revision, or it is not kept any more.
    #[error("`{0}` has no revision {1} that is kept")]
    NoRevision(Key, u64),
    /// The store is written by other means.
    #[error("the store `{store}` cannot be written through the gateway: {how}")]
    ReadOnly {
        /// Which.
        store: &'static str,
        /// How it is written.
        how: &'static str,
    },
    /// Nothing to do, or too much at once.
    #[error("a commit changes 1 to {1} objects, not {0}")]
    CommitSize(usize, usize),
    /// The same object twice in one commit.
    #[error("`{0}` is changed twice in one commit")]
    Twice(Key),
    /// What is to be written is no object.
    #[error("`{0}` cannot be written: {1}")]
    BadContent(Key, String),
    /// The store cannot be reached, or has not been reached yet.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// The store does not let us in.
    #[error("the store refuses access: {0}")]
    Refused(String),
    /// The store is damaged, or answers what nobody asked.
    #[error("the store is broken: {0}")]
    Broken(String),
}

fn is_at(current: Option<u64>) -> String {
    match current {
        Some(revision) => format!("was changed by someone else: it is at revision {revision}"),
        None => "is not there any more".to_owned(),
    }
}

/// Why a store cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub struct OpenError {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub help: Option<Arc<str>>,
}

impl OpenError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: None }
    }

    pub(crate) fn with_help(self, help: &str) -> Self {
        Self { help: Some(help.into()), ..self }
    }
}
