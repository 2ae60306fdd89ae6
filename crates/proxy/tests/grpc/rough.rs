//! Upstreams that break, stall or mean harm.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::kit::{Call, Came, OPEN, ask, call, client, echo, ok, read, serve, status};

fn last_reason(gateway: &Gateway) -> String {
    gateway.events().last().unwrap()["reason"].as_str().unwrap().to_owned()
}

async fn one(gateway: &Gateway) -> Came {
    ask(&client(gateway).await, call("/"), b"x").await.unwrap()
}

#[test]
fn what_does_not_speak_http2_is_malformed() {
    run(async {
        let gateway = Gateway::of(OPEN);
        gateway.upstream().take_over(|mut io, _| async move {
            let _ = io.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
            let _ = io.read_to_end(&mut Vec::new()).await;
        });
        assert_eq!(one(&gateway).await.field("grpc-status"), Some("14"));
        assert_eq!(last_reason(&gateway), "upstream.malformed");
    });
}

#[test]
fn one_that_only_announces_its_answer_is_given_up() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (_request, mut respond): Call| async move {
            for _ in 0..100 {
                let early = Response::builder().status(103).body(()).unwrap();
                if respond.send_informational(early).is_err() {
                    break;
                }
            }
            std::future::pending::<()>().await;
        });
        assert_eq!(one(&gateway).await.field("grpc-status"), Some("14"));
        assert_eq!(last_reason(&gateway), "upstream.malformed");
    });
}

#[test]
fn a_head_over_the_limits_is_refused() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (request, mut respond): Call| async move {
            let (count, size) = if request.uri().path() == "/many" { (101, 1) } else { (9, 4_000) };
            let mut head = ok();
            for _ in 0..count {
                head.headers_mut().append("x-a", "a".repeat(size).parse().unwrap());
            }
            respond.send_response(head, true).unwrap();
            std::future::pending::<()>().await;
        });
        let sender = client(&gateway).await;
        for path in ["/many", "/long"] {
            let came = ask(&sender, call(path), b"x").await.unwrap();
            assert_eq!(came.field("grpc-status"), Some("14"), "{path}");
            assert_eq!(last_reason(&gateway), "upstream.malformed", "{path}");
        }
    });
}

#[test]
fn trailers_that_carry_a_meaning_cut_the_answer() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (_request, mut respond): Call| async move {
            let mut stream = respond.send_response(ok(), false).unwrap();
            stream.send_data("x".into(), false).unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut trailers = status("0");
            trailers.insert("set-cookie", "a=b".parse().unwrap());
            stream.send_trailers(trailers).unwrap();
        });
        let sender = client(&gateway).await;
        assert!(ask(&sender, call("/"), b"x").await.is_err());
        assert_eq!(last_reason(&gateway), "upstream.malformed");
    });
}

#[test]
fn what_its_client_reads_too_slowly_is_no_fault_of_an_upstream() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (_request, mut respond): Call| async move {
            let mut stream = respond.send_response(ok(), false).unwrap();
            while stream.send_data(Bytes::from_static(b"x"), false).is_ok() {
                tokio::task::yield_now().await;
            }
        });
        let mut settings = h2::client::Builder::new();
        settings.initial_window_size(10_000);
        settings.data_frame_budget(usize::MAX / 2);
        let (mut sender, connection) =
            settings.handshake::<_, Bytes>(gateway.open_http2()).await.unwrap();
        tokio::task::spawn_local(connection);
        let (response, _stream) = sender.send_request(call("/"), true).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(read(response).await.is_err());
        assert_eq!(last_reason(&gateway), "upstream.closed");
    });
}

#[test]
fn one_that_says_nothing_is_given_up_and_so_is_its_connection() {
    run(async {
        let resources =
            OPEN.replace("scheme: grpc", "scheme: grpc, timeout: {connect: 3, send: 4, read: 7}");
        let gateway = Gateway::of(&resources);
        gateway.upstream().take_over(|io, number| async move {
            if number == 1 {
                // Nobody listens.
                let _io = io;
                return std::future::pending::<()>().await;
            }
            let mut connection: h2::server::Connection<_, bytes::Bytes> =
                h2::server::handshake(io).await.unwrap();
            while let Some(Ok(call)) = connection.accept().await {
                tokio::task::spawn_local(echo(number, call));
            }
        });
        let begin = tokio::time::Instant::now();
        assert_eq!(one(&gateway).await.field("grpc-status"), Some("14"));
        assert_eq!(last_reason(&gateway), "upstream.timeout");
        assert_eq!(begin.elapsed().as_secs(), 7);
        assert_eq!(one(&gateway).await.field("grpc-status"), Some("0"));
    });
}

#[test]
fn a_client_that_has_yet_to_speak_is_no_fault_of_the_upstream() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, echo);
        let begin = tokio::time::Instant::now();
        let mut sender = client(&gateway).await;
        let (response, _stream) = sender.send_request(call("/"), false).unwrap();
        // What it answers with waits for a body.
        let _ = read(response).await;
        assert_eq!(begin.elapsed().as_secs(), 60);
        assert_eq!(last_reason(&gateway), "http.client_timeout");
    });
}

#[test]
fn a_call_that_stalls_costs_only_itself() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |number, (request, mut respond): Call| async move {
            if request.uri().path() == "/stall" {
                let _stream = respond.send_response(ok(), false).unwrap();
                std::future::pending::<()>().await;
            }
            echo(number, (request, respond)).await;
        });
        let sender = client(&gateway).await;
        let (stalled, mut stream) = sender.clone().send_request(call("/stall"), false).unwrap();
        stream.send_data("x".into(), true).unwrap();
        let stalled = tokio::task::spawn_local(read(stalled));
        for _ in 0..3 {
            gateway.advance(Duration::from_secs(25)).await;
            let came = ask(&sender, call("/"), b"x").await.unwrap();
            assert_eq!(came.field("grpc-status"), Some("0"));
        }
        assert!(stalled.await.unwrap().is_err());
        assert_eq!(last_reason(&gateway), "upstream.timeout");
        assert_eq!(gateway.upstream().connections(), 2);
    });
}

#[test]
fn a_client_that_goes_ends_the_call_upstream() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let (told, mut heard) = tokio::sync::mpsc::channel(1);
        serve(&gateway, move |_, (_request, mut respond): Call| {
            let told = told.clone();
            async move {
                let mut stream = respond.send_response(ok(), false).unwrap();
                let reason = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
                told.send(reason.unwrap()).await.unwrap();
            }
        });
        let mut sender = client(&gateway).await;
        let (response, mut stream) = sender.send_request(call("/"), false).unwrap();
        let response = response.await.unwrap();
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        assert_eq!(heard.recv().await.unwrap(), h2::Reason::CANCEL);
    });
}
