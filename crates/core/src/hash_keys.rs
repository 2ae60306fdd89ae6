//! The keys under which the keys of callers are hashed where they are stored.

use std::sync::Arc;

use crate::secret::{NodeKey, Secret};

/// What the digests of stored keys are separated by from others under the same key.
const DOMAIN: &str = "api-key";

/// One such key. Every node that reads the store must have it.
#[derive(Clone, Debug)]
pub struct HashKey {
    id: Arc<str>,
    key: NodeKey,
}

impl HashKey {
    /// Its name, which is written beside each hash.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The HMAC-SHA-256 of a caller's key.
    pub fn hash(&self, key: &[u8]) -> [u8; 32] {
        self.key.digest(DOMAIN, key)
    }
}

/// All of them: the first hashes what is made anew, every one recognises.
#[derive(Clone, Debug, Default)]
pub struct HashKeys(Arc<[HashKey]>);

impl HashKeys {
    /// From names and at least 32 bytes of secret each.
    pub fn new<'k>(keys: impl IntoIterator<Item = (&'k str, &'k Secret)>) -> Self {
        let key = |(id, secret): (&str, &Secret)| HashKey {
            id: id.into(),
            key: NodeKey::new(secret.expose()),
        };
        Self(keys.into_iter().map(key).collect())
    }

    /// The one that new keys are hashed under.
    pub fn first(&self) -> Option<&HashKey> {
        self.0.first()
    }

    /// The one of a name.
    pub fn named(&self, id: &str) -> Option<&HashKey> {
        self.0.iter().find(|key| &*key.id == id)
    }

    /// All.
    pub fn iter(&self) -> impl Iterator<Item = &HashKey> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_differs_by_its_key_and_from_other_digests() {
        let (old, new) = (Secret::new([1; 32]), Secret::new([2; 32]));
        let keys = HashKeys::new([("new", &new), ("old", &old)]);
        assert_eq!(keys.first().unwrap().id(), "new");
        let hash = |id: &str| keys.named(id).unwrap().hash(b"a key");
        assert_ne!(hash("new"), hash("old"));
        assert_ne!(hash("old"), NodeKey::new(&[1; 32]).digest("key-auth", b"a key"));
        assert!(keys.named("other").is_none());
        assert!(HashKeys::default().first().is_none());
    }
}
