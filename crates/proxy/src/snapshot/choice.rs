//! Which nodes of an upstream a request is tried on, and what the upstream learns by it.

use std::time::Duration;

use bartizan_chain::RequestCx;
use bartizan_core::{Denial, Reason};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Upstream;
use crate::health::Voice;
use crate::upstream::Node;

/// What came of a try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Came {
    /// An answer of this status, after so long.
    Answer(u16, Duration),
    /// None, for this reason, although the request was sent.
    Silence(Reason),
    /// There was nobody to send it to, for this reason.
    Unreached(Reason),
}

impl Upstream {
    /// The node that serves a request which begins now; none where health checks speak against every
    /// one of them.
    pub(crate) fn first(&self, cx: &RequestCx, now: Instant) -> SmallVec<[u16; 4]> {
        let Some(health) = &self.health else {
            return self.balancer.first(cx, now, |_| true);
        };
        let first = self.balancer.first(cx, now, |node| self.is_healthy(node));
        if first.is_empty() && health.checks.danger_use_unhealthy {
            return self.balancer.first(cx, now, |_| true);
        }
        first
    }

    /// The order in which a request goes on after the nodes that it has tried; at most `tries` in
    /// all.
    pub(crate) fn order_after(&self, cx: &RequestCx, tried: &[u16]) -> SmallVec<[u16; 4]> {
        let tries = self.tries();
        let Some(health) = &self.health else {
            return self.balancer.order_after(cx, tried, tries, |_| true);
        };
        // Where the first was taken although nobody is healthy, so is the next.
        let takes_all = health.checks.danger_use_unhealthy
            && (0..)
                .zip(&self.shares)
                .all(|(node, (weight, _))| *weight == 0 || !self.is_healthy(node));
        self.balancer.order_after(cx, tried, tries, |node| takes_all || self.is_healthy(node))
    }

    fn is_healthy(&self, node: u16) -> bool {
        let standing = self.nodes.get(usize::from(node)).and_then(|node| node.standing.as_ref());
        standing.is_none_or(|standing| standing.is_healthy())
    }

    /// Why a request is tried on no node.
    pub(crate) fn nobody(&self) -> Denial {
        if self.health.is_some() && self.shares.iter().any(|(weight, _)| *weight > 0) {
            let detail = format!("every server of {} is unhealthy", self.subject());
            return Denial::new(Reason::UpstreamUnhealthy, detail);
        }
        Denial::new(Reason::NoUpstream, "no node of the upstream has weight")
    }

    /// Takes in what came of a try. Whoever sends a request that makes every server fail may not take
    /// all of them out by its retries: of what fails after a request was sent to it, the first is
    /// blamed alone. That a server cannot be reached is no doing of a request.
    pub(crate) fn learn(
        &self,
        (number, node): (u16, &Node),
        came: Came,
        is_blamed: &mut bool,
        voice: Voice<'_>,
    ) {
        if let (Some(health), Some(standing)) = (&self.health, &node.standing) {
            match came {
                Came::Answer(status, _) => health.answered(standing, status, *is_blamed, voice),
                Came::Unreached(reason) => health.failed(standing, reason, voice),
                Came::Silence(reason) => {
                    if !std::mem::replace(is_blamed, true) {
                        health.failed(standing, reason, voice);
                    }
                }
            }
        }
        match came {
            Came::Answer(_, took) => self.balancer.observe(number, Some(took)),
            Came::Silence(reason) | Came::Unreached(reason) => {
                let is_its_own = matches!(
                    reason,
                    Reason::UpstreamConnect | Reason::UpstreamClosed | Reason::UpstreamTimeout
                );
                if is_its_own {
                    self.balancer.observe(number, None);
                }
            }
        }
    }
}
