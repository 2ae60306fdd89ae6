//! Whose a signed token is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{CompileCx, Consumer, ConsumerIndex, IdentityParts, Plugin as _, RequestCx};
use bartizan_config::{Invalid, ResourceKind, ResourceRef};
use bartizan_core::{Denial, Timestamp};

use super::super::provider::Lack;
use super::super::token::ConsumerClaim;
use super::JwtAuth;
use super::fault::Fault;
use super::keys::{Issuer, Keys, ProviderTokens, consumer_key, owner};
use crate::jose::{ClaimRules, Claims, Header, KnownHeader, Token, TokenCache, Verified};

/// Keys, and what is asked of claims.
pub(in crate::authenticate) struct Judge {
    pub(super) keys: Keys,
    pub(super) rules: ClaimRules,
    pub(super) cache: Option<Arc<TokenCache>>,
    /// PERF: `cargo xtask bench`, secured: the header of most tokens is the same.
    pub(super) header: KnownHeader,
}

impl Judge {
    /// One that accepts the tokens of a provider, as another plugin than `jwt-auth` says it.
    pub(in crate::authenticate) fn of_provider(
        tokens: ProviderTokens,
        remembers: bool,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        Ok(Self {
            rules: tokens.rules.clone(),
            keys: Keys::of_provider(tokens, cx)?,
            cache: remembers.then(|| Self::node_cache(cx)),
            header: KnownHeader::default(),
        })
    }

    /// Whether verdicts on signatures are remembered.
    #[cfg(test)]
    pub(in crate::authenticate) fn remembers(&self) -> bool {
        self.cache.is_some()
    }

    /// One memory for all routes of the node: a verdict is about a token and a key, not about a
    /// route.
    pub(super) fn node_cache(cx: &CompileCx<'_>) -> Arc<TokenCache> {
        let node = ResourceRef { kind: ResourceKind::PluginMetadata, id: Arc::from(JwtAuth::NAME) };
        cx.node.registry.state(&node, JwtAuth::NAME, "tokens".to_owned(), TokenCache::new)
    }

    /// Whose a token is, or the refusal without a challenge. Who may use it is not asked here.
    pub(in crate::authenticate) async fn proof(
        &self,
        token: &str,
        cx: &RequestCx,
    ) -> Result<IdentityParts, Denial> {
        let mut proof = self.judge(token, cx.consumers(), cx.clock.now());
        if let Err(Fault::Lack { issuer, lack, seen }) = proof {
            // Boxed: no request that has its key carries the wait for one.
            if Box::pin(self.await_keys(issuer, lack, seen)).await? {
                proof = self.judge(token, cx.consumers(), cx.clock.now());
            }
        }
        proof.map_err(|fault| fault.denial())
    }

    /// Waits for keys of a provider that a fetch may bring; false where nothing can be new.
    async fn await_keys(&self, issuer: usize, lack: Lack, seen: u64) -> Result<bool, Denial> {
        let Keys::Providers(issuers) = &self.keys else { return Ok(false) };
        let Some(issuer) = issuers.get(issuer) else { return Ok(false) };
        Ok(issuer.provider.news(lack, seen, &issuer.waiters).await?)
    }

    /// Whose a token is, as of `now`.
    pub(super) fn judge(
        &self,
        text: &str,
        consumers: &ConsumerIndex,
        now: Timestamp,
    ) -> Result<IdentityParts, Fault> {
        let verified = self.verify(text, consumers)?;
        let claims = verified.claims();
        let owner = match &self.keys {
            Keys::Consumers { key_claim, .. } => Some(owner(key_claim, claims, consumers)?),
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
        let claim: Option<&ConsumerClaim> = match (&self.keys, issuer) {
            (Keys::Issuer { consumer_claim, .. }, _) => consumer_claim.as_ref(),
            (_, issuer) => issuer.and_then(|issuer| issuer.consumer_claim.as_ref()),
        };
        Ok(claim.map(|claim| claim.consumer(claims, consumers)).transpose()?)
    }

    /// The token with its signature verified, now or when it came before.
    fn verify(&self, text: &str, consumers: &ConsumerIndex) -> Result<Arc<Verified>, Fault> {
        let choose =
            |header: &Header, claims: &Claims| self.keys.choose(header, claims, consumers).ok();
        if let Some(known) = self.cache.as_ref().and_then(|cache| cache.recall(text, choose)) {
            return Ok(known);
        }
        let mut token = Token::parse_knowing(text, &self.header)?;
        let (header, claims) = token.unverified()?;
        let key = match self.keys.choose(header, claims, consumers) {
            Err(Fault::UnknownKey) => {
                if let Some(decoy) = self.keys.decoy(claims, consumers) {
                    // It proves nothing, whatever comes of it.
                    let _ = decoy.key.verify(token);
                }
                return Err(Fault::UnknownKey);
            }
            chosen => chosen?,
        };
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
