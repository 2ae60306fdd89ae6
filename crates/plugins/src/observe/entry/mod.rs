//! What a logger writes about one exchange: the usual entry, or what `log_format` says.
//!
//! The usual entry is one JSON object:
//!
//! | name | meaning |
//! |---|---|
//! | `request_id` | the request's id, as in the access log and in events |
//! | `client_ip` | the client's address, after trusted proxies |
//! | `route_id`, `service_id`, `consumer.username` | what it matched and who called; `subject` where a token names somebody who is no consumer |
//! | `request` | `method`, `url`, `uri`, `querystring` (names only), `headers`, `size` of the body |
//! | `response` | `status`, `headers`, `size` of the body |
//! | `reason` | the code of why it was refused or failed |
//! | `server` | `hostname`, `version` |
//! | `upstream` | the address it was sent to |
//! | `start_time` | milliseconds since 1970 |
//! | `latency`, `upstream_latency`, `apisix_latency` | milliseconds in all, until the upstream's head, and the difference |
//!
//! **Secrets stay out.** Whatever is written goes through the node's redactor, as events do: values
//! of header fields that carry credentials are `***` (also the fields that authentication plugins
//! are told to read), and so are values of cookies and of query parameters; where such a value of
//! at least eight bytes occurs again elsewhere in the entry, it is taken out there too. Every text
//! is cut after 4 KiB.

mod format;
mod part;
mod write;

use std::borrow::Cow;

use bartizan_audit::{Hidden, Redactor};
use bartizan_chain::{Outcome, RequestCx};
use bartizan_wire::{Field, Fields};
use smallvec::SmallVec;

pub(crate) use format::{FormatConfig, Formats, LogFormat};
use write::ObjectWriter;

/// Longest text in an entry, in bytes.
const TEXT_MAX: usize = 4_096;

/// What is known of an exchange that is over.
pub(crate) struct Exchange<'a> {
    pub(crate) cx: &'a RequestCx,
    pub(crate) outcome: &'a Outcome<'a>,
    /// The fields of the answer, where they were kept.
    pub(crate) answer: Option<&'a Fields>,
    pub(crate) redactor: &'a Redactor,
    /// The name of this machine.
    pub(crate) hostname: &'a str,
    /// Values that must occur nowhere.
    pub(crate) hidden: Hidden,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        cx: &'a RequestCx,
        outcome: &'a Outcome<'a>,
        answer: Option<&'a Fields>,
        redactor: &'a Redactor,
        hostname: &'a str,
    ) -> Self {
        let sent = cx.fields.iter().chain(answer.iter().flat_map(|fields| fields.iter()));
        let named =
            sent.filter_map(|field| Some((std::str::from_utf8(field.name).ok()?, field.value)));
        let target = cx.canonical().path_and_query().as_bytes();
        let hidden = redactor.hidden(target, named);
        Self { cx, outcome, answer, redactor, hostname, hidden }
    }

    /// The request's target as it may be written: path, and the names of the query.
    fn target(&self) -> String {
        Redactor::target(self.cx.canonical().path_and_query().as_bytes()).as_str().to_owned()
    }

    /// All values of a header field as they may be written.
    fn field<'f>(&self, fields: &'f Fields, name: &str) -> Option<Cow<'f, str>> {
        let mut values = fields.all(name);
        let mut joined = self.redactor.shown(name, values.next()?);
        for value in values {
            let joined = joined.to_mut();
            joined.push_str(", ");
            joined.push_str(&self.redactor.shown(name, value));
        }
        Some(joined)
    }
}

/// Writes the members of the usual entry.
fn usual(out: &mut ObjectWriter<'_, '_>) {
    let of = out.exchange();
    let (cx, outcome) = (of.cx, of.outcome);
    out.word("request_id", &cx.id.encode());
    out.display("client_ip", cx.client());
    let route = cx.matched().map(|matched| &*matched.route);
    out.text("route_id", route.map_or("", |route| &route.id));
    out.text("service_id", route.and_then(|route| route.service_id.as_deref()).unwrap_or(""));
    if let Some(identity) = cx.identity() {
        if let Some(consumer) = identity.consumer() {
            out.object("consumer", |out| out.text("username", consumer.username()));
        } else if let Some(subject) = identity.subject() {
            out.text("subject", subject);
        }
    }
    out.object("request", request);
    out.object("response", |out| {
        out.number("status", u64::from(outcome.status));
        out.object("headers", |out| {
            if let Some(fields) = out.exchange().answer {
                headers(out, fields);
            }
        });
        out.number("size", outcome.bytes_out);
    });
    if let Some(denial) = outcome.denial {
        out.text("reason", denial.reason.code());
    }
    out.object("server", |out| {
        let hostname = out.exchange().hostname;
        out.text("hostname", hostname);
        out.text("version", env!("CARGO_PKG_VERSION"));
    });
    if let Some(address) = cx.upstream.address {
        out.display("upstream", address);
    }
    out.number("start_time", cx.received.as_millis());
    out.millis("latency", outcome.duration);
    if let Some(upstream) = outcome.upstream_duration {
        out.millis("upstream_latency", upstream);
    }
    let own = outcome.duration.saturating_sub(outcome.upstream_duration.unwrap_or_default());
    out.millis("apisix_latency", own);
}

fn request(out: &mut ObjectWriter<'_, '_>) {
    let of = out.exchange();
    let canonical = of.cx.canonical();
    let target = of.target();
    out.text("method", canonical.method().as_str());
    let (scheme, authority) = (canonical.scheme(), canonical.authority());
    let mut url = String::with_capacity(scheme.len() + 3 + authority.len() + target.len());
    for part in [scheme, "://", authority, &target] {
        url.push_str(part);
    }
    out.text("url", &url);
    out.text("uri", &target);
    out.object("querystring", |out| {
        let query = canonical.query().unwrap_or_default();
        let names = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut seen: SmallVec<[&str; 8]> = SmallVec::new();
        for (name, _) in names {
            if !seen.contains(&name) {
                seen.push(name);
                out.named_text(name, bartizan_audit::REDACTED);
            }
        }
    });
    out.object("headers", |out| headers(out, &out.exchange().cx.fields));
    out.number("size", of.outcome.bytes_in);
}

/// Each name once, the values of a repeated field joined.
fn headers(out: &mut ObjectWriter<'_, '_>, fields: &Fields) {
    let all: SmallVec<[Field<'_>; 32]> = fields.iter().collect();
    for (at, field) in all.iter().enumerate() {
        let (before, from) = all.split_at(at);
        let has_name = |other: &&Field<'_>| other.name == field.name;
        if before.iter().any(|other| has_name(&other)) {
            continue;
        }
        let Ok(name) = std::str::from_utf8(field.name) else { continue };
        let mut shown = out.exchange().redactor.shown(name, field.value);
        for other in from.iter().skip(1).filter(has_name) {
            let shown = shown.to_mut();
            shown.push_str(", ");
            shown.push_str(&out.exchange().redactor.shown(name, other.value));
        }
        out.named_text(name, &shown);
    }
}

#[cfg(test)]
mod tests;
