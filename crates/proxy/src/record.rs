//! What is written about a request when it is over, however it ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bartizan_audit::{AccessLine, Caller, Event, Slot};
use bartizan_chain::{Outcome, Over, Peer, RequestCx, Run};
use bartizan_core::{Denial, Reason, RequestId, Timestamp, limit_named_in};
use bartizan_plugins::AnyPlugin;
use bartizan_wire::{Fields, Version};
use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

use crate::client::h2::Cause;
use crate::worker::Worker;

/// The record of one request. Dropping it writes the access line, the event of a denial, and tells
/// the plugins: also when the task was cancelled or panicked.
pub(crate) struct Record {
    worker: Rc<Worker>,
    peer: Arc<Peer>,
    pub(crate) id: RequestId,
    received: Timestamp,
    started: Instant,
    pub(crate) run: Option<Run<AnyPlugin>>,
    /// What is known where the request never became a run.
    raw: Raw,
    pub(crate) denial: Option<Denial>,
    pub(crate) status: u16,
    pub(crate) was_forwarded: bool,
    /// Room for this request's event, taken before it was forwarded.
    pub(crate) slot: Option<Slot>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    /// Whether the answer reached its end.
    pub(crate) is_complete: bool,
    /// Why the exchange is dropped, where its connection knows.
    pub(crate) cause: Option<Cause>,
}

#[derive(Default)]
struct Raw {
    method: Option<Method>,
    target: Bytes,
    fields: Fields,
    version: Option<Version>,
}

impl Record {
    pub(crate) fn new(worker: &Rc<Worker>, peer: &Arc<Peer>) -> Self {
        let received = worker.shared.node.clock.now();
        worker.tally.begin();
        peer.count_request();
        worker.busy.set(worker.busy.get() + 1);
        Self {
            worker: worker.clone(),
            peer: peer.clone(),
            id: worker.ids.next(received),
            received,
            started: Instant::now(),
            run: None,
            raw: Raw::default(),
            denial: None,
            status: 0,
            was_forwarded: false,
            slot: None,
            bytes_in: 0,
            bytes_out: 0,
            is_complete: false,
            cause: None,
        }
    }

    pub(crate) fn received(&self) -> Timestamp {
        self.received
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// Notes what is known of a request that goes no further than its head.
    pub(crate) fn note_raw(
        &mut self,
        method: Option<Method>,
        target: Bytes,
        fields: Fields,
        version: Version,
    ) {
        self.raw = Raw { method, target, fields, version: Some(version) };
    }

    /// Notes what is known of a request that there is nothing to serve with.
    pub(crate) fn note_unserved(&mut self, cx: RequestCx) {
        let target = Bytes::copy_from_slice(cx.canonical().raw_target());
        let method = cx.canonical().method().clone();
        self.note_raw(Some(method), target, cx.fields, cx.version);
    }

    /// The request's fields, as far as it was read.
    pub(crate) fn fields(&self) -> &Fields {
        self.cx().map_or(&self.raw.fields, |cx| &cx.fields)
    }

    /// Notes the first line of a request whose head was refused, as far as it can be read.
    pub(crate) fn note_refused(&mut self, line: &Bytes, version: Version) {
        let mut words = line.split(|b| *b == b' ');
        let method = words.next().and_then(|word| Method::from_bytes(word).ok());
        let target = match (&method, words.next()) {
            (Some(_), Some(target)) => line.slice_ref(target),
            _ => line.clone(),
        };
        self.note_raw(method, target, Fields::new(), version);
    }

    /// The worker that serves the request.
    pub(crate) fn worker(&self) -> &Rc<Worker> {
        &self.worker
    }

    pub(crate) fn cx(&self) -> Option<&RequestCx> {
        self.run.as_ref().map(Run::cx)
    }

    fn finish(&mut self) {
        if self.status == 0 || !self.is_complete {
            self.note_break();
        }
        self.worker.tally.end(self.bytes_in, self.bytes_out);
        let is_asked =
            self.worker.access.is_some() || self.run.as_ref().is_some_and(Run::has_finish);
        // Nobody who wants to know: the clock is not read.
        let duration = if is_asked { self.started.elapsed() } else { Duration::ZERO };
        if catch_unwind(AssertUnwindSafe(|| self.tell_plugins(duration))).is_err() {
            let detail = "a panic while plugins were told the end";
            self.denial.get_or_insert(Denial::new(Reason::Panicked, detail));
        }
        self.write_access(duration);
        self.write_event();
    }

    /// The exchange did not come to its end: it was cancelled, or a plugin panicked.
    fn note_break(&mut self) {
        let is_panicking = std::thread::panicking();
        if is_panicking {
            self.status = Reason::Panicked.status();
        }
        if self.denial.is_none() || is_panicking {
            let (reason, detail) = if is_panicking {
                (Reason::Panicked, "a panic while the request was served")
            } else {
                let cause = self.cause.as_ref().and_then(|cause| cause.get());
                let gone =
                    (Reason::ClientGone, "the exchange ended before the answer was complete");
                cause.unwrap_or(gone)
            };
            self.denial = Some(Denial::new(reason, detail));
        }
        if self.status == 0 {
            self.status = self.denial.as_ref().map_or(499, Denial::status);
        }
    }

    fn tell_plugins(&mut self, duration: Duration) {
        let Some(run) = self.run.as_mut().filter(|run| run.has_finish()) else { return };
        let outcome = Outcome {
            status: self.status,
            denial: self.denial.as_ref(),
            was_forwarded: self.was_forwarded,
            upstream_status: run.cx().upstream.status,
            upstream_node: run.cx().upstream.address,
            duration,
            upstream_duration: run.cx().upstream.response_time,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
        };
        let (bytes_in, bytes_out) = (self.bytes_in, self.bytes_out);
        // A refusal is an answer like any other; what broke off on its way here is not complete.
        let is_complete = self.is_complete && !(self.was_forwarded && self.denial.is_some());
        run.cx_mut().over = Some(Over { bytes_in, bytes_out, is_complete });
        run.cx_mut().status = Some(self.status);
        run.finish(&outcome);
    }

    fn write_access(&self, duration: Duration) {
        let Some(access) = &self.worker.access else { return };
        let cx = self.cx();
        let fields = self.fields();
        let matched = cx.and_then(RequestCx::matched);
        let method = cx.map(|cx| cx.canonical().method()).or(self.raw.method.as_ref());
        let version = cx.map(|cx| cx.version).or(self.raw.version);
        let tls = self.peer.tls.as_ref();
        let consumer = cx.and_then(RequestCx::identity).map(bartizan_chain::Identity::display);
        let line = AccessLine {
            time: self.received,
            id: self.id,
            client: Some(cx.map_or(self.peer.address.ip().to_canonical(), RequestCx::client)),
            method: method.map_or(b"", |m| m.as_str().as_bytes()),
            host: cx.map_or(b"", |cx| cx.canonical().host().as_bytes()),
            path: cx.map_or(&self.raw.target, |cx| cx.canonical().path().as_bytes()),
            http: version.map_or("", |v| v.name().strip_prefix("HTTP/").unwrap_or_default()),
            status: self.status,
            reason: self.denial.as_ref().map(|denial| denial.reason),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            total: duration,
            upstream_time: cx.and_then(|cx| cx.upstream.response_time),
            route: matched.map(|m| &*m.route.id),
            service: matched.and_then(|m| m.route.service_id.as_deref()),
            consumer: consumer.as_deref(),
            upstream: cx.and_then(|cx| cx.upstream.address),
            tls: tls.map(|tls| tls.version.strip_prefix("TLSv").unwrap_or(tls.version)),
            sni: tls.and_then(|tls| tls.sni.as_deref()),
            user_agent: fields.get("user-agent"),
        };
        access.borrow_mut().write(&line);
    }

    fn write_event(&mut self) {
        let shared = &self.worker.shared;
        let Some(denial) = self.denial.take() else { return };
        shared.metrics.denied(denial.reason);
        if let Some(limit) = limit_named_in(&denial.detail) {
            shared.metrics.limit_hit(limit);
        }
        if denial.reason == Reason::Panicked {
            shared.metrics.panics.inc();
        }
        let mut event = Event::of(&denial, self.id, shared.node.clock.now());
        event.status = Some(self.status);
        event.peer = Some(self.peer.address);
        event.listener = Some(Arc::from(self.peer.local.to_string()));
        event.sni = self.peer.tls.as_ref().and_then(|tls| tls.sni.clone());
        event.client = Some(self.peer.address.ip().to_canonical());
        event.method = self.raw.method.as_ref().map(|m| m.as_str().into());
        let mut target = self.raw.target.to_vec();
        if let Some(cx) = self.cx() {
            describe(&mut event, cx);
            target = cx.canonical().path_and_query().as_bytes().to_vec();
        }
        let named = self
            .fields()
            .iter()
            .filter_map(|field| Some((std::str::from_utf8(field.name).ok()?, field.value)));
        event.describe(&shared.redactor.load(), &target, named);
        match self.slot.take() {
            Some(slot) => shared.audit.record_reserved(slot, event),
            None => shared.audit.record(event),
        }
    }
}

fn describe(event: &mut Event, cx: &RequestCx) {
    event.client = Some(cx.client());
    event.method = Some(cx.canonical().method().as_str().into());
    event.host = Some(cx.canonical().host().into());
    event.upstream = cx.upstream.address;
    if let Some(matched) = cx.matched() {
        event.route = Some(matched.route.id.clone());
        event.route_name.clone_from(&matched.route.name);
        event.service.clone_from(&matched.route.service_id);
    }
    if let Some(identity) = cx.identity() {
        event.caller = Some(Caller {
            consumer: identity.consumer().map(|consumer| Arc::from(consumer.username())),
            credential: identity.credential().map(Arc::from),
            subject: identity.subject().map(Arc::from),
            plugin: Some(identity.method()),
        });
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.worker.busy.set(self.worker.busy.get().saturating_sub(1));
        // A plugin that panics while it is told the end must not take the worker down.
        if catch_unwind(AssertUnwindSafe(|| self.finish())).is_err() {
            self.worker.shared.metrics.panics.inc();
        }
        if self.worker.busy.get() == 0 {
            self.worker.tally.flush(&self.worker.shared.metrics);
        }
    }
}
