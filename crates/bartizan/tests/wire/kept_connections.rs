//! Which connections to an upstream are kept, for how long and for how many requests.

use std::sync::{Arc, Barrier};

use super::harness::{Gateway, Upstream, open_route};

/// How many connections so many requests one after the other take.
fn connections(requests: usize, keepalive: &str) -> usize {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(
        upstream.address(),
        &format!(", keepalive_pool: {{{keepalive}}}"),
    ));
    let mut client = gateway.connect();
    for _ in 0..requests {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.reply("GET").status, 200);
    }
    upstream.connections()
}

#[test]
fn a_connection_serves_as_many_requests_as_the_upstream_says() {
    for (keepalive, expected) in
        [("", 1), ("requests: 1", 6), ("requests: 2", 3), ("requests: 6", 1)]
    {
        assert_eq!(connections(6, keepalive), expected, "{keepalive}");
    }
}

#[test]
fn a_connection_is_idle_no_longer_than_the_upstream_says() {
    for (keepalive, expected) in [("idle_timeout: 0.000001", 3), ("idle_timeout: 3600", 1)] {
        assert_eq!(connections(3, keepalive), expected, "{keepalive}");
    }
}

#[test]
fn as_many_idle_connections_are_kept_as_the_upstream_says() {
    for (size, expected) in [(1, 3), (2, 2), (3, 2)] {
        // Two requests are always under way at once, so that each needs a connection.
        let both = Arc::new(Barrier::new(2));
        let upstream = Upstream::start(move |peer, seen| {
            both.wait();
            peer.answer(200, &seen.target);
            true
        });
        let pool = format!(", keepalive_pool: {{size: {size}}}");
        let route = open_route(upstream.address(), &pool).replace("uri: /*", "uri: /a");
        let gateway = Gateway::serving(&route);
        let mut clients = [gateway.connect(), gateway.connect()];
        // What is answered to `/b` says that what came before is over and its connection kept.
        for (path, status) in [("/a", 200), ("/b", 404), ("/a", 200)] {
            for client in &mut clients {
                client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            }
            for client in &mut clients {
                assert_eq!(client.reply("GET").status, status, "{path}");
            }
        }
        assert_eq!(upstream.connections(), expected, "{size}");
    }
}
