use bytes::Bytes;
use http::{Method, StatusCode};
use proptest::prelude::*;

use super::super::frame::{flag, frame, kind};
use super::super::hpack::encode;
use super::*;
use crate::fields::Fields;
use crate::h1::encode::OutgoingResponse;
use crate::head::{BodyLength, ConnectionUse, RequestHead, Version};
use bartizan_core::Reason;

mod bounds;

const END: u8 = flag::END_STREAM | flag::END_HEADERS;

/// A name, a frame, and the code with which it ends the connection.
type Breaking<'a> = (&'a str, u8, u8, u32, &'a [u8], ErrorCode);
/// Kind, flags and payload on stream 1.
type OnStream<'a> = (u8, u8, &'a [u8]);
/// A name, the fields of a request, frames after it, and the code of the reset.
type Faulty<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [OnStream<'a>], u8);
/// What is done over and over.
type Step = fn(&mut Scene, u32) -> Result<(), Violation>;

/// A connection and what was seen of it.
struct Scene {
    connection: H2Connection,
    opened: Vec<(u32, Result<Box<RequestHead>, Reason>)>,
    ended: Vec<(u32, StreamEnd)>,
}

impl Scene {
    fn new() -> Self {
        Self::with(&Limits::default())
    }

    fn with(limits: &Limits) -> Self {
        let connection = H2Connection::new(ConnectionLimits::from(limits));
        let mut scene = Self { connection, opened: Vec::new(), ended: Vec::new() };
        scene.feed(&[PREFACE, &frame(kind::SETTINGS, 0, 0, &[])[..]].concat()).unwrap();
        scene.sent();
        scene
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        self.connection.receive(bytes, &|| Duration::from_secs(1))?;
        while let Some(event) = self.connection.next_event() {
            match event {
                H2Event::Opened { stream, head } => {
                    self.connection.tag(stream, stream);
                    self.opened.push((stream, head.map_err(|refusal| refusal.reason)));
                }
                H2Event::Ended { tag, why } => self.ended.push((tag, why)),
                H2Event::Moved { .. } | H2Event::WindowGrew => {}
            }
        }
        Ok(())
    }

    fn frame(&mut self, kind: u8, flags: u8, id: u32, payload: &[u8]) -> Result<(), Violation> {
        self.feed(&frame(kind, flags, id, payload))
    }

    /// The frames that were sent since this was last asked.
    fn sent(&mut self) -> Vec<(u8, u8, u32, Vec<u8>)> {
        let bytes = self.connection.pending().to_vec();
        self.connection.advance(bytes.len());
        let mut rest = &bytes[..];
        let mut frames = Vec::new();
        while let Some(head) = FrameHead::read(rest) {
            let payload = rest[HEAD..HEAD + head.length].to_vec();
            frames.push((head.kind, head.flags, head.stream, payload));
            rest = &rest[HEAD + head.length..];
        }
        assert!(rest.is_empty());
        frames
    }

    #[track_caller]
    fn resets(&mut self) -> Vec<(u32, u8)> {
        let sent = self.sent();
        let resets = sent.iter().filter(|frame| frame.0 == kind::RST_STREAM);
        resets.map(|frame| (frame.2, frame.3[3])).collect()
    }

    fn answer(&mut self, id: u32, length: BodyLength, is_last: bool) {
        let fields = Fields::new();
        self.connection.send_head(id, &response(&fields, length), is_last).unwrap();
    }
}

fn response(fields: &Fields, body: BodyLength) -> OutgoingResponse<'_> {
    OutgoingResponse {
        status: StatusCode::OK,
        version: Version::Http2,
        method: &Method::GET,
        fields,
        body,
        declared_length: None,
        connection: ConnectionUse::KeepAlive,
    }
}

fn block(method: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let pseudo =
        [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", "/")];
    for (name, value) in pseudo.iter().chain(fields) {
        encode::field(&mut out, name.as_bytes(), value.as_bytes());
    }
    out
}

fn code(violation: Result<(), Violation>) -> Option<ErrorCode> {
    violation.err().map(Violation::code)
}

/// Opens stream 1 with a body to come.
fn upload(fields: &[(&str, &str)]) -> Scene {
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, flag::END_HEADERS, 1, &block("POST", fields)).unwrap();
    assert_eq!(scene.opened.len(), 1);
    scene
}

#[test]
fn a_request_is_taken_and_answered() {
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[("accept", "*/*")])).unwrap();
    let (id, head) = scene.opened.remove(0);
    let head = head.unwrap();
    assert_eq!((id, head.method, head.body), (1, Method::GET, BodyLength::None));
    assert_eq!(scene.connection.take_body(1), TakenBody::End);
    scene.answer(1, BodyLength::Fixed(5), false);
    assert_eq!(scene.connection.send_data(1, b"hello", true), 5);
    let sent = scene.sent();
    let kinds: Vec<_> = sent.iter().map(|f| (f.0, f.1, f.2)).collect();
    assert_eq!(kinds, [(kind::HEADERS, 4, 1), (kind::DATA, 1, 1)]);
    assert_eq!(sent[1].3, b"hello");
    assert_eq!(scene.connection.open(), 0);
}

#[test]
fn our_settings_come_first_and_theirs_are_acknowledged() {
    let limits = Limits { h2_streams: 7, ..Limits::default() };
    let mut scene = Scene {
        connection: H2Connection::new(ConnectionLimits::from(&limits)),
        opened: Vec::new(),
        ended: Vec::new(),
    };
    let first = scene.sent();
    assert_eq!((first[0].0, first[0].1), (kind::SETTINGS, 0));
    assert_eq!(first[0].3[..6], [0, 3, 0, 0, 0, 7]);
    // The window of the connection is opened to what the limits say.
    let more = (1_048_576_u32 - 65_535).to_be_bytes().to_vec();
    assert_eq!(first[1], (kind::WINDOW_UPDATE, 0, 0, more));
    scene.feed(PREFACE).unwrap();
    scene.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]).unwrap();
    assert_eq!(scene.sent(), [(kind::SETTINGS, flag::ACK, 0, Vec::new())]);
}

#[test]
fn what_breaks_the_connection_ends_it_with_the_right_code() {
    use ErrorCode::{
        CompressionError, FlowControlError, FrameSizeError, ProtocolError, StreamClosed,
    };
    let get = block("GET", &[]);
    let padded = [&[200][..], &get].concat();
    let cases: [Breaking<'_>; 33] = [
        ("DATA on no stream", kind::DATA, 0, 0, b"x", ProtocolError),
        ("DATA on an idle stream", kind::DATA, 0, 5, b"x", ProtocolError),
        ("DATA with too much padding", kind::DATA, 8, 1, &[5, 0, 0], ProtocolError),
        ("DATA without its padding", kind::DATA, 8, 1, &[], FrameSizeError),
        ("HEADERS on no stream", kind::HEADERS, END, 0, &get, ProtocolError),
        ("HEADERS on an even stream", kind::HEADERS, END, 2, &get, ProtocolError),
        ("HEADERS on a closed stream", kind::HEADERS, END, 3, &get, StreamClosed),
        ("HEADERS with too much padding", kind::HEADERS, END | 8, 9, &padded, ProtocolError),
        ("HEADERS too short for a priority", kind::HEADERS, END | 32, 9, &[0; 4], FrameSizeError),
        ("a block that cannot be read", kind::HEADERS, END, 9, &[0x80], CompressionError),
        ("trailers that cannot be read", kind::HEADERS, END, 1, &[0xff, 0xff], CompressionError),
        ("PRIORITY on no stream", kind::PRIORITY, 0, 0, &[0; 5], ProtocolError),
        ("PRIORITY too short", kind::PRIORITY, 0, 9, &[0; 4], FrameSizeError),
        ("RST_STREAM on no stream", kind::RST_STREAM, 0, 0, &[0; 4], ProtocolError),
        ("RST_STREAM on an idle stream", kind::RST_STREAM, 0, 9, &[0; 4], ProtocolError),
        ("RST_STREAM too long", kind::RST_STREAM, 0, 1, &[0; 5], FrameSizeError),
        ("SETTINGS on a stream", kind::SETTINGS, 0, 1, &[], ProtocolError),
        ("SETTINGS cut off", kind::SETTINGS, 0, 0, &[0; 5], FrameSizeError),
        ("an acknowledgement with more", kind::SETTINGS, 1, 0, &[0; 6], FrameSizeError),
        ("ENABLE_PUSH of two", kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2], ProtocolError),
        ("a window too large", kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0], FlowControlError),
        ("a frame size too small", kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0x3f, 0xff], ProtocolError),
        ("a frame size too large", kind::SETTINGS, 0, 0, &[0, 5, 1, 0, 0, 0], ProtocolError),
        ("a push", kind::PUSH_PROMISE, 4, 1, &[0; 8], ProtocolError),
        ("PING on a stream", kind::PING, 0, 1, &[0; 8], ProtocolError),
        ("PING too short", kind::PING, 0, 0, &[0; 7], FrameSizeError),
        ("GOAWAY on a stream", kind::GOAWAY, 0, 1, &[0; 8], ProtocolError),
        ("GOAWAY too short", kind::GOAWAY, 0, 0, &[0; 7], FrameSizeError),
        ("WINDOW_UPDATE too short", kind::WINDOW_UPDATE, 0, 0, &[0; 3], FrameSizeError),
        ("a window that does not grow", kind::WINDOW_UPDATE, 0, 0, &[0; 4], ProtocolError),
        (
            "a window that overflows",
            kind::WINDOW_UPDATE,
            0,
            0,
            &[0x7f, 255, 255, 255],
            FlowControlError,
        ),
        (
            "WINDOW_UPDATE on an idle stream",
            kind::WINDOW_UPDATE,
            0,
            9,
            &[0, 0, 0, 1],
            ProtocolError,
        ),
        ("CONTINUATION of nothing", kind::CONTINUATION, 4, 1, &[], ProtocolError),
    ];
    for (name, kind, flags, id, payload, expected) in cases {
        // Stream 1 is open, stream 3 is closed.
        let mut scene = upload(&[]);
        scene.frame(kind::HEADERS, END, 3, &get).unwrap();
        scene.answer(3, BodyLength::None, true);
        scene.sent();
        let violated = scene.frame(kind, flags, id, payload);
        assert_eq!(code(violated), Some(expected), "{name}");
        let last = scene.sent().pop().unwrap();
        assert_eq!(
            (last.0, last.3[3], last.3[7]),
            (kind::GOAWAY, u8::try_from(scene.connection.last).unwrap(), expected.number()),
            "{name}"
        );
        assert_eq!(scene.feed(b"anything"), violated, "{name}");
        assert_eq!(scene.connection.open(), 0, "{name}");
    }
}

#[test]
fn a_connection_begins_with_the_preface_and_settings() {
    let fresh = || H2Connection::new(ConnectionLimits::from(&Limits::default()));
    let now = || Duration::ZERO;
    assert!(fresh().receive(b"GET / HTTP/1.1\r\n", &now).is_err());
    assert!(fresh().receive(b"PRI * HTTP/2.0\r\n\r\nXX", &now).is_err());
    for first in [frame(kind::PING, 0, 0, &[0; 8]), frame(kind::SETTINGS, 1, 0, &[])] {
        let mut connection = fresh();
        connection.receive(PREFACE, &now).unwrap();
        assert_eq!(code(connection.receive(&first, &now)), Some(ErrorCode::ProtocolError));
    }
}

#[test]
fn a_frame_that_is_too_large_is_refused_by_its_head() {
    let head = [0, 0x40, 1, kind::DATA, 0, 0, 0, 0, 1];
    assert_eq!(code(upload(&[]).feed(&head)), Some(ErrorCode::FrameSizeError));
    let mut scene = upload(&[]);
    for byte in &head[..8] {
        scene.feed(&[*byte]).unwrap();
    }
    assert_eq!(code(scene.feed(&head[8..])), Some(ErrorCode::FrameSizeError));
}

#[test]
fn nothing_comes_between_the_parts_of_a_header_block() {
    let get = block("GET", &[]);
    for (kind, id, payload) in [
        (kind::PING, 0, &[0; 8][..]),
        (kind::DATA, 1, b""),
        (kind::CONTINUATION, 3, b""),
        (0xee, 0, b""),
    ] {
        let mut scene = Scene::new();
        scene.frame(kind::HEADERS, 1, 1, &get[..5]).unwrap();
        assert_eq!(scene.connection.open_block(), Some(0));
        assert_eq!(code(scene.frame(kind, 0, id, payload)), Some(ErrorCode::ProtocolError));
    }
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, 1, 1, &get[..5]).unwrap();
    scene.frame(kind::CONTINUATION, 0, 1, &get[5..9]).unwrap();
    scene.frame(kind::CONTINUATION, 4, 1, &get[9..]).unwrap();
    assert!(scene.opened[0].1.is_ok() && scene.connection.open_block().is_none());
}

#[test]
fn a_stream_that_breaks_a_rule_is_reset_and_the_others_go_on() {
    let long = ("content-length", "3");
    let cases: [Faulty<'_>; 9] = [
        ("too much DATA", &[long], &[(kind::DATA, 0, b"four")], 1),
        ("too little DATA", &[long], &[(kind::DATA, 1, b"tw")], 1),
        ("too little DATA before trailers", &[long], &[(kind::HEADERS, END, b"")], 1),
        ("DATA where none is", &[("content-length", "0")], &[(kind::DATA, 1, b"x")], 1),
        ("trailers that do not end", &[], &[(kind::HEADERS, 4, b"")], 1),
        ("pseudo fields in trailers", &[], &[(kind::HEADERS, END, &[0x82])], 1),
        ("DATA behind the end", &[], &[(kind::DATA, 1, b""), (kind::DATA, 1, b"")], 5),
        ("a window that does not grow", &[], &[(kind::WINDOW_UPDATE, 0, &[0; 4])], 1),
        ("a window over the largest", &[], &[(kind::WINDOW_UPDATE, 0, &[127, 255, 255, 255])], 3),
    ];
    for (name, fields, frames, expected) in cases {
        let mut scene = upload(fields);
        for (kind, flags, payload) in frames {
            scene.frame(*kind, *flags, 1, payload).unwrap();
        }
        assert_eq!(scene.resets(), [(1, expected)], "{name}");
        assert!(matches!(scene.ended[..], [(1, StreamEnd::Fault(_))]), "{name}");
        assert_eq!(scene.connection.take_body(1), TakenBody::Gone, "{name}");
        scene.frame(kind::HEADERS, END, 3, &block("GET", &[])).unwrap();
        assert_eq!(scene.opened.len(), 2, "{name}");
        // What was on its way is passed over.
        scene.frame(kind::DATA, 0, 1, b"late").unwrap();
        scene.frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]).unwrap();
        assert_eq!(scene.resets(), [], "{name}");
    }
}

#[test]
fn data_beyond_a_window_is_refused_and_padding_counts() {
    let mut scene = upload(&[]);
    let full = vec![0; 16_384];
    for _ in 0..4 {
        scene.frame(kind::DATA, 0, 1, &full).unwrap();
    }
    scene.frame(kind::DATA, 0, 1, b"x").unwrap();
    assert_eq!(scene.resets(), [(1, 3)]);
    let mut scene = upload(&[]);
    for _ in 0..3 {
        scene.frame(kind::DATA, 0, 1, &full).unwrap();
    }
    // Padding is given back, but only once it has had its room.
    let padded = [&[255][..], &vec![0; 16_383]].concat();
    scene.frame(kind::DATA, 8, 1, &padded).unwrap();
    scene.frame(kind::DATA, 0, 1, b"x").unwrap();
    assert_eq!(scene.resets(), [(1, 3)]);
    // All of the connection's windows.
    let limits = Limits { h2_window: bartizan_core::ByteSize(65_536), ..Limits::default() };
    let mut scene = Scene::with(&limits);
    for id in [1, 3] {
        scene.frame(kind::HEADERS, 4, id, &block("POST", &[])).unwrap();
    }
    for _ in 0..4 {
        scene.frame(kind::DATA, 0, 1, &full).unwrap();
    }
    assert_eq!(code(scene.frame(kind::DATA, 0, 3, b"x")), Some(ErrorCode::FlowControlError));
}

#[test]
fn windows_open_again_as_bodies_are_taken() {
    let mut scene = upload(&[]);
    let full = vec![7; 16_384];
    scene.sent();
    let mut taken = 0;
    // Far more than any window holds.
    for _ in 0..200 {
        scene.frame(kind::DATA, 0, 1, &full).unwrap();
        if let TakenBody::Data(data) = scene.connection.take_body(1) {
            taken += data.len();
        }
    }
    assert_eq!(taken, 200 * 16_384);
    let sent = scene.sent();
    for id in [0, 1] {
        let grown = sent.iter().filter(|f| f.0 == kind::WINDOW_UPDATE && f.2 == id);
        assert!(grown.count() > 2, "stream {id}");
    }
}

#[test]
fn what_nobody_reads_of_a_body_opens_the_window_of_the_connection() {
    let mut scene = Scene::new();
    let full = vec![7; 16_384];
    for id in (1..400).step_by(2) {
        scene.frame(kind::HEADERS, 4, id, &block("POST", &[])).unwrap();
        scene.frame(kind::DATA, 1, id, &full).unwrap();
        scene.answer(id, BodyLength::None, true);
    }
    assert_eq!(scene.connection.open(), 0);
}

#[test]
fn answers_keep_to_the_windows_of_stream_and_connection() {
    let mut scene = Scene::new();
    scene.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 10]).unwrap();
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[])).unwrap();
    scene.answer(1, BodyLength::Fixed(30), false);
    let data = [b'x'; 30];
    assert_eq!(scene.connection.send_data(1, &data, true), 10);
    assert_eq!(scene.connection.send_data(1, &data[10..], true), 0);
    // A smaller initial window takes from the streams there are, below zero (RFC 9113 §6.9.2).
    scene.frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 4]).unwrap();
    scene.frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 6]).unwrap();
    assert_eq!(scene.connection.room(1), 0);
    scene.frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 20]).unwrap();
    scene.sent();
    assert_eq!(scene.connection.send_data(1, &data[10..], true), 20);
    assert_eq!(scene.sent(), [(kind::DATA, 1, 1, vec![b'x'; 20])]);
    // The connection's own window is 65,535 (§6.9.2).
    scene.frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 255, 255, 255]).unwrap();
    scene.frame(kind::HEADERS, END, 3, &block("GET", &[])).unwrap();
    scene.answer(3, BodyLength::Chunked, false);
    assert_eq!(scene.connection.send_data(3, &vec![0; 100_000], false), 65_535 - 30);
    assert!(scene.sent().iter().all(|frame| frame.3.len() <= 16_384));
    scene.frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 9]).unwrap();
    assert_eq!(scene.connection.room(3), 9);
}

#[test]
fn an_answer_before_the_end_of_the_body_tells_the_client_to_stop() {
    let mut scene = upload(&[]);
    scene.frame(kind::DATA, 0, 1, b"begun").unwrap();
    scene.answer(1, BodyLength::None, true);
    assert_eq!(scene.resets(), [(1, 0)]);
    scene.frame(kind::DATA, 1, 1, b"late").unwrap();
    scene.frame(kind::RST_STREAM, 0, 1, &[0; 4]).unwrap();
    assert_eq!(scene.resets(), []);
}

#[test]
fn streams_over_their_number_are_refused_and_their_heads_keep_the_table_in_step() {
    let limits = Limits { h2_streams: 1, ..Limits::default() };
    let mut scene = Scene::with(&limits);
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[])).unwrap();
    // Index 62 is set in the refused head.
    let indexing = [&block("GET", &[])[..], &[0x40, 1, b'a', 1, b'b']].concat();
    scene.frame(kind::HEADERS, END, 3, &indexing).unwrap();
    assert_eq!(scene.resets(), [(3, 7)]);
    scene.answer(1, BodyLength::None, true);
    let indexed = [&block("GET", &[])[..], &[0xbe]].concat();
    scene.frame(kind::HEADERS, END, 5, &indexed).unwrap();
    let head = scene.opened[1].1.as_ref().unwrap();
    assert_eq!(head.fields.get("a"), Some(&b"b"[..]));
}

#[test]
fn floods_end_the_connection() {
    let reset = |scene: &mut Scene, n: u32| {
        scene.frame(kind::HEADERS, END, 2 * n + 1, &block("GET", &[]))?;
        scene.frame(kind::RST_STREAM, 0, 2 * n + 1, &[0; 4])
    };
    let steps: [(Flood, u32, Step); 6] = [
        (Flood::Ping, 60, |s, _| s.frame(kind::PING, 0, 0, &[0; 8])),
        // One came at the beginning.
        (Flood::Settings, 19, |s, _| s.frame(kind::SETTINGS, 0, 0, &[])),
        (Flood::Priority, 200, |s, n| match n % 2 {
            0 => s.frame(kind::PRIORITY, 0, 1, &[0; 5]),
            _ => s.frame(kind::PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"),
        }),
        (Flood::Resets, 200, reset),
        (Flood::ProvokedResets, 100, |s, n| {
            s.frame(kind::HEADERS, 4, 2 * n + 1, &block("GET", &[]))?;
            s.frame(kind::WINDOW_UPDATE, 0, 2 * n + 1, &[0; 4])
        }),
        (Flood::ProvokedResets, 100, |s, n| {
            let id = 2 * n + 1;
            s.frame(kind::HEADERS, END, id, &block("GET", &[("upgrade", "h2c")]))?;
            s.connection.give_up(id);
            Ok(())
        }),
    ];
    for (flood, most, step) in steps {
        let mut scene = Scene::new();
        for n in 0..most {
            assert_eq!(step(&mut scene, n), Ok(()), "{flood}: {n}");
        }
        assert_eq!(step(&mut scene, most), Err(Violation::Flood(flood)));
        let last = scene.sent().pop().unwrap();
        assert_eq!((last.0, last.3[7]), (kind::GOAWAY, 0xb), "{flood}");
    }
}

#[test]
fn an_end_is_announced_and_streams_that_come_before_it_is_heard_are_served() {
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[])).unwrap();
    scene.connection.announce_end();
    let sent = scene.sent();
    assert_eq!((sent[0].0, &sent[0].3[..4]), (kind::GOAWAY, &[0x7f, 255, 255, 255][..]));
    assert_eq!(sent[1].0, kind::PING);
    scene.frame(kind::HEADERS, END, 3, &block("GET", &[])).unwrap();
    assert_eq!(scene.opened.len(), 2);
    scene.frame(kind::PING, flag::ACK, 0, &sent[1].3).unwrap();
    assert_eq!(scene.sent(), [(kind::GOAWAY, 0, 0, vec![0, 0, 0, 3, 0, 0, 0, 0])]);
    scene.frame(kind::HEADERS, END, 5, &block("GET", &[])).unwrap();
    assert_eq!(scene.resets(), [(5, 7)]);
    assert_eq!(scene.opened.len(), 2);
    for id in [1, 3] {
        assert!(!scene.connection.is_finished());
        scene.answer(id, BodyLength::None, true);
    }
    assert!(scene.connection.is_finished());
}

#[test]
fn a_client_that_says_goodbye_is_served_to_the_end() {
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[])).unwrap();
    scene.frame(kind::GOAWAY, 0, 0, &[0; 8]).unwrap();
    assert!(!scene.connection.is_finished());
    scene.answer(1, BodyLength::None, true);
    assert!(scene.connection.is_finished());
}

#[test]
fn a_long_head_goes_on_in_continuations() {
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[])).unwrap();
    let mut fields = Fields::new();
    fields.append("x-long", Bytes::from(vec![b'x'; 40_000]));
    scene.connection.send_head(1, &response(&fields, BodyLength::None), true).unwrap();
    let sent = scene.sent();
    let kinds: Vec<_> = sent.iter().map(|f| (f.0, f.1, f.3.len().min(16_384))).collect();
    assert_eq!(kinds[..2], [(kind::HEADERS, 1, 16_384), (kind::CONTINUATION, 0, 16_384)]);
    assert_eq!((kinds.len(), kinds[2].0, kinds[2].1), (3, kind::CONTINUATION, 4));
}

#[test]
fn what_cannot_be_sent_leaves_nothing_behind() {
    let mut scene = Scene::new();
    scene.frame(kind::HEADERS, END, 1, &block("GET", &[])).unwrap();
    for (name, value) in [("connection", "close"), ("transfer-encoding", "chunked"), ("x", "a\nb")]
    {
        let mut bad = Fields::new();
        bad.append(name, value);
        let head = response(&bad, BodyLength::None);
        assert!(scene.connection.send_head(1, &head, true).is_err(), "{name}");
        assert_eq!(scene.sent(), [], "{name}");
    }
    scene.connection.give_up(1);
    let sent = scene.sent();
    assert_eq!((sent[0].0, sent[0].1, sent[0].3[0]), (kind::HEADERS, 5, 0x8e));
}

#[test]
fn a_client_with_a_small_table_is_told_that_there_is_none() {
    let mut scene = Scene::new();
    scene.frame(kind::SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 100]).unwrap();
    for (id, first) in [(1, 0x20), (3, 0x88)] {
        scene.frame(kind::HEADERS, END, id, &block("GET", &[])).unwrap();
        scene.sent();
        scene.answer(id, BodyLength::None, true);
        assert_eq!(scene.sent()[0].3[0], first);
    }
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        list in prop::collection::vec(
            (0..11_u8, prop::sample::select(vec![0_u8, 1, 4, 5, 8]), 0..5_u32,
             prop::collection::vec(any::<u8>(), 0..20)), 0..12),
        at in 0..300_usize,
    ) {
        let mut bytes = frame(kind::HEADERS, 4, 1, &block("POST", &[]));
        for (kind, flags, id, payload) in &list {
            bytes.extend(frame(*kind, *flags, *id, payload));
        }
        let seen = |pieces: &[&[u8]]| {
            let mut scene = Scene::new();
            let ended = pieces.iter().try_for_each(|piece| scene.feed(piece)).err();
            (ended, scene.sent())
        };
        let whole = seen(&[&bytes]);
        let (a, b) = bytes.split_at(at.min(bytes.len()));
        prop_assert_eq!(&seen(&[a, b]), &whole);
        let singles: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(seen(&singles), whole);
    }
}
