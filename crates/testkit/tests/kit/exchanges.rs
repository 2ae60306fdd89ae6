//! Requests, raw bytes, and upstreams that do as they are told.

use std::time::Duration;

use bartizan_testkit::{Answer, Gateway, TestAuthority, TokenKey, run, token};
use serde_json::json;

use crate::OPEN;

#[test]
fn what_is_sent_is_what_the_upstream_sees() {
    run(async {
        let gw = Gateway::of(OPEN);
        let reply = gw
            .post("/orders?page=2")
            .header("X-One", "1")
            .json(&json!({"a": 1}))
            .from("198.51.100.7")
            .send()
            .await;
        reply.expect(200).header_is("content-type", "application/json").no_header("x-one");
        reply.body_json(&json!({"ok": true}));
        let seen = gw.upstream().last();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/orders?page=2"));
        assert_eq!(seen.field("x-one"), Some("1"));
        assert_eq!(seen.field("x-real-ip"), Some("198.51.100.7"));
        assert_eq!(seen.body, br#"{"a":1}"#);
        assert!(seen.is_complete);
        assert_eq!(seen.node, "127.0.0.1:8080");
    });
}

#[test]
fn malformed_bytes_are_refused_and_told() {
    run(async {
        let gw = Gateway::of(OPEN);
        let both = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\
                    Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
        gw.raw(both).send().await.expect(400).reason("http.ambiguous_framing");
        gw.raw("nonsense\r\n\r\n").send().await.expect(400).reason("http.malformed");
        gw.upstream().saw_nothing();
    });
}

#[test]
fn a_connection_can_stay_open() {
    run(async {
        let gw = Gateway::of(OPEN);
        let mut connection = gw.open();
        for _ in 0..2 {
            connection.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
            assert_eq!(connection.answer("GET").await.unwrap().0, 200);
        }
        assert!(connection.close().await.is_empty());
        gw.upstream().saw(2);
        assert_eq!(gw.upstream().connections(), 1, "the gateway keeps its connection too");
    });
}

#[test]
fn answers_are_given_once_then_always_then_as_usual() {
    run(async {
        let gw = Gateway::of(OPEN);
        gw.upstream().always(Answer::json(202, "{}"));
        gw.upstream().answer(Answer::status(204));
        gw.get("/").send().await.expect(204);
        gw.get("/").send().await.expect(202);
        gw.upstream().respond(|seen| Answer::status(200).body(seen.target.clone()));
        gw.get("/echo").send().await.expect(200).body_is("/echo");
        let head = gw.request("HEAD", "/echo").send().await;
        head.expect(200).header_is("content-length", "5").body_is("");
    });
}

#[test]
fn an_upstream_can_break_every_rule() {
    run(async {
        let gw = Gateway::of(OPEN);
        for (answer, status, reason) in [
            (Answer::close(), 502, "upstream.closed"),
            (Answer::raw("nonsense\r\n\r\n").then_close(), 502, "upstream.malformed"),
            (
                Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
                502,
                "upstream.malformed",
            ),
        ] {
            gw.upstream().answer(answer);
            let reply = gw.request("PATCH", "/").send().await;
            reply.expect_forwarded(status).reason(reason);
        }
        gw.upstream().refuse(true);
        gw.get("/").send().await.expect(502).reason("upstream.connect");
        gw.upstream().refuse(false);
        gw.upstream().answer(Answer::default().after(Duration::from_secs(3_600)));
        gw.get("/").send().await.expect_forwarded(504);
    });
}

#[test]
fn tokens_are_verified_by_the_keys_that_the_kit_makes() {
    use bartizan_plugins::jose::Algorithm;
    run(async {
        let key = TokenKey::generate(Algorithm::Es256);
        let secret = "an example of thirty-two bytes!!";
        let gw = Gateway::builder()
            .file("keys/alice.pem", &key.public_key())
            .variable("BOB", secret)
            .resources(
                r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins: {jwt-auth: {}, any-authenticated: {reason: a test}}
consumers:
- username: alice
  plugins: {jwt-auth: {key: a, algorithm: ES256, public_key: $file://keys/alice.pem}}
- {username: bob, plugins: {jwt-auth: {key: b, secret: $env://BOB}}}
"#,
            )
            .start();
        let exp = gw.now().as_secs() + 60;
        let alice = key.sign(&json!({"key": "a", "exp": exp}));
        gw.get("/").bearer(&alice).send().await.expect(200);
        let bob = token(secret, &json!({"key": "b", "exp": exp}));
        gw.get("/").bearer(&bob).send().await.expect(200);
        assert_eq!(gw.upstream().last().field("x-consumer-username"), Some("bob"));
        gw.get("/").basic("alice", "x").send().await.expect(401);
    });
}

#[test]
fn every_algorithm_signs_what_its_key_verifies() {
    use bartizan_plugins::jose::{Algorithm, AlgorithmSet, KeyKind, KeySet, Token};
    for &algorithm in Algorithm::ALL {
        let key = TokenKey::generate(algorithm);
        let token = key.sign(&json!({"sub": "alice"}));
        if algorithm.kind() == KeyKind::Secret {
            assert!(key.secret().len() >= 64);
            continue;
        }
        let set = json!({"keys": [key.jwk("one")]}).to_string();
        let set = KeySet::parse(set.as_bytes(), AlgorithmSet::asymmetric()).unwrap();
        let token = Token::parse(&token).unwrap();
        let chosen = set.choose(token.header()).unwrap();
        assert!(chosen.verify(token).is_ok(), "{algorithm}");
    }
}

#[test]
fn the_authority_issues_for_servers_and_clients() {
    let authority = TestAuthority::default();
    let pem = |text: &str| text.matches("BEGIN CERTIFICATE").count();
    assert_eq!(pem(&authority.certificate()), 1);
    assert_eq!(pem(&authority.server(&["api.test", "127.0.0.1"]).chain), 1);
    assert_eq!(pem(&authority.client("alice", &["alice@api.test"]).chain), 1);
}

#[test]
fn what_is_refused_says_where() {
    run(async {
        let refusal = Gateway::builder().resources("routes: [{urii: /}]\n").try_start();
        let lines = refusal.err().unwrap().lines();
        assert!(lines.iter().any(|line| line.contains("did you mean `uri`?")), "{lines:?}");
        let gw = Gateway::of(OPEN);
        assert!(gw.reload("routes: 7").is_err());
        gw.get("/").send().await.expect(200);
    });
}
