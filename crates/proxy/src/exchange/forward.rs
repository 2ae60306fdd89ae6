//! Sending a screened request to a node of its upstream.
//!
//! [`forward`] is the only way out of the gateway, and it asks for the proof that screening
//! happened.

use std::task::Poll;
use std::time::Duration;

use bartizan_chain::{Identity, RequestCx, Screened};
use bartizan_config::PassHost;
use bartizan_core::{Denial, Reason, Timestamp};
use bartizan_net::UpstreamIo;
use bartizan_plugins::AnyPlugin;
use bartizan_wire::{BodyLength, ConnectionUse, Opening, OutgoingRequest, Version, encode_request};
use http::Method;
use tokio::time::Instant;

use super::bounds::Bounds;
use super::streams::Again;
use super::watch::Watch;
use super::{Downstream, Exchange, Over, Upload, UploadSource};
use crate::forwarded::{self, Announced};
use crate::grpc;
use crate::health::Voice;
use crate::snapshot::{Came, Route, Upstream};
use crate::timer::Timer;
use crate::upstream::{Node, UpstreamConnection};
use crate::worker::{Shared, Worker};

/// The waits of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub(crate) connect: Duration,
    pub(crate) send: Duration,
    pub(crate) read: Duration,
    /// When the whole exchange must be over.
    pub(crate) end: Instant,
}

/// What is sent, besides what was screened.
pub(crate) struct Errand<'a> {
    /// How long the body is, where it was not read.
    pub(crate) length: BodyLength,
    /// When the head of the answer must be there.
    pub(crate) end: Instant,
    /// The WebSocket handshake that the request is, where it is one.
    pub(crate) opening: Option<&'a Opening>,
}

/// Sends a request and waits for the head of its answer, on the nodes that its upstream offers.
pub(crate) async fn forward<D: Downstream>(
    worker: &Worker,
    screened: &mut Screened<'_, AnyPlugin>,
    route: &Route,
    downstream: &mut D,
    errand: &Errand<'_>,
    timer: &mut Timer,
) -> Result<Box<Exchange>, Denial> {
    let Some(upstream) = &route.upstream else {
        return Err(Denial::new(Reason::NoUpstream, "the route has no upstream"));
    };
    let now;
    let upstream = match &upstream.discovered {
        None => upstream,
        Some(discovered) => {
            let unknown = || Denial::new(Reason::UpstreamUndiscovered, discovered.unknown());
            now = discovered.now().ok_or_else(unknown)?;
            &now
        }
    };
    let announced = forwarded::announce(screened.cx_mut());
    let outgoing = Outgoing::of(screened, errand, announced);
    let mut waits = route.waits(&worker.shared.node.limits, errand.end);
    let grpc_time = worker.shared.node.limits.grpc_time.0;
    let call = upstream.is_http2.then(|| Call::of(screened.cx(), grpc_time)).transpose()?.flatten();
    if let Some(call) = call {
        // Who did not ask for a stream waits no longer than for any other answer.
        let is_translated = screened.cx().translated().is_some();
        waits.end = if is_translated { waits.end.min(call.end) } else { call.end };
    }
    let started = Instant::now();
    let mut order = upstream.first(screened.cx(), started);
    let mut last = None;
    let mut again = Again::default();
    for attempt in 0..upstream.tries() {
        if attempt == 1 {
            // Only a request whose first node failed pays for the whole order.
            order = upstream.order_after(screened.cx(), &order);
        }
        let Some(&number) = order.get(attempt) else { break };
        let is_late = upstream.retry_timeout.is_some_and(|limit| started.elapsed() >= limit);
        if attempt > 0 && is_late {
            break;
        }
        let Some(node) = upstream.nodes.get(usize::from(number)) else { continue };
        // Reading the clock costs as much as a small plugin: once is enough where no time passes.
        let now = if attempt == 0 { started } else { Instant::now() };
        let outgoing = &outgoing;
        let mut trial = Trial { worker, upstream, node, number, outgoing, waits, call, timer, now };
        let outcome = if upstream.is_http2 {
            Box::pin(trial.run_http2(screened.cx_mut(), downstream, &mut again)).await
        } else {
            trial.run(screened.cx_mut(), downstream).await
        };
        learn(worker, upstream, (number, node), &outcome, &mut again.is_blamed);
        match outcome {
            Ok(answer) => return Ok(answer),
            Err(Failure { denial, may_retry: true, .. }) => last = Some(denial),
            Err(Failure { denial, .. }) => return Err(denial),
        }
    }
    Err(last.unwrap_or_else(|| upstream.nobody()))
}

/// Lets an upstream know what came of a try.
fn learn(
    worker: &Worker,
    upstream: &Upstream,
    (number, node): (u16, &Node),
    tried: &Result<Box<Exchange>, Failure>,
    is_blamed: &mut bool,
) {
    let came = match tried {
        Ok(exchange) => {
            let Some(head) = &exchange.head else { return };
            Came::Answer(head.status.as_u16(), exchange.took)
        }
        Err(Failure { denial, was_sent: true, .. }) => Came::Silence(denial.reason),
        Err(Failure { denial, .. }) => Came::Unreached(denial.reason),
    };
    let Shared { audit, node: facts, .. } = &*worker.shared;
    upstream.learn((number, node), came, is_blamed, Voice { audit, clock: &facts.clock });
}

/// A call of gRPC: until its end it may go on for as long as it moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) end: Instant,
    /// That is when its caller has said that it must be over, not `limits.grpc_time`.
    pub(super) is_timed: bool,
    /// When the credential ends that it was made with.
    until: Option<Timestamp>,
}

impl Call {
    fn of(cx: &RequestCx, most: Duration) -> Result<Option<Self>, Denial> {
        if !grpc::is_grpc(&cx.fields) {
            return Ok(None);
        }
        if cx.version == Version::Http10 && cx.translated().is_none() {
            let detail = "gRPC ends with trailers, which HTTP/1.0 does not have";
            return Err(Denial::new(Reason::VersionNotSupported, detail));
        }
        let timeout = grpc::timeout(&cx.fields);
        if timeout.is_none() && cx.translated().is_some() {
            return Ok(None);
        }
        let until = cx.identity().and_then(Identity::expires);
        let timeout = timeout.filter(|timeout| *timeout <= most);
        let end = Instant::now() + timeout.unwrap_or(most);
        Ok(Some(Self { end, is_timed: timeout.is_some(), until }))
    }
}

/// What is the same for every attempt.
pub(super) struct Outgoing {
    pub(super) length: BodyLength,
    body: Option<bytes::Bytes>,
    pub(super) is_idempotent: bool,
    /// The most bytes that the body may have, and what says so.
    pub(super) max: (u64, &'static str),
    announced: Announced,
    /// Asks for an upgrade to WebSocket.
    upgrades: bool,
}

impl Outgoing {
    fn of(screened: &Screened<'_, AnyPlugin>, errand: &Errand<'_>, announced: Announced) -> Self {
        let length = errand.length;
        let cx = screened.cx();
        let body = screened.body().cloned();
        let length = match &body {
            Some(bytes) if bytes.is_empty() => BodyLength::None,
            Some(bytes) => BodyLength::Fixed(bytes.len() as u64),
            None => length,
        };
        let method = cx.outgoing().method();
        let is_idempotent =
            [Method::GET, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE]
                .contains(method);
        let max = (cx.body_max, cx.body_bound());
        let upgrades = errand.opening.is_some();
        Self { length, body, is_idempotent, max, announced, upgrades }
    }

    pub(super) fn source(&self) -> UploadSource {
        match (&self.body, self.length) {
            (Some(bytes), BodyLength::Fixed(_)) => UploadSource::Held(bytes.clone()),
            (_, BodyLength::None) => UploadSource::Nothing,
            _ => UploadSource::Stream,
        }
    }

    /// True if the body can be sent a second time.
    pub(super) fn is_repeatable(&self) -> bool {
        !matches!(self.source(), UploadSource::Stream)
    }
}

pub(super) struct Failure {
    pub(super) denial: Denial,
    pub(super) may_retry: bool,
    /// The node may have seen something of the request.
    pub(super) was_sent: bool,
}

pub(super) struct Trial<'a> {
    pub(super) worker: &'a Worker,
    pub(super) upstream: &'a Upstream,
    pub(super) node: &'a std::sync::Arc<Node>,
    /// The node's place in its upstream.
    pub(super) number: u16,
    pub(super) outgoing: &'a Outgoing,
    pub(super) waits: Waits,
    pub(super) call: Option<Call>,
    pub(super) timer: &'a mut Timer,
    /// The time, as of the last wait.
    pub(super) now: Instant,
}

impl Trial<'_> {
    /// Tries one node: on a kept connection, and where that turns out dead on a new one.
    async fn run(
        &mut self,
        cx: &mut RequestCx,
        downstream: &mut impl Downstream,
    ) -> Result<Box<Exchange>, Failure> {
        let kept = std::future::poll_fn(|task| {
            Poll::Ready(self.worker.pool.take(self.node, self.now, task))
        })
        .await;
        if let Some(connection) = kept {
            self.worker.tally.reuse();
            cx.upstream.connect_time = Some(Duration::ZERO);
            match self.exchange(cx, downstream, connection).await {
                Err(Failure { may_retry: true, denial, .. })
                    if denial.reason == Reason::UpstreamClosed => {}
                other => return other,
            }
        }
        let began = Instant::now();
        let connection = self.connect().await?;
        self.now = Instant::now();
        cx.upstream.connect_time = Some(self.now - began);
        self.exchange(cx, downstream, connection).await
    }

    async fn connect(&mut self) -> Result<Box<UpstreamConnection>, Failure> {
        let io = self.dial(self.waits.connect).await?;
        Ok(UpstreamConnection::new(io, &self.worker.shared.metrics.upstream_connections))
    }

    /// What ends the exchange.
    pub(super) fn limit(&self) -> &'static str {
        match self.call {
            Some(call) if call.end > self.waits.end => "`limits.request_time`",
            Some(call) if call.is_timed => "`grpc-timeout`",
            Some(_) => "`limits.grpc_time`",
            None => "`limits.request_time`",
        }
    }

    pub(super) async fn dial(&mut self, limit: Duration) -> Result<UpstreamIo, Failure> {
        self.worker.shared.metrics.upstream_connects.inc();
        let dial = self.worker.dialer.dial(&self.node.target, limit);
        // A connector bounds itself; the end of the exchange bounds it too.
        let Some(dialled) = self.timer.bound(self.waits.end, dial).await else {
            let detail = format!("{} was over while connecting to the upstream", self.limit());
            let denial = Denial::new(Reason::RequestTimeout, detail);
            return Err(Failure { denial, may_retry: false, was_sent: false });
        };
        dialled.map_err(|error| {
            let detail = format!("{}: {error}", self.node.label);
            let denial = Denial::new(error.reason(), detail);
            Failure { denial, may_retry: true, was_sent: false }
        })
    }

    async fn exchange(
        &mut self,
        cx: &mut RequestCx,
        downstream: &mut impl Downstream,
        mut connection: Box<UpstreamConnection>,
    ) -> Result<Box<Exchange>, Failure> {
        let deny = |denial| Failure { denial, may_retry: false, was_sent: false };
        cx.upstream.address = connection.address;
        self.encode(cx, connection.out.bytes()).map_err(deny)?;
        let mut upload =
            Upload::new(self.outgoing.source(), self.outgoing.length, self.outgoing.max);
        if cx.drops_trailers() {
            upload.drop_trailers();
        }
        let mut exchange = Exchange::new(
            self.node.clone(),
            self.upstream.keep,
            self.waits.read,
            Over::Connection(connection),
            upload,
        );
        exchange.may_switch = self.outgoing.upgrades;
        match self.await_answer(&mut exchange, cx, downstream).await {
            Ok(()) => Ok(exchange),
            Err(denial) => {
                let is_transport =
                    matches!(denial.reason, Reason::UpstreamClosed | Reason::UpstreamTimeout);
                let may_retry = is_transport
                    && !exchange.has_answered
                    && self.outgoing.is_idempotent
                    && self.outgoing.is_repeatable();
                Err(Failure { denial, may_retry, was_sent: true })
            }
        }
    }

    /// Waits for the head of the answer, and notes what came.
    pub(super) async fn await_answer(
        &mut self,
        exchange: &mut Exchange,
        cx: &mut RequestCx,
        downstream: &mut impl Downstream,
    ) -> Result<(), Denial> {
        exchange.lease = self.upstream.balancer.lease(self.number);
        let clock = &self.worker.shared.node.clock;
        exchange.bounds = self.call.map(|call| Bounds::new(call.end, call.until, clock));
        let sent = self.now;
        let method = cx.outgoing().method().clone();
        self.answer(exchange, downstream, &method).await?;
        cx.upstream.status = exchange.head.as_ref().map(|head| head.status.as_u16());
        let answered = Instant::now();
        exchange.took = answered - sent;
        cx.upstream.response_time = Some(exchange.took);
        exchange.answered = Some(answered);
        Ok(())
    }

    fn encode(&self, cx: &RequestCx, out: &mut Vec<u8>) -> Result<(), Denial> {
        encode_request(out, &self.request(cx))
            .map_err(|fault| Denial::new(Reason::RewriteRefused, fault.detail))
    }

    /// What is sent.
    pub(super) fn request<'b>(&'b self, cx: &'b RequestCx) -> OutgoingRequest<'b> {
        let outgoing = cx.outgoing();
        let host = match &self.upstream.pass_host {
            PassHost::Pass => outgoing.authority(),
            PassHost::Node => &self.node.host,
            PassHost::Rewrite(host) => host,
        };
        let (lines, forwarded_host) = self.outgoing.announced.lines(cx);
        OutgoingRequest {
            method: outgoing.method(),
            target: outgoing.path_and_query(),
            host,
            fields: &cx.fields,
            lines,
            forwarded_host,
            body: self.outgoing.length,
            connection: ConnectionUse::KeepAlive,
            websocket: self.outgoing.upgrades,
            expect_continue: false,
        }
    }

    /// Sends the body while watching for the answer, the client and the clock.
    async fn answer(
        &mut self,
        exchange: &mut Exchange,
        downstream: &mut impl Downstream,
        method: &Method,
    ) -> Result<(), Denial> {
        let limits = self.worker.shared.response_limits;
        let scratch = &self.worker.scratch;
        let mut watch = Watch::new(self.waits, self.worker, self.now, self.call.is_some());
        std::future::poll_fn(|cx| {
            let mut fault = None;
            if !exchange.upload.is_done() {
                match exchange.poll_upload(cx, downstream, scratch) {
                    Poll::Ready(Ok(())) => watch.sent(exchange),
                    Poll::Ready(Err(denial)) if denial.reason == Reason::UpstreamClosed => {
                        fault = Some(denial);
                    }
                    Poll::Ready(Err(denial)) => return Poll::Ready(Err(denial)),
                    Poll::Pending => {}
                }
            }
            // An upstream may answer, and close, before it has read everything.
            if let Poll::Ready(outcome) = exchange.poll_head(cx, method, &limits, scratch) {
                return Poll::Ready(outcome);
            }
            if let Some(denial) = fault {
                return Poll::Ready(Err(denial));
            }
            if downstream.is_body_done() && downstream.poll_gone(cx, scratch).is_ready() {
                return Poll::Ready(Err(Denial::new(
                    Reason::ClientGone,
                    "while the upstream was working",
                )));
            }
            watch.poll(cx, self.timer, exchange, downstream.is_body_done())
        })
        .await
    }
}
