//! The configuration of `oauth-introspection`.

use std::collections::BTreeMap;
use std::time::Duration;

use bartizan_config::Invalid;
use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::super::binding::{DpopConfig, Requirement};
use super::super::carrier::Realm;
use super::super::introspection::{ClientSettings, IntrospectionSettings, Method};
use super::super::provider::well_known;
use super::super::token::{Demands, within};
use crate::jose::Algorithm;
use crate::outgoing::{OwnCertificate, Pem};

/// Time for one call, unless configuration says another.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How long a good token is remembered, unless configuration says another time.
const REMEMBER: Duration = Duration::from_secs(30);
/// How long a bad one is.
const REMEMBER_REFUSED: Duration = Duration::from_secs(5);

/// The configuration of `oauth-introspection`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header field that carries the token: `Authorization` behind `Bearer` or `DPoP`,
    /// another one with `Bearer` or without.
    #[serde(default = "authorization")]
    #[schemars(length(min = 1, max = 256))]
    pub(super) header: String,
    /// Whether the token is taken out of what the upstream sees.
    #[serde(default = "yes")]
    pub(super) hide_credentials: bool,
    /// The realm that a 401 names; `oauth` if left out.
    pub(super) realm: Option<Realm>,
    /// The address of this resource's metadata (RFC 9728), which a 401 and a 403 then name, so that
    /// clients find out where tokens are to be had.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) resource_metadata: Option<String>,
    /// The issuer, letter for letter as its metadata names it, and its answers where they name one.
    /// Its metadata, at `/.well-known/openid-configuration` below it, says where it answers, unless
    /// `discovery_uri` or `introspection_endpoint` is there.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) issuer: Option<String>,
    /// Where the metadata is, if not below the issuer.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) discovery_uri: Option<String>,
    /// Where the issuer answers; no metadata is fetched then.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) introspection_endpoint: Option<String>,
    /// Servers, as `host` or `host:port`, at which the metadata may say that the issuer answers,
    /// beside the one that it comes from.
    #[schemars(length(min = 1, max = 16))]
    pub(super) endpoint_hosts: Option<Vec<String>>,
    /// The gateway's name at the issuer.
    #[schemars(length(min = 1, max = 1_024))]
    pub(super) client_id: String,
    /// How the gateway proves at the issuer who it is.
    #[serde(default)]
    pub(super) client_auth_method: AuthMethod,
    /// The gateway's secret, for the methods with `secret` in their name.
    pub(super) client_secret: Option<Secret>,
    /// The gateway's private key in PEM, for `private_key_jwt`.
    pub(super) assertion_key: Option<Secret>,
    /// What the issuer calls that key.
    #[schemars(length(min = 1, max = 256))]
    pub(super) assertion_key_id: Option<String>,
    /// How assertions are signed: `HS256` if left out, `RS256` with a private key.
    pub(super) assertion_algorithm: Option<Algorithm>,
    /// Whom assertions are for; if left out the issuer, or else `introspection_endpoint`.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) assertion_audience: Option<String>,
    /// PEM of the gateway's certificate and its chain, for `tls_client_auth`.
    pub(super) client_cert: Option<Pem>,
    /// PEM of the key of that certificate.
    pub(super) client_cert_key: Option<Secret>,
    /// Audiences of which `aud` must have one. Required, unless `danger_any_audience` is there.
    #[schemars(length(min = 1, max = 64))]
    pub(super) audiences: Option<Vec<String>>,
    /// Accepts tokens whatever they are meant for. Whoever gets a token for another service of the
    /// same issuer can use it here.
    #[serde(default)]
    pub(super) danger_any_audience: bool,
    /// Clients, by `client_id`, whose tokens are accepted; those of all if left out.
    #[schemars(length(min = 1, max = 256))]
    pub(super) clients: Option<Vec<String>>,
    /// Scopes that must all be granted, by the claims of `scope_claims`; else 403.
    #[schemars(length(min = 1))]
    pub(super) required_scopes: Option<Vec<String>>,
    /// The claims that grant scopes, each with spaces between them or as a list; `scope` and `scp`
    /// if left out. A name may lead into objects: `realm_access.roles`.
    #[schemars(length(min = 1, max = 8))]
    pub(super) scope_claims: Option<Vec<String>>,
    /// Claims that must all have the value, or one of the values, given here; else 403. A name may
    /// lead into objects: `realm_access.roles`.
    #[schemars(extend("minProperties" = 1))]
    pub(super) required_claims: Option<BTreeMap<String, Value>>,
    /// Longest time from `iat` to `exp`; a token that lives longer, or does not say, is refused.
    pub(super) max_lifetime: Option<Span>,
    /// How far clocks may differ, at most ten minutes; nothing if left out.
    pub(super) leeway: Option<Span>,
    /// To what tokens must be bound, so that nobody but their sender can use them; nothing if left
    /// out. A token that says what it is bound to is never accepted without that.
    pub(super) require_binding: Option<Requirement>,
    /// How proofs of possession are judged.
    pub(super) dpop: Option<DpopConfig>,
    /// The claim that names the consumer, who must exist. Without it there is no consumer.
    #[schemars(length(min = 1))]
    pub(super) consumer_claim: Option<String>,
    /// How long it is remembered that a token is good, `0s` to `10m` and never longer than it
    /// lives; `30s` if left out. So long a token that was withdrawn may still pass.
    pub(super) cache_ttl: Option<Span>,
    /// How long it is remembered that a token is not good, `0s` to `60s`; `5s` if left out.
    pub(super) negative_cache_ttl: Option<Span>,
    /// How long one call to the issuer may take, 1s to 30s; `3s` if left out.
    pub(super) timeout: Option<Span>,
    /// PEM of the authorities that may have signed the issuer's certificate; the system's if left
    /// out. It is verified always.
    pub(super) ca_certs: Option<Pem>,
    /// Asks in clear beyond this machine. Whoever is on the way learns tokens and the secret, and
    /// can let anybody pass.
    #[serde(default)]
    pub(super) danger_clear_http: bool,
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn yes() -> bool {
    true
}

/// How the gateway proves at the issuer who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AuthMethod {
    /// With its secret in `Authorization`.
    #[default]
    ClientSecretBasic,
    /// With its secret in the form.
    ClientSecretPost,
    /// With a signature under its secret.
    ClientSecretJwt,
    /// With a signature of its private key.
    PrivateKeyJwt,
    /// With its certificate, which an authority has signed or which the issuer knows itself.
    TlsClientAuth,
}

impl From<AuthMethod> for Method {
    fn from(method: AuthMethod) -> Self {
        match method {
            AuthMethod::ClientSecretBasic => Self::Basic,
            AuthMethod::ClientSecretPost => Self::Post,
            AuthMethod::ClientSecretJwt => Self::SecretAssertion,
            AuthMethod::PrivateKeyJwt => Self::KeyAssertion,
            AuthMethod::TlsClientAuth => Self::Certificate,
        }
    }
}

impl Config {
    /// What is asked of claims.
    pub(super) fn demands(&self) -> Demands<'_> {
        Demands {
            required_scopes: self.required_scopes.as_ref(),
            scope_claims: self.scope_claims.as_ref(),
            required_claims: self.required_claims.as_ref(),
            max_lifetime: self.max_lifetime,
            leeway: self.leeway,
        }
    }

    /// The issuer, and how it is asked.
    pub(in crate::authenticate) fn introspection(&self) -> Result<IntrospectionSettings, Invalid> {
        let (key, address, is_metadata) = self.place()?;
        let span = |span: Option<Span>, usual| span.map_or(usual, |span| span.0);
        Ok(IntrospectionSettings {
            issuers: self.issuer.iter().cloned().collect(),
            key,
            address,
            is_metadata,
            hosts: ("endpoint_hosts", self.endpoint_hosts.clone().unwrap_or_default()),
            client: self.client(),
            ca_certs: self.ca_certs.clone(),
            own: self.own_certificate()?,
            danger_clear_http: self.danger_clear_http,
            timeout: within("timeout", span(self.timeout, TIMEOUT), 1, 30)?,
            remember: within("cache_ttl", span(self.cache_ttl, REMEMBER), 0, 600)?,
            remember_refused: within(
                "negative_cache_ttl",
                span(self.negative_cache_ttl, REMEMBER_REFUSED),
                0,
                60,
            )?,
        })
    }

    fn place(&self) -> Result<(&'static str, String, bool), Invalid> {
        const HELP: &str = "write `discovery_uri` or `introspection_endpoint`";
        match (&self.introspection_endpoint, &self.discovery_uri, &self.issuer) {
            (Some(_), Some(_), _) => Err(Invalid::at(
                "discovery_uri",
                "there is also `introspection_endpoint`, which counts",
            )),
            (Some(address), None, _) => Ok(("introspection_endpoint", address.clone(), false)),
            (None, Some(_), None) => {
                Err(Invalid::at("discovery_uri", "nobody says whose metadata that must be")
                    .with_help("write `issuer`, too"))
            }
            (None, Some(address), Some(_)) => Ok(("discovery_uri", address.clone(), true)),
            (None, None, Some(issuer)) => Ok(("issuer", well_known(issuer, HELP)?, true)),
            (None, None, None) => Err(Invalid::new("nobody can be asked")
                .with_help("write `issuer` or `introspection_endpoint`")),
        }
    }

    fn client(&self) -> ClientSettings {
        ClientSettings {
            id: self.client_id.clone(),
            method: self.client_auth_method.into(),
            secret: ("client_secret", self.client_secret.clone()),
            key: ("assertion_key", self.assertion_key.clone()),
            algorithm: ("assertion_algorithm", self.assertion_algorithm),
            key_id: ("assertion_key_id", self.assertion_key_id.clone()),
            audience: ("assertion_audience", self.assertion_audience.clone()),
            // There is no field for it.
            lifetime: ("assertion_key", None),
            certificate: ("client_cert", self.client_cert.is_some()),
        }
    }

    fn own_certificate(&self) -> Result<Option<OwnCertificate>, Invalid> {
        match (self.client_cert.clone(), self.client_cert_key.clone()) {
            (Some(chain), Some(key)) => Ok(Some(OwnCertificate { chain, key })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Invalid::at("client_cert", "there is no `client_cert_key`")),
            (None, Some(_)) => Err(Invalid::at("client_cert_key", "there is no `client_cert`")),
        }
    }
}
