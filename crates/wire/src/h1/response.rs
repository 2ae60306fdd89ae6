//! The head of a response (RFC 9112 §4, §6.3): as strict as for requests, since an upstream that is
//! misled, or hostile, can otherwise answer one client's request with another's.

use bartizan_core::Reason;
use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};

use super::meaning::{ConnectionOptions, Framing, Stated};
use super::scan::{HeadScan, Line, Opening};
use super::{Fault, HeadLimits, HeadRefusal, Progress, take_head};
use crate::fields::Fields;
use crate::head::{BodyLength, ConnectionUse, ResponseHead, Version};
use crate::roles::{Role, role};

/// Parses the head of a response to a request with `request_method`, as far as it has arrived; a
/// complete head is taken off `buffer`.
///
/// Informational heads (1xx) come out like any other; the caller goes on to the next. A 101 comes
/// out only if it agrees to WebSocket; the caller refuses it if it did not ask. Every refusal is
/// [`Reason::UpstreamMalformed`].
pub fn parse_response(
    buffer: &mut BytesMut,
    scan: &mut HeadScan,
    limits: &HeadLimits,
    request_method: &Method,
) -> Result<Progress<ResponseHead>, HeadRefusal> {
    let refuse = |fault: Fault, seen: &[u8]| {
        HeadRefusal::new(Fault { reason: Reason::UpstreamMalformed, ..fault }, seen)
    };
    let end = match scan.advance(buffer, Opening::StatusLine, limits) {
        Ok(Some(end)) => end,
        Ok(None) => return Ok(Progress::Partial),
        Err(fault) => return Err(refuse(fault, buffer)),
    };
    let mut block = take_head(buffer, end);
    let read = scan.read_fields(&mut block, Opening::StatusLine);
    let block = block.freeze();
    let (first, fields) = scan.first_and_fields();
    let head = match read {
        Ok(()) => understand(&block, first, fields, request_method),
        Err(detail) => Err(Fault::malformed(detail)),
    };
    scan.reset();
    head.map(Progress::Complete).map_err(|fault| refuse(fault, &block))
}

fn understand(
    block: &Bytes,
    first: Line,
    lines: &[Line],
    request_method: &Method,
) -> Result<ResponseHead, Fault> {
    let (version, status) =
        read_status_line(block.get(first.start..first.end).unwrap_or_default())?;
    let mut framing = Framing::default();
    let mut fields = Fields::over(block.clone());
    for line in lines {
        let (name, value) = (line.field.name_in(block), line.field.value_in(block));
        match role(name, false) {
            Role::Plain | Role::Forged | Role::Override | Role::WebSocket => {
                fields.push_range(line.field.name, line.field.value);
            }
            // Without a meaning in a response.
            Role::Host | Role::Expect => {}
            role => framing.hear(role, value),
        }
    }
    let options = framing.connection_options()?;
    if status == StatusCode::SWITCHING_PROTOCOLS {
        check_upgrade(version, &options, &framing)?;
    }
    let stated = framing.stated_length(version)?;
    let (body, declared_length) = body_of(status, stated, request_method)?;
    let connection = match body {
        BodyLength::UntilClose => ConnectionUse::Close,
        _ => options.after(version),
    };
    options.strip(&mut fields);
    Ok(ResponseHead { status, version, fields, body, declared_length, connection })
}

/// `HTTP/1.1 200 reason`; the reason is not looked at, and may be missing with its space.
fn read_status_line(line: &[u8]) -> Result<(Version, StatusCode), Fault> {
    let (version, rest) = match line.split_at_checked(9) {
        Some((b"HTTP/1.1 ", rest)) => (Version::Http11, rest),
        Some((b"HTTP/1.0 ", rest)) => (Version::Http10, rest),
        _ => return Err(Fault::malformed("a status line without HTTP/1.0 or HTTP/1.1")),
    };
    let (code, after) = rest.split_at_checked(3).unwrap_or((rest, b""));
    if !after.is_empty() && after.first() != Some(&b' ') {
        return Err(Fault::malformed("a status that is not three digits"));
    }
    let status = StatusCode::from_bytes(code)
        .map_err(|_| Fault::malformed("a status that is not three digits"))?;
    if status.as_u16() > 599 {
        return Err(Fault::malformed("a status over 599"));
    }
    Ok((version, status))
}

fn check_upgrade(
    version: Version,
    options: &ConnectionOptions<'_>,
    framing: &Framing<'_>,
) -> Result<(), Fault> {
    if version == Version::Http11 && options.upgrade && framing.names_websocket() {
        Ok(())
    } else {
        Err(Fault::malformed("a switch to a protocol that is not WebSocket"))
    }
}

/// The body and, where there is none, the length that it would have had (RFC 9112 §6.3).
fn body_of(
    status: StatusCode,
    stated: Stated,
    request_method: &Method,
) -> Result<(BodyLength, Option<u64>), Fault> {
    if status.is_informational() || status == StatusCode::NO_CONTENT {
        return match stated {
            // Some servers send `content-length: 0` with 204; that is what it means.
            Stated::Nothing | Stated::Length(0) => Ok((BodyLength::None, None)),
            _ => Err(Fault::framing("a length on a status that has no body")),
        };
    }
    if *request_method == Method::HEAD || status == StatusCode::NOT_MODIFIED {
        let declared = match stated {
            Stated::Length(length) => Some(length),
            Stated::Nothing | Stated::Chunked => None,
        };
        return Ok((BodyLength::None, declared));
    }
    Ok(match stated {
        Stated::Length(0) => (BodyLength::None, None),
        Stated::Length(length) => (BodyLength::Fixed(length), None),
        Stated::Chunked => (BodyLength::Chunked, None),
        Stated::Nothing => (BodyLength::UntilClose, None),
    })
}
