//! Nodes in turn, by weight.

use std::sync::atomic::{AtomicUsize, Ordering};

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use smallvec::SmallVec;

use super::mix;

/// The longest turn; weights whose sum is larger are scaled down to it.
const TURN_MAX: u64 = 4_096;

/// Draws for a node that stands in for another, before any that is fit is taken.
const DRAWS: u64 = 16;

/// Smooth weighted round-robin over a fixed list of nodes, grouped by priority.
///
/// The order is worked out once: a request takes the next place of the turn, one atomic addition.
/// All workers share the place, so that the shares hold for the node as a whole.
#[derive(Debug)]
pub(crate) struct Turns {
    /// One turn per priority, highest priority first; each holds indices of nodes.
    turns: Box<[Box<[u16]>]>,
    next: AtomicUsize,
}

impl Turns {
    /// Turns over nodes given as (weight, priority).
    pub(crate) fn new(nodes: &[(u32, i32)]) -> Self {
        let mut priorities: Vec<i32> =
            nodes.iter().filter(|(weight, _)| *weight > 0).map(|(_, p)| *p).collect();
        priorities.sort_unstable_by(|a, b| b.cmp(a));
        priorities.dedup();
        let turn = |priority: i32| {
            let members: Vec<(u16, u32)> = (0_u16..)
                .zip(nodes)
                .filter(|(_, (weight, p))| *weight > 0 && *p == priority)
                .map(|(index, (weight, _))| (index, *weight))
                .collect();
            smooth(&members)
        };
        Self { turns: priorities.into_iter().map(turn).collect(), next: AtomicUsize::new(0) }
    }

    /// The node whose turn it is, or one that stands in for it where it is not fit.
    pub(crate) fn first(&self, fit: impl Fn(u16) -> bool) -> SmallVec<[u16; 4]> {
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let first = self.turns.first().and_then(|turn| turn.get(start % turn.len().max(1)));
        match first {
            Some(node) if !fit(*node) => self.stand_in(start, fit).into_iter().collect(),
            first => first.copied().into_iter().collect(),
        }
    }

    /// A fit node of the highest priority that has one, drawn from its turn: each takes over as much
    /// as its weight says, not only the one that comes next.
    fn stand_in(&self, start: usize, fit: impl Fn(u16) -> bool) -> Option<u16> {
        let seed = u64::try_from(start).unwrap_or_default();
        self.turns.iter().find_map(|turn| {
            let draw = |n: u64| {
                let chance = mix(seed.wrapping_mul(DRAWS).wrapping_add(n + 1));
                let place = chance.checked_rem(u64::try_from(turn.len()).ok()?)?;
                turn.get(usize::try_from(place).ok()?).copied()
            };
            let drawn = (0..DRAWS).filter_map(draw).find(|node| fit(*node));
            drawn.or_else(|| turn.iter().copied().find(|node| fit(*node)))
        })
    }

    /// The order in which a request goes on after the nodes that it has tried: the others of the
    /// same priority as they come in the turn, then those of the next; at most `tries` in all.
    pub(crate) fn order_after(
        &self,
        tried: &[u16],
        tries: usize,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        let mut order = SmallVec::from_slice(tried);
        let mut seen: HashSet<u16, RandomState> = tried.iter().copied().collect();
        for turn in &self.turns {
            let last = tried.last();
            let start = turn.iter().position(|node| Some(node) == last).unwrap_or(0);
            for &node in turn.iter().cycle().skip(start).take(turn.len()) {
                if order.len() >= tries {
                    return order;
                }
                if fit(node) && seen.insert(node) {
                    order.push(node);
                }
            }
        }
        order
    }
}

/// One whole turn in which every node comes as often as its weight says, spread evenly: each step
/// every node gains its weight, and the one with the most is taken and pays the sum.
fn smooth(members: &[(u16, u32)]) -> Box<[u16]> {
    let divisor = members.iter().fold(0, |d, (_, weight)| gcd(d, u64::from(*weight))).max(1);
    let sum: u64 = members.iter().map(|(_, weight)| u64::from(*weight) / divisor).sum();
    let scaled = |weight: u32| {
        let weight = u64::from(weight) / divisor;
        if sum > TURN_MAX { (weight * TURN_MAX / sum).max(1) } else { weight }
    };
    let weights: Vec<i64> =
        members.iter().map(|(_, w)| i64::try_from(scaled(*w)).unwrap_or(1)).collect();
    let total: i64 = weights.iter().sum();
    let mut gained = vec![0_i64; weights.len()];
    let mut turn = Vec::new();
    for _ in 0..total {
        gained.iter_mut().zip(&weights).for_each(|(gain, weight)| *gain += weight);
        // The first of equals: `max_by_key` would take the last.
        let best = (0..gained.len()).rev().max_by_key(|i| gained.get(*i).copied());
        let Some(best) = best else { break };
        if let (Some(gain), Some((node, _))) = (gained.get_mut(best), members.get(best)) {
            *gain -= total;
            turn.push(*node);
        }
    }
    turn.into_boxed_slice()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: fn(u16) -> bool = |_| true;

    fn firsts(balancer: &Turns, count: usize) -> Vec<u16> {
        (0..count).filter_map(|_| balancer.first(ALL).first().copied()).collect()
    }

    #[test]
    fn weights_are_kept_and_spread_evenly() {
        let balancer = Turns::new(&[(5, 0), (1, 0), (1, 0)]);
        assert_eq!(firsts(&balancer, 7), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn nodes_without_weight_get_nothing() {
        let balancer = Turns::new(&[(0, 0), (1, 0)]);
        assert_eq!(firsts(&balancer, 3), [1, 1, 1]);
        assert!(Turns::new(&[(0, 0)]).first(ALL).is_empty());
        assert!(Turns::new(&[]).first(ALL).is_empty());
    }

    #[test]
    fn retries_go_to_other_nodes_and_then_to_the_next_priority() {
        let balancer = Turns::new(&[(1, 0), (1, 5), (1, 5)]);
        let order = |tries| balancer.order_after(&balancer.first(ALL), tries, ALL);
        assert_eq!(order(9).as_slice(), [1, 2, 0]);
        assert_eq!(order(9).as_slice(), [2, 1, 0]);
        assert_eq!(order(2).as_slice(), [1, 2]);
    }

    #[test]
    fn those_that_are_fit_take_over_by_weight_and_before_lower_priorities() {
        let balancer = Turns::new(&[(6, 1), (1, 1), (3, 1), (9, 0)]);
        let mut counts = [0_u32; 4];
        for _ in 0..10_000 {
            let node = balancer.first(|node| node != 0)[0];
            counts[usize::from(node)] += 1;
        }
        assert_eq!((counts[0], counts[3]), (0, 0));
        assert!(counts[1].abs_diff(2_500) < 200 && counts[2].abs_diff(7_500) < 200, "{counts:?}");
        assert_eq!(balancer.first(|node| node == 3).as_slice(), [3]);
        assert!(balancer.first(|_| false).is_empty());
    }

    #[test]
    fn those_that_are_not_fit_are_not_tried_next() {
        let balancer = Turns::new(&[(1, 0), (1, 0), (1, 0)]);
        assert_eq!(balancer.order_after(&[0], 9, |node| node != 1).as_slice(), [0, 2]);
        // What was tried stays where it is, whatever became of it.
        assert_eq!(balancer.order_after(&[0], 9, |node| node == 1).as_slice(), [0, 1]);
    }

    proptest! {
        #[test]
        fn every_node_gets_its_share_of_a_turn(weights in prop::collection::vec(1_u32..20, 1..6)) {
            let balancer = Turns::new(&weights.iter().map(|w| (*w, 0)).collect::<Vec<_>>());
            let divisor = weights.iter().fold(0, |d, w| gcd(d, u64::from(*w)));
            let total = weights.iter().map(|w| u64::from(*w)).sum::<u64>() / divisor;
            let seen = firsts(&balancer, usize::try_from(total).unwrap());
            for (node, weight) in (0_u16..).zip(&weights) {
                let count = seen.iter().filter(|n| **n == node).count() as u64;
                prop_assert_eq!(count, u64::from(*weight) / divisor);
            }
        }

        #[test]
        fn it_agrees_with_weighing_one_request_after_the_other(
            nodes in prop::collection::vec((0_u32..6, 0_i32..3), 0..6),
        ) {
            let balancer = Turns::new(&nodes);
            let highest = nodes.iter().filter(|(weight, _)| *weight > 0).map(|(_, p)| *p).max();
            let mut gained = vec![0_i64; nodes.len()];
            for _ in 0..40 {
                let members = nodes.iter().zip(0_usize..);
                let members: Vec<(i64, usize)> = members
                    .filter(|((weight, p), _)| *weight > 0 && Some(*p) == highest)
                    .map(|((weight, _), node)| (i64::from(*weight), node))
                    .collect();
                let sum: i64 = members.iter().map(|(weight, _)| weight).sum();
                for (weight, node) in &members {
                    gained[*node] += weight;
                }
                let rank = |(_, node): &&(i64, usize)| (gained[*node], std::cmp::Reverse(*node));
                let best = members.iter().max_by_key(rank).map(|(_, node)| *node);
                if let Some(best) = best {
                    gained[best] -= sum;
                }
                let first = balancer.first(ALL).first().map(|node| usize::from(*node));
                prop_assert_eq!(first, best);
            }
        }

        #[test]
        fn who_is_tried_next_is_never_of_a_lower_priority_than_who_is_left(
            nodes in prop::collection::vec((0_u32..4, 0_i32..3), 0..6),
            tries in 0_usize..8,
        ) {
            let balancer = Turns::new(&nodes);
            let tried = balancer.first(ALL);
            let order = balancer.order_after(&tried, tries, ALL);
            let usable = nodes.iter().filter(|(weight, _)| *weight > 0).count();
            prop_assert_eq!(order.len(), usable.min(tries).max(tried.len()));
            let mut left: Vec<u16> = (0_u16..)
                .zip(&nodes)
                .filter_map(|(node, (weight, _))| (*weight > 0).then_some(node))
                .collect();
            let priority = |node: u16| nodes[usize::from(node)].1;
            for node in order {
                prop_assert!(left.contains(&node), "{node} twice or without weight");
                prop_assert_eq!(left.iter().map(|n| priority(*n)).max(), Some(priority(node)));
                left.retain(|n| *n != node);
            }
        }
    }
}
