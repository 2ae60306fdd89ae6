//! Single parameters of the query as parts of what is signed (RFC 9421 §2.2.8).

use std::fmt::Write as _;

use bartizan_wire::decode_form;

use super::fault::Fault;

/// What stands before the name, and behind it, in configurations and in what clients are told.
const BEFORE: &str = "@query-param;name=\"";
const BEHIND: &str = "\"";

/// The name under which a parameter is known among what is signed.
pub(super) fn known_as(encoded: &str) -> String {
    [BEFORE, encoded, BEHIND].concat()
}

/// The encoded name of the parameter that is known as this.
pub(super) fn named(text: &str) -> Option<&str> {
    let name = text.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?;
    is_encoded(name).then_some(name)
}

/// Whether a name has the one spelling in which it can be signed.
pub(super) fn is_encoded(name: &str) -> bool {
    decode_form(name).is_some_and(|decoded| encode(&decoded) == name)
}

/// The parameters of a query, with their names decoded: once, however many of them are signed.
pub(super) struct Query<'q>(Vec<(String, &'q str)>);

impl<'q> Query<'q> {
    /// Reads a query.
    pub(super) fn read(query: &'q str) -> Result<Self, Fault> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode_form(key).ok_or(Fault::NotText)?, value))
        });
        pairs.collect::<Result<_, _>>().map(Self)
    }

    /// The encoded value of the one parameter of an encoded name. One that occurs twice is refused:
    /// servers differ in which of them counts.
    pub(super) fn value(&self, name: &str) -> Result<String, Fault> {
        // A name of another spelling names nothing.
        let decoded = decode_form(name).filter(|decoded| encode(decoded) == name);
        let decoded = decoded.ok_or(Fault::AbsentParameter)?;
        let mut found = self.0.iter().filter(|(key, _)| *key == decoded).map(|(_, value)| *value);
        let value = found.next().ok_or(Fault::AbsentParameter)?;
        if found.next().is_some() {
            return Err(Fault::RepeatedParameter);
        }
        Ok(encode(&decode_form(value).ok_or(Fault::NotText)?))
    }
}

/// A decoded name or value as it is signed: everything is escaped but letters, digits and `*-._`.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_') {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(query: &str, name: &str) -> Result<String, Fault> {
        Query::read(query)?.value(name)
    }

    /// The query of RFC 9421 §2.2.8.
    const QUERY: &str = "var=this%20is%20a%20big%0Amultiline%20value&bar=with+plus+whitespace\
                         &fa%C3%A7ade%22%3A%20=something";

    #[test]
    fn parameters_are_signed_in_one_spelling() {
        for (query, name, expected) in [
            (QUERY, "var", Ok("this%20is%20a%20big%0Amultiline%20value")),
            (QUERY, "bar", Ok("with%20plus%20whitespace")),
            (QUERY, "fa%C3%A7ade%22%3A%20", Ok("something")),
            (QUERY, "fa%c3%a7ade%22%3a%20", Err(Fault::AbsentParameter)),
            ("a=%7e%2A*-._!'()", "a", Ok("%7E**-._%21%27%28%29")),
            ("a", "a", Ok("")),
            ("a=", "a", Ok("")),
            ("=1", "", Ok("1")),
            ("&&a=b=c&", "a", Ok("b%3Dc")),
            ("b=1", "a", Err(Fault::AbsentParameter)),
            ("", "", Err(Fault::AbsentParameter)),
            ("a=1&a=1", "a", Err(Fault::RepeatedParameter)),
            ("a=1&%61=2", "a", Err(Fault::RepeatedParameter)),
            ("a+=1&a%20=2", "a%20", Err(Fault::RepeatedParameter)),
            ("a=%FF", "a", Err(Fault::NotText)),
            ("%FF=1&a=1", "a", Err(Fault::NotText)),
            ("a=1;a=2", "a", Ok("1%3Ba%3D2")),
        ] {
            assert_eq!(value(query, name), expected.map(str::to_owned), "{query} {name}");
        }
    }

    #[test]
    fn a_name_has_one_spelling() {
        for name in ["a", "A-b_c.d*", "fa%C3%A7ade%22%3A%20", ""] {
            assert!(is_encoded(name), "{name}");
            assert_eq!(named(&known_as(name)), Some(name));
        }
        for name in ["a b", "a+b", "%61", "%c3%a7", "a\"", "a%2", "%FF", "é", "~"] {
            assert!(!is_encoded(name), "{name}");
            assert_eq!(named(&known_as(name)), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn every_text_can_be_signed_and_read_again(text in ".{0,24}") {
            let encoded = encode(&text);
            proptest::prop_assert!(is_encoded(&encoded));
            let query = format!("x=1&a={encoded}");
            proptest::prop_assert_eq!(value(&query, "a"), Ok(encoded));
        }
    }
}
