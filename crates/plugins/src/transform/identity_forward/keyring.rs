//! The keys that tokens for upstreams are signed with: one that signs, one that will, and those that
//! have.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_chain::Page;
use bartizan_core::{Clock, Timestamp};
use serde_json::{Value, json};

use super::LIFETIME_MAX;
use crate::jose::{Algorithm, KeyFault, SigningKey};

/// Most keys that have signed and are still published.
const RETIRED_MAX: usize = 8;

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

#[derive(Debug)]
struct Keys {
    settings: Settings,
    current: Arc<Held>,
    /// What signs from that time on.
    next: Option<(Arc<Held>, Timestamp)>,
    /// What has signed, until when it is published.
    retired: Vec<(Arc<Held>, Timestamp)>,
}

/// The keys of a node.
#[derive(Debug)]
pub(super) struct Keyring {
    clock: Clock,
    keys: Mutex<Option<Keys>>,
}

impl Keyring {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, keys: Mutex::new(None) }
    }

    /// Takes settings over, at once and for the whole node. What has signed before stays published
    /// until its last token has ended, so that a configuration that is refused later does no harm.
    pub(super) fn adopt(&self, settings: Settings) -> Result<(), KeyFault> {
        let now = self.clock.now();
        let mut slot = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |keys: &Keys| match (&keys.settings, &settings) {
            (
                Settings::Own { algorithm, rotate },
                Settings::Own { algorithm: other, rotate: after },
            ) => algorithm == other && rotate == after,
            (Settings::Given(own), Settings::Given(other)) => {
                let names = |list: &Arc<[Arc<Held>]>| {
                    list.iter().map(|held| held.kid.clone()).collect::<Vec<_>>()
                };
                names(own) == names(other)
            }
            _ => false,
        };
        if slot.as_ref().is_some_and(is_same) {
            return Ok(());
        }
        let (current, next) = match &settings {
            Settings::Own { algorithm, rotate } => {
                let next = (Held::generate(*algorithm)?, now.plus(*rotate));
                (Held::generate(*algorithm)?, Some(next))
            }
            Settings::Given(keys) => {
                let first = keys.first().ok_or(KeyFault::Unreadable("list of keys"))?;
                (first.clone(), None)
            }
        };
        let mut keys = Keys { settings, current, next, retired: Vec::new() };
        if let Some(before) = slot.take() {
            keys.retired = before.retired;
            keys.retire(before.current, now);
        }
        *slot = Some(keys);
        Ok(())
    }

    /// The key that signs now.
    pub(super) fn current(&self) -> Result<Arc<Held>, KeyFault> {
        self.with(|keys| keys.current.clone())
    }

    /// Looks at the keys once those whose time has come have changed places.
    fn with<T>(&self, look: impl FnOnce(&Keys) -> T) -> Result<T, KeyFault> {
        let now = self.clock.now();
        let mut slot = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = slot.as_mut().ok_or(KeyFault::Unreadable("list of keys"))?;
        keys.roll(now)?;
        Ok(look(keys))
    }
}

impl Keys {
    fn roll(&mut self, now: Timestamp) -> Result<(), KeyFault> {
        self.retired.retain(|(_, until)| *until > now);
        let Settings::Own { algorithm, rotate } = self.settings else { return Ok(()) };
        if self.next.as_ref().is_none_or(|(_, from)| now < *from) {
            return Ok(());
        }
        let after = (Held::generate(algorithm)?, now.plus(rotate));
        if let Some((next, _)) = self.next.replace(after) {
            let before = std::mem::replace(&mut self.current, next);
            self.retire(before, now);
        }
        Ok(())
    }

    /// Keeps a key published until its last token has ended.
    fn retire(&mut self, key: Arc<Held>, now: Timestamp) {
        if self.retired.len() >= RETIRED_MAX {
            self.retired.remove(0);
        }
        self.retired.push((key, now.plus(LIFETIME_MAX)));
    }

    fn published(&self) -> Value {
        let given: &[Arc<Held>] = match &self.settings {
            Settings::Own { .. } => &[],
            Settings::Given(keys) => keys,
        };
        let next = self.next.iter().map(|(key, _)| key);
        let retired = self.retired.iter().map(|(key, _)| key);
        let mut shown: Vec<&Arc<Held>> = Vec::new();
        for key in std::iter::once(&self.current).chain(given).chain(next).chain(retired) {
            if !shown.iter().any(|other| other.kid == key.kid) {
                shown.push(key);
            }
        }
        json!({ "keys": shown.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>() })
    }
}

impl Page for Keyring {
    fn media(&self) -> &'static str {
        "application/jwk-set+json"
    }

    fn text(&self) -> String {
        // Without keys nothing was signed that could be verified.
        self.with(Keys::published).unwrap_or_else(|_| json!({ "keys": [] })).to_string()
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::ManualClock;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn ring() -> (ManualClock, Keyring) {
        let clock = ManualClock::at(Timestamp::from_secs(1_000_000));
        let ring = Keyring::new(Clock::Manual(clock.clone()));
        (clock, ring)
    }

    fn own(algorithm: Algorithm) -> Settings {
        Settings::Own { algorithm, rotate: HOUR }
    }

    fn names(ring: &Keyring) -> Vec<String> {
        let set: Value = serde_json::from_str(&ring.text()).unwrap();
        let keys = set["keys"].as_array().unwrap().iter();
        keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_key_is_published_long_before_it_signs_and_until_its_tokens_have_ended() {
        let (clock, ring) = ring();
        ring.adopt(own(Algorithm::Es256)).unwrap();
        let first = ring.current().unwrap().kid.clone();
        let before = names(&ring);
        assert_eq!((before.len(), &*before[0]), (2, &*first));
        clock.advance(HOUR);
        let second = ring.current().unwrap().kid.clone();
        assert_eq!(before[1], *second, "the one that was announced");
        assert_eq!(names(&ring).len(), 3);
        assert!(names(&ring).contains(&first.to_string()));
        clock.advance(LIFETIME_MAX);
        assert!(!names(&ring).contains(&first.to_string()), "its last token has ended");
        assert_eq!(*ring.current().unwrap().kid, *second);
    }

    #[test]
    fn the_same_settings_change_nothing_and_others_leave_the_old_key_published() {
        let (_, ring) = ring();
        ring.adopt(own(Algorithm::Es256)).unwrap();
        let first = ring.current().unwrap().kid.clone();
        ring.adopt(own(Algorithm::Es256)).unwrap();
        assert_eq!(ring.current().unwrap().kid, first);
        ring.adopt(own(Algorithm::EdDsa)).unwrap();
        let second = ring.current().unwrap();
        assert_eq!(second.key.algorithm(), Algorithm::EdDsa);
        assert!(names(&ring).contains(&first.to_string()));
        let given = Held::generate(Algorithm::Es256).unwrap();
        ring.adopt(Settings::Given([given.clone()].into())).unwrap();
        assert_eq!(ring.current().unwrap().kid, given.kid);
        assert!(names(&ring).contains(&second.kid.to_string()));
    }

    #[test]
    fn nothing_private_is_published() {
        let (_, ring) = ring();
        ring.adopt(own(Algorithm::Es256)).unwrap();
        ring.adopt(own(Algorithm::EdDsa)).unwrap();
        let set: Value = serde_json::from_str(&ring.text()).unwrap();
        for key in set["keys"].as_array().unwrap() {
            let members: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(!members.contains(&"d"), "{members:?}");
        }
    }
}
