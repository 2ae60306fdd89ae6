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
//! and on the consumer `key-auth: {key: $env://ALICE_KEY}`.
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
//! One HMAC and one look-up.
//!
//! # What it cannot do
//!
//! A key does not end, and whoever has seen it has it. In a query it ends up in histories and in
//! the logs of whoever stands before this gateway: prefer the header.
//!
//! # How it differs from Apache APISIX
//!
//! The key is hidden from upstreams by default, and a key that is sent twice is refused.

use std::borrow::Cow;
use std::sync::Arc;

use bartizan_chain::{
    Attempt, BodyNeed, CompileCx, Consumer, ConsumerIndex, CredentialEntry, Flow, Identity,
    IdentityKey, IdentityParts, Kinship, Nothing, Plugin, RequestCx, Traits,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, NodeKey, Reason, Secret, Stage, StageSet};
use bartizan_wire::{QueryFault, Repeated};
use schemars::JsonSchema;
use serde::Deserialize;

use super::carrier::{self, Realm, StandIn, field_name, parameter_name, settle};

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

/// The key of a consumer or credential.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsumerConfig {
    /// The key itself, long and random. It belongs to one consumer only.
    key: Secret,
}

/// Compiled `key-auth`.
pub struct KeyAuth {
    header: Box<str>,
    query: Box<str>,
    hides: bool,
    challenge: String,
    stand_in: Option<StandIn>,
    node_key: NodeKey,
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
        })
    }

    fn traits(&self) -> Traits {
        carrier::traits(self.stand_in.as_ref(), BodyNeed::None)
    }

    fn credential(
        config: ConsumerConfig,
        cx: &mut CompileCx<'_>,
    ) -> Result<CredentialEntry, Invalid> {
        if config.key.is_empty() {
            return Err(Invalid::at("key", "the key is empty"));
        }
        Ok(CredentialEntry::new(cx.node.key.digest(Self::NAME, config.key.expose()), ()))
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
        let proof = self.presented(header, query).and_then(|shown| {
            let attempt = shown.as_deref().map(|shown| Attempt::key(Self::NAME, shown));
            attempt.as_ref().map_or(Ok(()), |attempt| cx.admit(attempt))?;
            let proof = self.prove(cx.consumers(), shown.as_deref());
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
            QueryFault::NotText => {
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
    ) -> Result<IdentityParts, Denial> {
        let Some(shown) = shown else {
            let detail = format!("no field `{}`, no parameter `{}`", self.header, self.query);
            return Err(self.refusal(
                Reason::MissingCredential,
                detail,
                "Missing API key in request",
            ));
        };
        let Some((consumer, credential)) = self.owner(consumers, shown) else {
            let detail = format!("an unknown key of {} bytes", shown.len());
            let message = "Invalid API key in request";
            return Err(self.refusal(Reason::InvalidCredential, detail, message));
        };
        Ok(IdentityParts { consumer: Some(consumer), credential, ..IdentityParts::default() })
    }

    fn owner(
        &self,
        consumers: &ConsumerIndex,
        shown: &[u8],
    ) -> Option<(Arc<Consumer>, Option<Arc<str>>)> {
        let found = consumers.find(Self::NAME, &self.node_key.digest(Self::NAME, shown))?;
        Some((found.consumer.clone(), found.credential.cloned()))
    }

    fn refusal(&self, reason: Reason, detail: String, apisix: &'static str) -> Denial {
        Denial::new(reason, detail)
            .with_apisix_message(apisix)
            .with_field("www-authenticate", self.challenge.clone())
    }
}

fn repeated(place: &str, name: &str) -> Denial {
    Denial::new(Reason::AmbiguousCredential, format!("{place} `{name}` occurs more than once"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixture::Bench;

    fn plugin() -> KeyAuth {
        Bench::new().compile(&json!({})).unwrap()
    }

    /// Alice has a key of her own and a credential `spare`.
    fn index() -> ConsumerIndex {
        let mut index = ConsumerIndex::default();
        let alice = Arc::new(Consumer::new("alice".into(), None, Vec::new()));
        index.add_consumer(alice.clone());
        for (id, key) in [(None, "alice-key"), (Some(Arc::from("spare")), "alice-spare")] {
            let entry = Bench::new().credential::<KeyAuth>(&json!({ "key": key })).unwrap();
            index.add_credential(KeyAuth::NAME, &alice, id, entry).unwrap();
        }
        index
    }

    #[test]
    fn a_key_names_its_consumer_and_credential() {
        let (plugin, index) = (plugin(), index());
        let own = plugin.prove(&index, Some(b"alice-key")).unwrap();
        assert_eq!(own.consumer.unwrap().username(), "alice");
        assert_eq!(own.credential, None);
        let spare = plugin.prove(&index, Some(b"alice-spare")).unwrap();
        assert_eq!(spare.credential.as_deref(), Some("spare"));
    }

    #[test]
    fn refusals_differ_for_the_operator_and_challenge_the_client() {
        let (plugin, index) = (plugin(), index());
        for (shown, reason, apisix) in [
            (None, Reason::MissingCredential, "Missing API key in request"),
            (Some(&b"nobody"[..]), Reason::InvalidCredential, "Invalid API key in request"),
            (Some(b""), Reason::InvalidCredential, "Invalid API key in request"),
        ] {
            let denial = plugin.prove(&index, shown).unwrap_err();
            assert_eq!((denial.reason, denial.status()), (reason, 401));
            assert_eq!(denial.apisix_message.as_deref(), Some(apisix));
            let challenge = ("www-authenticate".into(), "apikey realm=\"key\"".to_owned());
            assert_eq!(denial.fields, [challenge]);
            assert!(!denial.detail.contains("nobody"), "keys are not logged, even wrong ones");
        }
    }

    #[test]
    fn the_header_counts_before_the_query() {
        let plugin = plugin();
        let shown = |header, query: Option<&'static str>| {
            let query = Ok(query.map(Cow::Borrowed));
            plugin.presented(Ok(header), query).unwrap().map(Cow::into_owned)
        };
        assert_eq!(shown(Some(&b"h"[..]), Some("q")).as_deref(), Some(&b"h"[..]));
        assert_eq!(shown(None, Some("q")).as_deref(), Some(&b"q"[..]));
        assert_eq!(shown(None, None), None);
    }

    #[test]
    fn a_key_sent_twice_is_ambiguous_even_where_it_would_not_count() {
        let plugin = plugin();
        for (header, query) in
            [(Err(Repeated), Ok(None)), (Ok(Some(&b"h"[..])), Err(QueryFault::Repeated))]
        {
            let denial = plugin.presented(header, query).unwrap_err();
            assert_eq!(denial.reason, Reason::AmbiguousCredential);
        }
        let denial = plugin.presented(Ok(None), Err(QueryFault::NotText)).unwrap_err();
        assert_eq!(denial.reason, Reason::MalformedCredential);
    }

    #[test]
    fn keys_are_hidden_unless_said_otherwise() {
        let hides = |bench: Bench, config| bench.compile::<KeyAuth>(&config).unwrap().hides;
        assert!(hides(Bench::new(), json!({})));
        assert!(!hides(Bench::new(), json!({ "hide_credentials": false })));
        assert!(!hides(Bench::apisix(), json!({})));
        assert!(hides(Bench::apisix(), json!({ "hide_credentials": true })));
    }

    #[test]
    fn an_anonymous_consumer_must_exist_and_proves_nothing() {
        let bench = Bench::new();
        let guest: KeyAuth = bench.compile(&json!({ "anonymous_consumer": "guest" })).unwrap();
        assert!(!guest.traits().proves.authentication);
        assert!(plugin().traits().proves.authentication);
        let fault = bench.fault::<KeyAuth>(&json!({ "anonymous_consumer": "nobody" }));
        assert_eq!(fault.problem, "there is no consumer `nobody`");
    }

    #[test]
    fn an_empty_key_is_refused() {
        let fault = Bench::new().credential::<KeyAuth>(&json!({ "key": "" })).err().unwrap();
        assert_eq!(fault.problem, "the key is empty");
    }

    proptest::proptest! {
        #[test]
        fn no_other_key_is_alices(shown: Vec<u8>) {
            let is_hers = [&b"alice-key"[..], b"alice-spare"].contains(&shown.as_slice());
            proptest::prop_assert_eq!(plugin().owner(&index(), &shown).is_some(), is_hers);
        }
    }
}
