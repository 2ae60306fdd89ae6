//! Connections and what becomes of calls when they end.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::kit::{
    Call, OPEN, Seen, ask, call, client, echo, frame, ok, read, send, serve, status, whole,
};

#[test]
fn each_call_under_way_has_a_connection_of_its_own_which_the_next_one_uses() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |number, call: Call| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            echo(number, call).await;
        });
        let sender = client(&gateway).await;
        for _ in 0..2 {
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
            assert_eq!(begin.elapsed().as_secs(), 1);
            assert_eq!(gateway.upstream().connections(), 40);
        }
    });
}

#[test]
fn a_connection_on_which_the_upstream_is_still_at_it_serves_no_other_call() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (request, mut respond): Call| async move {
            let is_over = request.uri().path() == "/over";
            let mut stream = respond.send_response(ok(), is_over).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let _ = stream.send_data(Bytes::new(), true);
        });
        for (path, connections) in [("/over", 1), ("/over", 1), ("/on", 1), ("/over", 2)] {
            let reply = gateway.request("HEAD", path).send().await;
            assert_eq!(reply.status(), 200);
            assert_eq!(gateway.upstream().connections(), connections, "{path}");
        }
    });
}

#[test]
fn where_too_many_wait_those_that_were_used_last_stay() {
    run(async {
        let few = OPEN.replace("scheme: grpc", "scheme: grpc, keepalive_pool: {size: 1}");
        let gateway = Gateway::of(&few);
        let seen = Seen::default();
        let notes = seen.clone();
        serve(&gateway, move |number, (request, respond): Call| {
            notes.note(format!("{} {number}", request.uri().path()));
            async move {
                let wait = if request.uri().path() == "/slow" { 2 } else { 1 };
                tokio::time::sleep(Duration::from_secs(wait)).await;
                echo(number, (request, respond)).await;
            }
        });
        let sender = client(&gateway).await;
        let slow = sender.clone();
        let slow = tokio::task::spawn_local(async move { ask(&slow, call("/slow"), b"x").await });
        ask(&sender, call("/"), b"x").await.unwrap();
        slow.await.unwrap().unwrap();
        ask(&sender, call("/"), b"x").await.unwrap();
        let seen = seen.all();
        let slow = seen.iter().find_map(|call| call.strip_prefix("/slow ")).unwrap();
        assert_eq!(seen[2], format!("/ {slow}"));
    });
}

#[test]
fn who_reads_nothing_holds_up_nobody_else() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |number, (request, mut respond): Call| async move {
            if request.uri().path() != "/large" {
                return echo(number, (request, respond)).await;
            }
            let mut stream = respond.send_response(ok(), false).unwrap();
            send(&mut stream, Bytes::from(vec![7; 4 * 1_024 * 1_024]), true).await;
        });
        let sender = client(&gateway).await;
        let mut unread = Vec::new();
        for _ in 0..8 {
            let (response, stream) = sender.clone().send_request(call("/large"), true).unwrap();
            unread.push((response.await.unwrap(), stream));
        }
        gateway.advance(Duration::from_millis(1)).await;
        let other = client(&gateway).await;
        let came = ask(&other, call("/"), b"x").await.unwrap();
        assert_eq!(came.field("grpc-status"), Some("0"));
        drop(unread);
    });
}

#[test]
fn small_messages_may_wait_for_their_reader() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (_request, mut respond): Call| async move {
            let mut stream = respond.send_response(ok(), false).unwrap();
            for _ in 0..6_000 {
                send(&mut stream, Bytes::from_static(&[7; 30]), false).await;
            }
            stream.send_trailers(status("0")).unwrap();
        });
        let (response, _stream) = client(&gateway).await.send_request(call("/"), true).unwrap();
        let mut body = response.await.unwrap().into_body();
        gateway.advance(Duration::from_secs(5)).await;
        assert_eq!(whole(&mut body).await.len(), 180_000);
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn calls_that_are_broken_off_end_their_own_connections_only() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |number, (request, mut respond): Call| async move {
            if request.uri().path() == "/stall" {
                let _stream = respond.send_response(ok(), false).unwrap();
                return std::future::pending::<()>().await;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            echo(number, (request, respond)).await;
        });
        let sender = client(&gateway).await;
        let other = client(&gateway).await;
        let asking =
            tokio::task::spawn_local(async move { ask(&other, call("/"), b"x").await.unwrap() });
        for _ in 0..150 {
            let (response, mut stream) = sender.clone().send_request(call("/stall"), true).unwrap();
            let _ = response.await.unwrap();
            stream.send_reset(h2::Reason::CANCEL);
        }
        assert_eq!(asking.await.unwrap().field("grpc-status"), Some("0"));
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
        serve(&gateway, |number, call: Call| async move {
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
