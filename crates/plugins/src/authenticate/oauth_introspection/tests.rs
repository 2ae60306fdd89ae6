use std::sync::Arc;

use bartizan_testkit::{TestAuthority, with};
use serde_json::{Value, json};

use super::*;
use crate::fixture::Bench;

/// A configuration, with `more` or without what is null there.
pub(in crate::authenticate) fn config(more: &Value) -> Value {
    let config = json!({
        "introspection_endpoint": "https://id.example/introspect",
        "client_id": "gateway",
        "client_secret": "secret",
        "audiences": ["orders"],
    });
    with(&config, more)
}

#[test]
fn the_gateways_own_certificate_is_shown_where_it_is_configured() {
    let bench = Bench::new();
    let issued = TestAuthority::starting(bench.node.clock.now()).client("gateway", &[]);
    let of = |more: &Value| {
        let config: Config = serde_json::from_value(config(more)).unwrap();
        let settings = config.introspection().unwrap();
        bench.within::<OauthIntrospection, _>(|cx| {
            let trust = crate::outgoing::Trust { ca_certs: None, verifies: true };
            let own = settings.own.as_ref();
            let (endpoint, _) =
                crate::outgoing::endpoint_as("x", &settings.address, &trust, own, cx).unwrap();
            endpoint.target().tls.clone().unwrap().config
        })
    };
    let certificate = json!({
        "client_auth_method": "tls_client_auth", "client_secret": null,
        "client_cert": issued.chain, "client_cert_key": issued.key.expose_str(),
    });
    let (without, with) = (of(&json!({})), of(&certificate));
    assert!(!without.client_auth_cert_resolver.has_certs());
    assert!(with.client_auth_cert_resolver.has_certs());
    assert!(!Arc::ptr_eq(&without, &with));
}

#[test]
fn times_are_held_to_their_bounds_to_the_millisecond() {
    for (key, value, is_fine) in [
        ("timeout", "999ms", false),
        ("timeout", "1s", true),
        ("timeout", "1001ms", true),
        ("timeout", "29999ms", true),
        ("timeout", "30s", true),
        ("timeout", "30001ms", false),
        ("cache_ttl", "0s", true),
        ("cache_ttl", "1ms", true),
        ("cache_ttl", "599999ms", true),
        ("cache_ttl", "10m", true),
        ("cache_ttl", "600001ms", false),
        ("negative_cache_ttl", "0s", true),
        ("negative_cache_ttl", "1ms", true),
        ("negative_cache_ttl", "59999ms", true),
        ("negative_cache_ttl", "60s", true),
        ("negative_cache_ttl", "60001ms", false),
        ("leeway", "599999ms", true),
        ("leeway", "10m", true),
        ("leeway", "600001ms", false),
    ] {
        let compiled = Bench::new().compile::<OauthIntrospection>(&config(&json!({ key: value })));
        assert_eq!(compiled.is_ok(), is_fine, "{key}: {value}");
    }
}
