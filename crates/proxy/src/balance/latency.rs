//! The better of two nodes that chance names, by how long their answers took of late.
//!
//! Of each node an average is kept that follows what is slower at once and forgets it slowly (peak
//! EWMA). It falls while nobody asks the node, so that one that was slow is tried again. Chance names
//! two, since the best of all would be everybody's choice at the same moment.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use smallvec::SmallVec;
use tokio::time::Instant;

use super::mix;

/// The time in which what was observed loses two thirds of its part.
const DECAY: Duration = Duration::from_secs(10);

/// A node that gives no answer counts as one whose answer took so long: one that refuses at once
/// must not look fast.
const FAILURE: Duration = Duration::from_secs(5);

/// How long the answers of a node took of late, in seconds, and when that was noted.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<Option<(f64, Instant)>>);

impl Pace {
    fn observe(&self, took: Duration, now: Instant) {
        let took = took.as_secs_f64();
        // Held for arithmetic.
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let average = match *pace {
            Some((before, at)) if before > took => {
                let part = part(at, now);
                before * part + took * (1.0 - part)
            }
            _ => took,
        };
        *pace = Some((average, now));
    }

    fn at(&self, now: Instant) -> f64 {
        let pace = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pace.map_or(0.0, |(average, at)| average * part(at, now))
    }
}

/// The part that what was noted then still has.
fn part(then: Instant, now: Instant) -> f64 {
    (-now.saturating_duration_since(then).as_secs_f64() / DECAY.as_secs_f64()).exp()
}

/// A node that takes requests.
#[derive(Debug)]
struct Member {
    node: u16,
    priority: i32,
}

/// Chooses by how long answers took on all workers.
#[derive(Debug)]
pub(crate) struct Latency {
    /// By priority, highest first.
    members: Box<[Member]>,
    /// By node.
    paces: Box<[Arc<Pace>]>,
    chance: AtomicU64,
}

impl Latency {
    /// Over nodes given as (weight, priority), which went as `paces` say so far.
    pub(crate) fn new(nodes: &[(u32, i32)], paces: Box<[Arc<Pace>]>) -> Self {
        let mut members: Vec<Member> = (0_u16..)
            .zip(nodes)
            .filter(|(_, (weight, _))| *weight > 0)
            .map(|(node, (_, priority))| Member { node, priority: *priority })
            .collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.priority));
        Self { members: members.into(), paces, chance: AtomicU64::new(1) }
    }

    /// The pace of a node, for a balancer that takes its place.
    pub(crate) fn pace(&self, node: usize) -> Option<&Arc<Pace>> {
        self.paces.get(node)
    }

    /// Takes in how long an answer took that came now; `None` where none came.
    pub(crate) fn observe(&self, node: u16, took: Option<Duration>, now: Instant) {
        if let Some(pace) = self.paces.get(usize::from(node)) {
            pace.observe(took.unwrap_or(FAILURE), now);
        }
    }

    fn pace_of(&self, node: u16, now: Instant) -> f64 {
        self.paces.get(usize::from(node)).map_or(0.0, |pace| pace.at(now))
    }

    /// The node that serves a request, of those that are fit.
    pub(crate) fn first(&self, now: Instant, fit: impl Fn(u16) -> bool) -> Option<u16> {
        let any = self.members.iter().find(|member| fit(member.node))?;
        let above = self.members.iter().skip_while(|member| member.priority > any.priority);
        let group = above.take_while(|member| member.priority == any.priority);
        let group = group.map(|member| member.node).filter(|node| fit(*node));
        let count = group.clone().count();
        if count < 2 {
            return Some(any.node);
        }
        let chance = mix(self.chance.fetch_add(1, Ordering::Relaxed));
        let [high, low] = [chance >> 32, chance & 0xffff_ffff];
        let drawn = |chance: u64, of: usize| usize::try_from(chance).unwrap_or_default() % of;
        let (one, other) = (drawn(high, count), drawn(low, count - 1));
        let other = if other >= one { other + 1 } else { other };
        // Health may have changed since they were counted.
        let one = group.clone().nth(one).unwrap_or(any.node);
        let other = group.clone().nth(other).unwrap_or(any.node);
        let is_better = self.pace_of(other, now) < self.pace_of(one, now);
        Some(if is_better { other } else { one })
    }

    /// The others by how long their answers took, within each priority.
    pub(crate) fn order_after(
        &self,
        tried: &[u16],
        tries: usize,
        now: Instant,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        let members = self.members.iter();
        let others = members.filter(|member| !tried.contains(&member.node) && fit(member.node));
        let mut others: Vec<(i32, f64, u16)> = others
            .map(|member| (member.priority, self.pace_of(member.node, now), member.node))
            .collect();
        others.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.total_cmp(&b.1)));
        let others = others.into_iter().map(|(_, _, node)| node);
        tried.iter().copied().chain(others).take(tries).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: fn(u16) -> bool = |_| true;
    const MS: Duration = Duration::from_millis(1);

    fn latency(nodes: &[(u32, i32)]) -> Latency {
        Latency::new(nodes, nodes.iter().map(|_| Arc::default()).collect())
    }

    #[test]
    fn what_is_slower_counts_at_once_and_is_forgotten_slowly() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert!(pace.at(start).abs() < 1e-9, "nothing is known");
        pace.observe(100 * MS, start);
        pace.observe(900 * MS, start);
        assert!((pace.at(start) - 0.9).abs() < 1e-9);
        // After the time of decay a third is left, and the rest is what came since.
        let later = start + DECAY;
        let left = (-1.0_f64).exp();
        assert!((pace.at(later) - 0.9 * left).abs() < 1e-9);
        pace.observe(100 * MS, later);
        assert!((pace.at(later) - (0.9 * left + 0.1 * (1.0 - left))).abs() < 1e-9);
        // A clock that other threads read earlier changes nothing.
        assert!((pace.at(start) - (0.9 * left + 0.1 * (1.0 - left))).abs() < 1e-9);
    }

    #[test]
    fn of_two_the_faster_serves_until_the_slower_is_forgotten() {
        let (latency, start) = (latency(&[(1, 0), (9, 0), (0, 0)]), Instant::now());
        latency.observe(0, Some(MS), start);
        latency.observe(1, Some(2 * MS), start);
        for _ in 0..50 {
            assert_eq!(latency.first(start, ALL), Some(0), "weights do not matter");
        }
        // Whoever is asked is noted anew; whoever is not becomes worth a try.
        let later = start + DECAY;
        latency.observe(0, Some(MS), later);
        assert_eq!(latency.first(later, ALL), Some(1));
    }

    #[test]
    fn one_that_fails_at_once_is_not_taken_for_fast() {
        let (latency, now) = (latency(&[(1, 0), (1, 0)]), Instant::now());
        latency.observe(0, None, now);
        latency.observe(1, Some(4_999 * MS), now);
        assert_eq!(latency.first(now, ALL), Some(1));
    }

    #[test]
    fn lower_priorities_come_after_all_higher_ones_that_are_fit() {
        let (latency, now) = (latency(&[(1, 0), (1, 5), (1, 5)]), Instant::now());
        latency.observe(1, Some(MS), now);
        assert_eq!(latency.first(now, ALL), Some(2));
        assert_eq!(latency.first(now, |node| node != 2), Some(1));
        assert_eq!(latency.first(now, |node| node == 0), Some(0));
        assert_eq!(latency.first(now, |_| false), None);
        assert_eq!(latency.order_after(&[2], 9, now, ALL).as_slice(), [2, 1, 0]);
        assert_eq!(latency.order_after(&[2], 9, now, |node| node != 1).as_slice(), [2, 0]);
        assert_eq!(latency.order_after(&[2], 1, now, ALL).as_slice(), [2]);
        assert_eq!(self::latency(&[]).first(now, ALL), None);
    }

    proptest! {
        #[test]
        fn slower_nodes_get_less(
            times in prop::collection::vec(1_u32..200, 2..6),
            slow in 0_usize..6,
        ) {
            let slow = slow % times.len();
            let nodes: Vec<(u32, i32)> = times.iter().map(|_| (1, 0)).collect();
            let latency = latency(&nodes);
            let mut counts = vec![0_u32; times.len()];
            let mut now = Instant::now();
            for _ in 0..2_000 {
                let node = latency.first(now, ALL).unwrap();
                let place = usize::from(node);
                // One takes ten times as long as the slowest other.
                let took = if place == slow { 2_000 } else { times[place] };
                now += 5 * MS;
                latency.observe(node, Some(took * MS), now);
                counts[place] += 1;
            }
            for (place, count) in counts.iter().enumerate().filter(|(place, _)| *place != slow) {
                prop_assert!(counts[slow] * 2 < *count, "{place}: {counts:?}");
            }
        }
    }
}
