//! What every store does.

use std::future::Future;
use std::sync::Arc;

use serde_json::Value;

use crate::diff::{Difference, differences, merge};
use crate::fault::StoreError;
use crate::key::Key;
use crate::object::{Changes, Commit, Expect, Object, Revision, Snapshot, Write};

/// How often a change of a part of an object is tried again when others are faster.
const TRIES_MAX: usize = 16;

/// Where resources live, as JSON objects by collection and id.
///
/// Every change makes a new revision of the store; numbers only grow. What is written is JSON and
/// nothing more: whether it makes a configuration is judged by whoever reads it.
pub trait Store: Send + Sync {
    /// The kind of store, as the node file names it.
    fn kind(&self) -> &'static str;

    /// Everything, at one revision.
    fn snapshot(&self) -> impl Future<Output = Result<Snapshot, StoreError>> + Send;

    /// Waits until the store is at another revision than `after`, and tells what changed. Dropping
    /// the future loses nothing.
    fn changes(&self, after: u64) -> impl Future<Output = Result<Changes, StoreError>> + Send;

    /// Makes all changes of a commit, or none, and gives the revision that they made. What is
    /// acknowledged is kept; whoever reads afterwards sees it.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The object of that name.
    fn get(&self, key: &Key) -> impl Future<Output = Result<Option<Object>, StoreError>> + Send;

    /// The revisions of an object that are kept, the newest first; at most `max`.
    fn revisions(
        &self,
        key: &Key,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Revision>, StoreError>> + Send;

    /// One revision of an object.
    fn revision(
        &self,
        key: &Key,
        number: u64,
    ) -> impl Future<Output = Result<Revision, StoreError>> + Send;

    /// The last writes that the store knows of, the newest first; at most `max`. A store that keeps
    /// no log tells of the objects that there are, each with its last write.
    fn written(
        &self,
        max: usize,
    ) -> impl Future<Output = Result<Vec<(Key, Revision)>, StoreError>> + Send {
        async move {
            let mut objects = self.snapshot().await?.objects;
            objects.sort_by(|a, b| b.revision.cmp(&a.revision).then_with(|| a.key.cmp(&b.key)));
            objects.truncate(max);
            let told = objects.into_iter().map(|object| {
                let Object { key, content, revision: number, created, author, at } = object;
                let is_first = number == created;
                (key, Revision { number, author, at, content: Some(content), is_first })
            });
            Ok(told.collect())
        }
    }

    /// Writes an object; `author` says who does.
    fn put(
        &self,
        key: &Key,
        value: &Value,
        expect: Expect,
        author: &str,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        let content: Arc<[u8]> = value.to_string().into_bytes().into();
        self.commit(one(key, Some(content), expect, author))
    }

    /// Changes a part of an object by a merge patch (RFC 7396). Where others change it meanwhile,
    /// it is tried again, unless a revision is expected.
    fn patch(
        &self,
        key: &Key,
        patch: &Value,
        expect: Expect,
        author: &str,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move {
            let mut tries = 0;
            loop {
                let object =
                    self.get(key).await?.ok_or_else(|| StoreError::Missing(key.clone()))?;
                if !expect.holds(Some(object.revision)) {
                    let current = Some(object.revision);
                    return Err(StoreError::Conflict { key: key.clone(), current });
                }
                let mut value = object.value().ok_or_else(|| {
                    StoreError::BadContent(key.clone(), "what is there is no JSON".to_owned())
                })?;
                merge(&mut value, patch);
                let written =
                    self.put(key, &value, Expect::Revision(object.revision), author).await;
                tries += 1;
                match written {
                    Err(StoreError::Conflict { .. })
                        if expect == Expect::Anything && tries < TRIES_MAX => {}
                    outcome => return outcome,
                }
            }
        }
    }

    /// Removes an object, which must be there.
    fn delete(
        &self,
        key: &Key,
        expect: Expect,
        author: &str,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move {
            let object = self.get(key).await?.ok_or_else(|| StoreError::Missing(key.clone()))?;
            if !expect.holds(Some(object.revision)) {
                let current = Some(object.revision);
                return Err(StoreError::Conflict { key: key.clone(), current });
            }
            self.commit(one(key, None, Expect::Revision(object.revision), author)).await
        }
    }

    /// What changed in an object from one revision to another.
    fn diff(
        &self,
        key: &Key,
        from: u64,
        to: u64,
    ) -> impl Future<Output = Result<Vec<Difference>, StoreError>> + Send {
        async move {
            let (from, to) = (self.revision(key, from).await?, self.revision(key, to).await?);
            let value = |revision: &Revision| {
                revision
                    .content
                    .as_ref()
                    .and_then(|text| serde_json::from_slice::<Value>(text).ok())
            };
            Ok(differences(value(&from).as_ref(), value(&to).as_ref()))
        }
    }

    /// Gives an object the content of an earlier revision, as a new one. Where it had been removed
    /// then, it is removed.
    fn rollback(
        &self,
        key: &Key,
        to: u64,
        expect: Expect,
        author: &str,
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        async move {
            match self.revision(key, to).await?.content {
                Some(content) => self.commit(one(key, Some(content), expect, author)).await,
                None => self.delete(key, expect, author).await,
            }
        }
    }
}

fn one(key: &Key, content: Option<Arc<[u8]>>, expect: Expect, author: &str) -> Commit {
    let write = Write { key: key.clone(), content, expect };
    Commit { author: author.into(), writes: vec![write] }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::*;

    /// A store with one object, to which others are faster so many times.
    struct Contended(AtomicUsize);

    fn object() -> Object {
        let key = Key::parse("upstreams/u").unwrap();
        let content = b"{}".as_slice().into();
        Object { key, content, revision: 7, created: 7, author: None, at: None }
    }

    impl Store for Contended {
        fn kind(&self) -> &'static str {
            "contended"
        }

        async fn snapshot(&self) -> Result<Snapshot, StoreError> {
            Ok(Snapshot { revision: 7, objects: vec![object()] })
        }

        async fn changes(&self, _: u64) -> Result<Changes, StoreError> {
            Ok(Changes::Anew(self.snapshot().await?))
        }

        async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
            let fewer = |rivals: usize| rivals.checked_sub(1);
            match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer) {
                Ok(_) => {
                    let key = commit.writes[0].key.clone();
                    Err(StoreError::Conflict { key, current: Some(7) })
                }
                Err(_) => Ok(8),
            }
        }

        async fn get(&self, _: &Key) -> Result<Option<Object>, StoreError> {
            Ok(Some(object()))
        }

        async fn revisions(&self, _: &Key, _: usize) -> Result<Vec<Revision>, StoreError> {
            Ok(Vec::new())
        }

        async fn revision(&self, key: &Key, number: u64) -> Result<Revision, StoreError> {
            Err(StoreError::NoRevision(key.clone(), number))
        }
    }

    #[tokio::test]
    async fn a_patch_is_tried_so_often_while_others_are_faster() {
        for (rivals, is_written) in
            [(0, true), (TRIES_MAX - 1, true), (TRIES_MAX, false), (TRIES_MAX + 1, false)]
        {
            let store = Contended(AtomicUsize::new(rivals));
            let key = object().key;
            let patched = store.patch(&key, &json!({ "a": 1 }), Expect::Anything, "a").await;
            assert_eq!(patched.is_ok(), is_written, "{rivals}");
        }
        // Who expects a revision wants to know.
        let store = Contended(AtomicUsize::new(1));
        let patch = json!({ "a": 1 });
        let patched = store.patch(&object().key, &patch, Expect::Revision(7), "a").await;
        assert!(matches!(patched, Err(StoreError::Conflict { .. })));
    }
}
