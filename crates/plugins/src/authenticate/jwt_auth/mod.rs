//! Proves who calls by a signed token (JWT; RFC 7519, RFC 8725, RFC 6750).
//!
//! The token is read from a header field (with or without `Bearer`), else a query parameter, else
//! a cookie; each may occur once. There are two ways to know its key:
//!
//! * **Consumers' keys**, as in Apache APISIX: the claim `key_claim_name` names the key of a
//!   consumer, which says algorithm and secret or public key.
//! * **An issuer's keys** (`jwks`): the token's `kid` names one of a set of public keys. `issuers`
//!   and `audiences` are then required. The identity has the token's subject and claims, and a
//!   consumer only where `consumer_claim` names one.
//!
//! ```yaml
//! jwt-auth:
//!   jwks: {file: keys/issuer.json}
//!   issuers: [https://id.example.com]
//!   audiences: [orders]
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
//! # Headers
//!
//! `header` (or parameter, or cookie) is read, and taken out of the request. A 401 has
//! `WWW-Authenticate: Bearer` with the realm; a 403 for a scope says so there, too.
//!
//! # What it costs
//!
//! One signature per token, then one hash and one look-up while the node remembers its verdict
//! (4,096 tokens, 16 MiB for all routes).
//!
//! # What it cannot do
//!
//! A token stays valid until it expires: to end it earlier, remove the key or the consumer. A key
//! set in a file is read when the configuration is loaded and when the file changes; a set that is
//! fetched is not supported yet, and there is no login and no introspection.
//!
//! # How it differs from Apache APISIX
//!
//! `exp` is required outside of compatibility mode, the token is hidden from upstreams, one that is
//! sent twice is refused, short secrets need `danger_short_secret`, and nothing is signed here.
//! Issuers, audiences, scopes, claims, a greatest lifetime and key sets are added.

mod carriers;
mod config;
mod credential;
mod fault;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{
    CompileCx, Consumer, ConsumerIndex, CredentialEntry, CredentialRef, Flow, Identity,
    IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::{Invalid, PathStep, ResourceKind, ResourceRef};
use bartizan_core::{Denial, Stage, StageSet, Timestamp};

use super::carrier::{Realm, StandIn, field_name, parameter_name};
use crate::jose::{
    ClaimPath, ClaimRules, Claims, Header, KeySet, RequiredClaim, Token, TokenCache, TokenFault,
    VerificationKey, Verified,
};
use carriers::Carriers;
use config::TimeClaim;
pub use config::{Config, ConsumerConfig};
use credential::ConsumerKey;
use fault::{Challenges, Fault};

/// Most that clocks may differ. RFC 7519 §4.1.4 speaks of a few minutes.
const LEEWAY_MAX: Duration = Duration::from_secs(600);

/// Whose keys verify the tokens.
enum Keys {
    /// Those of consumers, named by a claim.
    Consumers { key_claim: Box<str> },
    /// Those of an issuer; a claim may name the consumer.
    Issuer { set: Box<KeySet>, consumer_claim: Option<ClaimPath> },
}

/// Compiled `jwt-auth`.
pub struct JwtAuth {
    carriers: Carriers,
    hides: bool,
    keys: Keys,
    rules: ClaimRules,
    cache: Option<Arc<TokenCache>>,
    stand_in: Option<StandIn>,
    challenges: Challenges,
}

impl Plugin for JwtAuth {
    const NAME: &'static str = "jwt-auth";
    const PRIORITY: i32 = 2510;
    const KINSHIP: Kinship = Kinship::Different(
        "`exp` is required, the token is hidden from upstreams by default, a token sent twice \
         is refused; issuers, audiences, scopes and key sets can be asked for",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        if config.store_in_ctx.is_some() && !is_apisix {
            return Err(Invalid::at("store_in_ctx", "claims are always kept for later plugins")
                .with_help("remove it: there is nothing to choose"));
        }
        let rules = rules(&config, is_apisix)?;
        let bearer = Realm::challenge(config.realm.as_ref(), "Bearer", "jwt");
        Ok(Self {
            keys: keys(&config, cx)?,
            challenges: Challenges::new(bearer, &rules.required_scopes, is_apisix),
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
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let proof = self.prove(cx).map_err(|fault| self.challenges.denial(&fault));
        let parts = match (proof, &self.stand_in) {
            (Err(denial), Some(stand_in)) => stand_in.take_over(cx.consumers(), denial)?,
            (proof, _) => proof?,
        };
        if self.hides {
            self.carriers.hide(cx);
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }
}

impl JwtAuth {
    fn prove(&self, cx: &RequestCx) -> Result<IdentityParts, Fault> {
        let query = cx.canonical().query_value(&self.carriers.query);
        let token = self.carriers.token(&cx.fields, query)?.ok_or(Fault::Missing)?;
        self.judge(&token, cx.consumers(), cx.clock.now())
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
            Keys::Issuer { .. } => None,
        };
        let own = owner.map(consumer_key).transpose()?.map_or(Duration::ZERO, |key| key.leeway);
        let leeway = own.max(self.rules.leeway);
        verified.check(&self.rules_with(leeway), now)?;
        let consumer = match owner {
            Some(owner) => Some(owner.consumer),
            None => self.named_consumer(claims, consumers)?,
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
        claims: &Claims,
        consumers: &'k ConsumerIndex,
    ) -> Result<Option<&'k Arc<Consumer>>, Fault> {
        let Keys::Issuer { consumer_claim: Some(path), .. } = &self.keys else { return Ok(None) };
        let name = claims.at(path).and_then(|name| name.as_str());
        let name = name.ok_or_else(|| Fault::NoConsumerName(path.as_str().into()))?;
        consumers.by_name(name).map(Some).ok_or(Fault::UnknownConsumer)
    }

    /// The token with its signature verified, now or when it came before.
    fn verify(&self, text: &str, consumers: &ConsumerIndex) -> Result<Arc<Verified>, Fault> {
        let choose = |header: &Header, claims: &Claims| self.choose(header, claims, consumers).ok();
        if let Some(known) = self.cache.as_ref().and_then(|cache| cache.recall(text, choose)) {
            return Ok(known);
        }
        let mut token = Token::parse(text)?;
        let header = token.header().clone();
        let key = self.choose(&header, token.unverified_claims()?, consumers)?;
        let verified = match &self.cache {
            Some(cache) => cache.verify(token, key)?,
            None => Arc::new(key.verify(token)?),
        };
        Ok(verified)
    }

    /// The key that a token has to be verified with.
    fn choose<'k>(
        &'k self,
        header: &Header,
        claims: &Claims,
        consumers: &'k ConsumerIndex,
    ) -> Result<&'k VerificationKey, Fault> {
        match &self.keys {
            Keys::Issuer { set, .. } => Ok(set.choose(header)?),
            Keys::Consumers { key_claim } => {
                Ok(&consumer_key(owner(key_claim, claims, consumers)?)?.key)
            }
        }
    }

    /// The rules, with the leeway that counts; only a consumer with a leeway of its own costs.
    fn rules_with(&self, leeway: Duration) -> Cow<'_, ClaimRules> {
        if leeway == self.rules.leeway {
            return Cow::Borrowed(&self.rules);
        }
        Cow::Owned(ClaimRules { leeway, ..self.rules.clone() })
    }
}

/// The credential whose key a token names.
fn owner<'k>(
    key_claim: &str,
    claims: &Claims,
    consumers: &'k ConsumerIndex,
) -> Result<CredentialRef<'k>, Fault> {
    let name = claims.claim(key_claim).and_then(|name| name.as_str());
    let name = name.ok_or_else(|| Fault::NoKeyName(key_claim.into()))?;
    consumers.find(JwtAuth::NAME, name.as_bytes()).ok_or(Fault::UnknownKey)
}

fn consumer_key(owner: CredentialRef<'_>) -> Result<&ConsumerKey, Fault> {
    // The index holds what `credential` made; anything else would be a key of nobody.
    owner.data::<ConsumerKey>().ok_or(Fault::Token(TokenFault::NoKey))
}

/// One memory for all routes of the node: a verdict is about a token and a key, not about a route.
fn node_cache(cx: &CompileCx<'_>) -> Arc<TokenCache> {
    let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(JwtAuth::NAME) };
    cx.node.registry.state(&node, JwtAuth::NAME, "tokens".to_owned(), TokenCache::new)
}

fn keys(config: &Config, cx: &CompileCx<'_>) -> Result<Keys, Invalid> {
    let Some(jwks) = &config.jwks else {
        if config.consumer_claim.is_some() {
            return Err(Invalid::at("consumer_claim", "there is no `jwks`").with_help(
                "with consumers' keys the consumer is whose key it is; see `key_claim_name`",
            ));
        }
        let key_claim = config.key_claim_name.as_deref().unwrap_or("key").into();
        return Ok(Keys::Consumers { key_claim });
    };
    if config.key_claim_name.is_some() {
        return Err(Invalid::at("key_claim_name", "there is also `jwks`, whose keys count")
            .with_help("remove one of both; `consumer_claim` names the consumer"));
    }
    for (key, list) in [("issuers", &config.issuers), ("audiences", &config.audiences)] {
        if list.as_ref().is_none_or(Vec::is_empty) {
            return Err(Invalid::new(format!("`jwks` needs `{key}`")).with_help(
                "an issuer signs tokens for others too; say whose and for whom are meant",
            ));
        }
    }
    let consumer_claim = config.consumer_claim.as_deref().map(ClaimPath::parse).transpose();
    Ok(Keys::Issuer {
        set: Box::new(credential::key_set(jwks, cx)?),
        consumer_claim: consumer_claim
            .map_err(|error| Invalid::at("consumer_claim", error.to_string()))?,
    })
}

fn rules(config: &Config, is_apisix: bool) -> Result<ClaimRules, Invalid> {
    let must_state = |claim| config.claims_to_verify.iter().flatten().any(|c| *c == claim);
    let leeway = config.leeway.map_or(Duration::ZERO, |span| span.0);
    if leeway > LEEWAY_MAX {
        return Err(Invalid::at("leeway", "clocks may differ by ten minutes at most"));
    }
    if config.max_lifetime.is_some_and(|span| span.0.is_zero()) {
        return Err(Invalid::at("max_lifetime", "no token could be valid"));
    }
    Ok(ClaimRules {
        require_exp: !is_apisix || config.jwks.is_some() || must_state(TimeClaim::Exp),
        require_nbf: must_state(TimeClaim::Nbf),
        leeway,
        issuers: texts("issuers", config.issuers.as_ref(), |_| true)?,
        audiences: texts("audiences", config.audiences.as_ref(), |_| true)?,
        max_lifetime: config.max_lifetime.map(|span| span.0),
        required_scopes: texts("required_scopes", config.required_scopes.as_ref(), is_scope)?,
        required_claims: required_claims(config)?,
        ..ClaimRules::default()
    })
}

/// A list that is left out, or that names something.
fn texts(
    key: &str,
    list: Option<&Vec<String>>,
    is_valid: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Invalid> {
    let Some(list) = list else { return Ok(Vec::new()) };
    if list.is_empty() {
        return Err(Invalid::at(key, "the list is empty"));
    }
    match list.iter().position(|text| text.is_empty() || !is_valid(text)) {
        Some(index) => {
            let text = list.get(index).map_or("", String::as_str);
            Err(Invalid::at_item(key, index, format!("`{text}` cannot be in a token")))
        }
        None => Ok(list.clone()),
    }
}

/// A scope token (RFC 6749 §3.3), which fits into a quoted string too.
fn is_scope(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\'))
}

fn required_claims(config: &Config) -> Result<Vec<RequiredClaim>, Invalid> {
    const KEY: &str = "required_claims";
    if config.required_claims.as_ref().is_some_and(BTreeMap::is_empty) {
        return Err(Invalid::at(KEY, "nothing is required"));
    }
    let claims = config.required_claims.iter().flatten();
    claims
        .map(|(name, values)| {
            let fault = |problem| Invalid::at(name, problem).under(PathStep::Key(KEY.to_owned()));
            let path = ClaimPath::parse(name).map_err(|error| fault(error.to_string()))?;
            RequiredClaim::new(path, values.clone()).map_err(|error| fault(error.to_string()))
        })
        .collect()
}
