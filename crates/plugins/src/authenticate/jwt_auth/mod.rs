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
//! The node fetches once for all routes that say the same of a provider: when a configuration
//! that names it is compiled, and again when nine tenths of `refresh` have passed, or of what the
//! provider's `Cache-Control` says, if that is less. A token with a `kid` that is not known causes
//! one fetch more, for which at most `limits.delayed` requests of a route wait, for 3 seconds at
//! most; the next such fetch is 30 seconds later at the earliest, whatever names clients invent.
//! What was fetched replaces what was known: a key that the provider has withdrawn ends at once,
//! with everything that was remembered of it.
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
//! the configuration is loaded and when the file changes. Opaque tokens cannot be verified
//! (`oauth-introspection` asks about them); there is no login, and the metadata that
//! `resource_metadata` names has to be served by somebody else. Each node remembers proofs of
//! possession for itself, and not over a restart.
//!
//! # How it differs from Apache APISIX
//!
//! `exp` is required outside of compatibility mode, the token is hidden from upstreams, one that is
//! sent twice is refused, weak secrets need `danger_weak_secret`, and nothing is signed here.
//! Issuers, audiences, scopes, claims, a greatest lifetime, key sets and providers are added.

mod carriers;
mod config;
mod credential;
mod fault;
mod judge;
mod keys;
mod rules;
#[cfg(test)]
mod tests;

use bartizan_chain::{
    AnswerHead, Attempt, BodyNeed, CompileCx, CredentialEntry, Flow, Identity, IdentityKey,
    IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};

use super::binding;
use super::carrier::{self, StandIn, field_name, parameter_name, settle};
use super::token::{Asked, Senders, Shown, challenge};
use crate::jose::KnownHeader;
use carriers::Carriers;
pub use config::{Config, ConsumerConfig};
use fault::Fault;
pub(super) use judge::Judge;
use keys::Keys;
pub(super) use keys::ProviderTokens;

/// Compiled `jwt-auth`.
pub struct JwtAuth {
    carriers: Carriers,
    hides: bool,
    judge: Judge,
    senders: Senders,
    stand_in: Option<StandIn>,
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
    type Call = Shown;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        if config.store_in_ctx.is_some() && !is_apisix {
            return Err(Invalid::at("store_in_ctx", "claims are always kept for later plugins")
                .with_help("remove it: there is nothing to choose"));
        }
        let rules = rules::rules(&config, is_apisix)?;
        let metadata = config.resource_metadata.as_deref();
        let asked = Asked {
            binding: config.require_binding,
            dpop: ("dpop", config.dpop.as_ref()),
            challenge: challenge(config.realm.as_ref(), "jwt", metadata)?,
            scopes: &rules.required_scopes,
            is_bare: is_apisix,
        };
        Ok(Self {
            senders: Senders::compile(asked, cx)?,
            judge: Judge {
                keys: Keys::compile(&config, &rules, cx)?,
                rules,
                cache: config.token_cache.then(|| Judge::node_cache(cx)),
                header: KnownHeader::default(),
            },
            carriers: Carriers {
                header: field_name("header", &config.header)?,
                query: parameter_name("query", config.query)?,
                cookie: parameter_name("cookie", config.cookie)?,
            },
            hides: config.hide_credentials.unwrap_or(!is_apisix),
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = carrier::traits(self.stand_in.as_ref(), BodyNeed::None);
        traits.proves.grant = self.stand_in.is_none() && self.judge.rules.is_grant();
        traits.on_response = self.senders.gives_nonces();
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
        shown: &mut Shown,
    ) -> Result<Flow, Denial> {
        let proof = self.prove(cx).await;
        let (parts, renews) = settle(proof, self.stand_in.as_ref(), cx.consumers())?;
        shown.renews = renews;
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
        shown: &mut Shown,
    ) -> Result<(), Denial> {
        self.senders.answer(cx, answer, shown);
        Ok(())
    }
}

impl JwtAuth {
    /// Who the sender is, and whether it should take the next nonce.
    async fn prove(&self, cx: &RequestCx) -> Result<(IdentityParts, bool), Denial> {
        let refuse = |denial| self.senders.refusal(denial, cx.clock.now());
        let query = cx.canonical().query_value(&self.carriers.query);
        let token = self.carriers.token(&cx.fields, query).map_err(Fault::from);
        let token = token.and_then(|token| token.ok_or(Fault::Missing));
        let token = token.map_err(|fault| refuse(fault.denial()))?;
        let proof = self.judge.proof(&token.text, cx).await.map_err(refuse);
        // Tokens begin alike, and whose one is only its signature tells.
        let parts = cx.settle(&Attempt::signed(Self::NAME, None), proof)?;
        let renews = self.senders.judge(cx, &token, &parts).map_err(|fault| {
            let denial = Fault::from(fault.clone()).denial();
            self.senders.refusal_for(denial, Some(&fault), cx.clock.now())
        })?;
        Ok((parts, renews))
    }
}
