//! Keys as they are configured, and what is kept of them.

use bartizan_chain::{CompileCx, CredentialEntry, CredentialRef, Plugin as _};
use bartizan_config::Invalid;
use bartizan_core::{Secret, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::KeyAuth;
use crate::authenticate::strength;

/// What is looked up: the beginning of a digest that nobody can make without the node's keys, and
/// the key that it was made with.
type Lookup = [u8; 17];

/// The key of a consumer or credential: `key`, or `hash`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The key itself, long and random. It belongs to one consumer only.
    key: Option<Secret>,
    /// The HMAC-SHA-256 of the key under `hash_key`, in base64. `bartizan key create` makes it.
    #[schemars(extend(
        "pattern" = "^[A-Za-z0-9+/]{43}=$",
        "x-expects" = "32 bytes in base64"
    ))]
    hash: Option<String>,
    /// The name of the node's key that `hash` was made with, one of `api_keys.hash_keys`.
    #[schemars(length(min = 1, max = 64))]
    hash_key: Option<String>,
    /// When the key ends, as in `2026-12-31T00:00:00Z`. Absent: never.
    expires_at: Option<Instant>,
    /// When the key ends because another one takes its place; not after `expires_at`.
    retires_at: Option<Instant>,
    /// Accepts a `key` that can be guessed.
    #[serde(default)]
    danger_weak_secret: bool,
}

/// A time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Instant(Timestamp);

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expected = "expected a time in UTC, as in `2026-12-31T00:00:00Z`";
        Timestamp::from_rfc3339(&text).map(Self).ok_or_else(|| serde::de::Error::custom(expected))
    }
}

impl JsonSchema for Instant {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{3})?Z$",
            "x-expects": "a time in UTC, as in `2026-12-31T00:00:00Z`"
        })
    }
}

/// When a key expires. Of a million keys each has one, so it is no larger than it must be.
#[derive(Debug)]
struct Expires(Timestamp);

/// When a key retires.
#[derive(Debug)]
struct Retires(Timestamp);

/// When a key expires that may be weak.
#[derive(Debug)]
struct WeakExpires(Timestamp);

/// When a key retires that may be weak.
#[derive(Debug)]
struct WeakRetires(Timestamp);

/// What became of a key that is good no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) how: &'static str,
    /// The key may be weak, by what is said of it.
    pub(super) is_weak: bool,
}

/// When a key is good no more, and what it is then.
pub(super) fn end(owner: &CredentialRef<'_>) -> Option<(Timestamp, Over)> {
    let found = [
        ("expired", false, owner.data::<Expires>().map(|end| end.0)),
        ("retired", false, owner.data::<Retires>().map(|end| end.0)),
        ("expired", true, owner.data::<WeakExpires>().map(|end| end.0)),
        ("retired", true, owner.data::<WeakRetires>().map(|end| end.0)),
    ];
    found.into_iter().find_map(|(how, is_weak, end)| Some((end?, Over { how, is_weak })))
}

/// What became of a key; nothing while it is good.
pub(super) fn over(owner: &CredentialRef<'_>, now: Timestamp) -> Option<Over> {
    end(owner).filter(|(end, _)| now >= *end).map(|(_, over)| over)
}

impl ConsumerConfig {
    /// The entry of the credential index.
    pub(super) fn entry(&self, cx: &CompileCx<'_>) -> Result<CredentialEntry, Invalid> {
        let lookup = match (&self.key, &self.hash) {
            (Some(key), None) => lookup(&self.plain(key, cx)?, None),
            (None, Some(hash)) => {
                let (digest, place) = self.hashed(hash, cx)?;
                lookup(&digest, Some(place))
            }
            _ => return Err(Invalid::new("needs one of `key` and `hash`")),
        };
        if self.retires_at > self.expires_at && self.expires_at.is_some() {
            return Err(Invalid::at("retires_at", "the key has expired before")
                .with_help("remove it, or name a time before `expires_at`"));
        }
        Ok(match (self.retires_at, self.expires_at, self.danger_weak_secret) {
            (Some(Instant(end)), _, false) => CredentialEntry::new(lookup, Retires(end)),
            (Some(Instant(end)), _, true) => CredentialEntry::new(lookup, WeakRetires(end)),
            (None, Some(Instant(end)), false) => CredentialEntry::new(lookup, Expires(end)),
            (None, Some(Instant(end)), true) => CredentialEntry::new(lookup, WeakExpires(end)),
            (None, None, _) => CredentialEntry::new(lookup, ()),
        })
    }

    fn plain(&self, key: &Secret, cx: &CompileCx<'_>) -> Result<[u8; 32], Invalid> {
        if key.is_empty() {
            return Err(Invalid::at("key", "the key is empty"));
        }
        if self.hash_key.is_some() {
            return Err(Invalid::at("hash_key", "there is no `hash` that it belongs to")
                .with_help("remove it"));
        }
        strength::KEY.check(key, "key", &strength::names(cx), self.danger_weak_secret)?;
        Ok(cx.node.key.digest(KeyAuth::NAME, key.expose()))
    }

    /// The digest, and the place of the hash key that it was made with.
    fn hashed(&self, hash: &str, cx: &CompileCx<'_>) -> Result<([u8; 32], usize), Invalid> {
        if self.danger_weak_secret {
            let problem = "a hash does not tell whether its key is weak";
            return Err(Invalid::at("danger_weak_secret", problem).with_help("remove it"));
        }
        let Some(id) = &self.hash_key else {
            return Err(Invalid::at("hash", "the `hash_key` is missing that it was made with"));
        };
        let Some(place) = cx.node.hash_keys.iter().position(|key| key.id() == id) else {
            return Err(Invalid::at("hash_key", format!("this node has no hash key `{id}`"))
                .with_help("add it to `api_keys.hash_keys` of the node file"));
        };
        let bytes = STANDARD.decode(hash).ok().and_then(|bytes| bytes.try_into().ok());
        let digest = bytes.ok_or_else(|| Invalid::at("hash", "not 32 bytes in base64"))?;
        Ok((digest, place))
    }
}

/// What a digest is looked up by, under the hash key of that place or, for keys that stand in the
/// configuration, under the process's own.
pub(super) fn lookup(digest: &[u8; 32], place: Option<usize>) -> Lookup {
    let mut lookup = [u8::MAX; 17];
    for (byte, of_digest) in lookup.iter_mut().zip(digest.iter().take(16)) {
        *byte = *of_digest;
    }
    if let ([.., last], Some(place)) = (&mut lookup, place) {
        *last = u8::try_from(place).unwrap_or(u8::MAX - 1);
    }
    lookup
}
