//! When requests are kept from an upstream: counting, without clock or lock.

use crate::monotonic::SECOND;

/// When to keep requests away, and when to let them through again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// So many failures open the circuit, and so many more again.
    pub(super) failures: u32,
    /// So many successes one after the other forget the failures.
    pub(super) successes: u32,
    /// It is never open longer than this, in nanoseconds.
    pub(super) longest: u64,
}

/// The failures of an upstream since it was last well.
#[derive(Debug, Default)]
pub(super) struct Circuit {
    failures: u32,
    successes: u32,
    open_until: u64,
}

impl Circuit {
    /// Notes a failure; true if that opens the circuit.
    pub(super) fn fail(&mut self, terms: &Terms, now: u64) -> bool {
        self.successes = 0;
        // At the last number it stays where it opens anew with every failure.
        self.failures = self.failures.saturating_add(1);
        let is_last = self.failures == u32::MAX;
        if !is_last && !self.failures.is_multiple_of(terms.failures.max(1)) {
            return false;
        }
        let times = self.failures / terms.failures.max(1);
        let time = 1_u64.checked_shl(times).and_then(|seconds| seconds.checked_mul(SECOND));
        let time = time.map_or(terms.longest, |time| time.min(terms.longest));
        self.open_until = now.saturating_add(time);
        true
    }

    /// Notes a success.
    pub(super) fn succeed(&mut self, terms: &Terms) {
        if self.failures == 0 {
            return;
        }
        self.successes = self.successes.saturating_add(1);
        if self.successes >= terms.successes {
            *self = Self::default();
        }
    }

    /// Until when no request goes through.
    pub(super) fn open_until(&self) -> u64 {
        self.open_until
    }

    /// True if no failure is remembered.
    pub(super) fn is_well(&self) -> bool {
        self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TERMS: Terms = Terms { failures: 3, successes: 2, longest: 300 * SECOND };

    fn fail(circuit: &mut Circuit, times: u32, now: u64) -> Vec<u64> {
        let open = |_| circuit.fail(&TERMS, now).then(|| (circuit.open_until() - now) / SECOND);
        (0..times).filter_map(open).collect()
    }

    #[test]
    fn it_is_open_twice_as_long_each_time_and_never_too_long() {
        let mut circuit = Circuit::default();
        assert_eq!(fail(&mut circuit, 30, 7), [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn successes_one_after_the_other_forget_the_failures() {
        let mut circuit = Circuit::default();
        fail(&mut circuit, 5, 0);
        circuit.succeed(&TERMS);
        assert!(!circuit.is_well());
        assert_eq!(fail(&mut circuit, 1, 0), [4]);
        circuit.succeed(&TERMS);
        circuit.succeed(&TERMS);
        assert!(circuit.is_well());
        assert_eq!(circuit.open_until(), 0);
        assert_eq!(fail(&mut circuit, 3, 0), [2]);
    }

    #[test]
    fn counting_has_no_end() {
        let mut circuit = Circuit { failures: u32::MAX - 1, ..Circuit::default() };
        assert!(circuit.fail(&TERMS, u64::MAX) && circuit.fail(&TERMS, 0));
        assert_eq!(circuit.open_until(), 300 * SECOND);
    }

    proptest! {
        /// The whole history, read anew each time.
        #[test]
        fn it_is_what_the_history_says(
            failures in 1_u32..5,
            successes in 1_u32..4,
            longest in 3_u64..40,
            history in prop::collection::vec((any::<bool>(), 0..3 * SECOND), 0..100),
        ) {
            let terms = Terms { failures, successes, longest: longest * SECOND };
            let mut circuit = Circuit::default();
            let mut now = SECOND;
            let mut so_far: Vec<bool> = Vec::new();
            let mut open_until = 0;
            for (is_failure, gap) in history {
                now += gap;
                so_far.push(is_failure);
                if is_failure {
                    circuit.fail(&terms, now);
                } else {
                    circuit.succeed(&terms);
                }
                let healed = |seen: &[bool]| {
                    let run = seen.iter().rev().take_while(|failed| !**failed).count();
                    run >= successes as usize
                };
                if healed(&so_far) {
                    so_far.clear();
                    open_until = 0;
                }
                let count = u32::try_from(so_far.iter().filter(|failed| **failed).count()).unwrap();
                if is_failure && count % failures == 0 {
                    open_until = now + (1 << (count / failures).min(40)).min(longest) * SECOND;
                }
                prop_assert_eq!(circuit.open_until(), open_until);
                prop_assert_eq!(circuit.is_well(), count == 0);
            }
        }
    }
}
