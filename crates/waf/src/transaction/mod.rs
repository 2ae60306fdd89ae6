//! One exchange, judged by a rule set.

mod actions;
mod expand;
mod facts;
mod judge;
mod kinds;
mod live;
mod opened;
mod outcome;
mod persistent;
mod phases;
mod proven;
mod request;
mod response;
mod screen;
mod tx;
mod values;
mod work;

pub use outcome::{
    Cause, Interruption, Kind, MatchedValue, RuleMatch, Verdict, is_raw_text, name_of_value,
};
pub use persistent::Collections;
pub use proven::Proven;
pub use request::{Peer, RequestHead};
pub use response::ResponseHead;
pub use work::Budget;

use std::cell::Cell;
use std::sync::{Arc, LazyLock};

use crate::operators::{Captures, PlaceFact};
use crate::rules::{Hidden, Overrides, RuleSet, SlotId};
use crate::seclang::script::{BodyProcessor, EngineMode};
use crate::variable::Variable;
use facts::Facts;
use live::Matched;
use screen::Screened;
use tx::Tx;
use values::Values;
use work::Work;

/// What judges nothing: what a transaction holds that is between two exchanges.
static NOTHING: LazyLock<Arc<RuleSet>> = LazyLock::new(|| Arc::new(RuleSet::empty()));

/// An exchange that is judged, phase by phase.
///
/// A transaction can be used again for another exchange ([`reset`](Self::reset)), which keeps what
/// it has allocated.
#[derive(Debug)]
pub struct Transaction {
    rules: Arc<RuleSet>,
    overrides: Option<Arc<Overrides>>,
    collections: Option<Arc<Collections>>,
    values: Values,
    facts: Facts,
    tx: Tx,
    matched: Matched,
    captures: Captures,
    /// Where operators write what they find, until it is known that they hold.
    spare: Captures,
    work: Work,
    /// Something was left out, or could not be judged.
    is_partial: Cell<bool>,
    /// Work of operators beyond what they say in general.
    extra: Cell<usize>,
    state: State,
    /// What the sieve says of the rules.
    screened: Screened,
    /// One bit a rule: it does not run.
    removed: Vec<u64>,
    /// What is known to be harmless.
    proven: Proven,
    /// What rules do not look at.
    hidden: Vec<Hidden>,
    /// Persistent collections that were opened: which, and for what key.
    opened: Vec<(Variable, Box<[u8]>)>,
    /// `GEO`: what is known of the address that was looked up last.
    geo: Vec<PlaceFact>,
    /// The names of values that logs do not show.
    unshown: Vec<Box<[u8]>>,
    /// The values that matched in the chain that is being judged.
    found: Vec<MatchedValue>,
    /// What that chain added to members of `TX`, where it is to be told.
    added: Vec<(SlotId, i64)>,
    matches: Vec<RuleMatch>,
    scratch: Vec<u8>,
}

/// What `ctl` changes, and how far things are.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent switches, each with its own `ctl`")]
struct State {
    engine: EngineMode,
    reads_request_body: bool,
    reads_response_body: bool,
    request_body_max: u64,
    response_body_max: u64,
    processor: Option<BodyProcessor>,
    forces_request_body: bool,
    /// Matches tell what they found and what they added.
    explains: bool,
    interruption: Option<Interruption>,
    /// `allow` was said: for which phases from here on.
    allows_request: bool,
    allows_response: bool,
    highest_severity: Option<u8>,
    /// Seconds since 1970.
    now: u64,
    /// The rule that is being judged.
    current: u32,
}

impl Transaction {
    /// A transaction that `rules` judge. Rules that count across exchanges do so in `collections`;
    /// without them, what they count ends with the exchange.
    pub fn new(rules: Arc<RuleSet>, collections: Option<Arc<Collections>>) -> Self {
        let state = State::of(&rules);
        let mut transaction = Self {
            rules,
            overrides: None,
            collections,
            values: Values::default(),
            facts: Facts::default(),
            tx: Tx::default(),
            matched: Matched::default(),
            captures: Captures::default(),
            spare: Captures::default(),
            work: Work::new(Budget::default()),
            is_partial: Cell::new(false),
            extra: Cell::new(0),
            state,
            screened: Screened::default(),
            removed: Vec::new(),
            proven: Proven::default(),
            hidden: Vec::new(),
            opened: Vec::new(),
            geo: Vec::new(),
            unshown: Vec::new(),
            found: Vec::new(),
            added: Vec::new(),
            matches: Vec::new(),
            scratch: Vec::new(),
        };
        transaction.clear();
        transaction
    }

    /// Makes it ready for another exchange, under the same rules or others. `overrides` must have
    /// been made for `rules`.
    pub fn reset(
        &mut self,
        rules: Arc<RuleSet>,
        collections: Option<Arc<Collections>>,
        overrides: Option<Arc<Overrides>>,
    ) {
        self.rules = rules;
        self.collections = collections;
        self.overrides = overrides;
        self.state = State::of(&self.rules);
        self.clear();
        let Some(overrides) = self.overrides.clone() else { return };
        if let Some(engine) = overrides.engine {
            self.state.engine = engine;
        }
        for (slot, number) in &overrides.pinned {
            self.tx.pin(*slot, *number);
        }
        for rule in &overrides.removed {
            self.remove_rule(*rule);
        }
    }

    /// Has matches tell more: what of a value was found, what was added to members of `TX`, and also
    /// rules that refuse without a word. Until it is [reset](Self::reset); for people who ask why.
    pub fn explain(&mut self) {
        self.state.explains = true;
    }

    /// Lets go of its rules and tells how many bytes it keeps for the next exchange; until then it
    /// judges nothing. What it has allocated is for [`reset`](Self::reset) to use again.
    pub fn release(&mut self) -> usize {
        self.rules = NOTHING.clone();
        self.state = State::of(&self.rules);
        (self.overrides, self.collections) = (None, None);
        self.proven = Proven::default();
        self.tx.forget();
        self.forget();
        let own = self.matches.capacity() * size_of::<RuleMatch>()
            + self.added.capacity() * size_of::<(SlotId, i64)>()
            + self.scratch.capacity();
        own + self.values.kept()
            + self.facts.kept()
            + self.screened.kept()
            + self.tx.kept()
            + self.matched.kept()
    }

    /// Drops what is allocated for each thing that was found.
    fn forget(&mut self) {
        self.captures.clear();
        self.spare.clear();
        self.hidden.clear();
        self.opened.clear();
        self.geo.clear();
        self.unshown.clear();
        self.found.clear();
        self.added.clear();
        self.matches.clear();
    }

    /// True if not everything was judged: the work took more than its budget, there were more
    /// values than there may be, or a rule could not be applied. Where rules may refuse, the
    /// exchange was refused for it.
    pub fn is_partial(&self) -> bool {
        self.is_partial.get() || self.work.is_exhausted() || self.values.is_full()
    }

    /// Bounds the work that it may take.
    #[must_use]
    pub fn within(mut self, budget: Budget) -> Self {
        self.work = Work::new(budget);
        self
    }

    fn clear(&mut self) {
        self.forget();
        self.values.clear(&self.rules);
        self.facts.clear();
        self.tx.clear(self.rules.slots.len());
        self.matched.clear();
        self.work.renew();
        self.is_partial.set(false);
        self.extra.set(0);
        self.removed.clear();
        self.removed.resize(self.rules.len().div_ceil(64), 0);
        self.proven = Proven::default();
        self.screened.forget(&self.rules);
    }

    /// True if rules may look at the body of the request.
    pub fn wants_request_body(&self) -> bool {
        self.state.reads_request_body && self.is_running()
    }

    /// True if rules may look at the body of the response.
    pub fn wants_response_body(&self) -> bool {
        self.state.reads_response_body && self.is_running()
    }

    /// The largest body of the request that is looked at, in bytes.
    pub fn request_body_max(&self) -> u64 {
        self.state.request_body_max
    }

    /// The largest body of the response that is looked at, in bytes.
    pub fn response_body_max(&self) -> u64 {
        self.state.response_body_max
    }

    /// The rules that matched so far, but for those that are not logged.
    pub fn matches(&self) -> &[RuleMatch] {
        &self.matches
    }

    /// The value of a member of `TX`, such as `inbound_anomaly_score`; empty if there is none.
    pub fn tx(&self, name: &str) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(slot) = self.rules.slots.find(name.to_ascii_lowercase().as_bytes()) {
            self.tx.write(slot, &mut out);
        }
        out
    }

    /// The rules that judge it.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    /// What has been spent of the budget, in bytes that a step looked at.
    pub fn work(&self) -> u64 {
        self.work.spent()
    }

    fn is_running(&self) -> bool {
        self.state.engine != EngineMode::Off
    }
}

impl State {
    fn of(rules: &RuleSet) -> Self {
        let settings = &rules.settings;
        Self {
            engine: settings.engine,
            reads_request_body: settings.reads_request_body,
            reads_response_body: settings.reads_response_body,
            request_body_max: settings.request_body_max,
            response_body_max: settings.response_body_max,
            processor: None,
            forces_request_body: false,
            explains: false,
            interruption: None,
            allows_request: false,
            allows_response: false,
            highest_severity: None,
            now: 0,
            current: 0,
        }
    }
}
