//! Decimal numbers of configuration, exact: what counts must not drift.

use std::time::Duration;

use bartizan_config::Invalid;
use serde_json::Number;

/// Millionths in a whole.
pub(crate) const WHOLE: u64 = 1_000_000;

/// Digits that are kept behind the point.
const PLACES: usize = 6;

/// The number in millionths; it may have six decimals and no sign.
pub(crate) fn millionths(number: &Number) -> Result<u64, Invalid> {
    // The shortest text that reads as the same number is what was written.
    let text = match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => float.to_string(),
        None => number.to_string(),
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    if part.len() > PLACES {
        let problem = format!("`{text}` has more than {PLACES} decimals");
        return Err(Invalid::new(problem));
    }
    let digits = format!("{whole}{part}{}", "0".repeat(PLACES - part.len()));
    digits.parse().map_err(|_| Invalid::new(format!("`{text}` is out of range")))
}

/// The number as a time in seconds.
pub(crate) fn seconds(number: &Number) -> Result<Duration, Invalid> {
    millionths(number).map(Duration::from_micros)
}

/// Millionths as one would write them.
pub(crate) fn shown(millionths: u64) -> String {
    let (whole, part) = (millionths / WHOLE, millionths % WHOLE);
    let text = format!("{whole}.{part:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(value: &serde_json::Value) -> Result<u64, String> {
        let serde_json::Value::Number(number) = value else { panic!("no number") };
        millionths(number).map_err(|fault| fault.problem)
    }

    #[test]
    fn numbers_are_read_as_they_are_written() {
        for (value, expected) in [
            (json!(0), 0),
            (json!(7), 7_000_000),
            (json!(0.1), 100_000),
            (json!(0.3), 300_000),
            (json!(2.5), 2_500_000),
            (json!(0.000_001), 1),
            (json!(1_000_000), 1_000_000_000_000),
            (json!(1e6), 1_000_000_000_000),
        ] {
            assert_eq!(of(&value), Ok(expected), "{value}");
        }
        assert!(of(&json!(0.000_000_1)).unwrap_err().contains("decimals"));
        assert!(of(&json!(-1)).unwrap_err().contains("range"));
        assert!(of(&json!(1e300)).unwrap_err().contains("range"));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_as_the_same(number in 0_u64..1_000_000_000_000) {
            let text = shown(number);
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(of(&value), Ok(number));
        }
    }
}
