use super::*;

fn build(
    pseudo: &[(&str, &str)],
    fields: &[(&str, &str)],
    is_ended: bool,
    limits: HeadLimits,
) -> Result<Box<RequestHead>, Reason> {
    let mut builder = HeadBuilder::new(limits, 65_536);
    for (name, value) in pseudo.iter().chain(fields) {
        builder.take(name.as_bytes(), value.as_bytes());
    }
    builder.finish(is_ended).map_err(|refusal| refusal.reason)
}

fn get(fields: &[(&str, &str)]) -> Result<Box<RequestHead>, Reason> {
    build(&pseudo("GET", "/x?y"), fields, true, HeadLimits::default())
}

fn pseudo<'a>(method: &'a str, target: &'a str) -> [(&'a str, &'a str); 4] {
    [(":method", method), (":scheme", "https"), (":authority", "a.example"), (":path", target)]
}

fn without_authority(fields: &[(&str, &str)]) -> Result<Box<RequestHead>, Reason> {
    let pseudo = [(":method", "GET"), (":scheme", "https"), (":path", "/x")];
    build(&pseudo, fields, true, HeadLimits::default())
}

#[test]
fn a_request_gets_exactly_one_host() {
    let head = get(&[("accept", "*/*")]).unwrap();
    assert_eq!(
        (&head.target[..], head.fields.get("host")),
        (&b"/x?y"[..], Some(&b"a.example"[..]))
    );
    assert_eq!(head.scheme.as_deref(), Some(&b"https"[..]));
    assert_eq!((head.version, head.body), (Version::Http2, BodyLength::None));
    assert_eq!(head.authority.as_deref(), Some(&b"a.example"[..]));
    let same = get(&[("host", "A.example")]).unwrap();
    assert_eq!(same.fields.all("host").count(), 1);
    let only_host = without_authority(&[("host", "a.example")]).unwrap();
    assert_eq!(only_host.fields.get("host"), Some(&b"a.example"[..]));
    assert_eq!(without_authority(&[]).err(), Some(Reason::BadHost));
    assert_eq!(get(&[("host", "b.example")]).err(), Some(Reason::BadHost));
    assert_eq!(get(&[("host", "a.example:8443")]).err(), Some(Reason::BadHost));
    let twice = [("host", "a.example"), ("host", "a.example")];
    assert_eq!(get(&twice).err(), Some(Reason::BadHost));
    let userinfo =
        [(":method", "GET"), (":scheme", "https"), (":authority", "u@a.example"), (":path", "/")];
    assert_eq!(build(&userinfo, &[], true, HeadLimits::default()).err(), Some(Reason::BadHost));
}

#[test]
fn pseudo_fields_come_first_once_and_are_known() {
    let whole = pseudo("GET", "/");
    let of = |list: &[(&str, &str)]| build(list, &[], true, HeadLimits::default()).err();
    assert_eq!(of(&whole), None);
    for place in [0, 1, 3] {
        let mut list = whole.to_vec();
        let moved = list.remove(place);
        assert_eq!(of(&list), Some(Reason::ProtocolError), "without {moved:?}");
        list.extend([("accept", "*/*"), moved]);
        assert_eq!(of(&list), Some(Reason::ProtocolError), "{moved:?} behind a field");
    }
    for extra in [
        whole[0],
        whole[1],
        whole[2],
        whole[3],
        (":status", "200"),
        (":protocol", "websocket"),
        (":", "x"),
        (":Method", "GET"),
    ] {
        let mut list = whole.to_vec();
        list.push(extra);
        assert_eq!(of(&list), Some(Reason::ProtocolError), "{extra:?}");
    }
    for scheme in ["ftp", "", "HTTPS"] {
        let list = [whole[0], (":scheme", scheme), whole[2], whole[3]];
        assert_eq!(of(&list), Some(Reason::ProtocolError), "{scheme}");
    }
}

#[test]
fn connection_specific_fields_are_refused() {
    for (name, value) in [
        ("connection", "close"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
    ] {
        assert_eq!(get(&[(name, value)]).err(), Some(Reason::ProtocolError), "{name}");
    }
    let key = get(&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")]).unwrap();
    assert!(matches!(key.handshake, crate::Handshake::Broken(_)));
    let head = get(&[("te", "trailers")]).unwrap();
    assert_eq!(head.handshake, crate::Handshake::Absent);
    assert!(!head.fields.contains("te"));
}

#[test]
fn names_and_values_that_http_1_could_not_carry_are_refused() {
    for value in [" a", "a ", "a\t", "a\nb", "a\r\nb: c", "a\0b", "\x7f"] {
        assert_eq!(get(&[("x", value)]).err(), Some(Reason::ProtocolError), "{value:?}");
    }
    for name in ["", "X", "x-Upper", "a b", "a:b", "a\r\nb", "a\0", "\u{e9}"] {
        assert_eq!(get(&[(name, "x")]).err(), Some(Reason::ProtocolError), "{name:?}");
    }
}

#[test]
fn forged_fields_are_taken_out_and_cookie_crumbs_joined() {
    let head = get(&[
        ("cookie", "a=1"),
        ("x-consumer-username", "admin"),
        ("cookie", "b=2"),
        ("x_userinfo", "admin"),
        ("x-original-url", "/admin"),
        ("cookie", "c=3"),
    ])
    .unwrap();
    let mut names: Vec<_> = head.fields.iter().map(|f| f.name.to_vec()).collect();
    names.sort();
    assert_eq!(names, [b"cookie".to_vec(), b"host".to_vec()]);
    assert_eq!(head.fields.get("cookie"), Some(&b"a=1; b=2; c=3"[..]));
    let single = get(&[("cookie", "a=1")]).unwrap();
    assert_eq!(single.fields.get("cookie"), Some(&b"a=1"[..]));
}

#[test]
fn methods_and_targets_are_judged_as_on_http_1() {
    let of = |method: &str, target: &str| {
        build(&pseudo(method, target), &[], true, HeadLimits::default()).err()
    };
    assert_eq!(of("TRACE", "/"), Some(Reason::MethodNotAllowed));
    assert_eq!(of("G T", "/"), Some(Reason::Malformed));
    assert_eq!(of("GET", "*"), Some(Reason::AmbiguousTarget));
    assert_eq!(of("OPTIONS", "*"), None);
    for target in ["", "a", "/a b", "/a\r\nX: y", "/\u{e9}", "http://a.example/"] {
        assert_eq!(of("GET", target), Some(Reason::AmbiguousTarget), "{target:?}");
    }
    for (length, refused) in [(8_191, None), (8_192, None), (8_193, Some(Reason::TargetTooLong))] {
        let target = format!("/{}", "a".repeat(length - 1));
        assert_eq!(of("GET", &target), refused, "{length}");
    }
    let connect = [(":method", "CONNECT"), (":authority", "a.example:443")];
    let refused = build(&connect, &[], true, HeadLimits::default()).err();
    assert_eq!(refused, Some(Reason::MethodNotAllowed));
}

#[test]
fn the_length_is_what_the_stream_says() {
    let of = |fields: &[(&str, &str)], is_ended| {
        build(&pseudo("POST", "/"), fields, is_ended, HeadLimits::default())
            .map(|head| (head.body, head.expects_continue))
    };
    assert_eq!(of(&[], false), Ok((BodyLength::Chunked, false)));
    assert_eq!(of(&[], true), Ok((BodyLength::None, false)));
    let five = ("content-length", "5");
    let expect = ("expect", "100-continue");
    assert_eq!(of(&[five, expect], false), Ok((BodyLength::Fixed(5), true)));
    assert_eq!(of(&[expect], true), Ok((BodyLength::None, false)));
    assert_eq!(of(&[("content-length", "0")], true), Ok((BodyLength::None, false)));
    assert_eq!(of(&[five], true), Err(Reason::AmbiguousFraming));
    assert_eq!(of(&[five, five], false), Err(Reason::AmbiguousFraming));
    assert_eq!(of(&[("content-length", "+5")], false), Err(Reason::AmbiguousFraming));
    assert_eq!(of(&[("expect", "more")], false), Err(Reason::ExpectationFailed));
    assert_eq!(of(&[expect, expect], false), Err(Reason::ExpectationFailed));
}

#[test]
fn fields_have_limits() {
    let limits = HeadLimits { request_line: 99, field: 20, header_block: 30, fields: 2 };
    let of = |fields: &[(&str, &str)]| build(&pseudo("GET", "/"), fields, true, limits).err();
    assert_eq!(of(&[("a", "1"), ("b", "2")]), None);
    assert_eq!(of(&[("a", "1"), ("b", "2"), ("c", "3")]), Some(Reason::HeadTooLarge));
    // A field counts four bytes besides.
    for (value, refused) in [
        ("01234567890123", None),
        ("012345678901234", None),
        ("0123456789012345", Some(Reason::HeadTooLarge)),
    ] {
        assert_eq!(of(&[("a", value)]), refused, "{value}");
    }
    let two = [("a", "0123456789"), ("b", "0123456789")];
    assert_eq!(of(&two), None);
    assert_eq!(of(&[two[0], ("b", "01234567890")]), Some(Reason::HeadTooLarge));
}

#[test]
fn a_header_list_has_a_limit_that_counts_what_each_field_costs() {
    let of = |list| {
        let mut builder = HeadBuilder::new(HeadLimits::default(), list);
        for (name, value) in pseudo("GET", "/") {
            builder.take(name.as_bytes(), value.as_bytes());
        }
        builder.finish(true).map_err(|refusal| refusal.reason).err()
    };
    // Names and values, and 32 for each of the four.
    let size = 7 + 3 + 7 + 5 + 10 + 9 + 5 + 1 + 4 * 32;
    assert_eq!(of(size), None);
    assert_eq!(of(size - 1), Some(Reason::HeadTooLarge));
}

#[test]
fn a_refusal_shows_the_line_that_it_is_about() {
    let mut builder = HeadBuilder::new(HeadLimits::default(), 65_536);
    for (name, value) in pseudo("GET", "/x?y") {
        builder.take(name.as_bytes(), value.as_bytes());
    }
    builder.take(b"connection", b"close");
    let refusal = builder.finish(true).unwrap_err();
    assert_eq!(&refusal.line[..], b"GET /x?y HTTP/2");
}
