//! From a head to an answer: the life of a request, the same for HTTP/1 and HTTP/2.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bartizan_chain::{
    AnswerHead, Arrival, BodyChanges, BodySource, Matched, Peer, RequestCx, Run, Screening,
};
use bartizan_core::{Denial, Reason};
use bartizan_tls::{SessionFacts, check_host, has_certificate_for};
use bartizan_wire::{BodyLength, Canonical, Fields, RequestHead, ResponseHead};
use bytes::{Bytes, BytesMut};
use http::Method;
use tokio::time::Instant;

use crate::answer;
use crate::exchange::forward::forward;
use crate::exchange::{Downstream, Exchange, RATE_WINDOW};
use crate::forwarded::client_address;
use crate::grpc;
use crate::piece::Piece;
use crate::record::Record;
use crate::shape::shape;
use crate::snapshot::{Route, Snapshot};
use crate::timer::Timer;
use crate::worker::Worker;

/// What is known of a connection beyond what plugins see.
pub(crate) struct Connection {
    pub(crate) peer: Arc<Peer>,
    /// What the handshake settled; `None` for plaintext.
    pub(crate) session: Option<SessionFacts>,
    /// Which listener it came on.
    pub(crate) listener: usize,
    /// A plaintext listener beyond loopback only redirects.
    pub(crate) only_redirects: bool,
}

/// The body of an answer.
pub(crate) enum AnswerBody {
    /// Made here.
    Local(Bytes),
    /// From the upstream, as it comes.
    Upstream(FromUpstream),
}

/// The body of an upstream's answer.
pub(crate) struct FromUpstream {
    pub(crate) exchange: Box<Exchange>,
    /// How the client will know where it ends.
    pub(crate) length: BodyLength,
    /// The length that is said and not sent, for HEAD and 304.
    pub(crate) declared: Option<u64>,
    /// What is done to it on its way.
    pub(crate) changes: Option<BodyChanges>,
}

/// An answer, ready to be written.
pub(crate) struct Answer {
    /// Boxed: it is large, and goes through several hands.
    pub(crate) head: Box<AnswerHead>,
    pub(crate) body: AnswerBody,
    /// What stands behind a body that was held here; where it passes, it brings its own.
    pub(crate) trailers: Fields,
    /// Whether the connection must not be used again.
    pub(crate) must_close: bool,
}

impl Answer {
    /// One that is made here.
    pub(crate) fn local(head: Box<AnswerHead>, body: Bytes, must_close: bool) -> Self {
        Self { head, body: AnswerBody::Local(body), trailers: Fields::new(), must_close }
    }
}

/// Serves one request up to the head of its answer.
pub(crate) async fn decide<D: Downstream>(
    connection: &Connection,
    head: Box<RequestHead>,
    downstream: &mut D,
    record: &mut Record,
    timer: &mut Timer,
) -> Answer {
    let worker = record.worker().clone();
    let is_head = head.method == Method::HEAD;
    let end = record.started() + worker.shared.node.limits.request_time.0;
    let outcome = serve(connection, head, downstream, record, timer, &worker, end).await;
    let answer = match outcome {
        Ok(answer) => answer,
        Err(denial) => refusal(record, denial, &worker),
    };
    let mut answer = shape(answer, is_head, downstream, record, timer, end).await;
    if !answer.head.fields.contains("date") {
        answer.head.fields.append(Bytes::from_static(b"date"), worker.date());
    }
    record.status = answer.head.status.as_u16();
    grpc::dress(&mut answer, record);
    answer
}

pub(crate) fn refusal(record: &mut Record, denial: Denial, worker: &Worker) -> Answer {
    let (head, body) = answer::refuse(&denial, record.id, worker.shared.node.compatibility);
    let must_close = matches!(denial.reason, Reason::ClientTimeout | Reason::BadBody);
    record.denial = Some(denial);
    Answer::local(head, body, must_close)
}

async fn serve<D: Downstream>(
    connection: &Connection,
    head: Box<RequestHead>,
    downstream: &mut D,
    record: &mut Record,
    timer: &mut Timer,
    worker: &Worker,
    end: Instant,
) -> Result<Answer, Denial> {
    let shared = &worker.shared;
    let snapshot = shared.snapshot.load_full();
    let length = head.body;
    let (cx, route) = match arrive(connection, *head, record, worker, snapshot.as_deref()) {
        Ok(arrived) => arrived,
        Err(denial) => return Err(denial),
    };
    let Some(snapshot) = snapshot else {
        record.note_unserved(*cx);
        return Err(Denial::new(Reason::NotConfigured, "no valid configuration yet"));
    };
    let limits = &shared.node.limits;
    // Of a route in quarantine nothing is known but where it would be served.
    let is_blocked = route.as_ref().is_some_and(|route| route.is_blocked);
    let chain = route.as_ref().filter(|_| !is_blocked).map(|route| &route.chain);
    let run = record.run.insert(Run::new(cx, &snapshot.global, chain, limits));
    if worker.tally.is_measured() {
        run.measure(&shared.metrics);
    }
    let mut source = Collector { downstream, timer, worker, end };
    let Some(route) = route else {
        run.screen_miss(&mut source).await?;
        return Err(Denial::new(Reason::NoRoute, "no route matches"));
    };
    if is_blocked {
        run.screen_miss(&mut source).await?;
        return Err(Denial::new(Reason::Quarantined, "the configuration of the route is at fault"));
    }
    let screening = run.screen(&mut source, &snapshot.profiles).await?;
    let Collector { downstream, timer, .. } = source;
    // From here on the request holds its route, not the whole configuration.
    drop(snapshot);
    let mut screened = match screening {
        Screening::Proceed(screened) => screened,
        Screening::Answer(local) => {
            let (head, body) = answer::local(*local);
            return Ok(Answer::local(head, body, false));
        }
    };
    // What cannot be recorded must not happen.
    let Some(slot) = shared.audit.reserve() else {
        return Err(Denial::new(Reason::AuditFull, "over `limits.audit_queue`"));
    };
    record.slot = Some(slot);
    record.was_forwarded = true;
    let mut exchange =
        forward(worker, &mut screened, &route, downstream, length, timer, end).await?;
    let head = exchange.head.take();
    let head = head.ok_or_else(|| Denial::new(Reason::Internal, "an answer without a head"))?;
    let ResponseHead { status, fields, body: length, declared_length: declared, .. } = head;
    let from = FromUpstream { exchange, length, declared, changes: None };
    Ok(Answer {
        head: Box::new(AnswerHead::new(status, fields, false)),
        body: AnswerBody::Upstream(from),
        trailers: Fields::new(),
        must_close: false,
    })
}

/// From a head to a canonical request and its route.
fn arrive(
    connection: &Connection,
    head: RequestHead,
    record: &mut Record,
    worker: &Worker,
    snapshot: Option<&Snapshot>,
) -> Result<(Box<RequestCx>, Option<Arc<Route>>), Denial> {
    let shared = &worker.shared;
    let peer = &connection.peer;
    let canonical = Canonical::from_request(&head, peer.tls.is_some(), shared.path_policy);
    let canonical = match canonical {
        Ok(canonical) => canonical,
        Err(refusal) => {
            record.note_raw(Some(head.method), head.target, head.fields, head.version);
            return Err(Denial::new(refusal.reason, refusal.detail));
        }
    };
    if let Err(denial) =
        admit_host(connection, &canonical, snapshot, shared.https_port.get().copied())
    {
        record.note_raw(Some(head.method), head.target, head.fields, head.version);
        return Err(denial);
    }
    let client = client_address(peer.address.ip(), &shared.trusted_proxies, &head.fields);
    let trusts_forwarded = !shared.trusted_proxies.is_empty()
        && shared.trusted_proxies.iter().any(|net| net.contains(&peer.address.ip().to_canonical()));
    let declared_length = match head.body {
        BodyLength::Fixed(length) => Some(length),
        _ => None,
    };
    let arrival = Arrival {
        id: record.id,
        received: record.received(),
        clock: shared.node.clock.clone(),
        version: head.version,
        peer: peer.clone(),
        client,
        canonical,
        fields: head.fields,
        consumers: snapshot.map(|s| s.consumers.clone()).unwrap_or_default(),
        declared_length,
        body_max: shared.node.limits.body.0,
        https_port: shared.https_port.get().copied(),
        trusts_forwarded,
    };
    // Boxed: it is large, and goes through several hands.
    let mut cx = Box::new(RequestCx::new(arrival, None));
    cx.lend_http(&worker.http);
    if has_certificate(connection, snapshot, cx.canonical().host()) {
        cx.admit_certificate();
    }
    let route = match snapshot {
        Some(snapshot) => match route(snapshot, &mut cx) {
            Ok(route) => route,
            Err(denial) => {
                let target = Bytes::copy_from_slice(cx.canonical().raw_target());
                let method = cx.canonical().method().clone();
                record.note_raw(Some(method), target, std::mem::take(&mut cx.fields), cx.version);
                return Err(denial);
            }
        },
        None => None,
    };
    if let Some(route) = &route {
        cx.body_max = route.body_max;
    }
    Ok((cx, route))
}

/// Whether the host may be served on this connection.
fn admit_host(
    connection: &Connection,
    canonical: &Canonical,
    snapshot: Option<&Snapshot>,
    https_port: Option<u16>,
) -> Result<(), Denial> {
    if connection.only_redirects {
        let port = match https_port {
            Some(443) | None => String::new(),
            Some(port) => format!(":{port}"),
        };
        let target = format!("https://{}{port}{}", canonical.host(), canonical.path_and_query());
        let denial = Denial::new(Reason::PlaintextRefused, "plaintext beyond loopback")
            .with_status(308)
            .with_field("location", target);
        return Err(denial);
    }
    let store = snapshot.and_then(|s| s.tls.get(connection.listener)).and_then(Option::as_ref);
    let Some(store) = store else { return Ok(()) };
    check_host(store, connection.session.as_ref(), canonical.host(), canonical.path())
        .map_err(|reason| Denial::new(reason, "the connection was made for another host"))
}

/// Whether the certificate that the client showed, if it did, is one that the host asks for.
fn has_certificate(connection: &Connection, snapshot: Option<&Snapshot>, host: &str) -> bool {
    let Some(session) = &connection.session else {
        // In process, whoever made the connection says what was verified.
        return connection.peer.tls.is_some();
    };
    let store = snapshot.and_then(|s| s.tls.get(connection.listener)).and_then(Option::as_ref);
    store.is_some_and(|store| has_certificate_for(store, session, host))
}

fn route(snapshot: &Snapshot, cx: &mut RequestCx) -> Result<Option<Arc<Route>>, Denial> {
    let canonical = cx.canonical();
    let found = snapshot
        .router
        .find(canonical.host(), canonical.authority(), canonical.path(), |route| route.fits(cx))
        .map_err(|fault| Denial::new(Reason::AmbiguousParameter, format!("route vars: {fault}")))?;
    let Some(leaf) = found else { return Ok(None) };
    let matched =
        Matched { route: leaf.route.facts.clone(), uri: leaf.uri.clone(), host: leaf.host.clone() };
    let route = leaf.route.clone();
    cx.set_matched(matched);
    Ok(Some(route))
}

/// Reads a body for the plugins that need it.
struct Collector<'a, D> {
    downstream: &'a mut D,
    timer: &'a mut Timer,
    worker: &'a Worker,
    end: Instant,
}

impl<D: Downstream> BodySource for Collector<'_, D> {
    fn collect<'a>(
        &'a mut self,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        Box::pin(self.read(max))
    }
}

impl<D: Downstream> Collector<'_, D> {
    async fn read(&mut self, max: usize) -> Result<Bytes, Denial> {
        let limits = &self.worker.shared.node.limits;
        let least = limits.body_rate.0.saturating_mul(RATE_WINDOW.as_secs());
        let mut body = Collected::default();
        // A body that is here already costs no look at the clock.
        let mut due = None;
        let mut seen = 0;
        std::future::poll_fn(|cx| {
            loop {
                match self.downstream.poll_body(cx, &self.worker.scratch) {
                    Poll::Ready(Ok(Piece::End(_))) => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(piece)) => {
                        body.append(piece, self.worker);
                        if body.len() > max {
                            let detail = format!(
                                "the body grew beyond {max} bytes, more than a plugin reads"
                            );
                            return Poll::Ready(Err(Denial::new(Reason::BodyTooLarge, detail)));
                        }
                    }
                    Poll::Ready(Err(denial)) => return Poll::Ready(Err(denial)),
                    Poll::Pending => {
                        let wait = limits.body_grace.0 + RATE_WINDOW;
                        let at = *due.get_or_insert_with(|| Instant::now() + wait);
                        if self.timer.poll(cx, at.min(self.end)).is_pending() {
                            return Poll::Pending;
                        }
                        let total = body.len() as u64;
                        if Instant::now() >= self.end || total.saturating_sub(seen) < least {
                            let detail = "the body came more slowly than `limits.body_rate`";
                            let denial = Denial::new(Reason::ClientTimeout, detail);
                            return Poll::Ready(Err(denial));
                        }
                        seen = total;
                        due = Some(Instant::now() + RATE_WINDOW);
                    }
                }
            }
        })
        .await?;
        Ok(body.whole())
    }
}

/// A body as far as it was read.
#[derive(Default)]
struct Collected {
    /// PERF: `cargo xtask bench`, schema: a short body comes in one piece behind its head, and is
    /// not copied.
    first: Bytes,
    /// All of it, once there was another piece.
    all: BytesMut,
}

impl Collected {
    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn append(&mut self, piece: Piece, worker: &Worker) {
        match piece {
            Piece::Bytes(bytes) if self.len() == 0 => self.first = bytes,
            Piece::Bytes(bytes) => self.extend(&bytes),
            Piece::Scratch(range) => {
                self.extend(worker.scratch.0.borrow().get(range).unwrap_or_default());
            }
            Piece::End(_) => {}
        }
    }

    fn extend(&mut self, data: &[u8]) {
        let first = std::mem::take(&mut self.first);
        self.all.extend_from_slice(&first);
        self.all.extend_from_slice(data);
    }

    fn whole(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}
