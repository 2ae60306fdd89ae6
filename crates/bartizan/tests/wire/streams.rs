//! HTTP/2 streams and their connection: whose clock runs when, and what an end is.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use super::harness::frames::{ACK, END_HEADERS, END_STREAM, Frame, kind};
use super::harness::{Gateway, H2, Pki, Setup, Upstream, open_route, until};
use super::listeners::tls_listener;

/// Both, so that a connection is looked at again and again from its beginning.
const IDLE_SOON: &str = "first_byte: 300ms, idle: 300ms, body_rate: 1B";

/// A gateway behind TLS, and who trusts it.
fn serving(limits: &str, upstream: SocketAddr) -> (Pki, Gateway) {
    let pki = Pki::new("clients");
    let gateway = Setup::default()
        .listeners(&tls_listener(&pki.server(&["api.test"]), ""))
        .limits(limits)
        .serve(&open_route(upstream, ", retries: 0"));
    (pki, gateway)
}

fn connect(pki: &Pki, gateway: &Gateway) -> H2 {
    H2::connect(pki, gateway.address(), "api.test", &[])
}

/// Waits until the idle time has passed more than once: connections that are idle tell it by
/// their ends.
fn let_the_idle_time_pass(pki: &Pki, gateway: &Gateway) {
    for _ in 0..3 {
        let mut client = pki.connect(gateway.address(), "api.test", &["http/1.1"]);
        assert_eq!(client.get("/idle").status, 200);
        client.expect_end();
    }
}

#[test]
fn an_upstream_may_take_longer_than_a_client_may_be_idle() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |peer, seen| {
        if seen.target == "/slow" {
            gone.lock().unwrap().recv().unwrap();
        }
        peer.answer(200, &seen.target);
        true
    });
    let (pki, gateway) = serving(IDLE_SOON, upstream.address());
    let mut h2 = connect(&pki, &gateway);
    h2.get(1, "/slow", &[]);
    until("the upstream has it", || upstream.seen().iter().any(|seen| seen.target == "/slow"));
    let_the_idle_time_pass(&pki, &gateway);
    go.send(()).unwrap();
    h2.until(|frame| frame.is_status(200) && frame.stream == 1);
    let data = h2.until(|frame| frame.kind == kind::DATA && !frame.payload.is_empty());
    assert_eq!(data.payload, b"/slow");
    // It is idle from here on.
    h2.until(|frame| frame.kind == kind::GOAWAY);
    drop(h2);
    assert!(gateway.events().is_empty());
}

#[test]
fn an_upload_may_pause_for_longer_than_a_client_may_be_idle() {
    let upstream = Upstream::echo();
    let (pki, gateway) = serving(IDLE_SOON, upstream.address());
    let mut h2 = connect(&pki, &gateway);
    let head = H2::block("POST", "/upload", "api.test", &[]);
    h2.send(kind::HEADERS, END_HEADERS, 1, &head);
    h2.send(kind::DATA, 0, 1, b"slow ");
    let_the_idle_time_pass(&pki, &gateway);
    h2.send(kind::DATA, END_STREAM, 1, b"and whole");
    h2.until(|frame| frame.is_status(200) && frame.stream == 1);
    let data = h2.until(|frame| frame.kind == kind::DATA && !frame.payload.is_empty());
    assert_eq!(data.payload, b"slow and whole");
    drop(h2);
    assert!(gateway.events().is_empty());
}

#[test]
fn a_connection_that_has_served_its_number_of_requests_is_told_to_go_and_ends() {
    let upstream = Upstream::plain();
    let (pki, gateway) = serving("requests_per_connection: 3", upstream.address());
    let mut h2 = connect(&pki, &gateway);
    for stream in [1, 3] {
        h2.get(stream, "/", &[]);
        let answered = |frame: &Frame| frame.flags & END_STREAM != 0 && frame.stream == stream;
        let mut seen = Vec::new();
        while !seen.last().is_some_and(answered) {
            seen.push(h2.next().expect("an answer"));
        }
        assert!(seen.iter().all(|frame| frame.kind != kind::GOAWAY), "too early: {seen:?}");
    }
    h2.get(5, "/", &[]);
    let mut seen = Vec::new();
    while let Some(frame) = h2.next() {
        if frame.kind == kind::PING && frame.flags & ACK == 0 {
            h2.send(kind::PING, ACK, 0, &frame.payload);
        }
        seen.push(frame);
    }
    assert!(seen.iter().any(|frame| frame.kind == kind::GOAWAY), "{seen:?}");
    assert!(seen.iter().any(|frame| frame.is_status(200) && frame.stream == 5), "{seen:?}");
    drop(h2);
    assert_eq!(upstream.complete().len(), 3);
    assert!(gateway.events().is_empty());
}

#[test]
fn a_connection_that_never_begins_a_stream_is_closed() {
    let upstream = Upstream::plain();
    let (pki, gateway) = serving("first_byte: 150ms", upstream.address());
    let mut h2 = connect(&pki, &gateway);
    let seen = h2.rest();
    assert!(seen.iter().any(|frame| frame.kind == kind::GOAWAY), "{seen:?}");
    drop(h2);
    assert!(gateway.metrics().contains("limit=\"first_byte\"} 1"), "{}", gateway.metrics());
    assert!(gateway.events().is_empty());
}

#[test]
fn a_connection_without_even_a_preface_is_closed() {
    let upstream = Upstream::plain();
    let (pki, gateway) = serving("first_byte: 150ms", upstream.address());
    pki.connect(gateway.address(), "api.test", &["h2"]).rest();
    until("it is gone", || gateway.running().connections() == 0);
    assert!(gateway.metrics().contains("limit=\"first_byte\"} 1"), "{}", gateway.metrics());
}

/// What an upstream that never answers was sent on its only connection.
#[derive(Clone, Default)]
struct Taken {
    bytes: Arc<Mutex<Vec<u8>>>,
    has_ended: Arc<AtomicBool>,
}

impl Taken {
    fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let own = self.clone();
        std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let mut buffer = [0; 4_096];
            loop {
                let count = socket.read(&mut buffer).unwrap_or(0);
                own.bytes.lock().unwrap().extend_from_slice(&buffer[..count]);
                if count == 0 {
                    return own.has_ended.store(true, Ordering::SeqCst);
                }
            }
        });
        address
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }
}

#[test]
fn a_reset_without_an_error_does_not_make_an_upload_whole() {
    let taken = Taken::default();
    let (pki, gateway) = serving("", taken.listen());
    let mut h2 = connect(&pki, &gateway);
    h2.send(kind::HEADERS, END_HEADERS, 1, &H2::block("POST", "/x", "api.test", &[]));
    h2.send(kind::DATA, 0, 1, b"hello");
    until("a part has arrived", || taken.text().contains("5\r\nhello\r\n"));
    h2.send(kind::RST_STREAM, 0, 1, &[0; 4]);
    until("the upstream's connection ended", || taken.has_ended.load(Ordering::SeqCst));
    let text = taken.text();
    assert!(text.to_lowercase().contains("transfer-encoding: chunked"), "{text}");
    assert!(!text.contains("0\r\n\r\n"), "{text}");
    drop(h2);
    assert_eq!(gateway.only_event()["reason"], "client.gone");
}
