//! Secrets at rest: a layer around a store that encrypts the fields of objects that hold secrets
//! when they are written, and decrypts them when they are read.
//!
//! Which fields these are is asked of whoever knows what objects mean. What cannot be read is never
//! empty and never taken for clear text: in its place stands a text that is refused, with the
//! reason, wherever a configuration is read.

mod apisix;
mod seal;
mod settings;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_config::{Content, Format, SourceId, Unreadable, is_reference, read, unreadable};
use serde_json::Value;

use crate::fault::{OpenError, StoreError};
use crate::key::Key;
use crate::object::{
    Change, Changes, Commit, Expect, Object, Revision, Snapshot, Write, check_content,
};
use crate::store::Store;

pub use self::apisix::{ApisixKeyring, looks_sealed};
pub use self::seal::{SEALED, SealingKey};
pub use self::settings::{SealAs, SealedSettings};

/// Says which fields of an object hold secrets, as JSON pointers.
pub type FindSecrets = Arc<dyn Fn(&Key, &Value) -> Vec<String> + Send + Sync>;

/// Objects as they are in the store, and with their secrets in clear.
type Opened = HashMap<Key, (Arc<[u8]>, Arc<[u8]>)>;

/// Objects that are encrypted anew in one commit.
const BATCH: usize = 32;
/// The author of what is encrypted anew.
const AUTHOR: &str = "encryption with another key";

/// A store whose secrets are encrypted.
pub struct Sealed<S> {
    inner: S,
    settings: SealedSettings,
    find: FindSecrets,
    /// What was decrypted, so that it is done once for each content. A revision says too little: an
    /// earlier text can stand under it, and a store that was restored gives it twice.
    opened: Mutex<Opened>,
}

impl<S: fmt::Debug> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealed").field(&self.inner).finish()
    }
}

impl<S: Store> Sealed<S> {
    /// A layer around a store.
    pub fn new(inner: S, settings: SealedSettings, find: FindSecrets) -> Result<Self, OpenError> {
        settings.check()?;
        Ok(Self { inner, settings, find, opened: Mutex::default() })
    }

    /// The store itself, in which secrets are encrypted.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// Encrypts anew whatever is not written as it would be now, some objects at a time with a
    /// pause in between. Gives how many were; what changes meanwhile is left alone.
    pub async fn reseal(&self, pause: Duration) -> Result<usize, StoreError> {
        if self.settings.seal_as == SealAs::Clear {
            return Ok(0);
        }
        let objects = self.inner.snapshot().await?.objects;
        let stale = objects.iter().filter(|object| self.resealed(object).is_some());
        let stale: Vec<Key> = stale.map(|object| object.key.clone()).collect();
        drop(objects);
        let mut count = 0;
        for batch in stale.chunks(BATCH) {
            if count > 0 {
                tokio::time::sleep(pause).await;
            }
            let mut writes = Vec::new();
            for key in batch {
                let Some(object) = self.inner.get(key).await? else { continue };
                let Some(content) = self.resealed(&object) else { continue };
                let expect = Expect::Revision(object.revision);
                writes.push(Write { key: key.clone(), content: Some(content), expect });
            }
            count += self.rewrite(writes).await?;
        }
        Ok(count)
    }

    /// An object as it is in the store, its secrets in clear.
    pub fn clear_object(&self, object: Object) -> Object {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((sealed, content)) = opened.get(&object.key)
            && *sealed == object.content
        {
            return Object { content: Arc::clone(content), ..object };
        }
        if self.is_plain(&object.content) {
            opened.remove(&object.key);
            return object;
        }
        let content = self.clear(&object.key, &object.content);
        // Also where nothing in it was encrypted: finding that out takes as long.
        opened.insert(object.key.clone(), (object.content, Arc::clone(&content)));
        Object { content, ..object }
    }

    /// An object whose secrets are in clear, in a form that is read again without doubt: a secret in
    /// clear can look as if APISIX had encrypted it, or not be accepted as it is.
    pub fn unambiguous(&self, object: Object) -> Object {
        let is_required = self.settings.is_required;
        if self.settings.keyring.is_empty() && !is_required {
            return object;
        }
        let Some(mut value) = strict(&object.content) else { return object };
        for pointer in (self.find)(&object.key, &value) {
            let Some(Value::String(text)) = value.pointer_mut(&pointer) else { continue };
            if is_reference(text) {
                continue;
            }
            let sealed = if is_required {
                self.seal(&object.key, &pointer, text).ok()
            } else {
                self.settings.keyring.seal(text).filter(|_| apisix::looks_sealed(text))
            };
            if let Some(sealed) = sealed {
                *text = sealed;
            }
        }
        Object { content: value.to_string().into_bytes().into(), ..object }
    }

    async fn rewrite(&self, writes: Vec<Write>) -> Result<usize, StoreError> {
        let count = writes.len();
        if count == 0 {
            return Ok(0);
        }
        match self.inner.commit(Commit { author: AUTHOR.into(), writes: writes.clone() }).await {
            Ok(_) => return Ok(count),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        // Somebody was faster with one of them.
        let mut written = 0;
        for write in writes {
            let commit = Commit { author: AUTHOR.into(), writes: vec![write] };
            match self.inner.commit(commit).await {
                Ok(_) => written += 1,
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// The content of an object with its secrets as they would be written now; `None` where they
    /// are, or where one cannot be read.
    fn resealed(&self, object: &Object) -> Option<Arc<[u8]>> {
        let mut value = strict(&object.content)?;
        let mut is_changed = false;
        for pointer in (self.find)(&object.key, &value) {
            let Some(Value::String(text)) = value.pointer_mut(&pointer) else { continue };
            let is_ours = seal::key_of(text).is_some();
            if !is_ours && (is_reference(text) || self.settings.is_shared) {
                continue;
            }
            let clear = match self.open(&object.key, &pointer, text) {
                Some(Ok(clear)) => clear,
                Some(Err(_)) => return None,
                None => text.clone(),
            };
            if !self.is_current(text) {
                *text = self.seal(&object.key, &pointer, &clear).ok()?;
                is_changed = true;
            }
        }
        is_changed.then(|| value.to_string().into_bytes().into())
    }

    /// Whether a text is encrypted as it would be now.
    fn is_current(&self, text: &str) -> bool {
        match self.settings.seal_as {
            SealAs::Clear => true,
            SealAs::Sealed => {
                let first = self.settings.keys.first();
                first.is_some_and(|key| seal::key_of(text) == Some(key.id()))
            }
            SealAs::Apisix => self.settings.keyring.is_of_first(text),
        }
    }

    fn seal(&self, key: &Key, pointer: &str, clear: &str) -> Result<String, StoreError> {
        let sealed = match self.settings.seal_as {
            SealAs::Clear => return Ok(clear.to_owned()),
            SealAs::Sealed => {
                let first = self.settings.keys.first();
                first.and_then(|sealing| sealing.seal(key, pointer, clear))
            }
            SealAs::Apisix => self.settings.keyring.seal(clear),
        };
        sealed.ok_or_else(|| StoreError::Broken("a secret cannot be encrypted".to_owned()))
    }

    /// What an encrypted text says, or what is to stand in its place; `None` where it is in clear.
    fn open(&self, key: &Key, pointer: &str, text: &str) -> Option<Result<String, String>> {
        if let Some(id) = seal::key_of(text) {
            let known = self.settings.keys.iter().find(|known| known.id() == id);
            let Some(known) = known else {
                return Some(Err(unreadable(&Unreadable::UnknownKey(id))));
            };
            let opened = known.open(key, pointer, text);
            return Some(opened.ok_or_else(|| unreadable(&Unreadable::Damaged(id))));
        }
        if self.settings.keyring.is_empty() || is_reference(text) || !apisix::looks_sealed(text) {
            return None;
        }
        let opened = self.settings.keyring.open(text);
        Some(opened.ok_or_else(|| unreadable(&Unreadable::Foreign)))
    }

    /// Whether nothing in a content can be encrypted, or would have to be.
    fn is_plain(&self, content: &[u8]) -> bool {
        let SealedSettings { keyring, is_required, .. } = &self.settings;
        keyring.is_empty() && !is_required && !holds(content, SEALED.as_bytes())
    }

    /// The content of an object, its secrets in clear.
    fn clear(&self, key: &Key, content: &Arc<[u8]>) -> Arc<[u8]> {
        let Some(mut value) = (!self.is_plain(content)).then(|| strict(content)).flatten() else {
            return Arc::clone(content);
        };
        let mut is_changed = false;
        for pointer in (self.find)(key, &value) {
            let Some(Value::String(text)) = value.pointer_mut(&pointer) else { continue };
            let read = match self.open(key, &pointer, text) {
                Some(Ok(clear) | Err(clear)) => clear,
                None if self.settings.is_required && !is_reference(text) => {
                    unreadable(&Unreadable::Clear)
                }
                None => continue,
            };
            *text = read;
            is_changed = true;
        }
        if is_changed { value.to_string().into_bytes().into() } else { Arc::clone(content) }
    }

    fn clear_snapshot(&self, snapshot: Snapshot) -> Snapshot {
        let Snapshot { revision, objects } = snapshot;
        let objects: Vec<Object> =
            objects.into_iter().map(|object| self.clear_object(object)).collect();
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() > objects.len() {
            let held: HashSet<&Key> = objects.iter().map(|object| &object.key).collect();
            opened.retain(|key, _| held.contains(key));
        }
        drop(opened);
        Snapshot { revision, objects }
    }

    fn clear_revision(&self, key: &Key, revision: Revision) -> Revision {
        let content = revision.content.as_ref().map(|content| self.clear(key, content));
        Revision { content, ..revision }
    }

    /// What is to be written, its secrets encrypted.
    fn sealed(&self, key: &Key, content: &Arc<[u8]>) -> Result<Arc<[u8]>, StoreError> {
        let bad = |problem: String| StoreError::BadContent(key.clone(), problem);
        check_content(content).map_err(bad)?;
        let mut value: Value =
            serde_json::from_slice(content).map_err(|error| bad(error.to_string()))?;
        let mut is_changed = false;
        for pointer in (self.find)(key, &value) {
            let Some(Value::String(text)) = value.pointer_mut(&pointer) else { continue };
            if is_mark(text) {
                // It would replace what is encrypted by a text that cannot be read.
                let problem = "holds the mark of an encrypted value instead of a secret";
                return Err(bad(format!("`{pointer}` {problem}")));
            }
            if !is_reference(text) && self.settings.seal_as != SealAs::Clear {
                *text = self.seal(key, &pointer, text)?;
                is_changed = true;
            }
        }
        Ok(if is_changed { value.to_string().into_bytes().into() } else { Arc::clone(content) })
    }
}

/// The marks of encrypted texts, which nobody writes by hand.
fn is_mark(text: &str) -> bool {
    let lower = text.get(..14).unwrap_or(text).to_ascii_lowercase();
    lower.starts_with(SEALED) || lower.starts_with("$unreadable://")
}

/// The value of a content without ambiguity; what has any is left for the reader to refuse.
fn strict(content: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(content).ok()?;
    let node = read(SourceId(0), text, Format::Json).ok()?;
    matches!(node.content, Content::Map(_)).then(|| serde_json::from_str(text).ok())?
}

fn holds(content: &[u8], mark: &[u8]) -> bool {
    content.windows(mark.len()).any(|window| window == mark)
}

impl<S: Store> Store for Sealed<S> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(self.clear_snapshot(self.inner.snapshot().await?))
    }

    async fn changes(&self, after: u64) -> Result<Changes, StoreError> {
        Ok(match self.inner.changes(after).await? {
            Changes::Anew(snapshot) => Changes::Anew(self.clear_snapshot(snapshot)),
            Changes::Some { revision, objects } => {
                let clear = |change: Change| Change {
                    object: change.object.map(|object| self.clear_object(object)),
                    ..change
                };
                Changes::Some { revision, objects: objects.into_iter().map(clear).collect() }
            }
        })
    }

    async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        let Commit { author, mut writes } = commit;
        for write in &mut writes {
            if let Some(content) = &write.content {
                write.content = Some(self.sealed(&write.key, content)?);
            }
        }
        self.inner.commit(Commit { author, writes }).await
    }

    async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        Ok(self.inner.get(key).await?.map(|object| self.clear_object(object)))
    }

    async fn revisions(&self, key: &Key, max: usize) -> Result<Vec<Revision>, StoreError> {
        let revisions = self.inner.revisions(key, max).await?.into_iter();
        Ok(revisions.map(|revision| self.clear_revision(key, revision)).collect())
    }

    async fn written(&self, max: usize) -> Result<Vec<(Key, Revision)>, StoreError> {
        let written = self.inner.written(max).await?.into_iter();
        let clear = |(key, revision)| {
            let revision = self.clear_revision(&key, revision);
            (key, revision)
        };
        Ok(written.map(clear).collect())
    }

    async fn revision(&self, key: &Key, number: u64) -> Result<Revision, StoreError> {
        Ok(self.clear_revision(key, self.inner.revision(key, number).await?))
    }
}
