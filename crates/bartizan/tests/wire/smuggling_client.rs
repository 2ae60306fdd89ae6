//! Requests with two meanings: one answer, the end of the connection, one event, and nothing of
//! them or of what hides in them reaches the upstream.

use super::harness::{Gateway, Upstream, open_route};

/// What each request below is followed by: the request that a smuggler wants to be seen.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: api.test\r\n\r\n";

fn with(fields: &str) -> String {
    format!("POST /seen HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n")
}

fn chunked(body: &str) -> String {
    with("Transfer-Encoding: chunked\r\n") + body
}

/// Sends each message to one gateway; `rows` are a name, the message and the status.
#[track_caller]
fn refuses(rows: &[(&str, String, u16)]) {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    for (count, (name, message, status)) in rows.iter().enumerate() {
        let mut client = gateway.connect();
        let from = client.local().to_string();
        client.send(format!("{message}{HIDDEN}"));
        let reply = client.try_reply("GET").unwrap_or_else(|| panic!("no answer: {name}"));
        assert_eq!(reply.status, *status, "{name}: {}", reply.text());
        assert_eq!(reply.field("connection"), Some("close"), "{name}");
        let rest = client.rest();
        assert!(rest.is_empty(), "{name}: {}", String::from_utf8_lossy(&rest));
        drop(client);
        let events = gateway.events();
        assert_eq!(events.len(), count + 1, "{name}: {events:#?}");
        let event = &events[count];
        assert_eq!(event["status"], *status, "{name}: {event}");
        assert_eq!(event["reason"], reply.reason().as_str(), "{name}: {event}");
        assert_eq!(event["peer"], from.as_str(), "{name}: {event}");
        let complete = upstream.complete();
        assert!(complete.is_empty(), "{name}: the upstream saw {complete:?}");
    }
}

#[test]
fn a_length_that_can_be_read_in_two_ways_is_refused() {
    let cl = |values: &str| with(&format!("Content-Length: {values}\r\n"));
    let te = |value: &str| with(&format!("Transfer-Encoding: {value}\r\n"));
    let rows: Vec<(&str, String, u16)> = [
        (
            "length and chunks",
            with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        ),
        (
            "chunks and length",
            with("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n") + "0\r\n\r\n",
        ),
        ("two lengths", with("Content-Length: 0\r\nContent-Length: 44\r\n")),
        ("two equal lengths", with("Content-Length: 4\r\nContent-Length: 4\r\n") + "abcd"),
        ("a list of lengths", cl("4, 4") + "abcd"),
        ("a plus", cl("+4") + "abcd"),
        ("a minus", cl("-4") + "abcd"),
        ("a space inside", cl("4 4") + "abcd"),
        ("hexadecimal", cl("0x4") + "abcd"),
        ("an empty length", cl("")),
        ("twenty digits", cl("00000000000000000004") + "abcd"),
        ("a length over 64 bits", cl("18446744073709551616")),
        ("chunked twice in one field", te("chunked, chunked") + "0\r\n\r\n"),
        ("identity and chunked", te("identity, chunked") + "0\r\n\r\n"),
        ("chunked not last", te("chunked, gzip") + "0\r\n\r\n"),
        ("a quoted coding", te("\"chunked\"") + "0\r\n\r\n"),
        ("a coding with a parameter", te("chunked;q=1") + "0\r\n\r\n"),
        ("an empty coding", te("")),
        (
            "two codings",
            with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n") + "0\r\n\r\n",
        ),
        (
            "chunks in HTTP/1.0",
            "POST /seen HTTP/1.0\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
        ),
        ("a vertical tab before chunked", te("\u{b}chunked") + "0\r\n\r\n"),
        ("a space in the name", with("Transfer-Encoding : chunked\r\n") + "0\r\n\r\n"),
        ("a folded coding", with("Transfer-Encoding:\r\n chunked\r\n") + "0\r\n\r\n"),
        ("a line end inside the name", with("Transfer-Encoding\r\n: chunked\r\n") + "0\r\n\r\n"),
    ]
    .into_iter()
    .map(|(name, message)| (name, message, 400))
    .chain([("an unknown coding", te("gzip"), 501), ("the coding xchunked", te("xchunked"), 501)])
    .collect();
    refuses(&rows);
}

#[test]
fn a_host_that_can_be_read_in_two_ways_is_refused() {
    let get = |target: &str, fields: &str| format!("GET {target} HTTP/1.1\r\n{fields}\r\n");
    let rows: Vec<(&str, String, u16)> = [
        ("no host", get("/", "")),
        ("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".to_owned()),
        ("two hosts", get("/", "Host: api.test\r\nHost: other.test\r\n")),
        ("two equal hosts", get("/", "Host: api.test\r\nHost: api.test\r\n")),
        ("userinfo", get("/", "Host: api.test@other.test\r\n")),
        ("a space", get("/", "Host: api.test other.test\r\n")),
        ("a list", get("/", "Host: api.test, other.test\r\n")),
        ("a path", get("/", "Host: api.test/x\r\n")),
        ("an empty host", get("/", "Host:\r\n")),
        ("a port that is none", get("/", "Host: api.test:80x\r\n")),
        ("a target of another host", get("http://other.test/", "Host: api.test\r\n")),
        ("a target of another port", get("http://api.test:81/", "Host: api.test\r\n")),
        ("a target with userinfo", get("http://a@api.test/", "Host: api.test\r\n")),
    ]
    .into_iter()
    .map(|(name, message)| (name, message, 400))
    .collect();
    refuses(&rows);
}

#[test]
fn lines_that_others_end_elsewhere_are_refused() {
    let rows: Vec<(&str, String, u16)> = [
        ("a bare LF after the request line", "GET / HTTP/1.1\nHost: api.test\r\n\r\n".to_owned()),
        ("a bare LF after a field", with("A: b\nC: d\r\n")),
        ("a bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: a\r\n\n".to_owned()),
        ("a bare CR in a value", with("A: b\rC: d\r\n")),
        ("a bare CR after the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n".to_owned()),
        ("CR CR LF", with("A: b\r\r\n")),
        ("NUL in a value", with("A: \0\r\n")),
        ("NUL in a name", with("A\0: b\r\n")),
        ("a control byte in a value", with("A: \u{1}\r\n")),
        ("DEL in a value", with("A: \u{7f}\r\n")),
        ("a folded line", with("A: b\r\n c: d\r\n")),
        ("a line that begins with a tab", with("A: b\r\n\tc: d\r\n")),
        ("a first field that is folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n".to_owned()),
        ("space before the colon", with("A : b\r\n")),
        ("an empty name", with(": b\r\n")),
        ("no colon", with("A\r\n")),
        ("a name that is no token", with("A(b): c\r\n")),
        ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a request line in two parts", "GET /\r\nHost: a\r\n\r\n".to_owned()),
        ("a lower-case version", "GET / http/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
    ]
    .into_iter()
    .map(|(name, message)| (name, message, 400))
    .collect();
    refuses(&rows);
}

#[test]
fn chunks_with_two_meanings_are_refused_and_never_completed_upstream() {
    let trailer = |line: &str| chunked(&format!("4\r\nabcd\r\n0\r\n{line}\r\n\r\n"));
    let mut rows: Vec<(&str, String, u16)> = [
        ("a plus", chunked("+4\r\nabcd\r\n0\r\n\r\n")),
        ("a minus", chunked("-4\r\nabcd\r\n0\r\n\r\n")),
        ("0x", chunked("0x4\r\nabcd\r\n0\r\n\r\n")),
        ("a space before", chunked(" 4\r\nabcd\r\n0\r\n\r\n")),
        ("a space behind", chunked("4 \r\nabcd\r\n0\r\n\r\n")),
        ("no size", chunked("\r\nabcd\r\n0\r\n\r\n")),
        ("an underscore", chunked("1_0\r\nabcd\r\n0\r\n\r\n")),
        ("seventeen digits", chunked("00000000000000004\r\nabcd\r\n0\r\n\r\n")),
        ("a size over 64 bits", chunked("10000000000000004\r\nabcd\r\n0\r\n\r\n")),
        ("a bare LF after the size", chunked("4\nabcd\r\n0\r\n\r\n")),
        ("a bare CR after the size", chunked("4\rabcd\r\n0\r\n\r\n")),
        ("a bare LF in an extension", chunked("4;a\nabcd\r\n0\r\n\r\n")),
        ("a bare CR in an extension", chunked("4;a\rb\r\nabcd\r\n0\r\n\r\n")),
        ("a long extension", chunked(&format!("4;{}\r\nabcd\r\n0\r\n\r\n", "x".repeat(20_000)))),
        ("data without its end", chunked("4\r\nabcd0\r\n\r\n")),
        ("data that ends with a bare LF", chunked("4\r\nabcd\n0\r\n\r\n")),
        ("data longer than its size", chunked("3\r\nabcd\r\n0\r\n\r\n")),
        ("a trailer that frames", trailer("Content-Length: 4")),
        ("a trailer that frames otherwise", trailer("Transfer-Encoding: chunked")),
        ("a trailer that routes", trailer("Host: other.test")),
        ("a trailer that proves", trailer("Authorization: Bearer x")),
        ("a trailer that imitates", trailer("Content_Length: 4")),
        ("a trailer that names an identity", trailer("X-Consumer-Username: admin")),
        ("a trailer with a bare LF", trailer("A: b\nC: d")),
        ("a trailer with space before the colon", trailer("A : b")),
    ]
    .into_iter()
    .map(|(name, message)| (name, message, 400))
    .collect();
    rows.push(("long trailers", trailer(&format!("A: {}", "x".repeat(20_000))), 431));
    refuses(&rows);
}

#[test]
fn targets_with_two_meanings_are_refused() {
    let targets = [
        "/a%2fb",
        "/a%2Fb",
        "/a%5cb",
        "/a\\b",
        "/a%00b",
        "/a%0ab",
        "/a%0d%0ab",
        "/a%7fb",
        "/a%",
        "/a%4",
        "/a%zz",
        "/a%252fb",
        "/a%252e%252e/b",
        "/a;b/c",
        "/a%3bb",
        "/../a",
        "/a/../../b",
        "/%2e%2e/a",
        "/a/%2e%2e/%2e%2e/b",
        "/a?b=%",
        "/a?b=%zz",
        "/a?b=%00",
        "/a#b",
        "*",
        "a",
        "/caf\u{e9}",
    ];
    let rows: Vec<(&str, String, u16)> = targets
        .iter()
        .map(|target| (*target, format!("GET {target} HTTP/1.1\r\nHost: api.test\r\n\r\n"), 400))
        .collect();
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    for (count, (target, message, status)) in rows.iter().enumerate() {
        let reply = gateway.ask(message);
        assert_eq!(reply.status, *status, "{target}");
        assert_eq!(gateway.events().len(), count + 1, "{target}");
        assert!(upstream.seen().is_empty(), "{target}: {:?}", upstream.seen());
    }
}

#[test]
fn one_path_is_matched_and_forwarded_however_it_is_written() {
    let upstream = Upstream::plain();
    let route = open_route(upstream.address(), "").replace("/*", "/a/b");
    let gateway = Gateway::serving(&route);
    for written in ["/a/b", "/%61/b", "/a/./b", "//a//b", "/x/../a/b", "/a/%2e/b", "/x/%2e%2e/a/b"]
    {
        let reply = gateway.connect().get(written);
        assert_eq!((reply.status, reply.text().as_str()), (200, "/a/b"), "{written}");
    }
    assert!(gateway.events().is_empty());
}

#[test]
fn expectations_and_versions_that_are_not_served_have_their_own_answers() {
    let get = |line: &str| format!("{line}\r\nHost: api.test\r\n\r\n");
    refuses(&[
        ("another expectation", with("Content-Length: 4\r\nExpect: 200-ok\r\n") + "abcd", 417),
        ("two expectations", with("Expect: 100-continue\r\nExpect: 100-continue\r\n"), 417),
        ("HTTP/2 in clear", get("PRI * HTTP/2.0"), 505),
        ("HTTP/1.2", get("GET / HTTP/1.2"), 505),
        ("HTTP/0.9", get("GET / HTTP/0.9"), 505),
        ("CONNECT", get("CONNECT api.test:443 HTTP/1.1"), 405),
        ("TRACE", get("TRACE / HTTP/1.1"), 405),
        ("Connection that names Authorization", with("Connection: close, authorization\r\n"), 400),
        ("Connection that names Host", with("Connection: host\r\n"), 400),
        ("Connection that names a length", with("Connection: content-length\r\n"), 400),
    ]);
}

#[test]
fn nothing_that_claims_an_identity_or_another_request_reaches_the_upstream() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let forged = [
        "X-Consumer-Username",
        "X_Consumer_Username",
        "X-Credential-Identifier",
        "X-Consumer-Custom-ID",
        "X-Consumer-Anything",
        "X-Userinfo",
        "X-ID-Token",
        "X-Access-Token",
        "X-Refresh-Token",
        "X-Forwarded-User",
        "X-Remote-User",
        "Remote-User",
        "Remote_User",
        "X-Client-Cert",
        "X-SSL-Client-Verify",
        "Client-Cert",
        "Client-Cert-Chain",
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
        "Forwarded",
    ];
    let fields: Vec<String> =
        forged.iter().map(|name| format!("{name}: forged-value\r\n")).collect();
    let fields = fields.concat();
    let hops = "Connection: keep-alive, X-Hop\r\nX-Hop: hop-value\r\nKeep-Alive: hop-value\r\n\
                Proxy-Connection: hop-value\r\nTE: trailers\r\nUpgrade: websocket\r\n";
    let from = "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\n\
                X-Forwarded-Host: forged-value\r\nX-Real-IP: 203.0.113.9\r\n";
    let reply = gateway.ask(format!(
        "GET / HTTP/1.1\r\nHost: api.test\r\n{fields}{hops}{from}Accept: */*\r\n\r\n"
    ));
    assert_eq!(reply.status, 200);
    let seen = upstream.complete().remove(0);
    let head = seen.head.to_ascii_lowercase();
    for trace in ["forged-value", "hop-value", "203.0.113.9", "websocket", "\r\nte:"] {
        assert!(!head.contains(trace), "{trace}: {head}");
    }
    assert_eq!(seen.field("accept").as_deref(), Some("*/*"));
    assert_eq!(seen.field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
    assert_eq!(seen.field("x-forwarded-proto").as_deref(), Some("http"));
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    let body = "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    let chunks =
        "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let last = "GET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    client.send(format!("{body}{chunks}{last}GET /4 HTTP/1.1\r\nHost: a\r\n\r\n"));
    for target in ["/1", "/2", "/3"] {
        assert_eq!(client.reply("GET").text(), target);
    }
    client.expect_end();
    drop(client);
    assert_eq!(upstream.seen().len(), 3, "what follows `connection: close` is not served");
    assert!(gateway.events().is_empty());
}

#[test]
fn a_head_in_single_bytes_means_the_same() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    let fine = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;e=f\r\nab\r\n0\r\nT: u\r\n\r\n";
    for byte in fine.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.reply("POST").text(), "/x");
    for byte in with("Content-Length: 1\r\nContent-Length: 1\r\n").as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.reply("POST").status, 400);
    client.expect_end();
    assert_eq!(upstream.complete().len(), 1);
    assert_eq!(upstream.complete()[0].body, b"ab");
}

#[test]
fn the_body_of_a_refused_request_is_never_a_request() {
    let upstream = Upstream::plain();
    let route = open_route(upstream.address(), "").replace("/*", "/seen");
    let gateway = Gateway::serving(&route);
    let length = HIDDEN.len();
    let bodies = [
        format!("Content-Length: {length}\r\n\r\n{HIDDEN}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{HIDDEN}\r\n0\r\n\r\n"),
        format!("Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n{HIDDEN}"),
        // The rest never comes.
        format!("Content-Length: {}\r\n\r\n{HIDDEN}", length + 1_000),
        format!("Transfer-Encoding: chunked\r\n\r\nfff\r\n{HIDDEN}"),
    ];
    for body in &bodies {
        let mut client = gateway.connect();
        client.send(format!("POST /nowhere HTTP/1.1\r\nHost: a\r\n{body}"));
        let reply = client.reply("POST");
        assert_eq!(reply.status, 404, "{body}");
        if reply.field("connection") == Some("close") {
            client.expect_end();
        } else {
            assert_eq!(client.get("/seen").text(), "/seen", "{body}");
        }
    }
    assert!(upstream.seen().iter().all(|seen| seen.target == "/seen"), "{:?}", upstream.seen());
    assert_eq!(gateway.events().len(), bodies.len());
}

#[test]
fn many_pipelined_requests_are_all_answered_in_their_order() {
    const COUNT: usize = 500;
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    let all: Vec<String> =
        (0..COUNT).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(all.concat());
    for n in 0..COUNT {
        assert_eq!(client.reply("GET").text(), format!("/{n}"));
    }
    drop(client);
    assert_eq!(upstream.connections(), 1);
    assert!(gateway.events().is_empty());
}
