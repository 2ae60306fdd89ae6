//! The node with the fewest requests under way for its weight.

use std::cmp::Ordering as Order;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use smallvec::SmallVec;

/// A node that takes requests.
#[derive(Debug)]
struct Member {
    node: u16,
    weight: u32,
    priority: i32,
}

/// Chooses by the requests under way on all workers.
#[derive(Debug)]
pub(crate) struct Load {
    /// By priority, highest first.
    members: Box<[Member]>,
    /// Requests under way, by node.
    counts: Box<[Arc<AtomicU32>]>,
    /// Where to begin looking, so that equals take turns.
    next: AtomicUsize,
}

/// A request that is under way on a node.
#[derive(Debug)]
pub(crate) struct Lease(Arc<AtomicU32>);

impl Lease {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count.clone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    /// Over nodes given as (weight, priority), whose requests so far are counted in `counts`.
    pub(crate) fn new(nodes: &[(u32, i32)], counts: Box<[Arc<AtomicU32>]>) -> Self {
        let mut members: Vec<Member> = (0_u16..)
            .zip(nodes)
            .filter(|(_, (weight, _))| *weight > 0)
            .map(|(node, (weight, priority))| Member { node, weight: *weight, priority: *priority })
            .collect();
        members.sort_by_key(|member| std::cmp::Reverse(member.priority));
        Self { members: members.into(), counts, next: AtomicUsize::new(0) }
    }

    /// The count of a node, for a balancer that takes its place.
    pub(crate) fn count(&self, node: usize) -> Option<&Arc<AtomicU32>> {
        self.counts.get(node)
    }

    /// Counts a request on a node.
    pub(crate) fn lease(&self, node: u16) -> Option<Lease> {
        self.counts.get(usize::from(node)).map(Lease::new)
    }

    fn under_way(&self, node: u16) -> u32 {
        self.counts.get(usize::from(node)).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Less for the node that would be less busy with one request more.
    fn compare(&self, a: &Member, b: &Member) -> Order {
        let busy = |member: &Member| u64::from(self.under_way(member.node)) + 1;
        (busy(a) * u64::from(b.weight)).cmp(&(busy(b) * u64::from(a.weight)))
    }

    /// The node that serves a request, of those that are fit.
    pub(crate) fn first(&self, fit: impl Fn(u16) -> bool) -> Option<u16> {
        let highest = self.members.iter().find(|member| fit(member.node))?.priority;
        let above = self.members.iter().skip_while(|member| member.priority > highest);
        let group = above.take_while(|member| member.priority == highest);
        let group = group.filter(|member| fit(member.node));
        let count = group.clone().count();
        let start = self.next.fetch_add(1, Ordering::Relaxed) % count.max(1);
        let in_turn = group.clone().cycle().skip(start).take(count);
        in_turn.min_by(|a, b| self.compare(a, b)).map(|member| member.node)
    }

    /// The others by how busy they are, within each priority.
    pub(crate) fn order_after(
        &self,
        tried: &[u16],
        tries: usize,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        let members = self.members.iter();
        let others = members.filter(|member| !tried.contains(&member.node) && fit(member.node));
        let mut others: Vec<&Member> = others.collect();
        others.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| self.compare(a, b)));
        let others = others.into_iter().map(|member| member.node);
        tried.iter().copied().chain(others).take(tries).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: fn(u16) -> bool = |_| true;

    fn load(nodes: &[(u32, i32)]) -> Load {
        Load::new(nodes, nodes.iter().map(|_| Arc::default()).collect())
    }

    #[test]
    fn the_least_busy_node_for_its_weight_serves() {
        let load = load(&[(1, 0), (3, 0), (0, 0)]);
        let leases: Vec<Lease> = (0..8)
            .map(|_| {
                let node = load.first(ALL).unwrap();
                load.lease(node).unwrap()
            })
            .collect();
        assert_eq!((load.under_way(0), load.under_way(1), load.under_way(2)), (2, 6, 0));
        drop(leases);
        assert_eq!((load.under_way(0), load.under_way(1)), (0, 0));
    }

    #[test]
    fn equals_take_turns() {
        let load = load(&[(1, 0), (1, 0), (1, 0)]);
        let mut seen: Vec<u16> = (0..3).filter_map(|_| load.first(ALL)).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn lower_priorities_come_after_all_higher_ones() {
        let load = load(&[(1, 0), (1, 5), (1, 5)]);
        let _busy = load.lease(1);
        assert_eq!(load.first(ALL), Some(2));
        assert_eq!(load.order_after(&[2], 9, ALL).as_slice(), [2, 1, 0]);
        assert_eq!(load.order_after(&[2], 2, ALL).as_slice(), [2, 1]);
        assert!(self::load(&[]).first(ALL).is_none());
    }

    #[test]
    fn those_that_are_not_fit_are_passed_over() {
        let load = load(&[(1, 0), (1, 5), (1, 5)]);
        let _busy = load.lease(2);
        assert_eq!(load.first(|node| node != 1), Some(2));
        assert_eq!(load.first(|node| node == 0), Some(0));
        assert_eq!(load.first(|_| false), None);
        assert_eq!(load.order_after(&[2], 9, |node| node != 1).as_slice(), [2, 0]);
    }

    proptest! {
        #[test]
        fn nobody_is_busier_than_their_weight_says(
            weights in prop::collection::vec(1_u32..9, 1..6),
            requests in 0_usize..60,
        ) {
            let nodes: Vec<(u32, i32)> = weights.iter().map(|weight| (*weight, 0)).collect();
            let load = load(&nodes);
            let leases: Vec<Lease> =
                (0..requests).filter_map(|_| load.first(ALL).and_then(|n| load.lease(n))).collect();
            prop_assert_eq!(leases.len(), requests);
            // No node could have been spared a request by giving it to another.
            for (a, weight) in (0_u16..).zip(&weights) {
                for (b, other) in (0_u16..).zip(&weights) {
                    let given = load.under_way(a) * other;
                    prop_assert!(given <= (load.under_way(b) + 1) * weight);
                }
            }
        }
    }
}
