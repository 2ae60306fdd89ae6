//! How the keys of callers are made and kept.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_core::{HashKeys, Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::diagnostic::{Invalid, PathStep};
use crate::managers::is_path;

/// Shortest hash key: as long as its hash.
const HASH_KEY_MIN: usize = 32;

/// The keys of callers, of which the store holds hashes: `bartizan key create` makes them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeys {
    /// What keys are hashed with (HMAC-SHA-256). The first one hashes new keys, all recognise; every
    /// node of a store has the same. Without the one that it was hashed with, a key is refused.
    #[schemars(length(min = 1, max = 4))]
    pub hash_keys: Vec<HashKeyConfig>,
    /// What the keys that are made here begin with, so that scanners and people know them.
    #[serde(default = "prefix")]
    #[schemars(extend(
        "pattern" = "^[a-z][a-z0-9]{1,15}$",
        "x-expects" = "2 to 16 lower-case letters and digits, a letter first"
    ))]
    pub prefix: String,
    /// Keys that this node exchanges by itself. It needs `admin`, and a store that the node writes.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub rotate: Vec<KeyRotation>,
}

/// A key that is exchanged again and again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyRotation {
    /// The consumer whose key it is.
    #[schemars(length(min = 1, max = 256))]
    pub consumer: String,
    /// How often there is a new key, such as `720h`; at least a minute, at most 180 days. A key is
    /// good for twice as long and the overlap, at most 366 days, so that an exchange may fail for a
    /// while.
    pub every: Span,
    /// How long the old key is good still; shorter than `every`.
    pub overlap: Span,
    /// Where the new key goes. The old one retires only when the new one arrived.
    pub to: KeyRecipient,
}

/// Where a new key goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum KeyRecipient {
    /// A file, which is replaced whole and is readable by its owner alone.
    File(#[schemars(extend("minLength" = 1))] PathBuf),
    /// A program and its arguments. It reads the key from its standard input, and has it only if it
    /// ends with 0 within 30 seconds. There is no shell.
    Command(#[schemars(length(min = 1, max = 64))] Vec<String>),
    /// A secret in Vault, which is entered as a secret manager of the store is. What else stands in
    /// the secret stays.
    Vault(KeyInVault),
}

/// A place in Vault. All of it stands here: the store says how Vault is entered, and not where a key
/// goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyInVault {
    /// The secret manager: `main` for the one with the id `vault/main`.
    #[schemars(length(min = 1, max = 256))]
    pub manager: String,
    /// Where it is, as its `uri` says too. To another server the key does not go.
    #[schemars(extend(
        "pattern" = "^https?://[^/\\s]+/?$",
        "x-expects" = "an address such as `https://vault.internal:8200`"
    ))]
    pub uri: String,
    /// The namespace, if the secret manager has one.
    #[schemars(length(min = 1, max = 256))]
    pub namespace: Option<String>,
    /// Where the key-value engine is mounted, as `mount` of the secret manager.
    #[schemars(extend(
        "pattern" = "^[^/\\s]+(/[^/\\s]+)*$",
        "maxLength" = 512,
        "x-expects" = "a path such as `kv`"
    ))]
    pub mount: String,
    /// The path of the secret in the engine; it lies below the `prefix` of the secret manager.
    #[schemars(length(min = 1, max = 512))]
    pub path: String,
    /// The name of the key in the secret.
    #[schemars(length(min = 1, max = 256))]
    pub key: String,
}

/// A key that keys are hashed with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HashKeyConfig {
    /// Its name, which is written beside each hash. A key keeps its name.
    #[schemars(extend(
        "pattern" = "^[a-zA-Z0-9_.-]{1,64}$",
        "x-expects" = "a name of up to 64 letters, digits, `-`, `_` and `.`"
    ))]
    pub id: String,
    /// At least 32 bytes, as `openssl rand -hex 32` makes them. `$file://…` and `$env://…` keep it
    /// out of this file.
    pub key: Secret,
}

fn prefix() -> String {
    "btz".to_owned()
}

impl ApiKeys {
    /// The keys, ready to hash.
    pub fn hash_keys(&self) -> HashKeys {
        HashKeys::new(self.hash_keys.iter().map(|key| (key.id.as_str(), &key.key)))
    }
}

/// Shortest time between two keys.
const EVERY_MIN: Duration = Duration::from_secs(60);
/// Longest time between two keys: a key is good for twice as long.
const EVERY_MAX: Duration = Duration::from_secs(180 * 86_400);

/// Makes paths absolute, and tells what contradicts itself; `is_writer` says whether the node can make
/// keys at all.
pub(super) fn complete(
    keys: &mut ApiKeys,
    folder: &Path,
    is_writer: bool,
    problems: &mut Vec<Invalid>,
) {
    check_hash_keys(keys, problems);
    if !keys.rotate.is_empty() && !is_writer {
        let problem = "keys are exchanged only where there is `admin`, and a store that is no file";
        let invalid = Invalid::at("rotate", problem);
        problems.push(invalid.under(PathStep::Key("api_keys".into())));
    }
    for index in 0..keys.rotate.len() {
        let (before, rest) = keys.rotate.split_at_mut(index);
        let Some(rotation) = rest.first_mut() else { continue };
        let mut tell = |field: &str, problem: &str| {
            let invalid = Invalid::at(field, problem)
                .under(PathStep::Index(index))
                .under(PathStep::Key("rotate".into()))
                .under(PathStep::Key("api_keys".into()));
            problems.push(invalid);
        };
        if !(EVERY_MIN..=EVERY_MAX).contains(&rotation.every.0) {
            tell("every", "must be from 1m to 4320h");
        }
        if rotation.overlap.0 >= rotation.every.0 {
            tell("overlap", "the overlap must be shorter than `every`");
        }
        if before.iter().any(|other| other.consumer == rotation.consumer) {
            tell("consumer", "the consumer is given twice");
        }
        match &mut rotation.to {
            KeyRecipient::File(path) => *path = folder.join(&*path),
            KeyRecipient::Command(words) => {
                if words.first().is_none_or(|program| !program.starts_with('/')) {
                    tell("to", "the program must be an absolute path");
                }
            }
            KeyRecipient::Vault(place) => {
                if !is_path(&place.path) || !is_path(&place.mount) {
                    tell("to", "`mount` and `path` must lead down, without empty parts and dots");
                }
            }
        }
    }
}

fn check_hash_keys(keys: &ApiKeys, problems: &mut Vec<Invalid>) {
    for (index, key) in keys.hash_keys.iter().enumerate() {
        let before = keys.hash_keys.get(..index).unwrap_or_default();
        let mut tell = |field: &str, problem: String| {
            let invalid = Invalid::at(field, problem)
                .with_help("`openssl rand -hex 32` makes a good one")
                .under(PathStep::Index(index))
                .under(PathStep::Key("hash_keys".into()))
                .under(PathStep::Key("api_keys".into()));
            problems.push(invalid);
        };
        if key.key.len() < HASH_KEY_MIN {
            tell("key", format!("the key has {} bytes, not {HASH_KEY_MIN}", key.key.len()));
        }
        if before.iter().any(|other| other.id == key.id) {
            tell("id", "the id is given twice".to_owned());
        }
        if before.iter().any(|other| other.key.matches(key.key.expose())) {
            tell("key", "the key is given twice".to_owned());
        }
    }
}
