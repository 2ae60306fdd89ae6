//! What is said on the local socket.

use serde::{Deserialize, Serialize};

use crate::operators::key::KeyId;
use crate::operators::rights::Rights;
use crate::operators::view::KeyView;

/// What is asked for. Times are in seconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// Makes a key.
    Create {
        /// Whose it is, or what for.
        name: String,
        /// What it may do.
        rights: Rights,
        /// How long it is good.
        lifetime: u64,
    },
    /// Tells all keys.
    List {},
    /// Makes the key that succeeds another.
    Rotate {
        /// The other.
        id: KeyId,
        /// How long the other is good still.
        overlap: u64,
        /// How long the new one is good; absent: as long as the other was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifetime: Option<u64>,
    },
    /// Lets a key end in order.
    Retire {
        /// Which.
        id: KeyId,
        /// How long it is good still.
        overlap: u64,
    },
    /// Ends a key at once.
    Revoke {
        /// Which.
        id: KeyId,
    },
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Answer {
    /// A key was made: it is told here, and never again.
    Made(Box<Made>),
    /// All keys.
    Keys(Vec<KeyView>),
    /// A key was changed.
    Changed(Box<KeyView>),
    /// It was not done.
    Refused {
        /// Why.
        problem: String,
        /// What to do about it.
        help: String,
    },
}

/// A key that was made. There is no `Debug` of it but one that hides the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Made {
    /// The key.
    pub key: String,
    /// What is known of it.
    pub view: KeyView,
    /// Of a rotation: the key that it succeeds.
    pub old: Option<KeyView>,
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("view", &self.view).finish_non_exhaustive()
    }
}
