use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, request};

fn plugin(config: &Value) -> ForwardAuth {
    Bench::new().compile(config).unwrap()
}

#[test]
fn it_proves_a_grant_and_who_calls_only_where_the_answer_names_somebody() {
    let proofs = |config| plugin(&config).traits().proves;
    let plain = proofs(json!({"uri": "http://a/"}));
    assert!(plain.grant && !plain.authentication);
    let named = proofs(json!({"uri": "http://a/", "user_header": "X-User"}));
    assert!(named.grant && named.authentication);
    let open = proofs(json!({"uri": "http://a/", "danger_allow_degradation": true}));
    assert!(!open.grant && !open.authentication);
}

#[test]
fn an_answer_names_one_caller_or_nobody() {
    let plugin = plugin(&json!({"uri": "http://a/", "user_header": "X-User"}));
    let user = plugin.user.as_ref().unwrap();
    let cx = request("/", &[]);
    let subject = |values: &[&str]| {
        let mut answer = Fields::new();
        for value in values {
            answer.append("x-user", (*value).to_owned());
        }
        user.parts(&cx, &answer).map(|parts| parts.subject.unwrap().to_string())
    };
    assert_eq!(subject(&["alice"]).unwrap(), "alice");
    let long = "x".repeat(USER_MAX + 1);
    for values in [&[][..], &[""], &["alice", "bob"], &[long.as_str()]] {
        assert_eq!(subject(values).unwrap_err().reason, Reason::IdentityRequired, "{values:?}");
    }
}

#[test]
fn values_that_would_end_their_line_are_not_sent() {
    let config = json!({"uri": "http://a/", "extra_headers": {"X-Id": "$arg_id"}});
    let plugin = plugin(&config);
    let sent = |target: &str| plugin.question.fields(&request(target, &[]));
    assert_eq!(sent("/?id=7").unwrap().get("x-id"), Some(&b"7"[..]));
    assert!(!sent("/").unwrap().contains("x-id"));
    for target in ["/?id=a%0d%0ax-admin:%201", "/?id=1&id=2"] {
        assert_eq!(sent(target).err().unwrap().reason, Reason::AmbiguousParameter, "{target}");
    }
}

#[test]
fn nothing_of_the_client_goes_to_the_service_unasked() {
    let plugin = plugin(&json!({"uri": "http://a/", "request_headers": ["X-A", "Cookie"]}));
    let lines = [
        ("authorization", "Bearer x"),
        ("x-a", "1"),
        ("x-b", "2"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("transfer-encoding", "chunked"),
    ];
    let fields = plugin.question.fields(&request("/x?y=1", &lines)).unwrap();
    let names: Vec<&str> =
        fields.iter().map(|field| std::str::from_utf8(field.name).unwrap()).collect();
    assert_eq!(
        names,
        [
            "x-forwarded-proto",
            "x-forwarded-method",
            "x-forwarded-host",
            "x-forwarded-uri",
            "x-forwarded-for",
            "x-a",
            "cookie",
        ]
    );
    assert_eq!(fields.get("cookie"), Some(&b"a=1; b=2"[..]));
}

#[test]
fn the_pool_is_as_large_as_said() {
    for (config, size) in [
        (json!({"uri": "http://a/"}), 5),
        (json!({"uri": "http://a/", "keepalive_pool": 7}), 7),
        (json!({"uri": "http://a/", "keepalive": false}), 0),
    ] {
        assert_eq!(plugin(&config).service.keep().size, size);
    }
}

#[test]
fn a_private_authority_can_be_named() {
    let root = crate::fixture::authority();
    let mut config = json!({"uri": "https://a.example/", "ca_certs": root});
    assert!(Bench::new().compile::<ForwardAuth>(&config).is_ok());
    config["ca_certs"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----".into();
    assert!(Bench::new().compile::<ForwardAuth>(&config).is_err());
}
