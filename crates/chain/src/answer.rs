//! Answers: those the gateway makes, the head of every answer on its way out, and how it ended.

use std::net::SocketAddr;
use std::time::Duration;

use bartizan_core::Denial;
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;

use crate::body::{BodyPlan, BodyTransform, HeldBody};

/// An answer that the gateway makes itself.
#[derive(Debug)]
pub struct LocalAnswer {
    /// Its status.
    pub status: StatusCode,
    /// Its fields, without framing.
    pub fields: Fields,
    /// Its body.
    pub body: Bytes,
}

impl LocalAnswer {
    /// An answer without a body.
    pub fn empty(status: StatusCode) -> Self {
        Self { status, fields: Fields::new(), body: Bytes::new() }
    }
}

/// A body that a plugin puts in place of the upstream's.
#[derive(Clone, Debug)]
pub struct ReplacementBody(pub Bytes);

/// What describes a body that is no longer sent.
const OF_THE_OLD_BODY: [&str; 10] = [
    "content-length",
    "content-encoding",
    "content-range",
    "content-md5",
    "content-digest",
    "repr-digest",
    "digest",
    "etag",
    "last-modified",
    "accept-ranges",
];
/// What is no longer true of a body that is changed while it passes.
const OF_THE_EXACT_BYTES: [&str; 6] =
    ["content-length", "content-md5", "content-digest", "repr-digest", "digest", "accept-ranges"];

/// The head of an answer on its way to the client.
#[derive(Debug)]
pub struct AnswerHead {
    /// The status; a plugin may change it.
    pub status: StatusCode,
    /// The fields, without framing and hop-by-hop fields; a plugin may change them.
    pub fields: Fields,
    /// The body to send in place of what the upstream or the gateway made.
    pub replacement: Option<ReplacementBody>,
    /// Whether the gateway made this answer.
    pub is_local: bool,
    /// The length of the body as it would be sent now, where that is known.
    pub length: Option<u64>,
    /// What follows the body, where that is held: [`HeldBody::decide`] may read and change it.
    pub trailers: Fields,
    /// What is asked of the body.
    pub plan: BodyPlan,
}

impl AnswerHead {
    /// A head of which nothing is asked yet.
    pub fn new(status: StatusCode, fields: Fields, is_local: bool) -> Self {
        Self {
            status,
            fields,
            replacement: None,
            is_local,
            length: None,
            trailers: Fields::new(),
            plan: BodyPlan::default(),
        }
    }

    /// True if an answer of this status has a body, empty or not (RFC 9110 §6.4.1).
    pub fn may_have_body(&self) -> bool {
        !self.status.is_informational() && !matches!(self.status.as_u16(), 204 | 205 | 304)
    }

    /// Has the body changed while it passes. It is sent in chunks, or to the end of the connection;
    /// what was said of its exact bytes is taken back, and its `ETag` only says that it means the
    /// same (RFC 9110 §8.8.1).
    pub fn transform(&mut self, transform: Box<dyn BodyTransform>) {
        if !self.may_have_body() {
            return;
        }
        self.forget(&OF_THE_EXACT_BYTES);
        self.weaken_etag();
        self.length = None;
        self.plan.pass(transform);
    }

    /// Has the body encoded while it passes, in place of a coding that another plugin chose. Only
    /// for plugins that say they encode: what the others ask of a body, they ask of it plain.
    pub fn encode(&mut self, coding: &'static str, transform: Box<dyn BodyTransform>) {
        if !self.may_have_body() {
            return;
        }
        if self.plan.coding.is_some() {
            self.plan.take_back();
        }
        self.transform(transform);
        self.plan.coding = Some(coding);
        self.fields
            .set(Bytes::from_static(b"content-encoding"), Bytes::from_static(coding.as_bytes()));
    }

    /// The coding that a plugin has chosen for the body.
    pub fn chosen_coding(&self) -> Option<&'static str> {
        self.plan.coding
    }

    /// Has the body held, up to `max` bytes, before any of the answer goes out.
    pub fn hold(&mut self, max: usize, body: Box<dyn HeldBody>) {
        if self.may_have_body() {
            self.plan.hold(max, body);
        }
    }

    /// Puts a body in place of the present one, with all that was asked of that.
    pub fn replace(&mut self, body: Bytes) {
        self.forget_body();
        self.plan.clear();
        self.length = Some(body.len() as u64);
        self.replacement = Some(ReplacementBody(body));
    }

    /// Takes away the fields that describe a body which is no longer sent.
    pub fn forget_body(&mut self) {
        self.forget(&OF_THE_OLD_BODY);
    }

    fn forget(&mut self, names: &[&str]) {
        self.fields.retain(|field| !names.iter().any(|name| name.as_bytes() == field.name));
    }

    fn weaken_etag(&mut self) {
        let Some(strong) = self.fields.get("etag").filter(|tag| tag.first() == Some(&b'"')) else {
            return;
        };
        let weak = [b"W/", strong].concat();
        self.fields.set(Bytes::from_static(b"etag"), weak);
    }
}

/// How an exchange ended, for hooks that run at its end.
#[derive(Debug)]
pub struct Outcome<'a> {
    /// The status the client got, or would have got; 499 where it left.
    pub status: u16,
    /// Why it was denied or failed.
    pub denial: Option<&'a Denial>,
    /// Whether the request was sent to an upstream.
    pub was_forwarded: bool,
    /// The status of the upstream, where it answered.
    pub upstream_status: Option<u16>,
    /// The upstream node's address.
    pub upstream_node: Option<SocketAddr>,
    /// From the request's first byte to the answer's last.
    pub duration: Duration,
    /// From the request sent upstream to the upstream's head.
    pub upstream_duration: Option<Duration>,
    /// Bytes of the request as received.
    pub bytes_in: u64,
    /// Bytes of the answer as sent.
    pub bytes_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Same;

    impl BodyTransform for Same {
        fn chunk(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(), Denial> {
            out.extend_from_slice(input);
            Ok(())
        }
    }

    fn head(status: u16) -> AnswerHead {
        let mut fields = Fields::new();
        for (name, value) in [
            ("etag", "\"a\""),
            ("accept-ranges", "bytes"),
            ("digest", "x"),
            ("last-modified", "then"),
            ("content-type", "text/plain"),
        ] {
            fields.append(name, value);
        }
        AnswerHead::new(StatusCode::from_u16(status).unwrap(), fields, false)
    }

    #[test]
    fn a_changed_body_is_described_no_better_than_it_is_known() {
        let mut head = head(200);
        head.transform(Box::new(Same));
        head.transform(Box::new(Same));
        assert_eq!(head.fields.get_str("etag"), Some("W/\"a\""));
        assert!(head.fields.contains("last-modified"));
        assert!(!head.fields.contains("accept-ranges") && !head.fields.contains("digest"));
    }

    #[test]
    fn an_answer_without_a_body_keeps_its_fields() {
        for status in [204, 205, 304] {
            let mut head = head(status);
            head.transform(Box::new(Same));
            assert_eq!(head.fields.get_str("etag"), Some("\"a\""));
            assert!(head.plan.is_empty());
        }
    }

    #[test]
    fn a_body_is_encoded_once() {
        let mut head = head(200);
        head.encode("br", Box::new(Same));
        head.encode("gzip", Box::new(Same));
        assert_eq!(head.chosen_coding(), Some("gzip"));
        assert_eq!(head.fields.all("content-encoding").collect::<Vec<_>>(), [b"gzip"]);
        assert!(!head.plan.is_empty());
        head.plan.take_back();
        assert!(head.plan.is_empty());
    }

    #[test]
    fn another_body_ends_what_was_asked_of_the_old_one() {
        let mut head = head(200);
        head.transform(Box::new(Same));
        head.replace(Bytes::from_static(b"new"));
        assert!(head.plan.is_empty());
        assert_eq!((head.length, head.fields.len()), (Some(3), 1));
    }
}
