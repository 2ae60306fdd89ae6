//! Consumers and the index of their credentials.

use std::any::Any;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// An account, as requests see it.
#[derive(Debug)]
pub struct Consumer {
    username: Arc<str>,
    group_id: Option<Arc<str>>,
    labels: Box<[(Arc<str>, Arc<str>)]>,
    slot: usize,
}

impl Consumer {
    /// An account whose chains stand at `slot` of the snapshot.
    pub fn new(
        username: Arc<str>,
        group_id: Option<Arc<str>>,
        labels: Vec<(Arc<str>, Arc<str>)>,
        slot: usize,
    ) -> Self {
        Self { username, group_id, labels: labels.into_boxed_slice(), slot }
    }

    /// Its name.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// Its group.
    pub fn group_id(&self) -> Option<&str> {
        self.group_id.as_deref()
    }

    /// One of its labels.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(key, _)| &**key == name).map(|(_, value)| &**value)
    }

    /// All its labels.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        self.labels.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Where its chains stand in the snapshot.
    pub fn slot(&self) -> usize {
        self.slot
    }
}

/// What a plugin's `credential` makes of a consumer's configuration.
#[derive(Clone)]
pub struct CredentialEntry {
    /// What a request is looked up by. High-entropy secrets are put in as their keyed digest
    /// ([`bartizan_core::NodeKey::digest`]), names as they are.
    pub lookup: Box<[u8]>,
    /// What the plugin needs to verify; it is the only one that looks inside.
    pub data: Arc<dyn Any + Send + Sync>,
}

impl CredentialEntry {
    /// An entry with the plugin's own data.
    pub fn new<T: Any + Send + Sync>(lookup: impl Into<Box<[u8]>>, data: T) -> Self {
        Self { lookup: lookup.into(), data: Arc::new(data) }
    }
}

struct Indexed {
    consumer: Arc<Consumer>,
    credential: Option<Arc<str>>,
    data: Arc<dyn Any + Send + Sync>,
}

/// A credential that was found, with whose it is.
#[derive(Clone, Copy)]
pub struct CredentialRef<'a> {
    /// The account.
    pub consumer: &'a Arc<Consumer>,
    /// The credential's id, where it is not the consumer's own.
    pub credential: Option<&'a Arc<str>>,
    data: &'a (dyn Any + Send + Sync),
}

impl<'a> CredentialRef<'a> {
    /// The plugin's own data.
    pub fn data<T: Any>(&self) -> Option<&'a T> {
        self.data.downcast_ref()
    }
}

/// The credentials of one plugin, in the order in which they were added.
#[derive(Default)]
struct Credentials {
    by_lookup: HashMap<Box<[u8]>, u32, RandomState>,
    all: Vec<Indexed>,
}

impl Credentials {
    fn at(&self, place: u32) -> Option<&Indexed> {
        self.all.get(usize::try_from(place).ok()?)
    }
}

/// Every consumer and credential of a snapshot, by plugin and look-up key.
#[derive(Default)]
pub struct ConsumerIndex {
    by_name: HashMap<Arc<str>, Arc<Consumer>, RandomState>,
    credentials: HashMap<&'static str, Credentials, RandomState>,
}

impl ConsumerIndex {
    /// Adds an account.
    pub fn add_consumer(&mut self, consumer: Arc<Consumer>) {
        self.by_name.insert(consumer.username.clone(), consumer);
    }

    /// Adds a credential. An entry that already belongs to someone is given back with that owner's
    /// name: one credential must never mean two accounts.
    pub fn add_credential(
        &mut self,
        plugin: &'static str,
        consumer: &Arc<Consumer>,
        credential: Option<Arc<str>>,
        entry: CredentialEntry,
    ) -> Result<(), Arc<str>> {
        let known = self.credentials.entry(plugin).or_default();
        if let Some(present) = known.by_lookup.get(&entry.lookup).and_then(|at| known.at(*at)) {
            return Err(present.consumer.username.clone());
        }
        // More than fit into memory are not read.
        let place = u32::try_from(known.all.len()).unwrap_or(u32::MAX);
        known.all.push(Indexed { consumer: consumer.clone(), credential, data: entry.data });
        known.by_lookup.insert(entry.lookup, place);
        Ok(())
    }

    /// An account by name.
    pub fn by_name(&self, username: &str) -> Option<&Arc<Consumer>> {
        self.by_name.get(username)
    }

    /// The credential that `plugin` put in under `lookup`.
    pub fn find(&self, plugin: &'static str, lookup: &[u8]) -> Option<CredentialRef<'_>> {
        let known = self.credentials.get(plugin)?;
        let found = known.at(*known.by_lookup.get(lookup)?)?;
        Some(CredentialRef {
            consumer: &found.consumer,
            credential: found.credential.as_ref(),
            data: &*found.data,
        })
    }

    /// The data of some credential of `plugin`, which one `seed` decides: what to work on for a
    /// caller who names none that exists, so that the work does not tell. Nobody is proved by it.
    pub fn decoy<T: Any>(&self, plugin: &'static str, seed: u64) -> Option<&T> {
        let known = self.credentials.get(plugin)?;
        let count = u64::try_from(known.all.len()).ok()?;
        let place = u32::try_from(seed.checked_rem(count)?).ok()?;
        known.at(place)?.data.downcast_ref()
    }

    /// Number of accounts.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True if there is no account.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumer(name: &str) -> Arc<Consumer> {
        let labels = vec![(Arc::from("tenant"), Arc::from("acme"))];
        Arc::new(Consumer::new(Arc::from(name), None, labels, 0))
    }

    #[test]
    fn a_credential_belongs_to_one_account() {
        let mut index = ConsumerIndex::default();
        let (alice, bob) = (consumer("alice"), consumer("bob"));
        index.add_consumer(alice.clone());
        let entry = || CredentialEntry::new(*b"key", 7_u32);
        index.add_credential("key-auth", &alice, None, entry()).unwrap();
        let owner = index.add_credential("key-auth", &bob, None, entry()).unwrap_err();
        assert_eq!(&*owner, "alice");
        index.add_credential("jwt-auth", &bob, None, entry()).unwrap();

        let found = index.find("key-auth", b"key").unwrap();
        assert_eq!(found.consumer.username(), "alice");
        assert_eq!(found.data::<u32>(), Some(&7));
        assert_eq!(found.data::<u64>(), None);
        assert!(index.find("key-auth", b"kez").is_none());
        assert_eq!(index.decoy::<u32>("key-auth", 5), Some(&7));
        assert_eq!(index.decoy::<u32>("basic-auth", 5), None);
        assert_eq!(index.by_name("alice").unwrap().label("tenant"), Some("acme"));
    }
}
