//! Providers that lie, or are not who they say.

use std::time::Duration;

use bartizan_testkit::{Answer, Gateway, run};
use serde_json::json;

use super::double::{ISSUER, KEYS, METADATA, Provider, token};
use super::start;

/// A result of the metric, and what the provider answers at which path.
fn lies() -> Vec<(&'static str, &'static str, Answer)> {
    let metadata = |jwks_uri: &str| {
        Answer::json(200, &json!({"issuer": ISSUER, "jwks_uri": jwks_uri}).to_string())
    };
    let issued = |issuer: &str| {
        let told = json!({"issuer": issuer, "jwks_uri": "https://id.test/keys"});
        Answer::json(200, &told.to_string())
    };
    let long = |length: usize| Answer::status(200).body(" ".repeat(length));
    let twice = r#"{"issuer":"https://id.test","issuer":"https://id.test","jwks_uri":"x"}"#;
    let many = json!({"keys": vec![json!({"kty": "EC"}); 101]});
    let moved = |to: &str| Answer::status(302).header("Location", to);
    vec![
        ("issuer", METADATA, issued("https://id.test/")),
        ("issuer", METADATA, issued("https://ID.test")),
        ("issuer", METADATA, issued("https://evil.test")),
        ("metadata", METADATA, Answer::json(200, r#"{"jwks_uri":"https://id.test/keys"}"#)),
        ("metadata", METADATA, Answer::json(200, r#"{"issuer":"https://id.test"}"#)),
        ("metadata", METADATA, Answer::json(200, twice)),
        ("metadata", METADATA, Answer::json(200, "[]")),
        ("metadata", METADATA, metadata("keys")),
        ("metadata", METADATA, metadata("file:///etc/keys")),
        ("metadata", METADATA, metadata("https://id.test@evil.test/keys")),
        ("foreign", METADATA, metadata("https://evil.test/keys")),
        ("foreign", METADATA, metadata("https://id.test.evil.test/keys")),
        ("foreign", METADATA, metadata("https://id.test:8443/keys")),
        ("foreign", METADATA, metadata("https://169.254.169.254/keys")),
        ("insecure", METADATA, metadata("http://id.test/keys")),
        ("status", METADATA, moved("https://id.test/elsewhere")),
        ("status", METADATA, Answer::status(500)),
        ("too_large", METADATA, long(128 * 1024 + 1)),
        ("status", KEYS, moved("https://evil.test/keys")),
        ("status", KEYS, Answer::status(204)),
        ("too_large", KEYS, long(512 * 1024 + 1)),
        ("too_large", KEYS, long(10 * 1024 * 1024)),
        ("key_set", KEYS, Answer::json(200, "{}")),
        ("key_set", KEYS, Answer::json(200, &many.to_string())),
        ("key_set", KEYS, Answer::json(200, &"[".repeat(100_000))),
        ("no_keys", KEYS, Answer::json(200, r#"{"keys":[]}"#)),
        ("unreachable", KEYS, Answer::close()),
        ("unreachable", KEYS, Answer::raw("nonsense\r\n\r\n")),
        ("unreachable", KEYS, Answer::status(200).header("Content-Length", "9").then_close()),
    ]
}

/// There was one fetch with this result.
fn assert_counted(gateway: &Gateway, result: &str, shown: &str) {
    let line =
        format!("bartizan_jwks_fetches_total{{issuer=\"{ISSUER}\",result=\"{result}\"}} 1\n");
    let metrics = gateway.metrics();
    assert!(metrics.contains(&line), "{result}: {shown}: {metrics}");
}

/// Metadata with a member more, whose text this is.
fn metadata_and(more: &str) -> String {
    format!(r#"{{"issuer":"{ISSUER}","jwks_uri":"https://id.test/keys","more":{more}}}"#)
}

/// A text with spaces behind it.
fn padded(text: &str, length: usize) -> Answer {
    Answer::json(200, &format!("{text}{}", " ".repeat(length - text.len())))
}

/// A result of the metric, and what the provider answers at which path.
type Edge = (&'static str, &'static str, Box<dyn Fn(&Provider) -> Answer>);

#[test]
fn what_a_provider_says_has_bounds() {
    let nested = |depth: usize| {
        let depth = depth - 1;
        metadata_and(&format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
    };
    // Three of the items are members of the metadata itself.
    let many = |items: usize| metadata_and(&json!(vec![0; items - 3]).to_string());
    let told = |text: String| move |_: &Provider| Answer::json(200, &text);
    let long = |length: usize| move |_: &Provider| padded(&metadata_and("0"), length);
    let long_keys = |length: usize| {
        move |provider: &Provider| {
            let set = json!({"keys": [provider.one.jwk("one")]});
            padded(&set.to_string(), length)
        }
    };
    let many_keys = |count: usize| {
        move |provider: &Provider| {
            let mut keys = vec![json!({"kty": "EC"}); count - 1];
            keys.push(provider.one.jwk("one"));
            Answer::json(200, &json!({ "keys": keys }).to_string())
        }
    };
    let edges: Vec<Edge> = vec![
        ("ok", METADATA, Box::new(long(128 * 1024 - 1))),
        ("ok", METADATA, Box::new(long(128 * 1024))),
        ("too_large", METADATA, Box::new(long(128 * 1024 + 1))),
        ("ok", METADATA, Box::new(told(nested(15)))),
        ("ok", METADATA, Box::new(told(nested(16)))),
        ("metadata", METADATA, Box::new(told(nested(17)))),
        ("ok", METADATA, Box::new(told(many(9_999)))),
        ("ok", METADATA, Box::new(told(many(10_000)))),
        ("metadata", METADATA, Box::new(told(many(10_001)))),
        ("ok", KEYS, Box::new(long_keys(512 * 1024 - 1))),
        ("ok", KEYS, Box::new(long_keys(512 * 1024))),
        ("too_large", KEYS, Box::new(long_keys(512 * 1024 + 1))),
        ("ok", KEYS, Box::new(many_keys(99))),
        ("ok", KEYS, Box::new(many_keys(100))),
        ("key_set", KEYS, Box::new(many_keys(101))),
    ];
    for (at, (result, path, answer)) in edges.iter().enumerate() {
        run(async {
            let (gateway, provider) = start();
            provider.says(path, answer(&provider));
            let status =
                gateway.get("/").bearer(&token(&provider.one, "one")).send().await.status();
            assert_eq!(status, if *result == "ok" { 200 } else { 503 }, "{at}: {result}");
            assert_counted(&gateway, result, &at.to_string());
        });
    }
}

#[test]
fn no_lie_of_a_provider_lets_anybody_pass() {
    for (result, path, answer) in lies() {
        run(async {
            let shown = format!("{result}: {answer:?}").chars().take(200).collect::<String>();
            let (gateway, provider) = start();
            provider.says(path, answer);
            let good = token(&provider.one, "one");
            let refused = gateway.get("/").bearer(&good).send().await;
            assert_eq!(refused.status(), 503, "{shown}");
            refused.reason("auth.keys_unavailable").no_header("www-authenticate");
            gateway.upstream().saw_nothing();
            assert_counted(&gateway, result, &shown);
        });
    }
}

#[test]
fn a_lie_after_the_truth_changes_nothing_but_that_withdrawn_keys_are_gone() {
    for (result, path, answer) in lies() {
        run(async {
            let (gateway, provider) = start();
            let good = token(&provider.one, "one");
            gateway.get("/").bearer(&good).send().await.expect(200);
            provider.says(path, answer);
            gateway.advance(Duration::from_secs(3_240)).await;
            gateway.advance(Duration::from_millis(1)).await;
            let status = gateway.get("/").bearer(&good).send().await.status();
            assert_eq!(status, if result == "no_keys" { 503 } else { 200 }, "{result}");
            assert_counted(&gateway, result, result);
        });
    }
}
