//! Response heads: what an upstream may not send, and what its answers mean.

use bartizan_core::Reason;
use bartizan_wire::{
    BodyLength, ConnectionUse, HeadLimits, HeadScan, Progress, ResponseHead, Version,
    parse_response,
};
use bytes::BytesMut;
use http::Method;

fn parse(bytes: &[u8], method: &Method) -> Result<Progress<ResponseHead>, Reason> {
    let mut buffer = BytesMut::from(bytes);
    parse_response(&mut buffer, &mut HeadScan::default(), &HeadLimits::default(), method)
        .map_err(|r| r.reason)
}

fn answer(bytes: &str, method: &Method) -> ResponseHead {
    match parse(bytes.as_bytes(), method) {
        Ok(Progress::Complete(head)) => head,
        other => panic!("{bytes:?}: {other:?}"),
    }
}

fn ok(lines: &str) -> ResponseHead {
    answer(&format!("HTTP/1.1 200 OK\r\n{lines}\r\n"), &Method::GET)
}

#[test]
fn every_ambiguous_answer_is_refused() {
    for (name, head) in [
        (
            "length and chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        ("two equal lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        ("a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"),
        ("a signed length", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n"),
        ("gzip, chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"),
        ("an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
        (
            "two codings",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n",
        ),
        ("chunks on HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("bare LF", "HTTP/1.1 200 OK\nContent-Length: 5\r\n\r\n"),
        ("bare LF in fields", "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n"),
        ("bare CR", "HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n"),
        ("NUL", "HTTP/1.1 200 OK\r\nA: \0\r\n\r\n"),
        ("a folded line", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
        ("space before the colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n"),
        ("an empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n"),
        ("another version", "HTTP/2.0 200 OK\r\n\r\n"),
        ("no version", "200 OK\r\n\r\n"),
        ("two digits", "HTTP/1.1 20 OK\r\n\r\n"),
        ("four digits", "HTTP/1.1 2000 OK\r\n\r\n"),
        ("a status below 100", "HTTP/1.1 099 OK\r\n\r\n"),
        ("a status above 599", "HTTP/1.1 600 OK\r\n\r\n"),
        ("a signed status", "HTTP/1.1 +20 OK\r\n\r\n"),
        ("two spaces", "HTTP/1.1  200 OK\r\n\r\n"),
        ("a length on 204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"),
        ("chunks on 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("a length on 100", "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\n"),
        ("101 to something else", "HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
        ("101 without Connection", "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n"),
        (
            "Connection that names a protected field",
            "HTTP/1.1 200 OK\r\nConnection: set-cookie\r\n\r\n",
        ),
    ] {
        let refused = parse(head.as_bytes(), &Method::GET).err();
        assert_eq!(refused, Some(Reason::UpstreamMalformed), "{name}");
    }
    let long = format!("HTTP/1.1 200 {}", "x".repeat(9_000));
    assert_eq!(parse(long.as_bytes(), &Method::GET).err(), Some(Reason::UpstreamMalformed));
}

#[test]
fn the_body_follows_from_status_method_and_fields() {
    use BodyLength::{Chunked, Fixed, None as NoBody, UntilClose};
    let length = "Content-Length: 5\r\n";
    let chunks = "Transfer-Encoding: Chunked\r\n";
    let rows = [
        ("200", Method::GET, length, Fixed(5), None),
        ("200", Method::GET, "Content-Length: 0\r\n", NoBody, None),
        ("200", Method::GET, chunks, Chunked, None),
        ("200", Method::GET, "", UntilClose, None),
        ("200", Method::HEAD, length, NoBody, Some(5)),
        ("200", Method::HEAD, chunks, NoBody, None),
        ("200", Method::HEAD, "", NoBody, None),
        ("304", Method::GET, length, NoBody, Some(5)),
        ("304", Method::GET, "", NoBody, None),
        ("204", Method::GET, "", NoBody, None),
        ("204", Method::GET, "Content-Length: 0\r\n", NoBody, None),
        ("100", Method::POST, "", NoBody, None),
        ("103", Method::GET, "Link: x\r\n", NoBody, None),
        ("404", Method::POST, length, Fixed(5), None),
    ];
    for (status, method, lines, body, declared) in rows {
        let head = answer(&format!("HTTP/1.1 {status} x\r\n{lines}\r\n"), &method);
        assert_eq!(
            (head.body, head.declared_length),
            (body, declared),
            "{status} {method} {lines}"
        );
        assert!(
            !head.fields.contains("content-length") && !head.fields.contains("transfer-encoding")
        );
    }
}

#[test]
fn an_answer_until_close_ends_the_connection() {
    assert_eq!(ok("").connection, ConnectionUse::Close);
    assert_eq!(ok("Content-Length: 1\r\n").connection, ConnectionUse::KeepAlive);
    assert_eq!(ok("Content-Length: 1\r\nConnection: close\r\n").connection, ConnectionUse::Close);
    let old = |lines: &str| answer(&format!("HTTP/1.0 200 OK\r\n{lines}\r\n"), &Method::GET);
    assert_eq!(old("Content-Length: 1\r\n").connection, ConnectionUse::Close);
    let kept = old("Content-Length: 1\r\nConnection: keep-alive\r\n");
    assert_eq!((kept.connection, kept.version), (ConnectionUse::KeepAlive, Version::Http10));
}

#[test]
fn the_reason_may_be_anything_or_missing() {
    for line in ["HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 200 All  good \u{e9}"] {
        let head = answer(&format!("{line}\r\nContent-Length: 0\r\n\r\n"), &Method::GET);
        assert_eq!(head.status, 200, "{line}");
    }
}

#[test]
fn hop_by_hop_fields_do_not_pass_and_others_do() {
    let head =
        ok("Connection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nTrailer: y\r\nUpgrade: h2\r\n\
        Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Consumer-Username: u\r\n");
    let names: Vec<_> = head.fields.iter().map(|f| String::from_utf8_lossy(f.name)).collect();
    assert_eq!(names, ["set-cookie", "set-cookie", "x-consumer-username"]);
}

#[test]
fn a_switch_to_websocket_comes_out() {
    let head = answer(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Accept: x\r\n\r\n",
        &Method::GET,
    );
    assert_eq!((head.status.as_u16(), head.body), (101, BodyLength::None));
    assert!(head.fields.contains("sec-websocket-accept") && !head.fields.contains("upgrade"));
}
