//! `DPoP`: a proof, made for this request, that whoever sends the token has the key that it is bound
//! to (RFC 9449 §4.3, §7).

use std::time::Duration;

use aws_lc_rs::digest;
use bartizan_chain::RequestCx;
use bartizan_core::{NodeKey, Timestamp};
use bartizan_wire::{Canonical, PathPolicy};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::nonce::{Nonces, Standing};
use super::{BindingFault, FIELD};
use crate::authenticate::replays::Window;
use crate::jose::{AlgorithmSet, Proof, ShownProof};

/// Longest `jti`, and longest `htu`.
pub(super) const ID_MAX: usize = 256;
pub(super) const TARGET_MAX: usize = 4 * 1024;

/// An origin that clients know the API by.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) is_tls: bool,
    pub(super) authority: Box<str>,
}

/// How proofs are judged.
pub(super) struct Dpop {
    pub(super) algorithms: AlgorithmSet,
    pub(super) max_age: Duration,
    pub(super) leeway: Duration,
    pub(super) nonces: Option<Nonces>,
    pub(super) origin: Option<Origin>,
    pub(super) replays: Window,
    pub(super) node_key: NodeKey,
}

impl Dpop {
    /// Judges the proof of a request with `token`, which is bound to the key of thumbprint `bound`.
    /// Tells whether the client should take the next nonce.
    pub(super) fn judge(
        &self,
        cx: &RequestCx,
        token: &str,
        bound: &str,
    ) -> Result<bool, BindingFault> {
        let field = cx.fields.single(FIELD).map_err(|_| BindingFault::SeveralProofs)?;
        let text = std::str::from_utf8(field.ok_or(BindingFault::NoProof)?);
        let text = text.map_err(|_| BindingFault::NotText)?;
        // A signature costs too much to be verified for whoever has not even the right key.
        let shown = ShownProof::read(text, self.algorithms)?;
        if shown.thumbprint() != bound {
            return Err(BindingFault::OtherKey);
        }
        let proof = shown.verify()?;
        if proof.text("htm")? != cx.canonical().method().as_str() {
            return Err(BindingFault::Method);
        }
        if !self.is_target(cx, proof.text("htu")?) {
            return Err(BindingFault::Target);
        }
        if proof.text("ath")? != hash(token) {
            return Err(BindingFault::OtherToken);
        }
        let now = cx.clock.now();
        let issued = self.issued(&proof, now)?;
        let renews = self.nonce(&proof, now)?;
        let id = proof.text("jti")?;
        if !(1..=ID_MAX).contains(&id.len()) {
            return Err(BindingFault::Id);
        }
        // Last, so that nothing is remembered of proofs that are none.
        let text = [bound, "\n", id].concat();
        let trace = self.node_key.digest("dpop replay", text.as_bytes());
        let trace = trace.first_chunk().copied().unwrap_or_default();
        self.replays.spend(trace, issued, now.as_secs())?;
        Ok(renews)
    }

    /// When the proof was made, if that was lately.
    fn issued(&self, proof: &Proof, now: Timestamp) -> Result<u64, BindingFault> {
        let issued = proof.issued()?;
        let is_young = issued.plus(self.max_age) >= now;
        let has_come = issued <= now.plus(self.leeway);
        if is_young && has_come { Ok(issued.as_secs()) } else { Err(BindingFault::Age) }
    }

    /// Whether a good nonce should be replaced by the next one.
    fn nonce(&self, proof: &Proof, now: Timestamp) -> Result<bool, BindingFault> {
        let Some(nonces) = &self.nonces else { return Ok(false) };
        if !proof.has("nonce") {
            return Err(BindingFault::Nonce);
        }
        match nonces.judge(proof.text("nonce")?, now) {
            Standing::Fresh => Ok(false),
            Standing::Old => Ok(true),
            Standing::Bad => Err(BindingFault::Nonce),
        }
    }

    /// True if `htu` names what the request asks for, whatever its query and fragment (RFC 9449
    /// §4.3 check 9). Both are brought into one form first, by the gate that every request passes.
    pub(super) fn is_target(&self, cx: &RequestCx, htu: &str) -> bool {
        let own = cx.canonical();
        let Some(named) = Target::read(htu, own) else { return false };
        let (is_tls, authority) = match &self.origin {
            Some(origin) => (origin.is_tls, &*origin.authority),
            None => (spoke_tls(cx), own.authority()),
        };
        // Slashes stay as they are: a node that takes several for one does so for the target too.
        let path = own.raw_target();
        let path = if path.first() == Some(&b'/') { path } else { own.path().as_bytes() };
        let Some(asked) = Target::of(is_tls, authority, path, own) else { return false };
        named == asked
    }
}

/// Whether the client spoke TLS, as the listener or a trusted proxy says.
pub(crate) fn spoke_tls(cx: &RequestCx) -> bool {
    let said = cx.fields.single("x-forwarded-proto").ok().flatten();
    cx.canonical().scheme() == "https"
        || cx.trusts_forwarded && said.is_some_and(|said| said.eq_ignore_ascii_case(b"https"))
}

/// Scheme, host, port and path in their one form.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    is_tls: bool,
    host: String,
    port: u16,
    path: String,
}

impl Target {
    /// Reads an absolute URI.
    fn read(uri: &str, gate: &Canonical) -> Option<Self> {
        if uri.len() > TARGET_MAX {
            return None;
        }
        let (scheme, rest) = uri.split_once("://")?;
        let is_tls = match scheme {
            scheme if scheme.eq_ignore_ascii_case("https") => true,
            scheme if scheme.eq_ignore_ascii_case("http") => false,
            _ => return None,
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        Self::of(is_tls, authority, path.as_bytes(), gate)
    }

    fn of(is_tls: bool, authority: &str, path: &[u8], gate: &Canonical) -> Option<Self> {
        let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
        let path = std::str::from_utf8(path.get(..end)?).ok()?;
        let path = if path.is_empty() { "/" } else { path };
        let at = gate.with_host(authority).ok()?;
        // A `;` in the request's own path comes as far as this only where the node takes it out.
        let policy = PathPolicy { drop_parameters: true, ..PathPolicy::AS_WRITTEN };
        let path = gate.rewritten(path, policy).ok()?;
        Some(Self {
            is_tls,
            host: at.host().to_owned(),
            port: at.port().unwrap_or(if is_tls { 443 } else { 80 }),
            path: path.path().to_owned(),
        })
    }
}

/// The hash of a token (RFC 9449 §4.2, `ath`).
fn hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, token.as_bytes()))
}
