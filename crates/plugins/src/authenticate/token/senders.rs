//! Who may use a token, and what those are told who may not.

use bartizan_chain::{AnswerHead, CompileCx, IdentityParts, RequestCx};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Timestamp};

use super::super::binding::{self, Binding, BindingFault, DpopConfig, Requirement};
use super::challenge::Challenges;
use super::field::{Carried, TokenField};

/// What a plugin that reads tokens remembers until the answer.
#[derive(Debug, Default)]
pub struct Shown {
    /// The client should take the next nonce.
    pub(crate) renews: bool,
}

/// Judges senders by what their tokens are bound to, and makes every refusal a challenge. No plugin
/// that reads tokens does without it, so that none takes a bound token for a bearer token.
pub(crate) struct Senders {
    binding: Binding,
    challenges: Challenges,
}

/// What is asked of senders, as configuration says it.
pub(crate) struct Asked<'c> {
    /// `require_binding`
    pub(crate) binding: Option<Requirement>,
    /// How proofs are judged, and the field that says it.
    pub(crate) dpop: (&'static str, Option<&'c DpopConfig>),
    /// `realm="…"` and what else stands in every challenge.
    pub(crate) challenge: String,
    /// The scopes that a client is told which has too few.
    pub(crate) scopes: &'c [String],
    /// Whether challenges to bearers are as bare as those of Apache APISIX.
    pub(crate) is_bare: bool,
}

impl Senders {
    /// What a configuration asks.
    pub(crate) fn compile(asked: Asked<'_>, cx: &CompileCx<'_>) -> Result<Self, Invalid> {
        let binding = Binding::compile(asked.binding, asked.dpop, cx)?;
        let challenges = Challenges::new(asked.challenge, asked.scopes, &binding, asked.is_bare);
        Ok(Self { binding, challenges })
    }

    /// The token that a request shows in `field`.
    pub(crate) fn token<'r>(
        &self,
        field: &TokenField,
        cx: &'r RequestCx,
    ) -> Result<Carried<'r>, Denial> {
        field.token(&cx.fields).map_err(|fault| {
            self.refusal(Denial::new(fault.reason(), fault.to_string()), cx.clock.now())
        })
    }

    /// Judges whether the sender of a request may use a token that is good. Called last: a proof
    /// that was judged good is used up. Tells whether the client should take the next nonce.
    pub(crate) fn judge(
        &self,
        cx: &RequestCx,
        token: &Carried<'_>,
        parts: &IdentityParts,
    ) -> Result<bool, BindingFault> {
        let cnf = parts.claims.as_deref().and_then(|claims| claims.get("cnf"));
        self.binding.judge(cx, token.scheme, &token.text, cnf)
    }

    /// As `judge`, with the refusal made of what is wrong.
    pub(crate) fn admit(
        &self,
        cx: &RequestCx,
        token: &Carried<'_>,
        parts: &IdentityParts,
    ) -> Result<bool, Denial> {
        self.judge(cx, token, parts).map_err(|fault| {
            let denial = Denial::new(fault.reason(), fault.to_string());
            self.refusal_for(denial, Some(&fault), cx.clock.now())
        })
    }

    /// The refusal with its challenge.
    pub(crate) fn refusal(&self, denial: Denial, now: Timestamp) -> Denial {
        self.refusal_for(denial, None, now)
    }

    /// The refusal with its challenge, where `fault` may be what is wrong.
    pub(crate) fn refusal_for(
        &self,
        denial: Denial,
        fault: Option<&BindingFault>,
        now: Timestamp,
    ) -> Denial {
        self.challenges.attach(denial, fault, self.binding.nonce(now))
    }

    /// True if answers may have to tell a nonce.
    pub(crate) fn gives_nonces(&self) -> bool {
        self.binding.gives_nonces()
    }

    /// Tells a client whose nonce ends the next one, if that was found out when the token was `shown`.
    pub(crate) fn answer(&self, cx: &RequestCx, answer: &mut AnswerHead, shown: &Shown) {
        let nonce = shown.renews.then(|| self.binding.nonce(cx.clock.now())).flatten();
        if let Some(nonce) = nonce {
            answer.fields.set(binding::NONCE_FIELD, nonce);
        }
    }
}
