//! WebSocket: who may open one, and that two programs that know nothing of the gateway talk
//! through it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rustls::StreamOwned;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocket};
use tungstenite::{Message, accept_hdr, client};

use super::harness::{Client, Gateway, Pki, Reply, ServerTls, Setup, Upstream, quoted, socket};
use super::listeners::tls_listener;

pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A handshake with further lines, each with its end.
pub(crate) fn handshake(lines: &str) -> String {
    format!(
        "GET /chat HTTP/1.1\r\nHost: api.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
    )
}

/// A route for everything that takes handshakes; its plugins, and further keys of it and of its
/// upstream in YAML's flow style, with a comma before them.
pub(crate) fn route_with(node: SocketAddr, plugins: &str, more: &str, upstream: &str) -> String {
    format!(
        "routes:\n- {{id: ws, uri: /*, enable_websocket: true, plugins: {{{plugins}}}{more}, \
         upstream: {{nodes: {{'{node}': 1}}{upstream}}}}}\n"
    )
}

pub(crate) const OPEN: &str = "anonymous-access: {reason: a test}";

pub(crate) fn route(node: SocketAddr) -> String {
    route_with(node, OPEN, "", "")
}

/// The answer that agrees, with further lines.
pub(crate) fn agreement(lines: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n{lines}\r\n"
    )
}

/// An upstream that answers every request with these bytes, and says nothing more.
fn saying(answer: String) -> Upstream {
    Upstream::start(move |peer, _| {
        peer.send(&answer);
        peer.wait_for_end();
        false
    })
}

/// A server that gives back each message, and agrees to the first subprotocol.
fn echo(tls: Option<ServerTls>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, tls) = (stream.unwrap(), tls.clone());
            std::thread::spawn(move || match tls {
                Some(tls) => serve_echo(tls.accept(stream)),
                None => serve_echo(stream),
            });
        }
    });
    address
}

#[expect(clippy::result_large_err, reason = "the library's callback")]
fn serve_echo<S: Read + Write>(stream: S) {
    use tungstenite::handshake::server::{Request, Response};
    let choose = |request: &Request, mut response: Response| {
        let offered = request.headers().get("sec-websocket-protocol");
        if let Some(first) = offered.and_then(|value| value.to_str().ok()?.split(',').next()) {
            response.headers_mut().insert("sec-websocket-protocol", first.parse().unwrap());
        }
        Ok(response)
    };
    let mut socket = accept_hdr(stream, choose).unwrap();
    while let Ok(message) = socket.read() {
        if message.is_text() || message.is_binary() {
            socket.send(message).unwrap();
        }
    }
}

fn talk<S: Read + Write>(mut socket: WebSocket<S>) {
    let long = vec![7; 300_000];
    for message in [Message::text("hello"), Message::binary(long), Message::binary(vec![])] {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping(b"there?"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"there?"[..].into()));
    let bye = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    socket.close(Some(bye.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(bye)));
    assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
}

#[test]
fn a_client_and_a_server_that_know_nothing_of_it_talk_through_the_gateway() {
    let gateway = Gateway::serving(&route(echo(None)));
    let (socket, answer) = client("ws://api.test/chat", socket(gateway.address())).unwrap();
    assert_eq!(answer.status(), 101);
    assert!(gateway.metrics().contains("bartizan_websockets 1"), "{}", gateway.metrics());
    talk(socket);
    assert!(gateway.events().is_empty());
    assert!(gateway.metrics().contains("bartizan_websockets 0"), "{}", gateway.metrics());
}

#[test]
fn the_same_under_tls_on_both_sides_with_a_subprotocol() {
    let (pki, inner) = (Pki::new("outside"), Pki::new("inside"));
    let node = echo(Some(ServerTls::showing(&inner.server(&["127.0.0.1"]))));
    let upstream = format!(", scheme: https, tls: {{ca_certs: {}}}", quoted(&inner.root()));
    let gateway = Setup::default()
        .listeners(&tls_listener(&pki.server(&["api.test"]), ""))
        .serve(&route_with(node, OPEN, "", &upstream));
    let config = pki.trusting(rustls::ALL_VERSIONS, &["http/1.1"]);
    let (stream, _): (StreamOwned<_, _>, _) = Pki::shake(config, gateway.address(), "api.test");
    let request = tungstenite::ClientRequestBuilder::new("wss://api.test/chat".parse().unwrap())
        .with_sub_protocol("mqtt")
        .with_sub_protocol("amqp");
    let (socket, answer) = client(request, stream).unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "mqtt");
    talk(socket);
    assert!(gateway.events().is_empty());
}

fn refusal(gateway: &Gateway, bytes: &str) -> (Reply, String) {
    let reply = gateway.ask(bytes);
    let reason = reply.reason();
    (reply, reason)
}

#[test]
fn half_a_handshake_is_refused_and_the_upstream_sees_nothing() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&route(upstream.address()));
    let whole = handshake("");
    for (from, to) in [
        ("GET", "POST"),
        ("HTTP/1.1", "HTTP/1.0"),
        ("Connection: Upgrade\r\n", ""),
        ("Upgrade: websocket\r\n", ""),
        ("Upgrade: websocket", "Upgrade: websocket, h2c"),
        ("Connection: Upgrade", "Connection: Upgrade, close"),
        ("Sec-WebSocket-Version: 13\r\n", ""),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j"),
    ] {
        let (reply, reason) = refusal(&gateway, &whole.replacen(from, to, 1));
        assert_eq!((reply.status, &*reason), (400, "websocket.bad_handshake"), "{from}: {to}");
    }
    let twice = handshake("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    assert_eq!(refusal(&gateway, &twice).0.status, 400);
    let (reply, reason) = refusal(&gateway, &whole.replace("Version: 13", "Version: 8"));
    assert_eq!((reply.status, &*reason), (426, "websocket.version"));
    assert_eq!(reply.field("sec-websocket-version"), Some("13"));
    assert_eq!(reply.field("upgrade"), Some("websocket"));
    assert_eq!(upstream.seen().len(), 0);
    assert_eq!(gateway.connect().get("/x").text(), "/x", "other requests are served");
}

#[test]
fn a_route_says_so_or_its_service_does_and_the_route_wins() {
    let upstream = Upstream::start(|peer, seen| {
        if seen.field("upgrade").is_some() {
            peer.send(agreement(""));
            return false;
        }
        assert!(!seen.head.to_lowercase().contains("sec-websocket"), "{}", seen.head);
        peer.answer(200, "plain");
        true
    });
    let resources = |service: &str, route: &str| {
        format!(
            "services:\n- {{id: s, upstream: {{nodes: {{'{}': 1}}}}{service}}}\n\
             routes:\n- {{id: r, uri: /*, service_id: s, plugins: {{{OPEN}}}{route}}}\n",
            upstream.address(),
        )
    };
    let gateway = Gateway::serving(&resources("", ""));
    let (on, off) = (", enable_websocket: true", ", enable_websocket: false");
    for (service, route, status) in
        [("", "", 200), (on, "", 101), (on, off, 200), (off, on, 101), ("", on, 101)]
    {
        gateway.apply(&resources(service, route));
        let mut client = gateway.connect();
        client.send(handshake(""));
        let reply = client.one_reply("GET").unwrap();
        assert_eq!(reply.status, status, "{service} {route}");
    }
}

#[test]
fn what_an_upstream_makes_of_a_handshake_is_checked() {
    let offer = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    for wrong in [
        agreement("").replace(ACCEPT, "s3pPLMBiTxaQ9kYGzzhZRbK+xOp="),
        agreement("").replace("Sec-WebSocket-Accept", "X-Accept"),
        agreement("").replace("Upgrade: websocket", "Upgrade: h2c"),
        agreement("").replace("Connection: Upgrade\r\n", ""),
        agreement("Sec-WebSocket-Protocol: mqtt\r\n"),
        agreement("Sec-WebSocket-Extensions: x-other\r\n"),
    ] {
        let upstream = saying(wrong.clone());
        let gateway = Gateway::serving(&route(upstream.address()));
        let (reply, reason) = refusal(&gateway, &handshake(offer));
        assert_eq!((reply.status, &*reason), (502, "upstream.malformed"), "{wrong}");
    }
    let unasked = saying(agreement(""));
    let gateway = Gateway::serving(&route(unasked.address()));
    assert_eq!(gateway.connect().get("/x").status, 502, "a switch that nobody asked for");
    let lines = "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let upstream = saying(agreement(lines));
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = gateway.connect();
    client.send(handshake(offer));
    let reply = client.one_reply("GET").unwrap();
    assert_eq!((reply.status, reply.field("sec-websocket-accept")), (101, Some(ACCEPT)));
    assert_eq!(reply.field("sec-websocket-protocol"), Some("chat"));
    assert_eq!(reply.field("sec-websocket-extensions"), Some("permessage-deflate"));
}

#[test]
fn any_other_answer_is_an_ordinary_one() {
    let upstream = Upstream::start(|peer, seen| {
        peer.answer(if seen.field("upgrade").is_some() { 403 } else { 200 }, "no");
        true
    });
    let gateway = Gateway::serving(&route(upstream.address()));
    let mut client = gateway.connect();
    client.send(handshake(""));
    assert_eq!(client.reply("GET").status, 403);
    assert_eq!(client.get("/x").status, 200, "both connections go on");
    assert_eq!(upstream.connections(), 1);
}

fn open(gateway: &Gateway, lines: &str) -> (u16, String) {
    let mut client: Client = gateway.connect();
    client.send(handshake(lines));
    let reply = client.one_reply("GET").unwrap();
    (reply.status, reply.reason())
}

#[test]
fn pages_of_other_origins_open_none_unless_cors_names_them() {
    let upstream = saying(agreement(""));
    let with = |cors: &str| {
        let plugins = format!("{OPEN}{cors}");
        Gateway::serving(&route_with(upstream.address(), &plugins, "", ""))
    };
    let foreign = (403, "websocket.foreign_origin".to_owned());
    let none = with("");
    for own in ["", "Origin: http://api.test\r\n", "Origin: http://API.test:80\r\n"] {
        assert_eq!(open(&none, own).0, 101, "{own}");
    }
    let seen = upstream.seen().len();
    for other in [
        "Origin: http://evil.test\r\n",
        "Origin: http://api.test:81\r\n",
        "Origin: http://api.test.evil.test\r\n",
        "Origin: null\r\n",
        "Origin: http://api.test\r\nOrigin: http://evil.test\r\n",
    ] {
        assert_eq!(open(&none, other), foreign, "{other}");
    }
    assert_eq!(upstream.seen().len(), seen);
    let (app, evil) = ("Origin: https://app.test\r\n", "Origin: https://evil.test\r\n");
    let listed = with(", cors: {allow_origins: 'https://app.test'}");
    assert_eq!((open(&listed, app).0, open(&listed, evil)), (101, foreign.clone()));
    let star = with(", cors: {allow_origins: '*'}");
    assert_eq!(open(&star, app), foreign, "everyone, but nobody with credentials");
    let null = with(", cors: {allow_origins: 'null'}");
    assert_eq!(open(&null, "Origin: null\r\n"), foreign, "any page can have it");
    let everyone = with(
        ", cors: {allow_origins: '**', allow_credential: true, \
         danger_allow_any_origin_with_credentials: true}",
    );
    assert_eq!(open(&everyone, evil).0, 101);
}

#[test]
fn the_plugins_judge_the_handshake_and_shape_its_answer() {
    let upstream = saying(agreement("X-Up: 1\r\n"));
    let shaped = "response-rewrite: {headers: {set: {x-frame: deny, sec-websocket-accept: x}}}, \
                  proxy-rewrite: {headers: {set: {sec-websocket-key: y, x-in: '1'}}}";
    let plugins = format!("{OPEN}, ip-restriction: {{blacklist: [10.0.0.1]}}, {shaped}");
    let gateway = Gateway::serving(&route_with(upstream.address(), &plugins, "", ""));
    let mut client = gateway.connect();
    client.send(handshake(""));
    let reply = client.one_reply("GET").unwrap();
    assert_eq!((reply.status, reply.field("x-frame")), (101, Some("deny")));
    assert_eq!(reply.field("sec-websocket-accept"), Some(ACCEPT));
    assert_eq!(reply.field("x-up"), Some("1"));
    let seen = upstream.seen().remove(0);
    assert_eq!(seen.field("sec-websocket-key").as_deref(), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(seen.field("x-in").as_deref(), Some("1"));
    let denying = format!("{OPEN}, ip-restriction: {{blacklist: [127.0.0.1]}}");
    gateway.apply(&route_with(upstream.address(), &denying, "", ""));
    assert_eq!(open(&gateway, "").0, 403);
    let keyed = "key-auth: {}, any-authenticated: {reason: a test}";
    gateway.apply(&route_with(upstream.address(), keyed, "", ""));
    assert_eq!(open(&gateway, "").0, 401);
    assert_eq!(upstream.seen().len(), 1);
}
