use bartizan_core::Reason;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, request};

const LIMITS: JsonLimits = JsonLimits { depth: 16, items: 200 };

fn read(answer: &Value) -> Result<Decision, String> {
    Decision::read(answer.to_string().as_bytes(), LIMITS)
}

#[test]
fn only_true_allows() {
    assert!(matches!(read(&json!({"result": {"allow": true}})), Ok(Decision::Allow(_))));
    for result in [json!({"allow": false}), json!({}), json!({"reason": "x"})] {
        assert!(matches!(read(&json!({ "result": result })), Ok(Decision::Deny(_))), "{result}");
    }
    for answer in [
        json!({}),
        json!({"result": true}),
        json!({"result": null}),
        json!({"result": {"allow": "true"}}),
        json!({"result": {"allow": 1}}),
        json!({"result": {"allow": null}}),
        json!([]),
    ] {
        assert!(read(&answer).is_err(), "{answer}");
    }
    for text in [&b""[..], b"{\"result\":{\"allow\":false,\"allow\":true}}", b"\xff", b"{"] {
        assert!(Decision::read(text, LIMITS).is_err());
    }
}

#[test]
fn a_refusal_says_what_the_policy_says() {
    let denied = |result: Value| match read(&json!({ "result": result })) {
        Ok(Decision::Deny(denial)) => denial,
        other => panic!("{other:?}"),
    };
    let plain = denied(json!({"allow": false}));
    assert_eq!((plain.status(), plain.reason), (403, Reason::AuthorizerDenied));
    assert!(plain.error_response.is_none());
    let text = denied(json!({"allow": false, "status_code": 401, "reason": "go away"}));
    assert_eq!(text.status(), 401);
    assert_eq!(text.error_response.as_ref().map(|(t, j)| (&**t, *j)), Some(("go away", false)));
    let map = denied(json!({"reason": {"code": 7}, "headers": {"X-A": ["1", 2]}}));
    assert_eq!(map.error_response.as_ref().map(|(t, j)| (&**t, *j)), Some(("{\"code\":7}", true)));
    assert_eq!(map.fields.len(), 2);
}

#[test]
fn what_cannot_be_answered_is_no_decision() {
    for result in [
        json!({"status_code": 200}),
        json!({"status_code": 299}),
        json!({"status_code": 600}),
        json!({"status_code": "403"}),
        json!({"headers": []}),
        json!({"headers": {"Content-Length": "1"}}),
        json!({"headers": {"a b": "1"}}),
        json!({"headers": {"x-a": "1\r\nx-admin: 1"}}),
        json!({"headers": {"x-a": {}}}),
        json!({"headers": {"x-a": vec!["1"; 65]}}),
        json!({"allow": true, "headers": {"x-a": "1\n"}}),
    ] {
        assert!(read(&json!({ "result": result })).is_err(), "{result}");
    }
}

#[test]
fn the_engine_is_told_the_one_form_of_the_request() {
    let cx = request("/a/../b%41?x=1&x=%20&y", &[("x-a", "1"), ("x-a", "2"), ("accept", "*/*")]);
    let input =
        Input { with_route: true, with_service: true, with_consumer: true, with_body: true };
    let told: Value = serde_json::from_slice(&input.of(&cx)).unwrap();
    assert_eq!(
        told,
        json!({"input": {
            "type": "http",
            "request": {
                "scheme": "http",
                "method": "GET",
                "host": "example.com",
                "port": 80,
                "path": "/bA",
                "headers": {"host": "example.com", "x-a": ["1", "2"], "accept": "*/*"},
                "query": {"x": ["1", " "], "y": ""},
            },
            "var": {
                "server_addr": "192.0.2.2",
                "server_port": 80,
                "remote_addr": "192.0.2.1",
                "remote_port": 40_000,
                "timestamp": 1_000_000,
            },
        }})
    );
}

#[test]
fn the_address_can_have_a_path_and_the_policy_cannot_leave_it() {
    let opa: Opa =
        Bench::new().compile(&json!({"host": "http://a/opa/", "policy": "x/y"})).unwrap();
    assert_eq!(opa.target, "/opa/v1/data/x/y");
    for (host, policy) in [("http://a/?x", "x"), ("http://a", "x/../y")] {
        let config = json!({"host": host, "policy": policy});
        assert!(Bench::new().compile::<Opa>(&config).is_err(), "{host} {policy}");
    }
}

#[test]
fn a_pool_is_as_large_as_the_configuration_says() {
    let config = json!({"host": "http://a", "policy": "x", "keepalive_pool": 7});
    assert_eq!(Bench::new().compile::<Opa>(&config).unwrap().service.keep().size, 7);
}

#[test]
fn the_authorities_of_the_engine_can_be_named() {
    let root = crate::fixture::authority();
    let mut config = json!({"host": "https://a.example", "policy": "x", "ca_certs": root});
    assert!(Bench::new().compile::<Opa>(&config).is_ok());
    config["ca_certs"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into();
    assert!(Bench::new().compile::<Opa>(&config).is_err());
}

proptest! {
    /// Whatever bytes come, only a well-formed `allow: true` lets a request pass.
    #[test]
    fn garbage_never_allows(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(!matches!(Decision::read(&bytes, LIMITS), Ok(Decision::Allow(_))));
    }
}
