//! Exchanges that end before or otherwise than they were meant to, over HTTP/1: what the client is
//! left with.

use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bartizan_net::{ConnectError, Target, UpstreamIo};
use bartizan_proxy::Dial;

use super::harness::frames::kind;
use super::harness::{Gateway, H2, Pki, Setup, Upstream, open_route};
use super::listeners::tls_listener;

/// An upstream that says `answer` as soon as it has read a head, and closes when it is told.
fn says_and_closes(answer: &'static str, close: Receiver<()>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut buffer = [0; 512];
            let count = socket.read(&mut buffer).unwrap();
            head.extend_from_slice(&buffer[..count]);
        }
        socket.write_all(answer.as_bytes()).unwrap();
        // The sender may be gone already, which says the same.
        let _ = close.recv();
    });
    address
}

fn count_of_answers(bytes: &[u8]) -> usize {
    bytes.windows(9).filter(|window| window == b"HTTP/1.1 ").count()
}

#[test]
fn an_answer_that_breaks_off_while_the_upload_runs_is_not_followed_by_another() {
    let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwhole",
    ];
    for answer in answers {
        for is_early in [true, false] {
            let (close, closing) = channel();
            if is_early {
                close.send(()).unwrap();
            }
            let upstream = says_and_closes(answer, closing);
            let gateway = Gateway::serving(&open_route(upstream, ", retries: 0"));
            let mut client = gateway.connect();
            client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
            client.send("5\r\nfirst\r\n");
            for _ in 0..20 {
                client.send("7\r\nfurther\r\n");
            }
            drop(close);
            for _ in 0..20 {
                client.send("4\r\nmore\r\n");
            }
            let got = client.rest();
            let text = String::from_utf8_lossy(&got);
            assert_eq!(count_of_answers(&got), 1, "{answer:?}, {is_early}: {text}");
        }
    }
}

#[test]
fn too_many_trailers_are_refused_once_and_what_follows_is_no_request() {
    let upstream = Upstream::plain();
    let gateway =
        Setup::default().limits("fields: 8").serve(&open_route(upstream.address(), ", retries: 0"));
    let mut client = gateway.connect();
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n{}\r\n\
         GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
        "x-sum: 1\r\n".repeat(9),
    ));
    let got = client.rest();
    let text = String::from_utf8_lossy(&got).into_owned();
    assert_eq!(count_of_answers(&got), 1, "{text}");
    assert!(text.starts_with("HTTP/1.1 4"), "{text}");
    drop(client);
    assert!(upstream.complete().is_empty(), "{:?}", upstream.complete());
    assert_ne!(gateway.only_event()["reason"], "internal.panic");
    assert_eq!(gateway.connect().get("/after").text(), "/after");
}

#[test]
fn an_answer_made_bodiless_leaves_the_connection_in_order() {
    let upstream = Upstream::start(|peer, seen| {
        if seen.target == "/chunked" {
            peer.send(
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            );
        } else {
            peer.answer(200, "a body without a place");
        }
        true
    });
    let resources = open_route(upstream.address(), "")
        .replace("a test}}", "a test}, response-rewrite: {status_code: 204}}");
    let gateway = Gateway::serving(&resources);
    let mut client = gateway.connect();
    for target in ["/fixed", "/chunked", "/fixed"] {
        let reply = client.get(target);
        assert_eq!(reply.status, 204, "{target}");
        assert_eq!(reply.field("content-length"), None, "{target}");
        assert_eq!(reply.field("transfer-encoding"), None, "{target}");
    }
    drop(client);
    assert!(gateway.events().is_empty());
}

#[test]
fn a_client_that_sends_on_after_a_refused_head_can_read_the_whole_refusal() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    let piece = vec![b'x'; 10_000];
    client.send(["POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".as_bytes(), &piece].concat());
    let reply = client.reply("POST");
    assert_eq!((reply.status, reply.is_complete), (400, true));
    // A connection that is reset under the client would take the first of these and no other.
    for count in 0..19 {
        assert!(client.try_send(&piece), "{count}");
    }
    client.finish_sending();
    client.expect_end();
}

#[test]
fn a_body_over_the_limit_is_413_though_a_plugin_would_read_more() {
    let upstream = Upstream::plain();
    let plugin = "request-validation: {body_schema: {type: object}, max_req_body_size: 65536}";
    let resources =
        open_route(upstream.address(), "").replace("a test}}", &format!("a test}}, {plugin}}}"));
    let gateway = Setup::default().limits("body: 1KiB").serve(&resources);
    let ask = |length: usize| {
        let body = format!("{{\"a\": \"{}\"}}", "x".repeat(length));
        gateway.ask(format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        ))
    };
    assert_eq!(ask(100).status, 200);
    assert_eq!(ask(4_000).status, 413);
    assert_eq!(upstream.complete().len(), 1);
    assert_eq!(gateway.only_event()["reason"], "http.body_too_large");
}

/// Panics once, and dials from then on.
struct PanicsOnce(Arc<AtomicBool>);

impl Dial for PanicsOnce {
    fn dial<'a>(
        &'a self,
        target: &'a Target,
        _timeout: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<UpstreamIo, ConnectError>> + 'a>> {
        assert!(self.0.swap(true, Ordering::SeqCst), "a panic that a test made");
        Box::pin(async {
            let socket = tokio::net::TcpStream::connect((&*target.host, target.port)).await;
            Ok(UpstreamIo::Plain(socket.expect("an upstream")))
        })
    }
}

fn panicking_once() -> Setup {
    let has_panicked = Arc::new(AtomicBool::new(false));
    Setup::default().dialer(move || PanicsOnce(has_panicked.clone()))
}

#[test]
fn a_panic_is_500_and_one_event_and_others_are_served() {
    let upstream = Upstream::plain();
    let gateway = panicking_once().serve(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    assert_eq!(client.get("/broken").status, 500);
    client.expect_end();
    drop(client);
    assert_eq!(gateway.connect().get("/fine").text(), "/fine");
    let event = gateway.only_event();
    assert_eq!((&event["reason"], &event["status"]), (&"internal.panic".into(), &500.into()));
}

#[test]
fn a_panic_in_a_stream_is_500_and_one_event_and_other_streams_are_served() {
    let (pki, upstream) = (Pki::new("clients"), Upstream::plain());
    let gateway = panicking_once()
        .listeners(&tls_listener(&pki.server(&["api.test"]), ""))
        .serve(&open_route(upstream.address(), ""));
    let mut h2 = H2::connect(&pki, gateway.address(), "api.test", &[]);
    h2.get(1, "/broken", &[]);
    h2.until(|frame| frame.is_status(500) && frame.stream == 1);
    h2.get(3, "/fine", &[]);
    h2.until(|frame| frame.kind == kind::DATA && frame.payload == b"/fine");
    drop(h2);
    let event = gateway.only_event();
    assert_eq!((&event["reason"], &event["status"]), (&"internal.panic".into(), &500.into()));
}
