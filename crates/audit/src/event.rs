//! Security events: what was refused or failed, or what changed on the node, and why exactly.
//!
//! An event is one line of JSON. Names are stable; what does not apply is left out. The members
//! are told in [`EVENT_FIELDS`](crate::EVENT_FIELDS). A folded event has `id`, `path` and the like
//! of the first request that it stands for.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bartizan_core::{Denial, Reason, RequestId, Stage, Timestamp};

use crate::json::{self, key};
use crate::redact::{Hidden, Redacted, Redactor};
use crate::stamp::Stamp;

/// Longest detail and path, in bytes.
pub(crate) const LONG_MAX: usize = 1_024;
/// Longest text of what changed in an object, in bytes. Of a longer one only the beginning is
/// written: who makes it makes several events.
pub const CHANGES_MAX: usize = LONG_MAX;
/// Longest other value, in bytes.
pub(crate) const TEXT_MAX: usize = 256;
/// Most header fields of the request in one event.
const FIELDS_MAX: usize = 16;

macro_rules! kinds {
    ($( #[doc = $doc:literal] $name:ident = $word:literal; )+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind { $( #[doc = $doc] $name, )+ }

        impl EventKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[ $( Self::$name, )+ ];

            /// The name in the log.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$name => $word, )+ }
            }

            /// When there is such an event, for the reference.
            pub const fn documentation(self) -> &'static str {
                match self { $( Self::$name => $doc, )+ }
            }
        }
    };
}

kinds! {
    /// A request was refused: the status is below 500.
    Denied = "denied";
    /// A request failed: the upstream, or an error of our own; the status is 500 or above.
    Error = "error";
    /// A connection was refused or broke its protocol, before there was a request.
    Connection = "connection";
    /// A configuration was applied or refused.
    Reload = "reload";
    /// An operator changed a resource or a key of an operator.
    Change = "change";
    /// An operator was shown secrets in clear.
    Secrets = "secrets";
    /// An operator signed in to the dashboard, or out of it.
    Session = "session";
    /// A server of an upstream became unhealthy or healthy again.
    Health = "health";
    /// The node started, drained or stopped.
    Node = "node";
    /// Many events of one peer and reason, with their exact number.
    Folded = "folded";
    /// Events that were lost because the queue was full, with their exact number.
    Dropped = "dropped";
}

/// Who called, as far as it was proved.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The consumer's name.
    pub consumer: Option<Arc<str>>,
    /// The id of the credential that was shown, never its value.
    pub credential: Option<Arc<str>>,
    /// The subject of a token.
    pub subject: Option<Arc<str>>,
    /// The plugin that proved it.
    pub plugin: Option<&'static str>,
}

/// A change of a resource.
#[derive(Clone, Debug, Default)]
pub struct ChangeMade {
    /// The object.
    pub object: Box<str>,
    /// The revision of the store that it made.
    pub revision: u64,
    /// What changed, without secrets.
    pub changes: Box<str>,
}

/// One security event.
#[derive(Clone, Debug)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// When.
    pub time: Timestamp,
    /// How many events this one stands for.
    pub count: u64,
    /// Of a folded event: the kind that was folded, and when the first happened.
    pub folded: Option<(EventKind, Timestamp)>,
    /// The request's id.
    pub id: Option<RequestId>,
    /// The row of the table of reasons.
    pub reason: Option<Reason>,
    /// What the client was answered.
    pub status: Option<u16>,
    /// The stage that decided.
    pub stage: Option<Stage>,
    /// The plugin that decided.
    pub plugin: Option<&'static str>,
    /// The rule inside the plugin.
    pub rule: Option<Cow<'static, str>>,
    /// The precise cause.
    pub detail: Option<Cow<'static, str>>,
    /// The operator who asked, as far as that was proved.
    pub operator: Option<Arc<str>>,
    /// What an operator changed.
    pub change: Option<Box<ChangeMade>>,
    /// The client's address, after trusted proxies.
    pub client: Option<IpAddr>,
    /// The socket that the connection came from.
    pub peer: Option<SocketAddr>,
    /// The listener's name.
    pub listener: Option<Arc<str>>,
    /// The server name of TLS.
    pub sni: Option<Arc<str>>,
    /// The request's method.
    pub method: Option<Box<str>>,
    /// The request's host.
    pub host: Option<Box<str>>,
    /// The route's id.
    pub route: Option<Arc<str>>,
    /// The route's name.
    pub route_name: Option<Arc<str>>,
    /// The service's id.
    pub service: Option<Arc<str>>,
    /// Who called.
    pub caller: Option<Caller>,
    /// The upstream's node that the request was sent to.
    pub upstream: Option<SocketAddr>,
    path: Option<Redacted>,
    user_agent: Option<Redacted>,
    fields: Vec<(Box<str>, Redacted)>,
}

impl Event {
    /// An event of which only kind and time are known yet.
    pub fn new(kind: EventKind, time: Timestamp) -> Self {
        Self {
            kind,
            time,
            count: 1,
            folded: None,
            id: None,
            reason: None,
            status: None,
            stage: None,
            plugin: None,
            rule: None,
            detail: None,
            operator: None,
            change: None,
            client: None,
            peer: None,
            listener: None,
            sni: None,
            method: None,
            host: None,
            route: None,
            route_name: None,
            service: None,
            caller: None,
            upstream: None,
            path: None,
            user_agent: None,
            fields: Vec::new(),
        }
    }

    /// An event for a refused request; an error where the reason is not the client's fault.
    pub fn of(denial: &Denial, id: RequestId, time: Timestamp) -> Self {
        let is_error = denial.reason.status() >= 500;
        let mut event =
            Self::new(if is_error { EventKind::Error } else { EventKind::Denied }, time);
        event.id = Some(id);
        event.reason = Some(denial.reason);
        event.status = Some(denial.status());
        event.stage = denial.stage;
        event.plugin = denial.plugin;
        event.rule.clone_from(&denial.rule);
        event.detail = (!denial.detail.is_empty()).then(|| denial.detail.clone());
        event
    }

    /// The request's target as it is written.
    pub fn path(&self) -> Option<&str> {
        self.path.as_ref().map(Redacted::as_str)
    }

    /// Adds target and header fields of the request, as far as they may be written, and takes
    /// values that are hidden out of every other text of the event.
    ///
    /// `target` is the canonical path and the query as received (or, where the request could not
    /// be read, what was received in its place). Call it last.
    pub fn describe<'a>(
        &mut self,
        redactor: &Redactor,
        target: &[u8],
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])> + Clone,
    ) {
        self.path = Some(Redactor::target(target));
        for (name, value) in fields.clone() {
            if name.eq_ignore_ascii_case("user-agent") {
                self.user_agent = Some(redactor.field(name, value));
            } else if redactor.is_recorded(name) {
                self.record_field(name, redactor.field(name, value));
            }
        }
        self.scrub(&redactor.hidden(target, fields));
    }

    fn record_field(&mut self, name: &str, value: Redacted) {
        let known = self.fields.iter_mut().find(|(known, _)| name.eq_ignore_ascii_case(known));
        if let Some((_, first)) = known {
            first.append(&value);
        } else if self.fields.len() < FIELDS_MAX {
            self.fields.push((name.to_ascii_lowercase().into(), value));
        }
    }

    fn scrub(&mut self, hidden: &Hidden) {
        for text in [&mut self.rule, &mut self.detail].into_iter().flatten() {
            if hidden.occurs_in(text) {
                hidden.scrub(text.to_mut());
            }
        }
        let fields = self.fields.iter_mut().map(|(_, value)| value);
        for text in self.path.iter_mut().chain(&mut self.user_agent).chain(fields) {
            text.scrub(hidden);
        }
        for text in [&mut self.method, &mut self.host].into_iter().flatten() {
            if hidden.occurs_in(text) {
                let mut owned = text.to_string();
                hidden.scrub(&mut owned);
                *text = owned.into();
            }
        }
    }

    /// Appends the event as one line of JSON.
    pub(crate) fn write(&self, out: &mut Vec<u8>, stamp: &mut Stamp) {
        out.extend_from_slice(b"{\"time\":\"");
        stamp.write(out, self.time);
        out.push(b'"');
        json::word(out, key!("event"), self.kind.name());
        if let Some((kind, first)) = self.folded {
            json::word(out, key!("of"), kind.name());
            json::word(out, key!("first"), &first.to_rfc3339());
        }
        if self.count != 1 {
            json::number(out, key!("count"), self.count);
        }
        self.write_decision(out);
        self.write_origin(out);
        self.write_match(out);
        self.write_fields(out);
        out.extend_from_slice(b"}\n");
    }

    fn write_decision(&self, out: &mut Vec<u8>) {
        if let Some(id) = self.id {
            json::text_if(out, key!("id"), Some(&id.encode()), TEXT_MAX);
        }
        if let Some(reason) = self.reason {
            json::word(out, key!("reason"), reason.code());
        }
        if let Some(status) = self.status {
            json::number(out, key!("status"), u64::from(status));
        }
        if let Some(stage) = self.stage {
            json::word(out, key!("stage"), stage.name());
        }
        put(out, key!("plugin"), self.plugin, TEXT_MAX);
        put(out, key!("rule"), self.rule.as_deref(), TEXT_MAX);
        put(out, key!("detail"), self.detail.as_deref(), LONG_MAX);
        put(out, key!("operator"), self.operator.as_deref(), TEXT_MAX);
        if let Some(change) = &self.change {
            put(out, key!("object"), Some(&change.object), TEXT_MAX);
            json::number(out, key!("revision"), change.revision);
            put(out, key!("changes"), Some(&change.changes), CHANGES_MAX);
        }
    }

    fn write_origin(&self, out: &mut Vec<u8>) {
        if let Some(client) = self.client {
            json::address(out, key!("client"), client);
        }
        if let Some(peer) = self.peer {
            json::socket(out, key!("peer"), peer);
        }
        put(out, key!("listener"), self.listener.as_deref(), TEXT_MAX);
        put(out, key!("sni"), self.sni.as_deref(), TEXT_MAX);
        put(out, key!("method"), self.method.as_deref(), TEXT_MAX);
        put(out, key!("host"), self.host.as_deref(), TEXT_MAX);
        put(out, key!("path"), self.path(), LONG_MAX);
    }

    fn write_match(&self, out: &mut Vec<u8>) {
        put(out, key!("route"), self.route.as_deref(), TEXT_MAX);
        put(out, key!("route_name"), self.route_name.as_deref(), TEXT_MAX);
        put(out, key!("service"), self.service.as_deref(), TEXT_MAX);
        if let Some(caller) = &self.caller {
            put(out, key!("consumer"), caller.consumer.as_deref(), TEXT_MAX);
            put(out, key!("credential"), caller.credential.as_deref(), TEXT_MAX);
            put(out, key!("subject"), caller.subject.as_deref(), TEXT_MAX);
            put(out, key!("auth_plugin"), caller.plugin, TEXT_MAX);
        }
        if let Some(upstream) = self.upstream {
            json::socket(out, key!("upstream"), upstream);
        }
    }

    fn write_fields(&self, out: &mut Vec<u8>) {
        put(out, key!("user_agent"), self.user_agent.as_ref().map(Redacted::as_str), TEXT_MAX);
        if self.fields.is_empty() {
            return;
        }
        out.extend_from_slice(key!("fields").as_bytes());
        for (i, (name, value)) in self.fields.iter().enumerate() {
            out.push(if i == 0 { b'{' } else { b',' });
            json::text(out, name.as_bytes(), TEXT_MAX);
            out.push(b':');
            json::text(out, value.as_str().as_bytes(), TEXT_MAX);
        }
        out.push(b'}');
    }
}

fn put(out: &mut Vec<u8>, key: &str, text: Option<&str>, max: usize) {
    json::text_if(out, key, text.map(str::as_bytes), max);
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
