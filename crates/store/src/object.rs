//! Objects, their revisions, and what a store is asked to change.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use bartizan_config::{Format, SourceId, read};
use bartizan_core::Timestamp;
use serde_json::Value;

use crate::fault::StoreError;
use crate::key::Key;

/// Longest object that is written, in bytes: what etcd takes by default.
pub const OBJECT_MAX: usize = 1_536 * 1_024;

/// Most changes of one commit: what etcd takes by default.
pub const COMMIT_MAX: usize = 128;

/// Most changes of one commit of a database in one file.
pub const EMBEDDED_COMMIT_MAX: usize = 100_000;

/// The collection of what the gateway itself keeps beside the resources. No reader of resources
/// looks at it.
pub const OWN_COLLECTION: &str = "bartizan";

/// The object that says when keys of callers were used. It changes by itself, often, and is no
/// configuration: a log of what was written remembers nothing of it.
pub const USES_KEY: &str = "bartizan/key-uses";

/// An object of a store at one revision.
#[derive(Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name.
    pub key: Key,
    /// Its JSON, as it was written; from stores that others write to, whatever is there.
    pub content: Arc<[u8]>,
    /// The revision of the store that wrote it.
    pub revision: u64,
    /// The revision that made it, since it was last absent; that of the last write where the store
    /// does not know.
    pub created: u64,
    /// Who wrote it, where the store knows.
    pub author: Option<Arc<str>>,
    /// When it was written, where the store knows.
    pub at: Option<Timestamp>,
}

/// Objects hold secrets: only the name is shown.
impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} at {})", self.key, self.revision)
    }
}

impl Object {
    /// The value, where the content is JSON.
    pub fn value(&self) -> Option<Value> {
        serde_json::from_slice(&self.content).ok()
    }
}

/// Everything that a store holds at one revision, in the order of keys.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The revision.
    pub revision: u64,
    /// The objects.
    pub objects: Vec<Object>,
}

impl Snapshot {
    /// The object of that name.
    pub fn get(&self, key: &Key) -> Option<&Object> {
        let at = self.objects.binary_search_by(|object| object.key.cmp(key)).ok()?;
        self.objects.get(at)
    }
}

/// What happened since a revision.
#[derive(Clone, Debug)]
pub enum Changes {
    /// These objects changed, each told once with what it is now.
    Some {
        /// The revision that this leads to.
        revision: u64,
        /// What changed.
        objects: Vec<Change>,
    },
    /// The store does not know any more what changed: this is everything.
    Anew(Snapshot),
}

impl Changes {
    /// The revision that these changes lead to.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Some { revision, .. } => *revision,
            Self::Anew(snapshot) => snapshot.revision,
        }
    }
}

/// An object that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub key: Key,
    /// What it is now; `None` if it is gone.
    pub object: Option<Object>,
}

/// One revision of an object.
#[derive(Clone, PartialEq, Eq)]
pub struct Revision {
    /// The revision of the store.
    pub number: u64,
    /// Who wrote it, where the store knows.
    pub author: Option<Arc<str>>,
    /// When, where the store knows.
    pub at: Option<Timestamp>,
    /// What was written; `None` if it was removed.
    pub content: Option<Arc<[u8]>>,
    /// It made the object, which was not there before.
    pub is_first: bool,
}

impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Revision({})", self.number)
    }
}

/// What must hold of an object for it to be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    /// Nothing: the last writer wins.
    #[default]
    Anything,
    /// There is no such object.
    Absent,
    /// The object is there, and of this revision.
    Revision(u64),
}

impl Expect {
    /// Whether an object at this revision, if any, is as expected.
    pub(crate) fn holds(self, current: Option<u64>) -> bool {
        match self {
            Self::Anything => true,
            Self::Absent => current.is_none(),
            Self::Revision(revision) => current == Some(revision),
        }
    }
}

/// A change of one object.
#[derive(Clone)]
pub struct Write {
    /// Which.
    pub key: Key,
    /// Its JSON from now on; `None` removes it.
    pub content: Option<Arc<[u8]>>,
    /// What must hold, or nothing of the commit happens.
    pub expect: Expect,
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.content.is_some() { "put" } else { "delete" };
        write!(f, "{what} {} expecting {:?}", self.key, self.expect)
    }
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Who changes.
    pub author: Arc<str>,
    /// The changes, of different objects.
    pub writes: Vec<Write>,
}

impl Commit {
    /// Refuses what no store takes: contents that are no JSON object, too long, too deep or
    /// ambiguous; the same object twice; nothing, or more than `max`.
    pub(crate) fn check(&self, max: usize) -> Result<(), StoreError> {
        if self.writes.is_empty() || self.writes.len() > max {
            return Err(StoreError::CommitSize(self.writes.len(), max));
        }
        let mut met = HashSet::new();
        for write in &self.writes {
            if !met.insert(&write.key) {
                return Err(StoreError::Twice(write.key.clone()));
            }
            if let Some(content) = &write.content {
                check_content(content)
                    .map_err(|problem| StoreError::BadContent(write.key.clone(), problem))?;
            }
        }
        Ok(())
    }
}

/// What is wrong with the content of an object, whatever its collection.
pub(crate) fn check_content(content: &[u8]) -> Result<(), String> {
    if content.len() > OBJECT_MAX {
        return Err(format!("it is longer than {OBJECT_MAX} bytes"));
    }
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8".to_owned())?;
    match read(SourceId(0), text, Format::Json) {
        Ok(node) if matches!(node.content, bartizan_config::Content::Map(_)) => Ok(()),
        Ok(_) => Err("it is no JSON object".to_owned()),
        Err(problems) => {
            Err(problems.first().map_or_else(String::new, |problem| problem.problem.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit(count: usize, length: usize) -> Commit {
        // Eight bytes are around the text.
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(length - 8));
        let content: Arc<[u8]> = text.into_bytes().into();
        let write = |n: usize| Write {
            key: Key::parse(&format!("routes/{n}")).unwrap(),
            content: Some(content.clone()),
            expect: Expect::Anything,
        };
        Commit { author: "a test".into(), writes: (0..count).map(write).collect() }
    }

    #[test]
    fn commits_and_objects_have_a_longest() {
        for (n, fits) in
            [(0, false), (COMMIT_MAX - 1, true), (COMMIT_MAX, true), (COMMIT_MAX + 1, false)]
        {
            assert_eq!(commit(n, 8).check(COMMIT_MAX).is_ok(), fits, "{n}");
        }
        for (n, fits) in [(OBJECT_MAX - 1, true), (OBJECT_MAX, true), (OBJECT_MAX + 1, false)] {
            assert_eq!(commit(1, n).check(COMMIT_MAX).is_ok(), fits, "{n}");
        }
    }
}
