//! Whether a pattern is found in a value.
//!
//! Patterns are those of PCRE that can be matched in linear time: no look-around, no back-reference,
//! no possessive or atomic group. They look at bytes; `.` is any byte, also a line end; `^` and `$`
//! are also the beginning and the end of a line.
//!
//! Example: `@rx ^[a-z]+$` holds for `abc`. `TX.0` is what the pattern found, `TX.1` to `TX.9` what
//! its groups did.

mod needs;
mod translate;

use std::sync::OnceLock;

use regex_automata::Input;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::meta::{self, Regex};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures, pikevm::PikeVM};
use regex_automata::util::pool::Pool;
use regex_automata::util::syntax;
use regex_syntax::hir::Hir;

use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// The largest compiled pattern, in bytes. The largest of the Core Rule Set takes about a fifth.
const PATTERN_SIZE_MAX: usize = 10 << 20;
/// The memory that a search keeps its states in: when it is full, it begins anew, and after a few
/// times goes on without.
const SEARCH_MEMORY: usize = 256 << 10;
/// How often a search may begin its states anew, if it then reads so many bytes for each state.
const RENEWALS_MAX: usize = 3;
const BYTES_PER_STATE: usize = 10;
/// What a search costs for each byte, in the unit of the budget.
const SEARCH_COST: usize = 4;
/// What it costs to compile a pattern for one value.
const COMPILING_COST: usize = 1 << 20;

/// `@rx`.
#[derive(Debug)]
pub(crate) struct Rx {
    pattern: Option<Pattern>,
    /// The pattern with its macros, where it has some.
    text: Option<crate::text::Text>,
    /// `@rxGlobal`: captures what every place that is found says, one after another.
    is_global: bool,
    needs: Needs,
}

/// Makes the states of a search, for a thread that has none yet.
type NewCache = Box<dyn Fn() -> Cache + Send + Sync>;

/// A compiled pattern.
///
/// PERF: whether it is found is all that most values are asked, and needs one automaton that reads
/// forwards. What tells where, backwards, takes twice the memory and time to build: it is made when
/// the pattern is found first (`bench waf`).
struct Pattern {
    text: Box<str>,
    forwards: DFA,
    states: Pool<Cache, NewCache>,
    places: OnceLock<Option<Regex>>,
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}

impl Pattern {
    fn build(text: &str) -> Result<(Self, Needs), OperatorFault> {
        let hir =
            syntax::parse_with(text, &syntax()).map_err(|fault| unreadable(&fault.to_string()))?;
        let forwards = forwards(&hir)?;
        let fresh = forwards.clone();
        let fresh: NewCache = Box::new(move || fresh.create_cache());
        let (states, places) = (Pool::new(fresh), OnceLock::new());
        let needs = needs::of(&hir);
        Ok((Self { text: text.into(), forwards, states, places }, needs))
    }

    fn is_in(&self, input: &[u8]) -> bool {
        let input = Input::new(input).earliest(true);
        let found = self.forwards.try_search_fwd(&mut self.states.get(), &input);
        match found {
            Ok(found) => found.is_some(),
            // Too many states: without them it takes longer, but never more than linear time.
            Err(_) => match PikeVM::new_from_nfa(self.forwards.get_nfa().clone()) {
                Ok(slow) => slow.is_match(&mut slow.create_cache(), input),
                Err(_) => true,
            },
        }
    }

    /// What tells where the pattern is found.
    fn places(&self) -> Option<&Regex> {
        self.places.get_or_init(|| places(&self.text).ok()).as_ref()
    }
}

impl Ask for Rx {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let is_global = name == "rxglobal";
        let Some(pattern) = source.argument.as_literal() else {
            return Ok(Self {
                pattern: None,
                text: Some(source.argument.clone()),
                is_global,
                needs: Needs::default(),
            });
        };
        let (pattern, needs) = Pattern::build(&translate::translate(pattern)?)?;
        Ok(Self { needs, pattern: Some(pattern), text: None, is_global })
    }

    fn name(&self) -> &'static str {
        if self.is_global { "rxGlobal" } else { "rx" }
    }

    fn needs(&self) -> Needs {
        self.needs.clone()
    }

    fn cost(&self, length: usize) -> usize {
        let search = length.saturating_mul(SEARCH_COST);
        if self.text.is_some() { search.saturating_add(COMPILING_COST) } else { search }
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        let Some(pattern) = &self.pattern else {
            return self.holds_with_macros(input, text, captures);
        };
        if !pattern.is_in(input) {
            return false;
        }
        if let Some((captures, places)) = captures.zip(pattern.places()) {
            self.capture(places, input, captures);
        }
        true
    }
}

impl Rx {
    /// Where the pattern is found first, from `start` on.
    pub(super) fn find_from(&self, input: &[u8], start: usize) -> Option<std::ops::Range<usize>> {
        let from = Input::new(input).range(start..);
        self.pattern.as_ref()?.places()?.find(from).map(|found| found.range())
    }

    fn capture(&self, regex: &Regex, input: &[u8], captures: &mut Captures) {
        let places = if self.is_global { Captures::COUNT_MAX } else { 1 };
        for groups in regex.captures_iter(input).take(places) {
            for group in groups.iter().take(Captures::COUNT_MAX) {
                captures.push(group.and_then(|span| input.get(span.range())).unwrap_or_default());
            }
        }
    }

    /// A pattern that is made of macros is compiled for each value: bounded, and rare.
    fn holds_with_macros(
        &self,
        input: &[u8],
        text: &dyn Expand,
        captures: Option<&mut Captures>,
    ) -> bool {
        let Some(macros) = &self.text else { return false };
        let mut pattern = Vec::new();
        macros.write(text, &mut pattern);
        let regex = translate::translate(&pattern).and_then(|pattern| places(&pattern));
        let Ok(regex) = regex else {
            // What the values made of the pattern is none: nobody knows what the rule would say.
            text.give_up();
            return false;
        };
        let holds = regex.is_match(Input::new(input));
        if let Some(captures) = captures.filter(|_| holds) {
            self.capture(&regex, input, captures);
        }
        holds
    }
}

fn syntax() -> syntax::Config {
    syntax::Config::new()
        .unicode(false)
        .utf8(false)
        .dot_matches_new_line(true)
        .multi_line(true)
        .nest_limit(250)
}

#[cfg(test)]
impl Rx {
    /// The memory that the pattern takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.pattern.as_ref().map_or(0, |pattern| pattern.forwards.memory_usage())
    }
}

/// What a pattern is made of.
#[cfg(test)]
pub(super) fn parse(pattern: &[u8]) -> Hir {
    let pattern = translate::translate(pattern).unwrap_or_default();
    syntax::parse_with(&pattern, &syntax()).unwrap()
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

fn places(pattern: &str) -> Result<Regex, OperatorFault> {
    let config = meta::Config::new()
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .onepass(false)
        .dfa(false)
        .hybrid(true)
        .hybrid_cache_capacity(SEARCH_MEMORY);
    meta::Builder::new().configure(config).syntax(syntax()).build(pattern).map_err(|fault| {
        if fault.size_limit().is_some() { too_large() } else { unreadable(&fault.to_string()) }
    })
}

fn too_large() -> OperatorFault {
    OperatorFault::new("the pattern compiles to more than 10 MiB")
}

fn unreadable(fault: &str) -> OperatorFault {
    let cause = fault.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    OperatorFault::new(format!("the pattern cannot be read: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_apart() {
        let too_large = Pattern::build("(?:a{1000}){1000}").err().unwrap();
        assert!(too_large.problem.contains("more than 10 MiB"), "{}", too_large.problem);
        assert!(Pattern::build("a(").err().unwrap().problem.contains("cannot be read"));
    }
}
