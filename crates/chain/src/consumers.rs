//! Consumers and the index of their credentials.

use std::any::Any;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::lookup::Lookup;
use crate::shared_map::SharedMap;

/// An account, as requests see it.
#[derive(Debug)]
pub struct Consumer {
    username: Arc<str>,
    group_id: Option<Arc<str>>,
    labels: Box<[(Arc<str>, Arc<str>)]>,
}

impl Consumer {
    /// An account.
    pub fn new(
        username: Arc<str>,
        group_id: Option<Arc<str>>,
        labels: Vec<(Arc<str>, Arc<str>)>,
    ) -> Self {
        Self { username, group_id, labels: labels.into_boxed_slice() }
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

#[derive(Clone)]
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

/// An account with the marks of its credentials: what they are looked up by is held once, where they
/// are found.
#[derive(Clone)]
struct Account {
    consumer: Arc<Consumer>,
    held: Vec<u64>,
}

/// Every consumer and credential of a snapshot, by plugin and look-up key. A copy shares with it
/// whatever is not changed.
#[derive(Clone, Default)]
pub struct ConsumerIndex {
    by_name: SharedMap<Arc<str>, Account>,
    credentials: HashMap<&'static str, SharedMap<Lookup, Indexed>, RandomState>,
}

impl ConsumerIndex {
    /// Adds an account.
    pub fn add_consumer(&mut self, consumer: Arc<Consumer>) {
        let name = consumer.username.clone();
        self.by_name.insert(name, Account { consumer, held: Vec::new() });
    }

    /// Takes an account out, with its credentials.
    pub fn remove_consumer(&mut self, username: &str) {
        let Some(account) = self.by_name.remove(username) else { return };
        for mark in account.held {
            // Whichever plugin's it is: what has the mark and this owner has to go.
            for known in self.credentials.values_mut() {
                known.remove_marked(mark, |found| *found.consumer.username == *username);
            }
        }
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
        if let Some(present) = known.get(&*entry.lookup) {
            return Err(present.consumer.username.clone());
        }
        let lookup = Lookup::from(&*entry.lookup);
        let indexed = Indexed { consumer: consumer.clone(), credential, data: entry.data };
        let mark = known.mark::<[u8]>(&entry.lookup);
        known.insert(lookup, indexed);
        if let Some(account) = self.by_name.get_mut(&*consumer.username) {
            account.held.push(mark);
        }
        Ok(())
    }

    /// Says that an account has all its credentials: what was set aside for more is let go.
    pub fn settle(&mut self, username: &str) {
        if let Some(account) = self.by_name.get_mut(username) {
            account.held.shrink_to_fit();
        }
    }

    /// An account by name.
    pub fn by_name(&self, username: &str) -> Option<&Arc<Consumer>> {
        self.by_name.get(username).map(|account| &account.consumer)
    }

    /// The credential that `plugin` put in under `lookup`.
    pub fn find(&self, plugin: &'static str, lookup: &[u8]) -> Option<CredentialRef<'_>> {
        let found = self.credentials.get(plugin)?.get(lookup)?;
        Some(CredentialRef {
            consumer: &found.consumer,
            credential: found.credential.as_ref(),
            data: &*found.data,
        })
    }

    /// The data of some credential of `plugin`, which one `seed` decides: what to work on for a
    /// caller who names none that exists, so that the work does not tell. Nobody is proved by it.
    pub fn decoy<T: Any>(&self, plugin: &'static str, seed: u64) -> Option<&T> {
        let (_, found) = self.credentials.get(plugin)?.some(seed)?;
        found.data.downcast_ref()
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
        Arc::new(Consumer::new(Arc::from(name), None, labels))
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

    /// A block of the system's allocator: eight bytes of its own, in steps of sixteen.
    fn block(bytes: usize) -> usize {
        (bytes + 8).next_multiple_of(16)
    }

    #[test]
    fn a_million_keys_take_two_hundred_bytes_each_and_none_is_far() {
        const KEYS: usize = 1_000_000;
        const OF_ONE: usize = 1_000;
        let mut index = ConsumerIndex::default();
        for n in 0..KEYS / OF_ONE {
            let one = consumer(&format!("consumer-{n}"));
            index.add_consumer(one.clone());
            for k in 0..OF_ONE {
                // As long as what `key-auth` looks up, and with what it keeps of a key that ends.
                let mut lookup = [0; 17];
                lookup[..8].copy_from_slice(&(n * OF_ONE + k).to_le_bytes());
                let entry = CredentialEntry::new(lookup, 0_u64);
                let id: Arc<str> = format!("{:08}", n * OF_ONE + k).into();
                index.add_credential("key-auth", &one, Some(id), entry).unwrap();
            }
            index.settle(&one.username);
        }
        let known = &index.credentials["key-auth"];
        assert_eq!(known.len(), KEYS);
        let (tables, fullest) = known.extent();
        // Behind a pointer each, with what counts their owners: an entry, the plugin's data, the id.
        let each = [size_of::<(Lookup, Indexed)>(), size_of::<u64>(), "00000000".len()];
        let data = KEYS * each.map(|bytes| block(16 + bytes)).iter().sum::<usize>();
        let held: usize = index
            .by_name
            .iter()
            .map(|(_, account)| block(account.held.capacity() * size_of::<u64>()))
            .sum();
        let each = (tables + data + held) / KEYS;
        assert!((100..=200).contains(&each), "{each} bytes: {tables} {data} {held}");
        // What a look-up can meet does not grow with the number of keys.
        assert!(fullest <= 2 * 64, "{fullest}");
    }

    #[test]
    fn credentials_cost_no_move_of_all_others_and_keep_no_room_once_there_are_no_more() {
        let mut index = ConsumerIndex::default();
        let alice = consumer("alice");
        index.add_consumer(alice.clone());
        let room = |index: &ConsumerIndex| index.by_name.get("alice").unwrap().held.capacity();
        let mut moves = 0;
        for number in 0..1_000_u32 {
            let (before, entry) = (room(&index), CredentialEntry::new(number.to_le_bytes(), ()));
            index.add_credential("key-auth", &alice, None, entry).unwrap();
            moves += u32::from(room(&index) != before);
        }
        assert!(moves < 20, "{moves}");
        index.settle("alice");
        assert_eq!(room(&index), 1_000);
        index.settle("nobody");
    }

    #[test]
    fn an_account_goes_with_its_credentials_and_only_from_the_copy() {
        let mut index = ConsumerIndex::default();
        let (alice, bob) = (consumer("alice"), consumer("bob"));
        for (one, key) in [(&alice, b"a"), (&bob, b"b")] {
            index.add_consumer(one.clone());
            index.add_credential("key-auth", one, None, CredentialEntry::new(*key, ())).unwrap();
        }
        let before = index.clone();
        index.remove_consumer("alice");
        assert!(index.by_name("alice").is_none() && index.find("key-auth", b"a").is_none());
        assert!(index.by_name("bob").is_some() && index.find("key-auth", b"b").is_some());
        assert!(before.find("key-auth", b"a").is_some());
        index.add_credential("key-auth", &bob, None, CredentialEntry::new(*b"a", ())).unwrap();
        assert_eq!(index.find("key-auth", b"a").unwrap().consumer.username(), "bob");
    }
}
