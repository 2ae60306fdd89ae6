//! Query strings and the bodies of forms, `application/x-www-form-urlencoded`.

use std::borrow::Cow;

use super::{Arg, BodyLimits, Bytes, Fault, Parsed};
use crate::transformations::hex;

/// Reads `input`, whose arguments are apart by `separator` (usually `&`).
///
/// Escapes that are not valid stay and are flagged. An argument without `=` has the empty value; an
/// empty one counts, except at the end.
pub(crate) fn urlencoded<'a>(input: &'a [u8], separator: u8, limits: &BodyLimits) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    if input.is_empty() {
        return parsed;
    }
    let mut rest = Some(input.strip_suffix(&[separator]).unwrap_or(input));
    while let Some(here) = rest {
        if parsed.args.len() == limits.args {
            parsed.fault = Some(Fault::TooMany("arguments", limits.args));
            break;
        }
        let (pair, tail) = cut(here, separator);
        let (name, value) = cut(pair, b'=');
        let name = decode(name, &mut parsed.has_invalid_escape);
        let value = decode(value.unwrap_or_default(), &mut parsed.has_invalid_escape);
        parsed.args.push(Arg { name, value });
        rest = tail;
    }
    parsed
}

/// What stands before the first `sign`, and what behind it.
pub(super) fn cut(input: &[u8], sign: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(sign, input).and_then(|at| input.split_at_checked(at)) {
        Some((before, rest)) => (before, rest.get(1..)),
        None => (input, None),
    }
}

/// Undoes percent-encoding and `+`.
fn decode<'a>(input: &'a [u8], is_invalid: &mut bool) -> Bytes<'a> {
    if memchr::memchr2(b'%', b'+', input).is_none() {
        return Cow::Borrowed(input);
    }
    let mut output = Vec::with_capacity(input.len());
    let mut rest = input;
    while let Some((run, tail)) =
        memchr::memchr2(b'%', b'+', rest).and_then(|at| rest.split_at_checked(at))
    {
        output.extend_from_slice(run);
        let taken = match tail {
            [b'%', high, low, ..] if let Some(byte) = hex::pair(*high, *low) => {
                output.push(byte);
                3
            }
            [b'+', ..] => {
                output.push(b' ');
                1
            }
            _ => {
                *is_invalid = true;
                output.extend(tail.first());
                1
            }
        };
        rest = tail.get(taken..).unwrap_or_default();
    }
    output.extend_from_slice(rest);
    Cow::Owned(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &str) -> (Vec<(String, String)>, bool) {
        let parsed = urlencoded(input.as_bytes(), b'&', &BodyLimits::default());
        let text = |bytes: &Bytes<'_>| String::from_utf8_lossy(bytes).into_owned();
        let args = parsed.args.iter().map(|arg| (text(&arg.name), text(&arg.value)));
        (args.collect(), parsed.has_invalid_escape)
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn names_and_values_are_decoded() {
        let expected = vec![pair("a b", "1=2"), pair("c", ""), pair("", "d&")];
        assert_eq!(read("a+b=1=2&c&=d%26"), (expected, false));
        assert_eq!(read(""), (vec![], false));
        assert_eq!(read("&"), (vec![pair("", "")], false));
        assert_eq!(read("a&"), (vec![pair("a", "")], false));
    }

    #[test]
    fn an_escape_that_is_not_valid_stays_and_is_flagged() {
        assert_eq!(read("a=%zz&b=%41"), (vec![pair("a", "%zz"), pair("b", "A")], true));
        assert_eq!(read("a=100%"), (vec![pair("a", "100%")], true));
    }

    #[test]
    fn nothing_is_copied_that_stands_there() {
        let parsed = urlencoded(b"a=1&b=%41", b'&', &BodyLimits::default());
        assert!(matches!(&parsed.args[0].value, Cow::Borrowed(b"1")));
    }

    #[test]
    fn arguments_over_the_limit_are_a_fault() {
        let limits = BodyLimits { args: 2, ..BodyLimits::default() };
        assert_eq!(urlencoded(b"a&b", b'&', &limits).fault, None);
        let parsed = urlencoded(b"a;b;c", b';', &limits);
        assert_eq!((parsed.args.len(), parsed.fault), (2, Some(Fault::TooMany("arguments", 2))));
    }
}
