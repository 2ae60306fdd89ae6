//! Why a request proves nothing, and what client and operator are told.

use bartizan_core::{Denial, Reason};

use super::super::binding::BindingFault;
use super::super::provider::Lack;
use super::super::token::NameFault;
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
    #[error(transparent)]
    Name(#[from] NameFault),
    #[error(transparent)]
    Claim(#[from] ClaimFault),
    #[error(transparent)]
    Binding(#[from] BindingFault),
    /// A provider has no key for the token; a fetch may bring it, after the `seen` that have ended.
    #[error("{lack}")]
    Lack { issuer: usize, lack: Lack, seen: u64 },
}

impl Fault {
    /// The refusal of a request, without a challenge.
    pub(super) fn denial(&self) -> Denial {
        let denial = Denial::new(self.reason(), self.to_string());
        match self.apisix_message() {
            Some(message) => denial.with_apisix_message(message),
            None => denial,
        }
    }

    fn reason(&self) -> Reason {
        match self {
            Self::Missing => Reason::MissingCredential,
            Self::Carrier(CarrierFault::Repeated(_)) => Reason::AmbiguousCredential,
            Self::Carrier(CarrierFault::NotText(_)) => Reason::MalformedCredential,
            Self::Token(fault) => fault.reason(),
            Self::Claim(fault) => fault.reason(),
            Self::Binding(fault) => fault.reason(),
            Self::Lack { lack, .. } if !lack.is_of_the_token() => Reason::KeysUnavailable,
            Self::Lack { .. } | Self::NoKeyName(_) | Self::UnknownKey | Self::Name(_) => {
                Reason::InvalidCredential
            }
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
            Self::Binding(fault) if fault.reason() == Reason::ReplaysFull => return None,
            _ => "failed to verify jwt",
        };
        Some(message)
    }
}

#[cfg(test)]
mod tests {
    use bartizan_core::Timestamp;

    use super::super::super::token::{Asked, Senders};
    use super::super::JwtAuth;
    use super::*;
    use crate::fixture::Bench;

    fn told(fault: &Fault, is_apisix: bool) -> (u16, Option<String>, Option<String>) {
        let scopes = ["read".to_owned(), "write".to_owned()];
        let asked = Asked {
            binding: None,
            dpop: ("dpop", None),
            challenge: "realm=\"jwt\"".to_owned(),
            scopes: &scopes,
            is_bare: is_apisix,
        };
        let senders = Bench::new().within::<JwtAuth, _>(|cx| Senders::compile(asked, cx)).unwrap();
        let denial = senders.refusal(fault.denial(), Timestamp::from_secs(0));
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
            (NameFault::Unknown.into(), 401, Some(invalid), "failed to verify jwt"),
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
