//! Queries: kept as they came if they can be read at all, decoded where a rule asks for a value.

use std::borrow::Cow;

use super::path::hex_value;

/// Why a parameter, field or cookie has no one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// It occurs more than once; servers differ in which one counts.
    #[error("the parameter occurs more than once")]
    Repeated,
    /// Its decoded value is not UTF-8.
    #[error("the parameter is not UTF-8")]
    NotText,
    /// It is a list or an object.
    #[error("the value is a list or an object")]
    NotScalar,
}

impl From<crate::fields::Repeated> for QueryFault {
    fn from(_: crate::fields::Repeated) -> Self {
        Self::Repeated
    }
}

/// The query as text: visible ASCII without `#`, every percent-encoding complete and none of a
/// control character other than tab and line ends, which forms send.
pub(super) fn checked(query: &[u8]) -> Result<&str, &'static str> {
    let mut rest = query;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let [high, low, after @ ..] = after else {
                    return Err("an incomplete percent-encoding in the query");
                };
                match (hex_value(*high), hex_value(*low)) {
                    (Some(0), Some(9 | 10 | 13)) => {}
                    (Some(0 | 1), Some(_)) | (Some(7), Some(15)) => {
                        return Err("an encoded control character in the query");
                    }
                    (Some(_), Some(_)) => {}
                    _ => return Err("a percent-encoding in the query that is not hexadecimal"),
                }
                rest = after;
            }
            b'#' => return Err("a fragment in the request target"),
            b'!'..=b'~' => {}
            _ => return Err("a byte in the query that is not visible ASCII"),
        }
    }
    std::str::from_utf8(query).map_err(|_| "a query that is not ASCII")
}

/// Names and values of a query, still encoded.
#[derive(Clone, Debug)]
pub struct QueryPairs<'a> {
    rest: std::str::Split<'a, char>,
}

impl<'a> QueryPairs<'a> {
    pub(super) fn of(query: &'a str) -> Self {
        Self { rest: query.split('&') }
    }
}

impl<'a> Iterator for QueryPairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.rest.by_ref().find(|pair| !pair.is_empty())?;
        Some(pair.split_once('=').unwrap_or((pair, "")))
    }
}

/// True if an encoded key means `name`.
pub(super) fn is_named(key: &str, name: &str) -> bool {
    decoded_bytes(key).as_ref() == name.as_bytes()
}

/// A name or value of a form (`application/x-www-form-urlencoded`), decoded; `None` where an
/// encoding is incomplete or the text is not UTF-8.
pub fn decode_form(text: &str) -> Option<String> {
    checked_form(text).then(|| decoded(text).ok().map(Cow::into_owned)).flatten()
}

fn checked_form(text: &str) -> bool {
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next(), rest.next()];
            if !digits.iter().all(|d| d.is_some_and(|d| hex_value(d).is_some())) {
                return false;
            }
        }
    }
    true
}

/// The one value of `name`, decoded.
pub(super) fn value<'a>(
    pairs: QueryPairs<'a>,
    name: &str,
) -> Result<Option<Cow<'a, str>>, QueryFault> {
    let mut found = None;
    for (key, value) in pairs {
        if decoded_bytes(key).as_ref() == name.as_bytes() && found.replace(value).is_some() {
            return Err(QueryFault::Repeated);
        }
    }
    found.map(decoded).transpose()
}

/// Decodes a name or value of a query as forms encode it: `+` is a space.
pub(super) fn decoded(text: &str) -> Result<Cow<'_, str>, QueryFault> {
    match decoded_bytes(text) {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(text)),
        Cow::Owned(bytes) => {
            String::from_utf8(bytes).map(Cow::Owned).map_err(|_| QueryFault::NotText)
        }
    }
}

fn decoded_bytes(text: &str) -> Cow<'_, [u8]> {
    let bytes = text.as_bytes();
    if !bytes.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Cow::Borrowed(bytes);
    }
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'+', _) => decoded.push(b' '),
            (b'%', [high, low, after @ ..]) => {
                if let (Some(high), Some(low)) = (hex_value(*high), hex_value(*low)) {
                    decoded.push(high << 4 | low);
                    rest = after;
                } else {
                    decoded.push(byte);
                }
            }
            _ => decoded.push(byte),
        }
    }
    Cow::Owned(decoded)
}
