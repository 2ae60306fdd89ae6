use std::sync::Arc;

use bartizan_chain::{Consumer, ConsumerIndex};
use bartizan_core::{Reason, Secret, Timestamp};
use bartizan_testkit::with;
use serde_json::{Map, Value, json};

use super::super::token::NameFault;
use super::*;
use crate::fixture::Bench;
use crate::jose::{Algorithm, ClaimFault, SigningKey, TokenFault};

const NOW: u64 = 1_000_000;
const SECRET: &str = "a secret of at least thirty-two bytes";

fn now() -> Timestamp {
    Timestamp::from_secs(NOW)
}

fn sign(secret: &str, claims: &Value) -> String {
    let secret = Secret::new(secret.as_bytes());
    let key = SigningKey::from_secret(Algorithm::Hs256, &secret).unwrap();
    key.sign(&Map::new(), claims).unwrap()
}

/// A token of Alice's key with these claims besides the necessary ones.
fn token(more: &Value) -> String {
    sign(SECRET, &with(&json!({ "key": "alice-key", "exp": NOW + 60 }), more))
}

/// Alice has a key of her own.
fn index(more: &Value) -> ConsumerIndex {
    let mut config = json!({ "key": "alice-key", "secret": SECRET });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let alice = Arc::new(Consumer::new("alice".into(), None, Vec::new()));
    let entry = Bench::new().credential::<JwtAuth>(&config).unwrap();
    let mut index = ConsumerIndex::default();
    index.add_consumer(alice.clone());
    index.add_credential(JwtAuth::NAME, &alice, Some("c1".into()), entry).unwrap();
    index
}

fn judged(config: &Value, token: &str) -> Result<IdentityParts, Fault> {
    let plugin: JwtAuth = Bench::new().compile(config).unwrap();
    plugin.judge.judge(token, &index(&json!({})), now())
}

#[test]
fn a_token_of_a_consumers_key_names_consumer_credential_subject_and_claims() {
    let parts = judged(&json!({}), &token(&json!({ "sub": "a", "tenant": "acme" }))).unwrap();
    assert_eq!(parts.consumer.unwrap().username(), "alice");
    assert_eq!(parts.credential.as_deref(), Some("c1"));
    assert_eq!(parts.subject.as_deref(), Some("a"));
    assert_eq!(parts.claims.unwrap()["tenant"], "acme");
    assert_eq!(parts.expires, Some(Timestamp::from_secs(NOW + 60)));
    assert_eq!(parts.anonymous_reason, None);
}

#[test]
fn every_way_to_fail_has_its_own_cause() {
    for (token, fault) in [
        (token(&json!({ "key": null })), Fault::NoKeyName("key".into())),
        (token(&json!({ "key": 7 })), Fault::NoKeyName("key".into())),
        (token(&json!({ "key": "nobody" })), Fault::UnknownKey),
        (token(&json!({ "exp": NOW })), ClaimFault::Expired.into()),
        (token(&json!({ "exp": null })), ClaimFault::Missing("exp").into()),
        (token(&json!({ "nbf": NOW + 1 })), ClaimFault::NotYetValid.into()),
        ("x".to_owned(), TokenFault::NotThreeParts.into()),
        (
            sign(&SECRET.to_uppercase(), &json!({ "key": "alice-key", "exp": NOW + 60 })),
            TokenFault::Signature.into(),
        ),
    ] {
        assert_eq!(judged(&json!({}), &token).unwrap_err(), fault);
    }
}

#[test]
fn times_are_held_to_their_bounds_to_the_millisecond() {
    let of = |key: &str, value: &str| {
        let mut provider = json!({ "issuer": "https://id.example", "audiences": ["a"] });
        provider["stale"] = "168h".into();
        if (key, value) == ("stale", "60s") {
            provider["refresh"] = "60s".into();
        }
        provider[key] = value.into();
        Bench::new().compile::<JwtAuth>(&json!({ "providers": [provider] })).is_ok()
    };
    for (key, value, is_fine) in [
        ("timeout", "999ms", false),
        ("timeout", "1s", true),
        ("timeout", "1001ms", true),
        ("timeout", "29999ms", true),
        ("timeout", "30s", true),
        ("timeout", "30001ms", false),
        ("timeout", "30999ms", false),
        ("refresh", "59999ms", false),
        ("refresh", "60s", true),
        ("refresh", "24h", true),
        ("refresh", "86400001ms", false),
        ("stale", "60s", true),
        ("stale", "168h", true),
        ("stale", "604800001ms", false),
    ] {
        assert_eq!(of(key, value), is_fine, "{key}: {value}");
    }
    for (leeway, is_fine) in [("599999ms", true), ("10m", true), ("600001ms", false)] {
        let compiled = Bench::new().compile::<JwtAuth>(&json!({ "leeway": leeway }));
        assert_eq!(compiled.is_ok(), is_fine, "{leeway}");
    }
}

#[test]
fn the_claim_that_names_the_key_can_be_chosen() {
    let token = token(&json!({ "key": null, "client": "alice-key" }));
    assert!(judged(&json!({ "key_claim_name": "client" }), &token).is_ok());
}

#[test]
fn what_the_route_asks_of_claims_is_asked() {
    for (config, claims, fault) in [
        (json!({ "issuers": ["i"] }), json!({ "iss": "j" }), ClaimFault::Issuer),
        (json!({ "audiences": ["a"] }), json!({ "aud": "b" }), ClaimFault::Audience),
        (
            json!({ "required_scopes": ["r"] }),
            json!({ "scope": "w" }),
            ClaimFault::Scope("r".into()),
        ),
        (
            json!({ "required_claims": { "role": ["admin", "owner"] } }),
            json!({ "role": "guest" }),
            ClaimFault::Claim("role".into()),
        ),
        (json!({ "max_lifetime": "30s" }), json!({ "iat": NOW }), ClaimFault::LivesTooLong),
        (json!({ "claims_to_verify": ["nbf"] }), json!({}), ClaimFault::Missing("nbf")),
    ] {
        assert_eq!(judged(&config, &token(&claims)).unwrap_err(), fault.into(), "{config}");
        assert!(judged(&json!({}), &token(&claims)).is_ok());
    }
    let config = json!({ "required_claims": { "role": ["admin", "owner"] }, "leeway": "5s" });
    assert!(judged(&config, &token(&json!({ "role": "owner", "exp": NOW - 4 }))).is_ok());
}

#[test]
fn the_larger_leeway_of_route_and_consumer_counts() {
    let late = token(&json!({ "exp": NOW - 8 }));
    let judge = |leeway: &str, grace: u32| {
        let plugin: JwtAuth = Bench::new().compile(&json!({ "leeway": leeway })).unwrap();
        let index = index(&json!({ "lifetime_grace_period": grace }));
        plugin.judge.judge(&late, &index, now()).map(|parts| parts.expires)
    };
    let until = |secs| Ok(Some(Timestamp::from_secs(secs)));
    assert_eq!(judge("0s", 0), Err(ClaimFault::Expired.into()));
    assert_eq!(judge("10s", 0), until(NOW + 2));
    assert_eq!(judge("0s", 10), until(NOW + 2));
    assert_eq!(judge("10s", 20), until(NOW + 12));
}

#[test]
fn compatibility_mode_asks_for_an_expiry_only_where_told() {
    let forever = token(&json!({ "exp": null }));
    let judge = |config: Value| {
        let plugin: JwtAuth = Bench::apisix().compile(&config).unwrap();
        plugin.judge.judge(&forever, &index(&json!({})), now()).map(|parts| parts.expires)
    };
    assert_eq!(judge(json!({ "store_in_ctx": true })), Ok(None));
    let told = json!({ "claims_to_verify": ["exp"] });
    assert_eq!(judge(told), Err(ClaimFault::Missing("exp").into()));
}

#[test]
fn a_verdict_is_remembered_and_dies_with_the_key() {
    let bench = Bench::new();
    let plugin: JwtAuth = bench.compile(&json!({})).unwrap();
    let other: JwtAuth = bench.compile_in("other", &json!({})).unwrap();
    let cache = plugin.judge.cache.clone().unwrap();
    let text = token(&json!({}));
    assert!(plugin.judge.judge(&text, &index(&json!({})), now()).is_ok());
    assert_eq!(cache.len(), 1);
    assert!(other.judge.judge(&text, &index(&json!({})), now()).is_ok());
    assert!(Arc::ptr_eq(&cache, other.judge.cache.as_ref().unwrap()), "one memory per node");

    let replaced = index(&json!({ "secret": SECRET.to_uppercase() }));
    let fault = plugin.judge.judge(&text, &replaced, now()).unwrap_err();
    assert_eq!(fault, TokenFault::Signature.into());
    let removed = plugin.judge.judge(&text, &ConsumerIndex::default(), now()).unwrap_err();
    assert_eq!(removed, Fault::UnknownKey);
    let later = plugin.judge.judge(&text, &index(&json!({})), Timestamp::from_secs(NOW + 60));
    assert_eq!(later.unwrap_err(), ClaimFault::Expired.into());

    let forgetful: JwtAuth = bench.compile(&json!({ "token_cache": false })).unwrap();
    assert!(forgetful.judge.cache.is_none());
    assert!(forgetful.judge.judge(&text, &index(&json!({})), now()).is_ok());
}

/// RFC 8037, appendix A: a key pair of Ed25519.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

fn issuer(more: &Value) -> Value {
    let key = json!({
        "kty": "OKP", "crv": "Ed25519", "kid": "k1",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    });
    let config = json!({
        "jwks": { "inline": { "keys": [key] } },
        "issuers": ["https://id.example"], "audiences": ["orders"],
    });
    with(&config, more)
}

fn issued(more: &Value) -> String {
    let claims = json!({
        "iss": "https://id.example", "aud": "orders", "sub": "u1", "exp": NOW + 60,
    });
    let key = SigningKey::from_pem(Algorithm::EdDsa, &Secret::new(PRIVATE)).unwrap();
    let header = json!({ "kid": "k1" });
    key.sign(header.as_object().unwrap(), &with(&claims, more)).unwrap()
}

#[test]
fn an_issuers_token_needs_no_consumer() {
    let parts = judged(&issuer(&json!({})), &issued(&json!({}))).unwrap();
    assert!(parts.consumer.is_none());
    assert_eq!(parts.subject.as_deref(), Some("u1"));
    for (claims, fault) in [
        (json!({ "exp": null }), ClaimFault::Missing("exp")),
        (json!({ "iss": "https://evil.example" }), ClaimFault::Issuer),
        (json!({ "aud": "billing" }), ClaimFault::Audience),
    ] {
        assert_eq!(judged(&issuer(&json!({})), &issued(&claims)).unwrap_err(), fault.into());
    }
}

#[test]
fn an_issuers_token_can_name_a_consumer_that_must_exist() {
    let config = issuer(&json!({ "consumer_claim": "user.name" }));
    let named = |name: &str| judged(&config, &issued(&json!({ "user": { "name": name } })));
    assert_eq!(named("alice").unwrap().consumer.unwrap().username(), "alice");
    assert_eq!(named("bob").unwrap_err(), Fault::from(NameFault::Unknown));
    let nameless = judged(&config, &issued(&json!({}))).unwrap_err();
    assert_eq!(nameless, Fault::from(NameFault::Missing("user.name".into())));
}

#[test]
fn a_consumers_token_is_none_of_the_issuers() {
    let fault = judged(&issuer(&json!({})), &token(&json!({}))).unwrap_err();
    assert_eq!(fault, TokenFault::NoKey.into());
}

#[test]
fn required_scopes_or_claims_are_a_grant_unless_somebody_stands_in() {
    let proves = |config: Value| {
        let plugin: JwtAuth = Bench::new().compile(&config).unwrap();
        let proves = plugin.traits().proves;
        (proves.authentication, proves.grant)
    };
    assert_eq!(proves(json!({})), (true, false));
    assert_eq!(proves(json!({ "required_scopes": ["r"] })), (true, true));
    assert_eq!(proves(json!({ "required_claims": { "a": 1 } })), (true, true));
    let open = json!({ "required_scopes": ["r"], "anonymous_consumer": "guest" });
    assert_eq!(proves(open), (false, false));
}

#[test]
fn what_cannot_work_does_not_compile() {
    for (config, problem) in [
        (json!({ "store_in_ctx": false }), "always kept"),
        (json!({ "anonymous_consumer": "nobody" }), "there is no consumer `nobody`"),
        (json!({ "consumer_claim": "sub" }), "there is no `jwks`"),
        (issuer(&json!({ "key_claim_name": "k" })), "there is also `jwks`"),
        (issuer(&json!({ "issuers": null })), "needs `issuers`"),
        (issuer(&json!({ "audiences": null })), "needs `audiences`"),
        (issuer(&json!({ "jwks": {} })), "needs one of `file` and `inline`"),
        (issuer(&json!({ "jwks": { "inline": {} } })), "no list `keys`"),
        (issuer(&json!({ "jwks": { "file": "no/such.json" } })), "`no/such.json` cannot be read"),
        (issuer(&json!({ "jwks": { "file": "src" } })), "it is no file"),
        (issuer(&json!({ "jwks": { "file": "Cargo.toml" } })), "the key set is"),
        (json!({ "required_scopes": ["a b"] }), "`a b` cannot be in a token"),
        (json!({ "required_scopes": ["a\""] }), "cannot be in a token"),
        (json!({ "issuers": [] }), "the list is empty"),
        (json!({ "required_claims": { "a": {} } }), "claim `a`"),
        (json!({ "leeway": "1h" }), "ten minutes at most"),
        (json!({ "max_lifetime": 0 }), "no token could be valid"),
        (json!({ "header": "a b" }), "not the name of a header field"),
    ] {
        let fault = Bench::new().fault::<JwtAuth>(&config);
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}

#[test]
fn a_key_set_never_has_shared_secrets() {
    let secret = json!({ "kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0" });
    let config = issuer(&json!({ "jwks": { "inline": { "keys": [secret] } } }));
    assert!(Bench::new().fault::<JwtAuth>(&config).problem.contains("no usable key"));
}

#[test]
fn what_a_consumer_cannot_sign_with_is_no_credential() {
    for (config, problem) in [
        (json!({ "key": "", "secret": SECRET }), "has no name"),
        (json!({ "key": "k" }), "\"secret\" is required"),
        (json!({ "key": "k", "secret": "short" }), "at least 32 bytes"),
        (json!({ "key": "k", "secret": SECRET, "algorithm": "HS512" }), "at least 64 bytes"),
        (json!({ "key": "k", "secret": "é!", "base64_secret": true }), "not base64"),
        (json!({ "key": "k", "secret": SECRET, "exp": 86_400 }), "nothing is signed here"),
        (json!({ "key": "k", "algorithm": "RS256" }), "missing valid public key"),
        (json!({ "key": "k", "algorithm": "RS256", "public_key": "x" }), "no readable PEM"),
        (json!({ "key": "k", "algorithm": "EdDSA", "public_key": PRIVATE }), "private key"),
        (json!({ "key": "k", "algorithm": "RS256", "secret": SECRET }), "no use for `secret`"),
        (json!({ "key": "k", "secret": SECRET, "public_key": "x" }), "no use for `public_key`"),
    ] {
        let fault = Bench::new().credential::<JwtAuth>(&config).err().unwrap();
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}

#[test]
fn secrets_can_be_weak_if_declared_and_in_base64() {
    let bench = Bench::new();
    let short = json!({ "key": "k", "secret": "short", "danger_weak_secret": true });
    assert!(bench.credential::<JwtAuth>(&short).is_ok());
    for secret in [
        "YSBzZWNyZXQgb2YgYXQgbGVhc3QgdGhpcnR5LXR3byBieXRlcw==",
        "YSBzZWNyZXQgb2YgYXQgbGVhc3QgdGhpcnR5LXR3byBieXRlcw",
    ] {
        let index = index(&json!({ "secret": secret, "base64_secret": true }));
        let plugin: JwtAuth = bench.compile(&json!({})).unwrap();
        assert!(plugin.judge.judge(&token(&json!({})), &index, now()).is_ok());
    }
    let apisix = json!({ "key": "k", "secret": SECRET, "exp": 86_400 });
    assert!(Bench::apisix().credential::<JwtAuth>(&apisix).is_ok());
}

#[test]
fn a_refusal_never_shows_the_token() {
    let text = token(&json!({ "key": "nobody-knows-this" }));
    let plugin: JwtAuth = Bench::new().compile(&json!({})).unwrap();
    let fault = plugin.judge.judge(&text, &index(&json!({})), now()).unwrap_err();
    let denial = plugin.senders.refusal(fault.denial(), now());
    assert_eq!((denial.reason, denial.status()), (Reason::InvalidCredential, 401));
    assert!(!format!("{denial:?}").contains("nobody-knows-this"));
}

#[test]
fn a_key_that_nobody_has_costs_the_work_of_one_that_somebody_has() {
    let other = SECRET.to_uppercase();
    for (name, fault) in
        [("alice-key", Fault::from(TokenFault::Signature)), ("nobody", Fault::UnknownKey)]
    {
        for config in [json!({}), json!({ "token_cache": false })] {
            let plugin: JwtAuth = Bench::new().compile(&config).unwrap();
            let index = index(&json!({}));
            let token = sign(&other, &json!({ "key": name, "exp": NOW + 60 }));
            for _ in 0..2 {
                let (work, told) = crate::work::of(|| plugin.judge.judge(&token, &index, now()));
                assert_eq!((work, told.unwrap_err()), (1, fault.clone()), "{name}");
            }
            // Nor does what another key has signed prove anything.
            let own = sign(SECRET, &json!({ "key": "nobody", "exp": NOW + 60 }));
            assert_eq!(plugin.judge.judge(&own, &index, now()).unwrap_err(), Fault::UnknownKey);
        }
    }
}
