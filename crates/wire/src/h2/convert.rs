//! Requests and answers between HTTP/2 and the codec's own types (RFC 9113 §8).
//!
//! A request is judged as if it had come over HTTP/1, whatever the HTTP/2 library has checked:
//! what passes here may be written as HTTP/1 upstream, where one line end in a value is a second
//! request.

use bartizan_core::Reason;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

use crate::authority::Authority;
use crate::fields::Fields;
use crate::h1::encode::{OutgoingResponse, Unsendable, check_field, unsendable};
use crate::h1::meaning::content_length;
use crate::h1::request::read_method;
use crate::h1::{Fault, HeadLimits, HeadRefusal};
use crate::head::{BodyLength, ConnectionUse, RequestHead, Version};
use crate::roles::{Role, exact_role, role};

/// The head of a request that came over HTTP/2. `exact_length` is the body's length where the
/// library knows it: zero if the stream has ended, or what `content-length` says.
pub fn request_from_h2(
    parts: &Parts,
    exact_length: Option<u64>,
    limits: &HeadLimits,
) -> Result<RequestHead, HeadRefusal> {
    understand(parts, exact_length, limits).map_err(|fault| {
        let target = parts.uri.path_and_query().map_or("", |p| p.as_str());
        HeadRefusal::new(fault, format!("{} {target} HTTP/2", parts.method).as_bytes())
    })
}

fn understand(
    parts: &Parts,
    exact_length: Option<u64>,
    limits: &HeadLimits,
) -> Result<RequestHead, Fault> {
    let method = read_method(parts.method.as_str().as_bytes())?;
    let target = read_target(parts, &method, limits)?;
    let scheme = match parts.uri.scheme_str() {
        None => None,
        Some(scheme @ ("http" | "https")) => Some(Bytes::copy_from_slice(scheme.as_bytes())),
        Some(_) => return Err(protocol_error("a scheme other than http and https")),
    };
    let authority = parts.uri.authority().map(|a| Bytes::copy_from_slice(a.as_str().as_bytes()));
    check_size(&parts.headers, limits)?;
    let mut heard = hear(&parts.headers)?;
    settle_host(&mut heard.fields, authority.as_ref())?;
    let body = settle_length(heard.content_length, exact_length)?;
    Ok(RequestHead {
        method,
        target,
        authority,
        scheme,
        version: Version::Http2,
        fields: heard.fields,
        body,
        connection: ConnectionUse::KeepAlive,
        expects_continue: heard.expects_continue && body != BodyLength::None,
        wants_websocket: false,
    })
}

fn protocol_error(detail: &'static str) -> Fault {
    Fault { reason: Reason::ProtocolError, detail }
}

fn bad_host(detail: &'static str) -> Fault {
    Fault { reason: Reason::BadHost, detail }
}

fn read_target(parts: &Parts, method: &Method, limits: &HeadLimits) -> Result<Bytes, Fault> {
    let bad_target = |detail| Fault { reason: Reason::AmbiguousTarget, detail };
    let target = parts.uri.path_and_query().map_or("", |p| p.as_str());
    if target.len() > limits.request_line {
        return Err(Fault {
            reason: Reason::TargetTooLong,
            detail: "a path over `limits.request_line`",
        });
    }
    let is_path = target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic());
    let is_server = target == "*" && *method == Method::OPTIONS;
    if !is_path && !is_server {
        return Err(bad_target("a path that does not start with a slash or is not visible ASCII"));
    }
    Ok(Bytes::copy_from_slice(target.as_bytes()))
}

fn check_size(headers: &HeaderMap, limits: &HeadLimits) -> Result<(), Fault> {
    let too_large = |detail| Err(Fault { reason: Reason::HeadTooLarge, detail });
    if headers.len() > limits.fields {
        return too_large("more fields than `limits.fields`");
    }
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + 4;
    if headers.iter().map(size).any(|size| size > limits.field) {
        return too_large("a field over `limits.field`");
    }
    if headers.iter().map(size).sum::<usize>() > limits.header_block {
        return too_large("a header block over `limits.header_block`");
    }
    Ok(())
}

struct Heard {
    fields: Fields,
    content_length: Option<u64>,
    expects_continue: bool,
}

fn hear(headers: &HeaderMap) -> Result<Heard, Fault> {
    let mut list = FieldList::default();
    let mut length = None;
    let mut expects_continue = false;
    for (name, value) in headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        check_field(name, value).map_err(|e| protocol_error(e.detail))?;
        match role(name, name.contains(&b'_')) {
            Role::Plain if name == b"cookie" => list.push_cookie(value),
            Role::Plain | Role::Host => list.push(name, value),
            Role::ContentLength => {
                if length.replace(content_length(value)?).is_some() {
                    return Err(Fault::framing("more than one content-length"));
                }
            }
            Role::Expect if value.eq_ignore_ascii_case(b"100-continue") && !expects_continue => {
                expects_continue = true;
            }
            Role::Expect => {
                return Err(Fault {
                    reason: Reason::ExpectationFailed,
                    detail: "an expectation that is not exactly `100-continue`",
                });
            }
            Role::TransferEncoding | Role::Connection | Role::Upgrade => {
                return Err(protocol_error("a connection-specific field"));
            }
            Role::HopByHop => check_hop_by_hop(name, value)?,
            Role::Override | Role::Forged => {}
        }
    }
    Ok(Heard { fields: list.finish(), content_length: length, expects_continue })
}

/// RFC 9113 §8.2.2: only `te: trailers`, and no others of the connection.
fn check_hop_by_hop(name: &[u8], value: &[u8]) -> Result<(), Fault> {
    match name {
        b"te" if value.eq_ignore_ascii_case(b"trailers") => Ok(()),
        b"te" | b"keep-alive" | b"proxy-connection" => {
            Err(protocol_error("a connection-specific field"))
        }
        _ => Ok(()),
    }
}

/// Fields in one block. Cookie crumbs become one field (RFC 9113 §8.2.3).
#[derive(Default)]
struct FieldList {
    block: BytesMut,
    ranges: Vec<((usize, usize), (usize, usize))>,
    cookie: BytesMut,
}

impl FieldList {
    fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.block.len();
        self.block.extend_from_slice(name);
        self.block.extend_from_slice(value);
        self.ranges.push(((start, name.len()), (start + name.len(), value.len())));
    }

    fn push_cookie(&mut self, crumb: &[u8]) {
        if !self.cookie.is_empty() {
            self.cookie.extend_from_slice(b"; ");
        }
        self.cookie.extend_from_slice(crumb);
    }

    fn finish(self) -> Fields {
        let mut fields = Fields::over(self.block.freeze());
        for (name, value) in self.ranges {
            fields.push_range(name, value);
        }
        if !self.cookie.is_empty() {
            fields.append(Bytes::from_static(b"cookie"), self.cookie.freeze());
        }
        fields
    }
}

/// One host: `:authority`, Host, or both if they agree. Afterwards there is exactly one Host.
fn settle_host(fields: &mut Fields, authority: Option<&Bytes>) -> Result<(), Fault> {
    let host = fields.single("host").map_err(|_| bad_host("more than one host"))?;
    match (host, authority) {
        (None, None) => return Err(bad_host("no host")),
        (Some(host), None) => {
            Authority::parse(host).map_err(bad_host)?;
        }
        (None, Some(authority)) => {
            Authority::parse(authority).map_err(bad_host)?;
            fields.append(Bytes::from_static(b"host"), authority.clone());
        }
        (Some(host), Some(authority)) => {
            let host = Authority::parse(host).map_err(bad_host)?;
            let authority = Authority::parse(authority).map_err(bad_host)?;
            // Without a default port: whether 443 is meant is not for a field to say.
            if !host.agrees_with(&authority, 0) {
                return Err(bad_host("a host that disagrees with the authority"));
            }
        }
    }
    Ok(())
}

fn settle_length(stated: Option<u64>, exact: Option<u64>) -> Result<BodyLength, Fault> {
    match (stated, exact) {
        (Some(stated), Some(exact)) if stated != exact => {
            Err(Fault::framing("a content-length that disagrees with the stream"))
        }
        (Some(0), _) | (None, Some(0)) => Ok(BodyLength::None),
        (Some(length), _) | (None, Some(length)) => Ok(BodyLength::Fixed(length)),
        (None, None) => Ok(BodyLength::Chunked),
    }
}

/// Fields as HTTP/2 sends them: for trailers, and for heads whose length is settled elsewhere.
pub fn header_map(fields: &Fields) -> Result<HeaderMap, Unsendable> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields.iter() {
        match exact_role(field.name) {
            Role::Plain | Role::Override => {}
            Role::Host => continue,
            _ => return Err(unsendable("a connection or framing field among the fields")),
        }
        check_field(field.name, field.value)?;
        let name = HeaderName::from_bytes(field.name)
            .map_err(|_| unsendable("a field name that HTTP/2 cannot send"))?;
        let value = HeaderValue::from_bytes(field.value)
            .map_err(|_| unsendable("a field value that HTTP/2 cannot send"))?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The head of an answer as HTTP/2 sends it.
pub fn response_to_h2(response: &OutgoingResponse<'_>) -> Result<Response<()>, Unsendable> {
    let status = response.status;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        return Err(unsendable("a switch of protocols on HTTP/2"));
    }
    let mut headers = header_map(response.fields)?;
    if let Some(length) = response.stated_length()? {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let mut head = Response::new(());
    *head.status_mut() = status;
    *head.headers_mut() = headers;
    Ok(head)
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
