//! Proves who calls by a signed token (JWT; RFC 7519, RFC 8725, RFC 6750).
//!
//! The token is read from a header field (with or without `Bearer`), else a query parameter, else
//! a cookie; each may occur once. There are three ways to know its key:
//!
//! * **Consumers' keys**, as in Apache APISIX: the claim `key_claim_name` names the key of a
//!   consumer, which says algorithm and secret or public key.
//! * **An issuer's keys** (`jwks`): the token's `kid` names one of a set of public keys. `issuers`
//!   and `audiences` are then required. The identity has the token's subject and claims, and a
//!   consumer only where `consumer_claim` names one.
//! * **Providers** (`providers`): the token's `iss` names one of several issuers, whose keys are
//!   fetched. Each says its own audiences, and which claim names a consumer, if any.
//!
//! ```yaml
//! jwt-auth:
//!   jwks: {file: keys/issuer.json}
//!   issuers: [https://id.example.com]
//!   audiences: [orders]
//!   required_scopes: [orders:read]
//! ```
//!
//! with keys that are fetched:
//!
//! ```yaml
//! jwt-auth:
//!   providers:
//!   - {issuer: "https://id.example.com/realms/shop", audiences: [orders]}
//!   required_scopes: [orders:read]
//! ```
//!
//! and for consumers' keys, on the consumer:
//!
//! ```yaml
//! jwt-auth: {key: alice, algorithm: ES256, public_key: $file://keys/alice.pem}
//! ```
//!
//! The algorithm is the key's and never the token's choice; unsigned tokens do not exist. A token
//! must expire (in compatibility mode only if it says so). A good token that lacks a scope or
//! claim gets 403, everything else 401; with `required_scopes` or `required_claims` the plugin
//! is a grant. Claims are always there for later plugins, such as `object-guard`.
//!
//! What was read is taken out of the request, unless `hide_credentials: false` (in compatibility
//! mode it stays, unless `true`). With `anonymous_consumer`, callers without a valid token become
//! that consumer; this proves nothing and grants nothing.
//!
//! # Keys that are fetched
//!
//! Metadata and keys come over verified https; in clear from this machine only, or where
//! `danger_clear_http` says so. The metadata must be that of the very issuer, and may say that keys
//! are at its own server or at one of `jwks_hosts`. Redirects are not followed; metadata of more
//! than 128 KiB, key sets of more than 512 KiB or 100 keys, and whatever is not strict JSON are
//! refused.
//!
//! The node fetches once for all routes that say the same of a provider: when the configuration is
//! put into force, and again when nine tenths of `refresh` have passed, or of what the provider's
//! `Cache-Control` says, if that is less. A token with a `kid` that is not known causes one fetch
//! more, for which at most `limits.delayed` requests of a route wait, for 3 seconds at most; the
//! next such fetch is 30 seconds later at the earliest, whatever names clients invent. What was
//! fetched replaces what was known: a key that the provider has withdrawn ends at once, with
//! everything that was remembered of it.
//!
//! A fetch that fails is tried again after 1, 2, 4 and at last every 30 seconds. Until the keys are
//! older than `stale`, they serve on; then, and where there never were any, tokens of that provider
//! get 503, and `anonymous_consumer` does not stand in. The node stays ready.
//! `bartizan_jwks_fetches_total` counts fetches by issuer and result, `bartizan_jwks_age_seconds`
//! tells how old keys are.
//!
//! # Tokens that are bound to their sender
//!
//! What a token says in `cnf` counts always, and `require_binding` refuses tokens without it. With
//! `x5t#S256` the connection must have the very certificate, verified for this host (RFC 8705); with
//! `jkt` the sender must prove in each request that it has the key (`DPoP`, RFC 9449): the token comes
//! with the scheme `DPoP` in `Authorization`, and one field `DPoP` holds a proof that is signed by
//! that key, names method, target and token, is at most `dpop.max_age` old and was not sent before.
//! A token that is bound is never a bearer token, and one that is bound in a way that is not known
//! here is refused.
//!
//! The target that a proof names is compared in the one form that everything is decided on, without
//! its query. Where clients know the API by another origin, `dpop.origin` says so. Proofs are
//! remembered until they are too old anyway, as many as `limits.replay_keys`; over them the answer
//! is 503. With `dpop.nonce`, proofs must hold a nonce of this node, which clients get in
//! `DPoP-Nonce` and which is good for two to three minutes.
//!
//! # Headers
//!
//! `header` (or parameter, or cookie) is read, and taken out of the request, and so is `DPoP`. A 401 has
//! `WWW-Authenticate: Bearer` with the realm and, if configured, `resource_metadata` (RFC 9728
//! §5.1); a 403 for a scope says so there, too. Where a proof of possession is missing or wrong, the
//! challenge is `DPoP` with the algorithms and `invalid_dpop_proof` or `use_dpop_nonce`.
//!
//! # What it costs
//!
//! One signature per token, then one hash and one look-up while the node remembers its verdict
//! (4,096 tokens, 16 MiB for all routes). A proof of possession is one signature more, always.
//!
//! # What it cannot do
//!
//! A token stays valid until it expires: to end it earlier, remove the key or the consumer. A key
//! that a provider withdraws is valid here until the next fetch. A key set in a file is read when
//! the configuration is loaded and when the file changes. Opaque tokens cannot be verified; there
//! is no login and no introspection, and the metadata that `resource_metadata` names has to be served
//! by somebody else. Each node remembers proofs of possession for itself, and not over a restart.
//!
//! # How it differs from Apache APISIX
//!
//! `exp` is required outside of compatibility mode, the token is hidden from upstreams, one that is
//! sent twice is refused, short secrets need `danger_short_secret`, and nothing is signed here.
//! Issuers, audiences, scopes, claims, a greatest lifetime, key sets and providers are added.

mod carriers;
mod config;
mod credential;
mod fault;
mod keys;
mod rules;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    AnswerHead, CompileCx, Consumer, ConsumerIndex, CredentialEntry, Flow, Identity, IdentityKey,
    IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_core::{Denial, Stage, StageSet, Timestamp};
use bartizan_net::{Url, is_loopback};

use super::binding::{self, Binding};
use super::carrier::{Realm, StandIn, field_name, parameter_name};
use super::provider::Lack;
use crate::jose::{ClaimRules, Claims, Header, Token, TokenCache, Verified};
use carriers::Carriers;
pub use config::{Config, ConsumerConfig};
use fault::{Challenges, Fault};
use keys::{Issuer, Keys, consumer_key, owner};

/// What is remembered until the answer.
#[derive(Debug, Default)]
pub struct Call {
    /// The client should take the next nonce.
    renews: bool,
}

/// Compiled `jwt-auth`.
pub struct JwtAuth {
    carriers: Carriers,
    hides: bool,
    keys: Keys,
    rules: ClaimRules,
    binding: Binding,
    cache: Option<Arc<TokenCache>>,
    stand_in: Option<StandIn>,
    challenges: Challenges,
}

impl Plugin for JwtAuth {
    const NAME: &'static str = "jwt-auth";
    const PRIORITY: i32 = 2510;
    const KINSHIP: Kinship = Kinship::Different(
        "`exp` is required, the token is hidden from upstreams by default, a token sent twice \
         is refused; issuers, audiences, scopes, key sets and providers can be asked for",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        if config.store_in_ctx.is_some() && !is_apisix {
            return Err(Invalid::at("store_in_ctx", "claims are always kept for later plugins")
                .with_help("remove it: there is nothing to choose"));
        }
        let mut config = config;
        let rules = rules::rules(&config, is_apisix)?;
        let challenge = challenge(&config)?;
        let binding = Binding::compile(config.require_binding, config.dpop.as_ref(), cx)?;
        let scopes = &rules.required_scopes;
        Ok(Self {
            keys: Keys::compile(&mut config, &rules, cx)?,
            challenges: Challenges::new(challenge, scopes, &binding, is_apisix),
            binding,
            rules,
            carriers: Carriers {
                header: field_name("header", &config.header)?,
                query: parameter_name("query", config.query)?,
                cookie: parameter_name("cookie", config.cookie)?,
            },
            hides: config.hide_credentials.unwrap_or(!is_apisix),
            cache: config.token_cache.then(|| node_cache(cx)),
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authenticate]);
        let ClaimRules { required_scopes, required_claims, .. } = &self.rules;
        let is_choosy = !required_scopes.is_empty() || !required_claims.is_empty();
        traits.proves.authentication = self.stand_in.is_none();
        traits.proves.grant = self.stand_in.is_none() && is_choosy;
        traits.on_response = self.binding.gives_nonces();
        traits
    }

    fn credential(
        config: ConsumerConfig,
        cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        credential::entry(config, cx)
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let mut proof = self.prove(cx);
        if let Err(Fault::Lack { issuer, lack, seen }) = proof {
            // Boxed: no request that has its key carries the wait for one.
            Box::pin(self.await_keys(issuer, lack, seen)).await?;
            proof = self.prove(cx);
        }
        let proof = proof
            .map_err(|fault| self.challenges.denial(&fault, self.binding.nonce(cx.clock.now())));
        let parts = match (proof, &self.stand_in) {
            (Err(denial), Some(stand_in)) => stand_in.take_over(cx.consumers(), denial)?,
            (proof, _) => {
                let (parts, renews) = proof?;
                call.renews = renews;
                parts
            }
        };
        if self.hides {
            self.carriers.hide(cx);
            cx.fields.remove(binding::FIELD);
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        if let Some(nonce) = self.binding.nonce(cx.clock.now()).filter(|_| call.renews) {
            answer.fields.set(binding::NONCE_FIELD, nonce);
        }
        Ok(())
    }
}

impl JwtAuth {
    /// Waits for keys of a provider that a fetch may bring.
    async fn await_keys(&self, issuer: usize, lack: Lack, seen: u64) -> Result<(), Denial> {
        let Keys::Providers(issuers) = &self.keys else { return Ok(()) };
        let Some(issuer) = issuers.get(issuer) else { return Ok(()) };
        Ok(issuer.provider.news(lack, seen, &issuer.waiters).await?)
    }

    /// Who the sender is, and whether it should take the next nonce.
    fn prove(&self, cx: &RequestCx) -> Result<(IdentityParts, bool), Fault> {
        let query = cx.canonical().query_value(&self.carriers.query);
        let token = self.carriers.token(&cx.fields, query)?.ok_or(Fault::Missing)?;
        let parts = self.judge(&token.text, cx.consumers(), cx.clock.now())?;
        let cnf = parts.claims.as_deref().and_then(|claims| claims.get("cnf"));
        let renews = self.binding.judge(cx, token.scheme, &token.text, cnf)?;
        Ok((parts, renews))
    }

    /// Who the bearer of a token is, as of `now`.
    fn judge(
        &self,
        text: &str,
        consumers: &ConsumerIndex,
        now: Timestamp,
    ) -> Result<IdentityParts, Fault> {
        let verified = self.verify(text, consumers)?;
        let claims = verified.claims();
        let owner = match &self.keys {
            Keys::Consumers { key_claim } => Some(owner(key_claim, claims, consumers)?),
            Keys::Issuer { .. } | Keys::Providers(_) => None,
        };
        let issuer = self.keys.issuer(claims)?.map(|(_, issuer)| issuer);
        let rules = issuer.map_or(&self.rules, |issuer| &issuer.rules);
        let own = owner.map(consumer_key).transpose()?.map_or(Duration::ZERO, |key| key.leeway);
        let leeway = own.max(rules.leeway);
        verified.check(&with_leeway(rules, leeway), now)?;
        let consumer = match owner {
            Some(owner) => Some(owner.consumer),
            None => self.named_consumer(issuer, claims, consumers)?,
        };
        Ok(IdentityParts {
            consumer: consumer.cloned(),
            credential: owner.and_then(|owner| owner.credential.cloned()),
            subject: claims.subject().map(Arc::from),
            claims: Some(claims.shared()),
            expires: claims.expires()?.map(|expires| expires.plus(leeway)),
            anonymous_reason: None,
        })
    }

    /// The consumer that an issuer's token names, where one is asked for.
    fn named_consumer<'k>(
        &self,
        issuer: Option<&Issuer>,
        claims: &Claims,
        consumers: &'k ConsumerIndex,
    ) -> Result<Option<&'k Arc<Consumer>>, Fault> {
        let path = match (&self.keys, issuer) {
            (Keys::Issuer { consumer_claim, .. }, _) => consumer_claim.as_ref(),
            (_, issuer) => issuer.and_then(|issuer| issuer.consumer_claim.as_ref()),
        };
        let Some(path) = path else { return Ok(None) };
        let name = claims.at(path).and_then(|name| name.as_str());
        let name = name.ok_or_else(|| Fault::NoConsumerName(path.as_str().into()))?;
        consumers.by_name(name).map(Some).ok_or(Fault::UnknownConsumer)
    }

    /// The token with its signature verified, now or when it came before.
    fn verify(&self, text: &str, consumers: &ConsumerIndex) -> Result<Arc<Verified>, Fault> {
        let choose =
            |header: &Header, claims: &Claims| self.keys.choose(header, claims, consumers).ok();
        if let Some(known) = self.cache.as_ref().and_then(|cache| cache.recall(text, choose)) {
            return Ok(known);
        }
        let mut token = Token::parse(text)?;
        let header = token.header().clone();
        let key = self.keys.choose(&header, token.unverified_claims()?, consumers)?;
        let verified = match &self.cache {
            Some(cache) => cache.verify(token, &key)?,
            None => Arc::new(key.verify(token)?),
        };
        Ok(verified)
    }
}

/// The rules, with the leeway that counts; only a consumer with a leeway of its own costs.
fn with_leeway(rules: &ClaimRules, leeway: Duration) -> Cow<'_, ClaimRules> {
    if leeway == rules.leeway {
        return Cow::Borrowed(rules);
    }
    Cow::Owned(ClaimRules { leeway, ..rules.clone() })
}

/// What stands in every challenge: realm, and where the resource's metadata is.
fn challenge(config: &Config) -> Result<String, Invalid> {
    const KEY: &str = "resource_metadata";
    let mut challenge = Realm::parameter(config.realm.as_ref(), "jwt");
    if let Some(address) = &config.resource_metadata {
        let url = Url::parse(address)
            .map_err(|fault| Invalid::at(KEY, format!("`{address}` {fault}")))?;
        if !url.is_tls && !is_loopback(&url.host) {
            return Err(Invalid::at(KEY, "clients must be able to believe it")
                .with_help("use `https` (RFC 9728 §3)"));
        }
        if address.contains(['"', '\\']) {
            return Err(Invalid::at(KEY, "a quote or backslash ends what clients read"));
        }
        challenge.extend([", resource_metadata=\"", address.as_str(), "\""]);
    }
    Ok(challenge)
}

/// One memory for all routes of the node: a verdict is about a token and a key, not about a route.
fn node_cache(cx: &CompileCx<'_>) -> Arc<TokenCache> {
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(JwtAuth::NAME) };
    cx.node.registry.state(&node, JwtAuth::NAME, "tokens".to_owned(), TokenCache::new)
}
