//! Tokens that only their sender can use: bound to the client's certificate (RFC 8705 §3) or to a
//! key of which each request proves possession (`DPoP`, RFC 9449).
//!
//! A token says in `cnf` what it is bound to (RFC 7800 §3.1), and is then worth nothing without it,
//! whether the route asks for bound tokens or not. A binding that is not understood is never passed
//! over.

mod config;
mod dpop;
mod nonce;
#[cfg(test)]
mod tests;

use bartizan_chain::{CompileCx, RequestCx};
use bartizan_config::{Invalid, PathStep};
use bartizan_core::{Reason, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::replays::ReplayFault;
use crate::jose::ProofFault;
pub(crate) use config::{DpopConfig, Requirement};
use dpop::Dpop;
pub(crate) use dpop::spoke_tls;

/// The field that carries a proof.
pub(crate) const FIELD: &str = "dpop";
/// The field that tells clients the next nonce.
pub(crate) const NONCE_FIELD: &str = "dpop-nonce";

/// How a token was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// As a bearer token, in whatever place.
    Bearer,
    /// In `Authorization` with the scheme `DPoP`.
    Dpop,
}

/// Why a token is not accepted from this sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindingFault {
    #[error("the token is not bound to its sender as this route asks")]
    Unbound,
    #[error("the token's `cnf` is not a binding that is known here")]
    Confirmation,
    #[error("the token is bound to a key, and was shown as a bearer token")]
    ShownAsBearer,
    #[error("the token was shown with DPoP, and is not bound to a key")]
    NoKeyBound,
    #[error("the token is bound to a certificate, and the connection has none for this host")]
    NoCertificate,
    #[error("the token is bound to another certificate than the connection's")]
    OtherCertificate,
    #[error("there is no proof in the field `dpop`")]
    NoProof,
    #[error("the field `dpop` occurs more than once")]
    SeveralProofs,
    #[error("the field `dpop` is no text")]
    NotText,
    #[error(transparent)]
    Proof(#[from] ProofFault),
    #[error("the proof is of another key than the token is bound to")]
    OtherKey,
    #[error("the proof was made for another method")]
    Method,
    #[error("the proof was made for another target")]
    Target,
    #[error("the proof was made for another token")]
    OtherToken,
    #[error("the proof was made too long ago, or in the future")]
    Age,
    #[error("the proof's `jti` is empty or too long")]
    Id,
    #[error("the proof has no nonce that was given out lately")]
    Nonce,
    #[error("the proof: {0}")]
    Replay(#[from] ReplayFault),
}

impl BindingFault {
    /// The public reason.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::SeveralProofs => Reason::AmbiguousCredential,
            Self::NotText | Self::Id | Self::Proof(_) => Reason::MalformedCredential,
            Self::Age => Reason::ExpiredCredential,
            Self::Replay(ReplayFault::Again) => Reason::Replayed,
            Self::Replay(ReplayFault::Full) => Reason::ReplaysFull,
            _ => Reason::InvalidCredential,
        }
    }

    /// The error code for the client (RFC 6750 §3.1, RFC 9449 §7.1, §9).
    pub(crate) fn error(&self) -> &'static str {
        match self {
            Self::Nonce => "use_dpop_nonce",
            Self::Unbound
            | Self::Confirmation
            | Self::ShownAsBearer
            | Self::NoKeyBound
            | Self::NoCertificate
            | Self::OtherCertificate => "invalid_token",
            _ => "invalid_dpop_proof",
        }
    }

    /// True if a proof, or another one, is what is missing.
    pub(crate) fn is_of_proof(&self) -> bool {
        matches!(self, Self::ShownAsBearer) || self.error() != "invalid_token"
    }
}

/// What is asked of the senders of tokens.
pub(crate) struct Binding {
    required: Option<Requirement>,
    dpop: Box<Dpop>,
}

impl Binding {
    /// What a configuration asks with `require_binding`, and with the field that `dpop` names.
    pub(crate) fn compile(
        required: Option<Requirement>,
        (key, dpop): (&str, Option<&DpopConfig>),
        cx: &CompileCx<'_>,
    ) -> Result<Self, Invalid> {
        if dpop.is_some() && required == Some(Requirement::Mtls) {
            return Err(Invalid::at(key, "with `require_binding: mtls` no proof is looked at")
                .with_help("write `require_binding: any`, or remove one of both"));
        }
        let usual = DpopConfig::default();
        let dpop = dpop.unwrap_or(&usual).compile(cx);
        let dpop = dpop.map_err(|fault| fault.under(PathStep::Key(key.to_owned())))?;
        Ok(Self { required, dpop: Box::new(dpop) })
    }

    /// What tokens must be bound to.
    pub(crate) fn required(&self) -> Option<Requirement> {
        self.required
    }

    /// The parameters of a challenge to prove possession: `algs="ES256 EdDSA"` (RFC 9449 §7.1).
    pub(crate) fn algorithms(&self) -> String {
        let names: Vec<&str> =
            self.dpop.algorithms.iter().map(crate::jose::Algorithm::name).collect();
        format!("algs=\"{}\"", names.join(" "))
    }

    /// True if proofs must hold a nonce.
    pub(crate) fn gives_nonces(&self) -> bool {
        self.dpop.nonces.is_some()
    }

    /// The nonce of this time, where proofs must hold one.
    pub(crate) fn nonce(&self, now: Timestamp) -> Option<String> {
        self.dpop.nonces.as_ref().map(|nonces| nonces.mint(now))
    }

    /// Judges whether the sender of a request may use `token`, which says `cnf` and was shown by
    /// `scheme`. Called last: a proof that was judged good is used up. Tells whether the client
    /// should take the next nonce.
    pub(crate) fn judge(
        &self,
        cx: &RequestCx,
        scheme: Scheme,
        token: &str,
        cnf: Option<&Value>,
    ) -> Result<bool, BindingFault> {
        let Confirmation { key, certificate } = Confirmation::read(cnf)?;
        let is_enough = match self.required {
            None => true,
            Some(Requirement::Dpop) => key.is_some(),
            Some(Requirement::Mtls) => certificate.is_some(),
            Some(Requirement::Any) => key.is_some() || certificate.is_some(),
        };
        if !is_enough {
            return Err(BindingFault::Unbound);
        }
        match (scheme, key) {
            (Scheme::Bearer, Some(_)) => return Err(BindingFault::ShownAsBearer),
            (Scheme::Dpop, None) => return Err(BindingFault::NoKeyBound),
            _ => {}
        }
        if let Some(bound) = certificate {
            let shown = cx.client_certificate().ok_or(BindingFault::NoCertificate)?;
            if URL_SAFE_NO_PAD.encode(shown.digest()) != bound {
                return Err(BindingFault::OtherCertificate);
            }
            let now = cx.clock.now();
            if shown.not_after().is_none_or(|end| now > end) {
                return Err(BindingFault::NoCertificate);
            }
        }
        key.map_or(Ok(false), |bound| self.dpop.judge(cx, token, bound))
    }
}

/// What a token is bound to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Confirmation<'c> {
    /// The thumbprint of a key.
    key: Option<&'c str>,
    /// The thumbprint of a certificate.
    certificate: Option<&'c str>,
}

impl<'c> Confirmation<'c> {
    /// Reads `cnf`. Whatever is not known in it may be what binds the token, and refuses.
    fn read(cnf: Option<&'c Value>) -> Result<Self, BindingFault> {
        let Some(cnf) = cnf else { return Ok(Self::default()) };
        let members = cnf.as_object().filter(|members| !members.is_empty());
        let mut read = Self::default();
        for (name, value) in members.ok_or(BindingFault::Confirmation)? {
            let value = value.as_str().filter(|text| is_thumbprint(text));
            let value = value.ok_or(BindingFault::Confirmation)?;
            match name.as_str() {
                "jkt" => read.key = Some(value),
                "x5t#S256" => read.certificate = Some(value),
                _ => return Err(BindingFault::Confirmation),
            }
        }
        Ok(read)
    }
}

/// True for the base64url of a SHA-256, in its one form.
fn is_thumbprint(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}
