//! What the upstream learns of the token.

use bartizan_chain::IdentityParts;
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::config::Config;

/// Longest `X-Userinfo`.
const USERINFO_MAX: usize = 8 * 1024;

/// What is forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Forwarded {
    token: Option<TokenPlace>,
    has_claims: bool,
}

/// Where the upstream finds the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenPlace {
    Authorization,
    OwnField,
}

/// A field to set.
type Field = (&'static str, Bytes);

impl Forwarded {
    /// What configuration says; in compatibility mode everything, if it says nothing.
    pub(super) fn compile(config: &Config, is_apisix: bool) -> Result<Self, Invalid> {
        let has_token = config.set_access_token_header.unwrap_or(is_apisix);
        let in_authorization = config.access_token_in_authorization_header;
        if in_authorization && !has_token {
            let key = "access_token_in_authorization_header";
            return Err(Invalid::at(key, "the token is not forwarded")
                .with_help("write `set_access_token_header: true`, too"));
        }
        let place = if in_authorization { TokenPlace::Authorization } else { TokenPlace::OwnField };
        Ok(Self {
            token: has_token.then_some(place),
            has_claims: config.set_userinfo_header.unwrap_or(is_apisix),
        })
    }

    /// The fields that tell of a token, and of whom it proved.
    pub(super) fn fields(
        self,
        token: &str,
        parts: &IdentityParts,
    ) -> Result<[Option<Field>; 2], Denial> {
        let token = self.token.map(|place| match place {
            TokenPlace::Authorization => ("authorization", Bytes::from(format!("Bearer {token}"))),
            TokenPlace::OwnField => ("x-access-token", Bytes::copy_from_slice(token.as_bytes())),
        });
        let claims = parts.claims.as_ref().filter(|_| self.has_claims);
        let userinfo = claims.map(|claims| STANDARD.encode(claims.to_string()));
        if userinfo.as_ref().is_some_and(|text| text.len() > USERINFO_MAX) {
            let detail = format!("the claims take more than {USERINFO_MAX} bytes in `X-Userinfo`");
            return Err(Denial::new(Reason::InvalidCredential, detail));
        }
        Ok([token, userinfo.map(|text| ("x-userinfo", Bytes::from(text)))])
    }
}
