//! Writing heads. Whatever was put together by plugins, or came over HTTP/2, is a valid HTTP/1
//! message when it leaves, or an error: nothing here can emit a line of its own making.

use http::{Method, StatusCode};

use super::swar::find_control;
use crate::fields::{Field, Fields, is_field_name};
use crate::head::{BodyLength, ConnectionUse, Version};
use crate::roles::{Role, exact_role};

/// Why a head cannot be sent. It is a fault on our side, never the peer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unsendable {
    /// The precise cause, for the operator.
    pub detail: &'static str,
}

pub(crate) fn unsendable(detail: &'static str) -> Unsendable {
    Unsendable { detail }
}

/// The interim answer that lets a client send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Field lines that were checked once, to be sent with many requests.
///
/// PERF: `cargo xtask bench`, plain: what a connection says of its client is the same for each of
/// its requests.
#[derive(Clone, Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Adds a field. What may not be sent, or would say how the message is framed, is an error.
    pub fn push(&mut self, name: &str, value: &[u8]) -> Result<(), Unsendable> {
        if !matches!(exact_role(name.as_bytes()), Role::Plain | Role::Override) {
            return Err(unsendable("a host, connection or framing field among the fields"));
        }
        check_field(name.as_bytes(), value)?;
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(b": ");
        self.0.extend_from_slice(value);
        self.0.extend_from_slice(b"\r\n");
        Ok(())
    }

    /// The fields in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        // No name holds a colon and no value a line end.
        self.0.split(|byte| *byte == b'\n').filter_map(|line| {
            let line = line.strip_suffix(b"\r")?;
            let colon = line.iter().position(|byte| *byte == b':')?;
            let (name, value) = line.split_at_checked(colon)?;
            Some(Field { name, value: value.strip_prefix(b": ")? })
        })
    }
}

/// A request to an upstream. Connection and framing fields are not in `fields`: they follow from
/// `body`, `connection` and `websocket`.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingRequest<'a> {
    /// The method.
    pub method: &'a Method,
    /// The request target: path and query, or `*`.
    pub target: &'a str,
    /// The value of Host; a `host` among the fields is passed over.
    pub host: &'a str,
    /// The other fields.
    pub fields: &'a Fields,
    /// Fields that are the same for every request of a connection, after `fields`.
    pub lines: Option<&'a Lines>,
    /// The value of `x-forwarded-host`, after `lines`.
    pub forwarded_host: Option<&'a str>,
    /// How the upstream will know where the body ends.
    pub body: BodyLength,
    /// What becomes of the upstream connection afterwards.
    pub connection: ConnectionUse,
    /// Asks for an upgrade to WebSocket.
    pub websocket: bool,
    /// Sends the body only when the upstream says so.
    pub expect_continue: bool,
}

/// A response to a client.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingResponse<'a> {
    /// The status.
    pub status: StatusCode,
    /// The version that the client speaks; the answer itself is always HTTP/1.1.
    pub version: Version,
    /// The method of the request, since HEAD and lengths depend on it.
    pub method: &'a Method,
    /// The fields, without connection and framing fields.
    pub fields: &'a Fields,
    /// How the client will know where the body ends.
    pub body: BodyLength,
    /// The `content-length` that stands for metadata: for HEAD and 304 only.
    pub declared_length: Option<u64>,
    /// What becomes of the connection afterwards.
    pub connection: ConnectionUse,
}

/// Appends the head of a request. On an error nothing of it is left in `out`.
pub fn encode_request(out: &mut Vec<u8>, request: &OutgoingRequest<'_>) -> Result<(), Unsendable> {
    let start = out.len();
    let written = write_request(out, request);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends the head of a response. On an error nothing of it is left in `out`.
pub fn encode_response(
    out: &mut Vec<u8>,
    response: &OutgoingResponse<'_>,
) -> Result<(), Unsendable> {
    let start = out.len();
    let written = write_response(out, response);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_request(out: &mut Vec<u8>, request: &OutgoingRequest<'_>) -> Result<(), Unsendable> {
    if !is_sendable_target(request.target) {
        return Err(unsendable("a request target that is neither a path nor `*`"));
    }
    if !is_sendable_host(request.host) {
        return Err(unsendable("a host that is not visible ASCII"));
    }
    if request.websocket && request.body != BodyLength::None {
        return Err(unsendable("an upgrade on a request with a body"));
    }
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(request.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    out.extend_from_slice(request.host.as_bytes());
    out.extend_from_slice(b"\r\n");
    write_fields(out, request.fields)?;
    if let Some(lines) = request.lines {
        out.extend_from_slice(&lines.0);
    }
    if let Some(host) = request.forwarded_host {
        if !is_sendable_host(host) {
            return Err(unsendable("a forwarded host that is not visible ASCII"));
        }
        out.extend_from_slice(b"x-forwarded-host: ");
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match request.body {
        BodyLength::Fixed(length) => write_length(out, length),
        BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyLength::UntilClose => {
            return Err(unsendable("a request that ends with the connection"));
        }
        // Without it some servers wait for a body, or answer 411 (RFC 9110 §8.6).
        BodyLength::None if expects_body(request.method) => write_length(out, 0),
        BodyLength::None => {}
    }
    if request.expect_continue && request.body != BodyLength::None {
        out.extend_from_slice(b"expect: 100-continue\r\n");
    }
    if request.websocket {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    } else if request.connection == ConnectionUse::Close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

pub(crate) fn is_sendable_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic())
}

pub(crate) fn is_sendable_target(target: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_graphic() && b != b'#';
    target == "*" || (target.starts_with('/') && target.bytes().all(is_allowed))
}

fn expects_body(method: &Method) -> bool {
    *method == Method::POST || *method == Method::PUT || *method == Method::PATCH
}

fn write_response(out: &mut Vec<u8>, response: &OutgoingResponse<'_>) -> Result<(), Unsendable> {
    write_status_line(out, response.status);
    write_fields(out, response.fields)?;
    if response.status == StatusCode::SWITCHING_PROTOCOLS {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
        return Ok(());
    }
    write_response_length(out, response)?;
    if !response.status.is_informational() {
        match (response.connection, response.version) {
            (ConnectionUse::Close, _) => out.extend_from_slice(b"connection: close\r\n"),
            (ConnectionUse::KeepAlive, Version::Http10) => {
                out.extend_from_slice(b"connection: keep-alive\r\n");
            }
            (ConnectionUse::KeepAlive, _) => {}
        }
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_response_length(
    out: &mut Vec<u8>,
    response: &OutgoingResponse<'_>,
) -> Result<(), Unsendable> {
    if let Some(length) = response.stated_length()? {
        write_length(out, length);
    }
    match response.body {
        BodyLength::Chunked if response.version == Version::Http10 => {
            Err(unsendable("chunks for an HTTP/1.0 client"))
        }
        BodyLength::UntilClose if response.connection != ConnectionUse::Close => {
            Err(unsendable("a body without an end on a connection that goes on"))
        }
        BodyLength::Chunked => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Ok(())
        }
        _ => Ok(()),
    }
}

impl OutgoingResponse<'_> {
    /// The `content-length` that is sent, if any (RFC 9110 §8.6).
    pub(crate) fn stated_length(&self) -> Result<Option<u64>, Unsendable> {
        let has_no_body = self.status.is_informational() || self.status == StatusCode::NO_CONTENT;
        let is_metadata = *self.method == Method::HEAD || self.status == StatusCode::NOT_MODIFIED;
        if (has_no_body || is_metadata) && self.body != BodyLength::None {
            return Err(unsendable("a body on a response that cannot have one"));
        }
        Ok(match self.body {
            BodyLength::None if has_no_body => None,
            BodyLength::None if is_metadata => self.declared_length,
            BodyLength::None => Some(0),
            BodyLength::Fixed(length) => Some(length),
            BodyLength::Chunked | BodyLength::UntilClose => None,
        })
    }
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_fields(out: &mut Vec<u8>, fields: &Fields) -> Result<(), Unsendable> {
    for_each_sendable(fields, |field| {
        out.extend_from_slice(field.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    })
}

/// Gives the fields that leave to `write`, in whichever version of HTTP, or says why none may: what
/// the gateway put together is judged here, `Host` is written by whoever knows it.
pub(crate) fn for_each_sendable(
    fields: &Fields,
    mut write: impl FnMut(Field<'_>),
) -> Result<(), Unsendable> {
    for (field, is_received) in fields.iter_by_origin() {
        if is_received {
            // PERF: `benches/codec.rs`, encode request: the parser took connection and framing
            // fields out and let nothing pass that could end a line.
            if field.name == b"host" {
                continue;
            }
        } else {
            match exact_role(field.name) {
                Role::Plain | Role::Override => check_field(field.name, field.value)?,
                Role::Host => continue,
                _ => return Err(unsendable("a connection or framing field among the fields")),
            }
        }
        write(field);
    }
    Ok(())
}

/// A name that is a token in lower case, a value without control bytes but tab, and without white
/// space at its ends.
pub(crate) fn check_field(name: &[u8], value: &[u8]) -> Result<(), Unsendable> {
    if !is_field_name(name) {
        return Err(unsendable("a field name that is not a lower-case token"));
    }
    let is_space = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    if find_control(value).is_some() || is_space(value.first()) || is_space(value.last()) {
        return Err(unsendable("a field value with control bytes or space at its ends"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> Fields {
        let mut fields = Fields::new();
        for (name, value) in list {
            fields.append(*name, *value);
        }
        fields
    }

    fn request(fields: &Fields) -> OutgoingRequest<'_> {
        OutgoingRequest {
            method: &Method::GET,
            target: "/a?b=c",
            host: "up.example:8080",
            fields,
            lines: None,
            forwarded_host: None,
            body: BodyLength::None,
            connection: ConnectionUse::KeepAlive,
            websocket: false,
            expect_continue: false,
        }
    }

    fn response(fields: &Fields) -> OutgoingResponse<'_> {
        OutgoingResponse {
            status: StatusCode::OK,
            version: Version::Http11,
            method: &Method::GET,
            fields,
            body: BodyLength::None,
            declared_length: None,
            connection: ConnectionUse::KeepAlive,
        }
    }

    fn sent(request: &OutgoingRequest<'_>) -> Result<String, Unsendable> {
        let mut out = Vec::new();
        encode_request(&mut out, request).map(|()| String::from_utf8(out).unwrap())
    }

    fn answered(response: &OutgoingResponse<'_>) -> Result<String, Unsendable> {
        let mut out = Vec::new();
        encode_response(&mut out, response).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_request_is_its_line_its_host_and_its_fields() {
        let fields = fields(&[("host", "old"), ("accept", "*/*")]);
        let expected = "GET /a?b=c HTTP/1.1\r\nhost: up.example:8080\r\naccept: */*\r\n\r\n";
        assert_eq!(sent(&request(&fields)).unwrap(), expected);
    }

    #[test]
    fn prepared_lines_and_the_forwarded_host_follow_the_fields() {
        let fields = fields(&[("accept", "*/*")]);
        let mut lines = Lines::default();
        lines.push("x-real-ip", b"192.0.2.1").unwrap();
        let request = OutgoingRequest {
            lines: Some(&lines),
            forwarded_host: Some("api.example"),
            ..request(&fields)
        };
        assert!(sent(&request).unwrap().ends_with(
            "\r\naccept: */*\r\nx-real-ip: 192.0.2.1\r\nx-forwarded-host: api.example\r\n\r\n"
        ));
        assert!(sent(&OutgoingRequest { forwarded_host: Some("a\r\nb: c"), ..request }).is_err());
    }

    #[test]
    fn prepared_lines_are_checked_when_they_are_made() {
        for (name, value) in
            [("x", "a\r\nb: c"), ("X", "a"), ("content-length", "3"), ("host", "a"), ("x", " a")]
        {
            assert!(Lines::default().push(name, value.as_bytes()).is_err(), "{name}: {value:?}");
        }
    }

    #[test]
    fn the_length_of_a_request_is_said_once() {
        let none = Fields::new();
        let with =
            |method, body| sent(&OutgoingRequest { method, body, ..request(&none) }).unwrap();
        assert!(with(&Method::GET, BodyLength::Fixed(7)).contains("\r\ncontent-length: 7\r\n"));
        let chunked = with(&Method::POST, BodyLength::Chunked);
        assert!(chunked.contains("transfer-encoding: chunked") && !chunked.contains("length"));
        assert!(with(&Method::POST, BodyLength::None).contains("content-length: 0\r\n"));
        assert!(!with(&Method::GET, BodyLength::None).contains("length"));
    }

    #[test]
    fn what_could_make_another_line_is_not_sent() {
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x", "a\nb"),
            ("x", "a\0"),
            ("x", " a"),
            ("x\r\ny", "a"),
            ("x y", "a"),
            ("X", "a"),
            ("", "a"),
            ("content-length", "3"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("upgrade", "h2c"),
        ] {
            let fields = fields(&[(name, value)]);
            assert!(sent(&request(&fields)).is_err(), "{name:?}: {value:?}");
            assert!(answered(&response(&fields)).is_err(), "{name:?}: {value:?}");
        }
        let none = Fields::new();
        for target in ["", "a", "http://a/", "/a b", "/a\r\nx: y", "/#x", "/\u{e9}"] {
            assert!(sent(&OutgoingRequest { target, ..request(&none) }).is_err(), "{target:?}");
        }
        for host in ["", "a b", "a\r\nx: y"] {
            assert!(sent(&OutgoingRequest { host, ..request(&none) }).is_err(), "{host:?}");
        }
        let until_close = OutgoingRequest { body: BodyLength::UntilClose, ..request(&none) };
        assert!(sent(&until_close).is_err());
    }

    #[test]
    fn a_refused_head_leaves_nothing_behind() {
        let fields = fields(&[("x", "a\nb")]);
        let mut out = b"before".to_vec();
        assert!(encode_response(&mut out, &response(&fields)).is_err());
        assert_eq!(out, b"before");
    }

    #[test]
    fn the_length_of_a_response_follows_status_and_method() {
        let none = Fields::new();
        let base = response(&none);
        let head = OutgoingResponse { method: &Method::HEAD, ..base };
        let status =
            |code| OutgoingResponse { status: StatusCode::from_u16(code).unwrap(), ..base };
        let rows = [
            (base, Some("content-length: 0\r\n")),
            (
                OutgoingResponse { body: BodyLength::Fixed(5), ..base },
                Some("content-length: 5\r\n"),
            ),
            (OutgoingResponse { declared_length: Some(9), ..head }, Some("content-length: 9\r\n")),
            (head, None),
            (status(204), None),
            (status(304), None),
            (
                OutgoingResponse { declared_length: Some(9), ..status(304) },
                Some("content-length: 9"),
            ),
            (OutgoingResponse { declared_length: Some(9), ..status(204) }, None),
            (status(103), None),
        ];
        for (response, expected) in rows {
            let text = answered(&response).unwrap();
            match expected {
                Some(expected) => assert!(text.contains(expected), "{text}"),
                None => assert!(!text.contains("length"), "{text}"),
            }
            assert!(!text.contains("transfer-encoding"), "{text}");
        }
    }

    #[test]
    fn a_response_that_cannot_be_framed_is_an_error() {
        let none = Fields::new();
        let base = response(&none);
        for bad in [
            OutgoingResponse { version: Version::Http10, body: BodyLength::Chunked, ..base },
            OutgoingResponse { body: BodyLength::UntilClose, ..base },
            OutgoingResponse { method: &Method::HEAD, body: BodyLength::Fixed(1), ..base },
            OutgoingResponse { status: StatusCode::NO_CONTENT, body: BodyLength::Chunked, ..base },
        ] {
            assert!(answered(&bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_connection_is_named_where_it_is_not_the_default() {
        let none = Fields::new();
        let base = response(&none);
        let close = OutgoingResponse { connection: ConnectionUse::Close, ..base };
        let old = OutgoingResponse { version: Version::Http10, ..base };
        let switch = OutgoingResponse { status: StatusCode::SWITCHING_PROTOCOLS, ..base };
        assert!(!answered(&base).unwrap().contains("connection"));
        assert!(answered(&close).unwrap().contains("connection: close\r\n"));
        assert!(answered(&old).unwrap().contains("connection: keep-alive\r\n"));
        assert!(answered(&switch).unwrap().ends_with("upgrade: websocket\r\n\r\n"));
    }
}
