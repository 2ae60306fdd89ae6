//! What a client is told whose token does not count (RFC 6750 §3, RFC 9728 §5.1).

use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use bartizan_net::{Url, is_loopback};

use super::super::carrier::Realm;
use crate::outgoing::without_userinfo;

/// The values of `WWW-Authenticate` (RFC 6750 §3), made once.
#[derive(Debug)]
pub(crate) struct Challenges {
    missing: String,
    invalid: String,
    insufficient: String,
}

impl Challenges {
    /// From `Bearer realm="…"`. Where `is_bare`, as Apache APISIX has it, that is all there is.
    pub(crate) fn new(bearer: String, scopes: &[String], is_bare: bool) -> Self {
        if is_bare {
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

    /// The refusal with the challenge that belongs to its reason; without one where no other token
    /// would help.
    pub(crate) fn attach(&self, denial: Denial) -> Denial {
        let challenge = match denial.reason {
            Reason::MissingCredential => &self.missing,
            Reason::InsufficientScope => &self.insufficient,
            _ if denial.status() == 401 => &self.invalid,
            _ => return denial,
        };
        denial.with_field("www-authenticate", challenge.clone())
    }
}

/// The challenge of every refusal: scheme, realm, and where the resource's metadata is.
pub(crate) fn bearer(
    realm: Option<&Realm>,
    usual: &str,
    resource_metadata: Option<&str>,
) -> Result<String, Invalid> {
    const KEY: &str = "resource_metadata";
    let mut bearer = Realm::challenge(realm, "Bearer", usual);
    let Some(address) = resource_metadata else { return Ok(bearer) };
    let url = Url::parse(address)
        .map_err(|fault| Invalid::at(KEY, format!("`{}` {fault}", without_userinfo(address))))?;
    if !url.is_tls && !is_loopback(&url.host) {
        return Err(Invalid::at(KEY, "clients must be able to believe it")
            .with_help("use `https` (RFC 9728 §3)"));
    }
    if address.contains(['"', '\\']) {
        return Err(Invalid::at(KEY, "a quote or backslash ends what clients read"));
    }
    bearer.extend([", resource_metadata=\"", address, "\""]);
    Ok(bearer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_are_challenged_whom_another_token_would_help() {
        let scopes = ["read".to_owned(), "write".to_owned()];
        let challenges = Challenges::new("Bearer realm=\"a\"".to_owned(), &scopes, false);
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
            let denial = challenges.attach(Denial::new(reason, ""));
            let field = denial.fields.first().map(|(_, value)| value.as_str());
            assert_eq!(field, told, "{reason:?}");
        }
    }
}
