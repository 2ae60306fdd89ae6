use std::sync::Arc;

use bartizan_chain::{Consumer, ConsumerIndex, RequestCx};
use bartizan_core::{Clock, ManualClock, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::authenticate::replays::ReplayFault;
use crate::fixture::{Bench, arrival};

const SECRET: &str = "a secret of sixteen bytes";
/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;
const DATE_LINE: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");

/// Signatures of `GET /orders?a=1`, the date and `X-Nonce: 7`, by another implementation.
const VECTORS: [(&str, &str); 3] = [
    ("hmac-sha1", "9sTKcs7ArpE9XcbrFhdIQzCRaro="),
    ("hmac-sha256", "8yll9UcLPyMt7qsqm4iZ5/MVSje8YszRkj2gJOCaW5o="),
    (
        "hmac-sha512",
        "PGp4ryClrE7QM4p0wPVSR6K2xDKlCzwBZ04oOJKAbsD1RcjZbDdQR+y/B/3KhVaTx+YNylB4pMiAmZqdo4mGLw==",
    ),
];

impl HmacAuth {
    fn proved(&self, cx: &RequestCx) -> Result<(IdentityParts, Option<BodyDigest>), Fault> {
        self.prove(cx, &shown(cx)?)
    }
}

fn consumers() -> Arc<ConsumerIndex> {
    let mut index = ConsumerIndex::default();
    let alice = Arc::new(Consumer::new("alice".into(), None, Vec::new()));
    index.add_consumer(alice.clone());
    let config = json!({ "key_id": "alice-key", "secret_key": SECRET, "danger_weak_secret": true });
    let entry = Bench::new().credential::<HmacAuth>(&config).unwrap();
    index.add_credential(HmacAuth::NAME, &alice, None, entry).unwrap();
    Arc::new(index)
}

fn request(target: &str, lines: &[(&'static str, &'static str)]) -> RequestCx {
    let clock = Clock::Manual(ManualClock::at(Timestamp::from_secs(NOW)));
    let arrival = arrival(target, lines);
    RequestCx::new(bartizan_chain::Arrival { consumers: consumers(), clock, ..arrival }, None)
}

fn leaked(text: String) -> &'static str {
    text.leak()
}

fn authorization(key: &str, algorithm: &str, headers: &str, signature: &str) -> &'static str {
    leaked(format!(
        "Signature keyId=\"{key}\",algorithm=\"{algorithm}\",headers=\"{headers}\",\
         signature=\"{signature}\""
    ))
}

/// A signature by what this crate itself makes of a text.
fn signed(text: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
    STANDARD.encode(aws_lc_rs::hmac::sign(&key, text.as_bytes()))
}

fn prove(config: &Value, cx: &RequestCx) -> Result<Option<BodyDigest>, Fault> {
    let plugin: HmacAuth = Bench::apisix().compile(config).unwrap();
    let (parts, expected) = plugin.proved(cx)?;
    assert_eq!(parts.consumer.unwrap().username(), "alice");
    Ok(expected)
}

#[test]
fn signatures_of_another_implementation_verify() {
    for (algorithm, signature) in VECTORS {
        let headers = "@request-target date X-Nonce";
        let field = authorization("alice-key", algorithm, headers, signature);
        let lines = [("authorization", field), DATE_LINE, ("x-nonce", "7")];
        assert_eq!(prove(&json!({}), &request("/orders?a=1", &lines)), Ok(None), "{algorithm}");
        let others = [("authorization", field), DATE_LINE, ("x-nonce", "8")];
        let outcome = prove(&json!({}), &request("/orders?a=1", &others));
        assert_eq!(outcome, Err(Fault::Signature));
        let outcome = prove(&json!({}), &request("/orders?a=2", &lines));
        assert_eq!(outcome, Err(Fault::Signature));
    }
}

#[test]
fn each_thing_that_is_wrong_is_told_to_the_operator() {
    let date = "date: Thu, 01 Jan 2026 00:00:00 GMT";
    let good = signed(&format!("alice-key\nGET /\n{date}\n"));
    let field = |key, algorithm, headers| authorization(key, algorithm, headers, &good);
    let usual = "@request-target date";
    let ours = field("alice-key", "hmac-sha256", usual);
    for (config, lines, fault) in [
        (json!({}), vec![DATE_LINE], Fault::Missing),
        (json!({}), vec![("authorization", ours), ("authorization", ours)], Fault::Repeated),
        (json!({}), vec![("authorization", ours)], Fault::Date),
        (json!({}), vec![("authorization", ours), DATE_LINE, DATE_LINE], Fault::Date),
        (json!({}), vec![("authorization", ours), ("date", "today")], Fault::Date),
        (
            json!({ "clock_skew": 299 }),
            vec![("authorization", ours), ("date", "Wed, 31 Dec 2025 23:55:00 GMT")],
            Fault::Skew,
        ),
        (
            json!({ "clock_skew": 59 }),
            vec![("authorization", ours), ("date", "Thu, 01 Jan 2026 00:01:00 GMT")],
            Fault::Skew,
        ),
        (
            json!({}),
            vec![("authorization", field("bob-key", "hmac-sha256", usual)), DATE_LINE],
            Fault::UnknownKey,
        ),
        (
            json!({ "allowed_algorithms": ["hmac-sha512"] }),
            vec![("authorization", ours), DATE_LINE],
            Fault::Algorithm,
        ),
        (
            json!({}),
            vec![("authorization", field("alice-key", "hmac-md5", usual)), DATE_LINE],
            Fault::Algorithm,
        ),
        (
            json!({}),
            vec![("authorization", field("alice-key", "hmac-sha512", usual)), DATE_LINE],
            Fault::Signature,
        ),
        (
            json!({}),
            vec![("authorization", field("alice-key", "hmac-sha256", "date")), DATE_LINE],
            Fault::NotSigned("@request-target"),
        ),
        (
            json!({ "danger_unsigned_target": true }),
            vec![("authorization", field("alice-key", "hmac-sha256", "")), DATE_LINE],
            Fault::NotSigned("date"),
        ),
        (
            json!({ "signed_headers": ["Host"] }),
            vec![("authorization", ours), DATE_LINE],
            Fault::HeaderNotSigned,
        ),
        (
            json!({}),
            vec![
                ("authorization", field("alice-key", "hmac-sha256", "@request-target date x-a")),
                DATE_LINE,
            ],
            Fault::AbsentHeader,
        ),
        (
            json!({}),
            vec![
                ("authorization", field("alice-key", "hmac-sha256", "@request-target date x-a")),
                DATE_LINE,
                ("x-a", "1"),
                ("x-a", "1"),
            ],
            Fault::RepeatedHeader,
        ),
        (
            json!({ "validate_request_body": true }),
            vec![("authorization", ours), DATE_LINE],
            Fault::NotSigned("digest"),
        ),
    ] {
        assert_eq!(prove(&config, &request("/", &lines)), Err(fault), "{config} {lines:?}");
    }
    let lines = [("authorization", ours), DATE_LINE];
    assert_eq!(prove(&json!({ "signed_headers": ["DATE"] }), &request("/", &lines)), Ok(None));
}

#[test]
fn the_digest_of_the_body_is_read_strictly() {
    let body = STANDARD.encode(sha256(&Bytes::from_static(b"{}")));
    let config = json!({ "validate_request_body": true });
    for (value, is_good) in [
        (format!("SHA-256={body}"), true),
        (format!("sha-256={body}"), true),
        (format!("SHA-512={body}"), false),
        (format!("SHA-256={body}="), false),
        (format!("SHA-256={body},SHA-256={body}"), false),
        ("SHA-256=".to_owned(), false),
        (String::new(), false),
    ] {
        let date = "date: Thu, 01 Jan 2026 00:00:00 GMT";
        let signature = signed(&format!("alice-key\nGET /\n{date}\ndigest: {value}\n"));
        let headers = "@request-target date digest";
        let field = authorization("alice-key", "hmac-sha256", headers, &signature);
        let lines = [("authorization", field), DATE_LINE, ("digest", leaked(value.clone()))];
        let outcome = prove(&config, &request("/", &lines));
        let expected = if is_good { Ok(Some(sha256(&"{}".into()))) } else { Err(Fault::Digest) };
        assert_eq!(outcome, expected, "{value}");
    }
}

#[test]
fn a_signature_is_spent_by_success_only() {
    let bench = Bench::new();
    let once: HmacAuth = bench.compile(&json!({ "refuse_replays": true })).unwrap();
    let date = "date: Thu, 01 Jan 2026 00:00:00 GMT";
    let signature = signed(&format!("alice-key\nGET /\n{date}\n"));
    let headers = "@request-target date";
    let field = authorization("alice-key", "hmac-sha256", headers, &signature);
    let lines = [("authorization", field), DATE_LINE];
    assert_eq!(once.proved(&request("/other", &lines)).err(), Some(Fault::Signature));
    assert_eq!(once.proved(&request("/", &lines)).err(), None);
    assert_eq!(once.proved(&request("/", &lines)).err(), Some(Fault::Replay(ReplayFault::Again)));
    // Another route of the node remembers as well, and one that does not care takes it.
    let other: HmacAuth = bench.compile_in("other", &json!({ "refuse_replays": true })).unwrap();
    assert_eq!(other.proved(&request("/", &lines)).err(), Some(Fault::Replay(ReplayFault::Again)));
    let careless: HmacAuth = bench.compile(&json!({})).unwrap();
    assert_eq!(careless.proved(&request("/", &lines)).err(), None);
}

#[test]
fn refusals_look_alike_and_challenge_the_client() {
    for (fault, status) in [
        (Fault::UnknownKey, 401),
        (Fault::Signature, 401),
        (Fault::Body, 401),
        (Fault::Replay(ReplayFault::Again), 401),
        (Fault::Repeated, 400),
        (Fault::Replay(ReplayFault::Full), 503),
    ] {
        let denial = fault.denial("hmac realm=\"x\"");
        assert_eq!(denial.status(), status, "{fault}");
        assert_eq!(denial.fields.is_empty(), status != 401, "{fault}");
    }
    assert_eq!(Fault::UnknownKey.denial("").reason, Fault::Signature.denial("").reason);
}

#[test]
fn what_cannot_work_does_not_compile() {
    for (config, problem) in [
        (json!({ "allowed_algorithms": [] }), "no signature"),
        (json!({ "clock_skew": 0 }), "1 second"),
        (json!({ "clock_skew": 86_401 }), "1 second"),
        (json!({ "signed_headers": ["a b"] }), "not the name"),
        (json!({ "max_req_body_size": 5 }), "no body is read"),
        (
            json!({ "validate_request_body": true, "max_req_body_size": 67_108_865 }),
            "limits.body_max",
        ),
    ] {
        let fault = Bench::new().fault::<HmacAuth>(&config);
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
    for (config, problem) in [
        (json!({ "key_id": "", "secret_key": SECRET }), "name of a key"),
        (json!({ "key_id": "a\"b", "secret_key": SECRET }), "name of a key"),
        (json!({ "key_id": "a", "secret_key": "" }), "1 to 256"),
        (json!({ "key_id": "a", "secret_key": "x".repeat(257) }), "1 to 256"),
        (json!({ "key_id": "a", "secret_key": "x".repeat(31) }), "shorter than 32"),
        (json!({ "key_id": "a", "secret_key": "x".repeat(32) }), "can be guessed"),
    ] {
        let fault = Bench::new().credential::<HmacAuth>(&config).err().unwrap();
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
    let short = json!({ "key_id": "a", "secret_key": "short", "danger_weak_secret": true });
    assert!(Bench::new().credential::<HmacAuth>(&short).is_ok());
}

#[test]
fn the_body_is_asked_for_only_where_it_counts() {
    let traits = |config| Bench::new().compile::<HmacAuth>(&config).unwrap().traits();
    let plain = traits(json!({}));
    assert!(!plain.body.is_some() && !plain.stages.contains(Stage::Authorize));
    let whole = traits(json!({ "validate_request_body": true, "max_req_body_size": 9 }));
    assert_eq!(whole.body, BodyNeed::Bytes { max: 9 });
    assert!(whole.stages.contains(Stage::Authorize) && whole.proves.authentication);
    assert!(!traits(json!({ "anonymous_consumer": "guest" })).proves.authentication);
}

#[test]
fn a_key_that_nobody_has_costs_the_work_of_one_that_somebody_has() {
    for (name, fault) in [("alice-key", Fault::Signature), ("nobody", Fault::UnknownKey)] {
        let field = authorization(name, "hmac-sha256", "@request-target date", "AAAA");
        let cx = request("/", &[("authorization", field), DATE_LINE]);
        let (work, told) = crate::work::of(|| prove(&json!({}), &cx));
        assert_eq!((work, told), (1, Err(fault)), "{name}");
    }
}
