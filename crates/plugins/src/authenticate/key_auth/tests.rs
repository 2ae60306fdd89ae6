use std::sync::Arc;

use bartizan_chain::Consumer;
use bartizan_core::{HashKeys, Secret};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::fixture::Bench;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn plugin() -> KeyAuth {
    Bench::new().compile(&json!({})).unwrap()
}

/// Alice has a key of her own and a credential `spare`.
fn index() -> ConsumerIndex {
    let mut index = ConsumerIndex::default();
    let alice = Arc::new(Consumer::new("alice".into(), None, Vec::new()));
    index.add_consumer(alice.clone());
    for (id, key) in [(None, "alice-key"), (Some(Arc::from("spare")), "alice-spare")] {
        let config = json!({ "key": key, "danger_weak_secret": true });
        let entry = Bench::new().credential::<KeyAuth>(&config).unwrap();
        index.add_credential(KeyAuth::NAME, &alice, id, entry).unwrap();
    }
    index
}

#[test]
fn a_key_names_its_consumer_and_credential() {
    let (plugin, index) = (plugin(), index());
    let own = plugin.prove(&index, Some(b"alice-key"), NOW).unwrap();
    assert_eq!(own.consumer.unwrap().username(), "alice");
    assert_eq!(own.credential, None);
    let spare = plugin.prove(&index, Some(b"alice-spare"), NOW).unwrap();
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
        let denial = plugin.prove(&index, shown, NOW).unwrap_err();
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

#[test]
fn a_key_that_can_be_guessed_has_to_be_declared() {
    let credential = |config| Bench::new().credential::<KeyAuth>(&config).err();
    let fault = credential(json!({ "key": "alice-key" })).unwrap();
    assert!(fault.problem.contains("can be guessed"), "{fault}");
    assert!(credential(json!({ "key": "alice-key", "danger_weak_secret": true })).is_none());
    assert!(credential(json!({ "key": "alice-key-5f1c7f0a9d" })).is_none());
}

/// A node with a hash key, the hash of `a-key` under it, and the plugin.
fn hashing() -> (Bench, String, KeyAuth) {
    let mut bench = Bench::new();
    bench.node.hash_keys = HashKeys::new([("old", &Secret::new([1; 32]))]);
    let hash = STANDARD.encode(bench.node.hash_keys.named("old").unwrap().hash(b"a-key"));
    let plugin = bench.compile(&json!({})).unwrap();
    (bench, hash, plugin)
}

fn alone(bench: &Bench, config: &Value) -> ConsumerIndex {
    let mut index = ConsumerIndex::default();
    let alice = Arc::new(Consumer::new("alice".into(), None, Vec::new()));
    index.add_consumer(alice.clone());
    let entry = bench.credential::<KeyAuth>(config).unwrap();
    index.add_credential(KeyAuth::NAME, &alice, Some("k1".into()), entry).unwrap();
    index
}

#[test]
fn a_hashed_key_is_found_by_the_key_and_not_by_the_hash() {
    let (bench, hash, plugin) = hashing();
    let index = alone(&bench, &json!({ "hash": hash, "hash_key": "old" }));
    let prove = |shown: &[u8]| plugin.prove(&index, Some(shown), NOW).is_ok();
    assert!(prove(b"a-key"));
    assert!(!prove(hash.as_bytes()) && !prove(&STANDARD.decode(&hash).unwrap()));
    let digest = bench.node.hash_keys.named("old").unwrap().hash(b"a-key");
    assert_eq!(bench.node.key_uses.last(&digest), Some(997_200));
}

#[test]
fn a_key_ends_with_the_second_that_is_stated() {
    let (bench, hash, plugin) = hashing();
    let at = "1970-01-12T13:46:40Z";
    for (field, how) in [("expires_at", "expired"), ("retires_at", "retired")] {
        let index = alone(&bench, &json!({ "hash": hash, "hash_key": "old", field: at }));
        let ended = |now| {
            let now = Timestamp::from_secs(now);
            plugin.prove(&index, Some(b"a-key"), now).err().map(|denial| denial.detail.to_string())
        };
        assert_eq!(ended(999_999), None);
        let told = Some(format!("the key `k1` of `alice` is {how}"));
        assert_eq!((ended(1_000_000), ended(1_000_001)), (told.clone(), told));
    }
    assert_eq!(bench.node.key_uses.last(&[0; 32]), None);
}

#[test]
fn that_a_key_has_ended_is_told_to_who_cannot_have_guessed_it() {
    let (bench, _, plugin) = hashing();
    let at = "1970-01-12T13:46:40Z";
    let now = Timestamp::from_secs(1_000_000);
    let hash = |key: &str| {
        STANDARD.encode(bench.node.hash_keys.named("old").unwrap().hash(key.as_bytes()))
    };
    let hashed = |key: &str| json!({ "hash": hash(key), "hash_key": "old", "expires_at": at });
    let (short, long) = ("x".repeat(TOLD_MIN - 1), "x".repeat(TOLD_MIN));
    let weak = |field: &str| json!({ "key": "short", "danger_weak_secret": true, field: at });
    let strong = json!({ "key": "alice-key-5f1c7f0a9d", "expires_at": at });
    for (key, config, reason) in [
        ("short", weak("expires_at"), Reason::InvalidCredential),
        ("short", weak("retires_at"), Reason::InvalidCredential),
        (&short, hashed(&short), Reason::InvalidCredential),
        (&long, hashed(&long), Reason::ExpiredCredential),
        ("alice-key-5f1c7f0a9d", strong, Reason::ExpiredCredential),
    ] {
        let index = alone(&bench, &config);
        let refused = |shown: &str| plugin.prove(&index, Some(shown.as_bytes()), now).unwrap_err();
        let (ended, unknown) = (refused(key), refused("never-was"));
        assert_eq!(ended.reason, reason, "{key}");
        assert_eq!(unknown.reason, Reason::InvalidCredential);
        assert!(ended.detail.starts_with("the key `k1` of `alice` is "), "{}", ended.detail);
        let before = Timestamp::from_secs(999_999);
        assert!(plugin.prove(&index, Some(key.as_bytes()), before).is_ok(), "{key}");
    }
}

#[test]
fn what_contradicts_itself_is_refused() {
    let (bench, hash, _) = hashing();
    let key = "alice-key-5f1c7f0a9d";
    for (config, problem) in [
        (json!({}), "needs one of"),
        (json!({ "key": key, "hash": hash }), "needs one of"),
        (json!({ "key": key, "hash_key": "old" }), "no `hash`"),
        (json!({ "hash": hash }), "is missing"),
        (json!({ "hash": hash, "hash_key": "new" }), "no hash key `new`"),
        (json!({ "hash": "AAAA", "hash_key": "old" }), "32 bytes"),
        (json!({ "hash": hash, "hash_key": "old", "danger_weak_secret": true }), "does not tell"),
        (json!({ "key": key, "expires_at": "tomorrow" }), "a time in UTC"),
        (
            json!({ "key": key, "expires_at": "2026-01-01T00:00:00Z", "retires_at": "2026-01-01T00:00:01Z" }),
            "expired before",
        ),
    ] {
        let fault = bench.credential::<KeyAuth>(&config).err().unwrap();
        assert!(fault.problem.contains(problem), "{config}: {fault}");
    }
}

proptest::proptest! {
    #[test]
    fn no_other_key_is_alices(shown: Vec<u8>) {
        let is_hers = [&b"alice-key"[..], b"alice-spare"].contains(&shown.as_slice());
        proptest::prop_assert_eq!(plugin().owner(&index(), &shown).is_some(), is_hers);
    }
}
