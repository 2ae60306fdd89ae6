//! Deadlines and numbers of connections. The limits are small, so that the tests are short; none
//! depends on something being fast.

use std::time::{Duration, Instant};

use super::harness::{Gateway, Setup, Upstream, open_route, until};

fn limited(limits: &str, upstream: &Upstream) -> Gateway {
    Setup::default().limits(limits).serve(&open_route(upstream.address(), ", retries: 0"))
}

/// An upstream that never answers.
fn silent() -> Upstream {
    Upstream::start(|peer, _| {
        peer.wait_for_end();
        false
    })
}

#[test]
fn a_header_that_does_not_end_is_408() {
    let upstream = Upstream::plain();
    let gateway = limited("header_time: 200ms", &upstream);
    let mut client = gateway.connect();
    let begun = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: api");
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.field("connection")), (408, Some("close")));
    assert!(begun.elapsed() >= Duration::from_millis(190));
    client.expect_end();
    drop(client);
    let event = gateway.only_event();
    assert_eq!((&event["reason"], &event["status"]), (&"http.client_timeout".into(), &408.into()));
    assert!(gateway.metrics().contains("limit=\"header_time\"} 1"), "{}", gateway.metrics());
}

#[test]
fn a_header_that_drips_is_408_all_the_same() {
    let upstream = Upstream::plain();
    let gateway = limited("header_time: 300ms", &upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    let end = Instant::now() + Duration::from_secs(20);
    // A byte after the other, which no wait for the next byte would ever end.
    while client.try_send("x") && Instant::now() < end {
        if gateway.metrics().contains("limit=\"header_time\"} 1") {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(client.reply("GET").status, 408);
    assert_eq!(upstream.seen().len(), 0);
}

#[test]
fn a_second_header_on_a_connection_has_its_own_time() {
    let upstream = Upstream::plain();
    let gateway = limited("header_time: 200ms", &upstream);
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status, 200);
    client.send("GET /");
    assert_eq!(client.reply("GET").status, 408);
    client.expect_end();
}

#[test]
fn a_connection_on_which_nothing_comes_is_closed_without_a_word() {
    let upstream = Upstream::plain();
    let gateway = limited("first_byte: 150ms, idle: 150ms", &upstream);
    let mut client = gateway.connect();
    client.expect_end();
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status, 200);
    client.expect_end();
    drop(client);
    assert!(gateway.events().is_empty());
}

#[test]
fn an_upstream_that_does_not_answer_is_504() {
    let upstream = silent();
    let gateway = limited("upstream_read: 200ms", &upstream);
    let mut client = gateway.connect();
    let reply = client.get("/");
    assert_eq!((reply.status, reply.reason().as_str()), (504, "upstream.timeout"));
    drop(client);
    let event = gateway.only_event();
    let node = upstream.address().to_string();
    assert!(event["detail"].as_str().unwrap().contains(&node), "{event}");
}

#[test]
fn a_route_has_its_own_patience_with_its_upstream() {
    let upstream = silent();
    let route =
        open_route(upstream.address(), ", retries: 0, timeout: {connect: 1, send: 1, read: 0.2}");
    let gateway = Gateway::serving(&route);
    assert_eq!(gateway.connect().get("/").status, 504);
}

#[test]
fn an_upstream_that_stops_mid_answer_is_cut() {
    let upstream = Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        peer.wait_for_end();
        false
    });
    let gateway = limited("upstream_read: 200ms", &upstream);
    let mut client = gateway.connect();
    let reply = client.get("/");
    assert_eq!((reply.status, reply.is_complete, reply.text().as_str()), (200, false, "hello"));
    drop(client);
    assert_eq!(gateway.only_event()["reason"], "upstream.timeout");
}

#[test]
fn an_exchange_as_a_whole_has_an_end() {
    let upstream = silent();
    let gateway = limited("request_time: 200ms", &upstream);
    let reply = gateway.connect().get("/");
    assert_eq!((reply.status, reply.reason().as_str()), (504, "http.request_timeout"));
    assert_eq!(gateway.only_event()["reason"], "http.request_timeout");
}

#[test]
fn a_body_that_does_not_come_is_408_or_504_at_the_end_of_the_exchange() {
    let upstream = Upstream::plain();
    let gateway = limited("request_time: 300ms, body_grace: 100ms", &upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello");
    let reply = client.reply("POST");
    assert!([408, 504].contains(&reply.status), "{reply:?}");
    client.expect_end();
    drop(client);
    gateway.only_event();
    assert!(upstream.complete().is_empty());
}

#[test]
fn a_body_slower_than_the_least_rate_is_408() {
    let upstream = Upstream::plain();
    // The rate is measured over ten seconds, after the grace: this test takes as long.
    let gateway = limited("body_rate: 1KiB, body_grace: 1ms", &upstream);
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nhello");
    let reply = client.reply("POST");
    assert_eq!((reply.status, reply.reason().as_str()), (408, "http.client_timeout"));
    client.expect_end();
    drop(client);
    let event = gateway.only_event();
    assert!(event["detail"].as_str().unwrap().contains("slowly"), "{event}");
    assert!(upstream.complete().is_empty());
}

#[test]
fn an_address_has_so_many_connections_and_the_next_is_refused_until_one_ends() {
    let upstream = Upstream::plain();
    let gateway = limited("connections_per_address: 2", &upstream);
    let mut first = gateway.connect();
    let mut second = gateway.connect();
    assert_eq!([first.get("/").status, second.get("/").status], [200, 200]);
    let mut third = gateway.connect();
    assert_eq!(third.reply("GET").status, 503);
    third.expect_end();
    assert_eq!(first.get("/").status, 200, "those that are there go on");
    drop(second);
    until("a place is free", || gateway.running().connections() == 1);
    assert_eq!(gateway.connect().get("/").status, 200);
    drop(first);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "connection.too_many");
    assert_eq!(event["detail"], "over `limits.connections_per_address`");
}

#[test]
fn the_node_has_so_many_connections() {
    let upstream = Upstream::plain();
    let gateway = limited("connections: 1", &upstream);
    let mut first = gateway.connect();
    assert_eq!(first.get("/").status, 200);
    let mut second = gateway.connect();
    assert_eq!(second.reply("GET").status, 503);
    second.expect_end();
    drop(first);
    assert_eq!(gateway.only_event()["detail"], "over `limits.connections`");
}

#[test]
fn many_slow_headers_do_not_keep_others_from_being_served() {
    let upstream = Upstream::plain();
    let gateway = limited("header_time: 300ms", &upstream);
    let mut slow: Vec<_> = (0..100).map(|_| gateway.connect()).collect();
    for client in &mut slow {
        client.send("GET / HTTP/1.1\r\n");
    }
    for count in 0..20 {
        let target = format!("/{count}");
        assert_eq!(gateway.connect().get(&target).text(), target);
    }
    for client in &mut slow {
        assert_eq!(client.reply("GET").status, 408);
    }
    drop(slow);
    assert_eq!(gateway.events().len(), 100);
}

#[test]
fn a_handshake_that_does_not_end_is_cut_and_told() {
    let pki = super::harness::Pki::new("test");
    let issued = pki.server(&["api.test"]);
    let upstream = Upstream::plain();
    let gateway = Setup::default()
        .listeners(&super::listeners::tls_listener(&issued, ""))
        .limits("handshake: 200ms")
        .serve(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    client.send([0x16, 3, 1, 2, 0]);
    client.expect_end();
    drop(client);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "tls.handshake_failed");
    assert_eq!(event["detail"], "not finished within 200 ms");
}

#[test]
fn a_client_that_does_not_read_its_answer_is_cut_and_the_upstream_with_it() {
    let upstream = Upstream::start(|peer, _| {
        let length = 256 * 1024 * 1024;
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
        let piece = vec![b'x'; 1024 * 1024];
        // Far more than buffers hold: it ends only because it is cut.
        let written = (0..256).take_while(|_| peer.try_send(&piece)).count();
        assert!(written < 256);
        false
    });
    let gateway = limited("idle: 300ms", &upstream);
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the upstream has it", || !upstream.seen().is_empty());
    until("the connection is given up", || gateway.running().connections() == 0);
    let event = gateway.only_event();
    assert_eq!(event["reason"], "http.client_timeout");
    assert_eq!(event["detail"], "the client read nothing for `limits.idle`");
    drop(client);
}
