//! Holds back whoever shows wrong credentials, on every authentication plugin.
//!
//! ```yaml
//! auth-throttle:
//!   address: {free: 10, lock_after: 25, window: 10m}
//!   consumer: {free: 3, lock_after: 10, window: 15m}
//! ```
//!
//! Best in a global rule, so that a failure counts on all routes. What is written applies beside
//! what is left out: all three rules are always there.
//!
//! | rule | failures are counted by | against |
//! |---|---|---|
//! | `address` | the client's address; of IPv6 the network | one who tries many users |
//! | `consumer` | the name that is claimed: user name or key id | many who try one user |
//! | `credential` | how password, key or token begins | many who try one password on all users |
//!
//! The address is the one that `trusted_proxies` and `real-ip` give.
//!
//! In any window of its length a rule lets `free` failures pass. Each further one costs a delay,
//! `delay` at first and then twice as long each time; and from `lock_after` on a lock, which grows
//! likewise. Nothing shortens them: a success forgives no failure, or whoever has an account could
//! go on for ever, and what is tried meanwhile makes them no longer, or a client that repeats
//! itself would never get out.
//!
//! **While one of them holds**, a password is refused before any work on it, right or wrong, with
//! 429 and `Retry-After`: nobody learns whether it was right, and it does not unlock. What is long
//! and random cannot be found by trying, so that keys and tokens (of 16 bytes at least),
//! certificates and signatures are judged always, and pass where they are right; where they are
//! wrong the answer is 429, too. A shorter key is treated like a password. Many requests at once
//! gain nothing: what is judged when another has failed meanwhile is not told.
//!
//! **Nobody is locked out of what he uses.** Passwords that were seen good before, in a network in
//! which they were seen good, are judged as ever: an attacker brings a lock upon strangers, and upon
//! who shares a network with him. In such a network others have a measure of their own, that of `consumer`, and so guess no more
//! often there than elsewhere. Where nothing but the name is held, passwords that were seen good
//! pass from new networks, too, until so many others were tried from such networks.
//!
//! A failure is a credential that was judged and is wrong (`auth.invalid_credential`). One that is
//! missing, cannot be read, has ended, was replayed, does not suffice, or cannot be judged now is
//! none. A password or short key that is given up while it is judged counts as wrong, and so does a
//! token of which its issuer says no more than that it is not active. Where `anonymous_consumer` lets callers in without a good credential, wrong ones count all
//! the same, and whoever is held is not let in.
//!
//! Names are counted as they are written, each for its plugin, and names that nobody has like the
//! others: answers do not tell which exist. Failures belong to the resource that the plugin is
//! written in, and survive a reload; what was seen good is known to the whole node. Where there is
//! no more room (`limits.failed_keys` of each kind), what is not counted yet is held, for otherwise
//! a flood of names would be an amnesty; what was seen good (`limits.known_users`) and what nobody
//! guesses passes.
//!
//! Every refusal is one event with the rule that holds, the plugin that was asked, the consumer
//! whose name it is (a name that nobody has is not told) and how long. The event of a failure that
//! begins a delay or lock says so. `bartizan_auth_throttle_failures_total` counts failures by
//! plugin, `bartizan_auth_throttle_holds_total` delays and locks that begin,
//! `bartizan_auth_throttle_refused_total` what they refuse, and
//! `bartizan_auth_throttle_known_total` what passes because it is known.
//!
//! # Headers
//!
//! A refusal has `Retry-After` in whole seconds, rounded up.
//!
//! # What it costs
//!
//! Nothing where the credential is none that could be guessed and is right. Of a password, six
//! look-ups under locks without contention and one HMAC.
//!
//! # What it cannot do
//!
//! It counts per node, not per cluster, and begins anew with the process. Behind a proxy that is
//! not named in `trusted_proxies` or `real-ip`, all clients are one address. Whoever has an address
//! for each guess, and a different user and password for each, is seen by no rule. A user who comes
//! from a new network while his name is locked must wait, where others go on guessing. It does
//! nothing on routes without authentication, and counts nothing that a service such as that of
//! `forward-auth` refuses.

mod config;
mod failures;
mod guard;
mod known;
mod metrics;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bartizan_chain::{CompileCx, Flow, Kinship, Nothing, Plugin, RequestCx, Traits};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_core::{Denial, Stage, StageSet};

use crate::meter::table::Table;
use crate::node_state::node_metrics;
pub use config::Config;
use guard::{Counts, Guard};
use known::Known;
use metrics::Metrics;

/// Compiled `auth-throttle`.
pub struct AuthThrottle {
    guard: Arc<Guard>,
}

impl Plugin for AuthThrottle {
    const NAME: &'static str = "auth-throttle";
    const PRIORITY: i32 = 2950;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Admit]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        if matches!(cx.resource.kind, ResourceKind::Consumer | ResourceKind::ConsumerGroup) {
            let problem = "what a consumer brings along comes after authentication";
            return Err(
                Invalid::new(problem).with_help("write it in a global rule, a service or a route")
            );
        }
        let compiled = config.compile()?;
        let limits = &cx.node.limits;
        let counts = || Counts::new(limits.failed_keys);
        // What would count other things under the same key.
        let key = format!("{} {}", compiled.prefix_bits, compiled.prefix_bytes);
        let counts = cx.state(key, counts);
        let guard = Guard {
            address: compiled.address,
            consumer: compiled.consumer,
            credential: compiled.credential,
            prefix_bits: compiled.prefix_bits,
            prefix_bytes: compiled.prefix_bytes,
            known_for: compiled.known_for,
            counts,
            known: node_memory(cx),
            node_key: cx.node.key.clone(),
            metrics: node_metrics(cx, Metrics::default),
            node_metrics: cx.node.counts.clone(),
        };
        Ok(Self { guard: Arc::new(guard) })
    }

    fn traits(&self) -> Traits {
        Traits::in_stages(&[Stage::Admit])
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        cx.post(self.guard.clone());
        Ok(Flow::Continue)
    }
}

/// One memory for all resources of the node: that a password is good is about its user.
fn node_memory(cx: &CompileCx<'_>) -> Arc<Table<Known>> {
    let node =
        ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(AuthThrottle::NAME) };
    let users_max = cx.node.limits.known_users;
    cx.node.registry.state(&node, AuthThrottle::NAME, "known".to_owned(), || Table::new(users_max))
}
