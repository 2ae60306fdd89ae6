//! Proves who calls by a signature over the request (HMAC, in the form of HTTP signatures).
//!
//! The client shares a secret with the gateway and never sends it. It signs a text, and says in
//! `Authorization` what it signed:
//!
//! ```text
//! Authorization: Signature keyId="alice",algorithm="hmac-sha256",
//!                headers="@request-target date",signature="…"
//! ```
//!
//! The text is `keyId` and a line end; then, for each entry of `headers` in its order, a line:
//! `METHOD target` for `@request-target` (the target as it is sent, with its query), else `name:
//! value` with the name as it stands in the list. Every line ends with a line feed, the last one
//! too. `signature` is the base64 of its HMAC under `secret_key`.
//!
//! ```yaml
//! hmac-auth:
//!   signed_headers: [host]
//!   validate_request_body: true
//! ```
//!
//! and on the consumer `hmac-auth: {key_id: alice, secret_key: $env://ALICE_SECRET}`.
//!
//! **What must be signed**: `date` and `@request-target` always, what `signed_headers` names, and
//! `digest` with `validate_request_body`. Without the target a signature for one request would be
//! good for any other; `danger_unsigned_target: true` gives that up for clients that cannot sign
//! it. A signature over `host` is not good for another host of this gateway.
//!
//! **How long it is good**: `Date` may differ from the time here by `clock_skew` seconds. Within
//! them the same request can be sent again by whoever has seen it, unless `refuse_replays` is on:
//! then each signature is good once. Each node remembers what it has seen (`limits.replay_keys`;
//! beyond them the answer is 503), not what other nodes have, and not over a restart; it does so
//! for all routes with `refuse_replays` together, as long as there is one, and for the greatest
//! `clock_skew` of them. Clients that send the same request twice within a second sign the same text
//! twice: let them sign a header with a number of their own besides.
//!
//! **The body** is covered by `Digest: SHA-256=<base64>` with `validate_request_body`. It is read
//! when everything else has been allowed that needs no body, at the end of Authorize, so that
//! nobody sends one in vain: at most `max_req_body_size` bytes (413). A wrong digest is refused
//! with 401 even where there is an `anonymous_consumer`.
//!
//! Refusals are 401 with `WWW-Authenticate: hmac` and the realm, for an unknown key and for a wrong
//! signature alike. `Authorization` is taken out of the request, unless `hide_credentials: false`
//! (in compatibility mode it stays, unless `true`). With `anonymous_consumer`, callers without a
//! valid signature become that consumer; this proves nothing, so the route needs
//! `anonymous-access` too.
//!
//! # Headers
//!
//! `Authorization`, `Date`, `Digest` and whatever is signed are read; `Authorization` is taken out
//! of the request. A 401 has `WWW-Authenticate: hmac` with the realm.
//!
//! # What it costs
//!
//! One HMAC over the text; a SHA-256 of the body where it is validated, on the CPU pool from 256
//! KiB on.
//!
//! # What it cannot do
//!
//! Without `refuse_replays` a request can be sent again for `clock_skew` seconds by whoever has
//! seen it; with it, each node remembers for itself and not over a restart. What is not signed can
//! be changed on the way.
//!
//! # How it differs from Apache APISIX
//!
//! Target and date must be signed, and the digest where it counts; a signed header that is absent
//! or repeated refuses instead of being passed over; unknown parameters refuse; `hmac-sha1` has to
//! be asked for outside of compatibility mode; weak secrets need
//! `danger_weak_secret`; `clock_skew` is a day at most.

mod config;
mod fault;
mod params;
mod signing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lc_rs::digest;
use bartizan_chain::{
    Attempt, BodyNeed, CompileCx, CpuPool, CredentialEntry, CredentialRef, Flow, Identity,
    IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, NodeKey, Stage, StageSet};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use subtle::ConstantTimeEq;

use super::carrier::{self, Realm, StandIn, settle};
use super::replays::Window;
pub use config::{Config, ConsumerConfig};
use fault::Fault;
use params::Params;
pub use signing::MacAlgorithm;
use signing::{MacKeys, Signed};

const AUTHORIZATION: &str = "authorization";
const DATE: &str = "date";
const DIGEST: &str = "digest";
/// Larger bodies are hashed on the CPU pool.
const HASHED_HERE_MAX: usize = 256 * 1024;

/// The SHA-256 that a body has to have.
type BodyDigest = [u8; digest::SHA256_OUTPUT_LEN];

/// What is remembered between proof and body.
#[derive(Debug, Default)]
pub struct Call {
    expected: Option<BodyDigest>,
}

/// Compiled `hmac-auth`.
pub struct HmacAuth {
    algorithms: Box<[MacAlgorithm]>,
    clock_skew: u64,
    must_sign_target: bool,
    /// In lower case.
    signed_headers: Box<[Box<str>]>,
    body: BodyNeed,
    replays: Option<Window>,
    node_key: Box<NodeKey>,
    cpu: CpuPool,
    hides: bool,
    challenge: String,
    stand_in: Option<StandIn>,
}

impl Plugin for HmacAuth {
    const NAME: &'static str = "hmac-auth";
    const PRIORITY: i32 = 2530;
    const KINSHIP: Kinship = Kinship::Different(
        "target and date must be signed, and the digest where it counts; with \
         `refuse_replays` a signature is good once",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate, Stage::Authorize]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let is_apisix = cx.compatibility().is_apisix();
        let clock_skew = u64::from(config.clock_skew()?);
        let age = Duration::from_secs(clock_skew);
        let replays = config.refuse_replays.then(|| Window::of_node(cx, Self::NAME, age));
        Ok(Self {
            algorithms: config.algorithms(is_apisix)?,
            clock_skew,
            must_sign_target: !config.danger_unsigned_target,
            signed_headers: config.signed_headers()?,
            body: config.body(&cx.node.limits)?,
            replays,
            node_key: Box::new(cx.node.key.clone()),
            cpu: cx.node.cpu.clone(),
            hides: config.hide_credentials.unwrap_or(!is_apisix),
            challenge: Realm::challenge(config.realm.as_ref(), "hmac", "hmac"),
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
        })
    }

    fn traits(&self) -> Traits {
        carrier::traits(self.stand_in.as_ref(), self.body)
    }

    fn credential(
        config: ConsumerConfig,
        cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        config.entry(cx)
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let proof = self.try_proof(cx);
        let (parts, expected) = settle(proof, self.stand_in.as_ref(), cx.consumers())?;
        call.expected = expected;
        if self.hides {
            cx.fields.remove(AUTHORIZATION);
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }

    async fn on_request(
        &self,
        _stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let Some(expected) = call.expected else { return Ok(Flow::Continue) };
        let body = cx.body().cloned().unwrap_or_default();
        let made = if body.len() > HASHED_HERE_MAX {
            self.cpu.run(move || sha256(&body)).await?
        } else {
            sha256(&body)
        };
        if made.ct_eq(&expected).into() {
            Ok(Flow::Continue)
        } else {
            Err(Fault::Body.denial(&self.challenge))
        }
    }
}

impl HmacAuth {
    /// Who signed the request, as far as that may be told.
    fn try_proof(&self, cx: &RequestCx) -> Result<(IdentityParts, Option<BodyDigest>), Denial> {
        let refuse = |fault: Fault| fault.denial(&self.challenge);
        let params = shown(cx).map_err(refuse)?;
        let attempt = Attempt::signed(Self::NAME, Some(params.key_id.as_bytes()));
        cx.settle(&attempt, self.prove(cx, &params).map_err(refuse))
    }

    /// Who signed the request, and which body belongs to it.
    fn prove(
        &self,
        cx: &RequestCx,
        params: &Params<'_>,
    ) -> Result<(IdentityParts, Option<BodyDigest>), Fault> {
        let algorithm = MacAlgorithm::named(params.algorithm).ok_or(Fault::Algorithm)?;
        if !self.algorithms.contains(&algorithm) {
            return Err(Fault::Algorithm);
        }
        self.covers_enough(params)?;
        let now = cx.clock.now().as_secs();
        let date = self.date(cx, now)?;
        let expected = if self.body.is_some() { Some(body_digest(cx)?) } else { None };
        let canonical = cx.canonical();
        let signed = Signed {
            method: canonical.method().as_str(),
            target: canonical.raw_target(),
            fields: &cx.fields,
        };
        let owner = cx.consumers().find(Self::NAME, params.key_id.as_bytes());
        let own = owner.as_ref().and_then(CredentialRef::data::<MacKeys>);
        // Work on somebody's key where there is none of the name, so that time does not tell.
        let keys = own.or_else(|| cx.consumers().decoy::<MacKeys>(Self::NAME, 0));
        let holds = keys.ok_or(Fault::UnknownKey)?.verify(algorithm, params, &signed)?;
        let owner = owner.filter(|_| own.is_some()).ok_or(Fault::UnknownKey)?;
        if !holds {
            return Err(Fault::Signature);
        }
        if let Some(replays) = &self.replays {
            replays.spend(self.trace(params), date, now)?;
        }
        let parts = IdentityParts {
            consumer: Some(owner.consumer.clone()),
            credential: owner.credential.cloned(),
            ..IdentityParts::default()
        };
        Ok((parts, expected))
    }

    fn covers_enough(&self, params: &Params<'_>) -> Result<(), Fault> {
        if self.must_sign_target && !params.covers(params::TARGET) {
            return Err(Fault::NotSigned(params::TARGET));
        }
        for name in [Some(DATE), self.body.is_some().then_some(DIGEST)].into_iter().flatten() {
            if !params.covers(name) {
                return Err(Fault::NotSigned(name));
            }
        }
        let covers = |name: &str| params.covers(name);
        if self.signed_headers.iter().all(|name| covers(name)) {
            Ok(())
        } else {
            Err(Fault::HeaderNotSigned)
        }
    }

    /// When the request says that it was signed.
    fn date(&self, cx: &RequestCx, now: u64) -> Result<u64, Fault> {
        let field = cx.fields.single(DATE).ok().flatten().ok_or(Fault::Date)?;
        let text = std::str::from_utf8(field).map_err(|_| Fault::Date)?;
        let date = httpdate::parse_http_date(text).map_err(|_| Fault::Date)?;
        let date = date.duration_since(std::time::UNIX_EPOCH).map_err(|_| Fault::Date)?.as_secs();
        if now.abs_diff(date) > self.clock_skew { Err(Fault::Skew) } else { Ok(date) }
    }

    /// What is remembered of a signature.
    fn trace(&self, params: &Params<'_>) -> [u8; 16] {
        let text = [params.key_id.as_bytes(), b"\n", &params.signature].concat();
        let digest = self.node_key.digest("hmac-auth replay", &text);
        digest.first_chunk().copied().unwrap_or_default()
    }
}

/// The signature as it was sent.
fn shown(cx: &RequestCx) -> Result<Params<'_>, Fault> {
    let field = cx.fields.single(AUTHORIZATION).map_err(|_| Fault::Repeated)?;
    Ok(Params::read(field.ok_or(Fault::Missing)?)?)
}

/// The digest that the request says its body has.
fn body_digest(cx: &RequestCx) -> Result<BodyDigest, Fault> {
    let field = cx.fields.single(DIGEST).ok().flatten().ok_or(Fault::Digest)?;
    let (name, value) = field.split_at_checked(8).ok_or(Fault::Digest)?;
    if !name.eq_ignore_ascii_case(b"sha-256=") {
        return Err(Fault::Digest);
    }
    let decoded = STANDARD.decode(value).map_err(|_| Fault::Digest)?;
    decoded.try_into().map_err(|_| Fault::Digest)
}

fn sha256(body: &Bytes) -> BodyDigest {
    let made = digest::digest(&digest::SHA256, body);
    made.as_ref().first_chunk().copied().unwrap_or_default()
}

/// The law of the reader of parameters, for the fuzzer.
pub(crate) fn fuzz_params(field: &[u8]) {
    params::law(field);
}
