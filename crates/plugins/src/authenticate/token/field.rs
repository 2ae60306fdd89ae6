//! The header field that carries a token (RFC 6750 §2.1, RFC 9449 §7.1).

use std::borrow::Cow;

use bartizan_config::Invalid;
use bartizan_core::Reason;
use bartizan_wire::Fields;

use super::super::binding::Scheme;
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

/// A token as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Carried<'r> {
    /// The token alone.
    pub(crate) text: Cow<'r, str>,
    /// How it was shown.
    pub(crate) scheme: Scheme,
}

/// The field that carries a token: `Authorization` behind `Bearer` or `DPoP`, another one with or
/// without `Bearer`.
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
    pub(crate) fn token<'r>(&self, fields: &'r Fields) -> Result<Carried<'r>, FieldFault> {
        let value = fields.single(&self.name).map_err(|_| FieldFault::Repeated)?;
        let value = value.ok_or(FieldFault::Missing)?;
        let proved = behind(value, b"dpop ").filter(|_| self.needs_scheme);
        let (scheme, token) = match (proved, behind(value, b"bearer ")) {
            (Some(token), _) => (Scheme::Dpop, token),
            (None, Some(token)) => (Scheme::Bearer, token),
            (None, None) if self.needs_scheme => return Err(FieldFault::Missing),
            (None, None) => (Scheme::Bearer, value),
        };
        let text = std::str::from_utf8(token).map_err(|_| FieldFault::Malformed)?;
        if !is_token(text) {
            return Err(FieldFault::Malformed);
        }
        Ok(Carried { text: Cow::Borrowed(text), scheme })
    }
}

/// What follows a scheme, in any case (RFC 9110 §11.1).
fn behind<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (own, token) = value.split_at_checked(scheme.len())?;
    own.eq_ignore_ascii_case(scheme).then(|| token.trim_ascii_start())
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

    fn shown(name: &str, values: &[&str]) -> Result<(String, Scheme), FieldFault> {
        let mut fields = Fields::new();
        for value in values {
            fields.append(name.to_owned(), (*value).to_owned());
        }
        let token = TokenField::compile("header", name).unwrap().token(&fields);
        token.map(|token| (token.text.into_owned(), token.scheme))
    }

    fn read(name: &str, values: &[&str]) -> Result<String, FieldFault> {
        shown(name, values).map(|(text, _)| text)
    }

    #[test]
    fn dpop_is_a_scheme_in_authorization_only() {
        for value in ["DPoP a", "dpop   a"] {
            assert_eq!(shown("authorization", &[value]), Ok(("a".to_owned(), Scheme::Dpop)));
            assert_eq!(shown("x-token", &[value]), Err(FieldFault::Malformed));
        }
        for value in ["Bearer a", "bearer   a"] {
            assert_eq!(shown("authorization", &[value]), Ok(("a".to_owned(), Scheme::Bearer)));
        }
        assert_eq!(shown("authorization", &["DPoP"]), Err(FieldFault::Missing));
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

    #[test]
    fn no_token_is_longer_than_anybody_reads() {
        for (length, is_fine) in [(16_383, true), (16_384, true), (16_385, false)] {
            let token = "a".repeat(length);
            let expected = if is_fine { Ok(token.clone()) } else { Err(FieldFault::Malformed) };
            for scheme in ["Bearer", "DPoP"] {
                let value = format!("{scheme} {token}");
                assert_eq!(read("authorization", &[&value]), expected, "{length}");
            }
            assert_eq!(read("x-token", &[&token]), expected, "{length}");
            // What fills up the end counts, too.
            let filled = format!("{}==", "a".repeat(length - 2));
            assert_eq!(read("x-token", &[&filled]).is_ok(), is_fine, "{length}");
        }
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
