//! `Accept-Encoding` (RFC 9110 §12.5.3).

use bartizan_chain::RequestCx;

/// A weight in thousandths.
type Weight = u16;

/// More items than this are not looked at: nobody means them.
const ITEMS_MAX: usize = 32;

/// How much the client wants a body in a coding; 0 is not at all. What it does not name it does
/// not want, unless it says `*`. What cannot be read counts as not named.
pub(crate) fn weight(cx: &RequestCx, coding: &str) -> Weight {
    weight_in(cx.accept_encoding(), coding)
}

/// True if the client wants `coding`, no less than it as it is, and more than `chosen`.
pub(crate) fn prefers(cx: &RequestCx, coding: &str, chosen: Option<&str>) -> bool {
    let own = weight(cx, coding);
    own > 0
        && own >= named(cx.accept_encoding(), "identity").unwrap_or(0)
        && chosen.is_none_or(|chosen| own > weight(cx, chosen))
}

fn weight_in<'a>(lines: impl Iterator<Item = &'a [u8]> + Clone, coding: &str) -> Weight {
    let named_itself = named(lines.clone(), coding);
    named_itself.or_else(|| named(lines, "*")).unwrap_or(0)
}

/// The weight of this name; the least, where it is named more than once.
fn named<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<Weight> {
    let items = lines.flat_map(|line| line.split(|byte| *byte == b',')).take(ITEMS_MAX);
    items.filter_map(|item| weight_of(item, name)).min()
}

/// The weight of one item, if it has this name.
fn weight_of(item: &[u8], name: &str) -> Option<Weight> {
    let mut parts = item.split(|byte| *byte == b';');
    let own = parts.next()?.trim_ascii();
    // RFC 9110 §8.4.1.3: `x-gzip` is the same.
    let own = if own.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { own };
    if !own.eq_ignore_ascii_case(name.as_bytes()) {
        return None;
    }
    match parts.next() {
        None => Some(1_000),
        Some(weight) => Some(thousandths(weight.trim_ascii()).unwrap_or(0)),
    }
}

/// `q=0.5` (RFC 9110 §12.4.2).
fn thousandths(weight: &[u8]) -> Option<Weight> {
    let (name, value) = weight.split_at_checked(2)?;
    if !name.eq_ignore_ascii_case(b"q=") {
        return None;
    }
    let (whole, rest) = value.split_first()?;
    let digits = match rest.split_first() {
        None => &[][..],
        Some((b'.', digits)) if digits.len() <= 3 => digits,
        Some(_) => return None,
    };
    let mut sum = 0;
    for place in [100, 10, 1].into_iter().zip(0..) {
        let digit = digits.get(place.1).copied().unwrap_or(b'0');
        sum += place.0 * Weight::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
    }
    match whole {
        b'0' => Some(sum),
        b'1' if sum == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::request;

    fn weight(line: &str, coding: &str) -> Weight {
        weight_in(std::iter::once(line.as_bytes()), coding)
    }

    #[test]
    fn weights_are_read_as_they_are_meant() {
        for (line, expected) in [
            ("gzip", 1_000),
            ("GZip", 1_000),
            ("x-gzip", 1_000),
            ("deflate, gzip;q=0.5, br", 500),
            ("gzip ; q=0.25", 250),
            ("gzip;q=1.000", 1_000),
            ("gzip;q=0.001", 1),
            ("gzip;q=0", 0),
            ("gzip;Q=0.0", 0),
            ("*", 1_000),
            ("*;q=0.1", 100),
            ("gzip;q=0, *", 0),
            ("*;q=0, gzip;q=0.3", 300),
            ("br, deflate", 0),
            ("", 0),
            ("gzip;q=2", 0),
            ("gzip;q=1.001", 0),
            ("gzip;q=0.1234", 0),
            ("gzip;q=", 0),
            ("gzip;level=9", 0),
            ("gzip, gzip;q=0", 0),
            ("gzipped", 0),
        ] {
            assert_eq!(weight(line, "gzip"), expected, "{line}");
        }
    }

    #[test]
    fn what_stands_behind_many_others_is_not_looked_at() {
        for (before, expected) in [(ITEMS_MAX - 1, 1_000), (ITEMS_MAX, 0)] {
            let line = format!("{}gzip", "br,".repeat(before));
            assert_eq!(weight(&line, "gzip"), expected, "{before}");
            let lines = std::iter::repeat_n(&b"br"[..], before).chain([&b"gzip"[..]]);
            assert_eq!(weight_in(lines, "gzip"), expected, "{before} lines");
        }
    }

    #[test]
    fn the_coding_that_is_wanted_most_is_chosen() {
        for (line, chosen, expected) in [
            ("gzip", None, true),
            ("gzip, br", Some("br"), false),
            ("gzip, br;q=0.9", Some("br"), true),
            ("gzip;q=0.5, identity", None, false),
            ("gzip;q=0.5, identity;q=0.5", None, true),
            ("identity;q=0, gzip;q=0.001", None, true),
            ("br", None, false),
        ] {
            let line: &'static str = line;
            let cx = request("/", &[("accept-encoding", line)]);
            assert_eq!(prefers(&cx, "gzip", chosen), expected, "{line} {chosen:?}");
        }
        assert!(!prefers(&request("/", &[]), "gzip", None));
    }

    #[test]
    fn what_is_kept_from_the_upstream_still_counts() {
        let lines = [("accept-encoding", "gzip"), ("accept-encoding", "br;q=0.5"), ("range", "x")];
        let mut cx = request("/", &lines);
        cx.ask_for_plain();
        cx.ask_for_plain();
        assert!(!cx.fields.contains("accept-encoding") && !cx.fields.contains("range"));
        assert_eq!((super::weight(&cx, "gzip"), super::weight(&cx, "br")), (1_000, 500));
    }

    proptest! {
        #[test]
        fn a_weight_agrees_with_arithmetic(thousandth in 0_u16..=1_000) {
            let text = format!("gzip;q={}", f64::from(thousandth) / 1_000.0);
            prop_assert_eq!(weight(&text, "gzip"), thousandth);
        }

        #[test]
        fn nothing_that_a_client_writes_is_too_much(line in ".{0,80}") {
            prop_assert!(weight(&line, "gzip") <= 1_000);
        }
    }
}
