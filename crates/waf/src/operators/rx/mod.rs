//! Whether a pattern is found in a value.
//!
//! Patterns are those of PCRE. They look at bytes; `.` is any byte, also a line end; `^` and `$` are
//! also the beginning and the end of a line. Most are matched in linear time. Those with look-around,
//! references to groups, atomic groups or possessive repetitions, of which version 3 of the Core Rule
//! Set has five, go back and try again, with a bound: where it is met, the exchange counts as not
//! judged. Recursion, conditions and names of groups are refused.
//!
//! Example: `@rx ^[a-z]+$` holds for `abc`. `TX.0` is what the pattern found, `TX.1` to `TX.9` what
//! its groups did.

mod machine;
mod needs;
mod program;
mod translate;

use regex_automata::Input;
use regex_automata::meta::{BuildError, Builder, Config, Regex};
use regex_automata::util::syntax;

use self::machine::{Found, Groups, Machine};
use self::program::Program;
use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::text::Expand;

/// The largest compiled pattern, in bytes. The largest of the Core Rule Set takes about a fifth.
const PATTERN_SIZE_MAX: usize = 10 << 20;
/// The memory that a search keeps its states in: when it is full, it begins anew, and after a few
/// times goes on without.
const SEARCH_MEMORY: usize = 256 << 10;
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
}

/// A pattern that is ready to be searched for.
#[derive(Debug)]
struct Pattern {
    /// Finds what the pattern finds; more than that where there is a program.
    regex: Regex,
    /// Decides where `regex` has found something.
    program: Option<Box<Program>>,
    needs: Needs,
}

impl Pattern {
    fn compile(text: &[u8]) -> Result<Self, OperatorFault> {
        let translated = translate::translate(text)?;
        if !translated.goes_back {
            let regex = build(&translated.pattern)?;
            return Ok(Self {
                regex,
                program: None,
                needs: needs::of(&translated.pattern, syntax()),
            });
        }
        let whole = syntax::parse_with(&translated.pattern, &syntax())
            .map_err(|fault| unreadable(&fault.to_string()))?;
        let program = program::compile(&whole)?;
        let wide = program::widened(&whole);
        let regex = builder().build_from_hir(&wide).map_err(|fault| explain(&fault))?;
        Ok(Self { needs: needs::of_parsed(&wide), regex, program: Some(Box::new(program)) })
    }

    fn is_found(&self, input: &[u8], text: &dyn Expand) -> bool {
        if !self.regex.is_match(Input::new(input)) {
            return false;
        }
        self.program.as_ref().is_none_or(|program| self.run(program, input, text).is_some())
    }

    /// What the groups found in the first place, if there is one.
    fn run(&self, program: &Program, input: &[u8], text: &dyn Expand) -> Option<Groups> {
        let mut machine = Machine::new(program, input);
        let next = |from| Some(self.regex.find(Input::new(input).range(from..))?.start());
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
}

impl Ask for Rx {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let is_global = name == "rxglobal";
        let Some(pattern) = source.argument.as_literal() else {
            return Ok(Self { pattern: None, text: Some(source.argument.clone()), is_global });
        };
        let pattern = Pattern::compile(pattern)?;
        if is_global && pattern.program.is_some() {
            return Err(OperatorFault::new("`@rxGlobal` takes no pattern that needs to go back"));
        }
        Ok(Self { pattern: Some(pattern), text: None, is_global })
    }

    fn name(&self) -> &'static str {
        if self.is_global { "rxGlobal" } else { "rx" }
    }

    fn needs(&self) -> Needs {
        self.pattern.as_ref().map_or_else(Needs::default, |pattern| pattern.needs.clone())
    }

    fn cost(&self, length: usize) -> usize {
        let search = length.saturating_mul(SEARCH_COST);
        if self.text.is_some() { search.saturating_add(COMPILING_COST) } else { search }
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, captures: Option<&mut Captures>) -> bool {
        match &self.pattern {
            Some(pattern) => self.search(pattern, input, text, captures),
            None => self.holds_with_macros(input, text, captures),
        }
    }
}

impl Rx {
    /// Where the pattern is found first, from `start` on.
    pub(super) fn find_from(&self, input: &[u8], start: usize) -> Option<std::ops::Range<usize>> {
        let from = Input::new(input).range(start..);
        self.pattern.as_ref()?.regex.find(from).map(|found| found.range())
    }

    fn search(
        &self,
        pattern: &Pattern,
        input: &[u8],
        text: &dyn Expand,
        captures: Option<&mut Captures>,
    ) -> bool {
        let Some(captures) = captures else { return pattern.is_found(input, text) };
        if !pattern.regex.is_match(Input::new(input)) {
            return false;
        }
        if let Some(program) = &pattern.program {
            let Some(groups) = pattern.run(program, input, text) else { return false };
            for group in groups.into_iter().take(Captures::COUNT_MAX) {
                captures.push(group.and_then(|range| input.get(range)).unwrap_or_default());
            }
            return true;
        }
        let places = if self.is_global { Captures::COUNT_MAX } else { 1 };
        for groups in pattern.regex.captures_iter(input).take(places) {
            for group in groups.iter().take(Captures::COUNT_MAX) {
                captures.push(group.and_then(|span| input.get(span.range())).unwrap_or_default());
            }
        }
        true
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
        let Ok(pattern) = Pattern::compile(&pattern) else {
            // What the values made of the pattern is none: nobody knows what the rule would say.
            text.give_up();
            return false;
        };
        self.search(&pattern, input, text, captures)
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
        self.pattern.as_ref().map_or(0, |pattern| pattern.regex.memory_usage())
    }
}

/// What a pattern is made of.
#[cfg(test)]
pub(super) fn parse(pattern: &[u8]) -> regex_syntax::hir::Hir {
    let pattern = translate::translate(pattern).map_or_else(|_| String::new(), |it| it.pattern);
    syntax::parse_with(&pattern, &syntax()).unwrap()
}

fn build(pattern: &str) -> Result<Regex, OperatorFault> {
    builder().build(pattern).map_err(|fault| explain(&fault))
}

fn builder() -> Builder {
    let config = Config::new()
        // Values are bytes: a search that takes them for UTF-8 may panic where they are not.
        .utf8_empty(false)
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .onepass(false)
        .dfa(false)
        .hybrid(true)
        .hybrid_cache_capacity(SEARCH_MEMORY);
    let mut builder = Builder::new();
    builder.configure(config).syntax(syntax());
    builder
}

fn explain(fault: &BuildError) -> OperatorFault {
    if fault.size_limit().is_some() {
        return OperatorFault::new("the pattern compiles to more than 10 MiB")
            .with_help("repeat less, or split it over two chained rules");
    }
    let text = fault.syntax_error().map_or_else(|| fault.to_string(), ToString::to_string);
    unreadable(&text)
}

fn unreadable(text: &str) -> OperatorFault {
    let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    OperatorFault::new(format!("the pattern cannot be read: {cause}"))
        .with_help("write `\\` before a sign that is to stand for itself")
}

#[cfg(test)]
mod tests;
