//! What counts for and against a server, in one word that every thread reads and changes.
//!
//! Successes in a row make an unhealthy server healthy; failures of one kind, with no success between
//! them, make a healthy one unhealthy. Probes and requests count on the same counters, each with
//! thresholds of its own.

use bartizan_config::{CheckKind, CheckRule};

/// What a probe or a request says of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It works.
    Success,
    /// It answered with a status that speaks against it, or with what is no answer.
    HttpFailure,
    /// There was no connection, or it broke.
    TcpFailure,
    /// It took too long.
    Timeout,
}

/// The counters of a server, and what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) successes: u8,
    pub(crate) http_failures: u8,
    pub(crate) tcp_failures: u8,
    pub(crate) timeouts: u8,
    pub(crate) is_unhealthy: bool,
    /// Something was counted.
    pub(crate) is_known: bool,
}

const UNHEALTHY: u64 = 1 << 32;
const KNOWN: u64 = 1 << 33;

impl Counts {
    pub(crate) fn of(word: u64) -> Self {
        let [.., timeouts, tcp_failures, http_failures, successes] = word.to_be_bytes();
        Self {
            successes,
            http_failures,
            tcp_failures,
            timeouts,
            is_unhealthy: Self::is_unhealthy(word),
            is_known: word & KNOWN != 0,
        }
    }

    /// Reads this alone.
    pub(crate) fn is_unhealthy(word: u64) -> bool {
        word & UNHEALTHY != 0
    }

    pub(crate) fn word(self) -> u64 {
        let Self { successes, http_failures, tcp_failures, timeouts, .. } = self;
        let counters =
            u64::from(u32::from_be_bytes([timeouts, tcp_failures, http_failures, successes]));
        let flag = |is_set: bool, flag: u64| if is_set { flag } else { 0 };
        counters | flag(self.is_unhealthy, UNHEALTHY) | flag(self.is_known, KNOWN)
    }

    /// What they are after one more outcome.
    #[must_use]
    pub(crate) fn after(self, outcome: Outcome, rule: &CheckRule) -> Self {
        let threshold = match outcome {
            Outcome::Success => rule.successes,
            Outcome::HttpFailure => rule.http_failures,
            Outcome::TcpFailure => rule.tcp_failures,
            Outcome::Timeout => rule.timeouts,
        };
        if threshold == 0 {
            return self;
        }
        let mut next = Self { is_known: true, ..self };
        if outcome == Outcome::Success {
            (next.http_failures, next.tcp_failures, next.timeouts) = (0, 0, 0);
            if next.is_unhealthy {
                next.successes = next.successes.saturating_add(1);
                next.is_unhealthy = next.successes < threshold;
            }
            return next;
        }
        next.successes = 0;
        if next.is_unhealthy {
            return next;
        }
        let counter = match outcome {
            Outcome::HttpFailure => &mut next.http_failures,
            Outcome::TcpFailure => &mut next.tcp_failures,
            Outcome::Timeout | Outcome::Success => &mut next.timeouts,
        };
        *counter = counter.saturating_add(1);
        next.is_unhealthy = *counter >= threshold;
        next
    }
}

/// What a status says; nothing where it is in neither list.
pub(crate) fn of_status(kind: CheckKind, rule: &CheckRule, status: u16) -> Option<Outcome> {
    if kind == CheckKind::Tcp || rule.good.binary_search(&status).is_ok() {
        return Some(Outcome::Success);
    }
    rule.bad.binary_search(&status).is_ok().then_some(Outcome::HttpFailure)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Outcome::{HttpFailure, Success, TcpFailure, Timeout};
    use super::*;

    fn rule(successes: u8, http_failures: u8, tcp_failures: u8, timeouts: u8) -> CheckRule {
        let (good, bad) = ([200, 302].into(), [302, 500].into());
        CheckRule { good, bad, successes, http_failures, tcp_failures, timeouts }
    }

    fn outcomes() -> impl Strategy<Value = Vec<Outcome>> {
        let one = prop::sample::select(vec![Success, HttpFailure, TcpFailure, Timeout]);
        prop::collection::vec(one, 0..40)
    }

    fn after(outcomes: &[Outcome], rule: &CheckRule) -> Counts {
        outcomes.iter().fold(Counts::default(), |counts, one| counts.after(*one, rule))
    }

    #[test]
    fn thresholds_are_met_exactly() {
        let rule = rule(2, 3, 2, 1);
        for (list, is_unhealthy) in [
            (&[][..], false),
            (&[HttpFailure, HttpFailure], false),
            (&[HttpFailure, HttpFailure, HttpFailure], true),
            (&[HttpFailure, HttpFailure, Success, HttpFailure], false),
            (&[HttpFailure, TcpFailure, HttpFailure], false),
            (&[TcpFailure, HttpFailure, TcpFailure], true),
            (&[Timeout], true),
            (&[Timeout, Success], true),
            (&[Timeout, Success, Success], false),
            (&[Timeout, Success, TcpFailure, Success], true),
            (&[Timeout, Success, Success, TcpFailure], false),
        ] {
            assert_eq!(after(list, &rule).is_unhealthy, is_unhealthy, "{list:?}");
        }
    }

    #[test]
    fn a_counter_that_is_off_neither_counts_nor_resets_others() {
        for (list, rule, is_unhealthy) in [
            (vec![TcpFailure; 300], rule(1, 1, 0, 1), false),
            (vec![HttpFailure; 300], rule(1, 0, 1, 1), false),
            (vec![Timeout; 300], rule(1, 1, 1, 0), false),
            (vec![TcpFailure, Success, TcpFailure], rule(0, 1, 2, 1), true),
            (vec![Timeout, Success, Success], rule(0, 1, 1, 1), true),
        ] {
            assert_eq!(after(&list, &rule).is_unhealthy, is_unhealthy, "{list:?}");
        }
        assert!(!after(&[TcpFailure], &rule(1, 1, 0, 1)).is_known);
    }

    #[test]
    fn statuses_count_as_their_lists_say_the_good_first() {
        let rule = rule(1, 1, 1, 1);
        for (kind, status, expected) in [
            (CheckKind::Http, 200, Some(Success)),
            (CheckKind::Https, 302, Some(Success)),
            (CheckKind::Http, 500, Some(HttpFailure)),
            (CheckKind::Http, 404, None),
            (CheckKind::Tcp, 500, Some(Success)),
        ] {
            assert_eq!(of_status(kind, &rule, status), expected, "{status}");
        }
    }

    proptest! {
        #[test]
        fn a_word_holds_them_all(list in outcomes(), thresholds: [u8; 4]) {
            let [a, b, c, d] = thresholds;
            let counts = after(&list, &rule(a, b, c, d));
            prop_assert_eq!(Counts::of(counts.word()), counts);
            prop_assert_eq!(Counts::is_unhealthy(counts.word()), counts.is_unhealthy);
        }

        #[test]
        fn they_agree_with_looking_back_over_everything(
            list in outcomes(),
            (successes, http, tcp, timeouts) in (1_u8..5, 1_u8..5, 1_u8..5, 1_u8..5),
        ) {
            let rule = rule(successes, http, tcp, timeouts);
            let mut is_unhealthy = false;
            // Where the present state began.
            let mut since = 0;
            for end in 1..=list.len() {
                let recent = &list[since..end];
                let tail = |stop: fn(&Outcome) -> bool| {
                    let begin = recent.iter().rposition(stop).map_or(0, |at| at + 1);
                    &recent[begin..]
                };
                let turns = if is_unhealthy {
                    tail(|one| *one != Success).len() >= usize::from(successes)
                } else {
                    let failures = tail(|one| *one == Success);
                    [(HttpFailure, http), (TcpFailure, tcp), (Timeout, timeouts)].iter().any(
                        |(kind, threshold)| {
                            let count = failures.iter().filter(|one| *one == kind).count();
                            count >= usize::from(*threshold)
                        },
                    )
                };
                if turns {
                    (is_unhealthy, since) = (!is_unhealthy, end);
                }
                prop_assert_eq!(after(&list[..end], &rule).is_unhealthy, is_unhealthy);
            }
        }
    }
}
