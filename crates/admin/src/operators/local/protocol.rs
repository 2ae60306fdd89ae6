//! What is said on the local socket.

use serde::{Deserialize, Serialize};

use crate::callers::{CallerKeyView, Paste};
use crate::key_text::KeyId;
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
    /// Makes a key of a consumer.
    #[serde(rename = "key-create")]
    KeyCreate {
        /// Whose.
        consumer: String,
        /// How long it is good.
        lifetime: u64,
    },
    /// Tells the keys of consumers.
    #[serde(rename = "key-list")]
    KeyList {
        /// Of which; absent: of all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consumer: Option<String>,
    },
    /// Makes the key of a consumer that succeeds another.
    #[serde(rename = "key-rotate")]
    KeyRotate {
        /// The other.
        id: String,
        /// Whose, where several have one of that id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consumer: Option<String>,
        /// How long the other is good still.
        overlap: u64,
        /// How long the new one is good; absent: as long as the other was made for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lifetime: Option<u64>,
    },
    /// Lets a key of a consumer end in order.
    #[serde(rename = "key-retire")]
    KeyRetire {
        /// Which.
        id: String,
        /// Whose, where several have one of that id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consumer: Option<String>,
        /// How long it is good still.
        overlap: u64,
    },
}

impl Request {
    /// Whether it is about the keys of callers, and not those of operators.
    pub(super) const fn is_about_callers(&self) -> bool {
        matches!(
            self,
            Self::KeyCreate { .. }
                | Self::KeyList { .. }
                | Self::KeyRotate { .. }
                | Self::KeyRetire { .. }
        )
    }
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
    /// A key of a consumer was made: it is told here, and never again.
    CallerMade(Box<CallerMade>),
    /// Keys of consumers.
    CallerKeys(Vec<CallerKeyView>),
    /// A key of a consumer was changed.
    CallerChanged(Box<CallerKeyView>),
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

/// A key of a consumer that was made. There is no `Debug` of it but one that hides the key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerMade {
    /// The key.
    pub key: String,
    /// What is known of it.
    pub view: CallerKeyView,
    /// Of a rotation: the key that it succeeds.
    pub old: Option<CallerKeyView>,
    /// What a person has to write, where the node does not.
    pub paste: Option<Paste>,
}

impl std::fmt::Debug for CallerMade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallerMade").field("view", &self.view).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Made {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Made").field("view", &self.view).finish_non_exhaustive()
    }
}
