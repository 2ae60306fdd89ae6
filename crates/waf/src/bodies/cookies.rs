//! The `Cookie` header (RFC 6265 §4.2).

use std::borrow::Cow;

use super::urlencoded::cut;
use super::{Arg, BodyLimits, Fault, Parsed};

/// Reads the value of a `Cookie` header, as `SecCookieFormat 0` has it.
///
/// Cookies are apart by semicolons; white space before a name is passed over, and that at the end of
/// the header or before a semicolon there. Names and values stay as they are, quotes too. A cookie without a name is none.
pub(crate) fn cookies<'a>(header: &'a [u8], limits: &BodyLimits) -> Parsed<'a> {
    let mut parsed = Parsed::default();
    let header = header.strip_suffix(b";").unwrap_or(header).trim_ascii_end();
    for cookie in header.split(|byte| *byte == b';') {
        let (name, value) = cut(cookie.trim_ascii_start(), b'=');
        if name.is_empty() {
            continue;
        }
        if parsed.args.len() == limits.args {
            parsed.fault = Some(Fault::TooMany("cookies", limits.args));
            break;
        }
        let value = value.unwrap_or_default();
        parsed.args.push(Arg { name: Cow::Borrowed(name), value: Cow::Borrowed(value) });
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let parsed = cookies(header.as_bytes(), &BodyLimits::default());
        parsed.args.iter().map(|arg| (text(&arg.name), text(&arg.value))).collect()
    }

    #[test]
    fn cookies_are_apart_by_semicolons() {
        let expected = [("a", "1"), ("b", "2 "), ("c", ""), ("e", "f=\"g h\"")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read("a=1; b=2 ;;c;=d; e=f=\"g h\" "), expected);
        assert_eq!(read(" ; "), []);
    }

    #[test]
    fn cookies_over_the_limit_are_a_fault() {
        let limits = BodyLimits { args: 1, ..BodyLimits::default() };
        let parsed = cookies(b"a=1;b=2", &limits);
        assert_eq!((parsed.args.len(), parsed.fault), (1, Some(Fault::TooMany("cookies", 1))));
    }
}
