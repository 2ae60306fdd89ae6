//! When an issuer that does not answer is left alone.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many failures one after the other open the circuit.
const FAILURES: u32 = 5;
/// How long it is open at first; twice as long after each probe that fails.
const OPEN_LEAST: Duration = Duration::from_secs(1);
/// How long it is open at most.
const OPEN_MOST: Duration = Duration::from_secs(30);

/// The failures of an issuer since it last answered.
#[derive(Debug, Default)]
struct Circuit {
    failures: u32,
    open_until: Option<Instant>,
    /// Somebody finds out whether it answers again.
    is_probed: bool,
}

/// Keeps questions from an issuer that does not answer, but for one at a time once it had a rest.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<Circuit>);

/// The permission to ask; what came of it has to be said, or counts for nothing.
#[derive(Debug)]
pub(super) struct Pass<'b> {
    breaker: &'b Breaker,
    is_probe: bool,
}

impl Breaker {
    /// Permission to ask at `now`; none while the circuit is open.
    pub(super) fn admit(&self, now: Instant) -> Option<Pass<'_>> {
        self.with(|circuit| {
            let Some(open_until) = circuit.open_until else {
                return Some(Pass { breaker: self, is_probe: false });
            };
            if now < open_until || circuit.is_probed {
                return None;
            }
            circuit.is_probed = true;
            Some(Pass { breaker: self, is_probe: true })
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Circuit) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pass<'_> {
    /// The issuer answered.
    pub(super) fn succeed(self) {
        self.breaker.with(|circuit| *circuit = Circuit::default());
    }

    /// It did not, by `now`.
    pub(super) fn fail(self, now: Instant) {
        let is_probe = self.is_probe;
        self.breaker.with(|circuit| {
            circuit.failures = circuit.failures.saturating_add(1);
            // Questions that were under way when it opened do not prolong it.
            let opens = is_probe || circuit.open_until.is_none();
            if opens && circuit.failures >= FAILURES {
                circuit.open_until = Some(now + open_time(circuit.failures));
            }
        });
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.is_probe {
            self.breaker.with(|circuit| circuit.is_probed = false);
        }
    }
}

fn open_time(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(FAILURES).min(16);
    OPEN_LEAST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(OPEN_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(breaker: &Breaker, now: Instant) -> bool {
        breaker.admit(now).map(|pass| pass.fail(now)).is_some()
    }

    #[test]
    fn it_opens_after_failures_one_after_the_other_for_twice_as_long_each_time() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        for _ in 1..FAILURES {
            assert!(fail(&breaker, now));
        }
        breaker.admit(now).unwrap().succeed();
        for _ in 0..FAILURES {
            assert!(fail(&breaker, now));
        }
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            let rest = Duration::from_secs(seconds);
            assert!(breaker.admit(now + rest - Duration::from_millis(1)).is_none(), "{seconds}");
            now += rest;
            assert!(fail(&breaker, now), "{seconds}");
        }
        breaker.admit(now + OPEN_MOST).unwrap().succeed();
        assert!(breaker.admit(now).is_some());
    }

    #[test]
    fn one_probe_is_sent_at_a_time_and_one_that_is_abandoned_makes_room() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..FAILURES {
            fail(&breaker, now);
        }
        let later = now + OPEN_LEAST;
        let probe = breaker.admit(later).unwrap();
        assert!(breaker.admit(later).is_none());
        drop(probe);
        assert!(breaker.admit(later).is_some());
    }

    #[test]
    fn questions_that_were_under_way_do_not_prolong_the_rest() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        let passes: Vec<_> = (0..20).map(|_| breaker.admit(now).unwrap()).collect();
        for pass in passes {
            pass.fail(now);
        }
        assert!(breaker.admit(now + OPEN_LEAST).is_some());
    }
}
