//! What is asked before a credential is judged, and told after it.

use std::net::IpAddr;
use std::sync::Arc;

use bartizan_chain::{Attempt, AttemptGuard, Plugin as _, RequestCx, Strength};
use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Denial, NodeKey, Reason};

use super::AuthThrottle;
use super::failures::{Counted, Failures, Hold, Kind, Terms};
use super::known::{Known, Question, Trace};
use super::metrics::Metrics;
use crate::meter::table::{Full, Key, Table};

/// Keeps addresses apart from what clients write.
const ADDRESS: u8 = 0;

const NANOS: u64 = 1_000_000_000;

/// What failures are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Address,
    Consumer,
    Credential,
}

impl Rule {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Consumer => "consumer",
            Self::Credential => "credential",
        }
    }
}

/// The failures that one resource counts; they outlive its configuration.
pub(super) struct Counts {
    addresses: Table<Failures>,
    names: Table<Failures>,
    credentials: Table<Failures>,
}

impl Counts {
    pub(super) fn new(keys_max: u32) -> Self {
        Self {
            addresses: Table::new(keys_max),
            names: Table::new(keys_max),
            credentials: Table::new(keys_max),
        }
    }
}

/// Compiled rules, with what they count.
pub(super) struct Guard {
    pub(super) address: Terms,
    pub(super) consumer: Terms,
    pub(super) credential: Terms,
    /// Bits of an IPv6 address that count.
    pub(super) prefix_bits: u32,
    /// Bytes of a credential that count.
    pub(super) prefix_bytes: usize,
    /// Nanoseconds.
    pub(super) known_for: u64,
    pub(super) counts: Arc<Counts>,
    pub(super) known: Arc<Table<Known>>,
    pub(super) node_key: NodeKey,
    pub(super) metrics: Arc<Metrics>,
    pub(super) node_metrics: SharedMetrics,
}

/// Why a credential is not judged.
#[derive(Clone, Copy, Debug)]
struct Held {
    rule: Rule,
    /// `None` where there is no room to count it.
    hold: Option<Hold>,
    /// Nothing but the name is held, which anybody can bring about.
    is_only_name: bool,
}

/// One rule, with what an attempt counts as.
struct Counter<'g> {
    rule: Rule,
    terms: &'g Terms,
    table: &'g Table<Failures>,
    key: Key,
}

impl AttemptGuard for Guard {
    fn name(&self) -> &'static str {
        AuthThrottle::NAME
    }

    fn admit(&self, cx: &RequestCx, attempt: &Attempt<'_>) -> Result<(), Denial> {
        let Some(held) = self.held(cx, attempt) else { return Ok(()) };
        if self
            .ask_known(cx, attempt, &held, |known, question| known.admits(question, &self.consumer))
        {
            self.metrics.known();
            return Ok(());
        }
        Err(self.refusal(cx, attempt, &held))
    }

    fn passed(&self, cx: &RequestCx, attempt: &Attempt<'_>) -> Result<(), Denial> {
        if attempt.strength == Strength::Strong {
            return Ok(());
        }
        // Whatever failed while this was judged counts: or many at once would all be told.
        if let Some(held) = self.held(cx, attempt)
            && !self.ask_known(cx, attempt, &held, |known, question| known.knows(question))
        {
            return Err(self.refusal(cx, attempt, &held));
        }
        Ok(())
    }

    fn told(&self, cx: &RequestCx, attempt: &Attempt<'_>) {
        // What nobody guesses needs no memory.
        if attempt.strength == Strength::Guessable {
            self.remember(cx, attempt);
        }
    }

    fn failed(&self, cx: &RequestCx, attempt: &Attempt<'_>, mut denial: Denial) -> Denial {
        if let Some(held) = self.held(cx, attempt) {
            return self.masked(cx, attempt, &held, &denial);
        }
        self.metrics.failed(attempt.plugin);
        for counter in self.counters(cx, attempt) {
            match self.count(cx, &counter) {
                Ok(None) => {}
                Ok(Some(told)) => denial.detail = format!("{}; {told}", denial.detail).into(),
                // Another one has failed at this very moment, on another thread.
                Err(hold) => {
                    let held = Held { rule: counter.rule, hold: Some(hold), is_only_name: false };
                    return self.masked(cx, attempt, &held, &denial);
                }
            }
        }
        denial
    }
}

impl Guard {
    /// What an attempt counts as: always an address, a name and a secret where they are told.
    fn counters<'g>(
        &'g self,
        cx: &RequestCx,
        attempt: &Attempt<'_>,
    ) -> impl Iterator<Item = Counter<'g>> {
        let counts = &*self.counts;
        let (addresses, names, credentials) =
            (&counts.addresses, &counts.names, &counts.credentials);
        let network = network(cx.client(), self.prefix_bits);
        let address = Counter {
            rule: Rule::Address,
            terms: &self.address,
            table: addresses,
            key: addresses.key(ADDRESS, &network.to_be_bytes()),
        };
        let name = attempt.name.map(|name| Counter {
            rule: Rule::Consumer,
            terms: &self.consumer,
            table: names,
            key: names.key_of(attempt.plugin, name),
        });
        let credential = attempt.secret.map(|secret| Counter {
            rule: Rule::Credential,
            terms: &self.credential,
            table: credentials,
            key: credentials
                .key_of(attempt.plugin, secret.get(..self.prefix_bytes).unwrap_or(secret)),
        });
        [Some(address), name, credential].into_iter().flatten()
    }

    /// What keeps a credential from being judged: of several rules the one that holds longest.
    fn held(&self, cx: &RequestCx, attempt: &Attempt<'_>) -> Option<Held> {
        let mut longest: Option<Held> = None;
        let mut is_only_name = true;
        for counter in self.counters(cx, attempt) {
            let now = || cx.clock.now().as_nanos();
            let look = |failures: &mut Failures, now| failures.hold(now);
            let hold = match counter.table.look(counter.key, counter.terms, now, look) {
                Ok(Some(Some(hold))) => Some(hold),
                Ok(_) => continue,
                Err(Full) => None,
            };
            is_only_name &= counter.rule == Rule::Consumer;
            let wait = |hold: Option<Hold>| hold.map_or(0, |hold| hold.wait);
            if longest.is_none_or(|held| wait(hold) > wait(held.hold)) {
                longest = Some(Held { rule: counter.rule, hold, is_only_name });
            }
        }
        longest.map(|held| Held { is_only_name, ..held })
    }

    /// Counts a failure by one rule; what the operator is told of it, or what holds by now.
    fn count(&self, cx: &RequestCx, counter: &Counter<'_>) -> Result<Option<String>, Hold> {
        let Counter { rule, terms, table, key } = counter;
        let now = || cx.clock.now().as_nanos();
        let fail = |failures: &mut Failures, now| failures.fail(terms, now);
        match table.with(*key, terms, now, |_| Failures::default(), fail) {
            Ok(Counted::Free) => Ok(None),
            Ok(Counted::Held(hold)) => Err(hold),
            Ok(Counted::Holds(hold)) => {
                self.metrics.begins(rule.name(), kind_name(hold.kind));
                Ok(Some(told(*rule, hold)))
            }
            Err(Full) => Ok(Some(full(*rule))),
        }
    }

    /// Asks what is known of a user; false where nothing is.
    fn ask_known(
        &self,
        cx: &RequestCx,
        attempt: &Attempt<'_>,
        held: &Held,
        ask: impl FnOnce(&mut Known, &Question<'_>) -> bool,
    ) -> bool {
        let Some((key, trace)) = self.user(cx, attempt) else { return false };
        let now = || cx.clock.now().as_nanos();
        let answer = self.known.look(key, &self.known_for, now, |known, now| {
            let question = self.question(cx, attempt, &trace, now);
            ask(known, &Question { anywhere: held.is_only_name && question.is_named, ..question })
        });
        matches!(answer, Ok(Some(true)))
    }

    fn remember(&self, cx: &RequestCx, attempt: &Attempt<'_>) {
        let Some((key, trace)) = self.user(cx, attempt) else { return };
        let now = || cx.clock.now().as_nanos();
        let noted = self.known.with(
            key,
            &self.known_for,
            now,
            |_| Known::default(),
            |known, now| known.note(&self.question(cx, attempt, &trace, now)),
        );
        // Where there is no room it is not known, and that is all.
        if noted.is_err() {
            self.node_metrics.limit_hit("known_users");
        }
    }

    fn question<'q>(
        &self,
        cx: &RequestCx,
        attempt: &Attempt<'_>,
        trace: &'q Trace,
        now: u64,
    ) -> Question<'q> {
        let is_named = attempt.name.is_some();
        let network = if is_named {
            network(cx.client(), self.prefix_bits)
        } else {
            u128::from_be_bytes(*trace)
        };
        Question { network, trace, anywhere: false, is_named, known_for: self.known_for, now }
    }

    /// Under what a secret is remembered, and what of it; `None` for what has none.
    fn user(&self, cx: &RequestCx, attempt: &Attempt<'_>) -> Option<(Key, Trace)> {
        let (name, secret) = (attempt.name.unwrap_or_default(), attempt.secret?);
        let length = name.len().to_be_bytes();
        let parts = [attempt.plugin.as_bytes(), &[0], &length, name, secret];
        let digest = self.node_key.digest_parts("auth-throttle known", &parts);
        let key = if let Some(name) = attempt.name {
            self.known.key_of(attempt.plugin, name)
        } else {
            // What has no name is its network's.
            let network = network(cx.client(), self.prefix_bits);
            self.known.key_of(attempt.plugin, &network.to_be_bytes())
        };
        Some((key, *digest.first_chunk()?))
    }

    /// The refusal in place of one that would tell what came of the credential.
    fn masked(
        &self,
        cx: &RequestCx,
        attempt: &Attempt<'_>,
        held: &Held,
        denial: &Denial,
    ) -> Denial {
        let mut refusal = self.refusal(cx, attempt, held);
        // How a good credential would have to be shown is no secret.
        refusal.fields.extend_from_slice(&denial.fields);
        refusal
    }

    fn refusal(&self, cx: &RequestCx, attempt: &Attempt<'_>, held: &Held) -> Denial {
        let (cause, kind, wait) = match held.hold {
            Some(hold) => (told(held.rule, hold), kind_name(hold.kind), hold.wait),
            None => (full(held.rule), "full", self.address.delay_max),
        };
        self.metrics.refused(held.rule.name(), kind);
        Denial::new(Reason::AttemptHeld, format!("{}: {cause}", claimed(cx, attempt)))
            .with_rule(held.rule.name())
            .with_field("retry-after", seconds(wait).to_string())
    }
}

/// Who tries, by his own words. Names that nobody has are not told: people type passwords into the
/// wrong field.
fn claimed(cx: &RequestCx, attempt: &Attempt<'_>) -> String {
    let plugin = attempt.plugin;
    match (attempt.name, attempt.secret) {
        (Some(name), _) => match cx.consumers().find(plugin, name) {
            Some(owner) => format!("`{}` by `{plugin}`", owner.consumer.username()),
            None => format!("a name that nobody has by `{plugin}`"),
        },
        (None, Some(secret)) => format!("{} bytes by `{plugin}`", secret.len()),
        (None, None) => format!("a credential by `{plugin}`"),
    }
}

fn told(rule: Rule, hold: Hold) -> String {
    let word = match hold.kind {
        Kind::Delay => "delayed",
        Kind::Lock => "locked",
    };
    format!("the {} is {word} for {} s", rule.name(), seconds(hold.wait))
}

fn full(rule: Rule) -> String {
    format!("no room to count the {}, over `limits.failed_keys`", rule.name())
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Delay => "delay",
        Kind::Lock => "lock",
    }
}

/// Whole seconds, rounded up: after that time it is true.
fn seconds(nanos: u64) -> u64 {
    nanos.div_ceil(NANOS)
}

/// What counts of an address: an IPv4 address whole, of an IPv6 address the network.
pub(super) fn network(address: IpAddr, bits: u32) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => {
            let host = u128::BITS.saturating_sub(bits);
            v6.to_bits().checked_shr(host).unwrap_or(0).checked_shl(host).unwrap_or(0)
        }
    }
}
