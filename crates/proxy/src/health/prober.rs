//! Sends the probes of every upstream in force.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bartizan_audit::AuditLog;
use bartizan_config::{ActiveCheck, ResourceRef};
use bartizan_core::{Clock, Limits};
use bartizan_net::{Client, Reach};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::rounds::Rounds;
use super::{Health, Probe, Probes, Voice, note};

/// Most probes of a node at once, over all upstreams.
pub(crate) const PROBES_MAX: usize = 256;

/// Most probes of one upstream at once, whatever it asks for: servers that hang may not stop the
/// probes of others.
pub(crate) const SHARE_MAX: usize = 32;

/// An upstream that is probed, for as long as this is here.
struct Watched {
    health: Arc<Health>,
    _stop: oneshot::Sender<Infallible>,
}

#[derive(Default)]
struct Table {
    watched: HashMap<ResourceRef, Watched>,
    is_over: bool,
}

/// What probes are sent with.
struct Tools {
    reach: Arc<dyn Reach>,
    client: Client,
    permits: Arc<Semaphore>,
    audit: AuditLog,
    clock: Clock,
}

/// The upstreams that are probed.
pub(crate) struct Prober {
    tools: Arc<Tools>,
    table: Mutex<Table>,
    chance: RandomState,
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").finish_non_exhaustive()
    }
}

impl Prober {
    /// One that reaches servers by `reach`, and watches none yet.
    pub(crate) fn new(
        reach: Arc<dyn Reach>,
        limits: &Limits,
        audit: AuditLog,
        clock: Clock,
    ) -> Self {
        let mut limits = limits.clone();
        // Probes wait for each other here, not for the calls of plugins.
        limits.calls = u32::try_from(PROBES_MAX).unwrap_or(u32::MAX);
        let client = Client::new(reach.clone(), &limits);
        let permits = Arc::new(Semaphore::new(PROBES_MAX));
        let tools = Arc::new(Tools { reach, client, permits, audit, clock });
        Self { tools, table: Mutex::default(), chance: RandomState::new() }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these are the upstreams with checks.
    pub(crate) fn follow_all(&self, healths: &[Arc<Health>]) {
        let mut table = self.table();
        let of = |health: &Arc<Health>| Arc::as_ptr(health);
        let kept: std::collections::HashSet<_> = healths.iter().map(of).collect();
        table.watched.retain(|_, watched| kept.contains(&of(&watched.health)));
        for health in healths {
            self.watch(&mut table, health);
        }
    }

    /// From now on the upstream written there has these checks, or none.
    pub(crate) fn follow(&self, origin: &ResourceRef, health: Option<&Arc<Health>>) {
        let mut table = self.table();
        match health {
            Some(health) => self.watch(&mut table, health),
            None => drop(table.watched.remove(origin)),
        }
    }

    /// Ends all probes, for good.
    pub(crate) fn stop(&self) {
        let mut table = self.table();
        table.is_over = true;
        table.watched.clear();
    }

    /// Begins to probe an upstream, unless that goes on already.
    fn watch(&self, table: &mut Table, health: &Arc<Health>) {
        let known = table.watched.get(&health.origin);
        if table.is_over || known.is_some_and(|known| Arc::ptr_eq(&known.health, health)) {
            return;
        }
        let (stop, stopped) = oneshot::channel();
        let seed = self.chance.hash_one(&health.origin);
        let task = probe_on(health.clone(), self.tools.clone(), seed, stopped);
        let watched = Watched { health: health.clone(), _stop: stop };
        table.watched.insert(health.origin.clone(), watched);
        self.tools.reach.spawn(Box::pin(task));
    }

    /// The checks of the upstream written there.
    pub(crate) fn find(&self, origin: &ResourceRef) -> Option<Arc<Health>> {
        self.table().watched.get(origin).map(|watched| watched.health.clone())
    }

    /// All upstreams that are probed, in order of their names.
    pub(crate) fn all(&self) -> Vec<Arc<Health>> {
        let table = self.table();
        let mut all: Vec<_> = table.watched.values().map(|one| one.health.clone()).collect();
        drop(table);
        all.sort_by(|one, other| one.origin.cmp(&other.origin));
        all
    }
}

/// Probes the servers of an upstream until it is told to stop. It waits for one turn of the node at a
/// time, and what waits for it is no task yet.
async fn probe_on(
    health: Arc<Health>,
    tools: Arc<Tools>,
    seed: u64,
    mut stopped: oneshot::Receiver<Infallible>,
) {
    let active = &health.checks.active;
    let most = usize::try_from(active.concurrency).unwrap_or(SHARE_MAX).clamp(1, SHARE_MAX);
    let mut exchanged = health.probes.subscribe();
    let mut probes = exchanged.borrow_and_update().clone();
    let mut rounds = Rounds::new(probes.len(), active.healthy_every, seed, Instant::now());
    let mut under_way = JoinSet::new();
    // A server that is not listed any more has no number.
    let mut began: HashMap<Id, (Option<usize>, Instant)> = HashMap::new();
    // It keeps its place among those that wait, whatever else happens meanwhile.
    let mut turn = pin!(tools.permits.clone().acquire_owned());
    loop {
        let now = Instant::now();
        let due = rounds.due().filter(|_| under_way.len() < most);
        let is_due = due.is_some_and(|due| due <= now);
        let ended = tokio::select! {
            _ = &mut stopped => return,
            Ok(()) = exchanged.changed() => {
                let next = exchanged.borrow_and_update().clone();
                let moved = moves(&probes, &next);
                let running = began.values_mut().filter_map(|(server, _)| {
                    *server = server.and_then(|server| moved.get(server).copied().flatten());
                    *server
                });
                let running = running.collect();
                rounds.exchange(&moved, next.len(), &running, active.healthy_every, now);
                probes = next;
                if rounds.due().is_none_or(|due| due > now) {
                    // A turn that nobody takes would be one less for all others.
                    turn.set(tools.permits.clone().acquire_owned());
                }
                continue;
            }
            Some(ended) = under_way.join_next_with_id(), if !under_way.is_empty() => ended,
            permit = &mut turn, if is_due => {
                turn.set(tools.permits.clone().acquire_owned());
                let (Ok(permit), Some(server)) = (permit, rounds.next(now)) else { return };
                let task = probe(health.clone(), probes.clone(), server, tools.clone(), permit);
                began.insert(under_way.spawn(task).id(), (Some(server), Instant::now()));
                continue;
            }
            () = sleep_until(due.unwrap_or(now)), if due.is_some() && !is_due => continue,
            else => return,
        };
        let id = match ended {
            Ok((id, ())) => id,
            Err(error) => {
                tracing::error!(%error, "a probe did not end");
                error.id()
            }
        };
        if let Some((Some(server), began)) = began.remove(&id) {
            rounds.again(server, began, every(active, probes.get(server)));
        }
    }
}

/// Where each server stands in another list; nowhere where it is not listed any more.
fn moves(from: &[Probe], to: &[Probe]) -> Vec<Option<usize>> {
    let places: HashMap<&str, usize> =
        to.iter().enumerate().map(|(place, probe)| (&*probe.standing.label, place)).collect();
    from.iter().map(|probe| places.get(&*probe.standing.label).copied()).collect()
}

fn every(active: &ActiveCheck, probe: Option<&Probe>) -> Duration {
    let standing = probe.map(|probe| &probe.standing);
    let is_healthy = standing.is_none_or(|standing| standing.is_healthy());
    if is_healthy { active.healthy_every } else { active.unhealthy_every }
}

/// Probes one server, whose turn it is for as long as that takes.
async fn probe(
    health: Arc<Health>,
    probes: Probes,
    server: usize,
    tools: Arc<Tools>,
    _turn: OwnedSemaphorePermit,
) {
    let Some(probe) = probes.get(server) else { return };
    let began = Instant::now();
    let active = &health.checks.active;
    let probed = probe.run(active, &health.form, &tools.client, &*tools.reach).await;
    let voice = Voice { audit: &tools.audit, clock: &tools.clock };
    note(&health, probe, probed, began.elapsed(), voice);
}
