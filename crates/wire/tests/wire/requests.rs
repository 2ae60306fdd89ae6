//! Request heads: one row per way in which framing is attacked, and what must pass.

use bartizan_core::Reason::{self, *};
use bartizan_wire::Handshake;
use bartizan_wire::{
    BodyLength, ConnectionUse, HeadLimits, HeadScan, Progress, RequestHead, Version, parse_request,
};
use bytes::BytesMut;

fn parse_with(bytes: &[u8], limits: &HeadLimits) -> Result<Progress<RequestHead>, Reason> {
    let mut buffer = BytesMut::from(bytes);
    parse_request(&mut buffer, &mut HeadScan::default(), limits).map_err(|r| r.reason)
}

fn parse(bytes: &[u8]) -> Result<Progress<RequestHead>, Reason> {
    parse_with(bytes, &HeadLimits::default())
}

fn accepted(bytes: &str) -> RequestHead {
    match parse(bytes.as_bytes()) {
        Ok(Progress::Complete(head)) => head,
        other => panic!("{bytes:?}: {other:?}"),
    }
}

fn refused(bytes: &[u8]) -> Option<Reason> {
    parse(bytes).err()
}

/// A request for `/` on host `a` with these field lines.
fn with(lines: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
}

#[test]
fn every_ambiguous_length_is_refused() {
    for (name, lines, reason) in [
        (
            "length and chunks",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            AmbiguousFraming,
        ),
        (
            "chunks and length",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            AmbiguousFraming,
        ),
        (
            "length 0 and chunks",
            "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            AmbiguousFraming,
        ),
        (
            "length and another coding",
            "Content-Length: 5\r\nTransfer-Encoding: gzip\r\n",
            AmbiguousFraming,
        ),
        ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", AmbiguousFraming),
        ("two equal lengths", "Content-Length: 5\r\nContent-Length: 5\r\n", AmbiguousFraming),
        ("a list of equal lengths", "Content-Length: 5, 5\r\n", AmbiguousFraming),
        ("a list with nothing", "Content-Length: 5,\r\n", AmbiguousFraming),
        ("plus sign", "Content-Length: +5\r\n", AmbiguousFraming),
        ("minus sign", "Content-Length: -5\r\n", AmbiguousFraming),
        ("space inside", "Content-Length: 1 0\r\n", AmbiguousFraming),
        ("hexadecimal", "Content-Length: 0x5\r\n", AmbiguousFraming),
        ("digits of another script", "Content-Length: ٥\r\n", AmbiguousFraming),
        ("nothing", "Content-Length:\r\n", AmbiguousFraming),
        ("a fraction", "Content-Length: 5.0\r\n", AmbiguousFraming),
        ("20 digits", "Content-Length: 00000000000000000005\r\n", AmbiguousFraming),
        ("overflow", "Content-Length: 18446744073709551621\r\n", AmbiguousFraming),
        ("two codings", "Transfer-Encoding: gzip, chunked\r\n", AmbiguousFraming),
        ("chunked twice", "Transfer-Encoding: chunked, chunked\r\n", AmbiguousFraming),
        (
            "two fields",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            AmbiguousFraming,
        ),
        ("a parameter", "Transfer-Encoding: chunked;q=1\r\n", AmbiguousFraming),
        ("quoted", "Transfer-Encoding: \"chunked\"\r\n", AmbiguousFraming),
        ("no coding", "Transfer-Encoding:\r\n", AmbiguousFraming),
        ("vertical tab", "Transfer-Encoding: \u{b}chunked\r\n", Malformed),
        ("unknown coding alone", "Transfer-Encoding: gzip\r\n", UnknownTransferCoding),
        ("identity", "Transfer-Encoding: identity\r\n", UnknownTransferCoding),
        ("nearly chunked", "Transfer-Encoding: xchunked\r\n", UnknownTransferCoding),
    ] {
        assert_eq!(refused(with(lines).as_bytes()), Some(reason), "{name}");
    }
    let old = b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(refused(old), Some(AmbiguousFraming), "chunks on HTTP/1.0");
}

#[test]
fn every_ambiguous_host_is_refused() {
    for (name, head) in [
        ("none", "GET / HTTP/1.1\r\n\r\n"),
        ("none on HTTP/1.0", "GET / HTTP/1.0\r\n\r\n"),
        ("none but an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n"),
        ("two", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("two equal", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("empty", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        ("user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        ("a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("a list", "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        ("a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("a port that is none", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"),
        ("another than the target", "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("another port than the target", "GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("user information in the target", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no authority in the target", "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    ] {
        assert_eq!(refused(head.as_bytes()), Some(BadHost), "{name}");
    }
    for head in [
        "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET HTTP://A:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://a/ HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
    ] {
        accepted(head);
    }
}

#[test]
fn every_malformed_line_is_refused() {
    for (name, head) in [
        ("bare LF after the request line", &b"GET / HTTP/1.1\nHost: a\r\n\r\n"[..]),
        ("bare LF after a field", b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        ("bare LF as the empty line", b"GET / HTTP/1.1\r\nHost: a\r\n\n"),
        ("bare CR in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n"),
        ("two CR", b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"),
        ("bare CR in the target", b"GET /\r HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("NUL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"),
        ("NUL in a name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n"),
        ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("escape in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[0m\r\n\r\n"),
        ("DEL in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"),
        ("a folded line", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"),
        ("a line folded with tab", b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n"),
        ("space before the first field", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        ("space before the colon", b"GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
        ("tab before the colon", b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n"),
        ("an empty name", b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n"),
        ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"),
        ("a name that is no token", b"GET / HTTP/1.1\r\nHost: a\r\nX(Y): z\r\n\r\n"),
        ("a name that is not ASCII", b"GET / HTTP/1.1\r\nHost: a\r\nX\xe9: z\r\n\r\n"),
        ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a tab for a space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("space before the method", b" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        ("a space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no version", b"GET /\r\nHost: a\r\n\r\n"),
        ("a version in lower case", b"GET / http/1.1\r\nHost: a\r\n\r\n"),
        ("a version with more digits", b"GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        ("a method that is no token", b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no method", b" / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("two empty lines first", b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
        (
            "a connection option that is no token",
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: a b\r\n\r\n",
        ),
    ] {
        assert_eq!(refused(head), Some(Malformed), "{name}");
    }
}

#[test]
fn errors_of_bytes_do_not_wait_for_the_end_of_the_head() {
    for start in [&b"GET / HTTP/1.1\n"[..], b"GET /\0", b"GET / HTTP/1.1\r\nX: a\rb", b"\x16\x03"] {
        assert_eq!(refused(start), Some(Malformed), "{start:?}");
    }
    assert_eq!(refused(&[b'a'; 8_193]), Some(TargetTooLong));
    assert_eq!(parse(&[b'a'; 8_192]).map(|p| matches!(p, Progress::Partial)), Ok(true));
}

#[test]
fn methods_versions_and_targets_that_are_not_served() {
    for (head, reason) in [
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", MethodNotAllowed),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", MethodNotAllowed),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", VersionNotSupported),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", VersionNotSupported),
        ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", VersionNotSupported),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", VersionNotSupported),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
        ("GET a HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
        ("GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
        ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
        ("GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", AmbiguousTarget),
    ] {
        assert_eq!(refused(head.as_bytes()), Some(reason), "{head}");
    }
    assert_eq!(accepted("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target, "*");
    assert_eq!(accepted("PURGE /x HTTP/1.1\r\nHost: a\r\n\r\n").method, "PURGE");
}

#[test]
fn limits_answer_with_their_own_status() {
    let limits = HeadLimits { request_line: 20, field: 30, header_block: 60, fields: 3 };
    let of = |head: &str| parse_with(head.as_bytes(), &limits).err().map(Reason::status);
    assert_eq!(of("GET /aaaaa HTTP/1.1\r\nHost: a\r\n\r\n"), None);
    assert_eq!(of("GET /aaaaaaa HTTP/1.1\r\nHost: a\r\n\r\n"), Some(414));
    assert_eq!(
        of(&format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(28))),
        Some(431)
    );
    assert_eq!(of("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\nF: g\r\n\r\n"), Some(431));
    let long = "x".repeat(22);
    let block = format!("GET / HTTP/1.1\r\nHost: a\r\nB: {long}\r\nC: {long}\r\n\r\n");
    assert_eq!(of(&block), Some(431));
}

#[test]
fn only_100_continue_can_be_expected() {
    for value in ["200-ok", "100-continue, x", "", "100"] {
        let head = with(&format!("Content-Length: 1\r\nExpect: {value}\r\n"));
        assert_eq!(refused(head.as_bytes()), Some(ExpectationFailed), "{value}");
    }
    let twice = with("Expect: 100-continue\r\nExpect: 100-continue\r\n");
    assert_eq!(refused(twice.as_bytes()), Some(ExpectationFailed));
    let head = accepted(&with("Content-Length: 1\r\nExpect: 100-Continue\r\n"));
    assert!(head.expects_continue && !head.fields.contains("expect"));
    assert!(!accepted(&with("Expect: 100-continue\r\n")).expects_continue, "without a body");
}

#[test]
fn hop_by_hop_fields_and_those_named_by_connection_do_not_pass() {
    let head = accepted(&with(
        "Connection: Keep-Alive, X-Trace,, close\r\nKeep-Alive: 5\r\nX-Trace: 1\r\nTE: trailers\r\n\
         Trailer: x\r\nProxy-Connection: close\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nAccept: */*\r\n\
         connection: x-other\r\nX-Other: 2\r\n",
    ));
    let names: Vec<_> = head.fields.iter().map(|f| String::from_utf8_lossy(f.name)).collect();
    assert_eq!(names, ["host", "accept"]);
    assert_eq!(head.connection, ConnectionUse::Close);
}

#[test]
fn connection_cannot_take_out_what_security_depends_on() {
    for name in [
        "Authorization",
        "Host",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Content-Length",
        "Content-Type",
        "X-Consumer-Username",
        "X_Forwarded_For",
    ] {
        let head = with(&format!("Connection: close, {name}\r\n"));
        assert_eq!(refused(head.as_bytes()), Some(Malformed), "{name}");
    }
}

#[test]
fn fields_that_claim_identity_or_another_request_do_not_pass() {
    for name in [
        "X-Consumer-Username",
        "x_consumer_username",
        "X-Credential-Identifier",
        "X-Userinfo",
        "X-ID-Token",
        "Remote-User",
        "Remote_User",
        "X-Client-Cert",
        "X-SSL-Client-Verify",
        "Client-Cert",
        "X-APISIX-Secret",
        "X-Bartizan-Consumer",
        "X-HTTP-Method-Override",
        "X_HTTP_Method_Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Content_Length",
        "Transfer_Encoding",
        "X_Forwarded_For",
        "X_Real_IP",
    ] {
        let head = accepted(&with(&format!("{name}: admin\r\n")));
        assert_eq!(head.fields.len(), 1, "{name}");
        assert_eq!(head.body, BodyLength::None, "{name}");
    }
    let head = accepted(&with("X-Forwarded-For: ::1\r\nAuthorization: x\r\nX_Custom: y\r\n"));
    assert_eq!(head.fields.len(), 4, "what others judge passes");
}

#[test]
fn only_a_plain_get_can_ask_for_websocket() {
    let fields = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let get = |version: &str, lines: &str| {
        accepted(&format!("GET / {version}\r\nHost: a\r\n{fields}{lines}\r\n")).handshake
    };
    let both = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n";
    assert_eq!(get("HTTP/1.1", both), Handshake::Whole);
    for (version, lines) in [
        ("HTTP/1.0", both),
        ("HTTP/1.1", "Upgrade: websocket\r\n"),
        ("HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"),
        ("HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n"),
        ("HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: websocket\r\n"),
        ("HTTP/1.1", "Connection: upgrade, close\r\nUpgrade: websocket\r\n"),
        ("HTTP/1.1", &format!("{both}Content-Length: 5\r\n")),
        ("HTTP/1.1", &format!("{both}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")),
    ] {
        assert!(matches!(get(version, lines), Handshake::Broken(_)), "{version} {lines}");
    }
    assert!(matches!(accepted(&with(both)).handshake, Handshake::Broken(_)), "by POST");
    let half = accepted("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c, WebSocket\r\n\r\n");
    assert!(matches!(half.handshake, Handshake::Broken(_)));
    let other =
        accepted("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n");
    assert_eq!(other.handshake, Handshake::Absent);
}

#[test]
fn a_request_is_understood() {
    let head = accepted(
        "\r\nPUT https://API.example/a?b HTTP/1.1\r\nHost:api.example\r\nContent-Length: 0012\r\n\
         X-Empty:\r\nX-Text: \t caf\u{e9} \t\r\n\r\n",
    );
    assert_eq!((head.method.as_str(), &head.target[..]), ("PUT", &b"https://API.example/a?b"[..]));
    assert_eq!(head.authority.as_deref(), Some(&b"API.example"[..]));
    assert_eq!(head.scheme.as_deref(), Some(&b"https"[..]));
    assert_eq!((head.version, head.body), (Version::Http11, BodyLength::Fixed(12)));
    assert_eq!(head.connection, ConnectionUse::KeepAlive);
    assert_eq!(head.fields.get("x-empty"), Some(&b""[..]));
    assert_eq!(head.fields.get_str("x-text"), Some("caf\u{e9}"));
    assert_eq!(accepted(&with("Transfer-Encoding: Chunked\r\n")).body, BodyLength::Chunked);
    assert_eq!(accepted(&with("Content-Length: 0\r\n")).body, BodyLength::None);
}

#[test]
fn connections_last_as_their_version_says() {
    let of = |version: &str, lines: &str| {
        accepted(&format!("GET / {version}\r\nHost: a\r\n{lines}\r\n")).connection
    };
    assert_eq!(of("HTTP/1.1", ""), ConnectionUse::KeepAlive);
    assert_eq!(of("HTTP/1.1", "Connection: close\r\n"), ConnectionUse::Close);
    assert_eq!(
        of("HTTP/1.1", "Connection: keep-alive\r\nConnection: Close\r\n"),
        ConnectionUse::Close
    );
    assert_eq!(of("HTTP/1.0", ""), ConnectionUse::Close);
    assert_eq!(of("HTTP/1.0", "Connection: keep-alive\r\n"), ConnectionUse::KeepAlive);
}

#[test]
fn pipelined_requests_come_one_after_the_other() {
    let mut buffer =
        BytesMut::from("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: b\r\n\r\nGET");
    let mut scan = HeadScan::default();
    for (target, host) in [("/1", "a"), ("/2", "b")] {
        let head = match parse_request(&mut buffer, &mut scan, &HeadLimits::default()) {
            Ok(Progress::Complete(head)) => head,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (&head.target[..], head.fields.get_str("host")),
            (target.as_bytes(), Some(host))
        );
    }
    assert_eq!(&buffer[..], b"GET");
    assert!(scan.is_idle());
}

#[test]
fn a_refusal_keeps_the_first_line_for_the_operator() {
    let mut buffer = BytesMut::from("GET /secret HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
    let refusal = parse_request(&mut buffer, &mut HeadScan::default(), &HeadLimits::default());
    let refusal = refusal.unwrap_err();
    assert_eq!(refusal.line, "GET /secret HTTP/1.1");
    assert_eq!(refusal.to_string(), "more than one host");
}
