//! A compiled pattern: whether it is found, where, and with which groups.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures, pikevm::PikeVM};
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

use super::super::{Captures, Needs, OperatorFault};
use super::machine::{Found, Groups, Machine};
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

/// How many states of a pattern cost as much for each byte as one byte in a table, where every state
/// is looked at by itself.
const STATES_PER_COST: usize = 8;
/// The most that one search without a table may cost, in the unit of the budget: a quarter of that of
/// an exchange. It cannot be stopped midway, so that what would cost more is given up.
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
        let (states, places) = (Pool::new(fresh), OnceLock::new());
        Ok((Self { text: translated.pattern.into(), forwards, states, places, back }, needs))
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
            let Some(regex) = self.places() else {
                // Found, but nobody knows what: rules may build on the groups.
                text.give_up();
                return true;
            };
            // Groups are told apart state by state, in what was found.
            let cost = self.states() / STATES_PER_COST;
            for groups in regex.captures_iter(input).take(places) {
                let length = groups.get_match().map_or(0, |found| found.len());
                text.spend(input.len() + length.saturating_mul(cost));
                for group in groups.iter().take(Captures::COUNT_MAX) {
                    let found = group.and_then(|span| input.get(span.range()));
                    captures.push(found.unwrap_or_default());
                }
            }
        }
        true
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

    fn states(&self) -> usize {
        self.forwards.get_nfa().states().len()
    }

    fn may_be_in(&self, input: &[u8], text: &dyn Expand) -> bool {
        let length = input.len();
        let input = Input::new(input).earliest(true);
        let found = self.forwards.try_search_fwd(&mut self.states.get(), &input);
        if let Ok(found) = found {
            return found.is_some();
        }
        // Too many states: without them it takes longer, but never more than linear time.
        let cost = length.saturating_mul(self.states() / STATES_PER_COST);
        text.spend(cost.min(SLOW_MAX));
        if cost > SLOW_MAX {
            text.give_up();
            return false;
        }
        match PikeVM::new_from_nfa(self.forwards.get_nfa().clone()) {
            Ok(slow) => slow.is_match(&mut slow.create_cache(), input),
            Err(_) => true,
        }
    }

    /// What the groups found in the first place, if there is one.
    fn run(&self, program: &Program, input: &[u8], text: &dyn Expand) -> Option<Groups> {
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
    let config = NFA::config()
        .utf8(false)
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .which_captures(WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(config).build_from_hir(hir);
    // The tree can be read, so all that a build can end with is its bound.
    let nfa = nfa.map_err(|_| too_large())?;
    let config = DFA::config()
        .cache_capacity(SEARCH_MEMORY)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(RENEWALS_MAX))
        .minimum_bytes_per_state(Some(BYTES_PER_STATE));
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
