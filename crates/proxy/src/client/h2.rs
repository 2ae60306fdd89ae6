//! HTTP/2 from clients: hyper speaks the protocol, the request takes the same way as over HTTP/1.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bartizan_audit::{Event, EventKind};
use bartizan_core::{Denial, Reason};
use bartizan_wire::{
    BodyLength, ConnectionUse, Fields, HeadRefusal, MeterLimits, MeteredIo, OutgoingResponse,
    Version, request_from_h2, response_to_h2,
};
use bytes::Bytes;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use http::{Method, Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::h2_answer::{AnswerStream, Download, StreamBody};
use crate::contain::contain;
use crate::decide::{Answer, AnswerBody, Connection, decide};
use crate::exchange::Downstream;
use crate::piece::{Piece, Scratch};
use crate::record::Record;
use crate::timer::Timer;
use crate::worker::Worker;

/// Window of one stream; a connection's is `limits.h2_window`.
const STREAM_WINDOW_MAX: u32 = 65_536;
/// Time for a connection that is told to go to end its streams.
const GOAWAY_TIME: std::time::Duration = std::time::Duration::from_secs(5);

/// Streams run on the worker's own event loop.
#[derive(Clone)]
struct OnThisWorker;

impl<F: Future + 'static> Executor<F> for OnThisWorker {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// What the streams of a connection share.
struct Streams {
    connection: Rc<Connection>,
    worker: Rc<Worker>,
    open: Cell<usize>,
    served: Cell<u32>,
    /// Told when the connection has served as many requests as it may.
    is_full: Notify,
    /// When a stream was last opened or ended.
    changed: Cell<Instant>,
    /// When each stream that waits for the client last moved.
    moved: RefCell<HashMap<u32, Instant, RandomState>>,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<T>(io: T, connection: Rc<Connection>, worker: Rc<Worker>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let limits = worker.shared.node.limits.clone();
    let metered = MeteredIo::new(io, MeterLimits::from(&limits));
    let watch = metered.watch();
    let streams = Rc::new(Streams {
        connection,
        worker,
        open: Cell::new(0),
        served: Cell::new(0),
        is_full: Notify::new(),
        changed: Cell::new(Instant::now()),
        moved: RefCell::default(),
    });
    let service = {
        let streams = streams.clone();
        service_fn(move |request| Stream::serve(streams.clone(), request))
    };
    let window = u32::try_from(limits.h2_window.0).unwrap_or(u32::MAX);
    let header_list = u32::try_from(limits.h2_header_list.0).unwrap_or(u32::MAX);
    let serving = http2::Builder::new(OnThisWorker)
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams)
        .max_header_list_size(header_list)
        .initial_stream_window_size(window.min(STREAM_WINDOW_MAX))
        .initial_connection_window_size(window)
        .max_send_buf_size(STREAM_WINDOW_MAX as usize)
        .serve_connection(TokioIo::new(metered), service);
    let ended = streams.watch(pin!(serving)).await;
    let cause = match (watch.flood(), ended) {
        (Some(flood), _) => {
            streams.worker.shared.metrics.limit_hit(flood.limit());
            Some((Reason::FrameFlood, flood.to_string()))
        }
        (None, Err(error)) if is_protocol_error(&error) => {
            Some((Reason::ProtocolError, error.to_string()))
        }
        (None, _) => None,
    };
    if let Some((reason, detail)) = cause {
        streams.tell(reason, detail);
    }
}

/// True where the peer broke the protocol, rather than went away.
fn is_protocol_error(error: &hyper::Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if error.is::<std::io::Error>() {
            return false;
        }
        cause = error.source();
    }
    !error.is_canceled() && !error.is_closed()
}

impl Streams {
    /// Drives a connection; tells it to go when it has been idle too long, has served enough, or
    /// the node shuts down, and ends it when one of its streams waits too long for the client.
    async fn watch<C>(&self, mut serving: Pin<&mut C>) -> Result<(), hyper::Error>
    where
        C: Future<Output = Result<(), hyper::Error>> + Goaway,
    {
        let limits = &self.worker.shared.node.limits;
        let mut draining = self.worker.shared.draining.clone();
        let mut leave_by = None;
        loop {
            // A stream may open and stand still while this sleeps: it looks at least this often.
            let soon = Instant::now() + limits.idle.0;
            let due = leave_by.unwrap_or_else(|| self.due().min(soon));
            tokio::select! {
                ended = serving.as_mut() => return ended,
                () = tokio::time::sleep_until(due) => {
                    let now = Instant::now();
                    if leave_by.is_some_and(|by| now >= by) || self.has_stuck_stream(now) {
                        return Ok(());
                    }
                    if leave_by.is_none() && self.open.get() == 0 && now >= self.due() {
                        let is_new = self.served.get() == 0;
                        let limit = if is_new { "first_byte" } else { "idle" };
                        self.worker.shared.metrics.limit_hit(limit);
                        serving.as_mut().goaway();
                        leave_by = Some(now + GOAWAY_TIME);
                    }
                }
                () = self.is_full.notified(), if leave_by.is_none() => {
                    serving.as_mut().goaway();
                    leave_by = Some(Instant::now() + limits.drain.0);
                }
                _ = draining.changed(), if leave_by.is_none() => {
                    serving.as_mut().goaway();
                    leave_by = Some(Instant::now() + limits.drain.0);
                }
            }
        }
    }

    /// When to look again.
    fn due(&self) -> Instant {
        let limits = &self.worker.shared.node.limits;
        if self.open.get() == 0 {
            let is_new = self.served.get() == 0;
            let wait = if is_new { limits.first_byte.0 } else { limits.idle.0 };
            return self.changed.get() + wait;
        }
        let oldest = self.moved.borrow().values().min().copied();
        oldest.map_or_else(Instant::now, |moved| moved.max(self.changed.get())) + limits.idle.0
    }

    /// True if a stream has waited too long for a client that takes or sends nothing. One stream
    /// cannot be ended from here: a client that starves one loses the connection.
    fn has_stuck_stream(&self, now: Instant) -> bool {
        let idle = self.worker.shared.node.limits.idle.0;
        let is_stuck = self.moved.borrow().values().any(|moved| now >= *moved + idle);
        if is_stuck {
            self.worker.shared.metrics.limit_hit("idle");
        }
        is_stuck
    }

    fn tell(&self, reason: Reason, detail: String) {
        let shared = &self.worker.shared;
        shared.metrics.denied(reason);
        let mut event = Event::new(EventKind::Connection, shared.node.clock.now());
        let peer = &self.connection.peer;
        event.reason = Some(reason);
        event.detail = Some(detail.into());
        event.peer = Some(peer.address);
        event.client = Some(peer.address.ip().to_canonical());
        event.sni = peer.tls.as_ref().and_then(|tls| tls.sni.clone());
        shared.audit.record(event);
    }
}

/// A connection that can be told to take no more streams.
trait Goaway {
    fn goaway(self: Pin<&mut Self>);
}

impl<I, S> Goaway for http2::Connection<I, S, OnThisWorker>
where
    S: hyper::service::HttpService<Incoming>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S::ResBody: Body + 'static,
    <S::ResBody as Body>::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    OnThisWorker: hyper::rt::bounds::Http2ServerConnExec<S::Future, S::ResBody>,
{
    fn goaway(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Counts a stream while it is open.
pub(super) struct Stream {
    streams: Rc<Streams>,
    number: u32,
}

impl Stream {
    /// From here on the stream waits for the client, unless it says otherwise.
    pub(super) fn waits_for_client(&self) {
        self.streams.moved.borrow_mut().insert(self.number, Instant::now());
    }

    /// From here on the stream waits for an upstream, whose own clock runs.
    pub(super) fn waits_for_upstream(&self) {
        self.streams.moved.borrow_mut().remove(&self.number);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.streams.moved.borrow_mut().remove(&self.number);
        self.streams.open.set(self.streams.open.get().saturating_sub(1));
        self.streams.changed.set(Instant::now());
    }
}

impl Stream {
    async fn serve(
        streams: Rc<Streams>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerStream>, Infallible> {
        streams.open.set(streams.open.get() + 1);
        let number = streams.served.get().saturating_add(1);
        streams.served.set(number);
        streams.changed.set(Instant::now());
        if number >= streams.worker.shared.node.limits.requests_per_connection {
            streams.is_full.notify_one();
        }
        let stream = Self { streams, number };
        let answer = match contain(pin!(stream.exchange(request))).await {
            Ok(answer) => answer,
            Err(_) => sorry(),
        };
        stream.waits_for_client();
        Ok(answer.map(|body| AnswerStream { body, stream }))
    }

    async fn exchange(&self, request: Request<Incoming>) -> Response<StreamBody> {
        let streams = &self.streams;
        let worker = &streams.worker;
        let mut record = Record::new(worker, &streams.connection.peer);
        let mut timer = Timer::new(record.started() + worker.shared.node.limits.request_time.0);
        let (parts, incoming) = request.into_parts();
        let exact = incoming.size_hint().exact();
        let method = parts.method.clone();
        let head = match request_from_h2(&parts, exact, &worker.shared.head_limits) {
            Ok(head) => head,
            Err(refusal) => return refuse(&refusal, record, worker),
        };
        let mut upload = Upload { incoming, is_done: head.body == BodyLength::None, total: 0 };
        let answer =
            decide(&streams.connection, Box::new(head), &mut upload, &mut record, &mut timer).await;
        record.bytes_in = upload.total;
        respond(answer, &method, upload, record, timer)
    }
}

fn sorry() -> Response<StreamBody> {
    let mut answer = Response::new(StreamBody::Local { bytes: Bytes::new(), record: None });
    *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    answer
}

/// Answers a head that could not be accepted.
fn refuse(refusal: &HeadRefusal, mut record: Record, worker: &Worker) -> Response<StreamBody> {
    record.note_refused(&refusal.line, Version::Http2);
    let denial = Denial::new(refusal.reason, refusal.detail);
    let (head, body) = crate::answer::refuse(&denial, record.id, worker.shared.node.compatibility);
    record.status = head.status.as_u16();
    record.denial = Some(denial);
    let answer = Answer { head, body: AnswerBody::Local(body), must_close: false };
    local(&answer.head, &Method::GET, answer.body, record)
}

fn local(
    head: &bartizan_chain::AnswerHead,
    method: &Method,
    body: AnswerBody,
    mut record: Record,
) -> Response<StreamBody> {
    let AnswerBody::Local(bytes) = body else { return sorry() };
    let is_bodiless = matches!(head.status.as_u16(), 204 | 304);
    let length = bytes.len() as u64;
    let (body, declared) = match (is_bodiless, *method == Method::HEAD) {
        (true, _) => (BodyLength::None, None),
        (false, true) => (BodyLength::None, Some(length)),
        (false, false) => (BodyLength::Fixed(length), None),
    };
    let bytes = if matches!(body, BodyLength::Fixed(_)) { bytes } else { Bytes::new() };
    record.bytes_out = bytes.len() as u64;
    encode(head, method, body, declared, record, |record| StreamBody::Local {
        bytes,
        record: Some(Box::new(record)),
    })
}

fn respond(
    answer: Answer,
    method: &Method,
    upload: Upload,
    record: Record,
    timer: Timer,
) -> Response<StreamBody> {
    let Answer { head, body, .. } = answer;
    match body {
        AnswerBody::Local(_) => local(&head, method, body, record),
        AnswerBody::Upstream(from) => {
            let (length, declared) = (from.length, from.declared);
            encode(&head, method, length, declared, record, |record| {
                StreamBody::Upstream(Box::new(Download::new(from, upload, record, timer)))
            })
        }
    }
}

fn encode(
    head: &bartizan_chain::AnswerHead,
    method: &Method,
    body: BodyLength,
    declared_length: Option<u64>,
    mut record: Record,
    stream: impl FnOnce(Record) -> StreamBody,
) -> Response<StreamBody> {
    let outgoing = OutgoingResponse {
        status: head.status,
        version: Version::Http2,
        method,
        fields: &head.fields,
        body,
        declared_length,
        connection: ConnectionUse::KeepAlive,
    };
    match response_to_h2(&outgoing) {
        Ok(response) => response.map(|()| stream(record)),
        Err(fault) => {
            record.denial = Some(Denial::new(Reason::Internal, fault.detail));
            record.status = 500;
            record.is_complete = true;
            sorry()
        }
    }
}

/// The body of a request.
pub(super) struct Upload {
    incoming: Incoming,
    is_done: bool,
    pub(super) total: u64,
}

impl Downstream for Upload {
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        _scratch: &Scratch,
    ) -> Poll<Result<Piece, Denial>> {
        loop {
            if self.is_done {
                return Poll::Ready(Ok(Piece::End(Fields::new())));
            }
            match ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                None if self.incoming.is_end_stream() => self.is_done = true,
                None => {
                    // A reset without an error code looks like an end, and is none.
                    let detail = "the stream was reset inside its body";
                    return Poll::Ready(Err(Denial::new(Reason::ClientGone, detail)));
                }
                Some(Err(error)) => {
                    let detail = format!("the stream ended: {error}");
                    return Poll::Ready(Err(Denial::new(Reason::ClientGone, detail)));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.total = self.total.saturating_add(data.len() as u64);
                        if !data.is_empty() {
                            return Poll::Ready(Ok(Piece::Bytes(data)));
                        }
                    }
                    // Trailers of a request carry nothing that a decision was made on: they are
                    // not passed on.
                }
            }
        }
    }

    fn poll_gone(&mut self, _cx: &mut Context<'_>, _scratch: &Scratch) -> Poll<()> {
        // A reset drops the whole exchange.
        Poll::Pending
    }

    fn is_body_done(&self) -> bool {
        self.is_done || self.incoming.is_end_stream()
    }
}
