//! Why a request proves nothing, and what client and operator are told.

use bartizan_core::{Denial, Reason};

use super::super::binding::{Binding, BindingFault, NONCE_FIELD, Requirement};
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
    #[error(transparent)]
    Binding(#[from] BindingFault),
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
            Self::Binding(fault) => fault.reason(),
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
            Self::Binding(fault) if fault.reason() == Reason::ReplaysFull => return None,
            _ => "failed to verify jwt",
        };
        Some(message)
    }
}

/// What the values of `WWW-Authenticate` are made of (RFC 6750 §3, RFC 9449 §7.1).
#[derive(Debug)]
pub(super) struct Challenges {
    /// `realm="…"` and what else stands in every challenge.
    common: String,
    /// `algs="…"`.
    algorithms: String,
    scopes: String,
    required: Option<Requirement>,
    /// In compatibility mode a bearer's challenge says nothing more.
    is_apisix: bool,
}

impl Challenges {
    /// From `realm="…"` and the like.
    pub(super) fn new(
        common: String,
        scopes: &[String],
        binding: &Binding,
        is_apisix: bool,
    ) -> Self {
        let scopes = match scopes {
            [] => String::new(),
            scopes => format!(", scope=\"{}\"", scopes.join(" ")),
        };
        let (algorithms, required) = (binding.algorithms(), binding.required());
        Self { common, algorithms, scopes, required, is_apisix }
    }

    /// The refusal of a request. A client that has to prove possession gets the `nonce` for it.
    pub(super) fn denial(&self, fault: &Fault, nonce: Option<String>) -> Denial {
        let reason = fault.reason();
        let mut denial = Denial::new(reason, fault.to_string());
        if let Some(message) = fault.apisix_message() {
            denial = denial.with_apisix_message(message);
        }
        if denial.status() != 401 && reason != Reason::InsufficientScope {
            return denial;
        }
        let is_of_proof = matches!(fault, Fault::Binding(fault) if fault.is_of_proof());
        let asks_proof =
            is_of_proof || matches!(self.required, Some(Requirement::Dpop | Requirement::Any));
        if self.required != Some(Requirement::Dpop) && !is_of_proof {
            denial = denial.with_field("www-authenticate", self.bearer(fault));
        }
        if asks_proof {
            let Self { common, algorithms, .. } = self;
            let error = self.error(fault);
            let challenge = format!("DPoP {common}, {algorithms}{error}");
            denial = denial.with_field("www-authenticate", challenge);
            if let Some(nonce) = nonce {
                denial = denial.with_field(NONCE_FIELD, nonce);
            }
        }
        denial
    }

    fn bearer(&self, fault: &Fault) -> String {
        let error = if self.is_apisix { String::new() } else { self.error(fault) };
        format!("Bearer {}{error}", self.common)
    }

    /// The error that a challenge names; none where nothing was tried.
    fn error(&self, fault: &Fault) -> String {
        let code = match fault {
            Fault::Missing => return String::new(),
            Fault::Binding(fault) => fault.error(),
            fault if fault.reason() == Reason::InsufficientScope => "insufficient_scope",
            _ => "invalid_token",
        };
        let scopes = if code == "insufficient_scope" { self.scopes.as_str() } else { "" };
        format!(", error=\"{code}\"{scopes}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::JwtAuth;
    use super::*;
    use crate::fixture::Bench;

    fn told(fault: &Fault, is_apisix: bool) -> (u16, Option<String>, Option<String>) {
        let scopes = ["read".to_owned(), "write".to_owned()];
        let binding = Bench::new().within::<JwtAuth, _>(|cx| Binding::compile(None, None, cx));
        let binding = binding.unwrap();
        let challenges = Challenges::new("realm=\"jwt\"".to_owned(), &scopes, &binding, is_apisix);
        let denial = challenges.denial(fault, None);
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
