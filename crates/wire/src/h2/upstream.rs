//! Heads on the way to and from an HTTP/2 upstream, whose frames somebody else reads: the same
//! judgement as on HTTP/1.

use bytes::BytesMut;
use http::{Method, StatusCode};

use crate::fields::{Field, Fields, is_field_name, is_field_value};
use crate::h1::encode::{
    Lines, OutgoingRequest, Unsendable, for_each_sendable, is_sendable_host, is_sendable_target,
    unsendable,
};
use crate::h1::meaning::content_length;
use crate::head::{BodyLength, ConnectionUse, ResponseHead, Version};
use crate::roles::{Role, is_forbidden_in_trailers, role};

/// Gives the fields of a request to an HTTP/2 upstream to `write`, in order: those of the request,
/// those that tell of its sender, `te: trailers` (RFC 9110 §10.1.4) and the length. What may not
/// leave is an error, and then nothing of the request is to be sent.
pub fn write_h2_request(
    request: &OutgoingRequest<'_>,
    mut write: impl FnMut(Field<'_>),
) -> Result<(), Unsendable> {
    if !is_sendable_target(request.target) {
        return Err(unsendable("a request target that is neither a path nor `*`"));
    }
    if !is_sendable_host(request.host) {
        return Err(unsendable("a host that is not visible ASCII"));
    }
    if request.websocket || request.body == BodyLength::UntilClose {
        return Err(unsendable("an upgrade, or a body without an end, on HTTP/2"));
    }
    for_each_sendable(request.fields, &mut write)?;
    for field in request.lines.into_iter().flat_map(Lines::iter) {
        write(field);
    }
    if let Some(host) = request.forwarded_host {
        if !is_sendable_host(host) {
            return Err(unsendable("a forwarded host that is not visible ASCII"));
        }
        write(Field { name: b"x-forwarded-host", value: host.as_bytes() });
    }
    write(Field { name: b"te", value: b"trailers" });
    if let BodyLength::Fixed(length) = request.body {
        let mut digits = itoa::Buffer::new();
        write(Field { name: b"content-length", value: digits.format(length).as_bytes() });
    }
    Ok(())
}

/// The head of an HTTP/2 answer to a request with `method`, judged. `is_last` says that the stream
/// ended with it. An error is the upstream's.
pub fn judge_h2_response<'a>(
    status: StatusCode,
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    method: &Method,
    is_last: bool,
) -> Result<ResponseHead, &'static str> {
    if status.as_u16() > 599 || status == StatusCode::SWITCHING_PROTOCOLS {
        return Err("a status that HTTP/2 does not have");
    }
    let mut stated = None;
    let mut collected = Collected::default();
    for (name, value) in fields {
        match role(name, false) {
            Role::Plain | Role::Forged | Role::Override => collected.push(name, value)?,
            // Without a meaning in a response.
            Role::Host | Role::Expect => {}
            Role::ContentLength => {
                let length = content_length(value).map_err(|fault| fault.detail)?;
                if stated.replace(length).is_some() {
                    return Err("more than one content-length");
                }
            }
            Role::HopByHop if name == b"trailer" => {}
            Role::HopByHop | Role::Connection | Role::TransferEncoding | Role::Upgrade => {
                return Err("a field of the connection on HTTP/2");
            }
        }
    }
    let fields = collected.whole();
    let (body, declared_length) = body_of(status, stated, method, is_last)?;
    let (version, connection) = (Version::Http2, ConnectionUse::KeepAlive);
    Ok(ResponseHead { status, version, fields, body, declared_length, connection })
}

/// What a stated length means. One that says less than what comes is found where it comes.
fn body_of(
    status: StatusCode,
    stated: Option<u64>,
    method: &Method,
    is_last: bool,
) -> Result<(BodyLength, Option<u64>), &'static str> {
    if status == StatusCode::NO_CONTENT {
        return match stated {
            None | Some(0) => Ok((BodyLength::None, None)),
            Some(_) => Err("a length on a status that has no body"),
        };
    }
    if *method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        return Ok((BodyLength::None, stated));
    }
    match stated {
        Some(0) if is_last => Ok((BodyLength::None, None)),
        Some(1..) if is_last => Err("a length, and no body"),
        Some(length @ 1..) => Ok((BodyLength::Fixed(length), None)),
        // Trailers may follow, or stand in the place of a head.
        Some(0) | None => Ok((BodyLength::Chunked, None)),
    }
}

/// The trailers of an HTTP/2 answer, judged like those behind chunks.
pub fn judge_h2_trailers<'a>(
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
) -> Result<Fields, &'static str> {
    let mut collected = Collected::default();
    for (name, value) in fields {
        if is_forbidden_in_trailers(name) {
            return Err("a trailer field that may not be one");
        }
        collected.push(name, value)?;
    }
    Ok(collected.whole())
}

/// Fields that are put together.
struct Collected {
    block: BytesMut,
    fields: Fields,
}

impl Default for Collected {
    fn default() -> Self {
        Self { block: BytesMut::new(), fields: Fields::over(bytes::Bytes::new()) }
    }
}

impl Collected {
    fn push(&mut self, name: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if !is_field_name(name) || !is_field_value(value) {
            return Err("a field that HTTP does not allow");
        }
        let (name, value) = (self.put(name), self.put(value));
        self.fields.push_range(name, value);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> (usize, usize) {
        let start = self.block.len();
        self.block.extend_from_slice(bytes);
        (start, bytes.len())
    }

    fn whole(mut self) -> Fields {
        self.fields.lay_under(self.block.freeze());
        self.fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type List<'a> = &'a [(&'a str, &'a str)];

    fn judge(status: u16, fields: List<'_>, method: &Method, is_last: bool) -> Verdict {
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let status = StatusCode::from_u16(status).unwrap();
        judge_h2_response(status, fields, method, is_last)
            .map(|head| (head.body, head.declared_length, head.fields.len()))
    }

    type Verdict = Result<(BodyLength, Option<u64>, usize), &'static str>;

    #[test]
    fn the_length_of_an_answer_is_what_status_method_and_fields_say() {
        use BodyLength::{Chunked, Fixed, None as Nothing};
        let (get, head) = (Method::GET, Method::HEAD);
        let length = |text: &'static str| [("content-length", text)];
        assert_eq!(judge(200, &[], &get, false), Ok((Chunked, None, 0)));
        assert_eq!(judge(200, &[("grpc-status", "0")], &get, true), Ok((Chunked, None, 1)));
        assert_eq!(judge(200, &length("5"), &get, false), Ok((Fixed(5), None, 0)));
        assert_eq!(judge(200, &length("0"), &get, false), Ok((Chunked, None, 0)));
        assert_eq!(judge(200, &length("0"), &get, true), Ok((Nothing, None, 0)));
        assert_eq!(judge(200, &length("5"), &head, true), Ok((Nothing, Some(5), 0)));
        assert_eq!(judge(304, &length("5"), &get, true), Ok((Nothing, Some(5), 0)));
        assert_eq!(judge(204, &[], &get, true), Ok((Nothing, None, 0)));
        assert!(judge(204, &length("5"), &get, false).is_err());
        assert!(judge(200, &length("5"), &get, true).is_err());
    }

    #[test]
    fn an_answer_that_http2_does_not_allow_is_refused() {
        for fields in [
            &[("transfer-encoding", "chunked")][..],
            &[("connection", "x-a")],
            &[("keep-alive", "timeout=5")],
            &[("upgrade", "websocket")],
            &[("content-length", "5"), ("content-length", "5")],
            &[("content-length", "+5")],
            &[("content-length", "")],
            &[("X-Upper", "a")],
            &[("x-a", "b\r\nc: d")],
            &[("x-a", "b\0")],
        ] {
            assert!(judge(200, fields, &Method::GET, false).is_err(), "{fields:?}");
        }
        assert!(judge(101, &[], &Method::GET, false).is_err());
        assert!(judge(600, &[], &Method::GET, false).is_err());
        let dropped: List<'_> = &[("trailer", "x"), ("host", "a"), ("x-b", "c")];
        assert_eq!(judge(200, dropped, &Method::GET, false).unwrap().2, 1);
    }

    #[test]
    fn trailers_carry_a_status_and_never_a_meaning() {
        let judge = |name: &'static str| {
            judge_h2_trailers([(name.as_bytes(), &b"1"[..])].into_iter()).map(|f| f.len())
        };
        assert_eq!(judge("grpc-status"), Ok(1));
        for name in ["content-length", "set-cookie", "transfer-encoding", "host", "Grpc-Status"] {
            assert!(judge(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_request_names_its_sender_its_length_and_that_trailers_are_read() {
        let mut fields = Fields::new();
        fields.append("x-a", "1");
        fields.append("host", "other");
        let mut lines = Lines::default();
        lines.push("x-real-ip", b"192.0.2.1").unwrap();
        lines.push("x-empty", b"").unwrap();
        let request = OutgoingRequest {
            method: &Method::POST,
            target: "/a",
            host: "h",
            fields: &fields,
            lines: Some(&lines),
            forwarded_host: Some("f"),
            body: BodyLength::Fixed(7),
            connection: ConnectionUse::KeepAlive,
            websocket: false,
            expect_continue: false,
        };
        let mut seen = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut write = |field: Field<'_>| {
            seen.push(format!("{}: {}", text(field.name), text(field.value)));
        };
        write_h2_request(&request, &mut write).unwrap();
        for (target, host) in [("a", "h"), ("/a", ""), ("/a", "h h")] {
            let bad = OutgoingRequest { target, host, ..request };
            assert!(write_h2_request(&bad, |_| ()).is_err(), "{target} {host}");
        }
        let expected = [
            "x-a: 1",
            "x-real-ip: 192.0.2.1",
            "x-empty: ",
            "x-forwarded-host: f",
            "te: trailers",
            "content-length: 7",
        ];
        assert_eq!(seen, expected);
    }
}
