//! Connections and what becomes of calls when they end.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;
use tokio::io::DuplexStream;

use super::kit::{Call, OPEN, Seen, ask, call, client, echo, ok, serve, serve_with, status, whole};

#[test]
fn no_more_calls_than_its_upstream_takes_go_over_one_connection() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let mut settings = h2::server::Builder::new();
        settings.max_concurrent_streams(2);
        serve_with(&gateway, settings, |_, (request, mut respond): Call| async move {
            let _ = whole(&mut request.into_body()).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut stream = respond.send_response(ok(), false).unwrap();
            stream.send_trailers(status("0")).unwrap();
        });
        let sender = client(&gateway).await;
        let calls: Vec<_> = (0..40)
            .map(|_| {
                let sender = sender.clone();
                tokio::task::spawn_local(async move {
                    ask(&sender, call("/"), b"x").await.unwrap().field("grpc-status").is_some()
                })
            })
            .collect();
        let begin = tokio::time::Instant::now();
        for call in calls {
            assert!(call.await.unwrap());
        }
        // Sixteen connections of two calls each, and a second round for those that waited.
        assert_eq!(gateway.upstream().connections(), 16);
        assert_eq!(begin.elapsed().as_secs(), 2);
    });
}

#[test]
fn who_waits_too_long_for_a_place_is_refused() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let mut settings = h2::server::Builder::new();
        settings.max_concurrent_streams(1);
        serve_with(&gateway, settings, |_, _call: Call| std::future::pending());
        let sender = client(&gateway).await;
        let ask_once = || {
            let sender = sender.clone();
            tokio::task::spawn_local(async move { ask(&sender, call("/"), b"x").await.unwrap() })
        };
        let served: Vec<_> = (0..16).map(|_| ask_once()).collect();
        gateway.advance(Duration::from_secs(1)).await;
        assert_eq!(gateway.upstream().connections(), 16);
        let begin = tokio::time::Instant::now();
        assert_eq!(ask_once().await.unwrap().field("grpc-status"), Some("14"));
        assert_eq!(begin.elapsed().as_secs(), 5);
        assert_eq!(gateway.events().last().unwrap()["reason"], "upstream.connect");
        assert_eq!(gateway.upstream().connections(), 16);
        assert!(served.iter().all(|call| !call.is_finished()));
    });
}

#[test]
fn a_call_that_was_refused_unprocessed_is_sent_again_whole() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let seen = Seen::default();
        let notes = seen.clone();
        serve(&gateway, move |number, (request, mut respond): Call| {
            let notes = notes.clone();
            async move {
                let is_first = notes.all().is_empty();
                notes.note(request.uri().path());
                if is_first {
                    // After a part of the body was sent.
                    let mut body = request.into_body();
                    let _ = body.data().await;
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                } else {
                    echo(number, (request, respond)).await;
                }
            }
        });
        let came = ask(&client(&gateway).await, call("/a"), b"hello").await.unwrap();
        assert_eq!((came.field("grpc-status"), came.body.as_slice()), (Some("0"), &b"hello"[..]));
        assert_eq!(seen.all(), ["/a", "/a"]);
        assert!(gateway.events().is_empty());
    });
}

#[test]
fn a_call_that_may_have_been_processed_is_not_sent_again() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let seen = Seen::default();
        let notes = seen.clone();
        serve(&gateway, move |_, (request, mut respond): Call| {
            notes.note(request.uri().path());
            async move { respond.send_reset(h2::Reason::INTERNAL_ERROR) }
        });
        let came = ask(&client(&gateway).await, call("/a"), b"hello").await.unwrap();
        assert_eq!(came.field("grpc-status"), Some("14"));
        assert_eq!(seen.all(), ["/a"]);
        assert_eq!(gateway.events().last().unwrap()["reason"], "upstream.closed");
    });
}

#[test]
fn a_connection_that_says_goodbye_gets_no_further_calls() {
    run(async {
        let gateway = Gateway::of(OPEN);
        gateway.upstream().take_over(|io, number| async move {
            let mut connection: h2::server::Connection<DuplexStream, Bytes> =
                h2::server::handshake(io).await.unwrap();
            let mut calls = 0;
            while let Some(Ok(call)) = connection.accept().await {
                tokio::task::spawn_local(echo(number, call));
                calls += 1;
                if number == 1 && calls == 2 {
                    connection.graceful_shutdown();
                }
            }
        });
        let sender = client(&gateway).await;
        for _ in 0..5 {
            let came = ask(&sender, call("/"), b"x").await.unwrap();
            assert_eq!(came.field("grpc-status"), Some("0"));
            gateway.advance(Duration::from_millis(1)).await;
        }
        assert_eq!(gateway.upstream().connections(), 2);
        assert!(gateway.events().is_empty(), "{:?}", gateway.events());
    });
}

#[test]
fn a_connection_serves_as_many_calls_as_the_pool_says_and_rests_as_long() {
    run(async {
        let pool = "keepalive_pool: {size: 1, idle_timeout: 10, requests: 3}";
        let resources = OPEN.replace("scheme: grpc", &format!("scheme: grpc, {pool}"));
        let gateway = Gateway::of(&resources);
        serve(&gateway, echo);
        let sender = client(&gateway).await;
        let mut opened = Vec::new();
        for wait in [0, 0, 0, 0, 9, 11] {
            gateway.advance(Duration::from_secs(wait)).await;
            ask(&sender, call("/"), b"x").await.unwrap();
            opened.push(gateway.upstream().connections());
        }
        assert_eq!(opened, [1, 1, 1, 2, 2, 3]);
    });
}

#[test]
fn no_more_connections_rest_than_the_pool_has_room_for() {
    run(async {
        let pool = "keepalive_pool: {size: 1}";
        let resources = OPEN.replace("scheme: grpc", &format!("scheme: grpc, {pool}"));
        let gateway = Gateway::of(&resources);
        let mut settings = h2::server::Builder::new();
        settings.max_concurrent_streams(1);
        serve_with(&gateway, settings, |number, call: Call| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            echo(number, call).await;
        });
        let sender = client(&gateway).await;
        let mut opened = Vec::new();
        for _ in 0..3 {
            let calls = (ask(&sender, call("/"), b"x"), ask(&sender, call("/"), b"x"));
            let (one, other) = tokio::join!(calls.0, calls.1);
            assert!(one.is_ok() && other.is_ok());
            opened.push(gateway.upstream().connections());
        }
        assert_eq!(opened, [2, 3, 4]);
    });
}
