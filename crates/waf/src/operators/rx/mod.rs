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

use regex_automata::Input;
use regex_automata::meta::{BuildError, Builder, Config, Regex};
use regex_automata::util::syntax;

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
    regex: Option<Regex>,
    /// The pattern with its macros, where it has some.
    text: Option<crate::text::Text>,
    /// `@rxGlobal`: captures what every place that is found says, one after another.
    is_global: bool,
    needs: Needs,
}

impl Ask for Rx {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let is_global = name == "rxglobal";
        let Some(pattern) = source.argument.as_literal() else {
            return Ok(Self {
                regex: None,
                text: Some(source.argument.clone()),
                is_global,
                needs: Needs::default(),
            });
        };
        let pattern = translate::translate(pattern)?;
        let regex = build(&pattern)?;
        Ok(Self { needs: needs::of(&pattern, syntax()), regex: Some(regex), text: None, is_global })
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
        let Some(regex) = &self.regex else { return self.holds_with_macros(input, text, captures) };
        self.search(regex, input, captures)
    }
}

impl Rx {
    /// Where the pattern is found first, from `start` on.
    pub(super) fn find_from(&self, input: &[u8], start: usize) -> Option<std::ops::Range<usize>> {
        let from = Input::new(input).range(start..);
        self.regex.as_ref()?.find(from).map(|found| found.range())
    }

    fn search(&self, regex: &Regex, input: &[u8], captures: Option<&mut Captures>) -> bool {
        if !regex.is_match(Input::new(input)) {
            return false;
        }
        let Some(captures) = captures else { return true };
        let places = if self.is_global { Captures::COUNT_MAX } else { 1 };
        for groups in regex.captures_iter(input).take(places) {
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
        let regex = translate::translate(&pattern).and_then(|pattern| build(&pattern));
        let Ok(regex) = regex else {
            // What the values made of the pattern is none: nobody knows what the rule would say.
            text.give_up();
            return false;
        };
        self.search(&regex, input, captures)
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
        self.regex.as_ref().map_or(0, Regex::memory_usage)
    }
}

/// What a pattern is made of.
#[cfg(test)]
pub(super) fn parse(pattern: &[u8]) -> regex_syntax::hir::Hir {
    let pattern = translate::translate(pattern).unwrap_or_default();
    syntax::parse_with(&pattern, &syntax()).unwrap()
}

fn build(pattern: &str) -> Result<Regex, OperatorFault> {
    let config = Config::new()
        // Values are bytes: a search that takes them for UTF-8 may panic where they are not.
        .utf8_empty(false)
        .nfa_size_limit(Some(PATTERN_SIZE_MAX))
        .onepass(false)
        .dfa(false)
        .hybrid(true)
        .hybrid_cache_capacity(SEARCH_MEMORY);
    Builder::new()
        .configure(config)
        .syntax(syntax())
        .build(pattern)
        .map_err(|fault| explain(&fault))
}

fn explain(fault: &BuildError) -> OperatorFault {
    if fault.size_limit().is_some() {
        return OperatorFault::new("the pattern compiles to more than 10 MiB")
            .with_help("repeat less, or split it over two chained rules");
    }
    let text = fault.syntax_error().map_or_else(|| fault.to_string(), ToString::to_string);
    let cause = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    OperatorFault::new(format!("the pattern cannot be read: {cause}"))
        .with_help("write `\\` before a sign that is to stand for itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_matches_in_bytes_that_are_no_text_are_found() {
        let regex = build(r"\x89\x83|||\xd6").ok().unwrap();
        for value in [&b"\x89\x83|\xd6\x07"[..], b"\x83", b"\xc3\xa9", b"\xed\xa0\x80", b""] {
            assert!(regex.find(value).is_some(), "{value:?}");
            assert!(regex.captures_iter(value).count() > 0, "{value:?}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        let too_large = build("(?:a{1000}){1000}").err().unwrap();
        assert!(too_large.problem.contains("more than 10 MiB"), "{}", too_large.problem);
        assert!(build("a(").err().unwrap().problem.contains("cannot be read"));
    }
}
