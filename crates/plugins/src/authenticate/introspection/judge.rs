//! Whose a token is, by what its issuer says of it.

use std::sync::Arc;

use bartizan_chain::{CompileCx, ConsumerIndex, IdentityParts, RequestCx};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Timestamp};

use super::super::token::ConsumerClaim;
use super::{Answer, Asker, Fault, IntrospectionSettings, digest_of};
use crate::jose::{ClaimFault, ClaimRules, Claims};
use crate::waiting::Waiters;

/// An issuer that is asked, and what is asked of the claims it states.
pub(in crate::authenticate) struct Judge {
    asker: Arc<Asker>,
    waiters: Arc<Waiters>,
    issuers: Vec<String>,
    /// Clients whose tokens are accepted; those of all where there is none.
    clients: Vec<String>,
    rules: ClaimRules,
    consumer_claim: Option<ConsumerClaim>,
}

/// What is asked of the claims.
pub(in crate::authenticate) struct Terms {
    /// Times, audiences, scopes and claims.
    pub(in crate::authenticate) rules: ClaimRules,
    /// Clients whose tokens are accepted; those of all where there is none.
    pub(in crate::authenticate) clients: Vec<String>,
    /// The claim that names the consumer.
    pub(in crate::authenticate) consumer_claim: Option<ConsumerClaim>,
}

impl Judge {
    /// The judge of an issuer's tokens.
    pub(in crate::authenticate) fn compile(
        settings: &IntrospectionSettings,
        terms: Terms,
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        let Terms { rules, clients, consumer_claim } = terms;
        Ok(Self {
            asker: Asker::of(settings, cx)?,
            waiters: Waiters::of(cx),
            issuers: settings.issuers.clone(),
            clients,
            rules,
            consumer_claim,
        })
    }

    /// True where a good token is not enough.
    pub(in crate::authenticate) fn is_grant(&self) -> bool {
        self.rules.is_grant()
    }

    /// Whose a token is, or the refusal without a challenge. Who may use it is not asked here.
    pub(in crate::authenticate) async fn proof(
        &self,
        token: &str,
        cx: &RequestCx,
    ) -> Result<IdentityParts, Denial> {
        let digest = digest_of(token);
        let found = match self.asker.recall(&digest) {
            Some(answer) => Ok(answer),
            // Boxed: no request whose token is remembered carries the question.
            None => Box::pin(self.asker.find_out(token, digest, &self.waiters, cx)).await,
        };
        found
            .and_then(|answer| self.judge(&answer, cx.consumers(), cx.clock.now()))
            .map_err(|fault| fault.denial())
    }

    /// Whose the token is as of `now`, by an answer.
    pub(super) fn judge(
        &self,
        answer: &Answer,
        consumers: &ConsumerIndex,
        now: Timestamp,
    ) -> Result<IdentityParts, Fault> {
        let Answer::Active(claims) = answer else { return Err(Fault::Inactive) };
        check_kind(claims)?;
        if let Some(issuer) = claims.issuer()?
            && !self.issuers.is_empty()
            && !self.issuers.iter().any(|own| own == issuer)
        {
            return Err(ClaimFault::Issuer.into());
        }
        let client = claims.claim("client_id").and_then(|client| client.as_str());
        let is_accepted = |client| self.clients.iter().any(|own| own == client);
        if !self.clients.is_empty() && !client.is_some_and(is_accepted) {
            return Err(Fault::Client);
        }
        self.rules.check(claims, now)?;
        let claim = self.consumer_claim.as_ref();
        let consumer = claim.map(|claim| claim.consumer(claims, consumers)).transpose()?;
        Ok(IdentityParts {
            consumer: consumer.cloned(),
            subject: claims.subject().map(Arc::from),
            claims: Some(claims.shared()),
            expires: claims.expires()?.map(|expires| expires.plus(self.rules.leeway)),
            ..IdentityParts::default()
        })
    }
}

/// Refuses what is no access token that can be used here: a refresh token, or one of another type
/// (RFC 7662 §2.2). One of the type `DPoP` must say which key it is bound to (RFC 9449 §6.2): by
/// `cnf` its sender is judged.
fn check_kind(claims: &Claims) -> Result<(), Fault> {
    let is_keyed = claims.claim("cnf").is_some_and(|cnf| cnf.get("jkt").is_some());
    let types: &[&str] = if is_keyed { &["bearer", "dpop"] } else { &["bearer"] };
    for (name, expected) in [("token_type", types), ("token_use", &["access_token"])] {
        let said = claims.claim(name).and_then(|said| said.as_str());
        let is_expected = |said: &str| expected.iter().any(|one| said.eq_ignore_ascii_case(one));
        if said.is_some_and(|said| !is_expected(said)) {
            return Err(Fault::Kind(name));
        }
    }
    Ok(())
}
