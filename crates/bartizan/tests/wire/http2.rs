//! HTTP/2, spoken well and badly. What floods ends the connection with one event.

use std::sync::{Arc, Condvar, Mutex};

use super::harness::{Gateway, H2, Pki, Setup, Upstream, frames, open_route, until};
use super::listeners::tls_listener;
use frames::{ACK, END_HEADERS, END_STREAM, kind};

const INITIAL_WINDOW_SIZE: u16 = 4;

pub(super) struct Scene {
    pub(super) pki: Pki,
    pub(super) gateway: Gateway,
    pub(super) upstream: Upstream,
}

pub(super) fn scene(limits: &str, upstream: Upstream) -> Scene {
    let pki = Pki::new("clients");
    let gateway = Setup::default()
        .listeners(&tls_listener(&pki.server(&["api.test"]), ""))
        .limits(limits)
        .serve(&open_route(upstream.address(), ""));
    Scene { pki, gateway, upstream }
}

impl Scene {
    pub(super) fn connect(&self) -> H2 {
        self.connect_with(&[])
    }

    pub(super) fn connect_with(&self, settings: &[(u16, u32)]) -> H2 {
        H2::connect(&self.pki, self.gateway.address(), "api.test", settings)
    }

    /// Sends frames, waits for the end of the connection, and gives the one event about it.
    #[track_caller]
    fn floods(&self, name: &str, send: impl Fn(&mut H2)) -> String {
        let mut h2 = self.connect();
        h2.get(1, "/first", &[]);
        h2.until(|frame| frame.is_status(200));
        send(&mut h2);
        h2.rest();
        drop(h2);
        let events = self.gateway.events();
        let told: Vec<_> = events.iter().filter(|e| e["event"] == "connection").collect();
        assert_eq!(told.len(), 1, "{name}: {events:#?}");
        assert_eq!(told[0]["reason"], "http2.flood", "{name}: {told:?}");
        // Others are served as before.
        let mut other = self.connect();
        other.get(1, "/after", &[]);
        other.until(|frame| frame.is_status(200));
        told[0]["detail"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_flood_of_pings_ends_the_connection() {
    let scene = scene("h2_pings: 10", Upstream::plain());
    let told = scene.floods("ping", |h2| {
        h2.send_all(&vec![H2::frame(kind::PING, 0, 0, &[0; 8]); 11]);
    });
    assert_eq!(told, "too many PING frames");
}

#[test]
fn a_flood_of_settings_ends_the_connection() {
    let scene = scene("h2_settings: 10", Upstream::plain());
    let told = scene.floods("settings", |h2| {
        h2.send_all(&vec![H2::frame(kind::SETTINGS, 0, 0, &[]); 11]);
    });
    assert_eq!(told, "too many SETTINGS frames");
}

#[test]
fn a_flood_of_priorities_ends_the_connection() {
    let scene = scene("h2_priorities: 10", Upstream::plain());
    let told = scene.floods("priority", |h2| {
        h2.send_all(&vec![H2::frame(kind::PRIORITY, 0, 3, &[0, 0, 0, 0, 5]); 11]);
    });
    assert_eq!(told, "too many PRIORITY frames");
}

#[test]
fn a_flood_of_empty_data_ends_the_connection() {
    let scene = scene("h2_empty_data: 10", Upstream::plain());
    let told = scene.floods("data", |h2| {
        let head = H2::block("POST", "/x", "api.test", &[]);
        h2.send(kind::HEADERS, END_HEADERS, 3, &head);
        h2.send_all(&vec![H2::frame(kind::DATA, 0, 3, &[]); 11]);
    });
    assert_eq!(told, "too many empty DATA frames");
    assert!(scene.upstream.complete().iter().all(|seen| seen.target != "/x"));
}

#[test]
fn a_header_block_without_an_end_ends_the_connection() {
    let scene = scene("h2_continuations: 4", Upstream::plain());
    let told = scene.floods("continuation", |h2| {
        let head = H2::block("GET", "/x", "api.test", &[]);
        h2.send(kind::HEADERS, END_STREAM, 3, &head);
        h2.send_all(&vec![H2::frame(kind::CONTINUATION, 0, 3, &[]); 5]);
    });
    assert_eq!(told, "too many CONTINUATION frames in a header block");
    assert!(scene.upstream.seen().iter().all(|seen| seen.target != "/x"));
}

#[test]
fn a_header_block_that_does_not_end_in_time_ends_the_connection() {
    let head = H2::block("GET", "/x", "api.test", &[]);
    let whole = H2::frame(kind::HEADERS, END_HEADERS | END_STREAM, 1, &head);
    let begun = H2::frame(kind::HEADERS, END_STREAM, 1, &head);
    for (name, bytes) in [("a frame that is cut", &whole[..12]), ("no CONTINUATION", &begun[..])] {
        let scene = scene("header_time: 200ms", Upstream::plain());
        let mut h2 = scene.connect();
        // Nothing may come between the parts of a block, an acknowledgement neither.
        h2.until(|frame| frame.kind == kind::SETTINGS && frame.flags & ACK == 0);
        h2.send_all(&[bytes.to_vec()]);
        h2.rest();
        drop(h2);
        assert_eq!(scene.gateway.only_event()["reason"], "http.client_timeout", "{name}");
        assert!(scene.gateway.metrics().contains("limit=\"header_time\"} 1"), "{name}");
        assert!(scene.upstream.seen().is_empty(), "{name}");
    }
}

#[test]
fn a_header_block_that_is_too_large_ends_the_connection() {
    let scene = scene("h2_header_list: 2KiB", Upstream::plain());
    let told = scene.floods("header block", |h2| {
        let fields = vec![("a", "0123456789012345678901234567890123456789"); 60];
        let head = H2::block("GET", "/x", "api.test", &fields);
        h2.send(kind::HEADERS, END_HEADERS | END_STREAM, 3, &head);
    });
    assert_eq!(told, "a header block that is too large");
}

#[test]
fn streams_that_are_opened_and_reset_at_once_end_the_connection() {
    let scene = scene("h2_resets: 10", Upstream::plain());
    let told = scene.floods("rapid reset", |h2| {
        let head = H2::block("GET", "/x", "api.test", &[]);
        let pairs: Vec<Vec<u8>> = (1..=11_u32)
            .flat_map(|n| {
                let stream = 2 * n + 1;
                [
                    H2::frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &head),
                    H2::frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]),
                ]
            })
            .collect();
        h2.send_all(&pairs);
    });
    assert_eq!(told, "too many streams reset by the client");
}

#[test]
fn resets_that_a_client_provokes_end_the_connection() {
    let silent = Upstream::start(|peer, seen| {
        if seen.target == "/x" {
            peer.wait_for_end();
            return false;
        }
        peer.answer(200, "");
        true
    });
    let scene = scene("h2_provoked_resets: 5", silent);
    let told = scene.floods("provoked", |h2| {
        let head = H2::block("GET", "/x", "api.test", &[]);
        for n in 1..=6_u32 {
            let stream = 2 * n + 1;
            h2.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &head);
            // A window over its largest: an error of the stream, which the server has to reset.
            let over = 0x7fff_ffff_u32.to_be_bytes();
            h2.send(kind::WINDOW_UPDATE, 0, stream, &over);
        }
    });
    assert_eq!(told, "too many resets provoked by the client");
}

#[test]
fn many_streams_are_served_at_a_time() {
    const STREAMS: usize = 40;
    let arrived = Arc::new((Mutex::new(0), Condvar::new()));
    let shared = arrived.clone();
    let upstream = Upstream::start(move |peer, seen| {
        // Nobody is answered before all are here.
        let (count, changed) = &*shared;
        let mut count = count.lock().unwrap();
        *count += 1;
        changed.notify_all();
        drop(changed.wait_while(count, |count| *count < STREAMS).unwrap());
        peer.answer(200, &seen.target);
        true
    });
    let scene = scene("h2_streams: 100", upstream);
    let mut h2 = scene.connect();
    let streams: Vec<u32> = (0..STREAMS).map(|n| u32::try_from(2 * n + 1).unwrap()).collect();
    for stream in &streams {
        h2.get(*stream, &format!("/{stream}"), &[]);
    }
    let mut open = streams;
    while !open.is_empty() {
        let frame = h2.until(|frame| frame.kind == kind::DATA && !frame.payload.is_empty());
        assert_eq!(frame.payload, format!("/{}", frame.stream).as_bytes());
        open.retain(|stream| *stream != frame.stream);
    }
    drop(h2);
    assert!(scene.gateway.events().is_empty());
}

#[test]
fn a_stream_over_the_number_that_is_allowed_is_refused_and_the_others_go_on() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |peer, seen| {
        gone.lock().unwrap().recv().unwrap();
        peer.answer(200, &seen.target);
        true
    });
    let scene = scene("h2_streams: 2", upstream);
    let mut h2 = scene.connect();
    // The limit binds once it is acknowledged.
    h2.until(|frame| frame.kind == kind::SETTINGS && frame.flags & ACK == 0);
    h2.until(|frame| frame.kind == kind::SETTINGS && frame.flags & ACK == ACK);
    for stream in [1, 3, 5] {
        h2.get(stream, "/x", &[]);
    }
    let refused = h2.until(|frame| frame.kind == kind::RST_STREAM);
    assert_eq!((refused.stream, refused.code()), (5, 7), "REFUSED_STREAM");
    let metric = "bartizan_limit_hits_total{limit=\"h2_streams\"} 1";
    assert!(scene.gateway.metrics().contains(metric));
    for _ in 0..2 {
        go.send(()).unwrap();
        h2.until(|frame| frame.is_status(200));
    }
    assert_eq!(scene.upstream.seen().len(), 2);
}

#[test]
fn a_stream_whose_window_is_closed_gets_its_body_once_it_opens() {
    let upstream = Upstream::start(|peer, _| {
        peer.answer(200, "x".repeat(1_000));
        true
    });
    let scene = scene("", upstream);
    let mut h2 = scene.connect_with(&[(INITIAL_WINDOW_SIZE, 0)]);
    h2.get(1, "/", &[]);
    h2.until(|frame| frame.is_status(200));
    // A stream that waits keeps no other from being served.
    h2.get(3, "/", &[]);
    h2.until(|frame| frame.is_status(200) && frame.stream == 3);
    h2.send(kind::WINDOW_UPDATE, 0, 1, &600_u32.to_be_bytes());
    let first = h2.until(|frame| frame.kind == kind::DATA);
    assert_eq!((first.stream, first.payload.len()), (1, 600));
    h2.send(kind::WINDOW_UPDATE, 0, 1, &600_u32.to_be_bytes());
    let second = h2.until(|frame| frame.kind == kind::DATA);
    assert_eq!((second.stream, second.payload.len()), (1, 400));
}

#[test]
fn streams_whose_windows_stay_closed_end_with_the_idle_time_and_hold_the_upstream_back() {
    let cut = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = cut.clone();
    let upstream = Upstream::start(move |peer, _| {
        // Far more than buffers hold: it can be written only if somebody takes it.
        let length = 256 * 1024 * 1024;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        let piece = vec![b'x'; 1024 * 1024];
        let written = (0..256).take_while(|_| peer.try_send(&piece)).count();
        told.store(written < 256, std::sync::atomic::Ordering::SeqCst);
        false
    });
    let scene = scene("idle: 300ms", upstream);
    let mut h2 = scene.connect_with(&[(INITIAL_WINDOW_SIZE, 0)]);
    h2.get(1, "/", &[]);
    h2.until(|frame| frame.is_status(200));
    let rest = h2.rest();
    assert!(rest.iter().all(|frame| frame.kind != kind::DATA || frame.payload.is_empty()));
    drop(h2);
    until("the upstream is cut", || cut.load(std::sync::atomic::Ordering::SeqCst));
}

#[test]
fn trailers_of_an_answer_arrive() {
    let upstream = Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.send("5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n");
        true
    });
    let scene = scene("", upstream);
    let mut h2 = scene.connect();
    h2.get(1, "/", &[("te", "trailers")]);
    h2.until(|frame| frame.is_status(200));
    assert_eq!(h2.until(|frame| frame.kind == kind::DATA).payload, b"hello");
    let trailers = h2.until(|frame| frame.kind == kind::HEADERS);
    assert_ne!(trailers.flags & END_STREAM, 0);
}

#[test]
fn a_host_that_disagrees_with_the_authority_is_400() {
    let scene = scene("", Upstream::plain());
    let mut h2 = scene.connect();
    h2.get(1, "/", &[("host", "other.test")]);
    h2.until(|frame| frame.is_status(400));
    drop(h2);
    assert_eq!(scene.gateway.only_event()["reason"], "http.bad_host");
    assert!(scene.upstream.seen().is_empty());
}

#[test]
fn a_host_that_agrees_is_served() {
    let scene = scene("", Upstream::plain());
    let mut h2 = scene.connect();
    h2.get(1, "/", &[("host", "api.test")]);
    h2.until(|frame| frame.is_status(200));
    assert_eq!(scene.upstream.complete()[0].field("host").as_deref(), Some("api.test"));
}

#[test]
fn what_http2_forbids_reaches_no_upstream() {
    for (name, fields) in [
        ("upper case", ("X-Upper", "a")),
        ("connection", ("connection", "close")),
        ("transfer-encoding", ("transfer-encoding", "chunked")),
        ("upgrade", ("upgrade", "websocket")),
        ("keep-alive", ("keep-alive", "5")),
        ("te", ("te", "gzip")),
        ("a line end in a value", ("a", "b\r\nx-injected: c")),
        ("NUL in a value", ("a", "b\0c")),
        ("a space in a name", ("a b", "c")),
        ("a colon in a name", ("a:b", "c")),
        ("a line end in a name", ("a\r\nb", "c")),
        ("a second path", (":path", "/other")),
        ("an unknown pseudo field", (":other", "x")),
    ] {
        let scene = scene("", Upstream::plain());
        let mut h2 = scene.connect();
        h2.get(1, "/", &[fields]);
        let answer =
            h2.until(|frame| matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY | kind::HEADERS));
        assert!(!(answer.kind == kind::HEADERS && answer.is_status(200)), "{name}");
        drop(h2);
        let events = scene.gateway.events();
        assert!(events.len() <= 1, "{name}: {events:#?}");
        assert!(scene.upstream.seen().is_empty(), "{name}: {:?}", scene.upstream.seen());
    }
}

#[test]
fn targets_that_could_be_split_reach_no_upstream() {
    for target in ["/a b", "/a\r\nX: y", "/a%0d%0ab", "/%2e%2e/a", "a", "", "/a\\b", "/a%2fb"] {
        let scene = scene("", Upstream::plain());
        let mut h2 = scene.connect();
        h2.get(1, target, &[]);
        let answer =
            h2.until(|frame| matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY | kind::HEADERS));
        assert!(!(answer.kind == kind::HEADERS && answer.is_status(200)), "{target:?}");
        assert!(scene.upstream.seen().is_empty(), "{target:?}: {:?}", scene.upstream.seen());
    }
}

#[test]
fn data_that_is_not_as_long_as_content_length_says_is_never_a_whole_request() {
    for (name, length, data) in [("too long", "3", &b"abcdef"[..]), ("too short", "9", b"abc")] {
        let scene = scene("", Upstream::plain());
        let mut h2 = scene.connect();
        let head = H2::block("POST", "/x", "api.test", &[("content-length", length)]);
        h2.send(kind::HEADERS, END_HEADERS, 1, &head);
        h2.send(kind::DATA, END_STREAM, 1, data);
        let answer =
            h2.until(|frame| matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY | kind::HEADERS));
        assert!(!(answer.kind == kind::HEADERS && answer.is_status(200)), "{name}");
        drop(h2);
        scene.gateway.events();
        assert!(scene.upstream.complete().is_empty(), "{name}");
    }
}

#[test]
fn a_body_over_its_limit_is_cut_off() {
    let scene = scene("body: 1KiB", Upstream::plain());
    let mut h2 = scene.connect();
    let head = H2::block("POST", "/x", "api.test", &[]);
    h2.send(kind::HEADERS, END_HEADERS, 1, &head);
    h2.send(kind::DATA, END_STREAM, 1, &[b'x'; 2_000]);
    let answer = h2.until(|frame| matches!(frame.kind, kind::RST_STREAM | kind::HEADERS));
    assert!(!(answer.kind == kind::HEADERS && answer.is_status(200)));
    drop(h2);
    assert_eq!(scene.gateway.only_event()["reason"], "http.body_too_large");
    assert!(scene.upstream.complete().is_empty());
}

#[test]
fn a_client_that_resets_its_stream_ends_what_the_request_had_begun() {
    let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = ended.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.wait_for_end();
        told.store(true, std::sync::atomic::Ordering::SeqCst);
        false
    });
    let scene = scene("", upstream);
    let mut h2 = scene.connect();
    h2.get(1, "/", &[]);
    until("the upstream has it", || !scene.upstream.seen().is_empty());
    h2.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    until("the upstream's connection ended", || ended.load(std::sync::atomic::Ordering::SeqCst));
    drop(h2);
    assert_eq!(scene.gateway.only_event()["reason"], "client.gone");
}
