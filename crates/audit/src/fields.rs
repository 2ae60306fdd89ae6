//! What an event and a line of the access log hold, for people who read them.
//!
//! Tests hold these tables against what is written.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bartizan_core::{Denial, Reason, RequestId, Stage, Timestamp};

use crate::access_line::AccessLine;
use crate::event::{Caller, ChangeMade, Event, EventKind, LONG_MAX, TEXT_MAX};
use crate::redact::Redactor;
use crate::stamp::Stamp;

/// A member of the JSON object that one line is.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// What it says, and when it is there.
    pub documentation: &'static str,
}

/// What a member holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// RFC 3339, UTC, milliseconds.
    Time,
    /// A text of at most so many bytes; `…` at its end says that it was cut.
    Text(usize),
    /// One of a closed list of words.
    Word,
    /// A whole number.
    Number,
    /// An IP address.
    Address,
    /// An IP address and a port.
    Socket,
    /// An object of texts.
    Texts,
}

impl FieldKind {
    /// The kind in words.
    pub fn describe(self) -> String {
        match self {
            Self::Time => "time".to_owned(),
            Self::Text(max) => format!("text ≤ {max} bytes"),
            Self::Word => "word".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Address => "address".to_owned(),
            Self::Socket => "address and port".to_owned(),
            Self::Texts => "object of texts".to_owned(),
        }
    }
}

const fn field(name: &'static str, kind: FieldKind, documentation: &'static str) -> Field {
    Field { name, kind, documentation }
}

use FieldKind::{Address, Number, Socket, Text, Texts, Time, Word};

const TEXT: FieldKind = Text(TEXT_MAX);
const LONG: FieldKind = Text(LONG_MAX);

/// The members of an event, in the order in which they are written.
pub const EVENT_FIELDS: &[Field] = &[
    field("time", Time, "When it happened; of a folded event, when the last did."),
    field("event", Word, "What happened: see above."),
    field("of", Word, "Of a folded event: which kind of events was folded."),
    field("first", Time, "Of a folded event: when the first happened."),
    field("count", Number, "How many events this one stands for; 1 if it is not there."),
    field("id", TEXT, "The request's id, as in the client's answer and in the access log."),
    field("reason", Word, "Why: a code from the table of reasons."),
    field("status", Number, "What the client was answered."),
    field("stage", Word, "The stage that decided."),
    field("plugin", TEXT, "The plugin that decided."),
    field("rule", TEXT, "The rule inside the plugin."),
    field("detail", LONG, "The precise cause. Clients never see it."),
    field(
        "operator",
        TEXT,
        "The operator who asked: the name of the key, or `uid 0` and the like for who used the \
         local socket.",
    ),
    field("object", TEXT, "The object that an operator changed."),
    field("revision", Number, "The revision of the store that the change made."),
    field("changes", LONG, "What changed in the object; secrets are `***`."),
    field("client", Address, "The client's address, after trusted proxies and `real-ip`."),
    field("peer", Socket, "The socket that the connection came from."),
    field("listener", TEXT, "The listener that it came in by."),
    field("sni", TEXT, "The server name that TLS was asked for."),
    field("method", TEXT, "The request's method."),
    field("host", TEXT, "The host that the request names."),
    field("path", LONG, "The canonical path, and of the query the names only."),
    field("route", TEXT, "The id of the route that matched."),
    field("route_name", TEXT, "Its name."),
    field("service", TEXT, "The id of its service."),
    field("consumer", TEXT, "The consumer who called, as far as that was proved."),
    field("credential", TEXT, "The id of the credential that was shown, never its value."),
    field("subject", TEXT, "The subject of the token."),
    field("auth_plugin", TEXT, "The plugin that proved who calls."),
    field("upstream", Socket, "The node that the request was sent to."),
    field("user_agent", TEXT, "The request's `User-Agent`."),
    field(
        "fields",
        Texts,
        "Further fields of the request that are to be recorded; secrets are `***`.",
    ),
];

/// The members of a line of the access log, in the order in which they are written.
pub const ACCESS_FIELDS: &[Field] = &[
    field("time", Time, "When the request began."),
    field("id", TEXT, "The request's id, as in its events."),
    field("client", Address, "The client's address, after trusted proxies and `real-ip`."),
    field("method", TEXT, "The request's method."),
    field("host", TEXT, "The host that the request names."),
    field("path", LONG, "The canonical path, without the query."),
    field("http", Word, "The version: `1.0`, `1.1` or `2`."),
    field("status", Number, "What the client was answered."),
    field("reason", Word, "Why, where it was refused or failed."),
    field("bytes_in", Number, "Bytes of the request's body."),
    field("bytes_out", Number, "Bytes of the answer's body."),
    field("total_us", Number, "Microseconds from the first byte to the last."),
    field("upstream_us", Number, "Microseconds until the upstream had answered."),
    field("route", TEXT, "The id of the route that matched."),
    field("service", TEXT, "The id of its service."),
    field("consumer", TEXT, "The consumer who called."),
    field("upstream", Socket, "The node that the request was sent to."),
    field("tls", Word, "The version of TLS: `1.2` or `1.3`."),
    field("sni", TEXT, "The server name that TLS was asked for."),
    field("user_agent", TEXT, "The request's `User-Agent`."),
];

/// The time of the examples.
const THEN: Timestamp = Timestamp::from_secs(1_700_000_000);
const ID: RequestId = RequestId::from_bytes([
    0x01, 0xa2, 0x0a, 0x83, 0x51, 0xa0, 0x70, 0x00, 0x80, 0x00, 0xb7, 0x0b, 0x77, 0x3d, 0xed, 0xaa,
]);

/// A refusal, a folded one, a change of the node and one by an operator, as they are written.
pub fn event_examples() -> [String; 4] {
    let mut folded = Event::of(&Denial::new(Reason::RateLimited, "more than 3 in 60 s"), ID, THEN);
    folded.kind = EventKind::Folded;
    folded.folded = Some((EventKind::Denied, THEN));
    folded.count = 4_711;
    folded.client = Some([192, 0, 2, 7].into());
    let mut reload = Event::new(EventKind::Reload, THEN);
    reload.detail = Some("applied as generation 2".into());
    let mut change = Event::new(EventKind::Change, THEN);
    change.detail = Some("wrote `routes/orders`".into());
    change.operator = Some("ann".into());
    change.client = Some([127, 0, 0, 1].into());
    change.method = Some("PATCH".into());
    change.change = Some(Box::new(ChangeMade {
        object: "routes/orders".into(),
        revision: 42,
        changes: r#"[["/uri","/orders","/orders/*"]]"#.into(),
    }));
    [full_event(), folded, reload, change].map(|event| {
        let mut out = Vec::new();
        event.write(&mut out, &mut Stamp::default());
        String::from_utf8_lossy(&out).into_owned()
    })
}

/// A line of the access log, as it is written.
pub fn access_example() -> String {
    let mut out = Vec::new();
    full_line().write(&mut out, &mut Stamp::default());
    String::from_utf8_lossy(&out).into_owned()
}

/// A refusal of which everything is known.
fn full_event() -> Event {
    let detail = "path `{owner}` equals claim `sub`: the object is another's";
    let mut event = Event::of(&Denial::new(Reason::ObjectDenied, detail), ID, THEN);
    event.stage = Some(Stage::Authorize);
    event.plugin = Some("object-guard");
    event.rule = Some("bindings[0]".into());
    event.client = Some([192, 0, 2, 7].into());
    event.peer = Some(([10, 0, 0, 1], 40_312).into());
    event.listener = Some("0.0.0.0:9443".into());
    event.sni = Some("shop.example".into());
    event.method = Some("GET".into());
    event.host = Some("shop.example".into());
    event.route = Some("7".into());
    event.route_name = Some("orders".into());
    event.service = Some("shop".into());
    event.upstream = Some(([10, 0, 0, 2], 8_080).into());
    event.caller = Some(Caller {
        consumer: Some("alice".into()),
        credential: Some("phone".into()),
        subject: Some("alice".into()),
        plugin: Some("jwt-auth"),
    });
    let fields: [(&str, &[u8]); 2] = [("user-agent", b"curl/8.5.0"), ("x-tenant", b"acme")];
    let redactor = Redactor::default().with_recorded_fields(["x-tenant"]);
    event.describe(&redactor, b"/orders/bob/2?view=full", fields);
    event
}

/// A line of which everything is known.
fn full_line() -> AccessLine<'static> {
    AccessLine {
        time: THEN,
        id: ID,
        client: Some(IpAddr::from([192, 0, 2, 7])),
        method: b"GET",
        host: b"shop.example",
        path: b"/orders/alice/1",
        http: "2",
        status: 504,
        reason: Some(Reason::UpstreamTimeout),
        bytes_in: 0,
        bytes_out: 204,
        total: Duration::from_micros(5_000_318),
        upstream_time: Some(Duration::from_micros(5_000_204)),
        route: Some("7"),
        service: Some("shop"),
        consumer: Some("alice"),
        upstream: Some(SocketAddr::from(([10, 0, 0, 2], 8_080))),
        tls: Some("1.3"),
        sni: Some("shop.example"),
        user_agent: Some(b"curl/8.5.0"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The names of a line's members in the order in which they are written.
    fn names(line: &str) -> Vec<String> {
        let object: serde_json::Map<String, Value> = serde_json::from_str(line).unwrap();
        object.keys().cloned().collect()
    }

    fn fits(kind: FieldKind, value: &Value) -> bool {
        let text = value.as_str().unwrap_or_default();
        match kind {
            Time => text.len() == 24 && text.ends_with('Z'),
            Text(_) | Word => value.is_string(),
            Number => value.is_u64(),
            Address => text.parse::<IpAddr>().is_ok(),
            Socket => text.parse::<SocketAddr>().is_ok(),
            Texts => value.as_object().is_some_and(|map| map.values().all(Value::is_string)),
        }
    }

    fn is_told(fields: &[Field], lines: &[String]) {
        for line in lines {
            let object: Value = serde_json::from_str(line).unwrap();
            let told = fields.iter().filter(|field| object.get(field.name).is_some());
            let told: Vec<&str> = told.map(|field| field.name).collect();
            assert_eq!(names(line), told, "names and their order");
            for field in fields {
                let value = object.get(field.name);
                assert!(value.is_none_or(|value| fits(field.kind, value)), "{}", field.name);
            }
        }
        for field in fields {
            let is_written = lines.iter().any(|line| names(line).contains(&field.name.to_owned()));
            assert!(is_written, "`{}` is in no example", field.name);
        }
    }

    #[test]
    fn every_member_of_an_event_is_told_as_it_is_written() {
        is_told(EVENT_FIELDS, &event_examples());
    }

    #[test]
    fn every_member_of_an_access_line_is_told_as_it_is_written() {
        is_told(ACCESS_FIELDS, &[access_example()]);
    }

    #[test]
    fn texts_are_cut_where_it_is_told() {
        let long = "x".repeat(5_000);
        for field in EVENT_FIELDS.iter().filter(|field| field.name != "id") {
            let Text(max) = field.kind else { continue };
            let mut event = Event::new(EventKind::Denied, THEN);
            event.detail = Some(long.clone().into());
            event.rule = Some(long.clone().into());
            event.method = Some(long.clone().into());
            event.host = Some(long.clone().into());
            event.listener = Some(long.as_str().into());
            event.sni = Some(long.as_str().into());
            event.describe(
                &Redactor::default(),
                long.as_bytes(),
                [("user-agent", long.as_bytes())],
            );
            let mut out = Vec::new();
            event.write(&mut out, &mut Stamp::default());
            let object: Value = serde_json::from_slice(&out).unwrap();
            let written = object.get(field.name).and_then(Value::as_str);
            assert!(
                written.is_none_or(|text| text == format!("{}…", &long[..max])),
                "{}: {written:?}",
                field.name
            );
        }
    }
}
