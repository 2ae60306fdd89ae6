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

mod groups;
mod machine;
mod needs;
mod pattern;
mod program;
mod translate;

use self::pattern::Pattern;
use super::{Ask, Captures, Needs, OperatorFault, Source};
use crate::text::{Expand, Text};

/// What a search costs for each byte, in the unit of the budget.
const SEARCH_COST: usize = 4;
/// What it costs to compile a pattern for one value.
const COMPILING_COST: usize = 1 << 20;

/// `@rx`.
#[derive(Debug)]
pub(crate) struct Rx {
    pattern: Option<Pattern>,
    /// The pattern with its macros, where it has some.
    text: Option<Text>,
    /// `@rxGlobal`: captures what every place that is found says, one after another.
    is_global: bool,
    needs: Needs,
}

impl Ask for Rx {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let is_global = name == "rxglobal";
        let Some(pattern) = source.argument.as_literal() else {
            let text = Some(source.argument.clone());
            return Ok(Self { pattern: None, text, is_global, needs: Needs::default() });
        };
        let (pattern, needs) = Pattern::build(pattern)?;
        if is_global && pattern.goes_back() {
            return Err(OperatorFault::new("`@rxGlobal` takes no pattern that needs to go back"));
        }
        Ok(Self { pattern: Some(pattern), text: None, is_global, needs })
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
        let captures = captures.map(|captures| (captures, self.places()));
        match &self.pattern {
            Some(pattern) => pattern.is_found(input, text, captures),
            None => self.holds_with_macros(input, text, captures),
        }
    }
}

impl Rx {
    /// Where the pattern is found first, from `start` on.
    pub(super) fn find_from(&self, input: &[u8], start: usize) -> Option<std::ops::Range<usize>> {
        self.pattern.as_ref()?.find_from(input, start)
    }

    /// In how many places groups are captured.
    fn places(&self) -> usize {
        if self.is_global { Captures::COUNT_MAX } else { 1 }
    }

    /// A pattern that is made of macros is compiled for each value: bounded, and rare.
    fn holds_with_macros(
        &self,
        input: &[u8],
        text: &dyn Expand,
        captures: Option<(&mut Captures, usize)>,
    ) -> bool {
        let Some(macros) = &self.text else { return false };
        let mut pattern = Vec::new();
        macros.write(text, &mut pattern);
        let Ok((pattern, _)) = Pattern::build(&pattern) else {
            // What the values made of the pattern is none: nobody knows what the rule would say.
            text.give_up();
            return false;
        };
        pattern.is_found(input, text, captures)
    }
}

#[cfg(test)]
impl Rx {
    /// The memory that the pattern takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.pattern.as_ref().map_or(0, Pattern::memory)
    }
}

/// What a pattern is made of.
#[cfg(test)]
pub(super) fn parse(pattern: &[u8]) -> regex_syntax::hir::Hir {
    let pattern = translate::translate(pattern).map_or_else(|_| String::new(), |it| it.pattern);
    regex_automata::util::syntax::parse_with(&pattern, &pattern::syntax()).unwrap()
}

#[cfg(test)]
mod tests;
