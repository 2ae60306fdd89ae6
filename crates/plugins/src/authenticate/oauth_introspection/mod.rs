//! Proves who calls by a token whose issuer is asked what it is worth (RFC 7662, RFC 6750).
//!
//! For tokens that nobody but their issuer can read, and for signed ones that must end at once when
//! the issuer withdraws them. The token is read from one header field, which may occur once.
//!
//! ```yaml
//! oauth-introspection:
//!   issuer: https://id.example.com/realms/shop
//!   client_id: gateway
//!   client_secret: a secret of the gateway
//!   audiences: [orders]
//!   required_scopes: [orders:read]
//! ```
//!
//! What the issuer says has to be an answer as RFC 7662 §2.2 describes it: `200`,
//! `application/json`, a boolean `active`, times that are numbers, texts that are texts, no member
//! twice, 64 KiB at most. An active token must then fit: its times, the issuer where it names one,
//! one of `audiences`, one of `clients`, and it must be an access token (`token_type: Bearer` or
//! `DPoP`, `token_use: access_token`, where the answer has them). A good token that
//! lacks a scope or claim gets 403, everything else 401; with `required_scopes` or
//! `required_claims` the plugin is a grant. The identity has the token's subject and claims, and a
//! consumer only where `consumer_claim` names one.
//!
//! # Where the issuer answers
//!
//! At `introspection_endpoint`, or where its metadata says: at the server that the metadata comes
//! from, or one of `endpoint_hosts`. Metadata is fetched when a token comes, and again after an
//! hour; where that fails, the old one counts for a day. Redirects are not followed, and everything
//! goes over verified https; in clear to this machine only, or where `danger_clear_http` says so.
//! A client with a certificate is served where `mtls_endpoint_aliases` says (RFC 8705 §5), if the
//! metadata has that.
//!
//! # When it does not
//!
//! An issuer that is away, late, or answers anything else decides nothing: the request gets 503
//! with `auth.introspection_failed`, and the event says why. After five failures one after the
//! other it is left alone for a second, then a single request asks again; each further failure
//! doubles that time, up to 30 seconds. What a token may have caused is no such failure: an answer
//! that cannot be read, or a status such as 400, though 401, 408 and 429 are.
//!
//! For routes that say the same of the issuer, one question about one token is under way at a time
//! on the whole node, and as many questions in all as a quarter of `limits.calls`; a request with
//! one more gets 503. At most `limits.delayed` requests of a route wait for the answer to another's
//! question, each for `limits.delay` at most. `bartizan_introspections_total` counts questions by
//! server and result.
//!
//! # Tokens that are bound to their sender
//!
//! A token of which the answer says in `cnf` what it is bound to is no bearer token: its sender must
//! have the certificate on the connection (RFC 8705), or prove possession of the key with each
//! request (`DPoP`, RFC 9449). `require_binding` refuses tokens without; the page of `jwt-auth` says
//! how proofs are judged.
//!
//! # Headers
//!
//! `header` is read, and taken out of the request with `DPoP` unless `hide_credentials: false`. A 401 has
//! `WWW-Authenticate: Bearer` with the realm and, if configured, `resource_metadata` (RFC 9728
//! §5.1); a 403 for a scope says so there, too.
//!
//! # What it costs
//!
//! One call for a token that is not remembered, over connections that the worker keeps; else one
//! hash and one look-up. Remembered are 4,096 good tokens (16 MiB) and as many bad ones, together
//! for routes that say the same of the issuer. With `private_key_jwt` a signature is made for each
//! call.
//!
//! # What it cannot do
//!
//! A token that is withdrawn passes until `cache_ttl` is over. Tokens that clients invent each cost
//! a call: put a limit by address before this. Answers that the issuer signs (RFC 9701) are not
//! asked for. There is no login.

mod config;
#[cfg(test)]
pub(super) mod tests;

use bartizan_chain::{
    AnswerHead, Attempt, CompileCx, Flow, Identity, IdentityKey, Kinship, Nothing, Plugin,
    RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Stage, StageSet};

use super::binding;
use super::introspection::{Judge, Terms};
use super::token::{Asked, ConsumerClaim, Senders, Shown, TokenField, challenge, texts};
pub use config::Config;

/// Compiled `oauth-introspection`.
pub struct OauthIntrospection {
    field: TokenField,
    hides: bool,
    judge: Judge,
    senders: Senders,
}

impl Plugin for OauthIntrospection {
    const NAME: &'static str = "oauth-introspection";
    const PRIORITY: i32 = 2598;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = Shown;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let mut rules = config.demands().rules()?;
        rules.audiences = texts("audiences", config.audiences.as_ref(), |_| true)?;
        match (rules.audiences.is_empty(), config.danger_any_audience) {
            (true, false) => {
                return Err(Invalid::new("nobody says for whom tokens must be")
                    .with_help("write `audiences`: an issuer issues tokens for others, too"));
            }
            (false, true) => {
                return Err(Invalid::at("danger_any_audience", "there are also `audiences`"));
            }
            _ => {}
        }
        let metadata = config.resource_metadata.as_deref();
        let asked = Asked {
            binding: config.require_binding,
            dpop: ("dpop", config.dpop.as_ref()),
            challenge: challenge(config.realm.as_ref(), "oauth", metadata)?,
            scopes: &rules.required_scopes,
            is_bare: false,
        };
        let senders = Senders::compile(asked, cx)?;
        let terms = Terms {
            rules,
            clients: texts("clients", config.clients.as_ref(), |_| true)?,
            consumer_claim: ConsumerClaim::compile(config.consumer_claim.as_ref())?,
        };
        Ok(Self {
            field: TokenField::compile("header", &config.header)?,
            hides: config.hide_credentials,
            judge: Judge::compile(&config.introspection()?, terms, cx)?,
            senders,
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = Traits::in_stages(&[Stage::Authenticate]);
        traits.proves.authentication = true;
        traits.proves.grant = self.judge.is_grant();
        traits.on_response = self.senders.gives_nonces();
        traits
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        shown: &mut Shown,
    ) -> Result<Flow, Denial> {
        let refuse = |denial| self.senders.refusal(denial, cx.clock.now());
        let token = self.senders.token(&self.field, cx)?;
        let attempt = Attempt::token(Self::NAME, token.text.as_bytes());
        let judging = cx.judge(attempt)?;
        let proof = self.judge.proof(&token.text, cx).await.map_err(refuse);
        let parts = judging.settle(proof)?;
        shown.renews = self.senders.admit(cx, &token, &parts)?;
        if self.hides {
            cx.fields.remove(binding::FIELD);
            cx.fields.remove(self.field.name());
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
