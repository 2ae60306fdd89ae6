//! Bodies on their way up while the answer is already on its way down.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use super::harness::{Setup, Upstream, open_route};

const LENGTH: usize = 8 * 1024 * 1024;

/// What an upstream does after it has answered without reading the body.
#[derive(Clone, Copy, Debug)]
enum Then {
    Close,
    StopReading,
}

/// An upstream that answers 403 as soon as it has read a head.
fn refuses_early(then: Then) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut head = Vec::new();
            while !head.windows(4).any(|window| window == b"\r\n\r\n") {
                let mut buffer = [0; 512];
                match socket.read(&mut buffer).unwrap() {
                    0 => break,
                    count => head.extend_from_slice(&buffer[..count]),
                }
            }
            let _ = socket.write_all(b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
            match then {
                Then::Close => drop(socket),
                Then::StopReading => kept.push(socket),
            }
        }
    });
    address
}

#[test]
fn an_answer_before_the_end_of_the_upload_reaches_the_client() {
    for then in [Then::Close, Then::StopReading] {
        let gateway = Setup::default()
            .limits("body: 16MiB, upstream_send: 500ms, upstream_read: 500ms")
            .serve(&open_route(refuses_early(then), ", retries: 0"));
        for head in [format!("Content-Length: {LENGTH}"), "Transfer-Encoding: chunked".to_owned()] {
            let mut client = gateway.connect();
            client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n"));
            // A part of the body, that looks like a request to whoever loses count.
            let hidden = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
            if head.contains("chunked") {
                client.send(format!("{:x}\r\n{hidden}\r\n", hidden.len()));
            } else {
                client.send(hidden);
            }
            let reply = client.reply("POST");
            assert_eq!((reply.status, reply.text().as_str()), (403, "no"), "{then:?} {head}");
            client.expect_end();
        }
    }
}

#[test]
fn a_client_that_stops_in_the_middle_of_its_body_makes_no_whole_request() {
    let upstream = Upstream::plain();
    let gateway = Setup::default().serve(&open_route(upstream.address(), ""));
    for body in
        ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        let mut client = gateway.connect();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"));
        client.finish_sending();
        let reply = client.try_reply("POST");
        assert!(reply.is_none_or(|reply| reply.status >= 400), "{body}");
        drop(client);
    }
    let events = gateway.events();
    assert_eq!(events.len(), 2, "{events:#?}");
    assert!(events.iter().all(|event| event["reason"] == "client.gone"), "{events:#?}");
    assert!(upstream.complete().is_empty());
}

#[test]
fn informational_answers_without_an_end_are_502() {
    let upstream = Upstream::start(|peer, _| {
        while peer.try_send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n".repeat(100)) {}
        false
    });
    let gateway = Setup::default().serve(&open_route(upstream.address(), ", retries: 0"));
    let reply = gateway.connect().get("/");
    assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream.malformed"));
    let detail = gateway.only_event()["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail, "the upstream only sends informational answers");
}

#[test]
fn the_head_of_an_answer_is_bounded() {
    let upstream = Upstream::start(|peer, seen| {
        let field = match seen.target.as_str() {
            "/long" => format!("A: {}\r\n", "x".repeat(100_000)),
            "/many" => "A: b\r\n".repeat(1_000),
            _ => String::new(),
        };
        peer.send(format!("HTTP/1.1 200 OK\r\n{field}Content-Length: 0\r\n\r\n"));
        true
    });
    let gateway = Setup::default().serve(&open_route(upstream.address(), ", retries: 0"));
    for (target, status) in [("/fine", 200), ("/long", 502), ("/many", 502), ("/fine", 200)] {
        assert_eq!(gateway.connect().get(target).status, status, "{target}");
    }
    assert_eq!(gateway.events().len(), 2);
}
