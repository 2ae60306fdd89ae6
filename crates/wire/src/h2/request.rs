//! Requests from decoded header blocks (RFC 9113 §8.3).
//!
//! A request is judged as if it had come over HTTP/1: what passes here may be written as HTTP/1
//! upstream, where one line end in a value is a second request. What is refused is answered like
//! any other request that cannot be understood (§8.1.1 leaves that open).

use bartizan_core::Reason;
use bytes::Bytes;
use http::Method;
use smallvec::SmallVec;

use super::hpack::table::OVERHEAD;
use crate::authority::Authority;
use crate::fields::Fields;
use crate::h1::encode::check_field;
use crate::h1::meaning::content_length;
use crate::h1::request::read_method;
use crate::h1::{Fault, HeadLimits, HeadRefusal};
use crate::head::{BodyLength, ConnectionUse, RequestHead, Version};
use crate::roles::{Role, role};
use crate::websocket::handshake::Handshake;

/// Where something stands in the block: its start and its length.
type Place = (usize, usize);

/// Room for an ordinary request, so that its block grows once at most.
const ROOM: usize = 512;

/// A request while its header block is decoded. The first fault counts; what follows it is read by
/// the decoder all the same, and kept by nobody.
#[derive(Debug)]
pub(crate) struct HeadBuilder {
    limits: HeadLimits,
    /// What may still come, as a header list is measured (§6.5.2).
    list_left: usize,
    block: Vec<u8>,
    method: Option<Place>,
    scheme: Option<&'static [u8]>,
    authority: Option<Place>,
    target: Option<Place>,
    host: Option<Place>,
    fields: Fields,
    cookies: SmallVec<[Place; 2]>,
    content_length: Option<u64>,
    expects_continue: bool,
    /// Extended CONNECT (RFC 8441) is not offered: nothing over HTTP/2 is one.
    handshake: Handshake,
    has_regular: bool,
    count: usize,
    size: usize,
    fault: Option<Fault>,
}

fn protocol_error(detail: &'static str) -> Fault {
    Fault { reason: Reason::ProtocolError, detail }
}

fn bad_host(detail: &'static str) -> Fault {
    Fault { reason: Reason::BadHost, detail }
}

fn too_large(detail: &'static str) -> Fault {
    Fault { reason: Reason::HeadTooLarge, detail }
}

impl HeadBuilder {
    pub(crate) fn new(limits: HeadLimits, header_list: usize) -> Self {
        Self {
            limits,
            list_left: header_list,
            block: Vec::with_capacity(ROOM),
            method: None,
            scheme: None,
            authority: None,
            target: None,
            host: None,
            fields: Fields::over(Bytes::new()),
            cookies: SmallVec::new(),
            content_length: None,
            expects_continue: false,
            handshake: Handshake::Absent,
            has_regular: false,
            count: 0,
            size: 0,
            fault: None,
        }
    }

    /// Takes in the next field.
    pub(crate) fn take(&mut self, name: &[u8], value: &[u8]) {
        if self.fault.is_none() {
            self.fault = self.hear(name, value).err();
        }
    }

    fn hear(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        let size = name.len() + value.len() + OVERHEAD;
        let left = self.list_left.checked_sub(size);
        self.list_left = left.ok_or(too_large("a header list over `limits.h2_header_list`"))?;
        if name.first() == Some(&b':') {
            return self.hear_pseudo(name, value);
        }
        self.has_regular = true;
        check_field(name, value).map_err(|e| protocol_error(e.detail))?;
        self.measure(name.len() + value.len() + 4)?;
        match role(name, name.contains(&b'_')) {
            Role::Plain if name == b"cookie" => {
                let place = self.put(value);
                self.cookies.push(place);
            }
            Role::Plain => {
                let (name, value) = (self.put(name), self.put(value));
                self.fields.push_range(name, value);
            }
            Role::WebSocket => {
                let (name, value) = (self.put(name), self.put(value));
                self.fields.push_range(name, value);
                self.handshake =
                    Handshake::Broken("a handshake over HTTP/2, where none is offered");
            }
            Role::Host => {
                let (name, value) = (self.put(name), self.put(value));
                self.fields.push_range(name, value);
                if self.host.replace(value).is_some() {
                    return Err(bad_host("more than one host"));
                }
            }
            Role::ContentLength => {
                if self.content_length.replace(content_length(value)?).is_some() {
                    return Err(Fault::framing("more than one content-length"));
                }
            }
            Role::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                if std::mem::replace(&mut self.expects_continue, true) {
                    return Err(NOT_CONTINUE);
                }
            }
            Role::Expect => return Err(NOT_CONTINUE),
            Role::TransferEncoding | Role::Connection | Role::Upgrade => return Err(OF_CONNECTION),
            // §8.2.2: `te: trailers` is the exception.
            Role::HopByHop => match name {
                b"te" if value.eq_ignore_ascii_case(b"trailers") => {}
                b"te" | b"keep-alive" | b"proxy-connection" => return Err(OF_CONNECTION),
                _ => {}
            },
            Role::Override | Role::Forged => {}
        }
        Ok(())
    }

    fn measure(&mut self, size: usize) -> Result<(), Fault> {
        self.count += 1;
        self.size += size;
        if self.count > self.limits.fields {
            return Err(too_large("more fields than `limits.fields`"));
        }
        if size > self.limits.field {
            return Err(too_large("a field over `limits.field`"));
        }
        if self.size > self.limits.header_block {
            return Err(too_large("a header block over `limits.header_block`"));
        }
        Ok(())
    }

    /// §8.3.1: each once, none unknown, all before the first field.
    fn hear_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        if self.has_regular {
            return Err(protocol_error("a pseudo-header field behind a field"));
        }
        let is_first = match name {
            b":method" => {
                let place = self.put(value);
                self.method.replace(place).is_none()
            }
            b":path" => {
                let place = self.put(value);
                self.target.replace(place).is_none()
            }
            b":authority" => {
                let place = self.put(value);
                self.authority.replace(place).is_none()
            }
            b":scheme" => {
                let scheme: &[u8] = match value {
                    b"https" => b"https",
                    b"http" => b"http",
                    _ => return Err(protocol_error("a scheme other than http and https")),
                };
                self.scheme.replace(scheme).is_none()
            }
            _ => return Err(protocol_error("an unknown pseudo-header field")),
        };
        if is_first { Ok(()) } else { Err(protocol_error("a repeated pseudo-header field")) }
    }

    fn put(&mut self, bytes: &[u8]) -> Place {
        let start = self.block.len();
        self.block.extend_from_slice(bytes);
        (start, bytes.len())
    }

    fn at(&self, place: Option<Place>) -> &[u8] {
        let (start, length) = place.unwrap_or_default();
        self.block.get(start..start + length).unwrap_or_default()
    }

    /// The request, once the block is complete. `is_ended` says that no body follows.
    pub(crate) fn finish(mut self, is_ended: bool) -> Result<Box<RequestHead>, HeadRefusal> {
        match self.settle(is_ended) {
            Ok((method, body)) => Ok(self.build(method, body)),
            Err(fault) => {
                let line = [self.at(self.method), self.at(self.target), b"HTTP/2"].join(&b' ');
                Err(HeadRefusal::new(fault, &line))
            }
        }
    }

    fn settle(&mut self, is_ended: bool) -> Result<(Method, BodyLength), Fault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if self.method.is_none() {
            return Err(protocol_error("no :method"));
        }
        let method = read_method(self.at(self.method))?;
        if self.scheme.is_none() || self.target.is_none() {
            return Err(protocol_error("no :scheme or no :path"));
        }
        self.check_target(&method)?;
        self.settle_host()?;
        let body = settle_length(self.content_length, is_ended)?;
        Ok((method, body))
    }

    fn check_target(&self, method: &Method) -> Result<(), Fault> {
        let target = self.at(self.target);
        if target.len() > self.limits.request_line {
            return Err(Fault {
                reason: Reason::TargetTooLong,
                detail: "a path over `limits.request_line`",
            });
        }
        // Without an early end, since nearly every target passes.
        let is_visible = target.iter().fold(true, |pass, byte| pass & byte.is_ascii_graphic());
        let is_path = target.first() == Some(&b'/') && is_visible;
        let is_server = target == b"*" && *method == Method::OPTIONS;
        if is_path || is_server {
            return Ok(());
        }
        Err(Fault {
            reason: Reason::AmbiguousTarget,
            detail: "a path that does not start with a slash or is not visible ASCII",
        })
    }

    /// One host: `:authority`, Host, or both if they agree. Afterwards there is exactly one Host.
    fn settle_host(&mut self) -> Result<(), Fault> {
        let authority = self.authority.map(|place| self.at(Some(place)));
        let host = self.host.map(|place| self.at(Some(place)));
        let host = host.map(Authority::parse).transpose().map_err(bad_host)?;
        let parsed = authority.map(Authority::parse).transpose().map_err(bad_host)?;
        match (host, parsed) {
            (None, None) => Err(bad_host("no host")),
            (Some(_), None) => Ok(()),
            (None, Some(_)) => {
                let name = self.put(b"host");
                if let Some(place) = self.authority {
                    self.fields.push_range(name, place);
                }
                Ok(())
            }
            // Without a default port: whether 443 is meant is not for a field to say.
            (Some(host), Some(authority)) if host.agrees_with(&authority, 0) => Ok(()),
            (Some(_), Some(_)) => Err(bad_host("a host that disagrees with the authority")),
        }
    }

    fn build(mut self, method: Method, body: BodyLength) -> Box<RequestHead> {
        self.join_cookies();
        let block = Bytes::from(self.block);
        let slice = |(start, length): Place| {
            let end = (start + length).min(block.len());
            block.slice(start.min(end)..end)
        };
        let target = self.target.map(slice).unwrap_or_default();
        let authority = self.authority.map(slice);
        self.fields.lay_under(block);
        Box::new(RequestHead {
            method,
            target,
            authority,
            scheme: self.scheme.map(Bytes::from_static),
            version: Version::Http2,
            fields: self.fields,
            body,
            connection: ConnectionUse::KeepAlive,
            expects_continue: self.expects_continue && body != BodyLength::None,
            handshake: self.handshake,
        })
    }

    /// Cookie crumbs become one field (§8.2.3).
    fn join_cookies(&mut self) {
        let place = match *self.cookies {
            [] => return,
            [one] => one,
            [first, ..] => {
                let crumbs = std::mem::take(&mut self.cookies);
                let mut joined = self.at(Some(first)).to_vec();
                for crumb in crumbs.iter().skip(1) {
                    joined.extend_from_slice(b"; ");
                    joined.extend_from_slice(self.at(Some(*crumb)));
                }
                self.put(&joined)
            }
        };
        let name = self.put(b"cookie");
        self.fields.push_range(name, place);
    }
}

const NOT_CONTINUE: Fault = Fault {
    reason: Reason::ExpectationFailed,
    detail: "an expectation that is not exactly `100-continue`",
};
const OF_CONNECTION: Fault =
    Fault { reason: Reason::ProtocolError, detail: "a connection-specific field" };

fn settle_length(stated: Option<u64>, is_ended: bool) -> Result<BodyLength, Fault> {
    match (stated, is_ended) {
        (None | Some(0), true) | (Some(0), false) => Ok(BodyLength::None),
        (Some(_), true) => Err(Fault::framing("a content-length that disagrees with the stream")),
        (Some(length), false) => Ok(BodyLength::Fixed(length)),
        (None, false) => Ok(BodyLength::Chunked),
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
