//! Proves who calls by a signature over the request (RFC 9421), which covers the body by its digest
//! (RFC 9530).
//!
//! The client has a key, shared or private, and signs what it sends:
//!
//! ```text
//! Content-Digest: sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:
//! Signature-Input: sig1=("@method" "@authority" "@path" "@query" "content-digest");
//!                  created=1767225600;keyid="alice";nonce="b3k2pp5k7z"
//! Signature: sig1=:LAH8BjcfcOcLojiuOBFWn0P5keD3xAOuJRGziCLuD8r5MW9S0RoXXLzLSRfGY/3S:
//! ```
//!
//! ```yaml
//! http-signature:
//!   components: ["@method", "@target-uri", "authorization"]
//!   require_nonce: true
//! ```
//!
//! and on the consumer
//!
//! ```yaml
//! http-signature: {key_id: alice, algorithm: ed25519, public_key: $file://keys/alice.pem}
//! ```
//!
//! **What must be signed** is what `components` names, else method, authority, path and query: a
//! signature over less would be good for other requests. A request with a body must have
//! `Content-Digest` with SHA-256 or SHA-512, signed, and the body must have that digest, unless
//! `content_digest: false`. The body is read when everything else has been allowed that needs none,
//! at most `max_req_body_size` bytes (413).
//!
//! **How long it is good**: `created` and `keyid` must be there, and `created` be at most `max_age`
//! ago; `expires` counts if it is there. Each signature is good once, unless
//! `refuse_replays: false`: what is remembered is what was signed, so that no other signature over
//! the same helps. Clients that send the same request twice within a second have to put a `nonce`
//! in. Each node remembers for itself (`limits.replay_keys`; beyond them the answer is 503), as long
//! as some route has this plugin, and not over a restart. The memory is one for all its routes, and
//! keeps each signature for the greatest `max_age` of them: one route with `24h` fills it for all.
//!
//! **Single parameters of the query** can be signed as `"@query-param";name="id"`, and asked for as
//! `@query-param;name="id"`: for queries to which somebody adds on the way. What is not signed can
//! then be changed by whoever has the request. The parameter must occur once; name and value
//! are signed decoded and encoded again, with everything escaped but letters, digits and `*-._`.
//!
//! The algorithm is the key's; `alg` may only agree with it. Parameters and components that are not
//! known refuse, since one that restricts a signature would otherwise be passed over; and so does
//! whatever occurs twice.
//!
//! Refusals are 401, for an unknown key and for a wrong signature alike. With
//! `anonymous_consumer`, callers without a valid signature become that consumer; this proves
//! nothing, so the route needs `anonymous-access` too.
//!
//! # Headers
//!
//! `Signature-Input`, `Signature`, `Content-Digest` and whatever is signed are read; the first two
//! are taken out of the request, unless `hide_credentials: false`. A 401 has
//! `WWW-Authenticate: Signature` with the realm, and `Accept-Signature` with what has to be signed.
//!
//! # What it costs
//!
//! One signature per request, and the digest of the body, on the CPU pool from 256 KiB on.
//!
//! # What it cannot do
//!
//! Of what RFC 9421 can cover, the parameters of components `sf`, `key`, `bs`, `tr` and `req` are
//! refused, and what only answers have (`@status`). Responses are not signed. Behind a proxy that ends TLS, `@scheme` and
//! `@target-uri` are those of the client only if the proxy is one of `trusted_proxies`.

mod base;
mod config;
mod digest;
mod fault;
mod parameter;
mod structured;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bartizan_chain::{
    Attempt, BodyNeed, CompileCx, CpuPool, CredentialEntry, CredentialRef, Flow, Identity,
    IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, NodeKey, Stage, StageSet, Timestamp};

use super::carrier::{self, Realm, StandIn, settle};
use super::replays::Window;
use base::{Covered, signature_base};
use config::SignatureKey;
pub use config::{Config, ConsumerConfig};
use digest::Digests;
use fault::Fault;
use structured::{Bare, Item, Member, Parameters, dictionary};

const INPUT: &str = "signature-input";
const SIGNATURE: &str = "signature";
const DIGEST: &str = "content-digest";
/// Larger bodies are hashed on the CPU pool.
const HASHED_HERE_MAX: usize = 256 * 1024;

/// What is remembered between proof and body.
#[derive(Debug, Default)]
pub struct Call {
    body: Body,
}

/// What is known of the body that will come.
#[derive(Debug, Default)]
enum Body {
    /// Nothing is asked of it.
    #[default]
    Any,
    /// It has no digest that was signed, and so must be empty.
    Empty,
    /// It has these digests.
    Digests(Digests),
}

/// Compiled `http-signature`.
pub struct HttpSignature {
    components: Box<[Box<str>]>,
    label: Option<Box<str>>,
    tag: Option<Box<str>>,
    max_age: Duration,
    leeway: Duration,
    require_expires: bool,
    require_nonce: bool,
    body: BodyNeed,
    replays: Option<Window>,
    node_key: Box<NodeKey>,
    cpu: CpuPool,
    hides: bool,
    challenge: String,
    accepted: String,
    stand_in: Option<StandIn>,
}

impl Plugin for HttpSignature {
    const NAME: &'static str = "http-signature";
    const PRIORITY: i32 = 2529;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate, Stage::Authorize]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        let (max_age, leeway) = config.times()?;
        let replays = config.refuse_replays.then(|| Window::of_node(cx, Self::NAME, max_age));
        let components = config.components()?;
        let body = config.body(&cx.node.limits)?;
        Ok(Self {
            accepted: accepted(&components, body, &config),
            components,
            body,
            max_age,
            leeway,
            require_expires: config.require_expires,
            require_nonce: config.require_nonce,
            replays,
            node_key: Box::new(cx.node.key.clone()),
            cpu: cx.node.cpu.clone(),
            hides: config.hide_credentials,
            challenge: Realm::challenge(config.realm.as_ref(), "Signature", "signature"),
            label: config.label()?,
            tag: config.tag()?,
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
        })
    }

    fn traits(&self) -> Traits {
        carrier::traits(self.stand_in.as_ref(), self.body)
    }

    fn credential(
        config: ConsumerConfig,
        _cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        config.entry()
    }

    async fn authenticate(
        &self,
        cx: &mut RequestCx,
        key: &IdentityKey,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        let proof = self.try_proof(cx);
        let (parts, body) = settle(proof, self.stand_in.as_ref(), cx.consumers())?;
        call.body = body;
        if self.hides {
            cx.fields.remove(INPUT);
            cx.fields.remove(SIGNATURE);
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
        let body = cx.body().cloned().unwrap_or_default();
        let digests = match &call.body {
            Body::Any => return Ok(Flow::Continue),
            Body::Empty if body.is_empty() => return Ok(Flow::Continue),
            Body::Empty => return Err(self.refusal(Fault::BodyNotSigned)),
            Body::Digests(digests) => digests.clone(),
        };
        let holds = if body.len() > HASHED_HERE_MAX {
            self.cpu.run(move || digests.are_of(&body)).await?
        } else {
            digests.are_of(&body)
        };
        if holds { Ok(Flow::Continue) } else { Err(self.refusal(Fault::Body)) }
    }
}

/// A signature as it was sent.
struct Shown {
    items: Vec<Item>,
    parameters: Parameters,
    signature: Vec<u8>,
}

impl HttpSignature {
    fn refusal(&self, fault: Fault) -> Denial {
        fault.denial(&self.challenge, &self.accepted)
    }

    /// Who signed the request, as far as that may be told.
    fn try_proof(&self, cx: &RequestCx) -> Result<(IdentityParts, Body), Denial> {
        let refuse = |fault| self.refusal(fault);
        let shown = self.shown(cx).map_err(refuse)?;
        let said = Said::read(&shown.parameters).map_err(refuse)?;
        let attempt = Attempt::signed(Self::NAME, Some(said.key_id.as_bytes()));
        cx.settle(&attempt, self.prove(cx, &shown, &said).map_err(refuse))
    }

    /// Who signed the request, and what its body has to be.
    fn prove(
        &self,
        cx: &RequestCx,
        shown: &Shown,
        said: &Said<'_>,
    ) -> Result<(IdentityParts, Body), Fault> {
        let now = cx.clock.now();
        let created = self.judge(said, now)?;
        let covered = Covered::read(&shown.items)?;
        if !self.components.iter().all(|name| covered.has(name)) {
            return Err(Fault::NotSigned);
        }
        let body = match (self.body.is_some(), covered.has(DIGEST)) {
            (false, _) => Body::Any,
            (true, false) => Body::Empty,
            (true, true) => Body::Digests(Digests::read(cx)?),
        };
        let text = signature_base(cx, &shown.items, &shown.parameters)?;
        let owner = cx.consumers().find(Self::NAME, said.key_id.as_bytes());
        let own = owner.as_ref().and_then(CredentialRef::data::<SignatureKey>);
        // Work on somebody's key where there is none of the name, so that time does not tell.
        let key = own.or_else(|| cx.consumers().decoy::<SignatureKey>(Self::NAME, self.seed(said)));
        let key = key.ok_or(Fault::UnknownKey)?;
        let holds = key.verifies(&text, &shown.signature);
        let owner = owner.filter(|_| own.is_some()).ok_or(Fault::UnknownKey)?;
        if said.algorithm.is_some_and(|named| named != key.algorithm.name()) {
            return Err(Fault::Algorithm);
        }
        if !holds {
            return Err(Fault::Signature);
        }
        if let Some(replays) = &self.replays {
            let digest = self.node_key.digest("http-signature replay", text.as_bytes());
            let trace = digest.first_chunk().copied().unwrap_or_default();
            replays.spend(trace, created, now.as_secs())?;
        }
        let parts = IdentityParts {
            consumer: Some(owner.consumer.clone()),
            credential: owner.credential.cloned(),
            ..IdentityParts::default()
        };
        Ok((parts, body))
    }

    /// Decides whose key is worked on for a name that nobody has: one for each name, as if somebody
    /// had it.
    fn seed(&self, said: &Said<'_>) -> u64 {
        let digest = self.node_key.digest("http-signature decoy", said.key_id.as_bytes());
        digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
    }

    /// The signature that counts.
    fn shown(&self, cx: &RequestCx) -> Result<Shown, Fault> {
        let read = |name: &'static str| {
            let lines: Vec<&[u8]> = cx.fields.all(name).collect();
            dictionary(&lines.join(&b", "[..])).map_err(|fault| Fault::Field(name, fault))
        };
        let mut inputs = read(INPUT)?;
        if inputs.is_empty() {
            return Err(Fault::Missing);
        }
        match &self.label {
            Some(label) => inputs.retain(|(name, _)| **name == **label),
            None if inputs.len() > 1 => return Err(Fault::Several),
            None => {}
        }
        let (label, input) = inputs.pop().ok_or(Fault::NoLabel)?;
        let Member::List(items, parameters) = input else { return Err(Fault::Components) };
        let signature = read(SIGNATURE)?.into_iter().find(|(name, _)| *name == label);
        match signature {
            Some((_, Member::Item(Item { bare: Bare::Bytes(signature), .. }))) => {
                Ok(Shown { items, parameters, signature })
            }
            _ => Err(Fault::NoLabel),
        }
    }

    /// When the signature was made, if it is still good and for this.
    fn judge(&self, said: &Said<'_>, now: Timestamp) -> Result<u64, Fault> {
        let created = Timestamp::from_secs(said.created);
        if created.plus(self.max_age) < now || created > now.plus(self.leeway) {
            return Err(Fault::Age);
        }
        match said.expires {
            Some(expires) if expires <= now.as_secs() => return Err(Fault::Expired),
            None if self.require_expires => return Err(Fault::Parameter("expires")),
            _ => {}
        }
        if self.require_nonce && said.nonce.is_none_or(str::is_empty) {
            return Err(Fault::Parameter("nonce"));
        }
        if self.tag.as_deref().is_some_and(|tag| said.tag != Some(tag)) {
            return Err(Fault::Tag);
        }
        Ok(said.created)
    }
}

/// What a signature says of itself (RFC 9421 §2.3).
struct Said<'p> {
    created: u64,
    expires: Option<u64>,
    key_id: &'p str,
    algorithm: Option<&'p str>,
    nonce: Option<&'p str>,
    tag: Option<&'p str>,
}

impl<'p> Said<'p> {
    fn read(parameters: &'p Parameters) -> Result<Self, Fault> {
        let (mut created, mut expires) = (None, None);
        let (mut key_id, mut algorithm, mut nonce, mut tag) = (None, None, None, None);
        for (name, value) in parameters {
            match (name.as_str(), value) {
                ("created", Bare::Integer(time)) => created = u64::try_from(*time).ok(),
                ("expires", Bare::Integer(time)) => {
                    expires = Some(u64::try_from(*time).unwrap_or(0));
                }
                ("keyid", Bare::Text(text)) => key_id = Some(text.as_str()),
                ("alg", Bare::Text(text)) => algorithm = Some(text.as_str()),
                ("nonce", Bare::Text(text)) => nonce = Some(text.as_str()),
                ("tag", Bare::Text(text)) => tag = Some(text.as_str()),
                _ => return Err(Fault::UnknownParameter),
            }
        }
        Ok(Self {
            created: created.ok_or(Fault::Parameter("created"))?,
            expires,
            key_id: key_id.ok_or(Fault::Parameter("keyid"))?,
            algorithm,
            nonce,
            tag,
        })
    }
}

/// What clients are told to sign (RFC 9421 §5.1).
fn accepted(components: &[Box<str>], body: BodyNeed, config: &Config) -> String {
    let digest = body.is_some().then_some(DIGEST);
    let digest = digest.filter(|name| !components.iter().any(|own| &**own == *name));
    let names = components.iter().map(|name| &**name).chain(digest);
    let written = |name: &str| match name.split_once(';') {
        Some((name, parameter)) => format!("\"{name}\";{parameter}"),
        None => format!("\"{name}\""),
    };
    let names: Vec<String> = names.map(written).collect();
    let mut text = format!("{}=({})", config.label.as_deref().unwrap_or("sig1"), names.join(" "));
    text.push_str(";created;keyid");
    for (is_asked, name) in [(config.require_expires, "expires"), (config.require_nonce, "nonce")] {
        if is_asked {
            text.extend([";", name]);
        }
    }
    text
}
