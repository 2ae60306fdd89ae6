//! The store of a node, whichever it is.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bartizan_config::{
    Draft, EncryptAs, Encryption, EtcdStore, Ledger, NodeConfig, ObjectChange, ObjectName,
    Store as Configured, StoredObject, secret_fields,
};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Secret};
use bartizan_plugins::Catalogue;
use bartizan_store::{
    ApisixKeyring, Change, Changes, Commit, Embedded, EmbeddedSettings, Etcd, EtcdSettings,
    FindSecrets, KeptAt, Key, OWN_COLLECTION, Object, OpenError, SealAs, Sealed, SealedSettings,
    SealingKey, Snapshot, Store, StoreError, parse_key,
};
use bartizan_tls::UpstreamTlsSettings;
use tokio::runtime::Handle;

use super::settle::LastGood;
use crate::failure::Failure;

/// Where a node's resources are, beside the files that it reads.
#[derive(Debug)]
pub(crate) enum NodeStore {
    /// In files, which are read and watched with the node file.
    Files,
    /// In a database.
    Embedded(Arc<Sealed<Embedded>>),
    /// In a cluster that others write to.
    Etcd(Arc<Sealed<Etcd>>),
}

/// Where the node file speaks of etcd.
const ETCD: &str = "store.etcd";

/// Between commits that encrypt secrets anew: each is a change that the node reads.
const RESEAL_PAUSE: Duration = Duration::from_secs(1);

impl NodeStore {
    /// Opens the store that a node file names.
    pub(crate) fn open(
        config: &NodeConfig,
        clock: &Clock,
        metrics: &SharedMetrics,
        runtime: &Handle,
    ) -> Result<Self, Failure> {
        Ok(match &config.store {
            None | Some(Configured::File { .. }) => Self::Files,
            Some(Configured::Embedded { path, history, encryption }) => {
                let (path, history, clock) = (path.clone(), *history, clock.clone());
                let sealing = sealing(encryption.as_ref(), &[], None, "store.embedded")?;
                let settings = EmbeddedSettings { path, history, clock };
                let store = Embedded::open(settings).map_err(not_open)?;
                Self::Embedded(sealed(store, sealing, runtime)?)
            }
            Some(Configured::Etcd(etcd)) => {
                let EtcdStore { encryption, apisix_keyring, encrypt_as, .. } = &**etcd;
                let keys = encryption.as_ref();
                let sealing = sealing(keys, apisix_keyring, *encrypt_as, ETCD)?;
                let settings = etcd_settings(etcd, clock, metrics)?;
                let store = Etcd::open(settings, runtime).map_err(not_open)?;
                Self::Etcd(sealed(store, sealing, runtime)?)
            }
        })
    }

    /// Whether the resources are in the files that the node reads.
    pub(crate) fn is_files(&self) -> bool {
        matches!(self, Self::Files)
    }

    /// Everything in it.
    pub(crate) async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        match self {
            Self::Files => Ok(Snapshot::default()),
            Self::Embedded(store) => store.snapshot().await,
            Self::Etcd(store) => store.snapshot().await,
        }
    }

    /// Makes a change, which nobody judges: of what is no resource.
    pub(crate) async fn commit(&self, commit: Commit) -> Result<u64, StoreError> {
        match self {
            Self::Files => Err(StoreError::ReadOnly { store: "file", how: "edit them" }),
            Self::Embedded(store) => store.commit(commit).await,
            Self::Etcd(store) => store.commit(commit).await,
        }
    }

    /// Waits for a store that is elsewhere, for a while. Gives the objects that were in force when
    /// the node last ran, as far as they are kept on this machine.
    pub(crate) async fn begin(&self) -> LastGood {
        let Self::Etcd(store) = self else { return LastGood::default() };
        let etcd = store.inner();
        etcd.begin().await;
        let before = etcd.before().map(|before| before.objects.as_slice()).unwrap_or_default();
        LastGood::of(before.iter().filter_map(|object| {
            let object = &store.clear_object(object.clone());
            let text = std::str::from_utf8(&object.content).ok()?;
            Some((name_of(&object.key), text.into()))
        }))
    }

    /// Keeps what is in force now, where the store may be away when the node starts again: objects
    /// in quarantine as they were when they were in order.
    pub(crate) fn keep(&self, snapshot: &Snapshot, last_good: Option<&LastGood>) {
        let Self::Etcd(store) = self else { return };
        if !self.keeps() {
            return;
        }
        let in_force =
            |object: &Object| match last_good.and_then(|good| good.get(&name_of(&object.key))) {
                Some(text) => Object { content: text.as_bytes().into(), ..object.clone() },
                None => object.clone(),
            };
        let objects = snapshot.objects.iter().map(in_force);
        let objects = objects.map(|object| store.unambiguous(object)).collect();
        store.inner().keep(Snapshot { revision: snapshot.revision, objects });
    }

    /// Keeps what a ledger says is in force since a revision, whatever the store, if it can be read,
    /// holds `now`.
    pub(crate) fn keep_in_force(&self, ledger: &Ledger, since: u64, now: Option<&Snapshot>) {
        let Self::Etcd(store) = self else { return };
        let known: HashMap<ObjectName, &Object> = now
            .into_iter()
            .flat_map(|now| &now.objects)
            .map(|object| (name_of(&object.key), object))
            .collect();
        let own = known.values().filter(|object| object.key.collection() == OWN_COLLECTION);
        let mut objects: Vec<Object> = own.map(|object| (*object).clone()).collect();
        for (name, content) in ledger.objects() {
            let object = match known.get(&name) {
                Some(object) if *object.content == *content => (*object).clone(),
                // Changed or gone since.
                _ => {
                    let Ok(key) = Key::new(&name.collection, &name.id) else { continue };
                    let (revision, created, content) = (since, since, content.into());
                    Object { key, content, revision, created, author: None, at: None }
                }
            };
            objects.push(store.unambiguous(object));
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        store.inner().keep(Snapshot { revision: since, objects });
    }

    /// Waits until what was to be kept is written.
    pub(crate) async fn kept(&self) {
        if let Self::Etcd(store) = self {
            store.inner().kept().await;
        }
    }

    /// Whether what is in force is kept for a start without the store.
    pub(crate) fn keeps(&self) -> bool {
        matches!(self, Self::Etcd(store) if store.inner().keeps())
    }

    /// Waits until something is other than at a revision, and tells what.
    pub(crate) async fn changes(&self, after: u64) -> Result<Changes, StoreError> {
        match self {
            Self::Files => std::future::pending().await,
            Self::Embedded(store) => store.changes(after).await,
            Self::Etcd(store) => store.changes(after).await,
        }
    }

    /// The same, of which a store that is broken tells nothing ever.
    pub(crate) async fn changed(&self, after: u64) -> Changes {
        match self.changes(after).await {
            Ok(changes) => changes,
            Err(error) => {
                tracing::error!("the store tells no changes: {error}");
                // A store that is broken stays so; the configuration in force stays too.
                std::future::pending().await
            }
        }
    }
}

/// What the secrets of a store are encrypted with; `at` is where the node file says so.
fn sealing(
    encryption: Option<&Encryption>,
    keyring: &[Secret],
    encrypt_as: Option<EncryptAs>,
    at: &str,
) -> Result<SealedSettings, Failure> {
    let mut keys = Vec::new();
    for key in encryption.iter().flat_map(|encryption| &encryption.keys) {
        let bytes = key.key.expose_str().and_then(parse_key);
        let sealing =
            bytes.and_then(|bytes| SealingKey::new(&key.id, &bytes)).ok_or_else(|| {
                let id = &key.id;
                Failure::new(format!(
                    "the key `{id}` of `{at}.encryption` is not 32 bytes in hexadecimal or Base64"
                ))
                .with_help("make one with `openssl rand -hex 32`")
            })?;
        keys.push(sealing);
    }
    let seal_as = match encrypt_as {
        Some(EncryptAs::Apisix) => SealAs::Apisix,
        Some(EncryptAs::Bartizan) => SealAs::Sealed,
        None if !keys.is_empty() => SealAs::Sealed,
        None if !keyring.is_empty() => SealAs::Apisix,
        None => SealAs::Clear,
    };
    let keyring = ApisixKeyring::new(keyring.to_vec()).ok_or_else(|| {
        Failure::new(format!("`{at}.apisix_keyring` holds a key of neither 16 nor 32 characters"))
    })?;
    let is_shared = at == ETCD;
    let is_required = encryption.is_some_and(|encryption| encryption.required);
    Ok(SealedSettings { keys, keyring, seal_as, is_shared, is_required })
}

/// A store whose secrets are encrypted, and what was written with another key soon is anew.
fn sealed<S: Store + 'static>(
    store: S,
    settings: SealedSettings,
    runtime: &Handle,
) -> Result<Arc<Sealed<S>>, Failure> {
    let find: FindSecrets =
        Arc::new(|key, value| secret_fields(&Catalogue, key.collection(), key.id(), value));
    let is_ours = settings.seal_as == SealAs::Sealed;
    let store = Arc::new(Sealed::new(store, settings, find).map_err(not_open)?);
    if is_ours {
        runtime.spawn(reseal(Arc::downgrade(&store)));
    }
    Ok(store)
}

/// Encrypts with the first key what is not, once the store can be read.
async fn reseal<S: Store>(store: Weak<Sealed<S>>) {
    while let Some(store) = store.upgrade() {
        match store.reseal(RESEAL_PAUSE).await {
            Ok(0) => return,
            Ok(count) => {
                tracing::info!(count, "objects of the store are encrypted with another key");
            }
            Err(StoreError::Unreachable(_)) => {}
            Err(error) => {
                tracing::error!("secrets in the store are not encrypted anew: {error}");
                return;
            }
        }
        drop(store);
        tokio::time::sleep(RESEAL_PAUSE).await;
    }
}

fn name_of(key: &Key) -> ObjectName {
    ObjectName { collection: key.collection().into(), id: key.id().into() }
}

/// A change as it is judged.
pub(super) fn change_of(change: &Change) -> ObjectChange {
    let content = change.object.as_ref().map(|object| object.content.clone());
    ObjectChange { name: name_of(&change.key), content }
}

fn etcd_settings(
    etcd: &EtcdStore,
    clock: &Clock,
    metrics: &SharedMetrics,
) -> Result<EtcdSettings, Failure> {
    let mut kept = None;
    if let Some(snapshot) = &etcd.snapshot {
        let key = snapshot.key.expose_str().and_then(parse_key).ok_or_else(|| {
            Failure::new("`store.etcd.snapshot.key` is not 32 bytes in hexadecimal or Base64")
                .with_help("make one with `openssl rand -hex 32`")
        })?;
        kept = Some(KeptAt { path: snapshot.path.clone(), key });
    }
    Ok(EtcdSettings {
        endpoints: etcd.endpoints.clone(),
        prefix: etcd.prefix.clone(),
        user: etcd.user.clone().zip(etcd.password.clone()),
        tls: UpstreamTlsSettings {
            ca_certs: etcd.tls.ca_certs.clone(),
            client_cert: etcd.tls.cert.clone(),
            client_key: etcd.tls.key.clone(),
            danger_verify_off: false,
            http2: false,
        },
        time: etcd.timeout.0,
        kept,
        clock: clock.clone(),
        metrics: metrics.clone(),
    })
}

/// Adds what is in a store to a draft.
pub(crate) fn add(draft: &mut Draft, snapshot: &Snapshot) {
    let resources =
        snapshot.objects.iter().filter(|object| object.key.collection() != OWN_COLLECTION);
    for object in resources {
        let (collection, id) = (object.key.collection(), object.key.id());
        let name = format!("{} at revision {}", object.key, object.revision);
        draft.add_object(&StoredObject { collection, id, name: &name, content: &object.content });
    }
}

fn not_open(error: OpenError) -> Failure {
    let failure = Failure::new(error.problem);
    match error.help {
        Some(help) => failure.with_help(&*help),
        None => failure,
    }
}
