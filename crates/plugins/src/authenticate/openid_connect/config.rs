//! The configuration of `openid-connect`.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_config::Invalid;
use bartizan_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::binding::{DpopConfig, Requirement};
use super::super::carrier::Realm;
use super::super::introspection::{ClientSettings, IntrospectionSettings, Method};
use super::super::provider::{ProviderSettings, Source, WELL_KNOWN};
use crate::jose::Algorithm;
use crate::outgoing::Pem;

/// How long a good token is remembered where `introspection_interval` says nothing.
const REMEMBER: Duration = Duration::from_secs(30);
/// How long a bad one is.
const REMEMBER_REFUSED: Duration = Duration::from_secs(5);

/// The configuration of `openid-connect`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "they are switches in configuration")]
pub struct Config {
    /// Whether callers have to bring a token. It has to be `true`: there is no login yet.
    #[serde(default)]
    pub(super) bearer_only: bool,
    /// The address of the provider's metadata, which ends in `/.well-known/openid-configuration`;
    /// what stands before it is the issuer, with or without a slash at its end.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) discovery: String,
    /// The gateway's name at the provider. It is what `match_with_client_id` looks for.
    #[schemars(length(min = 1, max = 1_024))]
    pub(super) client_id: String,
    /// The gateway's secret, for introspection. With `use_jwks` it means nothing: accepted in
    /// compatibility mode only.
    pub(super) client_secret: Option<Secret>,
    /// Whether tokens are verified with the keys of the provider. Otherwise the provider is asked
    /// about each.
    #[serde(default)]
    pub(super) use_jwks: bool,
    /// Where the provider answers questions about tokens; if left out, the metadata says.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) introspection_endpoint: Option<String>,
    /// How the gateway proves at the provider who it is.
    pub(super) introspection_endpoint_auth_method: Option<AuthMethod>,
    /// Seconds for which it is remembered at most that a token is good, never longer than it lives;
    /// 30 if left out or 0.
    #[schemars(range(max = 600))]
    pub(super) introspection_interval: Option<u32>,
    /// How assertions of the gateway are signed; `HS256` if left out, `RS256` with a private key.
    pub(super) client_jwt_assertion_alg: Option<Algorithm>,
    /// Whom assertions are for; the issuer if left out.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) client_jwt_assertion_audience: Option<String>,
    /// Seconds for which an assertion is good; 60 if left out.
    #[schemars(range(min = 10, max = 300))]
    pub(super) client_jwt_assertion_expires_in: Option<u32>,
    /// The gateway's private key in PEM, for `private_key_jwt`.
    pub(super) client_rsa_private_key: Option<Secret>,
    /// What the provider calls that key.
    #[schemars(length(min = 1, max = 256))]
    pub(super) client_rsa_private_key_id: Option<String>,
    /// Servers, as `host` or `host:port`, at which the metadata may say that keys are or that
    /// questions are answered, beside the one that it comes from.
    #[schemars(length(min = 1, max = 16))]
    pub(super) endpoint_hosts: Option<Vec<String>>,
    /// Seconds between two fetches of the keys at most.
    #[schemars(range(min = 60, max = 86_400))]
    pub(super) jwk_expires_in: Option<u32>,
    /// Whether verdicts on signatures are not remembered.
    #[serde(default)]
    pub(super) jwt_verification_cache_ignore: bool,
    /// Seconds that clocks may differ. Left out, nothing; in compatibility mode 120.
    #[schemars(range(max = 600))]
    pub(super) iat_slack: Option<u32>,
    /// Who may have issued a token, and for whom.
    pub(super) claim_validator: Option<ClaimValidator>,
    /// Audiences of which the token must have one, in place of `match_with_client_id`.
    #[schemars(length(min = 1, max = 64))]
    pub(super) audiences: Option<Vec<String>>,
    /// Accepts tokens whatever they are meant for. Whoever gets a token for another service of the
    /// same provider can use it here.
    #[serde(default)]
    pub(super) danger_any_audience: bool,
    /// Scopes that must all be granted; else 403.
    #[schemars(length(min = 1))]
    pub(super) required_scopes: Option<Vec<String>>,
    /// Claims that must all have the value, or one of the values, given here; else 403. A name may
    /// lead into objects: `realm_access.roles`.
    #[schemars(extend("minProperties" = 1))]
    pub(super) required_claims: Option<BTreeMap<String, Value>>,
    /// To what tokens must be bound, so that nobody but their sender can use them; nothing if left
    /// out. A token that says what it is bound to is never accepted without that.
    pub(super) require_binding: Option<Requirement>,
    /// How proofs of possession are judged, as `dpop` of `jwt-auth` says it; here that name is the
    /// login's.
    pub(super) dpop_proofs: Option<DpopConfig>,
    /// The claim that names the consumer, who must exist. Without it there is no consumer.
    #[schemars(length(min = 1))]
    pub(super) consumer_claim: Option<String>,
    /// The realm that a 401 names; `apisix` if left out.
    pub(super) realm: Option<Realm>,
    /// The address of this resource's metadata (RFC 9728), which a 401 and a 403 then name.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) resource_metadata: Option<String>,
    /// Whether the upstream gets the token. Left out, it does not; in compatibility mode it does.
    pub(super) set_access_token_header: Option<bool>,
    /// Whether that is in `Authorization`, and not in `X-Access-Token`.
    #[serde(default)]
    pub(super) access_token_in_authorization_header: bool,
    /// Whether the upstream gets the claims in `X-Userinfo`, as base64 of JSON. Left out, it does
    /// not; in compatibility mode it does.
    pub(super) set_userinfo_header: Option<bool>,
    /// Seconds that one call to the provider may take.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 30))]
    pub(super) timeout: u32,
    /// The provider's certificate is verified always, so that `false` is refused.
    pub(super) ssl_verify: Option<bool>,
    /// PEM of the authorities that may have signed the provider's certificate; the system's if left
    /// out.
    pub(super) ca_certs: Option<Pem>,
}

fn three() -> u32 {
    3
}

/// How the gateway proves at the provider who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AuthMethod {
    /// With its secret in `Authorization`.
    ClientSecretBasic,
    /// With its secret in the form.
    ClientSecretPost,
    /// With a signature under its secret.
    ClientSecretJwt,
    /// With a signature of its private key.
    PrivateKeyJwt,
}

/// Who may have issued a token, and for whom.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct ClaimValidator {
    /// Who may have issued it.
    pub(super) issuer: Option<IssuerValidator>,
    /// For whom it must be.
    pub(super) audience: Option<AudienceValidator>,
}

/// Who may have issued a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct IssuerValidator {
    /// The names of the provider as an issuer, in place of what `discovery` says. Its metadata must
    /// have one of them.
    #[schemars(length(min = 1, max = 8))]
    pub(super) valid_issuers: Option<Vec<String>>,
}

/// For whom a token must be.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct AudienceValidator {
    /// The claim that names audiences; `aud` if left out.
    #[schemars(length(min = 1))]
    pub(super) claim: Option<String>,
    /// An audience that is asked for must be there always, so that `false` is refused.
    pub(super) required: Option<bool>,
    /// Whether the token must be for `client_id`.
    #[serde(default)]
    pub(super) match_with_client_id: bool,
}

impl Config {
    /// How far clocks may differ.
    pub(super) fn leeway(&self, is_apisix: bool) -> Duration {
        let usual = if is_apisix { 120 } else { 0 };
        Duration::from_secs(self.iat_slack.unwrap_or(usual).into())
    }

    /// The names of the issuer.
    pub(super) fn issuers(&self) -> Result<Vec<String>, Invalid> {
        let validator = self.claim_validator.as_ref().and_then(|all| all.issuer.as_ref());
        if let Some(issuers) = validator.and_then(|issuer| issuer.valid_issuers.clone()) {
            return Ok(issuers);
        }
        match self.discovery.strip_suffix(WELL_KNOWN) {
            Some(issuer) => Ok(vec![issuer.to_owned(), format!("{issuer}/")]),
            None => Err(Invalid::at("discovery", "no issuer follows from the address").with_help(
                "write an address that ends in `/.well-known/openid-configuration`, or \
                 `claim_validator.issuer.valid_issuers`",
            )),
        }
    }

    /// The provider whose keys verify tokens.
    pub(super) fn provider(&self) -> Result<ProviderSettings, Invalid> {
        let mut issuers = self.issuers()?.into_iter();
        let refresh = self.jwk_expires_in.unwrap_or(3_600);
        Ok(ProviderSettings {
            issuer: issuers.next().unwrap_or_default(),
            aliases: issuers.collect(),
            source: Source::Discovery,
            key: "discovery",
            address: self.discovery.clone(),
            hosts: self.endpoint_hosts.clone().unwrap_or_default(),
            hosts_key: "endpoint_hosts",
            ca_certs: self.ca_certs.clone(),
            danger_clear_http: false,
            timeout: Duration::from_secs(self.timeout.into()),
            refresh: Duration::from_secs(refresh.into()),
            stale: Duration::from_secs(86_400),
        })
    }

    /// The provider as it is asked about tokens.
    pub(in crate::authenticate) fn introspection(&self) -> Result<IntrospectionSettings, Invalid> {
        let (key, address) = match &self.introspection_endpoint {
            Some(address) => ("introspection_endpoint", address),
            None => ("discovery", &self.discovery),
        };
        let remember = match self.introspection_interval {
            None | Some(0) => REMEMBER,
            Some(seconds) => Duration::from_secs(seconds.into()),
        };
        Ok(IntrospectionSettings {
            issuers: self.issuers()?,
            key,
            address: address.clone(),
            is_metadata: self.introspection_endpoint.is_none(),
            hosts: ("endpoint_hosts", self.endpoint_hosts.clone().unwrap_or_default()),
            client: self.client(),
            ca_certs: self.ca_certs.clone(),
            own: None,
            danger_clear_http: false,
            timeout: Duration::from_secs(self.timeout.into()),
            remember,
            remember_refused: REMEMBER_REFUSED,
        })
    }

    fn client(&self) -> ClientSettings {
        ClientSettings {
            id: self.client_id.clone(),
            method: match self.introspection_endpoint_auth_method {
                None | Some(AuthMethod::ClientSecretBasic) => Method::Basic,
                Some(AuthMethod::ClientSecretPost) => Method::Post,
                Some(AuthMethod::ClientSecretJwt) => Method::SecretAssertion,
                Some(AuthMethod::PrivateKeyJwt) => Method::KeyAssertion,
            },
            secret: ("client_secret", self.client_secret.clone()),
            key: ("client_rsa_private_key", self.client_rsa_private_key.clone()),
            algorithm: ("client_jwt_assertion_alg", self.client_jwt_assertion_alg),
            key_id: ("client_rsa_private_key_id", self.client_rsa_private_key_id.clone()),
            audience: ("client_jwt_assertion_audience", self.client_jwt_assertion_audience.clone()),
            lifetime: (
                "client_jwt_assertion_expires_in",
                self.client_jwt_assertion_expires_in.map(|s| Duration::from_secs(s.into())),
            ),
            certificate: ("ca_certs", false),
        }
    }

    /// A field that has no effect with the keys of the provider, or without them.
    pub(super) fn unused(&self) -> Option<&'static str> {
        let of_introspection = [
            ("introspection_endpoint", self.introspection_endpoint.is_some()),
            (
                "introspection_endpoint_auth_method",
                self.introspection_endpoint_auth_method.is_some(),
            ),
            ("introspection_interval", self.introspection_interval.is_some()),
            ("client_jwt_assertion_alg", self.client_jwt_assertion_alg.is_some()),
            ("client_jwt_assertion_audience", self.client_jwt_assertion_audience.is_some()),
            ("client_jwt_assertion_expires_in", self.client_jwt_assertion_expires_in.is_some()),
            ("client_rsa_private_key", self.client_rsa_private_key.is_some()),
            ("client_rsa_private_key_id", self.client_rsa_private_key_id.is_some()),
        ];
        let of_keys = [
            ("jwk_expires_in", self.jwk_expires_in.is_some()),
            ("jwt_verification_cache_ignore", self.jwt_verification_cache_ignore),
        ];
        let fields: &[_] = if self.use_jwks { &of_introspection } else { &of_keys };
        fields.iter().find(|(_, is_there)| *is_there).map(|(key, _)| *key)
    }
}
