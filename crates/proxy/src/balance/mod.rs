//! Which node of an upstream serves the next request.
//!
//! Every choice is asked with what is fit: nodes that health checks speak against are not, and are
//! passed over as if they were not there.

mod hashing;
mod latency;
mod load;
mod turns;

use std::time::Duration;

use bartizan_chain::RequestCx;
use smallvec::SmallVec;
use tokio::time::Instant;

pub(crate) use hashing::{HashKey, Hashing, mix};
pub(crate) use latency::{Latency, Pace};
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
    /// By how long answers took.
    Latency(Latency),
}

impl Balancer {
    /// The node that serves a request which begins now.
    pub(crate) fn first(
        &self,
        cx: &RequestCx,
        now: Instant,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        match self {
            Self::Turns(turns) => turns.first(fit),
            Self::Hashing(hashing) => hashing.first(cx, fit).into_iter().collect(),
            Self::Load(load) => load.first(fit).into_iter().collect(),
            Self::Latency(latency) => latency.first(now, fit).into_iter().collect(),
        }
    }

    /// The order in which a request goes on after the nodes that it has tried, which come first in
    /// it; at most `tries` in all.
    pub(crate) fn order_after(
        &self,
        cx: &RequestCx,
        tried: &[u16],
        tries: usize,
        fit: impl Fn(u16) -> bool,
    ) -> SmallVec<[u16; 4]> {
        match self {
            Self::Turns(turns) => turns.order_after(tried, tries, fit),
            Self::Hashing(hashing) => hashing.order_after(cx, tried, tries, fit),
            Self::Load(load) => load.order_after(tried, tries, fit),
            Self::Latency(latency) => latency.order_after(tried, tries, Instant::now(), fit),
        }
    }

    /// Counts a request on a node, until it is dropped; `None` where nobody asks.
    pub(crate) fn lease(&self, node: u16) -> Option<Lease> {
        match self {
            Self::Load(load) => load.lease(node),
            Self::Turns(_) | Self::Hashing(_) | Self::Latency(_) => None,
        }
    }

    /// Takes in how long an answer took that is there now; `None` where there was none.
    pub(crate) fn observe(&self, node: u16, took: Option<Duration>) {
        if let Self::Latency(latency) = self {
            latency.observe(node, took, Instant::now());
        }
    }
}
