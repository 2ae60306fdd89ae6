//! Why a request proves nothing, and what client and operator are told.

use bartizan_core::{Denial, Reason};

use super::super::provider::Lack;
use super::carriers::CarrierFault;
use crate::jose::{ClaimFault, TokenFault};

/// Why a request proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Fault {
    #[error("there is no token in field, parameter or cookie")]
    Missing,
    #[error(transparent)]
    Carrier(#[from] CarrierFault),
    #[error(transparent)]
    Token(#[from] TokenFault),
    #[error("the token has no text `{0}` that names a key")]
    NoKeyName(Box<str>),
    #[error("the key that the token names belongs to nobody")]
    UnknownKey,
    #[error("the token has no text `{0}` that names a consumer")]
    NoConsumerName(Box<str>),
    #[error("the consumer that the token names does not exist")]
    UnknownConsumer,
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    /// A provider has no key for the token; a fetch may bring it, after the `seen` that have ended.
    #[error("{lack}")]
    Lack { issuer: usize, lack: Lack, seen: u64 },
}

impl Fault {
    fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::MissingCredential,
            Self::Carrier(CarrierFault::Repeated(_)) => Reason::AmbiguousCredential,
            Self::Carrier(CarrierFault::NotText(_)) => Reason::MalformedCredential,
            Self::Token(fault) => fault.reason(),
            Self::Claim(fault) => fault.reason(),
            Self::Lack { lack, .. } if !lack.is_of_the_token() => Reason::KeysUnavailable,
            Self::Lack { .. }
            | Self::NoKeyName(_)
            | Self::UnknownKey
            | Self::NoConsumerName(_)
            | Self::UnknownConsumer => Reason::InvalidCredential,
        }
    }

    /// What Apache APISIX says; nothing for what it does not check.
    fn apisix_message(&self) -> Option<&'static str> {
        let message = match self {
            Self::Missing => "Missing JWT token in request",
            Self::Carrier(_) => "JWT token invalid",
            Self::Token(fault) if fault.reason() == Reason::MalformedCredential => {
                "JWT token invalid"
            }
            Self::NoKeyName(_) => "missing user key in JWT token",
            Self::UnknownKey => "Invalid user key in JWT token",
            Self::Claim(fault) if fault.is_forbidden() => return None,
            Self::Lack { lack, .. } if !lack.is_of_the_token() => return None,
            _ => "failed to verify jwt",
        };
        Some(message)
    }
}

/// The values of `WWW-Authenticate` (RFC 6750 §3), made once.
#[derive(Debug)]
pub(super) struct Challenges {
    missing: String,
    invalid: String,
    insufficient: String,
}

impl Challenges {
    /// From `Bearer realm="…"`. In compatibility mode that is all there is.
    pub(super) fn new(bearer: String, scopes: &[String], is_apisix: bool) -> Self {
        if is_apisix {
            return Self { missing: bearer.clone(), invalid: bearer.clone(), insufficient: bearer };
        }
        let asked = match scopes {
            [] => String::new(),
            scopes => format!(", scope=\"{}\"", scopes.join(" ")),
        };
        let insufficient = format!("{bearer}, error=\"insufficient_scope\"{asked}");
        let invalid = format!("{bearer}, error=\"invalid_token\"");
        Self { missing: bearer, invalid, insufficient }
    }

    /// The refusal of a request.
    pub(super) fn denial(&self, fault: &Fault) -> Denial {
        let reason = fault.reason();
        let denial = Denial::new(reason, fault.to_string());
        let denial = match fault.apisix_message() {
            Some(message) => denial.with_apisix_message(message),
            None => denial,
        };
        let challenge = match reason {
            Reason::AmbiguousCredential | Reason::KeysUnavailable => return denial,
            Reason::MissingCredential => &self.missing,
            Reason::InsufficientScope => &self.insufficient,
            _ => &self.invalid,
        };
        denial.with_field("www-authenticate", challenge.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fault: &Fault, is_apisix: bool) -> (u16, Option<String>, Option<String>) {
        let scopes = ["read".to_owned(), "write".to_owned()];
        let challenges = Challenges::new("Bearer realm=\"jwt\"".to_owned(), &scopes, is_apisix);
        let denial = challenges.denial(fault);
        let field = denial.fields.first().map(|(name, value)| {
            assert_eq!(name, "www-authenticate");
            value.clone()
        });
        (denial.status(), field, denial.apisix_message.as_deref().map(str::to_owned))
    }

    #[test]
    fn clients_learn_what_rfc_6750_says_and_apisix_said() {
        let bearer = "Bearer realm=\"jwt\"";
        let invalid = "Bearer realm=\"jwt\", error=\"invalid_token\"";
        for (fault, status, challenge, message) in [
            (Fault::Missing, 401, Some(bearer), "Missing JWT token in request"),
            (TokenFault::NotThreeParts.into(), 401, Some(invalid), "JWT token invalid"),
            (TokenFault::Signature.into(), 401, Some(invalid), "failed to verify jwt"),
            (Fault::NoKeyName("key".into()), 401, Some(invalid), "missing user key in JWT token"),
            (Fault::UnknownKey, 401, Some(invalid), "Invalid user key in JWT token"),
            (Fault::UnknownConsumer, 401, Some(invalid), "failed to verify jwt"),
            (ClaimFault::Expired.into(), 401, Some(invalid), "failed to verify jwt"),
            (CarrierFault::Repeated("field").into(), 400, None, "JWT token invalid"),
        ] {
            let (challenge, message) = (challenge.map(str::to_owned), Some(message.to_owned()));
            assert_eq!(told(&fault, false), (status, challenge, message.clone()), "{fault}");
            let expected = (status != 400).then(|| bearer.to_owned());
            assert_eq!(told(&fault, true), (status, expected, message), "{fault}");
        }
    }

    #[test]
    fn a_good_token_that_does_not_suffice_is_told_the_scopes() {
        let (status, challenge, message) = told(&ClaimFault::Scope("write".into()).into(), false);
        let expected = "Bearer realm=\"jwt\", error=\"insufficient_scope\", scope=\"read write\"";
        assert_eq!((status, challenge.as_deref(), message), (403, Some(expected), None));
    }
}
