use serde_json::json;

use super::*;
use crate::CATALOGUE;
use crate::fixture::Bench;
use crate::jose::{Algorithm, SigningKey};

fn compile(plugins: &Value) -> Result<MultiAuth, Invalid> {
    Bench::new().compile(&json!({ "auth_plugins": plugins }))
}

#[test]
fn every_plugin_that_proves_who_calls_can_stand_inside() {
    let outside = [MultiAuth::NAME, "jwe-decrypt"];
    let proving = CATALOGUE.iter().filter(|entry| entry.is_authentication).map(|entry| entry.name);
    let expected: Vec<&str> = proving.filter(|name| !outside.contains(name)).collect();
    let (mut known, mut wanted) = (nested::NAMES.to_vec(), expected);
    known.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(known, wanted);
    let Unsupported::NotYet(told) = NOT_YET else { panic!("{NOT_YET:?}") };
    for name in nested::NAMES {
        assert!(told.contains(&format!("`{name}`")), "{name}");
        for field in ["_meta", "anonymous_consumer"] {
            let path = format!("auth_plugins[].{name}.{field}");
            assert!(MultiAuth::UNSUPPORTED.iter().any(|(own, _)| *own == path), "{path}");
        }
    }
}

#[test]
fn it_proves_what_each_of_its_plugins_does() {
    let plain = compile(&json!([{ "key-auth": {} }, { "basic-auth": {} }])).unwrap().traits();
    assert!(plain.proves.authentication && !plain.proves.grant);
    assert!(!plain.stages.contains(Stage::Authorize) && !plain.body.is_some());

    let scoped = json!({ "jwt-auth": { "required_scopes": ["read"] } });
    let both = compile(&json!([scoped, scoped])).unwrap().traits();
    assert!(both.proves.authentication && both.proves.grant);
    let one = compile(&json!([scoped, { "key-auth": {} }])).unwrap().traits();
    assert!(one.proves.authentication && !one.proves.grant);
}

#[test]
fn the_largest_body_is_held() {
    let hmac = |max: u64| {
        let config = json!({ "validate_request_body": true, "max_req_body_size": max });
        json!({ "hmac-auth": config })
    };
    for plugins in [
        json!([hmac(5), { "key-auth": {} }, hmac(9)]),
        json!([hmac(9), hmac(5), { "key-auth": {} }]),
    ] {
        let traits = compile(&plugins).unwrap().traits();
        assert_eq!(traits.body, BodyNeed::Bytes { max: 9 });
        assert!(traits.stages.contains(Stage::Authorize));
    }
}

#[test]
fn so_many_plugins_stand_inside_and_no_more() {
    for (count, is_good) in [
        (0, false),
        (1, false),
        (2, true),
        (PLUGINS_MAX - 1, true),
        (PLUGINS_MAX, true),
        (PLUGINS_MAX + 1, false),
    ] {
        let plugins = Value::from(vec![json!({ "key-auth": {} }); count]);
        assert_eq!(compile(&plugins).is_ok(), is_good, "{count}");
    }
}

#[test]
fn answers_are_shaped_where_a_plugin_inside_shapes_them() {
    let jwk = SigningKey::generate(Algorithm::EdDsa).unwrap().public_jwk().unwrap();
    let shapes = |dpop: Value| {
        let jwt = json!({
            "jwks": { "inline": { "keys": [jwk] } },
            "issuers": ["https://id.test"],
            "audiences": ["orders"],
            "dpop": dpop,
        });
        let inside = compile(&json!([{ "key-auth": {} }, { "jwt-auth": jwt }]));
        inside.map(|plugin| plugin.traits().on_response).map_err(|fault| fault.problem)
    };
    assert_eq!(shapes(json!({ "nonce": true })), Ok(true));
    assert_eq!(shapes(json!({ "nonce": false })), Ok(false));
}

#[test]
fn faults_inside_are_told_where_they_are() {
    for (plugins, path, problem) in [
        (json!([{ "key-auth": {} }]), "auth_plugins", "two to 16"),
        (json!([{ "key-auth": {} }, {}]), "auth_plugins[1]", "exactly one"),
        (
            json!([{ "key-auth": {}, "basic-auth": {} }, { "key-auth": {} }]),
            "auth_plugins[0]",
            "exactly one",
        ),
        (
            json!([{ "key-auth": {} }, { "key-auth": { "header": "a b" } }]),
            "auth_plugins[1].key-auth.header",
            "not the name",
        ),
        (
            json!([{ "key-auth": { "anonymous_consumer": "guest" } }, { "key-auth": {} }]),
            "auth_plugins[0].key-auth.anonymous_consumer",
            "stand in",
        ),
        (
            json!([{ "key-auth": {} }, { "jwe-decrypt": {} }]),
            "auth_plugins[1].jwe-decrypt",
            "cannot stand inside",
        ),
        (
            json!([{ "key-auth": {} }, { "limit-count": {} }]),
            "auth_plugins[1].limit-count",
            "cannot stand inside",
        ),
    ] {
        let fault = compile(&plugins).err().unwrap();
        let place = fault.path.iter().fold(String::new(), |path, step| match step {
            PathStep::Key(key) if path.is_empty() => key.clone(),
            PathStep::Key(key) => format!("{path}.{key}"),
            PathStep::Index(index) => format!("{path}[{index}]"),
        });
        assert_eq!(place, path, "{plugins}");
        assert!(fault.problem.contains(problem), "{plugins}: {}", fault.problem);
    }
}

#[test]
fn a_refusal_has_every_cause_and_each_challenge_once() {
    let denial = |reason, detail: &'static str, challenge: &str| {
        Denial::new(reason, detail).with_field(CHALLENGE, challenge.to_owned())
    };
    let missing = || denial(Reason::MissingCredential, "none", "a");
    let refusal = refuse(vec![("one", missing()), ("two", missing())]);
    assert_eq!((refusal.reason, refusal.status()), (Reason::MissingCredential, 401));
    assert_eq!(refusal.detail, "`one`: none; `two`: none");
    assert_eq!(refusal.fields.len(), 1);
    assert_eq!(refusal.apisix_message.as_deref(), Some("Authorization Failed"));

    let expired = denial(Reason::ExpiredCredential, "over", "b");
    let refusal = refuse(vec![("one", missing()), ("two", expired)]);
    assert_eq!(refusal.reason, Reason::InvalidCredential);
    assert_eq!(refusal.fields.len(), 2);
}

#[test]
fn only_a_lack_of_proof_asks_the_next() {
    for reason in Reason::ALL {
        if asks_the_next(*reason) {
            let expected = if *reason == Reason::AttemptHeld { 429 } else { 401 };
            assert_eq!(reason.status(), expected, "{}", reason.code());
        }
    }
    for reason in [
        Reason::AmbiguousCredential,
        Reason::InsufficientScope,
        Reason::CpuBusy,
        Reason::ReplaysFull,
        Reason::Internal,
        Reason::Panicked,
    ] {
        assert!(!asks_the_next(reason), "{}", reason.code());
    }
}
