//! A compiled pattern: whether it is found, where, and with which groups.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::hybrid::dfa::{self, Cache, DFA};
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures, pikevm::PikeVM};
use regex_automata::util::captures::Captures as Groups;
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_automata::{Input, Match, MatchKind};
use regex_syntax::hir::Hir;

use super::super::{Captures, Needs, OperatorFault};
use super::groups::GroupSearch;
use super::machine::{self, Found, Machine};
use super::program::{self, Program};
use super::{needs, translate};
use crate::text::Expand;

/// The largest compiled pattern, in bytes. The largest of the Core Rule Set takes about a fifth.
const PATTERN_SIZE_MAX: usize = 10 << 20;
/// The memory that a search keeps its states in: when it is full, it begins anew, and after a few
/// times goes on without.
const SEARCH_MEMORY: usize = 256 << 10;
/// How often a search may begin its states anew, if it then reads so many bytes for each state.
const RENEWALS_MAX: usize = 3;
const BYTES_PER_STATE: usize = 10;

/// A search without a table looks at every state by itself: so many cost as much for each byte as
/// one byte does in a table.
const STATES_PER_COST: usize = 8;
/// The most that searches without a table may cost for one value, in the unit of the budget: a quarter
/// of what an exchange has, for whether the pattern is there, and as much for its groups. They cannot
/// be stopped midway, so that what may cost more is not begun, and the exchange counts as not judged.
const SLOW_MAX: usize = 64 << 20;

/// Makes the states of a search, for a thread that has none yet.
type NewCache = Box<dyn Fn() -> Cache + Send + Sync>;

/// A pattern that is ready to be searched for.
///
/// PERF: whether it is found is all that most values are asked, and needs one automaton that reads
/// forwards. What tells where, backwards, takes twice the memory and time to build: it is made when
/// the pattern is found first (`bench waf`).
pub(super) struct Pattern {
    text: Box<str>,
    /// Finds what the pattern finds; more than that where it goes back.
    forwards: DFA,
    states: Pool<Cache, NewCache>,
    /// Tells where; `None` where that cannot be built.
    places: OnceLock<Option<Regex>>,
    /// Tells what groups found, where it does not go back; `None` where that cannot be built.
    groups: OnceLock<Option<GroupSearch>>,
    back: Option<Box<Back>>,
}

/// What decides where a pattern that goes back may have been found.
struct Back {
    program: Program,
    /// The wider pattern, which `forwards` looks for.
    wide: Hir,
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl Pattern {
    /// Compiles a pattern as it is written, and says what a value must have for it.
    pub(super) fn build(text: &[u8]) -> Result<(Self, Needs), OperatorFault> {
        let translated = translate::translate(text)?;
        let read = syntax::parse_with(&translated.pattern, &syntax())
            .map_err(|fault| unreadable(&fault.to_string()))?;
        let back = if translated.goes_back && translated.repeats_none {
            // Groups that stand nowhere would give their numbers to others.
            return Err(OperatorFault::new("a pattern that goes back repeats something no times")
                .with_help("leave out what is never there"));
        } else if translated.goes_back {
            let program = program::compile(&read)?;
            Some(Box::new(Back { program, wide: program::widened(&read) }))
        } else {
            None
        };
        let wide = back.as_ref().map_or(&read, |back| &back.wide);
        let forwards = forwards(wide)?;
        let needs = needs::of(wide);
        let fresh = forwards.clone();
        let fresh: NewCache = Box::new(move || fresh.create_cache());
        let (states, text) = (Pool::new(fresh), translated.pattern.into());
        let (places, groups) = (OnceLock::new(), OnceLock::new());
        Ok((Self { text, forwards, states, places, groups, back }, needs))
    }

    /// True if it goes back and tries again.
    pub(super) fn goes_back(&self) -> bool {
        self.back.is_some()
    }

    /// Whether it is found; where asked, with what its groups found in so many places.
    pub(super) fn is_found(
        &self,
        input: &[u8],
        text: &dyn Expand,
        captures: Option<(&mut Captures, usize)>,
    ) -> bool {
        if !self.may_be_in(input, text) {
            return false;
        }
        if let Some(back) = &self.back {
            let Some(groups) = self.run(&back.program, input, text) else { return false };
            if let Some((captures, _)) = captures {
                for group in groups.into_iter().take(Captures::COUNT_MAX) {
                    captures.push(group.and_then(|range| input.get(range)).unwrap_or_default());
                }
            }
        } else if let Some((captures, places)) = captures {
            self.tell(input, text, captures, places);
        }
        true
    }

    /// Says what groups found, in so many places. Rules may build on it: where it cannot be told, the
    /// exchange counts as not judged.
    fn tell(&self, input: &[u8], text: &dyn Expand, captures: &mut Captures, most: usize) {
        let search = self.groups.get_or_init(|| GroupSearch::build(&self.text, &self.forwards));
        let Some(search) = search else { return text.give_up() };
        let places = search.places(input, most);
        let length = match &places {
            Some(places) => {
                text.spend(input.len().saturating_mul(places.len()));
                places.iter().map(Match::len).sum()
            }
            None => input.len().saturating_mul(most),
        };
        if !self.pay(length, text) {
            return;
        }
        let mut keep = |groups: Groups| {
            for group in groups.iter().take(Captures::COUNT_MAX) {
                let found = group.and_then(|span| input.get(span.range()));
                captures.push(found.unwrap_or_default());
            }
        };
        match places {
            Some(places) => places.iter().for_each(|place| keep(search.at(input, place))),
            None => search.all(input).take(most).for_each(keep),
        }
    }

    /// Where it may be first, from `start` on.
    pub(super) fn find_from(&self, input: &[u8], start: usize) -> Option<Range<usize>> {
        self.places()?.find(Input::new(input).range(start..)).map(|found| found.range())
    }

    /// The memory that the automaton takes, in bytes.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.forwards.memory_usage()
    }

    /// What a search without a table costs for each byte.
    pub(super) fn slow_cost(&self) -> usize {
        self.forwards.get_nfa().states().len() / STATES_PER_COST
    }

    /// Pays for a look at every state for each of so many bytes. False if that may cost too much: then
    /// it is not begun, and the exchange counts as not judged.
    fn pay(&self, length: usize, text: &dyn Expand) -> bool {
        let cost = length.saturating_mul(self.slow_cost());
        text.spend(cost.min(SLOW_MAX));
        if cost > SLOW_MAX {
            text.give_up();
        }
        cost <= SLOW_MAX
    }

    fn may_be_in(&self, input: &[u8], text: &dyn Expand) -> bool {
        let length = input.len();
        let input = Input::new(input).earliest(true);
        let found = self.forwards.try_search_fwd(&mut self.states.get(), &input);
        if let Ok(found) = found {
            return found.is_some();
        }
        // Too many states: without them it takes longer, but never more than linear time.
        if !self.pay(length, text) {
            return false;
        }
        match PikeVM::new_from_nfa(self.forwards.get_nfa().clone()) {
            Ok(slow) => slow.is_match(&mut slow.create_cache(), input),
            Err(_) => true,
        }
    }

    /// What the groups found in the first place, if there is one.
    fn run(&self, program: &Program, input: &[u8], text: &dyn Expand) -> Option<machine::Groups> {
        let Some(places) = self.places() else {
            text.give_up();
            return None;
        };
        let mut machine = Machine::new(program, input);
        let next = |from| Some(places.find(Input::new(input).range(from..))?.start());
        let found = machine.search(next);
        text.spend(machine.cost());
        match found {
            Found::Groups(groups) => Some(groups),
            Found::Nothing => None,
            Found::GivenUp => {
                text.give_up();
                None
            }
        }
    }

    /// What tells where the pattern may be found.
    fn places(&self) -> Option<&Regex> {
        self.places
            .get_or_init(|| match &self.back {
                Some(back) => builder().build_from_hir(&back.wide).ok(),
                None => builder().build(&self.text).ok(),
            })
            .as_ref()
    }
}

/// How patterns are read.
pub(super) fn syntax() -> syntax::Config {
    syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .multi_line(true)
        .nest_limit(250)
}

fn forwards(hir: &Hir) -> Result<DFA, OperatorFault> {
    table(hir, table_config(), false)
}

/// What reads from the end of what was found to its beginning.
pub(super) fn backwards(pattern: &str) -> Result<DFA, OperatorFault> {
    let hir = syntax::parse_with(pattern, &syntax());
    let hir = hir.map_err(|fault| unreadable(&fault.to_string()))?;
    table(&hir, table_config().match_kind(MatchKind::All), true)
}

fn table_config() -> dfa::Config {
    DFA::config()
        .cache_capacity(SEARCH_MEMORY)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(RENEWALS_MAX))
        .minimum_bytes_per_state(Some(BYTES_PER_STATE))
}

fn table(hir: &Hir, config: dfa::Config, is_reverse: bool) -> Result<DFA, OperatorFault> {
    let states = NFA::config()
        .utf8(false)
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .which_captures(WhichCaptures::None)
        .reverse(is_reverse);
    let nfa = thompson::Compiler::new().configure(states).build_from_hir(hir);
    // The tree can be read, so all that a build can end with is its bound.
    let nfa = nfa.map_err(|_| too_large())?;
    DFA::builder().configure(config).build_from_nfa(nfa).map_err(|_| too_large())
}

pub(super) fn builder() -> meta::Builder {
    let config = meta::Config::new()
        // Values are bytes: a search that takes them for UTF-8 may panic where they are not.
        .utf8_empty(false)
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .onepass(false)
        .dfa(false)
        .hybrid(true)
        .hybrid_cache_capacity(SEARCH_MEMORY);
    let mut builder = meta::Builder::new();
    builder.configure(config).syntax(syntax());
    builder
}

fn too_large() -> OperatorFault {
    OperatorFault::new("the pattern compiles to more than 10 MiB")
        .with_help("repeat less, or split it over two chained rules")
}

fn unreadable(fault: &str) -> OperatorFault {
    let cause = fault.lines().last().unwrap_or_default().trim_start_matches("error: ");
    OperatorFault::new(format!("the pattern cannot be read: {cause}"))
        .with_help("write `\\` before a sign that is to stand for itself")
}
