//! The keys that tokens for upstreams are signed with: one that signs, one that will, and those that
//! have.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;

use bartizan_chain::Page;
use bartizan_core::{Clock, Timestamp};
use serde_json::{Value, json};

use super::LIFETIME_MAX;
use crate::jose::{Algorithm, KeyFault, SigningKey};

/// Most of them of rings that have ended.
const ENDED_MAX: usize = 32;

/// A key with its public half.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) key: SigningKey,
    /// Its name: the thumbprint.
    pub(super) kid: Box<str>,
    jwk: Value,
}

impl Held {
    pub(super) fn new(key: SigningKey) -> Result<Self, KeyFault> {
        let jwk = key.public_jwk().ok_or(KeyFault::Unreadable("public half"))?;
        let kid = jwk.get("kid").and_then(Value::as_str).unwrap_or_default().into();
        Ok(Self { key, kid, jwk: Value::Object(jwk) })
    }

    fn generate(algorithm: Algorithm) -> Result<Arc<Self>, KeyFault> {
        Self::new(SigningKey::generate(algorithm)?).map(Arc::new)
    }
}

/// Where keys come from.
#[derive(Clone, Debug)]
pub(super) enum Settings {
    /// They are made here, and live in memory.
    Own { algorithm: Algorithm, rotate: Duration },
    /// They are given: the first signs, all are published.
    Given(Arc<[Arc<Held>]>),
}

impl Settings {
    /// Tells these settings from all others.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Own { algorithm, rotate } => format!("own {} {rotate:?}", algorithm.name()),
            Self::Given(keys) => {
                let kids: Vec<&str> = keys.iter().map(|held| &*held.kid).collect();
                format!("given {}", kids.join(" "))
            }
        }
    }
}

#[derive(Debug)]
struct Keys {
    current: Arc<Held>,
    /// When that has last signed, in nanoseconds; never if 0.
    signed: AtomicU64,
    /// What signs from that time on.
    next: Option<(Arc<Held>, Timestamp)>,
    /// What has signed, until when it is published.
    retired: Vec<(Arc<Held>, Timestamp)>,
}

/// The keys by one metadata. Who compiles a configuration gets them and changes nothing of those by
/// another one. They are published from the first signature on, so that a configuration that is
/// checked only never tells upstreams whom to believe; what has signed stays published until its
/// last token has ended.
#[derive(Debug)]
pub(super) struct Keyring {
    clock: Clock,
    settings: Settings,
    keys: RwLock<Option<Keys>>,
    published: Arc<Published>,
    entered: OnceLock<()>,
}

impl Keyring {
    pub(super) fn new(settings: Settings, clock: Clock, published: Arc<Published>) -> Self {
        Self { clock, settings, keys: RwLock::new(None), published, entered: OnceLock::new() }
    }

    /// Makes the keys, unless they are there.
    pub(super) fn open(&self) -> Result<(), KeyFault> {
        let mut slot = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return Ok(());
        }
        let (current, next) = match &self.settings {
            Settings::Own { algorithm, rotate } => {
                let next = (Held::generate(*algorithm)?, self.clock.now().plus(*rotate));
                (Held::generate(*algorithm)?, Some(next))
            }
            Settings::Given(keys) => {
                let first = keys.first().ok_or(KeyFault::Unreadable("list of keys"))?;
                (first.clone(), None)
            }
        };
        *slot = Some(Keys { current, signed: AtomicU64::new(0), next, retired: Vec::new() });
        Ok(())
    }

    /// The key that signs now, which is published before any token of it is on its way.
    pub(super) fn current(self: &Arc<Self>) -> Result<Arc<Held>, KeyFault> {
        let now = self.clock.now();
        self.roll(now)?;
        let key = self.look(|keys| {
            keys.signed.fetch_max(now.as_nanos(), Ordering::Relaxed);
            keys.current.clone()
        })?;
        self.entered.get_or_init(|| self.published.enter(self));
        Ok(key)
    }

    /// What is published of it.
    fn shown(&self, now: Timestamp) -> Vec<Arc<Held>> {
        let given: &[Arc<Held>] = match &self.settings {
            Settings::Own { .. } => &[],
            Settings::Given(keys) => keys,
        };
        let keys = self.roll(now).and_then(|()| {
            self.look(|keys| {
                let next = keys.next.iter().map(|(key, _)| key);
                let retired = keys.retired.iter().filter(|(_, until)| *until > now);
                let retired = retired.map(|(key, _)| key);
                let all = std::iter::once(&keys.current).chain(given).chain(next).chain(retired);
                all.cloned().collect()
            })
        });
        // Without keys nothing was signed that could be verified.
        keys.unwrap_or_default()
    }

    fn look<T>(&self, look: impl FnOnce(&Keys) -> T) -> Result<T, KeyFault> {
        let slot = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(look).ok_or(KeyFault::Unreadable("list of keys"))
    }

    /// Lets the keys whose time has come change places. A new one is made while no lock is held:
    /// other requests sign meanwhile.
    fn roll(&self, now: Timestamp) -> Result<(), KeyFault> {
        let Settings::Own { algorithm, rotate } = &self.settings else { return Ok(()) };
        if !self.look(|keys| keys.is_due(now))? {
            return Ok(());
        }
        let after = (Held::generate(*algorithm)?, now.plus(*rotate));
        let mut slot = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = slot.as_mut().filter(|keys| keys.is_due(now)) {
            keys.exchange(after, now);
        }
        Ok(())
    }
}

impl Drop for Keyring {
    /// Tokens outlive the configuration that they were signed by.
    fn drop(&mut self) {
        let slot = self.keys.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(keys) = slot.take() else { return };
        let signed = keys.signed.into_inner();
        let end = Timestamp::from_nanos(signed).plus(LIFETIME_MAX);
        let last = (signed > 0).then_some((keys.current, end));
        self.published.keep(keys.retired.into_iter().chain(last), self.clock.now());
    }
}

impl Keys {
    fn is_due(&self, now: Timestamp) -> bool {
        self.next.as_ref().is_some_and(|(_, from)| now >= *from)
    }

    /// The next key signs; the one before stays published where it has.
    fn exchange(&mut self, after: (Arc<Held>, Timestamp), now: Timestamp) {
        self.retired.retain(|(_, until)| *until > now);
        let Some((next, _)) = self.next.replace(after) else { return };
        let before = std::mem::replace(&mut self.current, next);
        if std::mem::take(self.signed.get_mut()) > 0 {
            retire(&mut self.retired, (before, now.plus(LIFETIME_MAX)), ENDED_MAX);
        }
    }
}

/// Keeps a key published until its last token has ended.
fn retire(
    retired: &mut Vec<(Arc<Held>, Timestamp)>,
    (key, until): (Arc<Held>, Timestamp),
    most: usize,
) {
    if let Some((_, known)) = retired.iter_mut().find(|(other, _)| other.kid == key.kid) {
        *known = until.max(*known);
        return;
    }
    if retired.len() >= most {
        retired.remove(0);
    }
    retired.push((key, until));
}

/// The public keys of a node: those of all rings that have signed, and of such that have ended while
/// tokens of theirs may be on the way.
#[derive(Debug)]
pub(super) struct Published {
    clock: Clock,
    rings: Mutex<Vec<Weak<Keyring>>>,
    ended: Mutex<Vec<(Arc<Held>, Timestamp)>>,
}

impl Published {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, rings: Mutex::default(), ended: Mutex::default() }
    }

    fn enter(&self, ring: &Arc<Keyring>) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.retain(|ring| ring.strong_count() > 0);
        rings.push(Arc::downgrade(ring));
    }

    fn keep(&self, keys: impl Iterator<Item = (Arc<Held>, Timestamp)>, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|(_, until)| *until > now);
        keys.for_each(|key| retire(&mut ended, key, ENDED_MAX));
    }

    fn keys(&self) -> Value {
        let now = self.clock.now();
        // A ring that ends here hands its keys over, for which no lock may be held.
        let rings: Vec<Arc<Keyring>> = {
            let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
            rings.iter().filter_map(Weak::upgrade).collect()
        };
        let mut shown: Vec<Arc<Held>> = Vec::new();
        let mut show = |key: Arc<Held>| {
            if !shown.iter().any(|other| other.kid == key.kid) {
                shown.push(key);
            }
        };
        rings.iter().flat_map(|ring| ring.shown(now)).for_each(&mut show);
        drop(rings);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = ended.iter().filter(|(_, until)| *until > now);
        alive.for_each(|(key, _)| show(key.clone()));
        json!({ "keys": shown.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>() })
    }
}

impl Page for Published {
    fn media(&self) -> &'static str {
        "application/jwk-set+json"
    }

    fn text(&self) -> String {
        self.keys().to_string()
    }
}
