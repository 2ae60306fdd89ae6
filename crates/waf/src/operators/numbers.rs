//! Compares numbers: `@eq`, `@ge`, `@gt`, `@le`, `@lt`.
//!
//! Value and argument count as the whole number that they begin with; 0 if they begin with none.
//!
//! Example: `@gt 5` holds for `7`, and for `7 apples`; `@eq 0` holds for `none`.

use super::{Argument, Ask, Captures, OperatorFault, Source};
use crate::text::Expand;

/// A comparison of numbers.
#[derive(Debug)]
pub(crate) struct Numbers {
    relation: Relation,
    argument: Argument,
    /// The argument where it has no macros.
    number: Option<i64>,
}

/// A comparison with a number that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct NumberTest {
    relation: Relation,
    number: i64,
}

impl NumberTest {
    /// True if it holds for a number.
    pub(crate) fn holds(self, value: i64) -> bool {
        match self.relation {
            Relation::Eq => value == self.number,
            Relation::Ge => value >= self.number,
            Relation::Gt => value > self.number,
            Relation::Le => value <= self.number,
            Relation::Lt => value < self.number,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relation {
    Eq,
    Ge,
    Gt,
    Le,
    Lt,
}

impl Ask for Numbers {
    fn compile(name: &str, source: &Source<'_>) -> Result<Self, OperatorFault> {
        let relation = match name {
            "ge" => Relation::Ge,
            "gt" => Relation::Gt,
            "le" => Relation::Le,
            "lt" => Relation::Lt,
            _ => Relation::Eq,
        };
        let number = source.argument.as_literal().map(leading_number);
        Ok(Self { relation, argument: Argument::of(source.argument), number })
    }

    fn name(&self) -> &'static str {
        match self.relation {
            Relation::Eq => "eq",
            Relation::Ge => "ge",
            Relation::Gt => "gt",
            Relation::Le => "le",
            Relation::Lt => "lt",
        }
    }

    fn holds(&self, input: &[u8], text: &dyn Expand, _captures: Option<&mut Captures>) -> bool {
        let value = leading_number(input);
        let wanted = self.number.unwrap_or_else(|| self.argument.with(text, leading_number));
        NumberTest { relation: self.relation, number: wanted }.holds(value)
    }
}

impl Numbers {
    /// The comparison, where its argument has no macros.
    pub(super) fn test(&self) -> Option<NumberTest> {
        self.number.map(|number| NumberTest { relation: self.relation, number })
    }
}

/// The number that a text begins with; 0 if none. What does not fit ends at the largest that does.
pub(crate) fn leading_number(text: &[u8]) -> i64 {
    let text = text.trim_ascii_start();
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] | rest => (1, rest),
    };
    let digits = digits.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0_i64, |sum, digit| {
        sum.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_number_they_begin_with() {
        for (text, number) in [
            ("7", 7),
            ("7 apples", 7),
            ("-3", -3),
            ("+3", 3),
            ("", 0),
            ("none", 0),
            ("99999999999999999999", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(leading_number(text.as_bytes()), number, "{text}");
        }
    }
}
