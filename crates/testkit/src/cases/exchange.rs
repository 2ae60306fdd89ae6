//! Requests and answers as cases write them.

use std::time::Duration;

use bartizan_core::Span;

use crate::gateway::Gateway;
use crate::upstream::Answer;
use crate::{Connection, Reply, Request};

/// The address that requests come from, unless they say otherwise.
pub(super) const FROM: &str = "192.0.2.1";

/// A request as it is written: directives, request line, header fields, and a body behind an empty
/// line.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    pub(super) from: String,
    advance: Option<Duration>,
    is_chunked: bool,
    /// It is sent and left open, so that other requests come while it is under way.
    pub(super) is_held: bool,
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
            _ => panic!("no directive `@{directive}`"),
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
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
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
            // Chunks of a size that splits words.
            for chunk in self.body.as_bytes().chunks(7) {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\n");
        } else {
            bytes.extend_from_slice(self.body.as_bytes());
        }
        gateway.raw(bytes).from(&self.from)
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

/// What the upstream answers: a status, header fields, and a body behind an empty line. `@after 5s`
/// before them is how long it takes to.
pub(super) fn answer(text: &str) -> Answer {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines().peekable();
    let wait = lines.next_if(|line| line.starts_with('@')).map(|line| {
        let span = line.strip_prefix("@after ").and_then(|span| span.parse::<Span>().ok());
        span.expect("`@after` and a time such as `10s`").0
    });
    let status = lines.next().and_then(|line| line.trim().parse().ok()).expect("a status");
    let answer = Answer::status(status).body(body);
    let answer = wait.into_iter().fold(answer, Answer::after);
    lines.fold(answer, |answer, line| {
        let (name, value) = line.split_once(':').expect("a header field");
        answer.header(name, value.trim())
    })
}
