//! An issuer that is asked about tokens: how often, by how many, and what it may say.

use std::time::Duration;

use bartizan_testkit::{Answer, Connection, Gateway, Seen, run};

use super::double::{NODE, asked};

const ROUTES: &str = r#"
routes:
- uri: /*
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins:
    oauth-introspection:
      introspection_endpoint: https://id.test/introspect
      client_id: gateway
      client_secret: secret
      audiences: [orders]
    any-authenticated: {reason: a test}
"#;
const ASK: &str = "/introspect";
const GOOD: &str = r#"{"active": true, "aud": "orders", "scope": "read"}"#;

fn start() -> Gateway {
    let gateway = Gateway::of(ROUTES);
    says(&gateway, Answer::json(200, GOOD));
    gateway
}

/// What the issuer answers from now on.
fn says(gateway: &Gateway, answer: Answer) {
    gateway.remotes().respond(NODE, move |_: &Seen| answer.clone());
}

async fn status(gateway: &Gateway, token: &str) -> u16 {
    gateway.get("/").bearer(token).send().await.status()
}

#[test]
fn one_question_is_asked_about_one_token_however_many_requests_bring_it() {
    run(async {
        let gateway = start();
        says(&gateway, Answer::json(200, GOOD).after(Duration::from_millis(500)));
        let mut waiting: Vec<Connection> = Vec::new();
        for _ in 0..64 {
            waiting.push(gateway.get("/").bearer("opaque").hold().await);
        }
        for connection in &mut waiting {
            assert_eq!(connection.answer("GET").await.unwrap().0, 200);
        }
        assert_eq!(asked(&gateway), [ASK]);
        gateway.upstream().saw(64);
        assert_eq!(status(&gateway, "other").await, 200);
        assert_eq!(asked(&gateway), [ASK]);
    });
}

#[test]
fn a_failure_is_everybodys_who_waited_and_nobodys_later() {
    run(async {
        let gateway = start();
        says(&gateway, Answer::status(500).after(Duration::from_millis(500)));
        let mut first = gateway.get("/").bearer("opaque").hold().await;
        let mut second = gateway.get("/").bearer("opaque").hold().await;
        assert_eq!(first.answer("GET").await.unwrap().0, 503);
        assert_eq!(second.answer("GET").await.unwrap().0, 503);
        assert_eq!(asked(&gateway), [ASK]);
        says(&gateway, Answer::json(200, GOOD));
        assert_eq!(status(&gateway, "opaque").await, 200);
        gateway.upstream().saw(1);
    });
}

#[test]
fn requests_that_wait_for_anothers_question_are_bounded() {
    run(async {
        let gateway = Gateway::builder().node("limits: {delayed: 1}").resources(ROUTES).start();
        says(&gateway, Answer::json(200, GOOD).after(Duration::from_secs(1)));
        let mut first = gateway.get("/").bearer("opaque").hold().await;
        let mut second = gateway.get("/").bearer("opaque").hold().await;
        let third = gateway.get("/").bearer("opaque").send().await;
        third.expect(503).reason("limit.too_many_waiting").no_header("www-authenticate");
        assert_eq!(first.answer("GET").await.unwrap().0, 200);
        assert_eq!(second.answer("GET").await.unwrap().0, 200);
    });
}

#[test]
fn an_issuer_that_is_slow_takes_a_quarter_of_the_calls_and_no_more() {
    run(async {
        let gateway = Gateway::builder().node("limits: {calls: 8}").resources(ROUTES).start();
        says(&gateway, Answer::json(200, GOOD).after(Duration::from_secs(1)));
        let mut first = gateway.get("/").bearer("one").hold().await;
        let mut second = gateway.get("/").bearer("two").hold().await;
        let third = gateway.get("/").bearer("three").send().await;
        third.expect(503).reason("auth.introspection_failed").no_header("www-authenticate");
        // What somebody asks already is no other question.
        let mut again = gateway.get("/").bearer("two").hold().await;
        for connection in [&mut first, &mut second, &mut again] {
            assert_eq!(connection.answer("GET").await.unwrap().0, 200);
        }
        assert_eq!(asked(&gateway), [ASK, ASK]);
        let metrics = gateway.metrics();
        for line in [
            "bartizan_introspections_total{server=\"id.test\",result=\"busy\"} 1\n",
            "bartizan_limit_hits_total{limit=\"calls\"} 1\n",
        ] {
            assert!(metrics.contains(line), "{line}{metrics}");
        }
        assert_eq!(status(&gateway, "three").await, 200);
    });
}

#[test]
fn what_was_said_outlives_a_reload_counts_on_all_routes_and_is_judged_on_each() {
    run(async {
        let gateway = start();
        assert_eq!(status(&gateway, "opaque").await, 200);
        assert_eq!(asked(&gateway), [ASK]);
        let more = r#"
- uri: /write
  upstream: {nodes: {"127.0.0.1:8080": 1}}
  plugins:
    oauth-introspection:
      introspection_endpoint: https://id.test/introspect
      client_id: gateway
      client_secret: secret
      audiences: [orders]
      required_scopes: [write]
"#;
        gateway.reload(&format!("{ROUTES}{more}")).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(status(&gateway, "opaque").await, 200);
        let refused = gateway.get("/write").bearer("opaque").send().await;
        refused.expect(403).reason("auth.insufficient_scope");
        assert_eq!(asked(&gateway), [""; 0]);
        // Another client is another question.
        let other = ROUTES.replace("client_id: gateway", "client_id: other");
        gateway.reload(&other).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(status(&gateway, "opaque").await, 200);
        assert_eq!(asked(&gateway), [ASK]);
    });
}

#[test]
fn an_issuer_that_is_away_is_left_alone_across_a_reload() {
    run(async {
        let gateway = start();
        says(&gateway, Answer::status(502));
        for n in 0..5 {
            assert_eq!(status(&gateway, &format!("t{n}")).await, 503);
        }
        assert_eq!(asked(&gateway).len(), 5);
        gateway.reload(ROUTES).unwrap_or_else(|refusal| panic!("{refusal}"));
        let refused = gateway.get("/").bearer("t5").send().await;
        refused.expect(503).reason("auth.introspection_failed").no_header("www-authenticate");
        assert_eq!(asked(&gateway), [""; 0]);
        says(&gateway, Answer::json(200, GOOD));
        gateway.advance(Duration::from_secs(1)).await;
        assert_eq!(status(&gateway, "t5").await, 200);
    });
}

#[test]
fn answers_that_tokens_cause_leave_the_issuer_in_service() {
    run(async {
        let gateway = start();
        let long = " ".repeat(64 * 1024 + 1);
        for answer in [
            Answer::status(400),
            Answer::status(414),
            Answer::json(200, &long),
            Answer::json(200, "{}"),
            Answer::json(200, "no answer"),
        ] {
            says(&gateway, answer);
            for n in 0..6 {
                assert_eq!(status(&gateway, &format!("t{n}")).await, 503);
            }
            assert_eq!(asked(&gateway).len(), 6);
        }
        says(&gateway, Answer::json(200, GOOD));
        assert_eq!(status(&gateway, "good").await, 200);
    });
}

#[test]
fn an_answer_has_bounds() {
    let long = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth - 1), "]".repeat(depth - 1));
        GOOD.replace('}', &format!(r#", "more": {open}{close}}}"#))
    };
    // Four of the items are members of the answer itself.
    let many =
        |items: usize| GOOD.replace('}', &format!(r#", "more": {:?}}}"#, vec![0; items - 4]));
    for (body, result) in [
        (long(64 * 1024 - 1), "active"),
        (long(64 * 1024), "active"),
        (long(64 * 1024 + 1), "too_large"),
        (nested(15), "active"),
        (nested(16), "active"),
        (nested(17), "answer"),
        (many(1_023), "active"),
        (many(1_024), "active"),
        (many(1_025), "answer"),
    ] {
        run(async {
            let gateway = start();
            says(&gateway, Answer::json(200, &body));
            let expected = if result == "active" { 200 } else { 503 };
            assert_eq!(status(&gateway, "opaque").await, expected, "{}", body.len());
            let line = format!(
                "bartizan_introspections_total{{server=\"id.test\",result=\"{result}\"}} 1\n"
            );
            let metrics = gateway.metrics();
            assert!(metrics.contains(&line), "{line}{metrics}");
        });
    }
}
