//! Consistent hashing: what a request says of a key decides which node serves it.
//!
//! Every node has a place of its own for every key (weighted rendezvous hashing): the node with the
//! best place serves, the one with the next best is tried where that fails. A node that goes takes
//! only its own keys with it, and one that comes takes its share from all, exactly, whatever the
//! weights: with points on one ring that holds only while the number of points stays the same.
//! Gateways that have the same nodes agree, and so does one after a restart.

use bartizan_chain::{RequestCx, Template, Var, VarError};
use bartizan_config::{HashedBy, Invalid};
use smallvec::SmallVec;

/// What of a request is hashed; where it has no value, the client's address.
#[derive(Debug)]
pub(crate) enum HashKey {
    /// A variable.
    Var(Var),
    /// A text with variables.
    Text(Template),
}

/// Where a node stands for keys.
#[derive(Debug)]
struct Member {
    node: u16,
    seed: u64,
    weight: f64,
}

/// Chooses nodes by key.
#[derive(Debug)]
pub(crate) struct Hashing {
    key: HashKey,
    /// By priority, highest first.
    groups: Box<[Box<[Member]>]>,
}

impl Hashing {
    /// Over nodes given as (label, weight, priority).
    pub(crate) fn new<'a>(key: HashKey, nodes: impl Iterator<Item = (&'a str, u32, i32)>) -> Self {
        let mut members: Vec<(i32, Member)> = (0_u16..)
            .zip(nodes)
            .filter(|(_, (_, weight, _))| *weight > 0)
            .map(|(node, (label, weight, priority))| {
                let seed = hash(label.as_bytes());
                (priority, Member { node, seed, weight: f64::from(weight) })
            })
            .collect();
        members.sort_by_key(|(priority, _)| std::cmp::Reverse(*priority));
        let mut groups: Vec<(i32, Vec<Member>)> = Vec::new();
        for (priority, member) in members {
            match groups.last_mut() {
                Some((own, group)) if *own == priority => group.push(member),
                _ => groups.push((priority, vec![member])),
            }
        }
        Self { key, groups: groups.into_iter().map(|(_, group)| group.into()).collect() }
    }

    /// The node that serves a request, of those that are fit.
    pub(crate) fn first(&self, cx: &RequestCx, fit: impl Fn(u16) -> bool) -> Option<u16> {
        self.first_of(self.key.of(cx), fit)
    }

    /// The nodes that a request is tried on after those that it was tried on, at most `tries` in
    /// all: by their place, within each priority.
    pub(crate) fn order_after(
        &self,
        cx: &RequestCx,
        tried: &[u16],
        tries: usize,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        self.order_of(self.key.of(cx), tried, tries, fit)
    }

    fn first_of(&self, key: u64, fit: impl Fn(u16) -> bool) -> Option<u16> {
        self.groups.iter().find_map(|group| {
            let fit = group.iter().filter(|member| fit(member.node));
            let best = fit.min_by(|a, b| a.place(key).total_cmp(&b.place(key)));
            best.map(|member| member.node)
        })
    }

    fn order_of(
        &self,
        key: u64,
        tried: &[u16],
        tries: usize,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        let mut order: SmallVec<[u16; 4]> = tried.iter().copied().take(tries).collect();
        for group in &self.groups {
            let others = group.iter();
            let others = others.filter(|other| !tried.contains(&other.node) && fit(other.node));
            let mut places: Vec<(f64, u16)> =
                others.map(|member| (member.place(key), member.node)).collect();
            places.sort_by(|a, b| a.0.total_cmp(&b.0));
            order.extend(places.into_iter().map(|(_, node)| node).take(tries - order.len()));
            if order.len() >= tries {
                break;
            }
        }
        order
    }
}

impl Member {
    /// The place for a key; the least is the best. Exponentially distributed with the weight as its
    /// rate, so that a node is the best as often as its weight says.
    fn place(&self, key: u64) -> f64 {
        /// One part of the numbers below 1 that a mantissa tells apart.
        const PART: f64 = 1.0 / 9_007_199_254_740_992.0;
        let mixed = mix(key ^ self.seed) >> 11;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what a mantissa holds")]
        let share = (mixed as f64 + 0.5) * PART;
        -share.ln() / self.weight
    }
}

impl HashKey {
    /// The variables that are hashed.
    pub(crate) fn vars(&self) -> Vec<&Var> {
        match self {
            Self::Var(var) => vec![var],
            Self::Text(text) => text.vars().collect(),
        }
    }

    /// What a configuration says is hashed.
    pub(crate) fn compile(by: &HashedBy) -> Result<Self, Invalid> {
        let at_key = |error: VarError| Invalid::at("key", error.to_string());
        let is_early = |var: &Var| {
            if var.needs_answer() {
                return Err(Invalid::at("key", "the server is chosen before there is an answer"));
            }
            Ok(())
        };
        Ok(match by {
            HashedBy::Variable(name) => {
                let var = Var::parse(name).map_err(at_key)?;
                is_early(&var)?;
                Self::Var(var)
            }
            HashedBy::Header(name) => Self::Var(Var::Http(name.clone())),
            HashedBy::Cookie(name) => Self::Var(Var::Cookie(name.clone())),
            HashedBy::Consumer => Self::Var(Var::ConsumerName),
            HashedBy::Combination(text) => {
                let text = Template::parse(text).map_err(at_key)?;
                if text.as_literal().is_some() {
                    return Err(Invalid::at("key", "there is no variable in it")
                        .with_help("write variables with a `$`, such as `$host$uri`"));
                }
                text.vars().try_for_each(is_early)?;
                Self::Text(text)
            }
        })
    }

    fn of(&self, cx: &RequestCx) -> u64 {
        let value = match self {
            Self::Var(var) => {
                // What is said more than once has no value here: it protects nothing.
                var.value(cx)
                    .ok()
                    .flatten()
                    .filter(|value| !value.is_empty())
                    .map(|v| hash(v.as_bytes()))
            }
            Self::Text(text) => {
                let mut out = String::new();
                matches!(text.render(cx, &mut out), Ok(true)).then(|| hash(out.as_bytes()))
            }
        };
        value.unwrap_or_else(|| match cx.client() {
            std::net::IpAddr::V4(address) => hash(&address.octets()),
            std::net::IpAddr::V6(address) => hash(&address.octets()),
        })
    }
}

/// FNV-1a, mixed: short, without a seed, the same everywhere and for ever.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mix(fnv)
}

/// The finaliser of `MurmurHash3`: every bit of the input changes every bit of the output.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: fn(u16) -> bool = |_| true;

    type Node = (String, u32, i32);

    fn hashing(nodes: &[Node]) -> Hashing {
        let key = HashKey::Var(Var::Uri);
        Hashing::new(key, nodes.iter().map(|(label, w, p)| (label.as_str(), *w, *p)))
    }

    fn label(nodes: &[Node], index: u16) -> &str {
        &nodes[usize::from(index)].0
    }

    fn nodes(weights: &[u32]) -> Vec<Node> {
        weights
            .iter()
            .enumerate()
            .map(|(n, weight)| (format!("10.0.0.{n}:80"), *weight, 0))
            .collect()
    }

    fn keys() -> impl Iterator<Item = u64> {
        (0..2_000_u32).map(|n| hash(format!("/orders/{n}").as_bytes()))
    }

    #[test]
    fn shares_are_as_the_weights_say() {
        let hashing = hashing(&nodes(&[1, 2, 0, 5]));
        let mut counts = [0_u32; 4];
        for n in 0..80_000_u32 {
            let node = hashing.first_of(hash(&n.to_be_bytes()), ALL).unwrap();
            counts[usize::from(node)] += 1;
        }
        assert_eq!(counts[2], 0);
        for (count, expected) in [(counts[0], 10_000), (counts[1], 20_000), (counts[3], 50_000)] {
            assert!(count.abs_diff(expected) < expected / 20, "{counts:?}");
        }
    }

    #[test]
    fn the_choice_never_changes_for_the_same_nodes() {
        // Written down: another build or another gateway must come to the same.
        let hashing = hashing(&nodes(&[1, 1, 3]));
        let chosen: Vec<u16> = ["/a", "/b", "/c", "/d", "/e", "/f", "/g", "/h"]
            .iter()
            .filter_map(|key| hashing.first_of(hash(key.as_bytes()), ALL))
            .collect();
        assert_eq!(chosen, [1, 0, 2, 2, 1, 2, 2, 1]);
    }

    #[test]
    fn lower_priorities_come_after_all_higher_ones() {
        let mut list = nodes(&[1, 1, 1, 1]);
        list[0].2 = -1;
        list[2].2 = 7;
        let hashing = hashing(&list);
        for key in keys() {
            let order = hashing.order_of(key, &[], 9, ALL);
            assert_eq!((order[0], order[3], order.len()), (2, 0, 4));
            assert_eq!(hashing.first_of(key, ALL), Some(2));
        }
    }

    #[test]
    fn a_node_that_is_not_fit_gives_its_keys_away_and_gets_them_back() {
        let hashing = hashing(&nodes(&[1, 2, 3]));
        for key in keys() {
            let order = hashing.order_of(key, &[], 9, ALL);
            let first = order[0];
            assert_eq!(hashing.first_of(key, |node| node != first), Some(order[1]));
            let other = hashing.first_of(key, |node| node != order[2]);
            assert_eq!(other, Some(first), "nobody else's keys move");
            // What was tried stays first, whatever became of it since.
            let after = hashing.order_of(key, &[first], 9, |node| node != first);
            assert_eq!(after, order);
        }
        assert_eq!(hashing.first_of(1, |_| false), None);
    }

    proptest! {
        #[test]
        fn a_node_that_goes_takes_only_its_own_keys_with_it(
            weights in prop::collection::vec(1_u32..100, 2..8),
            gone in 0_usize..8,
        ) {
            let before = nodes(&weights);
            let gone = gone % before.len();
            let mut after = before.clone();
            let (lost, ..) = after.remove(gone);
            let (one, other) = (hashing(&before), hashing(&after));
            for key in keys() {
                let order = one.order_of(key, &[], 9, ALL);
                let was = label(&before, order[0]);
                let is = label(&after, other.first_of(key, ALL).unwrap());
                if was == lost {
                    // Its keys go where they would have been tried next.
                    prop_assert_eq!(is, label(&before, order[1]));
                } else {
                    prop_assert_eq!(is, was);
                }
            }
        }

        #[test]
        fn the_order_begins_with_the_first_and_has_every_node_once(
            weights in prop::collection::vec(0_u32..5, 0..8),
            key: u64,
            tries in 0_usize..10,
        ) {
            let list = nodes(&weights);
            let hashing = hashing(&list);
            let order = hashing.order_of(key, &[], tries, ALL);
            let usable = weights.iter().filter(|weight| **weight > 0).count();
            prop_assert_eq!(order.len(), usable.min(tries));
            prop_assert!(tries == 0 || order.first().copied() == hashing.first_of(key, ALL));
            let mut seen = order.to_vec();
            seen.sort_unstable();
            seen.dedup();
            prop_assert_eq!(seen.len(), order.len());
        }
    }
}
