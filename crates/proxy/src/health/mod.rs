//! Which servers of an upstream work, by probes and by what requests say of them.
//!
//! [`Health`] belongs to an upstream as it is written; the [`Standing`] of a server is shared by all
//! workers and by every snapshot in which its upstream has checks and lists it, whatever else of them
//! changes, so that neither a reload nor an edit is an amnesty. A server that nobody has judged yet
//! counts as healthy.
//!
//! Probes run on the control runtime from the moment a configuration is in force, whether there are
//! requests or not: [`Prober`].

mod probe;
mod prober;
mod rounds;
mod seen;
mod state;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bartizan_audit::{AuditLog, Event, EventKind};
use bartizan_config::{CheckRule, HealthChecks, ResourceKind, ResourceRef};
use bartizan_core::{Clock, LastProbe, Reason, Timestamp};
use tokio::sync::watch;

pub(crate) use probe::{Form, Probe};
pub(crate) use prober::Prober;
pub(crate) use seen::Gauges;
pub use seen::describe_health;
pub(crate) use state::{Counts, Outcome};

/// What is known of a server.
#[derive(Debug)]
pub(crate) struct Standing {
    /// `host:port`.
    pub(crate) label: Arc<str>,
    counts: AtomicU64,
    last: Mutex<Option<LastProbe>>,
}

impl Standing {
    /// A server of which nothing is known.
    pub(crate) fn new(label: Arc<str>) -> Self {
        Self { label, counts: AtomicU64::new(0), last: Mutex::new(None) }
    }

    /// Whether requests are sent to it.
    pub(crate) fn is_healthy(&self) -> bool {
        !Counts::is_unhealthy(self.counts.load(Ordering::Relaxed))
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts::of(self.counts.load(Ordering::Relaxed))
    }

    /// Counts an outcome; gives what it became where that changed. One caller is told of a change.
    fn count(&self, outcome: Outcome, rule: &CheckRule) -> Option<Counts> {
        let step = |word| {
            let next = Counts::of(word).after(outcome, rule).word();
            (next != word).then_some(next)
        };
        let before = self.counts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok()?;
        let after = Counts::of(before).after(outcome, rule);
        (after.is_unhealthy != Counts::is_unhealthy(before)).then_some(after)
    }

    fn probed(&self, last: LastProbe) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }

    pub(crate) fn last(&self) -> Option<LastProbe> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The checks of an upstream, and how its servers stand.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) origin: ResourceRef,
    pub(crate) checks: Arc<HealthChecks>,
    /// What every probe has in common.
    form: Arc<Form>,
    /// One for each server, however often it is listed. Where a registry names the servers, they
    /// change.
    probes: watch::Sender<Probes>,
}

/// The probes of an upstream, one for each of its servers.
pub(crate) type Probes = Arc<[Probe]>;

/// Who is told of changes.
#[derive(Clone, Copy)]
pub(crate) struct Voice<'a> {
    pub(crate) audit: &'a AuditLog,
    pub(crate) clock: &'a Clock,
}

impl Health {
    /// Checks whose servers begin as `before` left them.
    pub(crate) fn new(
        origin: &ResourceRef,
        checks: &Arc<HealthChecks>,
        form: Arc<Form>,
        mut probes: Vec<Probe>,
        before: Option<&Arc<Self>>,
    ) -> Arc<Self> {
        if let Some(before) = before {
            let known = before.probes();
            if before.checks == *checks && are_same(&known, &probes) {
                return before.clone();
            }
            let known: HashMap<&str, &Arc<Standing>> =
                known.iter().map(|probe| (&*probe.standing.label, &probe.standing)).collect();
            for probe in &mut probes {
                if let Some(standing) = known.get(&*probe.standing.label) {
                    probe.standing = (*standing).clone();
                }
            }
        }
        let (origin, checks) = (origin.clone(), checks.clone());
        Arc::new(Self { origin, checks, form, probes: watch::Sender::new(probes.into()) })
    }

    /// From now on these are the servers; gives them as they are then.
    pub(crate) fn exchange(&self, probes: Vec<Probe>) -> Probes {
        let known = self.probes();
        if are_same(&known, &probes) {
            return known;
        }
        let probes: Probes = probes.into();
        self.probes.send_replace(probes.clone());
        probes
    }

    /// The servers as they are now.
    pub(crate) fn probes(&self) -> Probes {
        self.probes.borrow().clone()
    }

    /// How the servers stand.
    pub(crate) fn standings(&self) -> Vec<Arc<Standing>> {
        self.probes.borrow().iter().map(|probe| probe.standing.clone()).collect()
    }

    /// What a request says of a server that answered it; only good, where another was blamed for the
    /// same request.
    pub(crate) fn answered(
        &self,
        standing: &Standing,
        status: u16,
        is_blamed: bool,
        voice: Voice<'_>,
    ) {
        let Some(passive) = &self.checks.passive else { return };
        let outcome = state::of_status(passive.kind, &passive.rule, status);
        if let Some(outcome) = outcome.filter(|one| !is_blamed || *one == Outcome::Success) {
            let cause = || format!("requests were answered with {status}");
            self.count(standing, outcome, &passive.rule, cause, voice);
        }
    }

    /// What a request says of a server that did not answer it.
    pub(crate) fn failed(&self, standing: &Standing, reason: Reason, voice: Voice<'_>) {
        let Some(passive) = &self.checks.passive else { return };
        let outcome = match reason {
            Reason::UpstreamConnect | Reason::UpstreamClosed => Outcome::TcpFailure,
            Reason::UpstreamTimeout => Outcome::Timeout,
            Reason::UpstreamMalformed => Outcome::HttpFailure,
            // Whatever else went wrong, the server has no part in it.
            _ => return,
        };
        let cause = || format!("requests failed: {}", reason.code());
        self.count(standing, outcome, &passive.rule, cause, voice);
    }

    /// Counts an outcome, and tells where the server became another.
    fn count(
        &self,
        standing: &Standing,
        outcome: Outcome,
        rule: &CheckRule,
        cause: impl FnOnce() -> String,
        voice: Voice<'_>,
    ) {
        let Some(counts) = standing.count(outcome, rule) else { return };
        let (server, cause) = (&standing.label, cause());
        let upstream = match self.origin.kind {
            ResourceKind::Upstream => self.origin.to_string(),
            _ => format!("the upstream of {}", self.origin),
        };
        let became = if counts.is_unhealthy {
            tracing::warn!(%upstream, %server, %cause, "a server is unhealthy");
            "unhealthy"
        } else {
            tracing::info!(%upstream, %server, %cause, "a server is healthy again");
            "healthy again"
        };
        let mut event = Event::new(EventKind::Health, voice.clock.now());
        let detail = format!("server `{server}` of {upstream} is {became}: {cause}");
        event.detail = Some(detail.into());
        voice.audit.record(event);
    }
}

/// Whether both ask the same servers the same way.
fn are_same(known: &[Probe], probes: &[Probe]) -> bool {
    known.len() == probes.len() && known.iter().zip(probes).all(|(one, other)| one.is_same(other))
}

/// Notes a probe that ended, and counts what it says.
fn note(health: &Health, probe: &Probe, probed: probe::Probed, took: Duration, voice: Voice<'_>) {
    let at: Timestamp = voice.clock.now();
    let fault = probed.fault.clone().map(Into::into);
    probe.standing.probed(LastProbe { at, took, fault });
    if let Some(outcome) = probed.outcome {
        let cause = || match probed.fault {
            Some(fault) => format!("a probe failed: {fault}"),
            None => "probes succeed".to_owned(),
        };
        health.count(&probe.standing, outcome, &health.checks.active.rule, cause, voice);
    }
}
