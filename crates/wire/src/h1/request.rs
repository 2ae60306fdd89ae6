//! The head of a request (RFC 9112 §3, §5, §6).

use bartizan_core::Reason;
use bytes::{Bytes, BytesMut};
use http::Method;

use super::meaning::{ConnectionOptions, Framing, Once, Stated};
use super::scan::{HeadScan, Line, Opening};
use super::swar::find_byte;
use super::{Fault, HeadLimits, HeadRefusal, Progress, take_head};
use crate::authority::Authority;
use crate::fields::Fields;
use crate::head::{BodyLength, RequestHead, Version};
use crate::roles::{Role, role};
use crate::websocket::handshake::{Around, Handshake};

/// Parses the head of a request as far as it has arrived; a complete head is taken off `buffer`.
///
/// What comes out has one meaning: one host, one length, fields without hop-by-hop fields, without
/// fields that assert identity, and without those that ask for another method or path.
pub fn parse_request(
    buffer: &mut BytesMut,
    scan: &mut HeadScan,
    limits: &HeadLimits,
) -> Result<Progress<RequestHead>, HeadRefusal> {
    let end = match scan.advance(buffer, Opening::RequestLine, limits) {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(Progress::Partial),
        Err(fault) => return Err(HeadRefusal::new(fault, buffer)),
    };
    let mut block = take_head(buffer, end);
    let read = scan.read_fields(&mut block, Opening::RequestLine);
    let block = block.freeze();
    let (first, fields) = scan.first_and_fields();
    let head = match read {
        Ok(()) => understand(&block, first, fields),
        Err(detail) => Err(Fault::malformed(detail)),
    };
    scan.reset();
    head.map(Progress::Complete).map_err(|fault| HeadRefusal::new(fault, &block))
}

/// What the fields of a request say, heard one by one.
struct Heard<'a> {
    framing: Framing<'a>,
    host: Once<'a>,
    expect: Once<'a>,
    fields: Fields,
    has_websocket_fields: bool,
}

fn understand(block: &Bytes, first: Line, lines: &[Line]) -> Result<RequestHead, Fault> {
    let line = RequestLine::read(block, first)?;
    let heard = hear(block, lines);
    let framing = &heard.framing;
    check_host(heard.host, &line)?;
    let body = match framing.stated_length(line.version)? {
        Stated::Nothing | Stated::Length(0) => BodyLength::None,
        Stated::Length(length) => BodyLength::Fixed(length),
        Stated::Chunked => BodyLength::Chunked,
    };
    let expects_continue = expects_continue(heard.expect, line.version, body)?;
    let options = framing.connection_options()?;
    let handshake = handshake(&line, body, &options, &heard);
    let mut fields = heard.fields;
    options.strip(&mut fields);
    Ok(RequestHead {
        handshake,
        connection: options.after(line.version),
        method: line.method,
        authority: line.target.authority.map(|range| slice(block, range)),
        scheme: line.target.scheme.map(Bytes::from_static),
        target: slice(block, line.target.whole),
        version: line.version,
        fields,
        body,
        expects_continue,
    })
}

fn hear<'a>(block: &'a Bytes, lines: &[Line]) -> Heard<'a> {
    let mut framing = Framing::default();
    let (mut host, mut expect) = (Once::Absent, Once::Absent);
    let mut fields = Fields::over(block.clone());
    let mut has_websocket_fields = false;
    for line in lines {
        let field = line.field;
        let value = field.value_in(block);
        match role(field.name_in(block), field.has_underscore) {
            Role::Plain => fields.push_range(field.name, field.value),
            Role::Host => {
                host.hear(value);
                fields.push_range(field.name, field.value);
            }
            Role::Expect => expect.hear(value),
            Role::WebSocket => {
                has_websocket_fields = true;
                fields.push_range(field.name, field.value);
            }
            Role::Override | Role::Forged => {}
            role => framing.hear(role, value),
        }
    }
    Heard { framing, host, expect, fields, has_websocket_fields }
}

/// Start and end of a stretch of the block.
type Stretch = (usize, usize);

fn slice(block: &Bytes, (start, end): Stretch) -> Bytes {
    if start <= end && end <= block.len() { block.slice(start..end) } else { Bytes::new() }
}

struct RequestLine<'a> {
    method: Method,
    target: Target<'a>,
    version: Version,
}

struct Target<'a> {
    whole: Stretch,
    scheme: Option<&'static [u8]>,
    authority: Option<Stretch>,
    authority_bytes: &'a [u8],
}

impl<'a> RequestLine<'a> {
    /// Exactly one space between its three parts (RFC 9112 §3).
    fn read(block: &'a [u8], line: Line) -> Result<Self, Fault> {
        let bytes = block.get(line.start..line.end).unwrap_or_default();
        let parts = split_at_space(bytes).and_then(|(method, rest)| {
            split_at_space(rest).map(|(target, version)| (method, target, version))
        });
        let Some((method, target, version)) = parts else {
            return Err(Fault::malformed("a request line that is not `method target version`"));
        };
        let version = read_version(version)?;
        let method = read_method(method)?;
        let start = line.start + method.as_str().len() + 1;
        let target = Target::read(target, start, &method)?;
        Ok(Self { method, target, version })
    }
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, after) = bytes.split_at_checked(find_byte(bytes, b' ')?)?;
    Some((before, after.get(1..)?))
}

fn read_version(bytes: &[u8]) -> Result<Version, Fault> {
    match bytes {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Fault {
                reason: Reason::VersionNotSupported,
                detail: "a version other than HTTP/1.0 and HTTP/1.1",
            })
        }
        _ => Err(Fault::malformed("a request line without an HTTP version")),
    }
}

/// CONNECT and TRACE are refused whatever the configuration says: one turns the gateway into an
/// open tunnel, the other shows a client the fields that the gateway added.
pub(crate) fn read_method(bytes: &[u8]) -> Result<Method, Fault> {
    let method =
        Method::from_bytes(bytes).map_err(|_| Fault::malformed("a method that is not a token"))?;
    if method == Method::CONNECT || method == Method::TRACE {
        return Err(Fault {
            reason: Reason::MethodNotAllowed,
            detail: "CONNECT and TRACE are not served",
        });
    }
    Ok(method)
}

fn bad_target(detail: &'static str) -> Fault {
    Fault { reason: Reason::AmbiguousTarget, detail }
}

impl<'a> Target<'a> {
    /// Origin-form, absolute-form, or `*` for OPTIONS (RFC 9112 §3.2).
    fn read(bytes: &'a [u8], start: usize, method: &Method) -> Result<Self, Fault> {
        let whole = (start, start + bytes.len());
        let plain = Self { whole, scheme: None, authority: None, authority_bytes: b"" };
        // Without an early end, since nearly every target passes.
        if !bytes.iter().fold(true, |pass, byte| pass & byte.is_ascii_graphic()) {
            return Err(bad_target("a byte in the request target that is not visible ASCII"));
        }
        match bytes {
            [b'/', ..] => Ok(plain),
            b"*" if *method == Method::OPTIONS => Ok(plain),
            b"*" => Err(bad_target("the target `*` with a method other than OPTIONS")),
            _ => {
                let (scheme, rest) = read_scheme(bytes).ok_or_else(|| {
                    bad_target("a target that is neither a path nor an http or https URI")
                })?;
                let end = rest.iter().position(|b| matches!(b, b'/' | b'?' | b'#'));
                let authority = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
                let from = start + bytes.len() - rest.len();
                Ok(Self {
                    scheme: Some(scheme),
                    authority: Some((from, from + authority.len())),
                    authority_bytes: authority,
                    ..plain
                })
            }
        }
    }
}

/// The scheme of an absolute URI that is served, and what follows `://`.
pub(crate) fn read_scheme(target: &[u8]) -> Option<(&'static [u8], &[u8])> {
    let schemes: [(&'static [u8], &[u8]); 2] = [(b"http", b"http://"), (b"https", b"https://")];
    schemes.into_iter().find_map(|(scheme, prefix)| {
        let (start, rest) = target.split_at_checked(prefix.len())?;
        start.eq_ignore_ascii_case(prefix).then_some((scheme, rest))
    })
}

/// Exactly one Host, valid, and the same as that of an absolute-form target. RFC 9112 §3.2.2 lets
/// the target win; then whoever looked at Host before us saw another host than we serve.
fn check_host(host: Once<'_>, line: &RequestLine<'_>) -> Result<(), Fault> {
    let bad_host = |detail| Fault { reason: Reason::BadHost, detail };
    let host = match host {
        Once::Absent => return Err(bad_host("no host")),
        Once::Many => return Err(bad_host("more than one host")),
        Once::One(host) => Authority::parse(host).map_err(bad_host)?,
    };
    if let Some(scheme) = line.target.scheme {
        let target = Authority::parse(line.target.authority_bytes).map_err(bad_host)?;
        let default = if scheme == b"https" { 443 } else { 80 };
        if !host.agrees_with(&target, default) {
            return Err(bad_host("a host that disagrees with the request target"));
        }
    }
    Ok(())
}

/// HTTP/1.0 knows no `100 Continue` (RFC 9110 §10.1.1), and a request without a body needs none.
fn expects_continue(expect: Once<'_>, version: Version, body: BodyLength) -> Result<bool, Fault> {
    match expect {
        Once::Absent => Ok(false),
        Once::One(value) if value.eq_ignore_ascii_case(b"100-continue") => {
            Ok(version == Version::Http11 && body != BodyLength::None)
        }
        Once::One(_) | Once::Many => Err(Fault {
            reason: Reason::ExpectationFailed,
            detail: "an expectation that is not exactly `100-continue`",
        }),
    }
}

/// What the request says of WebSocket; nearly none does.
fn handshake(
    line: &RequestLine<'_>,
    body: BodyLength,
    options: &ConnectionOptions<'_>,
    heard: &Heard<'_>,
) -> Handshake {
    if !heard.has_websocket_fields && !heard.framing.mentions_websocket {
        return Handshake::Absent;
    }
    let around = Around {
        is_http11: line.version == Version::Http11,
        is_get: line.method == Method::GET,
        has_body: body != BodyLength::None,
        upgrades: options.upgrade,
        closes: options.close,
        names_websocket: heard.framing.names_websocket(),
    };
    around.judge(&heard.fields)
}
