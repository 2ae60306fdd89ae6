//! Documents that people write, as a store: read, watched, and never written.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bartizan_config::{Surroundings, System, objects_at, one_line};

use crate::disk::Digest;
use crate::fault::{OpenError, StoreError};
use crate::file_watch::{FileWatch, Loaded};
use crate::key::Key;
use crate::object::{Changes, Commit, Object, Revision, Snapshot};
use crate::store::Store;

/// A document of resources, or a folder of them.
///
/// Revisions count the changes that this process has seen; earlier ones are not kept, since whoever
/// writes documents keeps them. A change that cannot be read, such as half of a document, changes
/// nothing.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    size_max: u64,
    content: Mutex<Snapshot>,
    /// Held by the one who looks at the files for all who wait.
    watch: tokio::sync::Mutex<FileWatch>,
}

impl FileStore {
    /// Reads the documents at a path, each of at most `size_max` bytes.
    pub fn open(path: &Path, size_max: u64) -> Result<Self, OpenError> {
        let files = Files::default();
        let objects = read(path, size_max, &files).map_err(OpenError::new)?;
        let content = Snapshot { revision: 1, objects: revised(&objects, &[], 1) };
        Ok(Self {
            path: path.to_owned(),
            size_max,
            content: Mutex::new(content),
            watch: tokio::sync::Mutex::new(FileWatch::new(files.loaded(), size_max)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the documents again.
    fn reload(&self, watch: &mut FileWatch) {
        let files = Files::default();
        let outcome = read(&self.path, self.size_max, &files);
        watch.watch(files.loaded());
        match outcome {
            Ok(objects) => {
                let mut content = self.lock();
                let next = content.revision.saturating_add(1);
                let objects = revised(&objects, &content.objects, next);
                if objects != content.objects {
                    *content = Snapshot { revision: next, objects };
                }
            }
            Err(problem) => tracing::warn!("the documents stay as they were: {problem}"),
        }
    }
}

/// The files that were read, with the digests of what was in them.
#[derive(Default)]
struct Files(Mutex<BTreeMap<PathBuf, Option<Digest>>>);

impl Files {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<PathBuf, Option<Digest>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn loaded(&self) -> Vec<Loaded> {
        let files = self.lock();
        files.iter().map(|(path, digest)| Loaded { path: path.clone(), digest: *digest }).collect()
    }
}

impl Surroundings for Files {
    fn variable(&self, name: &str) -> Option<String> {
        System.variable(name)
    }

    fn file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let content = System.file(path, limit);
        let digest = content.as_ref().ok().map(|content| Digest::of(content));
        self.lock().insert(path.to_owned(), digest);
        content
    }

    fn folder(&self, path: &Path) -> io::Result<Option<Vec<PathBuf>>> {
        let documents = System.folder(path)?;
        if let Some(documents) = &documents {
            let digest = Some(Digest::of_names(documents));
            self.lock().insert(path.to_owned(), digest);
        }
        Ok(documents)
    }
}

type Written = BTreeMap<Key, Arc<[u8]>>;

/// The objects of the documents; the last of those that have the same name.
fn read(path: &Path, size_max: u64, files: &Files) -> Result<Written, String> {
    let objects = objects_at(path, size_max, files).map_err(|failure| {
        let problem = failure.diagnostics.first();
        problem.map_or_else(String::new, |problem| one_line(&failure.sources, problem))
    })?;
    let keyed = objects.into_iter().map(|(name, value)| {
        let key = Key::new(&name.collection, &name.id);
        let key = key.map_err(|fault| format!("the id of `{name}` {fault}"))?;
        Ok((key, value.to_string().into_bytes().into()))
    });
    keyed.collect()
}

/// Objects with the revision at which each was last changed.
fn revised(written: &Written, before: &[Object], next: u64) -> Vec<Object> {
    let revised = written.iter().map(|(key, content)| {
        let is_it = |object: &&Object| object.key == *key && object.content == *content;
        let found = before.binary_search_by(|object| object.key.cmp(key)).ok();
        let same = found.and_then(|at| before.get(at)).filter(is_it);
        let revision = same.map_or(next, |object| object.revision);
        let (key, content, created) = (key.clone(), content.clone(), revision);
        Object { key, content, revision, created, author: None, at: None }
    });
    revised.collect()
}

impl Store for FileStore {
    fn kind(&self) -> &'static str {
        "file"
    }

    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(self.lock().clone())
    }

    async fn changes(&self, after: u64) -> Result<Changes, StoreError> {
        loop {
            let mut watch = self.watch.lock().await;
            let content = self.lock().clone();
            if content.revision != after {
                return Ok(Changes::Anew(content));
            }
            watch.changed().await;
            self.reload(&mut watch);
        }
    }

    async fn commit(&self, _commit: Commit) -> Result<u64, StoreError> {
        Err(StoreError::ReadOnly { store: "file", how: "change its documents, which are watched" })
    }

    async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        Ok(self.lock().get(key).cloned())
    }

    async fn revisions(&self, key: &Key, max: usize) -> Result<Vec<Revision>, StoreError> {
        let content = self.lock();
        Ok(content.get(key).map(revision_of).into_iter().take(max).collect())
    }

    async fn revision(&self, key: &Key, number: u64) -> Result<Revision, StoreError> {
        let content = self.lock();
        let found = content.get(key).filter(|object| object.revision == number).map(revision_of);
        found.ok_or_else(|| StoreError::NoRevision(key.clone(), number))
    }
}

fn revision_of(object: &Object) -> Revision {
    let (number, content) = (object.revision, Some(object.content.clone()));
    Revision { number, author: None, at: None, content, is_first: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn half_of_a_document_changes_nothing_and_the_whole_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.yaml");
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("upstreams: [{id: a, nodes: {}}]\n");
        let store = FileStore::open(&path, 1_000).unwrap();
        let told = || -> Vec<(String, u64)> {
            let content = store.lock();
            content.objects.iter().map(|o| (o.key.to_string(), o.revision)).collect()
        };
        let mut watch = store.watch.lock().await;
        write("upstreams: [{id: b,");
        store.reload(&mut watch);
        assert_eq!(told(), [("upstreams/a".to_owned(), 1)]);
        assert!(FileStore::open(&path, 1_000).unwrap_err().problem.contains("r.yaml:1:"));
        write("upstreams: [{id: b, nodes: {}}, {id: a, nodes: {}}]\n");
        store.reload(&mut watch);
        assert_eq!(told(), [("upstreams/a".to_owned(), 1), ("upstreams/b".to_owned(), 2)]);
        store.reload(&mut watch);
        assert_eq!(store.lock().revision, 2, "nothing has changed");
    }
}
