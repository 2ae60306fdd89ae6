use super::*;

fn parts(method: &str, uri: &str, headers: &[(&'static str, &str)]) -> Parts {
    let mut request = http::Request::builder().method(method).uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn convert(
    method: &str,
    uri: &str,
    headers: &[(&'static str, &str)],
) -> Result<RequestHead, Reason> {
    request_from_h2(&parts(method, uri, headers), Some(0), &HeadLimits::default())
        .map_err(|refusal| refusal.reason)
}

const URI: &str = "https://a.example/x?y";

#[test]
fn a_request_gets_exactly_one_host() {
    let head = convert("GET", URI, &[("accept", "*/*")]).unwrap();
    assert_eq!(
        (&head.target[..], head.fields.get("host")),
        (&b"/x?y"[..], Some(&b"a.example"[..]))
    );
    assert_eq!(head.scheme.as_deref(), Some(&b"https"[..]));
    assert_eq!((head.version, head.body), (Version::Http2, BodyLength::None));
    let same = convert("GET", URI, &[("host", "A.example")]).unwrap();
    assert_eq!(same.fields.all("host").count(), 1);
    let only_host = convert("GET", "/x", &[("host", "a.example")]).unwrap();
    assert_eq!(only_host.fields.get("host"), Some(&b"a.example"[..]));
    assert_eq!(convert("GET", "/x", &[]).err(), Some(Reason::BadHost));
    assert_eq!(convert("GET", URI, &[("host", "b.example")]).err(), Some(Reason::BadHost));
    assert_eq!(convert("GET", URI, &[("host", "a.example:8443")]).err(), Some(Reason::BadHost));
    let twice = [("host", "a.example"), ("host", "a.example")];
    assert_eq!(convert("GET", URI, &twice).err(), Some(Reason::BadHost));
    assert_eq!(convert("GET", "https://u@a.example/", &[]).err(), Some(Reason::BadHost));
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
        assert_eq!(
            convert("GET", URI, &[(name, value)]).err(),
            Some(Reason::ProtocolError),
            "{name}"
        );
    }
    let head = convert("GET", URI, &[("te", "trailers")]).unwrap();
    assert!(!head.fields.contains("te"));
}

#[test]
fn values_that_could_end_a_line_are_refused() {
    for value in [" a", "a ", "a\t"] {
        assert_eq!(convert("GET", URI, &[("x", value)]).err(), Some(Reason::ProtocolError));
    }
}

#[test]
fn forged_fields_are_taken_out_and_cookie_crumbs_joined() {
    let head = convert(
        "GET",
        URI,
        &[
            ("cookie", "a=1"),
            ("x-consumer-username", "admin"),
            ("cookie", "b=2"),
            ("x_userinfo", "admin"),
            ("x-original-url", "/admin"),
        ],
    )
    .unwrap();
    let names: Vec<_> = head.fields.iter().map(|f| f.name.to_vec()).collect();
    assert_eq!(names, [b"cookie".to_vec(), b"host".to_vec()]);
    assert_eq!(head.fields.get("cookie"), Some(&b"a=1; b=2"[..]));
}

#[test]
fn methods_and_targets_are_judged_as_on_http_1() {
    assert_eq!(convert("TRACE", URI, &[]).err(), Some(Reason::MethodNotAllowed));
    assert_eq!(convert("CONNECT", "a.example:443", &[]).err(), Some(Reason::MethodNotAllowed));
    assert_eq!(convert("GET", "*", &[("host", "a")]).err(), Some(Reason::AmbiguousTarget));
    assert!(convert("OPTIONS", "*", &[("host", "a")]).is_ok());
    assert_eq!(convert("GET", "ftp://a.example/", &[]).err(), Some(Reason::ProtocolError));
    let long = format!("https://a.example/{}", "a".repeat(8_192));
    assert_eq!(convert("GET", &long, &[]).err(), Some(Reason::TargetTooLong));
}

#[test]
fn the_length_is_what_the_stream_says() {
    let of = |headers: &[(&'static str, &str)], exact| {
        request_from_h2(&parts("POST", URI, headers), exact, &HeadLimits::default())
            .map(|head| (head.body, head.expects_continue))
            .map_err(|refusal| refusal.reason)
    };
    assert_eq!(of(&[], None), Ok((BodyLength::Chunked, false)));
    assert_eq!(of(&[], Some(0)), Ok((BodyLength::None, false)));
    let five = ("content-length", "5");
    let expect = ("expect", "100-continue");
    assert_eq!(of(&[five, expect], Some(5)), Ok((BodyLength::Fixed(5), true)));
    assert_eq!(of(&[five], Some(0)), Err(Reason::AmbiguousFraming));
    assert_eq!(of(&[five, five], Some(5)), Err(Reason::AmbiguousFraming));
    assert_eq!(of(&[("content-length", "+5")], None), Err(Reason::AmbiguousFraming));
    assert_eq!(of(&[("expect", "more")], None), Err(Reason::ExpectationFailed));
}

#[test]
fn fields_have_limits() {
    let limits = HeadLimits { request_line: 99, field: 20, header_block: 30, fields: 2 };
    let of = |headers: &[(&'static str, &str)]| {
        request_from_h2(&parts("GET", URI, headers), Some(0), &limits).map_err(|r| r.reason).err()
    };
    assert_eq!(of(&[("a", "1"), ("b", "2")]), None);
    assert_eq!(of(&[("a", "1"), ("b", "2"), ("c", "3")]), Some(Reason::HeadTooLarge));
    assert_eq!(of(&[("a", "0123456789012345678")]), Some(Reason::HeadTooLarge));
    let two = [("a", "0123456789"), ("b", "0123456789")];
    assert_eq!(of(&two), None);
    assert_eq!(of(&[two[0], ("b", "01234567890")]), Some(Reason::HeadTooLarge));
}

#[test]
fn answers_carry_their_length_and_no_connection_fields() {
    let mut fields = Fields::new();
    fields.append("content-type", "text/plain");
    fields.append("set-cookie", "a=1");
    fields.append("set-cookie", "b=2");
    let response = OutgoingResponse {
        status: StatusCode::OK,
        version: Version::Http2,
        method: &Method::GET,
        fields: &fields,
        body: BodyLength::Fixed(3),
        declared_length: None,
        connection: ConnectionUse::KeepAlive,
    };
    let head = response_to_h2(&response).unwrap();
    assert_eq!(head.headers()["content-length"], "3");
    assert_eq!(head.headers().get_all("set-cookie").iter().count(), 2);
    for (name, value) in [("connection", "close"), ("transfer-encoding", "chunked"), ("x", "a\nb")]
    {
        let mut bad = Fields::new();
        bad.append(name, value);
        assert!(response_to_h2(&OutgoingResponse { fields: &bad, ..response }).is_err(), "{name}");
    }
    let switch = OutgoingResponse { status: StatusCode::SWITCHING_PROTOCOLS, ..response };
    assert!(response_to_h2(&switch).is_err());
}
