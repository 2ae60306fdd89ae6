//! Providers that lie, or are not who they say.

use std::time::Duration;

use bartizan_testkit::{Answer, run};
use serde_json::json;

use super::double::{ISSUER, KEYS, METADATA, token};
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
            let line =
                format!("bartizan_jwks_fetches_total{{issuer=\"{ISSUER}\",result=\"{result}\"}} 1");
            assert!(gateway.metrics().contains(&line), "{shown}: {}", gateway.metrics());
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
        });
    }
}
