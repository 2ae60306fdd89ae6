//! The book of keys: what may be done to it, without files and without clocks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;
use bartizan_core::{NodeKey, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::PREFIX;
use super::entry::{Entry, KeyState, LastUse, Mac, Second};
use super::rights::{Rights, Role, Unfit};
use crate::key_text::{self, KeyId, NewKey, NoRandomness};

/// Most keys, ended ones included.
pub const KEYS_MAX: usize = 256;
/// Longest life of a key.
pub const LIFETIME_MAX: Duration = Duration::from_secs(366 * 86_400);
/// Shortest life of a key.
pub const LIFETIME_MIN: Duration = Duration::from_secs(60);
/// Longest time for which a key that was rotated or retired is good still.
pub const OVERLAP_MAX: Duration = Duration::from_secs(90 * 86_400);
/// Longest name, in bytes.
pub const NAME_MAX: usize = 64;
/// How long ended keys stay in the book, so that what they did can be told from events.
const REMEMBERED: Duration = Duration::from_secs(400 * 86_400);
/// The format of the file.
const VERSION: u32 = 1;
/// What the digests of keys are separated by from others under the same key.
const DOMAIN: &str = "admin-key";

/// The keys of all operators.
#[derive(Clone)]
pub(super) struct Book {
    /// What the digests are made with, as the file has it.
    secret: Secret,
    digester: NodeKey,
    entries: BTreeMap<KeyId, Entry>,
}

/// The same as the file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    digest_key: Secret,
    keys: Vec<Entry>,
}

/// The same, to be written.
#[derive(Serialize)]
struct ToWrite<'a> {
    version: u32,
    digest_key: &'a str,
    keys: Vec<&'a Entry>,
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewOperator {
    /// Whose it is, or what for.
    pub name: String,
    /// What it may do.
    pub rights: Rights,
    /// How long it is good.
    pub lifetime: Duration,
}

impl From<NoRandomness> for Unfit {
    fn from(none: NoRandomness) -> Self {
        Self::new(none.to_string(), "try again; if it stays so, the system is broken")
    }
}

impl Book {
    /// A book without keys.
    pub(super) fn new() -> Result<Self, NoRandomness> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        rand::fill(bytes.as_mut()).map_err(|_| NoRandomness)?;
        Ok(Self {
            secret: Secret::new(BASE64.encode(bytes.as_ref())),
            digester: NodeKey::new(bytes.as_ref()),
            entries: BTreeMap::new(),
        })
    }

    /// Reads what [`Book::to_bytes`] wrote. The text says what is wrong with it.
    pub(super) fn parse(content: &[u8]) -> Result<Self, String> {
        let written: Written =
            serde_json::from_slice(content).map_err(|error| error.to_string())?;
        if written.version != VERSION {
            return Err(format!("its version is {}, and {VERSION} is read", written.version));
        }
        let secret = written.digest_key;
        let bytes = BASE64.decode(secret.expose()).map(Zeroizing::new);
        let bytes = bytes.ok().filter(|bytes| bytes.len() == 32);
        let bytes = bytes.ok_or("`digest_key` is not 32 bytes in base64")?;
        if written.keys.len() > KEYS_MAX {
            return Err(format!("it holds more than {KEYS_MAX} keys"));
        }
        let digester = NodeKey::new(&bytes);
        let mut book = Self { secret, digester, entries: BTreeMap::new() };
        for entry in written.keys {
            let id = entry.id;
            check_name(&entry.name)
                .and(entry.rights.check())
                .map_err(|unfit| format!("the key `{id}`: {unfit}"))?;
            if entry.expires <= entry.created {
                return Err(format!("the key `{id}` expires before it is made"));
            }
            if book.entries.insert(id, entry).is_some() {
                return Err(format!("the key `{id}` is there twice"));
            }
        }
        Ok(book)
    }

    /// The book as it is kept.
    pub(super) fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        let to_write = ToWrite {
            version: VERSION,
            digest_key: self.secret.expose_str().unwrap_or_default(),
            keys: self.entries.values().collect(),
        };
        let mut content = Zeroizing::new(serde_json::to_vec_pretty(&to_write)?);
        content.push(b'\n');
        Ok(content)
    }

    /// The keys, by id.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The entry of which this is the key, whatever it is worth now. Keys that nobody has cost what
    /// others cost.
    pub(super) fn find(&self, key: &[u8]) -> Option<&Entry> {
        let entry = key_text::id_of(PREFIX, key).and_then(|id| self.entries.get(&id));
        // Longer texts are no keys: their beginning is digested only to take the same time.
        let digested = key.get(..key_text::length(PREFIX)).unwrap_or(key);
        let mac = self.digester.digest(DOMAIN, digested);
        let expected = entry.map_or([0; 32], |entry| entry.mac.0);
        let is_equal = bool::from(mac.ct_eq(&expected));
        entry.filter(|_| is_equal)
    }

    /// Makes a key.
    pub(super) fn create(&mut self, new: &NewOperator, now: Second) -> Result<NewKey, Unfit> {
        check_name(&new.name)?;
        new.rights.check()?;
        let is_taken = |entry: &Entry| *entry.name == new.name && !entry.is_over(now);
        if let Some(entry) = self.entries().find(|entry| is_taken(entry)) {
            let problem = format!("`{}` has the key `{}`, which is good", new.name, entry.id);
            return Err(Unfit::new(problem, "rotate that one, or choose another name"));
        }
        let rights = Arc::new(new.rights.clone());
        self.add(new.name.as_str().into(), rights, new.lifetime, now, None)
    }

    /// Makes the key that succeeds another, which ends after the overlap. A successor that was not
    /// used yet is taken for lost, and revoked.
    pub(super) fn rotate(
        &mut self,
        id: KeyId,
        overlap: Duration,
        lifetime: Option<Duration>,
        now: Second,
    ) -> Result<NewKey, Unfit> {
        check_overlap(overlap)?;
        let entry = self.good(id, now)?;
        if entry.state(now) == KeyState::Next {
            let problem = format!("the key `{id}` was not used yet");
            return Err(Unfit::new(problem, "rotate the one that it succeeds"));
        }
        let whole = entry.expires.0.saturating_sub(entry.created.0);
        let lifetime = lifetime.unwrap_or(Duration::from_secs(whole));
        let (name, rights) = (Arc::clone(&entry.name), Arc::clone(&entry.rights));
        let is_successor = |other: &&Entry| other.succeeds == Some(id) && !other.is_over(now);
        let successor = self.entries().find(is_successor).map(|other| (other.id, other.state(now)));
        if let Some((successor, state)) = successor {
            if state != KeyState::Next {
                let problem =
                    format!("the key `{id}` was rotated: its successor `{successor}` is in use");
                return Err(Unfit::new(problem, "rotate the successor"));
            }
            self.revoke(successor, now)?;
        }
        let key = self.add(name, rights, lifetime, now, Some(id))?;
        self.end_at(id, now.plus(overlap));
        Ok(key)
    }

    /// Lets a key be good only until the overlap is over, or until it would have ended anyway.
    pub(super) fn retire(
        &mut self,
        id: KeyId,
        overlap: Duration,
        now: Second,
    ) -> Result<(), Unfit> {
        check_overlap(overlap)?;
        self.good(id, now)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            let date = now.plus(overlap);
            entry.retires = Some(entry.retires.map_or(date, |known| known.min(date)));
        }
        Ok(())
    }

    /// Ends a key at once.
    pub(super) fn revoke(&mut self, id: KeyId, now: Second) -> Result<(), Unfit> {
        self.good(id, now)?;
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.revoked = Some(now);
        }
        Ok(())
    }

    /// The entry of an id.
    pub(super) fn get(&self, id: KeyId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    fn good(&self, id: KeyId, now: Second) -> Result<&Entry, Unfit> {
        let entry = self.get(id).ok_or_else(|| {
            Unfit::new(format!("there is no key `{id}`"), "`bartizan admin key list` shows all")
        })?;
        if entry.is_over(now) {
            let problem = format!("the key `{id}` is {} already", entry.over());
            return Err(Unfit::new(problem, "`bartizan admin key create` makes a new one"));
        }
        Ok(entry)
    }

    /// Ends a key at a date; where it had one, at the later of the two.
    fn end_at(&mut self, id: KeyId, date: Second) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.retires = Some(entry.retires.map_or(date, |known| known.max(date)));
        }
    }

    fn add(
        &mut self,
        name: Arc<str>,
        rights: Arc<Rights>,
        lifetime: Duration,
        now: Second,
        succeeds: Option<KeyId>,
    ) -> Result<NewKey, Unfit> {
        if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&lifetime) {
            let problem = "a key is good for at least a minute and at most 366 days".to_owned();
            return Err(Unfit::new(problem, "write, for example, `--expires 90d`"));
        }
        self.forget(now);
        if self.entries.len() >= KEYS_MAX {
            let problem = format!("there are {KEYS_MAX} keys that are good");
            return Err(Unfit::new(problem, "revoke those that are not used"));
        }
        let key = NewKey::random(PREFIX)?;
        if self.entries.contains_key(&key.id) {
            return Err(NoRandomness.into());
        }
        let mac = Mac(self.digester.digest(DOMAIN, key.text.expose()));
        let expires = now.plus(lifetime);
        let entry = Entry {
            id: key.id,
            name,
            mac,
            rights,
            created: now,
            expires,
            succeeds,
            retires: None,
            revoked: None,
            last_used: LastUse::default(),
        };
        self.entries.insert(key.id, entry);
        Ok(key)
    }

    /// Forgets keys that ended long ago; where there is no room, those that ended first.
    fn forget(&mut self, now: Second) {
        self.entries.retain(|_, entry| now < entry.end().plus(REMEMBERED));
        while self.entries.len() >= KEYS_MAX {
            let over = self.entries.values().filter(|entry| entry.is_over(now));
            let Some(oldest) = over.min_by_key(|entry| entry.end()).map(|entry| entry.id) else {
                return;
            };
            self.entries.remove(&oldest);
        }
    }

    /// Whether some key that is good may do everything.
    pub(super) fn has_admin(&self, now: Second) -> bool {
        self.entries().any(|entry| entry.rights.role == Role::Admin && !entry.is_over(now))
    }
}

fn check_name(name: &str) -> Result<(), Unfit> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
    if (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(is_plain) {
        return Ok(());
    }
    let problem = "the name is not 1 to 64 letters, digits, `.`, `_`, `@` and `-`".to_owned();
    Err(Unfit::new(problem, "write, for example, `alice` or `ci-shop`"))
}

fn check_overlap(overlap: Duration) -> Result<(), Unfit> {
    if overlap <= OVERLAP_MAX {
        return Ok(());
    }
    let problem = "the overlap is longer than 90 days".to_owned();
    Err(Unfit::new(problem, "write, for example, `--overlap 7d`"))
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
