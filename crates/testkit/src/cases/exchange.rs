//! Requests and answers as cases write them.

use std::time::Duration;

use bartizan_core::Span;
use bartizan_tls::Issued;

use super::tokens::Stand;
use super::{certificates, coding};
use crate::gateway::Gateway;
use crate::upstream::Answer;
use crate::{Connection, Reply, Request};

/// The address that requests come from, unless they say otherwise.
pub(super) const FROM: &str = "192.0.2.1";

/// What a request comes over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Clear,
    Tls,
    /// TLS, with the certificate of this name.
    Certificate(String),
}

/// A request as it is written: directives, request line, header fields, and a body behind an empty
/// line.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) from: String,
    advance: Option<Duration>,
    is_chunked: bool,
    /// It is sent and left open, so that other requests come while it is under way.
    pub(super) is_held: bool,
    is_http10: bool,
    way: Way,
    shown: Option<Issued>,
    /// What is sent behind the body, with `@chunked`.
    trailers: Vec<u8>,
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    pub(super) body: String,
}

impl Written {
    /// Reads the text of a section.
    pub(super) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
        let mut written = Self { from: FROM.to_owned(), body: body.to_owned(), ..Self::default() };
        for line in head.lines() {
            if let Some(directive) = line.strip_prefix('@') {
                written.direct(directive);
            } else if written.method.is_empty() {
                let (method, target) = line.split_once(' ').expect("a method and a target");
                method.clone_into(&mut written.method);
                target.clone_into(&mut written.target);
            } else {
                let (name, value) = line.split_once(':').expect("a header field");
                written.fields.push((name.to_owned(), unescaped(value.trim())));
            }
        }
        written
    }

    fn direct(&mut self, directive: &str) {
        match directive.split_once(' ').unwrap_or((directive, "")) {
            ("from", address) => address.clone_into(&mut self.from),
            ("advance", span) => {
                self.advance = Some(span.parse::<Span>().expect("a time such as `10s`").0);
            }
            ("chunked", "") => self.is_chunked = true,
            ("held", "") => self.is_held = true,
            ("http", "1.0") => self.is_http10 = true,
            ("tls", "") => self.way = Way::Tls,
            ("certificate", name) => self.way = Way::Certificate(name.to_owned()),
            ("trailer", line) => {
                self.is_chunked = true;
                self.trailers.extend_from_slice(line.as_bytes());
                self.trailers.extend_from_slice(b"\r\n");
            }
            _ => panic!("no directive `@{directive}`"),
        }
    }

    /// Finds the certificate that the client shows.
    pub(super) fn connect(&mut self, stand: &Stand) {
        if let Way::Certificate(name) = &self.way {
            self.shown = Some(stand.certificate(name).clone());
        }
    }

    /// The host that the request names.
    pub(super) fn host(&self) -> String {
        let named = self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
        named.map_or(crate::client::HOST.to_owned(), |(_, value)| {
            String::from_utf8_lossy(value).into_owned()
        })
    }

    /// Sends it.
    pub(super) async fn send(&self, gateway: &Gateway) -> Reply {
        if let Some(by) = self.advance {
            gateway.advance(by).await;
        }
        self.request(gateway).send().await
    }

    /// Sends it and leaves it under way.
    pub(super) async fn hold(&self, gateway: &Gateway) -> Connection {
        if let Some(by) = self.advance {
            gateway.advance(by).await;
        }
        self.request(gateway).hold().await
    }

    /// The bytes are put together here: header values need not be text.
    fn request<'g>(&self, gateway: &'g Gateway) -> Request<'g> {
        let version = if self.is_http10 { "1.0" } else { "1.1" };
        let mut bytes = format!("{} {} HTTP/{version}\r\n", self.method, self.target).into_bytes();
        let mut line = |name: &str, value: &[u8]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        };
        if !self.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            line("Host", crate::client::HOST.as_bytes());
        }
        for (name, value) in &self.fields {
            line(name, value);
        }
        if self.is_chunked {
            line("Transfer-Encoding", b"chunked");
        } else if !self.body.is_empty() {
            line("Content-Length", self.body.len().to_string().as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        if self.is_chunked {
            let mut body = chunks(self.body.as_bytes());
            body.truncate(body.len() - b"\r\n".len());
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(&self.trailers);
            bytes.extend_from_slice(b"\r\n");
        } else {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        let request = gateway.raw(bytes).from(&self.from);
        if self.way == Way::Clear {
            return request;
        }
        request.over(certificates::facts(&self.host(), self.shown.as_ref()))
    }
}

/// A value in which `\xff` is a byte.
fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once("\\x") {
        out.extend_from_slice(before.as_bytes());
        let (digits, after) = from.split_at_checked(2).expect("two digits behind `\\x`");
        out.push(u8::from_str_radix(digits, 16).expect("two digits behind `\\x`"));
        rest = after;
    }
    out.extend_from_slice(rest.as_bytes());
    out
}

/// What the upstream answers: directives, a status, header fields, and a body behind an empty line.
pub(super) fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let (directives, lines): (Vec<&str>, Vec<&str>) =
        head.lines().partition(|line| line.starts_with('@'));
    let mut lines = lines.into_iter();
    let status = lines.next().and_then(|line| line.trim().parse().ok()).expect("a status");
    let mut answer = lines.fold(Answer::status(status), |answer, line| {
        let (name, value) = line.split_once(':').expect("a header field");
        answer.header(name, value.trim())
    });
    let mut body = body.as_bytes().to_vec();
    let (mut is_chunked, mut is_cut) = (false, false);
    for directive in directives {
        match directive.split_once(' ').unwrap_or((directive, "")) {
            ("@encode", coding) => {
                body = coding::encoded(coding, &body);
                answer = answer.header("Content-Encoding", coding);
            }
            ("@after", span) => {
                answer = answer.after(span.parse::<Span>().expect("a time such as `10s`").0);
            }
            ("@hex", "") => body = bytes_of(&body),
            ("@trailer", line) => {
                let (name, value) = line.split_once(':').expect("a trailer field");
                answer = answer.trailer(name, value.trim());
            }
            ("@chunked", "") => is_chunked = true,
            ("@cut", "") => is_cut = true,
            _ => panic!("no directive `{directive}` of an answer"),
        }
    }
    if is_chunked {
        answer = answer.header("Transfer-Encoding", "chunked");
        body = chunks(&body);
    } else if is_cut {
        answer = answer.header("Content-Length", &body.len().to_string());
    }
    if is_cut {
        body.truncate(body.len() / 2);
        answer = answer.then_close();
    }
    answer.body(body)
}

/// The bytes that are written as pairs of digits.
fn bytes_of(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().copied().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("digits");
        u8::from_str_radix(pair, 16).expect("two digits")
    };
    digits.chunks(2).map(byte).collect()
}

/// Chunks of a size that splits words.
fn chunks(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(7) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
