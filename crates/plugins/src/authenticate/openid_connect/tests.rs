use std::sync::Arc;

use bartizan_testkit::with;
use serde_json::json;

use super::*;
use crate::fixture::Bench;

fn config(more: &Value) -> Value {
    let config = json!({
        "bearer_only": true,
        "discovery": "https://id.example/.well-known/openid-configuration",
        "client_id": "gateway",
        "client_secret": "secret",
        "audiences": ["orders"],
    });
    with(&config, more)
}

fn read(more: &Value) -> Config {
    serde_json::from_value(config(more)).unwrap()
}

#[test]
fn the_issuer_follows_from_the_address_of_its_metadata() {
    let issuers = |more| read(&more).issuers().map_err(|fault| fault.problem);
    let both = ["https://id.example", "https://id.example/"].map(str::to_owned).to_vec();
    assert_eq!(issuers(json!({})), Ok(both));
    let named = json!({
        "discovery": "https://id.example/metadata",
        "claim_validator": { "issuer": { "valid_issuers": ["https://id"] } },
    });
    assert_eq!(issuers(named), Ok(vec!["https://id".to_owned()]));
    let unknown = issuers(json!({ "discovery": "https://id.example/metadata" }));
    assert_eq!(unknown, Err("no issuer follows from the address".to_owned()));
}

#[test]
fn clocks_may_differ_as_in_apisix_only_where_it_is_followed() {
    let leeway = |more, is_apisix| read(&more).leeway(is_apisix).as_secs();
    assert_eq!(leeway(json!({}), false), 0);
    assert_eq!(leeway(json!({}), true), 120);
    assert_eq!(leeway(json!({ "iat_slack": 5 }), true), 5);
}

#[test]
fn what_the_upstream_learns_is_bounded() {
    let forwarded = Forwarded::compile(&read(&json!({ "set_userinfo_header": true })), false);
    let forwarded = forwarded.unwrap();
    let of = |length: usize| {
        let claims = Some(Arc::new(json!({ "sub": "x".repeat(length) })));
        forwarded.fields("a", &IdentityParts { claims, ..IdentityParts::default() })
    };
    // `{"sub":"…"}` has 10 letters more, and base64 makes four of three.
    assert!(of(6_133).is_ok());
    assert!(of(6_134).is_ok());
    assert!(of(6_135).is_err());
}

#[test]
fn an_audience_is_asked_for_unless_danger_is_written() {
    let fault = |more| Bench::new().compile::<OpenidConnect>(&config(&more)).err();
    assert!(fault(json!({})).is_none());
    assert!(fault(json!({ "audiences": null })).is_some());
    assert!(fault(json!({ "audiences": null, "danger_any_audience": true })).is_none());
    let matches = json!({ "audience": { "match_with_client_id": true } });
    assert!(fault(json!({ "audiences": null, "claim_validator": matches })).is_none());
}

fn keys(more: &Value) -> Value {
    with(&config(&json!({ "use_jwks": true, "client_secret": null })), more)
}

#[test]
fn the_authorities_of_the_provider_can_be_named() {
    let bench = Bench::new();
    for of in [keys, config] {
        let authority = json!({ "ca_certs": crate::fixture::authority() });
        assert!(bench.compile::<OpenidConnect>(&of(&authority)).is_ok());
        let fault = bench.fault::<OpenidConnect>(&of(&json!({ "ca_certs": "-----BEGIN x" })));
        assert_eq!(fault.path, [PathStep::Key("ca_certs".to_owned())]);
    }
}

#[test]
fn verdicts_are_remembered_unless_that_is_off() {
    let remembers = |more: &Value| {
        let plugin = Bench::new().compile::<OpenidConnect>(&keys(more)).unwrap();
        matches!(plugin.judge, Judge::Keys(judge) if judge.remembers())
    };
    assert!(remembers(&json!({})));
    assert!(!remembers(&json!({ "jwt_verification_cache_ignore": true })));
}
