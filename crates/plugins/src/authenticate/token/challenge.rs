//! What a client is told whose token does not count (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1).

use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use bartizan_net::{Url, is_loopback};

use super::super::binding::{Binding, BindingFault, NONCE_FIELD, Requirement};
use super::super::carrier::Realm;
use crate::outgoing::without_userinfo;

const CHALLENGE: &str = "www-authenticate";

/// What the values of `WWW-Authenticate` are made of.
#[derive(Debug)]
pub(crate) struct Challenges {
    /// `realm="…"` and what else stands in every challenge.
    common: String,
    /// `algs="…"`.
    algorithms: String,
    scopes: String,
    required: Option<Requirement>,
    /// As Apache APISIX has it, a bearer's challenge says nothing more.
    is_bare: bool,
}

impl Challenges {
    /// From `realm="…"` and the like.
    pub(crate) fn new(common: String, scopes: &[String], binding: &Binding, is_bare: bool) -> Self {
        let scopes = match scopes {
            [] => String::new(),
            scopes => format!(", scope=\"{}\"", scopes.join(" ")),
        };
        let (algorithms, required) = (binding.algorithms(), binding.required());
        Self { common, algorithms, scopes, required, is_bare }
    }

    /// The refusal with the challenge that belongs to its reason; without one where no other token
    /// would help. A client that has to prove possession gets the `nonce` for it.
    pub(super) fn attach(
        &self,
        mut denial: Denial,
        fault: Option<&BindingFault>,
        nonce: Option<String>,
    ) -> Denial {
        if denial.status() != 401 && denial.reason != Reason::InsufficientScope {
            return denial;
        }
        let is_of_proof = fault.is_some_and(BindingFault::is_of_proof);
        let asks_proof =
            is_of_proof || matches!(self.required, Some(Requirement::Dpop | Requirement::Any));
        let error = self.error(denial.reason, fault);
        let common = &self.common;
        if self.required != Some(Requirement::Dpop) && !is_of_proof {
            let error = if self.is_bare { "" } else { error.as_str() };
            denial = denial.with_field(CHALLENGE, format!("Bearer {common}{error}"));
        }
        if asks_proof {
            let challenge = format!("DPoP {common}, {}{error}", self.algorithms);
            denial = denial.with_field(CHALLENGE, challenge);
            if let Some(nonce) = nonce {
                denial = denial.with_field(NONCE_FIELD, nonce);
            }
        }
        denial
    }

    /// The error that a challenge names; none where nothing was tried.
    fn error(&self, reason: Reason, fault: Option<&BindingFault>) -> String {
        match (fault, reason) {
            (Some(fault), _) => format!(", error=\"{}\"", fault.error()),
            (None, Reason::MissingCredential) => String::new(),
            (None, Reason::InsufficientScope) => {
                format!(", error=\"insufficient_scope\"{}", self.scopes)
            }
            (None, _) => ", error=\"invalid_token\"".to_owned(),
        }
    }
}

/// What stands in every challenge: realm, and where the resource's metadata is.
pub(crate) fn challenge(
    realm: Option<&Realm>,
    usual: &str,
    resource_metadata: Option<&str>,
) -> Result<String, Invalid> {
    const KEY: &str = "resource_metadata";
    let mut challenge = Realm::parameter(realm, usual);
    let Some(address) = resource_metadata else { return Ok(challenge) };
    let url = Url::parse(address)
        .map_err(|fault| Invalid::at(KEY, format!("`{}` {fault}", without_userinfo(address))))?;
    if !url.is_tls && !is_loopback(&url.host) {
        return Err(Invalid::at(KEY, "clients must be able to believe it")
            .with_help("use `https` (RFC 9728 §3)"));
    }
    if address.contains(['"', '\\']) {
        return Err(Invalid::at(KEY, "a quote or backslash ends what clients read"));
    }
    challenge.extend([", resource_metadata=\"", address, "\""]);
    Ok(challenge)
}

#[cfg(test)]
mod tests {
    use super::super::super::jwt_auth::JwtAuth;
    use super::*;
    use crate::fixture::Bench;

    #[test]
    fn only_those_are_challenged_whom_another_token_would_help() {
        let scopes = ["read".to_owned(), "write".to_owned()];
        let binding =
            Bench::new().within::<JwtAuth, _>(|cx| Binding::compile(None, ("dpop", None), cx));
        let challenges =
            Challenges::new("realm=\"a\"".to_owned(), &scopes, &binding.unwrap(), false);
        for (reason, told) in [
            (Reason::MissingCredential, Some("Bearer realm=\"a\"")),
            (Reason::InvalidCredential, Some("Bearer realm=\"a\", error=\"invalid_token\"")),
            (Reason::ExpiredCredential, Some("Bearer realm=\"a\", error=\"invalid_token\"")),
            (
                Reason::InsufficientScope,
                Some("Bearer realm=\"a\", error=\"insufficient_scope\", scope=\"read write\""),
            ),
            (Reason::AmbiguousCredential, None),
            (Reason::KeysUnavailable, None),
            (Reason::IntrospectionFailed, None),
            (Reason::TooManyWaiting, None),
        ] {
            let denial = challenges.attach(Denial::new(reason, ""), None, None);
            let field = denial.fields.first().map(|(_, value)| value.as_str());
            assert_eq!(field, told, "{reason:?}");
        }
    }
}
