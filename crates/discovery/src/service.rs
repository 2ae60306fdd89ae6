//! A service that is followed.

use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bartizan_core::metrics::SharedMetrics;
use tokio::sync::oneshot;

use crate::fault::Fault;
use crate::found::{Found, in_order};

/// Who is told the servers of a service.
pub trait Follower: Send + Sync {
    /// These are the servers from now on. Lists come in the order in which the registry told them,
    /// and nothing else is told meanwhile: what follows the service waits.
    fn take(&self, list: &[Found]);
}

#[derive(Default)]
struct State {
    list: Option<Arc<[Found]>>,
    followers: Vec<Weak<dyn Follower>>,
    /// Why the registry told nothing the last time.
    failing: Option<String>,
}

/// A service in a registry. It is followed until it is dropped.
pub struct Service {
    /// Registry and name, as in `dns/orders.internal`.
    label: Arc<str>,
    /// Never held for long: workers ask why requests are refused.
    state: Mutex<State>,
    /// Held while followers are told, so that no list overtakes an earlier one.
    telling: Mutex<()>,
    metrics: SharedMetrics,
    /// Ends what follows it.
    _end: oneshot::Sender<Infallible>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Service").field(&self.label).finish()
    }
}

impl Service {
    pub(crate) fn new(
        label: Arc<str>,
        metrics: SharedMetrics,
        end: oneshot::Sender<Infallible>,
    ) -> Self {
        Self { label, state: Mutex::default(), telling: Mutex::default(), metrics, _end: end }
    }

    /// Registry and name, as in `dns/orders.internal`.
    pub fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// The servers; `None` before the registry has ever told them.
    pub fn list(&self) -> Option<Arc<[Found]>> {
        self.state().list.clone()
    }

    /// Why the registry told nothing when it was last asked.
    pub fn failing(&self) -> Option<String> {
        self.state().failing.clone()
    }

    /// Tells the servers, now if they are known, and whenever they change, for as long as the
    /// follower is there. Says whether they are known. Followers must not ask for this while they
    /// are told.
    pub fn tell(&self, follower: Weak<dyn Follower>) -> bool {
        let _telling = self.telling();
        let told = follower.upgrade();
        let known = {
            let mut state = self.state();
            state.followers.retain(|known| known.strong_count() > 0);
            state.followers.push(follower);
            state.list.clone()
        };
        if let (Some(list), Some(follower)) = (&known, told) {
            follower.take(list);
        }
        known.is_some()
    }

    /// The registry has told these servers.
    pub(crate) fn take(&self, found: Vec<Found>) -> Result<(), Fault> {
        let list = in_order(&self.label, found)?;
        let _telling = self.telling();
        let mut state = self.state();
        if state.failing.take().is_some() {
            self.metrics.discovery_failing.dec();
            tracing::info!(service = &*self.label, "the registry answers again");
        }
        if state.list.as_ref() == Some(&list) {
            return Ok(());
        }
        self.metrics.discovery_lists.inc();
        tracing::info!(service = &*self.label, servers = list.len(), "the list of servers changed");
        state.list = Some(list.clone());
        state.followers.retain(|follower| follower.strong_count() > 0);
        let followers: Vec<_> = state.followers.iter().filter_map(Weak::upgrade).collect();
        drop(state);
        for follower in followers {
            follower.take(&list);
        }
        Ok(())
    }

    /// The registry has told nothing; the last good list stays.
    pub(crate) fn fail(&self, fault: &Fault) {
        let mut state = self.state();
        let cause = fault.to_string();
        if state.failing.as_ref() != Some(&cause) {
            let kept = state.list.as_ref().map_or(0, |list| list.len());
            tracing::warn!(service = &*self.label, cause, kept, "the registry tells no servers");
        }
        if state.failing.replace(cause).is_none() {
            self.metrics.discovery_failing.inc();
        }
    }

    fn telling(&self) -> MutexGuard<'_, ()> {
        self.telling.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.state().failing.is_some() {
            self.metrics.discovery_failing.dec();
        }
    }
}
