//! What passes through a WebSocket, byte by byte, and what breaks it.

use super::harness::{Gateway, Setup, Upstream};
use super::websocket::{OPEN, agreement, handshake, route, route_with};

/// A frame of a client, under a mask that changes nothing.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = plain(first, payload);
    frame[1] |= 0x80;
    let at = frame.len() - payload.len();
    frame.splice(at..at, [0; 4]);
    frame
}

/// A frame of a server.
pub(crate) fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    if let Ok(short @ 0..=125) = u8::try_from(payload.len()) {
        frame.push(short);
    } else {
        frame.push(126);
        frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    }
    frame.extend(payload);
    frame
}

/// The Close frame that a client is told, with this code.
pub(crate) fn told(code: u16) -> Vec<u8> {
    plain(0x88, &code.to_be_bytes())
}

/// The code of the one Close frame that an upstream was told, behind `before`.
pub(crate) fn code_behind(bytes: &[u8], before: &[u8]) -> u16 {
    let close = bytes.strip_prefix(before).unwrap_or_else(|| panic!("{bytes:?}"));
    let [0x88, 0x82, a, b, _, _, high, low] = *close else { panic!("no close frame: {bytes:?}") };
    u16::from_be_bytes([high ^ a, low ^ b])
}

/// An upstream that agrees, sends these bytes, and tells what it was sent until the end.
pub(crate) fn agreeing(bytes: Vec<u8>) -> (Upstream, std::sync::mpsc::Receiver<Vec<u8>>) {
    let (tell, told) = std::sync::mpsc::channel();
    let upstream = Upstream::start(move |peer, _| {
        peer.send(agreement(""));
        peer.send(&bytes);
        tell.send(peer.rest()).unwrap();
        false
    });
    (upstream, told)
}

#[test]
fn bytes_pass_both_ways_and_one_side_may_end_before_the_other() {
    let upstream = Upstream::start(|peer, _| {
        peer.send(agreement(""));
        let sent = peer.rest();
        peer.send(plain(0x82, &sent));
        false
    });
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = gateway.connect();
    let frames = [masked(0x01, b"one"), masked(0x89, b""), masked(0x80, b"two")].concat();
    // The first of it comes with the handshake, and waits until the upstream has agreed.
    client.send([handshake("").as_bytes(), &frames[..4]].concat());
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    for byte in &frames[4..] {
        client.send([*byte]);
    }
    client.finish_sending();
    assert_eq!(client.rest(), plain(0x82, &frames));
    assert!(gateway.events().is_empty());
    let counted = gateway.metrics();
    assert!(counted.contains(&format!("bartizan_bytes_in_total {}", frames.len())), "{counted}");
    let out = plain(0x82, &frames).len();
    assert!(counted.contains(&format!("bartizan_bytes_out_total {out}")), "{counted}");
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_and_so_is_the_upstream() {
    for (wrong, detail) in [
        (plain(0x81, b"x"), "without a mask"),
        (masked(0xc1, b"x"), "reserved bit"),
        (masked(0x83, b"x"), "reserved opcode"),
        (masked(0x09, b"x"), "in parts"),
        (masked(0x89, &[0; 126]), "more than 125"),
        (masked(0x80, b"x"), "of no message"),
    ] {
        let (upstream, seen) = agreeing(Vec::new());
        let gateway = Gateway::serving(&route(upstream.address()));
        let mut client = gateway.connect();
        client.send(handshake(""));
        assert_eq!(client.one_reply("GET").unwrap().status, 101);
        let sound = masked(0x81, b"hello");
        client.send([&sound[..], &wrong, &sound].concat());
        assert_eq!(client.rest(), told(1_002), "{detail}");
        assert_eq!(code_behind(&seen.recv().unwrap(), &sound), 1_002, "{detail}");
        drop(client);
        let event = gateway.only_event();
        assert_eq!(event["reason"], "websocket.bad_frame");
        assert_eq!(event["status"], 101);
        assert!(event["detail"].as_str().unwrap().contains(detail), "{event}");
    }
}

#[test]
fn an_upstream_that_breaks_it_is_told_and_so_is_the_client() {
    let sound = plain(0x82, b"hello");
    let (upstream, seen) = agreeing([&sound[..], &masked(0x82, b"x")].concat());
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = gateway.connect();
    client.send(handshake(""));
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    assert_eq!(client.rest(), [sound, told(1_002)].concat());
    assert_eq!(code_behind(&seen.recv().unwrap(), b""), 1_002);
    drop(client);
    let event = gateway.only_event();
    assert!(event["detail"].as_str().unwrap().contains("the upstream: a frame"), "{event}");
}

#[test]
fn who_is_told_in_the_middle_of_a_frame_gets_the_rest_of_it_first() {
    let (go, gone) = std::sync::mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let upstream = Upstream::start(move |peer, _| {
        peer.send(agreement(""));
        let frame = plain(0x82, &[7; 1_000]);
        peer.send(&frame[..500]);
        gone.lock().unwrap().recv().unwrap();
        peer.send([&frame[500..], &plain(0x82, b"more")].concat());
        peer.wait_for_end();
        false
    });
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = gateway.connect();
    client.send(handshake(""));
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    client.until(|seen| seen.len() == 500);
    client.send(plain(0x81, b"x"));
    go.send(()).unwrap();
    assert_eq!(client.rest(), [plain(0x82, &[7; 1_000]), told(1_002)].concat());
}

#[test]
fn the_longest_message_passes_and_a_longer_one_is_1009() {
    let (upstream, seen) = agreeing(Vec::new());
    let gateway =
        Setup::default().limits("websocket_message: 1KiB").serve(&route(upstream.address()));
    let mut client = gateway.connect();
    client.send(handshake(""));
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    let longest = [masked(0x82, &[1; 1_024]), masked(0x02, &[1; 1_023]), masked(0x80, &[1])];
    let longest = longest.concat();
    let first = masked(0x02, &[1; 1_024]);
    client.send([&longest[..], &first, &masked(0x80, &[1])].concat());
    assert_eq!(client.rest(), told(1_009));
    assert_eq!(code_behind(&seen.recv().unwrap(), &[longest, first].concat()), 1_009);
    drop(client);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "websocket.message_too_large");
    assert!(gateway.metrics().contains("limit=\"websocket_message\"} 1"));
}

#[test]
fn compressed_messages_pass_where_that_was_agreed() {
    let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let upstream = Upstream::start(move |peer, _| {
        peer.send(agreement(extension));
        peer.send(plain(0xc2, b"packed"));
        peer.wait_for_end();
        false
    });
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = gateway.connect();
    client.send(handshake(extension));
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    let packed = plain(0xc2, b"packed");
    assert_eq!(client.until(|seen| seen.len() >= packed.len()), packed);
    client.finish_sending();
    client.rest();
    assert!(gateway.events().is_empty());
}

#[test]
fn a_client_that_reads_nothing_holds_little_and_is_let_go() {
    let upstream = Upstream::start(|peer, _| {
        peer.send(agreement(""));
        // A gateway that took all of it would have no end of it.
        let frame = plain(0x82, &vec![0; 60_000]);
        while peer.try_send(&frame) {}
        false
    });
    let gateway =
        Setup::default().limits("idle: 300ms").serve(&route_with(upstream.address(), OPEN, "", ""));
    let mut client = gateway.connect();
    client.send(handshake(""));
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "http.client_timeout");
    assert!(event["detail"].as_str().unwrap().contains("`limits.idle`"), "{event}");
    let counted = gateway.metrics();
    let out = counted.lines().find_map(|line| line.strip_prefix("bartizan_bytes_out_total "));
    assert!(out.unwrap().parse::<u64>().unwrap() < 64 << 20, "{counted}");
    drop(client);
}
