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
    /// These are the servers from now on. Nothing else is told meanwhile, so that it must be quick,
    /// and must not ask the service.
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
    state: Mutex<State>,
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
        Self { label, state: Mutex::default(), metrics, _end: end }
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
    /// follower is there. Says whether they are known.
    pub fn tell(&self, follower: Weak<dyn Follower>) -> bool {
        let mut state = self.state();
        let known = state.list.clone();
        if let (Some(list), Some(follower)) = (&known, follower.upgrade()) {
            follower.take(list);
        }
        state.followers.retain(|known| known.strong_count() > 0);
        state.followers.push(follower);
        known.is_some()
    }

    /// The registry has told these servers.
    pub(crate) fn take(&self, found: Vec<Found>) -> Result<(), Fault> {
        let list = in_order(&self.label, found)?;
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
        state.followers.retain(|follower| {
            let follower = follower.upgrade();
            follower.as_ref().inspect(|follower| follower.take(&list)).is_some()
        });
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
