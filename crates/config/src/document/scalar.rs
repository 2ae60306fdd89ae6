//! Plain scalars of the YAML 1.2 core schema (YAML 1.2.2 §10.3.2).

use serde_json::Number;

use super::Content;

/// What a plain scalar means; `None` for infinities and not-a-number, which JSON has not.
pub(super) fn resolve(text: &str) -> Option<Content> {
    Some(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ if is_not_finite(text) => return None,
        _ if is_decimal(text) => Content::Number(decimal(text)?),
        _ => radix(text).map_or_else(|| Content::Text(text.to_owned()), Content::Number),
    })
}

fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// An integer or float in decimal digits.
fn is_decimal(text: &str) -> bool {
    is_float(text.strip_prefix(['+', '-']).unwrap_or(text))
}

/// The value of a decimal number, if it is finite.
fn decimal(text: &str) -> Option<Number> {
    let plain = text.strip_prefix('+').unwrap_or(text);
    if let Ok(value) = plain.parse::<u64>() {
        return Some(value.into());
    }
    match plain.parse::<i64>() {
        // JSON readers keep the sign of zero by making it a float.
        Ok(0) => Number::from_f64(-0.0),
        Ok(value) => Some(value.into()),
        Err(_) => Number::from_f64(plain.parse().ok()?),
    }
}

/// `0o17` or `0xff`.
fn radix(text: &str) -> Option<Number> {
    let (digits, radix) = match text.strip_prefix("0o") {
        Some(digits) => (digits, 8),
        None => (text.strip_prefix("0x")?, 16),
    };
    let is_number = digits.chars().all(|c| c.is_digit(radix));
    if is_number { u64::from_str_radix(digits, radix).ok().map(Number::from) } else { None }
}

/// `(\. [0-9]+ | [0-9]+ (\. [0-9]*)?) ([eE] [-+]? [0-9]+)?`
fn is_float(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let is_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let is_mantissa = match mantissa.split_once('.') {
        Some((whole, fraction)) => {
            is_digits(whole) && is_digits(fraction) && !(whole.is_empty() && fraction.is_empty())
        }
        None => !mantissa.is_empty() && is_digits(mantissa),
    };
    let is_exponent = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !digits.is_empty() && is_digits(digits)
    });
    is_mantissa && is_exponent
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<serde_json::Value> {
        resolve(text).map(|content| match content {
            Content::Null => serde_json::Value::Null,
            Content::Bool(value) => value.into(),
            Content::Number(number) => number.into(),
            Content::Text(text) => text.into(),
            Content::List(_) | Content::Map(_) => unreachable!("scalars only"),
        })
    }

    #[test]
    fn scalars_follow_the_core_schema() {
        for (text, value) in [
            ("", "null"),
            ("~", "null"),
            ("True", "true"),
            ("FALSE", "false"),
            ("0", "0"),
            ("-0", "-0.0"),
            ("+12", "12"),
            ("-17", "-17"),
            ("0o17", "15"),
            ("0xfF", "255"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "18446744073709551616.0"),
            ("1.5e3", "1500.0"),
            (".5", "0.5"),
            ("5.", "5.0"),
            ("yes", "\"yes\""),
            ("off", "\"off\""),
            ("1.2.3", "\"1.2.3\""),
            ("0x", "\"0x\""),
            ("0o9", "\"0o9\""),
            ("1e", "\"1e\""),
            (".", "\".\""),
            ("-", "\"-\""),
            ("e5", "\"e5\""),
            ("1_000", "\"1_000\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("12:30", "\"12:30\""),
        ] {
            assert_eq!(
                json(text).unwrap(),
                serde_json::from_str::<serde_json::Value>(value).unwrap()
            );
        }
    }

    #[test]
    fn what_has_no_finite_value_is_refused() {
        for text in [".inf", "-.INF", "+.Inf", ".nan", "1e999"] {
            assert!(json(text).is_none(), "{text}");
        }
    }
}
