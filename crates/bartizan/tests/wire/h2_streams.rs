//! HTTP/2 streams beside each other: windows, bodies both ways, and ends that concern one alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::harness::frames::{END_HEADERS, END_STREAM, kind};
use super::harness::{H2, Upstream, until};
use super::http2::scene;

const INITIAL_WINDOW_SIZE: u16 = 4;
const FRAME_MAX: usize = 16_384;

/// Bytes that tell streams and places apart.
fn pattern(stream: u32, length: usize) -> Vec<u8> {
    let start = usize::try_from(stream).unwrap();
    (0..length).map(|n| u8::try_from((start * 7 + n) % 251).unwrap()).collect()
}

#[test]
fn a_stream_that_the_client_starves_ends_alone() {
    let upstream = Upstream::start(|peer, seen| {
        peer.answer(200, if seen.target == "/big" { "x".repeat(1_000) } else { String::new() });
        true
    });
    let scene = scene("idle: 300ms", upstream);
    let mut h2 = scene.connect_with(&[(INITIAL_WINDOW_SIZE, 0)]);
    h2.get(1, "/big", &[]);
    let reset = h2.until(|frame| frame.kind == kind::RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, 8), "CANCEL");
    h2.get(3, "/", &[]);
    h2.until(|frame| frame.is_status(200) && frame.stream == 3);
    drop(h2);
    assert_eq!(scene.gateway.only_event()["reason"], "http.client_timeout");
}

#[test]
fn a_hundred_streams_carry_bodies_both_ways_without_mixing_them() {
    let scene = scene("body: 4MiB", Upstream::echo());
    let mut h2 = scene.connect_with(&[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    h2.send(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    let streams: Vec<u32> = (0..100).map(|n| 2 * n + 1).collect();
    for stream in &streams {
        let head = H2::block("POST", "/", "api.test", &[]);
        h2.send(kind::HEADERS, END_HEADERS, *stream, &head);
    }
    // Each in three frames, in turns.
    for part in 0..3 {
        for stream in &streams {
            let body = pattern(*stream, 9_000);
            let flags = if part == 2 { END_STREAM } else { 0 };
            h2.send(kind::DATA, flags, *stream, &body[part * 3_000..(part + 1) * 3_000]);
        }
    }
    let mut bodies: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut open = streams.len();
    while open > 0 {
        let frame = h2.until(|frame| matches!(frame.kind, kind::DATA | kind::RST_STREAM));
        assert_eq!(frame.kind, kind::DATA);
        bodies.entry(frame.stream).or_default().extend_from_slice(&frame.payload);
        open -= usize::from(frame.flags & END_STREAM != 0);
    }
    for stream in streams {
        assert_eq!(bodies[&stream], pattern(stream, 9_000), "stream {stream}");
    }
    drop(h2);
    assert!(scene.gateway.events().is_empty());
}

#[test]
fn an_upload_far_beyond_the_window_arrives_whole() {
    const LENGTH: usize = 3 << 20;
    let scene = scene("body: 4MiB", Upstream::echo());
    let mut h2 = scene.connect_with(&[(INITIAL_WINDOW_SIZE, 1 << 30)]);
    h2.send(kind::WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    let length = LENGTH.to_string();
    let head = H2::block("POST", "/", "api.test", &[("content-length", &length)]);
    h2.send(kind::HEADERS, END_HEADERS, 1, &head);
    let body = pattern(1, LENGTH);
    let (mut stream_window, mut window) = (65_535_i64, 65_535_i64);
    let (mut sent, mut echoed, mut is_over) = (0, Vec::new(), false);
    while !is_over {
        let room = usize::try_from(stream_window.min(window)).unwrap_or(0);
        let next = room.min(FRAME_MAX).min(LENGTH - sent);
        if next > 0 {
            let flags = if sent + next == LENGTH { END_STREAM } else { 0 };
            h2.send(kind::DATA, flags, 1, &body[sent..sent + next]);
            sent += next;
            stream_window -= i64::try_from(next).unwrap();
            window -= i64::try_from(next).unwrap();
            continue;
        }
        let frame = h2.next().expect("more of the connection");
        match (frame.kind, frame.stream) {
            (kind::WINDOW_UPDATE, 0) => window += i64::from(frame.code()),
            (kind::WINDOW_UPDATE, 1) => stream_window += i64::from(frame.code()),
            (kind::DATA, 1) => {
                echoed.extend_from_slice(&frame.payload);
                is_over = frame.flags & END_STREAM != 0;
            }
            (kind::RST_STREAM | kind::GOAWAY, _) => panic!("{frame:?}"),
            _ => {}
        }
    }
    assert!(echoed == body, "{} bytes of {}", echoed.len(), body.len());
}

#[test]
fn a_client_that_sends_beyond_the_window_loses_the_stream() {
    let upstream = Upstream::start(|peer, seen| {
        if seen.target == "/x" {
            peer.wait_for_end();
            return false;
        }
        peer.answer(200, "");
        true
    });
    // What comes in one piece is judged before anybody takes of it.
    let scene = scene("h2_window: 16KiB", upstream);
    let mut h2 = scene.connect();
    let head = H2::block("POST", "/x", "api.test", &[]);
    let frames: Vec<Vec<u8>> = std::iter::once(H2::frame(kind::HEADERS, END_HEADERS, 1, &head))
        .chain((0..3).map(|_| H2::frame(kind::DATA, 0, 1, &[0; 12_000])))
        .collect();
    h2.send_all(&frames);
    let end = h2.until(|frame| matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY));
    assert_eq!((end.kind, end.stream, end.code()), (kind::RST_STREAM, 1, 3), "FLOW_CONTROL_ERROR");
    h2.get(3, "/", &[]);
    h2.until(|frame| frame.is_status(200) && frame.stream == 3);
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let upstream = Upstream::start(|peer, seen| {
        match &*seen.target {
            "/204" => peer.send("HTTP/1.1 204 No Content\r\n\r\n"),
            "/304" => peer.send("HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
            _ => peer.send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
        }
        true
    });
    let scene = scene("", upstream);
    let mut h2 = scene.connect();
    for (stream, method, target, status) in
        [(1, "HEAD", "/", 200), (3, "GET", "/204", 204), (5, "GET", "/304", 304)]
    {
        let head = H2::block(method, target, "api.test", &[]);
        h2.send(kind::HEADERS, END_HEADERS | END_STREAM, stream, &head);
        let answer = h2.until(|frame| frame.kind == kind::HEADERS);
        assert!(answer.is_status(status), "{target}");
        assert_ne!(answer.flags & END_STREAM, 0, "{target}");
    }
}

#[test]
fn a_download_that_the_client_cancels_ends_at_the_upstream() {
    let cut = Arc::new(AtomicBool::new(false));
    let told = cut.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        let piece = [b"10000\r\n".to_vec(), vec![b'x'; 65_536], b"\r\n".to_vec()].concat();
        while peer.try_send(&piece) {}
        told.store(true, Ordering::SeqCst);
        false
    });
    let scene = scene("", upstream);
    let mut h2 = scene.connect();
    h2.get(1, "/", &[]);
    h2.until(|frame| frame.kind == kind::DATA);
    h2.send(kind::RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    until("the upstream is cut", || cut.load(Ordering::SeqCst));
    drop(h2);
    let event = scene.gateway.only_event();
    assert_eq!(
        (&event["reason"], &event["detail"]),
        (&"client.gone".into(), &"the client reset the stream".into())
    );
}

#[test]
fn a_body_of_the_wrong_length_ends_its_stream_alone() {
    let scene = scene("", Upstream::echo());
    let mut h2 = scene.connect();
    let head = H2::block("POST", "/x", "api.test", &[("content-length", "3")]);
    h2.send(kind::HEADERS, END_HEADERS, 1, &head);
    h2.send(kind::DATA, END_STREAM, 1, b"four");
    let reset = h2.until(|frame| frame.kind == kind::RST_STREAM);
    assert_eq!((reset.stream, reset.code()), (1, 1), "PROTOCOL_ERROR");
    h2.get(3, "/", &[]);
    h2.until(|frame| frame.is_status(200) && frame.stream == 3);
    assert!(scene.upstream.complete().iter().all(|seen| seen.target != "/x"));
}

#[test]
fn a_client_that_waits_is_told_to_go_on() {
    let scene = scene("", Upstream::echo());
    let mut h2 = scene.connect();
    let head = H2::block("POST", "/", "api.test", &[("expect", "100-continue")]);
    h2.send(kind::HEADERS, END_HEADERS, 1, &head);
    let interim = h2.until(|frame| frame.kind == kind::HEADERS);
    assert_eq!(interim.payload, [8, 3, b'1', b'0', b'0']);
    assert_eq!(interim.flags & END_STREAM, 0);
    h2.send(kind::DATA, END_STREAM, 1, b"now");
    h2.until(|frame| frame.is_status(200));
    assert_eq!(h2.until(|frame| frame.kind == kind::DATA).payload, b"now");
}
