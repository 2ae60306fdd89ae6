//! Connections and what becomes of calls when they end.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::kit::{
    Call, OPEN, Seen, ask, call, client, echo, ok, read, send, serve, serve_with, status, whole,
};

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
        serve_with(&gateway, settings, |_, call: Call| async move {
            let _open = call;
            std::future::pending::<()>().await;
        });
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

/// Many streams on one connection of the client.
const MANY: &str = "limits: {h2_streams: 2000}\n";

#[test]
fn a_connection_carries_a_hundred_calls_and_no_more() {
    run(async {
        for (count, connections) in [(100, 1), (101, 2)] {
            let gateway = Gateway::builder().node(MANY).resources(OPEN).start();
            serve(&gateway, |number, call: Call| async move {
                tokio::time::sleep(Duration::from_secs(1)).await;
                echo(number, call).await;
            });
            let sender = client(&gateway).await;
            gateway.advance(Duration::from_millis(1)).await;
            let calls: Vec<_> = (0..count)
                .map(|_| {
                    let sender = sender.clone();
                    tokio::task::spawn_local(async move { ask(&sender, call("/"), b"x").await })
                })
                .collect();
            for call in calls {
                assert_eq!(call.await.unwrap().unwrap().field("grpc-status"), Some("0"));
            }
            assert_eq!(gateway.upstream().connections(), connections, "{count}");
        }
    });
}

#[test]
fn no_more_than_a_thousand_and_twenty_four_wait_for_a_place() {
    run(async {
        let gateway = Gateway::builder().node(MANY).resources(OPEN).start();
        let mut settings = h2::server::Builder::new();
        settings.max_concurrent_streams(1);
        serve_with(&gateway, settings, |_, call: Call| async move {
            let _open = call;
            std::future::pending::<()>().await;
        });
        let sender = client(&gateway).await;
        gateway.advance(Duration::from_millis(1)).await;
        let ask_once = || {
            let sender = sender.clone();
            tokio::task::spawn_local(async move { ask(&sender, call("/"), b"x").await.unwrap() })
        };
        let _served: Vec<_> = (0..16).map(|_| ask_once()).collect();
        gateway.advance(Duration::from_millis(1)).await;
        let waiting: Vec<_> = (0..1_024).map(|_| ask_once()).collect();
        gateway.advance(Duration::from_millis(1)).await;
        assert!(waiting.iter().all(|call| !call.is_finished()));
        let begin = tokio::time::Instant::now();
        assert_eq!(ask_once().await.unwrap().field("grpc-status"), Some("14"));
        assert_eq!(begin.elapsed().as_secs(), 0);
        let detail = gateway.events().last().unwrap()["detail"].to_string();
        assert!(detail.contains("too many requests wait for it"), "{detail}");
    });
}

#[test]
fn what_is_kept_of_a_body_to_be_sent_again_is_bounded() {
    run(async {
        for (size, code) in [(65_536, "0"), (65_537, "14")] {
            let gateway = Gateway::of(OPEN);
            let seen = Seen::default();
            let notes = seen.clone();
            serve(&gateway, move |number, (request, mut respond): Call| {
                let notes = notes.clone();
                async move {
                    let is_first = notes.all().is_empty();
                    notes.note("call");
                    if is_first {
                        let _ = whole(&mut request.into_body()).await;
                        respond.send_reset(h2::Reason::REFUSED_STREAM);
                    } else {
                        echo(number, (request, respond)).await;
                    }
                }
            });
            let body: &'static [u8] = vec![7; size].leak();
            let mut sender = client(&gateway).await;
            let (response, mut stream) = sender.send_request(call("/"), false).unwrap();
            let sending = send(&mut stream, Bytes::from_static(body), true);
            let ((), came) = tokio::join!(sending, read(response));
            let came = came.unwrap();
            assert_eq!(came.field("grpc-status"), Some(code), "{size}");
            assert_eq!(came.body.len(), if code == "0" { size } else { 0 });
        }
    });
}

/// A frame of HTTP/2.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, 0, 0, 0, 0, 0];
    [&head[..], payload].concat()
}

#[test]
fn a_call_above_the_last_one_of_a_goodbye_is_sent_again_elsewhere() {
    run(async {
        let gateway = Gateway::of(OPEN);
        gateway.upstream().take_over(|mut io, number| async move {
            if number == 1 {
                let mut head = [0; 100];
                let _ = io.read(&mut head).await;
                let (settings, goodbye) = (frame(4, &[]), frame(7, &[0; 8]));
                io.write_all(&[settings, goodbye].concat()).await.unwrap();
                let _ = io.read_to_end(&mut Vec::new()).await;
                return;
            }
            let mut connection: h2::server::Connection<DuplexStream, Bytes> =
                h2::server::handshake(io).await.unwrap();
            while let Some(Ok(call)) = connection.accept().await {
                tokio::task::spawn_local(echo(number, call));
            }
        });
        let came = ask(&client(&gateway).await, call("/"), b"hello").await.unwrap();
        assert_eq!((came.field("grpc-status"), came.body.as_slice()), (Some("0"), &b"hello"[..]));
        assert_eq!(gateway.upstream().connections(), 2);
        assert!(gateway.events().is_empty(), "{:?}", gateway.events());
    });
}

#[test]
fn a_connection_that_ended_while_it_rested_costs_nobody_a_call() {
    run(async {
        let gateway = Gateway::of(OPEN);
        gateway.upstream().take_over(|io, number| async move {
            let mut connection: h2::server::Connection<DuplexStream, Bytes> =
                h2::server::handshake(io).await.unwrap();
            if let Some(Ok(call)) = connection.accept().await {
                let answering = echo(number, call);
                let serving = async { while connection.accept().await.is_some() {} };
                let _ = tokio::time::timeout(Duration::from_secs(1), async {
                    tokio::join!(answering, serving)
                })
                .await;
            }
        });
        let sender = client(&gateway).await;
        for number in 1..=3 {
            let came = ask(&sender, call("/"), b"x").await.unwrap();
            assert_eq!(came.field("grpc-status"), Some("0"));
            assert_eq!(gateway.upstream().connections(), number);
            gateway.advance(Duration::from_secs(2)).await;
        }
    });
}
