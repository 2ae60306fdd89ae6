//! What a client of gRPC is told when the gateway says no.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};

use super::kit::{Call, OPEN, ask, call, client, echo, ok, read, serve};

const GUARDED: &str = r#"
routes:
- uri: /a.B/*
  upstream: {nodes: {"127.0.0.1:50051": 1}, scheme: grpc}
  plugins:
    key-auth: {}
    consumer-restriction: {whitelist: [alice]}
consumers:
- {username: alice, plugins: {key-auth: {key: alice-key, danger_weak_secret: true}}}
- {username: bob, plugins: {key-auth: {key: bob-key, danger_weak_secret: true}}}
"#;

#[test]
fn a_denial_is_a_status_of_grpc_and_the_event_keeps_the_reason() {
    run(async {
        let gateway = Gateway::of(GUARDED);
        serve(&gateway, echo);
        let sender = client(&gateway).await;
        for (path, key, code, message, reason, status) in [
            ("/a.B/C", None, "16", "A credential is required.", "auth.missing_credential", 401),
            (
                "/a.B/C",
                Some("bad"),
                "16",
                "The credential is not valid.",
                "auth.invalid_credential",
                401,
            ),
            (
                "/a.B/C",
                Some("bob-key"),
                "7",
                "You are not allowed to do this.",
                "authz.consumer_forbidden",
                403,
            ),
            ("/c.D/E", None, "12", "No route matches.", "route.not_found", 404),
        ] {
            let mut request = call(path);
            if let Some(key) = key {
                request.headers_mut().insert("apikey", key.parse().unwrap());
            }
            let came = ask(&sender, request, b"hello").await.unwrap();
            assert_eq!(came.status, 200, "{reason}");
            assert_eq!(came.fields.get("grpc-status").unwrap(), code, "{reason}");
            assert_eq!(came.fields.get("grpc-message").unwrap(), message, "{reason}");
            assert_eq!(came.fields.get("content-type").unwrap(), "application/grpc");
            assert!(came.body.is_empty() && came.trailers.is_empty(), "{came:?}");
            let events = gateway.events();
            let event = events.last().unwrap();
            assert_eq!((&event["reason"], &event["status"]), (&reason.into(), &status.into()));
        }
        assert_eq!(gateway.upstream().connections(), 0);
        let mut request = call("/a.B/C");
        request.headers_mut().insert("apikey", "alice-key".parse().unwrap());
        assert_eq!(ask(&sender, request, b"hello").await.unwrap().field("grpc-status"), Some("0"));
    });
}

#[test]
fn who_does_not_speak_grpc_reads_the_problem_as_ever() {
    run(async {
        let gateway = Gateway::of(GUARDED);
        for kind in ["application/json", "application/grpc-web", "application/grpcs"] {
            let reply = gateway.post("/a.B/C").header("Content-Type", kind).send().await;
            reply.expect(401).no_header("grpc-status");
            assert_eq!(reply.json()["code"], "auth.missing_credential");
        }
        let reply = gateway.post("/a.B/C").header("Content-Type", "application/grpc+proto").send();
        assert_eq!(reply.await.field("grpc-status"), Some("16"));
    });
}

#[test]
fn a_body_over_the_limit_is_resource_exhausted() {
    run(async {
        let node = "limits: {body: 1KiB}\n";
        let gateway = Gateway::builder().node(node).resources(OPEN).start();
        serve(&gateway, echo);
        let sender = client(&gateway).await;
        let came = ask(&sender, call("/"), &[0; 1_024]).await.unwrap();
        assert_eq!(came.field("grpc-status"), Some("0"));
        let came = ask(&sender, call("/"), &[0; 1_025]).await.unwrap();
        assert_eq!(came.field("grpc-status"), Some("8"));
        assert_eq!(gateway.events().last().unwrap()["reason"], "http.body_too_large");
    });
}

#[test]
fn an_upstream_that_cannot_be_reached_is_unavailable() {
    run(async {
        let gateway = Gateway::of(OPEN);
        gateway.upstream().refuse(true);
        let came = ask(&client(&gateway).await, call("/"), b"x").await.unwrap();
        assert_eq!(came.field("grpc-status"), Some("14"));
        assert_eq!(gateway.events().last().unwrap()["reason"], "upstream.connect");
    });
}

#[test]
fn the_callers_own_time_is_kept_and_passed_on() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (request, mut respond): Call| async move {
            assert_eq!(request.headers()["grpc-timeout"], "5S");
            if request.uri().path() == "/half" {
                let _stream = respond.send_response(ok(), false).unwrap();
                std::future::pending::<()>().await;
            }
            std::future::pending::<()>().await;
        });
        let sender = client(&gateway).await;
        let timed = |path: &str| {
            let mut request = call(path);
            request.headers_mut().insert("grpc-timeout", "5S".parse().unwrap());
            request
        };
        let begin = tokio::time::Instant::now();
        let came = ask(&sender, timed("/"), b"x").await.unwrap();
        assert_eq!(came.field("grpc-status"), Some("4"));
        assert_eq!(begin.elapsed().as_secs(), 5);
        assert_eq!(gateway.events().last().unwrap()["reason"], "http.request_timeout");
        // An answer that has begun is cut.
        let begin = tokio::time::Instant::now();
        let (response, mut stream) = sender.clone().send_request(timed("/half"), false).unwrap();
        stream.send_data("x".into(), true).unwrap();
        assert!(read(response).await.is_err());
        assert_eq!(begin.elapsed(), Duration::from_secs(5));
    });
}
