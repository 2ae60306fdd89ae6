//! A key as the book has it: never the key itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bartizan_core::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rights::Rights;
use crate::key_text::KeyId;

/// "Last used" is kept to this: enough to see which keys are in use, and not when people work.
const HOUR: u64 = 3_600;

/// A whole second, as the book has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Second(pub u64);

impl Second {
    /// The second of a time.
    pub fn of(time: Timestamp) -> Self {
        Self(time.as_secs())
    }

    /// The second so much later.
    #[must_use]
    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time.as_secs()))
    }

    /// As RFC 3339.
    pub fn to_rfc3339(self) -> String {
        Timestamp::from_secs(self.0).to_rfc3339()
    }
}

/// What a key is worth now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// It succeeds another key and was not used yet. It is good, and becomes active at first use.
    Next,
    /// It is good.
    Active,
    /// It is good until a stated date.
    Retiring,
    /// It is good no more.
    Retired,
}

impl KeyState {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }
}

/// A keyed digest. Compared in constant time only.
#[derive(Clone, Copy)]
pub(super) struct Mac(pub(super) [u8; 32]);

impl std::fmt::Debug for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mac(…)")
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(self.0))
    }
}

impl<'de> Deserialize<'de> for Mac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| D::Error::custom("no digest of 32 bytes in base64"))
    }
}

/// When a key was last used: shared by all copies of its entry, so that checking a key writes no
/// book.
#[derive(Clone, Debug, Default)]
pub(super) struct LastUse(Arc<AtomicU64>);

impl LastUse {
    /// Notes a use, to the hour. Tells what is new about it.
    pub(super) fn note(&self, now: Second) -> Use {
        let hour = (now.0 / HOUR * HOUR).max(1);
        match self.0.fetch_max(hour, Ordering::AcqRel) {
            0 => Use::First,
            before if before < hour => Use::NewHour,
            _ => Use::Known,
        }
    }

    /// The hour of the last use.
    pub(super) fn hour(&self) -> Option<Second> {
        Some(self.0.load(Ordering::Acquire)).filter(|hour| *hour > 0).map(Second)
    }
}

impl Serialize for LastUse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.hour().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for LastUse {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hour = Option::<Second>::deserialize(deserializer)?;
        Ok(Self(Arc::new(AtomicU64::new(hour.map_or(0, |hour| hour.0)))))
    }
}

/// What a use of a key tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The first ever.
    First,
    /// The first in this hour.
    NewHour,
    /// Nothing.
    Known,
}

/// A key in the book. Its state follows from its dates, so that the two cannot contradict.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) id: KeyId,
    /// Whose it is, or what for.
    pub(super) name: Arc<str>,
    /// The digest of the whole key.
    pub(super) mac: Mac,
    pub(super) rights: Arc<Rights>,
    pub(super) created: Second,
    pub(super) expires: Second,
    /// The key that it succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) succeeds: Option<KeyId>,
    /// When it ends before it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) retires: Option<Second>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked: Option<Second>,
    #[serde(default)]
    pub(super) last_used: LastUse,
}

impl Entry {
    /// When it ends, or ended.
    pub(super) fn end(&self) -> Second {
        [self.revoked, self.retires].into_iter().flatten().fold(self.expires, Second::min)
    }

    /// A clock that is set back makes no revoked key good again.
    pub(super) fn is_over(&self, now: Second) -> bool {
        self.revoked.is_some() || now >= self.end()
    }

    pub(super) fn state(&self, now: Second) -> KeyState {
        if self.is_over(now) {
            KeyState::Retired
        } else if self.retires.is_some() {
            KeyState::Retiring
        } else if self.succeeds.is_some() && self.last_used.hour().is_none() {
            KeyState::Next
        } else {
            KeyState::Active
        }
    }

    /// Why a key that is over is over.
    pub(super) fn over(&self) -> &'static str {
        if self.revoked.is_some() {
            "revoked"
        } else if self.retires.is_some_and(|date| date <= self.expires) {
            "retired"
        } else {
            "expired"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_kept_to_the_hour_and_never_goes_back() {
        let last = LastUse::default();
        assert_eq!(last.hour(), None);
        assert_eq!(last.note(Second(7_300)), Use::First);
        assert_eq!(last.hour(), Some(Second(7_200)));
        assert_eq!(last.note(Second(10_700)), Use::Known);
        assert_eq!(last.note(Second(10_800)), Use::NewHour);
        assert_eq!(last.note(Second(7_300)), Use::Known);
        assert_eq!(last.hour(), Some(Second(10_800)));
    }

    #[test]
    fn copies_of_an_entry_share_its_last_use() {
        let last = LastUse::default();
        let copy = last.clone();
        copy.note(Second(4_000));
        assert_eq!(last.hour(), Some(Second(3_600)));
    }
}
