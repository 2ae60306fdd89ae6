//! What came of a request, as a case shows it.

use std::fmt::Write as _;

use bartizan_core::Reason;
use bartizan_proxy::Report;
use serde_json::Value;

use super::coding;
use super::exchange::{FROM, Written};
use crate::Reply;
use crate::upstream::Seen;

/// Fields of an answer that are about the connection, or that HTTP alone decides.
const FRAMING: [&str; 5] =
    ["date", "connection", "keep-alive", "content-length", "transfer-encoding"];
/// What an event says in any case where it has it.
const USUAL: [&str; 10] = [
    "reason",
    "status",
    "stage",
    "plugin",
    "rule",
    "detail",
    "consumer",
    "credential",
    "subject",
    "auth_plugin",
];
/// Where problem details say which reason they are of.
const PROBLEM_TYPE: &str = "https://bartizan.dev/reasons/";

/// Shows one exchange. Ids differ from run to run: the request's is `<id>`, another `<id 2>`.
pub(super) struct Shown<'e> {
    written: &'e Written,
    reply: &'e Reply,
    ids: Vec<String>,
}

impl<'e> Shown<'e> {
    pub(super) fn new(written: &'e Written, reply: &'e Reply) -> Self {
        Self { written, reply, ids: reply.id().into_iter().collect() }
    }

    /// What the client got.
    pub(super) fn response(&mut self) -> String {
        let reply = self.reply;
        let mut hidden = FRAMING.to_vec();
        let mut body = text_of(reply);
        let is_ours = |field: &str, value: &str| reply.field(field) == Some(value);
        let mut out = reply.status().to_string();
        if let Some(problem) = self.problem() {
            let _ = write!(out, " @problem {problem}");
            hidden.push("content-type");
            body.clear();
        } else if body == r#"{"ok":true}"# && is_ours("content-type", "application/json") {
            out.push_str(" @upstream");
            hidden.push("content-type");
            body.clear();
        }
        if !reply.took().is_zero() {
            let _ = write!(out, " @after {:?}", reply.took());
        }
        if !reply.events().is_empty() && is_ours("cache-control", "no-store") {
            hidden.push("cache-control");
        }
        for (name, value) in reply.fields() {
            let value = if name == "dpop-nonce" { "<nonce>" } else { value.as_str() };
            if !hidden.contains(&name.as_str()) {
                let _ = write!(out, "\n{name}: {value}");
            }
        }
        if !body.is_empty() {
            let version = concat!("bartizan/", env!("CARGO_PKG_VERSION"));
            let body = body.replace(version, "bartizan/<version>");
            let _ = write!(out, "\n\n{}", body.trim_end());
        }
        if !reply.rest().is_empty() {
            let _ = write!(out, "\n\nand then {:?}", String::from_utf8_lossy(reply.rest()));
        }
        self.named(&out)
    }

    /// The reason and message of problem details, if the answer is that and nothing else.
    fn problem(&self) -> Option<String> {
        if self.reply.field("content-type") != Some("application/problem+json") {
            return None;
        }
        let body: Value = serde_json::from_slice(self.reply.body()).ok()?;
        let code = body["code"].as_str()?;
        let reason = Reason::ALL.iter().find(|reason| reason.code() == code)?;
        let mut expected = serde_json::json!({
            "type": format!("{PROBLEM_TYPE}{code}"),
            "title": reason.title(),
            "status": self.reply.status(),
            "code": code,
            "request_id": self.reply.events().first()?["id"],
        });
        let mut shown = code.to_owned();
        if let Some(detail) = body.get("detail") {
            expected["detail"] = detail.clone();
            let _ = write!(shown, " {detail}");
        }
        (body == expected).then_some(shown)
    }

    /// The events, with what `asked` names besides.
    pub(super) fn events(&mut self, asked: &str) -> String {
        let asked = asked.lines().filter_map(|line| line.split_once(": ").map(|(key, _)| key));
        let keys: Vec<&str> =
            USUAL.into_iter().chain(asked.filter(|key| !USUAL.contains(key))).collect();
        let shown: Vec<String> =
            self.reply.events().iter().map(|event| one_event(event, &keys)).collect();
        self.named(&shown.join("\nand another:\n"))
    }

    /// What the upstream saw.
    pub(super) fn upstream(&mut self) -> String {
        let seen: Vec<String> = self.reply.seen().iter().map(|seen| self.seen(seen)).collect();
        let text = if seen.is_empty() { "nothing".to_owned() } else { seen.join("\nand then:\n") };
        self.named(&text)
    }

    fn seen(&self, seen: &Seen) -> String {
        let host = self.written.host();
        let (from, length) = (self.written.from.as_str(), seen.body.len().to_string());
        // What every request has, where it has it as every request has it.
        let usual = [
            ("host", host.as_str()),
            ("x-forwarded-for", from),
            ("x-real-ip", from),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", &host),
            ("x-forwarded-port", "9080"),
            ("content-length", &length),
        ];
        let mut out = format!("{} {}", seen.method, seen.target);
        for (name, value) in &seen.fields {
            if !usual.contains(&(name.as_str(), value.as_str())) {
                let _ = write!(out, "\n{name}: {value}");
            }
        }
        for name in usual.iter().map(|(name, _)| *name).filter(|name| *name != "content-length") {
            if !seen.fields.iter().any(|(own, _)| own == name) {
                let _ = write!(out, "\nwithout {name}");
            }
        }
        let body = String::from_utf8_lossy(&seen.body);
        if !seen.is_complete {
            out.push_str("\n\nin part");
        } else if body == self.written.body {
            if !body.is_empty() {
                out.push_str("\n\n@body");
            }
        } else if seen.body.contains(&0) {
            out.push_str("\n\n@hex ");
            for byte in &seen.body {
                let _ = write!(out, "{byte:02x}");
            }
        } else {
            let _ = write!(out, "\n\n{body}");
        }
        for (name, value) in &seen.trailers {
            let _ = write!(out, "\n\n@trailer {name}: {value}");
        }
        out
    }

    /// The text with names in place of ids.
    pub(super) fn named(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = (0..rest.len()).find(|at| is_id(rest.as_bytes(), *at)) {
            let (before, from) = rest.split_at(at);
            let (id, after) = from.split_at(ID_LENGTH);
            let known = self.ids.iter().position(|known| known == id).unwrap_or_else(|| {
                self.ids.push(id.to_owned());
                self.ids.len() - 1
            });
            out.push_str(before);
            match known {
                0 => out.push_str("<id>"),
                more => drop(write!(out, "<id {}>", more + 1)),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// The body as text; decoded, where it has a coding and is whole.
fn text_of(reply: &Reply) -> String {
    let coding = reply.field("content-encoding").unwrap_or_default();
    match coding::decoded(coding, reply.body()) {
        Some(body) => String::from_utf8_lossy(&body).into_owned(),
        None => reply.text(),
    }
}

const ID_LENGTH: usize = 36;

/// True if an id (a UUID of version 7) begins there.
fn is_id(text: &[u8], at: usize) -> bool {
    text.get(at..at + ID_LENGTH).is_some_and(|id| {
        id[14] == b'7'
            && id.iter().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            })
    })
}

fn one_event(event: &Value, keys: &[&str]) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut lines = Vec::new();
    let kind = text(&event["event"]);
    if kind != "denied" {
        lines.push(format!("event: {kind}"));
    }
    for key in keys {
        if let Some(value) = event.get(*key).filter(|_| *key != "event") {
            lines.push(format!("{key}: {}", text(value)));
        }
    }
    if let Some(client) = event.get("client").map(text)
        && client != FROM
        && !keys.contains(&"client")
    {
        lines.push(format!("client: {client}"));
    }
    lines.join("\n")
}

/// What is said of the routes.
pub(super) fn report(report: &Report) -> String {
    let mut lines = Vec::new();
    for route in &report.routes {
        let proofs = &route.proofs;
        let proved: Vec<&str> = [
            (proofs.authentication, "authentication"),
            (proofs.grant, "grant"),
            (proofs.limit, "limit"),
            (proofs.schema, "schema"),
        ]
        .into_iter()
        .filter_map(|(holds, name)| holds.then_some(name))
        .collect();
        lines.push(format!("{}: {}", route.id, proved.join(", ")));
        if let Some(reason) = &route.anonymous_reason {
            lines.push(format!("{}: open to anybody: {reason}", route.id));
        }
    }
    for warning in &report.warnings {
        let help = warning.help.as_deref().map(|help| format!("; {help}")).unwrap_or_default();
        lines.push(format!("warning: {}{help}", warning.problem));
    }
    lines.join("\n")
}

/// The lines of the metrics that begin like this.
pub(super) fn metrics(text: &str, prefix: &str) -> String {
    let mut lines: Vec<&str> = text.lines().filter(|line| line.starts_with(prefix)).collect();
    lines.sort_unstable();
    lines.join("\n")
}
