//! Each limit at one less, at it, and at one more.

use super::harness::{Gateway, Setup, Upstream, open_route};

/// The status for a request of each of three sizes: one under the limit, at it, one over it.
#[track_caller]
fn edges(limits: &str, most: usize, request: impl Fn(usize) -> String, over: u16) {
    let upstream = Upstream::plain();
    let gateway: Gateway =
        Setup::default().limits(limits).serve(&open_route(upstream.address(), ""));
    for (size, expected) in [(most - 1, 200), (most, 200), (most + 1, over)] {
        let reply = gateway.ask(request(size));
        assert_eq!(reply.status, expected, "{limits}: {size}: {}", reply.text());
    }
    let event = gateway.only_event();
    assert_eq!(event["status"], over, "{event}");
    assert_eq!(upstream.complete().len(), 2);
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n")
}

fn chunked(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
}

#[test]
fn the_request_line_is_bounded() {
    let line = |size: usize| {
        let path = "x".repeat(size - "GET / HTTP/1.1".len());
        format!("GET /{path} HTTP/1.1\r\nHost: api.test\r\n\r\n")
    };
    edges("request_line: 100B", 100, line, 414);
}

#[test]
fn a_field_is_bounded() {
    let field = |size: usize| get(&format!("A: {}\r\n", "x".repeat(size - "A: ".len())));
    edges("field: 100B", 100, field, 431);
}

#[test]
fn the_header_block_is_bounded() {
    // All field lines with their line ends.
    let rest = "Host: api.test\r\nA: \r\n".len();
    let block = |size: usize| get(&format!("A: {}\r\n", "x".repeat(size - rest)));
    edges("header_block: 200B", 200, block, 431);
}

#[test]
fn the_number_of_fields_is_bounded() {
    let fields = |count: usize| get(&"A: b\r\n".repeat(count - 1));
    edges("fields: 20", 20, fields, 431);
}

#[test]
fn a_chunk_extension_is_bounded() {
    let extension = |size: usize| chunked(&format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(size)));
    edges("chunk_extension: 50B", 50, extension, 400);
}

#[test]
fn trailers_are_bounded() {
    // The section with its line ends.
    let section = |size: usize| {
        let value = "x".repeat(size - "T: \r\n".len());
        chunked(&format!("1\r\na\r\n0\r\nT: {value}\r\n\r\n"))
    };
    edges("trailers: 100B", 100, section, 431);
}

#[test]
fn a_body_of_known_length_is_bounded() {
    let body = |size: usize| {
        let body = "x".repeat(size);
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{body}")
    };
    edges("body: 1000B", 1000, body, 413);
}

#[test]
fn a_chunked_body_is_bounded() {
    let body = |size: usize| chunked(&format!("{size:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(size)));
    edges("body: 1000B", 1000, body, 413);
}

#[test]
fn a_body_in_many_chunks_is_bounded_as_a_whole() {
    let body = |size: usize| chunked(&format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(size)));
    edges("body: 1000B", 1000, body, 413);
}

#[test]
fn the_requests_of_a_connection_are_bounded() {
    let upstream = Upstream::plain();
    let gateway = Setup::default()
        .limits("requests_per_connection: 3")
        .serve(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    for (target, connection) in [("/1", None), ("/2", None), ("/3", Some("close"))] {
        let reply = client.get(target);
        assert_eq!((reply.status, reply.field("connection")), (200, connection));
    }
    client.expect_end();
}

#[test]
fn a_body_too_large_ends_the_connection_before_it_is_read() {
    let upstream = Upstream::plain();
    let gateway = Setup::default().limits("body: 1000B").serve(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
    let reply = client.reply("POST");
    assert_eq!((reply.status, reply.field("connection")), (413, Some("close")));
    client.expect_end();
    assert!(upstream.seen().is_empty());
}
