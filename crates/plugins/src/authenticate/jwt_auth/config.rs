//! The configuration of `jwt-auth`.

use std::collections::BTreeMap;

use bartizan_core::{Secret, Span};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::binding::{DpopConfig, Requirement};
use super::super::carrier::Realm;
use crate::jose::Algorithm;
use crate::outgoing::Pem;

/// The configuration of `jwt-auth` on a route.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header field that carries the token, with or without `Bearer` before it.
    #[serde(default = "authorization")]
    #[schemars(length(min = 1, max = 256))]
    pub(super) header: String,
    /// The query parameter that carries the token where the field is absent.
    #[serde(default = "jwt")]
    #[schemars(length(min = 1, max = 256))]
    pub(super) query: String,
    /// The cookie that carries the token where both are absent.
    #[serde(default = "jwt")]
    #[schemars(length(min = 1, max = 256))]
    pub(super) cookie: String,
    /// Whether the token is taken out of what the upstream sees. Left out, it is; in compatibility
    /// mode it is not.
    pub(super) hide_credentials: Option<bool>,
    /// The realm that a 401 names; `jwt` if left out.
    pub(super) realm: Option<Realm>,
    /// The address of this resource's metadata (RFC 9728), which a 401 and a 403 then name, so that
    /// clients find out where tokens are to be had.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) resource_metadata: Option<String>,
    /// The claim that names the consumer's key; `key` if left out. Not with `jwks` or `providers`.
    #[schemars(length(min = 1))]
    pub(super) key_claim_name: Option<String>,
    /// Times that a token must state. What it states is checked in any case; `exp` must be there
    /// in any case, except in compatibility mode.
    #[schemars(extend("uniqueItems" = true))]
    pub(super) claims_to_verify: Option<Vec<TimeClaim>>,
    /// The consumer that callers without a valid token become.
    #[schemars(length(min = 1))]
    pub(super) anonymous_consumer: Option<String>,
    /// Claims are always kept for later plugins, so there is nothing to choose: accepted in
    /// compatibility mode only.
    pub(super) store_in_ctx: Option<bool>,
    /// The kind of token that is accepted, by `typ` in its header.
    #[serde(default)]
    pub(super) token_type: TokenType,
    /// Issuers of which `iss` must be one. Required with `jwks`.
    #[schemars(length(min = 1))]
    pub(super) issuers: Option<Vec<String>>,
    /// Audiences of which `aud` must have one. Required with `jwks`.
    #[schemars(length(min = 1))]
    pub(super) audiences: Option<Vec<String>>,
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
    /// To what a token must be bound, by its `cnf`: to a key that the sender proves to have
    /// (`dpop`), to the sender's certificate (`mtls`), or to one of both (`any`). One that is bound
    /// is good for its sender only in any case.
    pub(super) require_binding: Option<Requirement>,
    /// How proofs of possession are judged. Without it the usual rules hold.
    pub(super) dpop: Option<DpopConfig>,
    /// Whether verdicts on signatures are remembered, so that a token that comes again costs no
    /// cryptography. Times and claims are judged every time.
    #[serde(default = "yes")]
    pub(super) token_cache: bool,
    /// The keys of a token issuer. Tokens are then verified with these, and not with consumers'.
    pub(super) jwks: Option<Jwks>,
    /// Token issuers that publish their keys. A token is verified with the keys of the one that its
    /// `iss` names, and judged by what is asked of that one.
    #[schemars(length(min = 1, max = 16))]
    pub(super) providers: Option<Vec<Provider>>,
    /// With `jwks`: the claim that names the consumer, which must exist.
    #[schemars(length(min = 1))]
    pub(super) consumer_claim: Option<String>,
}

fn authorization() -> String {
    "authorization".to_owned()
}

fn jwt() -> String {
    "jwt".to_owned()
}

fn yes() -> bool {
    true
}

/// A claim that states a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub(super) enum TimeClaim {
    /// When the token ends.
    Exp,
    /// When it begins.
    Nbf,
}

/// The kinds of token that are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(inline)]
pub(super) enum TokenType {
    /// Without a type, `JWT` or `at+jwt`.
    #[default]
    #[serde(rename = "jwt")]
    Jwt,
    /// `at+jwt` only (RFC 9068), so that no identity token passes for an access token.
    #[serde(rename = "at+jwt")]
    AccessToken,
}

/// A token issuer that publishes its keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Provider {
    /// The issuer, letter for letter as `iss` and the provider's metadata name it. Metadata is
    /// looked for below it, at `/.well-known/openid-configuration`, unless `discovery_uri` or
    /// `jwks_uri` is there.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) issuer: String,
    /// Audiences of which `aud` must have one.
    #[schemars(length(min = 1, max = 64))]
    pub(super) audiences: Vec<String>,
    /// Where the metadata is, if not below the issuer.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) discovery_uri: Option<String>,
    /// Where the keys are; no metadata is fetched then.
    #[schemars(length(min = 1, max = 2_048))]
    pub(super) jwks_uri: Option<String>,
    /// Servers, as `host` or `host:port`, at which the metadata may say that keys are, beside the
    /// one that it comes from.
    #[schemars(length(min = 1, max = 16))]
    pub(super) jwks_hosts: Option<Vec<String>>,
    /// The claim that names the consumer, who must exist. Without it there is no consumer.
    #[schemars(length(min = 1))]
    pub(super) consumer_claim: Option<String>,
    /// PEM of the authorities that may have signed the provider's certificate; the system's if left
    /// out. It is verified always.
    pub(super) ca_certs: Option<Pem>,
    /// Fetches keys in clear from beyond this machine. Whoever is on the way can then sign tokens
    /// for anybody.
    #[serde(default)]
    pub(super) danger_clear_http: bool,
    /// How long one call to the provider may take, 1s to 30s; `5s` if left out.
    pub(super) timeout: Option<Span>,
    /// The longest time between two fetches, `60s` to `24h`; `1h` if left out. Where the provider
    /// says in `Cache-Control` that keys hold for less, that counts: keys are taken to hold for a
    /// minute at least, and fetched again after nine tenths of that.
    pub(super) refresh: Option<Span>,
    /// The age at which keys end that could not be fetched again, up to `168h`; `24h` if left out.
    /// The provider's tokens are answered with 503 then.
    pub(super) stale: Option<Span>,
}

/// A set of public keys (RFC 7517), from a file or written here: one of both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(inline)]
pub(super) struct Jwks {
    /// The file. It is watched: a new version is taken without a restart.
    #[schemars(length(min = 1))]
    pub(super) file: Option<String>,
    /// The set itself: `{keys: [{kty: RSA, …}]}`.
    pub(super) inline: Option<Map<String, Value>>,
}

/// The key of a consumer or credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The name by which tokens refer to this key. It belongs to one consumer only.
    #[schemars(length(min = 1, max = 4096))]
    pub(super) key: String,
    /// How the tokens are signed. No token chooses it.
    #[serde(default = "hs256")]
    pub(super) algorithm: Algorithm,
    /// The shared secret of `HS256`, `HS384` and `HS512`, at least as long as the hash: 32, 48 or
    /// 64 bytes.
    pub(super) secret: Option<Secret>,
    /// Whether the secret is written in base64.
    #[serde(default)]
    pub(super) base64_secret: bool,
    /// Accepts a secret that is shorter, or that can be guessed. Who has seen one token can try
    /// secrets at leisure.
    #[serde(default)]
    pub(super) danger_weak_secret: bool,
    /// The public key of the other algorithms, in PEM: a public key or a certificate.
    #[schemars(length(min = 1), extend("x-reference" = true))]
    pub(super) public_key: Option<String>,
    /// How far clocks may differ, in seconds. Where the route has a larger `leeway`, that counts.
    #[serde(default)]
    pub(super) lifetime_grace_period: u32,
    /// How long the tokens lived that Apache APISIX signed before 3.11. Nothing is signed here, so
    /// it means nothing: accepted in compatibility mode only.
    #[schemars(range(min = 1))]
    pub(super) exp: Option<u64>,
}

fn hs256() -> Algorithm {
    Algorithm::Hs256
}
