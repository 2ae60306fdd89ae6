//! The keys of callers: made here, kept by the store as hashes.
//!
//! A key is a credential of a consumer with the plugin `key-auth`; its id is the id that stands in
//! the key. What may be done to keys is decided on a snapshot of the store, and the change goes the
//! way of every other: it is judged with all the rest, stored, and put into force before anybody
//! is told.

mod credential;
mod desk;
mod hand_over;
mod schedule;
#[cfg(test)]
mod tests;
mod uses;

use bartizan_core::Secret;
use serde::{Deserialize, Serialize};

use crate::operators::KeyState;
pub use desk::{CallerKeySettings, CallerKeys, FindUse};
pub use hand_over::{COMMAND_TIME, Keeper, Recipient};
pub use schedule::Rotation;
pub use uses::{SHARED_MAX, SharedUses};

/// What is known of a caller's key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallerKeyView {
    /// The id of the credential.
    pub id: String,
    /// Whose it is.
    pub consumer: String,
    /// What it is worth now.
    pub state: KeyState,
    /// Of a key that is over: `expired` or `retired`.
    pub over: Option<String>,
    /// Whether the store holds the key itself, and no hash of it.
    pub is_plain: bool,
    /// When it was made, where that is known.
    pub created: Option<String>,
    /// When it ends, or ended; never where absent.
    pub ends: Option<String>,
    /// The hour in which it was last used: on this node since it started, or on any node of the
    /// store as far as the store says. Of keys that the store holds themselves it is not known.
    pub last_used: Option<String>,
    /// The key that it succeeds.
    pub succeeds: Option<String>,
}

/// A key that was just made: the only time that it is shown.
#[derive(Clone, Debug)]
pub struct MadeCallerKey {
    /// The key.
    pub key: Secret,
    /// What is known of it.
    pub view: CallerKeyView,
    /// Of a rotation: the key that it succeeds, as it is now.
    pub old: Option<CallerKeyView>,
    /// Where this node does not write the store: what to put into it.
    pub paste: Option<Paste>,
}

/// What a person has to write, because the node does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paste {
    /// Why the node does not.
    pub why: String,
    /// What to write where, line by line.
    pub lines: Vec<String>,
}

/// Why nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct Undone {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub help: String,
}

impl Undone {
    fn new(problem: impl Into<String>, help: impl Into<String>) -> Self {
        Self { problem: problem.into(), help: help.into() }
    }
}
