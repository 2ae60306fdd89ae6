//! State that outlives a snapshot: counters, caches, key sets.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bartizan_config::ResourceRef;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

type Key = (ResourceRef, &'static str, String);

/// State by (resource, plugin, key). An entry lives as long as some snapshot holds its handle, so
/// that a reload is no amnesty and a removed object leaves nothing behind.
#[derive(Default)]
pub struct StateRegistry {
    entries: Mutex<HashMap<Key, Weak<dyn Any + Send + Sync>, RandomState>>,
}

impl StateRegistry {
    /// The state under this key: what is there, or what `make` makes.
    ///
    /// Whatever must restart the state when it changes (a window's length, an algorithm) belongs
    /// into `key`.
    pub fn state<T: Any + Send + Sync>(
        &self,
        resource: &ResourceRef,
        plugin: &'static str,
        key: String,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (resource.clone(), plugin, key);
        let present = entries.get(&key).and_then(Weak::upgrade);
        if let Some(state) = present.and_then(|any| any.downcast::<T>().ok()) {
            return state;
        }
        let state = Arc::new(make());
        let weak: Weak<T> = Arc::downgrade(&state);
        entries.insert(key, weak);
        state
    }

    /// Forgets entries that no snapshot holds any more; called after a snapshot is dropped.
    pub fn sweep(&self) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, state| state.strong_count() > 0);
    }

    /// Number of entries, dead ones included until the next sweep.
    pub fn len(&self) -> usize {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// True if there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bartizan_config::ResourceKind;

    use super::*;

    fn route(id: &str) -> ResourceRef {
        ResourceRef { kind: ResourceKind::Route, id: Arc::from(id) }
    }

    #[test]
    fn state_outlives_the_handle_that_made_it_as_long_as_another_is_held() {
        let registry = StateRegistry::default();
        let old = registry.state(&route("a"), "limit-count", "60s".into(), AtomicU32::default);
        old.store(5, Ordering::Relaxed);
        let new = registry.state(&route("a"), "limit-count", "60s".into(), AtomicU32::default);
        drop(old);
        assert_eq!(new.load(Ordering::Relaxed), 5);
    }

    #[test]
    fn another_key_plugin_or_resource_is_another_state() {
        let registry = StateRegistry::default();
        let one = registry.state(&route("a"), "p", "60s".into(), AtomicU32::default);
        one.store(5, Ordering::Relaxed);
        for (r, p, k) in [("a", "p", "30s"), ("a", "q", "60s"), ("b", "p", "60s")] {
            let other = registry.state(&route(r), p, k.into(), AtomicU32::default);
            assert_eq!(other.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn what_no_one_holds_is_swept() {
        let registry = StateRegistry::default();
        drop(registry.state(&route("a"), "p", String::new(), AtomicU32::default));
        registry.sweep();
        assert!(registry.is_empty());
    }
}
