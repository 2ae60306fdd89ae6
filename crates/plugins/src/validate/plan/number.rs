//! Numbers and how they compare, where that is beyond doubt.

use std::cmp::Ordering;

use serde_json::Value;

use super::document::{Document, Kind, Token};

/// Up to here every integer has a float of its own.
const EXACT_MAX: i128 = 1 << 53;
/// The same as a float.
const EXACT_MAX_FLOAT: f64 = 9_007_199_254_740_992.0;
/// Digits that always make an exact float.
const EXACT_DIGITS: usize = 15;
/// Powers of ten that are exact as floats, as far as they are needed for [`EXACT_DIGITS`].
const POWERS: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// A number as `serde_json` holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// One that fits an `i64` or an `u64`.
    Integer(i128),
    /// Any other.
    Float(f64),
}

impl Number {
    /// The number of a schema.
    pub(super) fn of(value: &Value) -> Option<Self> {
        let integer = value.as_i64().map(i128::from).or_else(|| value.as_u64().map(i128::from));
        integer.map(Self::Integer).or_else(|| value.as_f64().map(Self::Float))
    }

    /// The number that a token stands for; `None` for an integer out of range.
    pub(super) fn read(document: &Document<'_>, token: Token) -> Option<Self> {
        let text = document.raw(token);
        if token.kind == Kind::Integer {
            return integer(text).map(Self::Integer);
        }
        short_float(text).or_else(|| serde_json::from_slice(text).ok()).map(Self::Float)
    }

    /// Whether it has no fraction; `None` where a float is too large to tell.
    pub(super) fn is_whole(self) -> Option<bool> {
        match self {
            Self::Integer(_) => Some(true),
            Self::Float(float) if float.abs() < EXACT_MAX_FLOAT => Some(float.fract() == 0.0),
            Self::Float(_) => None,
        }
    }

    /// How two numbers stand to each other; `None` where rounding may have made them equal.
    pub(super) fn compare(self, limit: Self) -> Option<Ordering> {
        if let (Self::Integer(own), Self::Integer(limit)) = (self, limit) {
            return Some(own.cmp(&limit));
        }
        let order = self.float()?.partial_cmp(&limit.float()?)?;
        // A fraction that seems equal is one of many decimals that round to the same float.
        (order != Ordering::Equal || self.is_whole()?).then_some(order)
    }

    /// The float that is exactly this number.
    fn float(self) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, which is the bound")]
            Self::Integer(own) if own.abs() <= EXACT_MAX => Some(i64::try_from(own).ok()? as f64),
            Self::Float(own) if own.abs() < EXACT_MAX_FLOAT => Some(own),
            _ => None,
        }
    }
}

fn integer(text: &[u8]) -> Option<i128> {
    let (is_negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    // One digit less than any that could be too large.
    if digits.len() <= 18 {
        let value = digits.iter().fold(0_i64, |value, byte| value * 10 + i64::from(byte & 15));
        return Some(i128::from(if is_negative { -value } else { value }));
    }
    let text = std::str::from_utf8(text).ok()?;
    let signed = text.parse::<i64>().map(i128::from);
    signed.or_else(|_| text.parse::<u64>().map(i128::from)).ok()
}

/// A decimal of few digits, which is an exact integer divided by an exact power of ten.
///
/// PERF: `cargo xtask bench plugins` (`request-validation`): amounts and rates are such, and the
/// parser of values takes several times as long.
fn short_float(text: &[u8]) -> Option<f64> {
    let (is_negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if text.len() > EXACT_DIGITS {
        return None;
    }
    let (mut value, mut point) = (0_i64, None);
    for (index, byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + i64::from(byte & 15),
            b'.' => point = Some(index),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |point| text.len() - point - 1);
    #[expect(clippy::cast_precision_loss, reason = "exact, of 15 digits")]
    let value = value as f64 / POWERS.get(decimals)?;
    Some(if is_negative { -value } else { value })
}

#[cfg(test)]
mod tests {
    use bartizan_chain::JsonLimits;
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<Number> {
        let document = Document::read(text.as_bytes(), JsonLimits { depth: 1, items: 1 }).unwrap();
        Number::read(&document, document.token(0).unwrap())
    }

    proptest! {
        #[test]
        fn numbers_are_what_the_parser_of_values_makes_of_them(
            text in r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?([eE][+-]?[0-9]{1,2})?",
        ) {
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read(&text), Number::of(&value));
        }
    }

    #[test]
    fn integers_out_of_range_are_nobodys() {
        for text in ["18446744073709551616", "-9223372036854775809"] {
            assert_eq!(read(text), None);
        }
        assert_eq!(read("18446744073709551615"), Some(Number::Integer(u64::MAX.into())));
        assert_eq!(read("-9223372036854775808"), Some(Number::Integer(i64::MIN.into())));
    }

    #[test]
    fn what_rounding_may_hide_is_not_compared() {
        let whole = Number::Integer;
        assert_eq!(whole(2).compare(Number::Float(2.5)), Some(Ordering::Less));
        assert_eq!(Number::Float(2.0).compare(whole(2)), Some(Ordering::Equal));
        assert_eq!(Number::Float(0.1).compare(Number::Float(0.1)), None);
        assert_eq!(whole(EXACT_MAX + 1).compare(Number::Float(0.5)), None);
        assert_eq!(Number::Float(1e300).compare(whole(1)), None);
    }
}
