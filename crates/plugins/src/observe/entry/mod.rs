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
mod usual;
mod write;

use std::borrow::Cow;

use bartizan_audit::{Hidden, Redactor};
use bartizan_chain::{Outcome, RequestCx};
use bartizan_wire::Fields;

pub(crate) use format::{FormatConfig, Formats, LogFormat};

/// Longest text in an entry, in bytes.
const TEXT_MAX: usize = 4_096;

/// What is known of an exchange that is over.
pub(crate) struct Exchange<'a> {
    cx: &'a RequestCx,
    outcome: &'a Outcome<'a>,
    /// The fields of the answer, where they were kept.
    answer: Option<&'a Fields>,
    redactor: &'a Redactor,
    /// The name of this machine.
    hostname: &'a str,
    /// Which of the first 128 fields are secret: those of the request, then those of the answer.
    secret: u128,
    /// Values that must occur nowhere.
    hidden: Hidden,
}

impl<'a> Exchange<'a> {
    pub(crate) fn new(
        cx: &'a RequestCx,
        outcome: &'a Outcome<'a>,
        answer: Option<&'a Fields>,
        redactor: &'a Redactor,
        hostname: &'a str,
    ) -> Self {
        let mut exchange =
            Self { cx, outcome, answer, redactor, hostname, secret: 0, hidden: Hidden::default() };
        let sent = || cx.fields.iter().chain(answer.iter().flat_map(|fields| fields.iter()));
        for (at, field) in sent().enumerate() {
            exchange.secret |= bit(at) * u128::from(redactor.hides(field.name));
        }
        let target = cx.canonical().path_and_query().as_bytes();
        let secret = sent().enumerate().filter(|(at, field)| exchange.is_secret(*at, field.name));
        exchange.hidden = Hidden::of(target, secret.map(|(_, field)| (field.name, field.value)));
        exchange
    }

    /// Whether the field with this number, and this name, is secret.
    fn is_secret(&self, at: usize, name: &[u8]) -> bool {
        match bit(at) {
            0 => self.redactor.hides(name),
            bit => self.secret & bit != 0,
        }
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

/// The bit of the field with this number; none from 128 on.
fn bit(at: usize) -> u128 {
    u32::try_from(at).ok().and_then(|at| 1_u128.checked_shl(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
