//! Answers with two meanings: 502, or a cut where the head had gone; never a second answer, and
//! never another request on that connection.

use super::harness::{Client, Gateway, Upstream, open_route};

/// What an upstream that was deceived, or that deceives, puts behind its answer.
const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON";

/// What the client is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// 502.
    Refused,
    /// 502, or an answer that is visibly not complete.
    Cut,
}

/// Lets an upstream answer `/bad` so and everything else well, and looks at what clients see.
#[track_caller]
fn deceives(name: &str, answer: &str, closes: bool, expected: Expected) {
    let bytes = answer.to_owned();
    let upstream = Upstream::start(move |peer, seen| {
        if seen.target == "/bad" {
            peer.send(&bytes);
            if closes {
                return false;
            }
            peer.wait_for_end();
            return false;
        }
        peer.answer(200, &seen.target);
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ", retries: 0"));
    let mut client = gateway.connect();
    client.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
    match (client.try_reply("GET"), expected) {
        (Some(reply), _) if reply.status == 502 => {
            assert!(reply.is_complete, "{name}");
            assert_eq!(reply.reason(), "upstream.malformed", "{name}");
            assert_eq!(client.get("/next").text(), "/next", "{name}: the client's own next");
        }
        (Some(reply), Expected::Cut) => {
            assert_eq!((reply.status, reply.is_complete), (200, false), "{name}: {reply:?}");
            let rest = client.rest();
            assert!(rest.is_empty(), "{name}: {}", String::from_utf8_lossy(&rest));
        }
        (reply, _) => panic!("{name}: {reply:?}"),
    }
    drop(client);
    let reply = gateway.connect().get("/other");
    assert_eq!((reply.status, reply.text().as_str()), (200, "/other"), "{name}");
    let bad = upstream.seen().iter().filter(|seen| seen.target == "/bad").count();
    assert_eq!(bad, 1, "{name}: sent again");
    assert!(upstream.seen().iter().all(|s| s.target == "/bad" || s.connection > 1), "{name}");
    let event = gateway.only_event();
    assert_eq!(event["reason"], "upstream.malformed", "{name}: {event}");
    assert!(event["detail"].as_str().is_some_and(|text| text.len() > 5), "{name}: {event}");
}

#[test]
fn an_ambiguous_answer_is_502_and_its_connection_is_not_used_again() {
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
    for (name, head) in [
        ("length and chunks", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n")),
        ("two lengths", ok("Content-Length: 0\r\nContent-Length: 45\r\n")),
        ("two equal lengths", ok("Content-Length: 0\r\nContent-Length: 0\r\n")),
        ("a list of lengths", ok("Content-Length: 0, 0\r\n")),
        ("a signed length", ok("Content-Length: +5\r\n")),
        ("a hexadecimal length", ok("Content-Length: 0x5\r\n")),
        ("gzip, chunked", ok("Transfer-Encoding: gzip, chunked\r\n")),
        ("an unknown coding", ok("Transfer-Encoding: xchunked\r\n")),
        ("two codings", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")),
        ("chunks in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        (
            "a bare LF after the status line",
            "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n".to_owned(),
        ),
        ("a bare LF in the head", ok("A: b\nContent-Length: 0\r\n")),
        ("a bare CR in the head", ok("A: b\rC: d\r\nContent-Length: 0\r\n")),
        ("NUL", ok("A: \0\r\nContent-Length: 0\r\n")),
        ("a folded line", ok("A: b\r\n c\r\nContent-Length: 0\r\n")),
        ("a space before the colon", ok("Content-Length : 0\r\n")),
        ("an empty name", ok(": 0\r\n")),
        ("an empty line first", format!("\r\n{}", ok("Content-Length: 0\r\n"))),
        ("a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("a status of 600", "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n".to_owned()),
        ("another protocol", "SSH-2.0-OpenSSH\r\n\r\n".to_owned()),
        ("HTTP/2", "HTTP/2 200\r\n\r\n".to_owned()),
        ("a length on 204", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n".to_owned()),
        ("chunks on 204", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()),
        (
            "101 that nobody asked for",
            "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
        ),
        ("101 to something else", "HTTP/1.1 101 S\r\nUpgrade: h2c\r\n\r\n".to_owned()),
        ("Connection that names a cookie", ok("Connection: set-cookie\r\nContent-Length: 0\r\n")),
    ] {
        deceives(name, &format!("{head}{POISON}"), false, Expected::Refused);
    }
}

#[test]
fn an_answer_whose_body_breaks_is_cut_and_its_connection_is_not_used_again() {
    let chunked = |body: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{body}")
    };
    for (name, answer) in [
        ("a chunk size that is none", chunked("xyz\r\n")),
        ("a signed chunk size", chunked("+5\r\nhello\r\n0\r\n\r\n")),
        ("a chunk size with a space", chunked("5 \r\nhello\r\n0\r\n\r\n")),
        ("a chunk size that ends with a bare LF", chunked("5\nhello\r\n0\r\n\r\n")),
        ("an extension with a bare LF", chunked("5;a\nhello\r\n0\r\n\r\n")),
        ("a long extension", chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000)))),
        ("data without its end", chunked("5\r\nhello0\r\n\r\n")),
        ("a trailer that frames", chunked("0\r\nContent-Length: 5\r\n\r\n")),
        ("a trailer with a bare LF", chunked("0\r\nA: b\nC: d\r\n\r\n")),
    ] {
        deceives(name, &format!("{answer}{POISON}"), false, Expected::Cut);
    }
}

#[test]
fn an_answer_that_ends_early_is_never_taken_for_complete() {
    for (name, answer) in [
        ("a length that is not reached", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"),
        (
            "chunks without their end",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        ),
        ("a chunk that is cut", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
    ] {
        let upstream = Upstream::start(move |peer, _| {
            peer.send(answer);
            false
        });
        let gateway = Gateway::serving(&open_route(upstream.address(), ""));
        let mut client = gateway.connect();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let reply = client.reply("GET");
        let is_told = reply.status == 502 || (reply.status == 200 && !reply.is_complete);
        assert!(is_told, "{name}: {reply:?}");
        drop(client);
        assert_eq!(upstream.seen().len(), 1, "{name}: asked again after an answer had begun");
        assert_eq!(gateway.only_event()["reason"], "upstream.closed", "{name}");
    }
}

#[test]
fn a_head_that_is_cut_or_missing_is_502() {
    for (name, answer) in [("nothing", ""), ("half a head", "HTTP/1.1 200 OK\r\nContent-")] {
        let upstream = Upstream::start(move |peer, _| {
            peer.send(answer);
            false
        });
        let gateway = Gateway::serving(&open_route(upstream.address(), ", retries: 0"));
        let reply = gateway.connect().get("/");
        assert_eq!((reply.status, reply.reason().as_str()), (502, "upstream.closed"), "{name}");
        assert_eq!(gateway.only_event()["reason"], "upstream.closed", "{name}");
    }
}

#[test]
fn what_comes_behind_an_answer_is_nobodys_answer() {
    for (name, answer) in [
        ("a length", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"),
        ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"),
        ("no body", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    ] {
        let upstream = Upstream::start(move |peer, seen| {
            if seen.target == "/first" {
                peer.send(format!("{answer}{POISON}"));
            } else {
                peer.answer(200, &seen.target);
            }
            true
        });
        let gateway = Gateway::serving(&open_route(upstream.address(), ""));
        let mut client = gateway.connect();
        let first = client.get("/first");
        assert!(first.is_complete && first.status != 502, "{name}: {first:?}");
        assert!(["good", ""].contains(&first.text().as_str()), "{name}");
        assert_eq!(client.get("/second").text(), "/second", "{name}: same client");
        assert_eq!(gateway.connect().get("/third").text(), "/third", "{name}: another client");
        let seen = upstream.seen();
        assert_eq!(seen[0].connection, 1, "{name}");
        assert!(seen[1..].iter().all(|seen| seen.connection == 2), "{name}: {seen:?}");
    }
}

#[test]
fn what_comes_later_on_an_idle_connection_is_nobodys_answer() {
    let (poison, poisoned) = std::sync::mpsc::channel::<()>();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let channels = std::sync::Mutex::new((poisoned, done));
    let upstream = Upstream::start(move |peer, seen| {
        peer.answer(200, &seen.target);
        if seen.target == "/first" {
            let (poisoned, done) = &*channels.lock().unwrap();
            poisoned.recv().unwrap();
            peer.send(POISON);
            done.send(()).unwrap();
        }
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    assert_eq!(gateway.connect().get("/first").text(), "/first");
    poison.send(()).unwrap();
    is_done.recv().unwrap();
    assert_eq!(gateway.connect().get("/second").text(), "/second");
    assert_eq!(upstream.connections(), 2);
}

#[test]
fn an_answer_to_head_brings_no_body_whatever_it_says() {
    let upstream = Upstream::start(|peer, seen| {
        if seen.method == "HEAD" {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 45\r\n\r\n");
        } else {
            peer.answer(200, &seen.target);
        }
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n");
    let reply = client.reply("HEAD");
    assert_eq!((reply.status, reply.field("content-length")), (200, Some("45")));
    assert_eq!(client.get("/next").text(), "/next");
    assert_eq!(upstream.connections(), 1, "the connection stays in order and is kept");
}

#[test]
fn informational_answers_are_passed_over() {
    let upstream = Upstream::start(|peer, seen| {
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        peer.answer(200, &seen.target);
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    for target in ["/1", "/2"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let reply = client.one_reply("GET").unwrap();
        assert_eq!((reply.status, reply.text().as_str()), (200, target));
    }
}

#[test]
fn the_rest_of_a_refused_body_is_no_request() {
    let upstream = Upstream::start(|peer, seen| {
        peer.answer(200, &seen.target);
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client: Client = gateway.connect();
    // The body looks like a request; the gateway refuses by length before it is read.
    let body = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n{body}"));
    assert_eq!(client.reply("POST").status, 413);
    client.expect_end();
    drop(client);
    assert!(upstream.seen().is_empty());
    assert_eq!(gateway.only_event()["reason"], "http.body_too_large");
}
