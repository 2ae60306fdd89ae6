//! The header field that carries a token (RFC 6750 §2.1).

use bartizan_config::Invalid;
use bartizan_core::Reason;
use bartizan_wire::Fields;

use super::super::carrier::field_name;
use crate::jose::TOKEN_MAX;

/// Why a field holds no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FieldFault {
    /// It is not there, or holds a credential of another scheme.
    #[error("there is no token")]
    Missing,
    /// It is there twice.
    #[error("the field that carries the token occurs more than once")]
    Repeated,
    /// What it holds is no token.
    #[error("the token has characters that no token has, or too many")]
    Malformed,
}

impl FieldFault {
    /// The public reason.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::MissingCredential,
            Self::Repeated => Reason::AmbiguousCredential,
            Self::Malformed => Reason::MalformedCredential,
        }
    }
}

/// The field that carries a token: `Authorization` behind `Bearer`, another one with or without it.
#[derive(Debug)]
pub(crate) struct TokenField {
    name: Box<str>,
    needs_scheme: bool,
}

impl TokenField {
    /// Reads the name under `key`.
    pub(crate) fn compile(key: &str, name: &str) -> Result<Self, Invalid> {
        let name = field_name(key, name)?;
        let needs_scheme = &*name == "authorization";
        Ok(Self { name, needs_scheme })
    }

    /// The name, in lower case.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The token.
    pub(crate) fn token<'r>(&self, fields: &'r Fields) -> Result<&'r str, FieldFault> {
        const SCHEME: &[u8] = b"bearer ";
        let value = fields.single(&self.name).map_err(|_| FieldFault::Repeated)?;
        let value = value.ok_or(FieldFault::Missing)?;
        let token = match value.split_at_checked(SCHEME.len()) {
            Some((scheme, token)) if scheme.eq_ignore_ascii_case(SCHEME) => {
                token.trim_ascii_start()
            }
            _ if self.needs_scheme => return Err(FieldFault::Missing),
            _ => value,
        };
        let token = std::str::from_utf8(token).map_err(|_| FieldFault::Malformed)?;
        if is_token(token) { Ok(token) } else { Err(FieldFault::Malformed) }
    }
}

/// A `b64token` (RFC 6750 §2.1) of a length that anybody reads.
fn is_token(text: &str) -> bool {
    let plain = text.trim_end_matches('=');
    let is_of_token = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/')
    };
    !plain.is_empty() && text.len() <= TOKEN_MAX && plain.bytes().all(is_of_token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, values: &[&'static str]) -> Result<String, FieldFault> {
        let mut fields = Fields::new();
        for value in values {
            fields.append(name.to_owned(), *value);
        }
        TokenField::compile("header", name).unwrap().token(&fields).map(str::to_owned)
    }

    #[test]
    fn a_token_stands_behind_its_scheme() {
        for (value, expected) in [
            ("Bearer a", Ok("a")),
            ("bearer   a.b-c_d~e+f/g==", Ok("a.b-c_d~e+f/g==")),
            ("a", Err(FieldFault::Missing)),
            ("Basic YTpi", Err(FieldFault::Missing)),
            ("Bearer", Err(FieldFault::Missing)),
            ("Bearer ", Err(FieldFault::Malformed)),
            ("Bearer =", Err(FieldFault::Malformed)),
            ("Bearer a b", Err(FieldFault::Malformed)),
            ("Bearer a,b", Err(FieldFault::Malformed)),
            ("Bearer a&token=b", Err(FieldFault::Malformed)),
            ("Bearer ä", Err(FieldFault::Malformed)),
        ] {
            assert_eq!(read("authorization", &[value]), expected.map(str::to_owned), "{value}");
        }
        assert_eq!(read("x-token", &["a"]).as_deref(), Ok("a"));
        assert_eq!(read("x-token", &["Bearer a"]).as_deref(), Ok("a"));
        assert_eq!(read("x-token", &["a", "a"]), Err(FieldFault::Repeated));
        assert_eq!(read("x-token", &[]), Err(FieldFault::Missing));
    }

    proptest::proptest! {
        #[test]
        fn tokens_agree_with_a_naive_reading(text in "[a-zA-Z0-9._~+/=-]{0,12}|\\PC{0,12}") {
            let padding = text.chars().rev().take_while(|letter| *letter == '=').count();
            let mut letters = text.chars().take(text.chars().count() - padding).peekable();
            let naive = letters.peek().is_some()
                && letters.all(|l| l.is_ascii_alphanumeric() || "-._~+/".contains(l));
            proptest::prop_assert_eq!(is_token(&text), naive);
        }
    }
}
