//! How a WebSocket ends when nobody broke it.

use std::time::{Duration, Instant};

use super::harness::{Client, Gateway, Setup, Upstream, until};
use super::websocket::{OPEN, agreement, handshake, route, route_with};
use super::websocket_frames::{agreeing, code_behind, masked, plain, told};

fn opened(gateway: &Gateway, lines: &str) -> Client {
    let mut client = gateway.connect();
    client.send(handshake(lines));
    assert_eq!(client.one_reply("GET").unwrap().status, 101);
    client
}

#[test]
fn both_are_told_when_nothing_moved_for_the_time_of_the_upstream() {
    let (upstream, seen) = agreeing(Vec::new());
    let timeout = ", timeout: {connect: 5, send: 5, read: 0.4}";
    let gateway = Gateway::serving(&route_with(upstream.address(), OPEN, "", timeout));
    let mut client = opened(&gateway, "");
    let begun = Instant::now();
    let ping = masked(0x89, b"");
    while begun.elapsed() < Duration::from_millis(600) {
        client.send(&ping);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(client.rest(), told(1_001));
    assert!(begun.elapsed() >= Duration::from_millis(950));
    let sent = seen.recv().unwrap();
    code_behind(&sent[sent.len() - 8..], b"");
    drop(client);
    let event = gateway.only_event();
    assert_eq!((&event["reason"], &event["status"]), (&"websocket.over".into(), &101.into()));
    assert!(event["detail"].as_str().unwrap().contains("`timeout.read`"), "{event}");
}

#[test]
fn however_much_moves_it_ends_with_the_time_of_the_node() {
    let upstream = Upstream::start(|peer, _| {
        peer.send(agreement(""));
        while peer.try_send(plain(0x89, b"")) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    });
    let limits = "websocket_time: 400ms, request_time: 200ms";
    let gateway = Setup::default().limits(limits).serve(&route(upstream.address()));
    let begun = Instant::now();
    let mut client = opened(&gateway, "");
    assert!(client.rest().ends_with(&told(1_001)));
    assert!(begun.elapsed() >= Duration::from_millis(390));
    drop(client);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "websocket.over");
    assert!(gateway.metrics().contains("limit=\"websocket_time\"} 1"), "{}", gateway.metrics());
}

#[test]
fn it_ends_with_the_credential_that_opened_it() {
    let (upstream, seen) = agreeing(Vec::new());
    let ends = bartizan_core::Clock::System.now().plus(Duration::from_secs(2)).to_rfc3339();
    let key = "0f8b7e6d5c4b3a2918070605040302ff";
    let consumer = format!(
        "consumers:\n- {{username: alice, plugins: {{key-auth: {{key: '{key}', \
         expires_at: '{}Z'}}}}}}\n",
        &ends[..19],
    );
    let plugins = "key-auth: {}, any-authenticated: {reason: a test}";
    let resources = route_with(upstream.address(), plugins, "", "") + &consumer;
    let gateway = Gateway::serving(&resources);
    let mut client = opened(&gateway, &format!("apikey: {key}\r\n"));
    assert_eq!(client.rest(), told(1_008));
    assert_eq!(code_behind(&seen.recv().unwrap(), b""), 1_008);
    drop(client);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "auth.expired_credential");
    assert_eq!(event["consumer"], "alice");
}

#[test]
fn a_node_that_shuts_down_tells_both_and_waits_for_neither_long() {
    let (upstream, seen) = agreeing(plain(0x81, b"hello"));
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = opened(&gateway, "");
    client.until(|bytes| bytes.len() == 7);
    let begun = Instant::now();
    let ending = std::thread::spawn(move || gateway.shut_down());
    assert_eq!(client.rest(), [plain(0x81, b"hello"), told(1_001)].concat());
    drop(client);
    assert_eq!(code_behind(&seen.recv().unwrap(), b""), 1_001);
    ending.join().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn the_last_place_is_given_and_given_again_when_it_is_free() {
    let (upstream, _seen) = agreeing(Vec::new());
    let gateway = Setup::default().limits("websockets: 1").serve(&route(upstream.address()));
    let first = opened(&gateway, "");
    let refused = gateway.ask(handshake(""));
    assert_eq!((refused.status, &*refused.reason()), (503, "websocket.too_many"));
    assert_eq!(upstream.seen().len(), 1);
    drop(first);
    until("the place is free", || gateway.metrics().contains("bartizan_websockets 0"));
    drop(opened(&gateway, ""));
    assert!(gateway.metrics().contains("limit=\"websockets\"} 1"));
}

#[test]
fn limit_conn_counts_it_for_as_long_as_it_lives() {
    let (upstream, _seen) = agreeing(Vec::new());
    let plugins = format!(
        "{OPEN}, limit-conn: {{conn: 1, burst: 0, default_conn_delay: 0.1, \
         key_type: var, key: remote_addr}}"
    );
    let gateway = Gateway::serving(&route_with(upstream.address(), &plugins, "", ""));
    let first = opened(&gateway, "");
    assert_eq!(gateway.ask(handshake("")).reason(), "limit.exceeded");
    drop(first);
    until("it is over", || gateway.running().connections() == 0);
    drop(opened(&gateway, ""));
}

#[test]
fn its_upstream_connection_serves_nothing_else() {
    let upstream = Upstream::start(|peer, seen| {
        if seen.field("upgrade").is_none() {
            peer.answer(200, "plain");
            return true;
        }
        peer.send(agreement(""));
        peer.take(6);
        peer.send(plain(0x88, b""));
        peer.wait_for_end();
        false
    });
    let gateway = Gateway::serving(&route(upstream.address()));
    assert_eq!(gateway.connect().get("/x").status, 200);
    let mut client = opened(&gateway, "");
    assert_eq!(upstream.connections(), 1, "it may be a kept one");
    client.send(masked(0x88, b""));
    assert_eq!(client.until(|bytes| bytes.len() == 2), plain(0x88, b""));
    drop(client);
    until("it is over", || gateway.metrics().contains("bartizan_websockets 0"));
    assert_eq!(gateway.connect().get("/x").status, 200);
    assert_eq!(upstream.connections(), 2);
    assert!(gateway.events().is_empty(), "who closes as one should is in no event");
}
