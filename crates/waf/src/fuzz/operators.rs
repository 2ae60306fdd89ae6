//! Operators, on any argument and value.

use super::INPUT_MAX;
use crate::byte_mask::ByteMask;
use crate::files::Memory;
use crate::operators::{Captures, NAMES, Needs, Operator};
use crate::text::{Expand, Text};
use crate::variable::{Selector, Variable};

/// No macro has a value.
pub(super) struct Nothing;

impl Expand for Nothing {
    fn give_up(&self) {}

    fn expand(&self, _variable: Variable, _selector: &Selector, _out: &mut Vec<u8>) {}
}

/// The operators' names.
pub fn operator_names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().copied()
}

/// An operator and what it is compared for with another engine: whether it holds, and `TX.0`.
#[derive(Debug)]
pub struct Asked(Operator);

impl Asked {
    /// Compiles an operator; `file` is what the file `data` holds. None if it is refused.
    pub fn new(name: &str, argument: &[u8], file: &[u8]) -> Option<Self> {
        let files = Memory::default().with("data", file);
        Operator::compile(name, &Text::literal(argument), &files, "").ok().map(Self)
    }

    /// What it finds in a value, where it holds.
    pub fn find(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut captures = Captures::default();
        let holds = self.0.holds(value, &Nothing, Some(&mut captures));
        holds.then(|| captures.groups().first().map(|group| group.to_vec()).unwrap_or_default())
    }

    /// True if the sieve would let a value through to it.
    pub fn may_hold(&self, value: &[u8]) -> bool {
        is_met(&self.0.needs(), value)
    }
}

/// True if a value has what an operator needs.
pub(super) fn is_met(needs: &Needs, value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let mut literals = needs.literals.iter();
    let has_literal = needs.literals.is_empty()
        || literals.any(|literal| memchr::memmem::find(&lower, literal).is_some());
    let kinds = ByteMask::of(value);
    has_literal
        && needs.masks.iter().all(|mask| kinds.meets(*mask))
        && value.len() >= needs.length_min
}

/// The first byte picks the operator, the rest of the first line is its argument (and, for those
/// that read a file, what the file holds), and behind it stands the value. What holds has what the
/// operator says that it needs; asking for captures changes nothing; plain operators do what they
/// say, byte by byte.
pub fn waf_operators(data: &[u8]) {
    let data = data.get(..INPUT_MAX).unwrap_or(data);
    let Some((first, rest)) = data.split_first() else { return };
    let Some(name) = NAMES.get(usize::from(*first) % NAMES.len()) else { return };
    let at = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (argument, value) = rest.split_at_checked(at).unwrap_or_default();
    let value = value.get(1..).unwrap_or_default();
    let is_file = name.ends_with("FromFile") || matches!(*name, "pmf" | "ipMatchF");
    let files = Memory::default().with("data", argument.to_vec());
    let text = Text::literal(if is_file { &b"data"[..] } else { argument });
    let operator = match Operator::compile(name, &text, &files, "") {
        Ok(operator) => operator,
        Err(fault) => return assert!(!fault.problem.is_empty()),
    };
    let needs = operator.needs();
    assert!(needs.literals.iter().all(|literal| **literal == *literal.to_ascii_lowercase()));
    for value in [value, &value.to_ascii_uppercase(), argument] {
        let holds = operator.holds(value, &Nothing, None);
        let mut captures = Captures::default();
        assert_eq!(operator.holds(value, &Nothing, Some(&mut captures)), holds, "{name}");
        assert!(captures.groups().len() <= Captures::COUNT_MAX);
        assert!(holds || captures.groups().is_empty(), "{name}");
        assert!(!holds || is_met(&needs, value), "{name} {argument:?} {value:?} {needs:?}");
        if let Some(expected) = naive(name, argument, value) {
            assert_eq!(holds, expected, "{name} {argument:?} {value:?}");
        }
    }
}

/// What plain operators mean, in the plainest way.
fn naive(name: &str, argument: &[u8], value: &[u8]) -> Option<bool> {
    let has = |text: &[u8], part: &[u8]| {
        part.is_empty() || text.windows(part.len()).any(|window| window == part)
    };
    Some(match name {
        "contains" | "strmatch" => has(value, argument),
        "within" => has(argument, value),
        "streq" => value == argument,
        "beginsWith" => value.starts_with(argument),
        "endsWith" => value.ends_with(argument),
        "unconditionalMatch" => true,
        "noMatch" => false,
        _ => return None,
    })
}
