//! Which node of an upstream serves the next request.

mod hashing;
mod load;
mod turns;

use bartizan_chain::RequestCx;
use smallvec::SmallVec;

pub(crate) use hashing::{HashKey, Hashing};
pub(crate) use load::{Lease, Load};
pub(crate) use turns::Turns;

/// Chooses nodes; all workers share it.
#[derive(Debug)]
pub(crate) enum Balancer {
    /// In turn.
    Turns(Turns),
    /// By a key.
    Hashing(Hashing),
    /// By the requests under way.
    Load(Load),
}

impl Balancer {
    /// The node that serves a request.
    pub(crate) fn first(&self, cx: &RequestCx) -> SmallVec<[u16; 4]> {
        match self {
            Self::Turns(turns) => turns.first(),
            Self::Hashing(hashing) => hashing.first(cx).into_iter().collect(),
            Self::Load(load) => load.first().into_iter().collect(),
        }
    }

    /// The order in which a request goes on after the nodes that it has tried, which come first in
    /// it; at most `tries` in all.
    pub(crate) fn order_after(
        &self,
        cx: &RequestCx,
        tried: &[u16],
        tries: usize,
    ) -> SmallVec<[u16; 4]> {
        match self {
            Self::Turns(turns) => turns.order_after(tried, tries),
            Self::Hashing(hashing) => hashing.order(cx, tries),
            Self::Load(load) => load.order_after(tried, tries),
        }
    }

    /// Counts a request on a node, until it is dropped; `None` where nobody asks.
    pub(crate) fn lease(&self, node: u16) -> Option<Lease> {
        match self {
            Self::Load(load) => load.lease(node),
            Self::Turns(_) | Self::Hashing(_) => None,
        }
    }
}
