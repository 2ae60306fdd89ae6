//! Proves who calls by an API key.
//!
//! The key is read from a header field, else from a query parameter; where both are there the
//! field counts. Each may occur once. The key belongs to a consumer or to one of its credentials;
//! two consumers cannot have the same key. Keys are not kept: they are found by a digest under the
//! node's own key, so that neither memory nor timing tells them.
//!
//! ```yaml
//! key-auth:
//!   header: x-api-key
//!   realm: orders
//! ```
//!
//! and on the consumer, or on a credential of it, `key-auth: {key: $env://ALICE_KEY}`. Where the
//! node has `api_keys`, a hash stands in place of the key, as `bartizan key create` writes it:
//!
//! ```yaml
//! key-auth:
//!   hash: 9r1hXcQ0u8bV4q3yJmTz0oQk5w7eNfLsA2dRgPiYhUo=
//!   hash_key: "2026"
//!   expires_at: 2026-12-31T00:00:00Z
//! ```
//!
//! A key is good until `expires_at`, or until `retires_at` if that is sooner: the date that is set
//! when another key takes its place. A consumer may have several keys, each in a credential.
//!
//! What was read is taken out of the request, unless `hide_credentials: false` (in compatibility
//! mode it stays, unless `true`). With `anonymous_consumer`, callers without a valid key become
//! that consumer; this proves nothing, so the route needs `anonymous-access` too.
//!
//! # Headers
//!
//! `header` (or the parameter) is read, and taken out of the request. A 401 has `WWW-Authenticate`
//! with the realm.
//!
//! # What it costs
//!
//! One HMAC and one look-up, and one of each for every hash key of the node.
//!
//! # What it cannot do
//!
//! Whoever has seen a key has it. In a query it ends up in histories and in
//! the logs of whoever stands before this gateway: prefer the header.
//!
//! # How it differs from Apache APISIX
//!
//! The key is hidden from upstreams by default, a key that is sent twice is refused, and one that
//! can be guessed needs `danger_weak_secret`. Hashes and ends of keys are added.

mod stored;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bartizan_chain::{
    Attempt, BodyNeed, CompileCx, ConsumerIndex, CredentialEntry, CredentialRef, Flow, Identity,
    IdentityKey, IdentityParts, KeyUses, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, HashKeys, NodeKey, Reason, Stage, StageSet, Timestamp};
use bartizan_wire::{QueryFault, Repeated};
use schemars::JsonSchema;
use serde::Deserialize;

use super::carrier::{self, Realm, StandIn, field_name, parameter_name, settle};
pub use stored::ConsumerConfig;
use stored::{end, lookup, over};

/// Fewest bytes of a key that nobody guesses, where a hash is all that is known of it: those that
/// the gateway makes are longer.
const TOLD_MIN: usize = 32;

/// The configuration of `key-auth`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The header field that carries the key.
    #[serde(default = "apikey")]
    #[schemars(length(min = 1, max = 256))]
    header: String,
    /// The query parameter that carries the key where the field is absent.
    #[serde(default = "apikey")]
    #[schemars(length(min = 1, max = 256))]
    query: String,
    /// Whether the key is taken out of what the upstream sees. Left out, it is; in compatibility
    /// mode it is not.
    hide_credentials: Option<bool>,
    /// The realm that a 401 names; `key` if left out.
    realm: Option<Realm>,
    /// The consumer that callers without a valid key become.
    #[schemars(length(min = 1))]
    anonymous_consumer: Option<String>,
}

fn apikey() -> String {
    "apikey".to_owned()
}

/// Compiled `key-auth`.
pub struct KeyAuth {
    header: Box<str>,
    query: Box<str>,
    hides: bool,
    challenge: String,
    stand_in: Option<StandIn>,
    node_key: NodeKey,
    hash_keys: HashKeys,
    uses: KeyUses,
}

impl Plugin for KeyAuth {
    const NAME: &'static str = "key-auth";
    const PRIORITY: i32 = 2500;
    const KINSHIP: Kinship = Kinship::Different(
        "the key is hidden from upstreams by default; a key sent twice is refused",
    );
    const STAGES: StageSet = StageSet::of(&[Stage::Authenticate]);
    const IS_AUTHENTICATION: bool = true;

    type Config = Config;
    type ConsumerConfig = ConsumerConfig;
    type Metadata = Nothing;
    type Call = ();

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        Ok(Self {
            header: field_name("header", &config.header)?,
            query: parameter_name("query", config.query)?,
            hides: config.hide_credentials.unwrap_or(!cx.compatibility().is_apisix()),
            challenge: Realm::challenge(config.realm.as_ref(), "apikey", "key"),
            stand_in: StandIn::compile(config.anonymous_consumer, cx)?,
            node_key: cx.node.key.clone(),
            hash_keys: cx.node.hash_keys.clone(),
            uses: cx.node.key_uses.clone(),
        })
    }

    fn traits(&self) -> Traits {
        carrier::traits(self.stand_in.as_ref(), BodyNeed::None)
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
        _call: &mut (),
    ) -> Result<Flow, Denial> {
        let header = cx.fields.single(&self.header);
        let query = cx.canonical().query_value(&self.query);
        let in_query = query != Ok(None);
        let now = cx.clock.now();
        let proof = self.presented(header, query).and_then(|shown| {
            let attempt = shown.as_deref().map(|shown| Attempt::key(Self::NAME, shown));
            attempt.as_ref().map_or(Ok(()), |attempt| cx.admit(attempt))?;
            let proof = self.prove(cx.consumers(), shown.as_deref(), now);
            match &attempt {
                Some(attempt) => cx.settle(attempt, proof),
                None => proof,
            }
        });
        let proof = proof.map(|parts| (parts, ()));
        let (parts, ()) = settle(proof, self.stand_in.as_ref(), cx.consumers())?;
        if self.hides {
            cx.fields.remove(&self.header);
            if in_query {
                cx.hide_query(&self.query);
            }
        }
        cx.identify(Identity::new(key, Self::NAME, parts))?;
        Ok(Flow::Continue)
    }
}

impl KeyAuth {
    /// The key that counts, of what the two places hold.
    fn presented<'r>(
        &self,
        header: Result<Option<&'r [u8]>, Repeated>,
        query: Result<Option<Cow<'r, str>>, QueryFault>,
    ) -> Result<Option<Cow<'r, [u8]>>, Denial> {
        let header = header.map_err(|_| repeated("the field", &self.header))?;
        let query = query.map_err(|fault| match fault {
            QueryFault::Repeated => repeated("the query parameter", &self.query),
            QueryFault::NotText | QueryFault::NotScalar => {
                let detail = format!("the query parameter `{}` is no text", self.query);
                self.refusal(Reason::MalformedCredential, detail, "Invalid API key in request")
            }
        })?;
        Ok(header.map(Cow::Borrowed).or_else(|| {
            query.map(|value| match value {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            })
        }))
    }

    /// Whose key it is.
    fn prove(
        &self,
        consumers: &ConsumerIndex,
        shown: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<IdentityParts, Denial> {
        let Some(shown) = shown else {
            let detail = format!("no field `{}`, no parameter `{}`", self.header, self.query);
            return Err(self.refusal(
                Reason::MissingCredential,
                detail,
                "Missing API key in request",
            ));
        };
        let wrong =
            |detail| self.refusal(Reason::InvalidCredential, detail, "Invalid API key in request");
        let found = self.owner(consumers, shown);
        let Some((digest, place, owner)) = found else {
            return Err(wrong(format!("an unknown key of {} bytes", shown.len())));
        };
        if let Some(over) = over(&owner, now) {
            let detail = ended(&owner, over.how);
            // Whoever may have guessed it learns no more than of a key that there never was.
            if over.is_weak || (place.is_some() && shown.len() < TOLD_MIN) {
                return Err(wrong(detail));
            }
            // No guess: whoever shows it had the key.
            let message = "Invalid API key in request";
            return Err(self.refusal(Reason::ExpiredCredential, detail, message));
        }
        self.uses.note(&digest, now.as_secs());
        let (consumer, credential) = (owner.consumer.clone(), owner.credential.cloned());
        let expires = end(&owner).map(|(end, _)| end);
        Ok(IdentityParts {
            consumer: Some(consumer),
            credential,
            expires,
            ..IdentityParts::default()
        })
    }

    /// Whose key it is, and by what it was found: as it stands in a configuration, or hashed. What
    /// this costs does not grow with the number of keys.
    fn owner<'c>(
        &self,
        consumers: &'c ConsumerIndex,
        shown: &[u8],
    ) -> Option<([u8; 32], Option<usize>, CredentialRef<'c>)> {
        let plain = std::iter::once_with(|| (self.node_key.digest(Self::NAME, shown), None));
        let hashed = self.hash_keys.iter().enumerate();
        let hashed = hashed.map(|(place, key)| (key.hash(shown), Some(place)));
        plain.chain(hashed).find_map(|(digest, place)| {
            Some((digest, place, consumers.find(Self::NAME, &lookup(&digest, place))?))
        })
    }

    fn refusal(&self, reason: Reason, detail: String, apisix: &'static str) -> Denial {
        Denial::new(reason, detail)
            .with_apisix_message(apisix)
            .with_field("www-authenticate", self.challenge.clone())
    }
}

/// Says of a key that was good what became of it.
fn ended(owner: &CredentialRef<'_>, how: &str) -> String {
    let name = owner.consumer.username();
    match owner.credential {
        Some(id) => format!("the key `{id}` of `{name}` is {how}"),
        None => format!("the key of `{name}` is {how}"),
    }
}

fn repeated(place: &str, name: &str) -> Denial {
    Denial::new(Reason::AmbiguousCredential, format!("{place} `{name}` occurs more than once"))
}
