//! Requests that are files: as they go over the wire, written by hand.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use bartizan_chain::{Arrival, ConsumerIndex, Peer, RequestCx};
use bartizan_config::{Diagnostic, Place, Sources};
use bartizan_core::{Clock, Reason, RequestId};
use bartizan_wire::{
    BodyLength, BodyReader, Canonical, ChunkLimits, HeadLimits, HeadScan, PathPolicy, Progress,
    RequestHead, is_field_name, is_field_value, parse_request,
};
use bytes::BytesMut;

use crate::failure::Failure;

/// The largest file that is read as a request.
const FILE_SIZE_MAX: u64 = 64 << 20;

/// A request, as far as it came.
pub(super) enum Arrived {
    /// It reaches the rules.
    Request(Box<RequestCx>, Vec<u8>),
    /// It is refused before any rule.
    Refused(Refusal),
}

/// Why a request does not reach the rules.
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) detail: String,
}

impl Refusal {
    pub(super) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { status: reason.status(), detail: detail.into() }
    }
}

/// Reads a request from a file, or from standard input (`-`).
pub(super) fn read(name: &str, client: IpAddr) -> Result<Arrived, Failure> {
    let bytes = content(name)?;
    let shown = if name == "-" { "standard input" } else { name };
    let text = Written { name: shown, bytes: &bytes };
    let (head, body_start) = text.head()?;
    let mut head = BytesMut::from(&*head);
    let parsed = parse_request(&mut head, &mut HeadScan::default(), &HeadLimits::default());
    let head = match parsed {
        Ok(Progress::Complete(head)) => head,
        Ok(Progress::Partial) => return Err(text.fault(0, 0, "the head has no end", None)),
        Err(refusal) => return Ok(Arrived::Refused(Refusal::new(refusal.reason, refusal.detail))),
    };
    let body = match text.body(&head, body_start)? {
        Ok(body) => body,
        Err(refusal) => return Ok(Arrived::Refused(refusal)),
    };
    let canonical = match Canonical::from_request(&head, false, PathPolicy::default()) {
        Ok(canonical) => canonical,
        Err(refusal) => return Ok(Arrived::Refused(Refusal::new(refusal.reason, refusal.detail))),
    };
    Ok(Arrived::Request(Box::new(arrival(head, canonical, client, body.len())), body))
}

fn content(name: &str) -> Result<Vec<u8>, Failure> {
    let fault = |cause: std::io::Error| Failure::file("read", Path::new(name), &cause);
    let mut bytes = Vec::new();
    if name == "-" {
        std::io::stdin().lock().take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    } else {
        let file = std::fs::File::open(name).map_err(fault)?;
        file.take(FILE_SIZE_MAX + 1).read_to_end(&mut bytes).map_err(fault)?;
    }
    if bytes.len() as u64 > FILE_SIZE_MAX {
        return Err(Failure::new(format!("`{name}` is larger than 64 MiB")));
    }
    Ok(bytes)
}

fn arrival(head: RequestHead, canonical: Canonical, client: IpAddr, body: usize) -> RequestCx {
    let clock = Clock::System;
    let arrival = Arrival {
        id: RequestId::from_bytes([0; 16]),
        received: clock.now(),
        clock,
        version: head.version,
        peer: Arc::new(Peer::new((client, 40_000).into(), ([192, 0, 2, 2], 443).into(), None)),
        client,
        canonical,
        declared_length: match head.body {
            BodyLength::Fixed(length) => Some(length),
            _ => None,
        },
        fields: head.fields,
        consumers: Arc::new(ConsumerIndex::default()),
        body_max: body as u64,
        https_port: None,
        trusts_forwarded: false,
    };
    RequestCx::new(arrival, None)
}

/// A request as it was written.
struct Written<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Written<'_> {
    /// The head as it goes over the wire, and where the body starts.
    fn head(&self) -> Result<(Vec<u8>, usize), Failure> {
        let mut head = Vec::new();
        let mut at = 0;
        let (mut has_host, mut has_length) = (false, false);
        loop {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n');
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if head.is_empty() {
                self.check_request_line(line)?;
            } else if !line.is_empty() {
                let name = self.check_field(at, line)?;
                has_host |= name.eq_ignore_ascii_case(b"host");
                has_length |= name.eq_ignore_ascii_case(b"content-length")
                    || name.eq_ignore_ascii_case(b"transfer-encoding");
            }
            at += end.map_or(rest.len(), |end| end + 1);
            if line.is_empty() {
                break;
            }
            head.extend_from_slice(line);
            head.extend_from_slice(b"\r\n");
        }
        if !has_host {
            head.extend_from_slice(b"Host: localhost\r\n");
        }
        let length = self.loose_body(at).len();
        if !has_length && length > 0 {
            head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        head.extend_from_slice(b"\r\n");
        Ok((head, at))
    }

    fn check_request_line(&self, line: &[u8]) -> Result<(), Failure> {
        let parts: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let is_line = matches!(*parts, [method, target, version]
            if !method.is_empty() && !target.is_empty() && version.starts_with(b"HTTP/1."));
        if is_line {
            return Ok(());
        }
        let problem = "the first line is not `METHOD TARGET HTTP/1.1`";
        Err(self.fault(0, line.len(), problem, Some("such as `GET /orders?id=1 HTTP/1.1`")))
    }

    /// The name of a field, if it is one.
    fn check_field<'l>(&self, at: usize, line: &'l [u8]) -> Result<&'l [u8], Failure> {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            let help = "fields are `Name: value`; an empty line stands before the body";
            return Err(self.fault(at, line.len(), "a line without a colon", Some(help)));
        };
        let (name, value) = line.split_at(colon);
        if !is_field_name(&name.to_ascii_lowercase()) {
            return Err(self.fault(at, colon, "this is no name of a field", None));
        }
        let value = value.get(1..).unwrap_or_default();
        let bad = value.iter().position(|byte| !is_field_value(&[b'a', *byte, b'a']));
        match bad {
            Some(bad) => {
                Err(self.fault(at + colon + 1 + bad, 1, "a byte that no field may have", None))
            }
            None => Ok(name),
        }
    }

    /// The body, where nothing says how long it is: without the line end that editors put there.
    fn loose_body(&self, start: usize) -> &[u8] {
        let body = self.bytes.get(start..).unwrap_or_default();
        let body = body.strip_suffix(b"\n").unwrap_or(body);
        body.strip_suffix(b"\r").unwrap_or(body)
    }

    /// The body as the head says where it ends.
    fn body(&self, head: &RequestHead, start: usize) -> Result<Result<Vec<u8>, Refusal>, Failure> {
        let mut reader = BodyReader::new(head.body, ChunkLimits::default());
        let mut body = Vec::new();
        let mut at = start;
        while !reader.is_done() {
            let rest = self.bytes.get(at..).unwrap_or_default();
            let taken = match reader.take(rest) {
                Ok(taken) => taken,
                Err(fault) => return Ok(Err(Refusal::new(fault.reason, fault.detail))),
            };
            body.extend_from_slice(rest.get(taken.data).unwrap_or_default());
            at += taken.consumed;
            if taken.consumed == 0 && !taken.done {
                let problem = "the body ends before the head says that it does";
                let help = "leave `Content-Length` out, and it is what the body has";
                return Err(self.fault(self.bytes.len(), 0, problem, Some(help)));
            }
        }
        if self.bytes.get(at..).unwrap_or_default().iter().all(u8::is_ascii_whitespace) {
            return Ok(Ok(body));
        }
        let problem = "something follows behind the end that the head gives the body";
        let help = "leave `Content-Length` out, and it is what the body has";
        Err(self.fault(at, 0, problem, Some(help)))
    }

    /// A fault at a stretch of the file.
    fn fault(&self, start: usize, length: usize, problem: &str, help: Option<&str>) -> Failure {
        // Bytes that are no UTF-8 are shown as one sign each, so that places stay where they are.
        let text: String = match std::str::from_utf8(self.bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.bytes.iter().map(|b| if b.is_ascii() { char::from(*b) } else { '?' }).collect()
            }
        };
        let mut sources = Sources::new();
        let source = sources.add(self.name, Path::new(""), text);
        let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let problems = vec![Diagnostic {
            place: Some(Place { source, start: small(start), end: small(start + length) }),
            path: "".into(),
            problem: problem.to_owned(),
            help: help.map(str::to_owned),
        }];
        Failure::Misconfigured { sources, problems }
    }
}
