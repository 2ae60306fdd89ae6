//! When which server of an upstream is probed next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::balance::mix;

/// The first probes are spread over this time, or over the interval where that is shorter.
const FIRST: Duration = Duration::from_secs(5);

/// The dates of the servers. They are spread by chance, so that neither the servers of an upstream
/// nor the gateways in front of them ask all at once.
#[derive(Debug)]
pub(super) struct Rounds {
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    seed: u64,
}

impl Rounds {
    /// So many servers, which are probed at this interval; all of them begin now.
    pub(super) fn new(servers: usize, every: Duration, seed: u64, now: Instant) -> Self {
        let mut rounds = Self { due: BinaryHeap::with_capacity(servers), seed };
        (0..servers).for_each(|server| rounds.begin(server, every, now));
        rounds
    }

    fn begin(&mut self, server: usize, every: Duration, now: Instant) {
        let wait = every.min(FIRST).mul_f64(self.chance());
        self.due.push(Reverse((now + wait, server)));
    }

    /// From now on there are so many servers. `moved` tells the new number of each that there was;
    /// those that stay keep their dates, `running` are being probed now, and all others begin.
    pub(super) fn exchange(
        &mut self,
        moved: &[Option<usize>],
        servers: usize,
        running: &HashSet<usize>,
        every: Duration,
        now: Instant,
    ) {
        let known =
            std::mem::take(&mut self.due).into_iter().filter_map(|Reverse((due, server))| {
                let server = moved.get(server).copied().flatten()?;
                Some(Reverse((due, server)))
            });
        self.due = known.collect();
        let mut stays: HashSet<usize> =
            self.due.iter().map(|Reverse((_, server))| *server).collect();
        stays.extend(running);
        for server in (0..servers).filter(|server| !stays.contains(server)) {
            self.begin(server, every, now);
        }
    }

    /// From 0 to 1.
    fn chance(&mut self) -> f64 {
        self.seed = self.seed.wrapping_add(1);
        let [.., one, two, three, four] = mix(self.seed).to_be_bytes();
        f64::from(u32::from_be_bytes([one, two, three, four])) / f64::from(u32::MAX)
    }

    /// A server whose time has come.
    pub(super) fn next(&mut self, now: Instant) -> Option<usize> {
        let Reverse((due, server)) = *self.due.peek()?;
        (due <= now).then(|| {
            self.due.pop();
            server
        })
    }

    /// When the next one is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((due, _))| *due)
    }

    /// A server whose probe began then is due again after the interval, a tenth more or less.
    pub(super) fn again(&mut self, server: usize, began: Instant, every: Duration) {
        let wait = every.mul_f64(0.9 + 0.2 * self.chance());
        self.due.push(Reverse((began + wait, server)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    proptest! {
        #[test]
        fn everyone_is_due_within_the_first_time_and_again_about_an_interval_later(
            servers in 1_usize..200,
            seconds in 1_u32..120,
            seed: u64,
        ) {
            let (every, start) = (SECOND * seconds, Instant::now());
            let mut rounds = Rounds::new(servers, every, seed, start);
            let last = start + every.min(FIRST);
            let mut seen: Vec<usize> = std::iter::from_fn(|| rounds.next(last)).collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..servers).collect::<Vec<_>>());
            prop_assert_eq!(rounds.due(), None);
            rounds.again(0, start, every);
            let due = rounds.due().unwrap() - start;
            prop_assert!(due >= every.mul_f64(0.899) && due <= every.mul_f64(1.101), "{due:?}");
            prop_assert_eq!(rounds.next(start + due - Duration::from_millis(1)), None);
            prop_assert_eq!(rounds.next(start + due), Some(0));
        }
    }

    proptest! {
        #[test]
        fn those_that_stay_keep_their_dates_and_every_server_has_one_or_is_running(
            from in 0_usize..30,
            to in 0_usize..30,
            shift in 0_usize..30,
            running in 0_usize..5,
            seed: u64,
        ) {
            let start = Instant::now();
            let mut rounds = Rounds::new(from, SECOND, seed, start);
            // The servers whose turn it is now are running.
            let end = start + SECOND;
            let under_way: Vec<usize> =
                std::iter::from_fn(|| rounds.next(end)).take(running).collect();
            let before: Vec<(Instant, usize)> = rounds.due.iter().map(|Reverse(due)| *due).collect();
            let moved: Vec<Option<usize>> =
                (0..from).map(|at| Some(at + shift).filter(|at| *at < to)).collect();
            let stay: HashSet<usize> = under_way.iter().filter_map(|at| moved[*at]).collect();
            rounds.exchange(&moved, to, &stay, SECOND, end);
            let after: Vec<(Instant, usize)> = rounds.due.iter().map(|Reverse(due)| *due).collect();
            for (due, at) in before {
                if let Some(at) = moved[at] {
                    prop_assert!(after.contains(&(due, at)));
                }
            }
            let mut all: Vec<usize> = after.iter().map(|(_, at)| *at).chain(stay).collect();
            all.sort_unstable();
            prop_assert_eq!(all, (0..to).collect::<Vec<_>>());
            let late = |(due, _): &(Instant, usize)| *due > end + SECOND;
            prop_assert!(!after.iter().any(late));
        }
    }

    #[test]
    fn probes_are_spread_and_differently_on_every_gateway() {
        let start = Instant::now();
        let dates = |seed| {
            let mut rounds = Rounds::new(1_000, SECOND, seed, start);
            let quarters = [250, 500, 750, 1_000];
            quarters.map(|ms| {
                std::iter::from_fn(|| rounds.next(start + Duration::from_millis(ms))).count()
            })
        };
        assert!(dates(1).iter().all(|count| count.abs_diff(250) < 60), "{:?}", dates(1));
        assert_ne!(dates(1), dates(9_999));
    }
}
