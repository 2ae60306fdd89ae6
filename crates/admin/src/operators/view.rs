//! Keys as people and tools are shown them.

use bartizan_core::Secret;
use serde::{Deserialize, Serialize};

use super::PREFIX;
use super::entry::{Entry, KeyState, Second};
use super::rights::Rights;
use crate::key_text::KeyId;

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// What it begins with, for scanners and for people who find one.
    pub prefix: String,
    /// Whose it is, or what for.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
    /// What it is worth now.
    pub state: KeyState,
    /// Of a key that is over: `expired`, `retired` or `revoked`.
    pub over: Option<String>,
    /// When it was made.
    pub created: String,
    /// When it ends, or ended.
    pub ends: String,
    /// The hour in which it was last used.
    pub last_used: Option<String>,
    /// The key that it succeeds.
    pub succeeds: Option<KeyId>,
}

impl KeyView {
    pub(super) fn of(entry: &Entry, now: Second) -> Self {
        Self {
            id: entry.id,
            prefix: format!("{PREFIX}_{}_", entry.id),
            name: entry.name.to_string(),
            rights: Rights::clone(&entry.rights),
            state: entry.state(now),
            over: entry.is_over(now).then(|| entry.over().to_owned()),
            created: entry.created.to_rfc3339(),
            ends: entry.end().to_rfc3339(),
            last_used: entry.last_used.hour().map(Second::to_rfc3339),
            succeeds: entry.succeeds,
        }
    }
}

/// A key that was just made: the only time that it is shown.
#[derive(Clone, Debug)]
pub struct MadeKey {
    /// The key.
    pub key: Secret,
    /// What is known of it.
    pub view: KeyView,
    /// Of a rotation: the key that it succeeds, as it is now.
    pub old: Option<KeyView>,
}
