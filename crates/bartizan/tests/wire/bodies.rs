//! Bodies of answers that plugins change or hold on their way, over HTTP/1.1, HTTP/1.0 and HTTP/2.

use std::io::{Read, Write};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use flate2::read::GzDecoder;

use super::harness::frames::{END_STREAM, Frame, kind};
use super::harness::{Client, Gateway, H2, Pki, Setup, Upstream, open_route};
use super::listeners::tls_listener;

const LARGE: usize = 700_000;

fn resources(upstream: &Upstream, plugins: &str) -> String {
    open_route(upstream.address(), ", retries: 0")
        .replace("a test}}", &format!("a test}}, {plugins}}}"))
}

fn gateway(upstream: &Upstream, plugins: &str) -> Gateway {
    Gateway::serving(&resources(upstream, plugins))
}

/// A gateway that speaks HTTP/2, and a connection to it.
fn h2(upstream: &Upstream, plugins: &str) -> (Gateway, H2) {
    let pki = Pki::new("clients");
    let gateway = Setup::default()
        .listeners(&tls_listener(&pki.server(&["api.test"]), ""))
        .serve(&resources(upstream, plugins));
    let h2 = H2::connect(&pki, gateway.address(), "api.test", &[]);
    (gateway, h2)
}

fn ask(client: &mut Client, method: &str, target: &str) {
    client.send(format!(
        "{method} {target} HTTP/1.1\r\nHost: api.test\r\nAccept-Encoding: gzip\r\n\r\n"
    ));
}

fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    GzDecoder::new(body).read_to_end(&mut out).expect("a whole gzip body");
    out
}

/// What can be read of the beginning of a gzip body.
fn begun(body: &[u8]) -> String {
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    decoder.write_all(body).and_then(|()| decoder.flush()).expect("the beginning of a body");
    String::from_utf8(decoder.get_ref().clone()).expect("text")
}

fn large() -> Vec<u8> {
    (0..LARGE).flat_map(|n| [b'a' + u8::try_from(n % 23).unwrap()]).collect()
}

/// Answers with a large body, in chunks where the target says so.
fn large_upstream() -> Upstream {
    Upstream::start(|peer, seen| {
        match seen.target.as_str() {
            "/none" => peer.send("HTTP/1.1 204 No Content\r\n\r\n"),
            "/same" => peer.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"),
            _ if seen.method == "HEAD" => {
                peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
            }
            "/chunked" => {
                peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                for part in large().chunks(50_000) {
                    peer.send(format!("{:x}\r\n", part.len()));
                    peer.send(part);
                    peer.send("\r\n");
                }
                peer.send("0\r\n\r\n");
            }
            _ => peer.answer(200, large()),
        }
        true
    })
}

/// Sends a part of what it announces, then the rest of nothing.
fn broken_upstream() -> Upstream {
    Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        peer.send("x".repeat(60_000));
        false
    })
}

const EVERYTHING: &str = "gzip: {types: '*'}";
const AROUND: &str = "echo: {before_body: '<', after_body: '>'}";

#[test]
fn a_compressed_body_is_chunked_and_the_connection_goes_on() {
    let upstream = large_upstream();
    let gateway = gateway(&upstream, EVERYTHING);
    let mut client = gateway.connect();
    for target in ["/fixed", "/chunked", "/fixed"] {
        ask(&mut client, "GET", target);
        let reply = client.reply("GET");
        assert_eq!(reply.field("content-encoding"), Some("gzip"), "{target}");
        assert_eq!(reply.field("content-length"), None);
        assert!(reply.is_complete && reply.body.len() < LARGE / 10);
        assert!(unzipped(&reply.body) == large(), "{target}: another body");
    }
    assert_eq!(upstream.connections(), 1, "the upstream's connection is used again");
    drop(client);
    assert!(gateway.events().is_empty());
}

#[test]
fn an_answer_without_a_body_stays_one() {
    let upstream = large_upstream();
    let gateway = gateway(&upstream, &format!("{EVERYTHING}, {AROUND}"));
    let mut client = gateway.connect();
    for (method, target, status) in
        [("HEAD", "/", 200), ("GET", "/none", 204), ("GET", "/same", 304)]
    {
        ask(&mut client, method, target);
        let reply = client.reply(method);
        assert_eq!((reply.status, reply.body.len()), (status, 0), "{target}");
        // What the length would be is not known without the body.
        assert_eq!(reply.field("content-length"), None, "{target}");
        assert_eq!(reply.field("transfer-encoding"), None, "{target}");
    }
    ask(&mut client, "GET", "/same");
    assert_eq!(client.reply("GET").field("etag"), Some("\"a\""));
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn over_http_1_0_a_changed_body_ends_with_the_connection() {
    let upstream = Upstream::start(|peer, _| {
        peer.answer(200, "body");
        true
    });
    let gateway = gateway(&upstream, AROUND);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
    let reply = client.reply("GET");
    assert_eq!(reply.text(), "<body>");
    assert_eq!(reply.field("connection"), Some("close"));
    assert_eq!((reply.field("content-length"), reply.field("transfer-encoding")), (None, None));
    client.expect_end();
}

#[test]
fn a_changed_body_that_breaks_off_has_no_end() {
    let upstream = broken_upstream();
    for plugins in [EVERYTHING, AROUND] {
        let gateway = gateway(&upstream, plugins);
        let mut client = gateway.connect();
        ask(&mut client, "GET", "/");
        // Whether any of it had left when it broke is chance; what left has no end.
        let whole =
            client.try_reply("GET").is_some_and(|reply| reply.is_complete && reply.status == 200);
        assert!(!whole, "{plugins}");
        drop(client);
        assert_eq!(gateway.only_event()["reason"], "upstream.closed", "{plugins}");
    }
}

#[test]
fn over_http_1_0_what_breaks_off_is_torn_down() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
        gone.lock().unwrap().recv().unwrap();
        false
    });
    for plugins in [AROUND, "response-rewrite: {headers: {X-A: b}}"] {
        let gateway = gateway(&upstream, plugins);
        let mut socket = super::harness::socket(gateway.address());
        socket.write_all(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
        let mut received = Vec::new();
        let mut buffer = [0; 1_024];
        while !received.ends_with(b"part") {
            let count = socket.read(&mut buffer).unwrap();
            received.extend_from_slice(&buffer[..count]);
        }
        go.send(()).unwrap();
        // A plain end would pass for the end of the body.
        let end = socket.read(&mut buffer).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset, "{plugins}");
    }
}

#[test]
fn trailers_stay_unless_they_are_about_the_exact_bytes() {
    let upstream = Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n");
        peer.send("X-Sum: 5\r\nContent-Digest: sha-256=:x:\r\n\r\n");
        true
    });
    let gateway = gateway(&upstream, AROUND);
    let mut client = gateway.connect();
    for _ in 0..2 {
        let reply = client.get("/");
        assert_eq!(reply.text(), "<body>");
        assert_eq!(reply.trailers, [("x-sum".to_owned(), "5".to_owned())]);
    }
}

/// The body of a stream, and how it ended.
fn body_of(h2: &mut H2, stream: u32) -> (Vec<u8>, Frame) {
    let mut body = Vec::new();
    loop {
        let frame = h2.until(|frame| frame.stream == stream);
        match frame.kind {
            kind::DATA => {
                body.extend_from_slice(&frame.payload);
                let count = u32::try_from(frame.payload.len()).unwrap();
                if count > 0 {
                    for window in [0, stream] {
                        h2.send(kind::WINDOW_UPDATE, 0, window, &count.to_be_bytes());
                    }
                }
            }
            kind::HEADERS | kind::RST_STREAM => {}
            _ => continue,
        }
        if frame.kind == kind::RST_STREAM || frame.flags & END_STREAM != 0 {
            return (body, frame);
        }
    }
}

#[test]
fn over_http_2_a_body_is_compressed_while_it_passes() {
    let upstream = large_upstream();
    let (gateway, mut h2) = h2(&upstream, EVERYTHING);
    for (stream, target) in [(1, "/fixed"), (3, "/chunked")] {
        h2.get(stream, target, &[("accept-encoding", "gzip")]);
        let (body, end) = body_of(&mut h2, stream);
        assert_eq!(end.kind, kind::DATA, "{target}");
        assert!(body.len() < LARGE / 10 && unzipped(&body) == large(), "{target}");
    }
    h2.get(5, "/plain", &[]);
    assert!(body_of(&mut h2, 5).0 == large());
    assert_eq!(upstream.connections(), 1);
    drop(h2);
    assert!(gateway.events().is_empty());
}

#[test]
fn over_http_2_trailers_follow_a_changed_body() {
    let upstream = Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n");
        peer.send("X-Sum: 5\r\nContent-Digest: sha-256=:x:\r\n\r\n");
        true
    });
    let (_gateway, mut h2) = h2(&upstream, AROUND);
    h2.get(1, "/", &[("te", "trailers")]);
    let (body, end) = body_of(&mut h2, 1);
    assert_eq!((String::from_utf8(body).unwrap(), end.kind), ("<body>".to_owned(), kind::HEADERS));
}

#[test]
fn over_http_2_a_changed_body_that_breaks_off_is_reset() {
    let upstream = broken_upstream();
    let (gateway, mut h2) = h2(&upstream, EVERYTHING);
    h2.get(1, "/", &[("accept-encoding", "gzip")]);
    assert_eq!(body_of(&mut h2, 1).1.kind, kind::RST_STREAM);
    drop(h2);
    assert_eq!(gateway.only_event()["reason"], "upstream.closed");
}

/// Sends one event, and another when it is told.
fn event_upstream() -> (Upstream, std::sync::mpsc::Sender<()>) {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
        peer.send("Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        gone.lock().unwrap().recv().unwrap();
        peer.send("6\r\nsecond\r\n0\r\n\r\n");
        true
    });
    (upstream, go)
}

#[test]
fn what_waits_inside_a_compressor_goes_out_when_the_upstream_pauses() {
    let (upstream, go) = event_upstream();
    let gateway = gateway(&upstream, EVERYTHING);
    let mut client = gateway.connect();
    ask(&mut client, "GET", "/");
    let first = client.until(|received| {
        let text = String::from_utf8_lossy(received);
        let body = text.split_once("\r\n\r\n").is_some_and(|(_, body)| !body.is_empty());
        // The head of the gzip body, and then what was flushed, in one chunk or two.
        body && received.ends_with(b"\x00\x00\xff\xff\r\n")
    });
    let head = first.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let mut body = Vec::new();
    let mut rest = &first[head..];
    while !rest.is_empty() {
        let line = rest.windows(2).position(|window| window == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        body.extend_from_slice(&rest[line + 2..line + 2 + size]);
        rest = &rest[line + 2 + size + 2..];
    }
    assert_eq!(begun(&body), "first");
    go.send(()).unwrap();
    let reply = client.reply("GET");
    assert_eq!(unzipped(&reply.body), b"firstsecond");
}

#[test]
fn over_http_2_it_goes_out_as_well() {
    let (upstream, go) = event_upstream();
    let (_gateway, mut h2) = h2(&upstream, EVERYTHING);
    h2.get(1, "/", &[("accept-encoding", "gzip")]);
    let mut body = Vec::new();
    while !body.ends_with(b"\x00\x00\xff\xff") {
        body.extend(h2.until(|frame| frame.kind == kind::DATA).payload);
    }
    assert_eq!(begun(&body), "first");
    go.send(()).unwrap();
    body.extend(body_of(&mut h2, 1).0);
    assert_eq!(unzipped(&body), b"firstsecond");
}

const FILTERED: &str = "response-rewrite: {filters: [{regex: secret, replace: '***'}]}, \
                        gzip: {types: '*'}";

#[test]
fn a_body_is_held_until_it_is_whole_and_compressed_then() {
    let upstream = Upstream::start(|peer, seen| {
        if seen.target == "/chunked" {
            // Words are not searched part by part.
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nthe sec\r\n");
            peer.send("16\r\nret of this long body.\r\n0\r\nX-Sum: 1\r\n\r\n");
        } else {
            peer.answer(200, "the secret of this long body.");
        }
        true
    });
    let gateway = gateway(&upstream, FILTERED);
    let mut client = gateway.connect();
    // What comes behind a body comes behind what it was made into, too.
    for (target, has_trailers) in [("/fixed", false), ("/chunked", true)] {
        let reply = client.get(target);
        assert_eq!(reply.text(), "the *** of this long body.", "{target}");
        assert_eq!(reply.field("content-length"), Some("26").filter(|_| !has_trailers));
        ask(&mut client, "GET", target);
        let reply = client.reply("GET");
        assert_eq!(unzipped(&reply.body), b"the *** of this long body.", "{target}");
        let length = reply.body.len().to_string();
        let length = Some(length.as_str()).filter(|_| !has_trailers);
        assert_eq!(reply.field("content-length"), length);
    }
    assert_eq!(upstream.connections(), 1);
    let (_gateway, mut h2) = h2(&upstream, FILTERED);
    h2.get(1, "/chunked", &[]);
    assert_eq!(body_of(&mut h2, 1).0, b"the *** of this long body.");
}

#[test]
fn a_body_that_cannot_be_held_is_an_error_and_nothing_of_it_leaves() {
    let upstream = Upstream::start(|peer, seen| {
        match seen.target.as_str() {
            "/long" => peer.answer(200, "x".repeat(2_000)),
            "/endless" => {
                peer.send("HTTP/1.1 200 OK\r\n\r\n");
                while peer.try_send([b'x'; 10_000]) {}
                return false;
            }
            _ => {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part");
                return false;
            }
        }
        true
    });
    let limited = || Setup::default().limits("inspected_response: 1KiB");
    let gateway = limited().serve(&resources(&upstream, FILTERED));
    let mut client = gateway.connect();
    for (target, reason) in [
        ("/long", "upstream.answer_too_large"),
        ("/endless", "upstream.answer_too_large"),
        ("/part", "upstream.closed"),
    ] {
        let reply = client.get(target);
        assert_eq!((reply.status, reply.reason().as_str()), (502, reason), "{target}");
        assert!(reply.is_complete, "{target}");
    }
    drop(client);
    assert_eq!(gateway.events().len(), 3);
}

#[test]
fn an_upload_goes_on_while_the_answer_is_held() {
    let upstream = Upstream::start(|peer, seen| {
        peer.answer(200, format!("{} bytes", seen.body.len()));
        true
    });
    let gateway = gateway(&upstream, FILTERED);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    for _ in 0..10 {
        client.send("x".repeat(50_000));
    }
    assert_eq!(client.reply("POST").text(), "500000 bytes");
    assert_eq!(client.get("/").text(), "0 bytes");
}

#[test]
fn a_client_that_leaves_while_its_answer_is_held_frees_the_upstream() {
    let (told, ended) = channel::<()>();
    let told = Mutex::new(told);
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part");
        peer.wait_for_end();
        told.lock().unwrap().send(()).unwrap();
        false
    });
    let gateway = gateway(&upstream, FILTERED);
    let mut client = gateway.connect();
    ask(&mut client, "GET", "/");
    super::harness::until("the upstream has the request", || !upstream.seen().is_empty());
    drop(client);
    ended.recv_timeout(super::harness::PATIENCE).unwrap();
    assert_eq!(gateway.only_event()["reason"], "client.gone");
}
