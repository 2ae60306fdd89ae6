//! Calls that come through.

use std::time::Duration;

use bartizan_testkit::{Gateway, run};
use bytes::Bytes;
use http::Request;

use super::kit::{Call, OPEN, Seen, ask, call, client, echo, ok, read, send, serve, status, whole};

#[test]
fn a_unary_call_comes_through_with_its_trailers() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let seen = Seen::default();
        let notes = seen.clone();
        serve(&gateway, move |number, call: Call| {
            let head = &call.0;
            let field = |name: &str| format!("{:?}", head.headers().get(name));
            notes.note(format!("{} {}", head.method(), head.uri()));
            notes.note(field("content-type"));
            notes.note(field("te"));
            notes.note(field("x-real-ip"));
            echo(number, call)
        });
        let came = ask(&client(&gateway).await, call("/a.B/C"), b"hello").await.unwrap();
        assert_eq!((came.status, came.body.as_slice()), (200, &b"hello"[..]));
        assert_eq!(came.trailers.get("grpc-status").unwrap(), "0");
        assert_eq!(came.fields.get("content-type").unwrap(), "application/grpc");
        assert!(!came.fields.contains_key("content-length"));
        let expected = [
            "POST http://api.test/a.B/C",
            "Some(\"application/grpc\")",
            "Some(\"trailers\")",
            "Some(\"192.0.2.1\")",
        ];
        assert_eq!(seen.all(), expected);
        assert!(gateway.events().is_empty(), "{:?}", gateway.events());
    });
}

#[test]
fn both_sides_speak_in_turn_while_neither_has_ended() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (request, mut respond): Call| async move {
            let mut body = request.into_body();
            let mut stream = respond.send_response(ok(), false).unwrap();
            while let Some(Ok(data)) = body.data().await {
                let _ = body.flow_control().release_capacity(data.len());
                stream.send_data(data, false).unwrap();
            }
            stream.send_trailers(status("0")).unwrap();
        });
        let mut sender = client(&gateway).await;
        let (response, mut stream) = sender.send_request(call("/talk"), false).unwrap();
        // The head comes before anything was said.
        let mut body = response.await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            stream.send_data(Bytes::from(word), false).unwrap();
            let heard = body.data().await.unwrap().unwrap();
            assert_eq!(heard, word);
            body.flow_control().release_capacity(heard.len()).unwrap();
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert!(body.data().await.is_none());
        assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    });
}

#[test]
fn calls_use_one_connection_after_the_other() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, echo);
        let sender = client(&gateway).await;
        for _ in 0..50 {
            let came = ask(&sender, call("/"), b"x").await.unwrap();
            assert_eq!(came.field("grpc-status"), Some("0"));
            gateway.advance(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(gateway.upstream().connections(), 1);
    });
}

#[test]
fn large_bodies_go_both_ways_through_small_windows() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let mut settings = h2::server::Builder::new();
        settings.initial_window_size(1_000);
        super::kit::serve_with(&gateway, settings, |_, (request, mut respond): Call| async move {
            let mut body = request.into_body();
            let data = whole(&mut body).await;
            let mut stream = respond.send_response(ok(), false).unwrap();
            send(&mut stream, data.into(), false).await;
            stream.send_trailers(status("0")).unwrap();
        });
        let mut sender = client(&gateway).await;
        let (response, mut stream) = sender.send_request(call("/"), false).unwrap();
        let data: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[1]).collect();
        let sending = send(&mut stream, data.clone().into(), true);
        let ((), came) = tokio::join!(sending, read(response));
        let came = came.unwrap();
        assert!(came.body == data, "{} bytes", came.body.len());
        assert_eq!(came.field("grpc-status"), Some("0"));
    });
}

#[test]
fn a_client_of_http1_gets_chunks_and_trailers() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, echo);
        let request = gateway.post("/").header("Content-Type", "application/grpc").body("hello");
        let reply = request.send().await;
        assert_eq!((reply.status(), reply.text().as_str()), (200, "hello"));
        assert_eq!(reply.trailer("grpc-status"), Some("0"));
    });
}

#[test]
fn a_client_of_http_1_0_is_told_that_it_cannot_be_served() {
    run(async {
        let gateway = Gateway::of(OPEN);
        let head = "POST / HTTP/1.0\r\nHost: a\r\nContent-Type: application/grpc\r\n\r\n";
        let reply = gateway.raw(head).send().await;
        reply.reason("http.version_not_supported");
        assert_eq!(reply.field("grpc-status"), Some("12"));
        assert_eq!(gateway.upstream().connections(), 0);
    });
}

#[test]
fn what_is_no_grpc_is_served_over_http2_too() {
    run(async {
        let gateway = Gateway::of(OPEN);
        serve(&gateway, |_, (request, mut respond): Call| async move {
            assert_eq!(request.uri().path_and_query().unwrap(), "/a?b=c");
            assert!(request.into_body().is_end_stream());
            let head = http::Response::builder().header("content-length", "2").body(()).unwrap();
            let mut stream = respond.send_response(head, false).unwrap();
            stream.send_data("hi".into(), true).unwrap();
        });
        let reply = gateway.get("/a?b=c").send().await;
        assert_eq!((reply.status(), reply.text().as_str()), (200, "hi"));
        assert_eq!(reply.field("content-length"), Some("2"));
        let request = Request::get("http://api.test/a?b=c").body(()).unwrap();
        let (response, _) = client(&gateway).await.send_request(request, true).unwrap();
        assert_eq!(read(response).await.unwrap().body, b"hi");
    });
}

#[test]
fn a_stream_may_go_on_for_long_while_either_side_speaks() {
    run(async {
        let gateway = Gateway::of(OPEN);
        // Listens to the end before it says anything.
        serve(&gateway, echo);
        let mut sender = client(&gateway).await;
        let (response, mut stream) = sender.send_request(call("/upload"), false).unwrap();
        for _ in 0..20 {
            stream.send_data(Bytes::from_static(b"x"), false).unwrap();
            gateway.advance(Duration::from_secs(50)).await;
        }
        stream.send_data(Bytes::new(), true).unwrap();
        assert_eq!(read(response).await.unwrap().body, [b'x'; 20]);
    });
}

#[test]
fn the_status_stays_behind_an_answer_that_a_plugin_holds() {
    run(async {
        let held = "anonymous-access: {reason: a test}, \
                    response-rewrite: {filters: [{regex: hello, replace: goodbye}]}";
        let gateway = Gateway::of(&OPEN.replace("anonymous-access: {reason: a test}", held));
        serve(&gateway, echo);
        let came = ask(&client(&gateway).await, call("/"), b"hello").await.unwrap();
        assert_eq!((came.body.as_slice(), came.trailers.len()), (&b"goodbye"[..], 1));
        assert_eq!(came.trailers["grpc-status"], "0");
        let request = gateway.post("/").header("Content-Type", "application/grpc").body("hello");
        let reply = request.send().await;
        assert_eq!(reply.text(), "goodbye");
        assert_eq!(reply.trailer("grpc-status"), Some("0"));
    });
}
