//! The balancers of upstreams, and what of them outlives a change.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bartizan_chain::Var;
use bartizan_config::{Balancing, Invalid, PathStep};

use super::upstreams::Means;
use super::{Upstream, parameters};
use crate::balance::{Balancer, HashKey, Hashing, Latency, Load, Pace, Turns};
use crate::upstream::Node;

impl Upstream {
    /// True if both spread requests over the same servers in the same way.
    fn spreads_as(
        &self,
        nodes: &[Arc<Node>],
        shares: &[(u32, i32)],
        balancing: &Balancing,
    ) -> bool {
        *self.shares == *shares
            && self.balancing == *balancing
            && self.nodes.len() == nodes.len()
            && self.nodes.iter().zip(nodes).all(|(one, other)| one.label == other.label)
    }
}

impl Means {
    /// The balancer so far, so that a reload does not send every first request to the same node.
    pub(super) fn balancer(
        &self,
        written: &bartizan_config::Upstream,
        nodes: &[Arc<Node>],
        shares: &[(u32, i32)],
        before: Option<&Upstream>,
    ) -> Result<Arc<Balancer>, Invalid> {
        let same = before.filter(|old| old.spreads_as(nodes, shares, &written.balancing));
        if let Some(same) = same {
            return Ok(same.balancer.clone());
        }
        Ok(Arc::new(match &written.balancing {
            Balancing::Turns => Balancer::Turns(Turns::new(shares)),
            Balancing::LeastConnections => Balancer::Load(Load::new(shares, counts(nodes, before))),
            Balancing::Latency => Balancer::Latency(Latency::new(shares, paces(nodes, before))),
            Balancing::Hash(by) => {
                let nodes = nodes.iter().zip(shares);
                let nodes =
                    nodes.map(|(node, (weight, priority))| (&*node.label, *weight, *priority));
                let key = HashKey::compile(by)?;
                let is_parameter = |var: &&Var| matches!(var, Var::UriParam(_));
                if !self.has_parameters && key.vars().iter().any(is_parameter) {
                    return Err(parameters::fault().under(PathStep::Key("key".into())));
                }
                Balancer::Hashing(Hashing::new(key, nodes))
            }
        }))
    }
}

/// Counters of requests under way: those of the same nodes go on.
fn counts(nodes: &[Arc<Node>], before: Option<&Upstream>) -> Box<[Arc<AtomicU32>]> {
    kept(nodes, before, |balancer, place| match balancer {
        Balancer::Load(load) => load.count(place).cloned(),
        _ => None,
    })
}

/// How long answers took: what is known of the same nodes stays known.
fn paces(nodes: &[Arc<Node>], before: Option<&Upstream>) -> Box<[Arc<Pace>]> {
    kept(nodes, before, |balancer, place| match balancer {
        Balancer::Latency(latency) => latency.pace(place).cloned(),
        _ => None,
    })
}

/// What a balancer so far holds of each node, by its name.
fn kept<T: Default>(
    nodes: &[Arc<Node>],
    before: Option<&Upstream>,
    find: impl Fn(&Balancer, usize) -> Option<T>,
) -> Box<[T]> {
    let old = before.map(|old| {
        let places = old.nodes.iter().enumerate();
        (old, places.map(|(place, node)| (&*node.label, place)).collect::<HashMap<_, _>>())
    });
    let of = |node: &Arc<Node>| {
        let (old, places) = old.as_ref()?;
        find(&old.balancer, *places.get(&*node.label)?)
    };
    nodes.iter().map(|node| of(node).unwrap_or_default()).collect()
}
