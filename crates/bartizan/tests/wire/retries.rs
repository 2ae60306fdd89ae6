//! Which requests are sent a second time, and why an upstream could not be reached.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::harness::{Gateway, Pki, ServerTls, Upstream, open_route, quoted, until};

fn two_nodes(first: SocketAddr, second: SocketAddr, further: &str) -> String {
    format!(
        "\
routes:
- id: open
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{nodes: {{'{first}': 1, '{second}': 1}}{further}}}
"
    )
}

#[test]
fn a_node_that_is_down_is_passed_over_whatever_the_method() {
    let upstream = Upstream::echo();
    let gateway = Gateway::serving(&two_nodes(Upstream::nowhere(), upstream.address(), ""));
    let mut client = gateway.connect();
    for count in 1..=6 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        assert_eq!(client.reply("POST").text(), "body", "{count}");
    }
    drop(client);
    assert_eq!(upstream.seen().len(), 6);
    assert!(gateway.events().is_empty());
}

#[test]
fn without_retries_a_node_that_is_down_is_502_with_its_cause() {
    let nowhere = Upstream::nowhere();
    let gateway = Gateway::serving(&open_route(nowhere, ""));
    let reply = gateway.connect().get("/");
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream.connect"));
    let event = gateway.only_event();
    let detail = event["detail"].as_str().unwrap();
    assert!(detail.contains(&nowhere.to_string()) && detail.contains("refused"), "{detail}");
}

/// An upstream that closes without an answer, and one that answers.
fn hangs_up() -> (Upstream, Upstream) {
    (Upstream::start(|_, _| false), Upstream::echo())
}

#[test]
fn an_idempotent_request_without_an_answer_goes_to_the_next_node() {
    for (method, body) in [("GET", ""), ("DELETE", ""), ("HEAD", ""), ("OPTIONS", "")] {
        let (broken, whole) = hangs_up();
        let gateway = Gateway::serving(&two_nodes(broken.address(), whole.address(), ""));
        for _ in 0..2 {
            let mut client = gateway.connect();
            client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n{body}"));
            assert_eq!(client.reply(method).status, 200, "{method}");
        }
        assert_eq!(whole.seen().len(), 2, "{method}");
        assert!(!broken.seen().is_empty(), "{method}");
        assert!(gateway.events().is_empty(), "{method}");
    }
}

#[test]
fn the_next_node_is_tried_within_the_time_for_all_tries_only() {
    for (limit, is_tried) in [("0.000001", false), ("3600", true)] {
        let (broken, whole) = hangs_up();
        let more = format!(", retry_timeout: {limit}");
        let gateway = Gateway::serving(&two_nodes(broken.address(), whole.address(), &more));
        let statuses: Vec<u16> =
            (0..2).map(|_| gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status).collect();
        assert_eq!(statuses.contains(&502), !is_tried, "{statuses:?}");
        assert!(statuses.contains(&200), "{statuses:?}");
    }
}

#[test]
fn a_request_that_is_not_idempotent_is_sent_once() {
    let (broken, whole) = hangs_up();
    let gateway = Gateway::serving(&two_nodes(broken.address(), whole.address(), ""));
    let statuses: Vec<u16> = (0..2)
        .map(|_| gateway.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").status)
        .collect();
    assert!(statuses.contains(&200) && statuses.contains(&502), "{statuses:?}");
    assert_eq!((broken.seen().len(), whole.seen().len()), (1, 1));
    assert_eq!(gateway.only_event()["reason"], "upstream.closed");
}

#[test]
fn a_streamed_body_cannot_be_sent_again() {
    let (broken, whole) = hangs_up();
    let gateway = Gateway::serving(&two_nodes(broken.address(), whole.address(), ""));
    let statuses: Vec<u16> = (0..2)
        .map(|_| gateway.ask("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab").status)
        .collect();
    assert!(statuses.contains(&502), "{statuses:?}");
    assert_eq!((broken.seen().len(), whole.seen().len()), (1, 1));
}

#[test]
fn a_kept_connection_that_the_upstream_closed_is_not_noticed_by_clients() {
    let closes = Arc::new(AtomicBool::new(false));
    let told = closes.clone();
    let upstream = Upstream::start(move |peer, seen| {
        peer.answer(200, &seen.target);
        // The answer does not announce that this is the end.
        !told.load(Ordering::SeqCst)
    });
    closes.store(true, Ordering::SeqCst);
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    for count in 1..=20 {
        let target = format!("/{count}");
        assert_eq!(client.get(&target).text(), target);
    }
    drop(client);
    assert_eq!(upstream.seen().len(), 20, "each was sent once");
    assert!(gateway.events().is_empty());
}

#[test]
fn a_kept_connection_is_used_again() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    for count in 1..=5 {
        let target = format!("/{count}");
        assert_eq!(gateway.connect().get(&target).text(), target);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn a_connection_that_is_never_accepted_is_504_in_time() {
    // A full queue of connections: the system answers no further SYN.
    let listener =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let listener: TcpListener = listener.into();
    let address = listener.local_addr().unwrap();
    let fill = || {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address.into());
        socket
    };
    let _filling: Vec<_> = (0..8).map(|_| fill()).collect();
    let gateway = super::harness::Setup::default()
        .limits("upstream_connect: 300ms")
        .serve(&open_route(address, ", retries: 0"));
    let reply = gateway.connect().get("/");
    assert!([502, 504].contains(&reply.status), "{reply:?}");
    let event = gateway.only_event();
    let detail = event["detail"].as_str().unwrap();
    assert!(detail.contains("connecting took longer than 300 ms"), "{detail}");
}

fn https(node: SocketAddr, tls: &str) -> String {
    format!(
        "\
routes:
- id: open
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{scheme: https, nodes: {{'{node}': 1}}, tls: {{{tls}}}}}
"
    )
}

fn answering(tls: ServerTls) -> Upstream {
    Upstream::start_tls(tls, |peer, seen| {
        peer.answer(200, &seen.target);
        true
    })
}

#[test]
fn an_https_upstream_is_reached_where_it_proves_who_it_is() {
    let pki = Pki::new("upstreams");
    let upstream = answering(ServerTls::showing(&pki.server(&["127.0.0.1"])));
    let gateway =
        Gateway::serving(&https(upstream.address(), &format!("ca_certs: {}", quoted(&pki.root()))));
    for target in ["/1", "/2"] {
        assert_eq!(gateway.connect().get(target).text(), target);
    }
    assert_eq!(upstream.connections(), 1);
}

#[test]
fn an_https_upstream_that_does_not_prove_who_it_is_is_502_and_the_event_says_why() {
    let (pki, other) = (Pki::new("upstreams"), Pki::new("somebody else"));
    let trusted = format!("ca_certs: {}", quoted(&pki.root()));
    for (name, issued, tls, cause) in [
        ("another authority", other.server(&["127.0.0.1"]), trusted.as_str(), "authority"),
        ("another name", pki.server(&["other.test"]), &trusted, "other.test"),
        ("expired", pki.expired(&["127.0.0.1"]), &trusted, "expired"),
        ("the system's authorities", pki.server(&["127.0.0.1"]), "", "authority"),
    ] {
        let upstream = answering(ServerTls::showing(&issued));
        let gateway = Gateway::serving(&https(upstream.address(), tls));
        let reply = gateway.connect().get("/");
        assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream.connect"), "{name}");
        assert!(upstream.seen().is_empty(), "{name}");
        let event = gateway.only_event();
        let detail = event["detail"].as_str().unwrap().to_lowercase();
        assert!(detail.contains(cause), "{name}: {detail}");
        assert!(!reply.text().contains("127.0.0.1"), "{name}: the client learns nothing of it");
    }
}

#[test]
fn a_plaintext_upstream_behind_https_is_502() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").unwrap();
        socket
    });
    let pki = Pki::new("upstreams");
    let tls = format!("ca_certs: {}", quoted(&pki.root()));
    let gateway = Gateway::serving(&https(address, &tls));
    assert_eq!(gateway.connect().get("/").status, 502);
    server.join().unwrap();
    assert!(gateway.only_event()["detail"].as_str().unwrap().contains("tls"));
}

#[test]
fn a_client_that_goes_ends_what_its_request_had_begun() {
    let ended = Arc::new(AtomicBool::new(false));
    let told = ended.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.wait_for_end();
        told.store(true, Ordering::SeqCst);
        false
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the upstream has it", || !upstream.seen().is_empty());
    drop(client);
    until("the upstream's connection ended", || ended.load(Ordering::SeqCst));
    assert_eq!(gateway.only_event()["reason"], "client.gone");
}
