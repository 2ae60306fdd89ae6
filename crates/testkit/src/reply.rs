//! What came of a request, and what must hold of it.

use std::time::Duration;

use serde_json::Value;

use crate::http1::{Message, status};
use crate::upstream::Seen;

/// The answer to a request, with the events about it and what the upstream saw of it.
#[derive(Debug)]
pub struct Reply {
    pub(crate) message: Message,
    pub(crate) took: Duration,
    pub(crate) rest: Vec<u8>,
    pub(crate) request: String,
    pub(crate) events: Vec<Value>,
    pub(crate) seen: Vec<Seen>,
}

impl Reply {
    /// The status; 0 where the gateway closed without an answer.
    pub fn status(&self) -> u16 {
        status(&self.message)
    }

    /// How long it took until the answer was complete, in virtual time.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The value of a field; panics where it occurs more than once.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.message.field(&name.to_ascii_lowercase())
    }

    /// The value of a trailer field.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        let mut named = self.message.trailers.iter().filter(|(own, _)| own == name);
        named.next().map(|(_, value)| value.as_str())
    }

    /// The header fields, names in lower case.
    pub fn fields(&self) -> &[(String, String)] {
        &self.message.fields
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.message.body
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.message.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        let json = serde_json::from_slice(&self.message.body);
        json.unwrap_or_else(|error| panic!("{error}\n{}", self.account()))
    }

    /// Bytes that followed the answer. There is nothing to follow the answer to one request.
    pub fn rest(&self) -> &[u8] {
        &self.rest
    }

    /// The events about the request.
    pub fn events(&self) -> &[Value] {
        &self.events
    }

    /// What the upstream saw of the request.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// The id that the gateway gave to the request, as far as an event or the body tells.
    pub fn id(&self) -> Option<String> {
        let of = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        let body = serde_json::from_slice(&self.message.body).unwrap_or(Value::Null);
        self.events.iter().find_map(|event| of(event, "id")).or_else(|| of(&body, "request_id"))
    }

    /// Panics unless the gateway answered with this status. Below 400 there must be no event. From
    /// 400 on the gateway must have refused: exactly one event, with this status, whose id is that
    /// of the answer; and the upstream must have seen nothing.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        self.expect_status(status);
        if status < 400 {
            assert!(self.events.is_empty(), "an event for what was allowed\n{}", self.account());
            return self;
        }
        self.expect_event(status);
        assert!(self.seen.is_empty(), "the upstream saw what was refused\n{}", self.account());
        self
    }

    /// Panics unless the upstream saw the request and this came of it. If the gateway found the
    /// answer wanting there is one event, else none.
    #[track_caller]
    pub fn expect_forwarded(&self, status: u16) -> &Self {
        self.expect_status(status);
        assert_eq!(self.seen.len(), 1, "what the upstream saw\n{}", self.account());
        if !self.events.is_empty() {
            self.expect_event(status);
        }
        self
    }

    #[track_caller]
    fn expect_status(&self, status: u16) {
        assert_eq!(self.status(), status, "the status\n{}", self.account());
        assert!(self.rest.is_empty(), "bytes behind the answer\n{}", self.account());
    }

    #[track_caller]
    fn expect_event(&self, status: u16) {
        let [event] = self.events.as_slice() else {
            panic!("{} events for one refusal\n{}", self.events.len(), self.account());
        };
        assert_eq!(event["status"], status, "the event's status\n{}", self.account());
        if let Ok(Value::Object(body)) = serde_json::from_slice(&self.message.body)
            && let Some(id) = body.get("request_id")
        {
            assert_eq!(event["id"], *id, "the event's id\n{}", self.account());
        }
    }

    /// Panics unless this is the reason in the event, and in the body where that is a problem.
    #[track_caller]
    pub fn reason(&self, code: &str) -> &Self {
        self.event("reason", code);
        if self.field("content-type") == Some("application/problem+json") {
            assert_eq!(self.json()["code"], code, "the problem's code\n{}", self.account());
        }
        self
    }

    /// Panics unless this plugin refused.
    #[track_caller]
    pub fn plugin(&self, name: &str) -> &Self {
        self.event("plugin", name)
    }

    /// Panics unless the event has this value.
    #[track_caller]
    pub fn event(&self, key: &str, value: &str) -> &Self {
        let found = self.events.first().and_then(|event| event.get(key)).and_then(Value::as_str);
        assert_eq!(found, Some(value), "`{key}` of the event\n{}", self.account());
        self
    }

    /// Panics unless the answer has this field once, with this value.
    #[track_caller]
    pub fn header_is(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.field(name), Some(value), "`{name}`\n{}", self.account());
        self
    }

    /// Panics if the answer has the field.
    #[track_caller]
    pub fn no_header(&self, name: &str) -> &Self {
        assert_eq!(self.field(name), None, "`{name}`\n{}", self.account());
        self
    }

    /// Panics unless the body is this JSON.
    #[track_caller]
    pub fn body_json(&self, expected: &Value) -> &Self {
        assert_eq!(self.json(), *expected, "the body\n{}", self.account());
        self
    }

    /// Panics unless the body is this text.
    #[track_caller]
    pub fn body_is(&self, expected: &str) -> &Self {
        assert_eq!(self.text(), expected, "the body\n{}", self.account());
        self
    }

    /// All that is known, for whoever has to find out why a test fails.
    fn account(&self) -> String {
        let seen: Vec<_> =
            self.seen.iter().map(|seen| format!("{} {}", seen.method, seen.target)).collect();
        format!(
            "--- request\n{}\n--- answer\n{}{}\n--- events\n{}\n--- the upstream saw {seen:?}",
            self.request,
            String::from_utf8_lossy(&self.message.head),
            self.text(),
            self.events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n"),
        )
    }
}
