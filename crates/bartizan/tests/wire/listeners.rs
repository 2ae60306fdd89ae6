//! Listeners in clear and with TLS: what they serve and to whom.

use std::net::{Ipv4Addr, SocketAddr};

use bartizan_tls::Issued;

use super::harness::{
    Client, Gateway, Pki, Setup, Upstream, hybrid_key_exchange, open_route, quoted,
};

/// A listener with a certificate of its own; further keys of its TLS with a comma before them.
pub(crate) fn tls_listener(issued: &Issued, further: &str) -> String {
    format!(
        "{{address: '127.0.0.1:0', tls: {{certificates: [{{cert: {}, key: {}}}]{further}}}}}",
        quoted(&issued.chain),
        quoted(issued.key.expose_str().unwrap()),
    )
}

#[test]
fn plaintext_beyond_loopback_only_redirects() {
    let upstream = Upstream::plain();
    let gateway = Setup::default()
        .listeners("{address: '0.0.0.0:0'}")
        .serve(&open_route(upstream.address(), ""));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.address().port()));
    let mut client = Client::connect(address);
    for method in ["GET", "POST", "DELETE"] {
        client.send(format!(
            "{method} /a/../b?c=d HTTP/1.1\r\nHost: api.test\r\nAuthorization: Bearer x\r\n\r\n"
        ));
        let reply = client.reply(method);
        assert_eq!(reply.status, 308);
        assert_eq!(reply.field("location"), Some("https://api.test/b?c=d"));
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    assert_eq!(client.reply("GET").status, 400);
    drop(client);
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.events().len(), 4);
}

#[test]
fn plaintext_beyond_loopback_is_served_where_the_danger_is_accepted() {
    let upstream = Upstream::plain();
    let gateway = Setup::default()
        .listeners("{address: '0.0.0.0:0', danger_plaintext: true}")
        .serve(&open_route(upstream.address(), ""));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, gateway.address().port()));
    assert_eq!(Client::connect(address).get("/x").text(), "/x");
}

#[test]
fn a_wish_for_websocket_is_dropped_where_the_route_does_not_allow_it() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let reply = gateway.ask(
        "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    assert_eq!(reply.status, 200);
    let seen = upstream.complete().remove(0);
    assert_eq!(seen.field("upgrade"), None);
    assert!(!seen.head.to_lowercase().contains("sec-websocket"), "{}", seen.head);
    assert!(!seen.head.to_lowercase().contains("connection: upgrade"), "{}", seen.head);
}

#[test]
fn bytes_behind_a_wish_to_switch_protocols_are_no_tunnel() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    for protocol in ["websocket", "h2c", "TLS/1.0"] {
        let mut client = gateway.connect();
        client.send(format!(
            "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n\
             HTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: {protocol}\r\n\r\n\
             GET /admin HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"
        ));
        assert_eq!(client.reply("GET").status, 200, "{protocol}");
        assert_eq!(client.reply("GET").status, 400, "{protocol}: judged like any other request");
    }
    assert!(upstream.seen().iter().all(|seen| seen.target == "/chat"));
}

#[test]
fn a_client_and_the_gateway_agree_on_a_key_that_resists_quantum_computers() {
    let pki = Pki::new("clients");
    let upstream = Upstream::plain();
    let gateway = Setup::default()
        .listeners(&tls_listener(&pki.server(&["api.test"]), ""))
        .serve(&open_route(upstream.address(), ""));
    let config = pki.trusting(&[&rustls::version::TLS13], &["http/1.1"]);
    let (stream, _) = Pki::shake(config, gateway.address(), "api.test");
    let group = stream.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, hybrid_key_exchange());
}

#[test]
fn a_host_that_the_connection_was_not_made_for_is_421_where_certificates_decide() {
    let (pki, clients) = (Pki::new("servers"), Pki::new("clients"));
    let upstream = Upstream::plain();
    let ssl = |name: &str, client: &str| {
        let issued = pki.server(&[name]);
        format!(
            "- {{id: '{name}', snis: [{name}], cert: {}, key: {}{client}}}\n",
            quoted(&issued.chain),
            quoted(issued.key.expose_str().unwrap()),
        )
    };
    let client = format!(", client: {{ca: {}, depth: 1}}", quoted(&clients.root()));
    let resources = format!(
        "{}ssls:\n{}{}",
        open_route(upstream.address(), ""),
        ssl("open.test", ""),
        ssl("closed.test", &client)
    );
    let gateway = Setup::default().listeners("{address: '127.0.0.1:0', tls: {}}").serve(&resources);
    // Domain fronting: a handshake that asks for no certificate, then the host that needs one.
    let mut client = pki.connect(gateway.address(), "open.test", &["http/1.1"]);
    client.send("GET / HTTP/1.1\r\nHost: closed.test\r\n\r\n");
    let reply = client.reply("GET");
    assert!([400, 421].contains(&reply.status), "{reply:?}");
    client.send("GET /fine HTTP/1.1\r\nHost: open.test\r\n\r\n");
    assert_eq!(client.reply("GET").text(), "/fine");
    drop(client);
    assert_eq!(upstream.seen().len(), 1);
    gateway.only_event();
}

#[test]
fn a_host_that_asks_for_client_certificates_is_not_served_in_clear_and_others_are() {
    let (pki, clients) = (Pki::new("servers"), Pki::new("clients"));
    let upstream = Upstream::plain();
    let issued = pki.server(&["closed.test"]);
    let resources = format!(
        "{}ssls:\n- {{id: a, snis: [closed.test], cert: {}, key: {}, client: {{ca: {}}}}}\n",
        open_route(upstream.address(), ""),
        quoted(&issued.chain),
        quoted(issued.key.expose_str().unwrap()),
        quoted(&clients.root()),
    );
    let gateway = Gateway::serving(&resources);
    let mut client = gateway.connect();
    let closed = ["closed.test", "CLOSED.Test", "closed.test:80", "closed.test:443"];
    for host in closed {
        client.send(format!("GET /closed HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(client.reply("GET").status, 400, "{host}");
        client.send("GET /open HTTP/1.1\r\nHost: open.test\r\n\r\n");
        assert_eq!(client.reply("GET").text(), "/open", "after {host}");
    }
    drop(client);
    assert!(upstream.seen().iter().all(|seen| seen.target == "/open"), "{:?}", upstream.seen());
    let events = gateway.events();
    assert_eq!(events.len(), closed.len());
    assert!(events.iter().all(|event| event["reason"] == "tls.client_certificate_required"));
}
