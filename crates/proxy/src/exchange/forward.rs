//! Sending a screened request to a node of its upstream.
//!
//! [`forward`] is the only way out of the gateway, and it asks for the proof that screening
//! happened.

use std::task::Poll;
use std::time::Duration;

use bartizan_chain::{RequestCx, Screened};
use bartizan_config::PassHost;
use bartizan_core::{Denial, Reason};
use bartizan_plugins::AnyPlugin;
use bartizan_wire::{BodyLength, ConnectionUse, OutgoingRequest, encode_request};
use http::Method;
use smallvec::SmallVec;
use tokio::time::Instant;

use super::{Downstream, Exchange, Upload, UploadSource};
use crate::forwarded::{self, Announced};
use crate::snapshot::{Route, Upstream};
use crate::timer::Timer;
use crate::upstream::{Node, UpstreamConnection};
use crate::worker::Worker;

/// The waits of one exchange.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub(crate) connect: Duration,
    pub(crate) send: Duration,
    pub(crate) read: Duration,
    /// When the whole exchange must be over.
    pub(crate) end: Instant,
}

/// Sends a request and waits for the head of its answer, on the nodes that its upstream offers.
pub(crate) async fn forward<D: Downstream>(
    worker: &Worker,
    screened: &mut Screened<'_, AnyPlugin>,
    route: &Route,
    downstream: &mut D,
    length: BodyLength,
    timer: &mut Timer,
    end: Instant,
) -> Result<Box<Exchange>, Denial> {
    let Some(upstream) = &route.upstream else {
        return Err(Denial::new(Reason::NoUpstream, "the route has no upstream"));
    };
    let announced = forwarded::announce(screened.cx_mut());
    let outgoing = Outgoing::of(screened, length, announced);
    let waits = route.waits(&worker.shared.node.limits, end);
    let mut order = upstream.balancer.first(screened.cx());
    let started = Instant::now();
    let mut last = None;
    for attempt in 0..upstream.tries() {
        if attempt == 1 {
            // Only a request whose first node failed pays for the whole order.
            order = upstream.balancer.order_after(screened.cx(), &order, upstream.tries());
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
        let mut trial = Trial { worker, upstream, node, number, outgoing, waits, timer, now };
        match trial.run(screened.cx_mut(), downstream).await {
            Ok(answer) => return Ok(answer),
            Err(Failure { denial, may_retry: true }) => last = Some(denial),
            Err(Failure { denial, .. }) => return Err(denial),
        }
    }
    Err(last
        .unwrap_or_else(|| Denial::new(Reason::NoUpstream, "no node of the upstream has weight")))
}

/// What is the same for every attempt.
struct Outgoing {
    length: BodyLength,
    body: Option<bytes::Bytes>,
    is_idempotent: bool,
    /// The most bytes that the body may have, and what says so.
    max: (u64, &'static str),
    announced: Announced,
}

impl Outgoing {
    fn of(screened: &Screened<'_, AnyPlugin>, length: BodyLength, announced: Announced) -> Self {
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
        Self { length, body, is_idempotent, max, announced }
    }

    fn source(&self) -> UploadSource {
        match (&self.body, self.length) {
            (Some(bytes), BodyLength::Fixed(_)) => UploadSource::Held(bytes.clone()),
            (_, BodyLength::None) => UploadSource::Nothing,
            _ => UploadSource::Stream,
        }
    }

    /// True if the body can be sent a second time.
    fn is_repeatable(&self) -> bool {
        !matches!(self.source(), UploadSource::Stream)
    }
}

struct Failure {
    denial: Denial,
    may_retry: bool,
}

struct Trial<'a> {
    worker: &'a Worker,
    upstream: &'a Upstream,
    node: &'a std::sync::Arc<Node>,
    /// The node's place in its upstream.
    number: u16,
    outgoing: &'a Outgoing,
    waits: Waits,
    timer: &'a mut Timer,
    /// The time, as of the last wait.
    now: Instant,
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
                Err(Failure { may_retry: true, denial })
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
        self.worker.shared.metrics.upstream_connects.inc();
        let dial = self.worker.dialer.dial(&self.node.target, self.waits.connect);
        // A connector bounds itself; the end of the exchange bounds it too.
        let Some(dialled) = self.timer.bound(self.waits.end, dial).await else {
            let denial = Denial::new(
                Reason::RequestTimeout,
                "`limits.request_time` was over while connecting to the upstream",
            );
            return Err(Failure { denial, may_retry: false });
        };
        let io = dialled.map_err(|error| {
            let detail = format!("{}: {error}", self.node.label);
            Failure { denial: Denial::new(error.reason(), detail), may_retry: true }
        })?;
        Ok(UpstreamConnection::new(io, &self.worker.shared.metrics.upstream_connections))
    }

    async fn exchange(
        &mut self,
        cx: &mut RequestCx,
        downstream: &mut impl Downstream,
        mut connection: Box<UpstreamConnection>,
    ) -> Result<Box<Exchange>, Failure> {
        let deny = |denial| Failure { denial, may_retry: false };
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
            connection,
            upload,
        );
        exchange.lease = self.upstream.balancer.lease(self.number);
        let sent = self.now;
        let method = cx.outgoing().method().clone();
        match self.answer(&mut exchange, downstream, &method).await {
            Ok(()) => {
                cx.upstream.status = exchange.head.as_ref().map(|head| head.status.as_u16());
                let answered = Instant::now();
                cx.upstream.response_time = Some(answered - sent);
                exchange.answered = Some(answered);
                Ok(exchange)
            }
            Err(denial) => {
                let is_transport =
                    matches!(denial.reason, Reason::UpstreamClosed | Reason::UpstreamTimeout);
                let may_retry = is_transport
                    && !exchange.has_answered
                    && self.outgoing.is_idempotent
                    && self.outgoing.is_repeatable();
                Err(Failure { denial, may_retry })
            }
        }
    }

    fn encode(&self, cx: &RequestCx, out: &mut Vec<u8>) -> Result<(), Denial> {
        let outgoing = cx.outgoing();
        let host = match &self.upstream.pass_host {
            PassHost::Pass => outgoing.authority(),
            PassHost::Node => &self.node.host,
            PassHost::Rewrite(host) => host,
        };
        let (lines, forwarded_host) = self.outgoing.announced.lines(cx);
        let request = OutgoingRequest {
            method: outgoing.method(),
            target: outgoing.path_and_query(),
            host,
            fields: &cx.fields,
            lines,
            forwarded_host,
            body: self.outgoing.length,
            connection: ConnectionUse::KeepAlive,
            websocket: false,
            expect_continue: false,
        };
        encode_request(out, &request)
            .map_err(|fault| Denial::new(Reason::RewriteRefused, fault.detail))
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
        let mut watch = Watch::new(self.waits, self.worker, self.now);
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

/// Watches the clock while a request is sent and its answer awaited.
struct Watch {
    waits: Waits,
    body_rate: u64,
    /// Since when nothing was sent.
    quiet_since: Instant,
    sent_at: Option<Instant>,
    /// Whether time has passed since the watch began.
    has_waited: bool,
    seen: u64,
    window_end: Instant,
    window_seen: u64,
}

/// The rate of a body is measured over this time.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(10);

impl Watch {
    fn new(waits: Waits, worker: &Worker, now: Instant) -> Self {
        let limits = &worker.shared.node.limits;
        Self {
            waits,
            body_rate: limits.body_rate.0,
            quiet_since: now,
            sent_at: None,
            has_waited: false,
            seen: 0,
            window_end: now + limits.body_grace.0 + RATE_WINDOW,
            window_seen: 0,
        }
    }

    fn sent(&mut self, exchange: &Exchange) {
        // A request whose body was here left at once, at the time the watch began.
        let is_instant = !self.has_waited || exchange.upload.total == 0;
        self.sent_at = Some(if is_instant { self.quiet_since } else { Instant::now() });
    }

    fn poll<T>(
        &mut self,
        cx: &mut std::task::Context<'_>,
        timer: &mut Timer,
        exchange: &Exchange,
        is_body_done: bool,
    ) -> Poll<Result<T, Denial>> {
        loop {
            let mut due: SmallVec<[Instant; 3]> = SmallVec::new();
            due.push(self.waits.end);
            match self.sent_at {
                Some(sent) => due.push(sent + self.waits.read),
                None if is_body_done => due.push(self.quiet_since + self.waits.send),
                None => due.extend([self.quiet_since + self.waits.send, self.window_end]),
            }
            let next = due.iter().min().copied().unwrap_or(self.waits.end);
            if timer.poll(cx, next).is_pending() {
                self.has_waited = true;
                return Poll::Pending;
            }
            if let Err(denial) = self.judge(exchange) {
                return Poll::Ready(Err(denial));
            }
        }
    }

    /// Something is due: either too little happened, or the next date is set.
    fn judge(&mut self, exchange: &Exchange) -> Result<(), Denial> {
        let now = Instant::now();
        if now >= self.waits.end {
            return Err(Denial::new(
                Reason::RequestTimeout,
                "the exchange took longer than `limits.request_time`",
            ));
        }
        if self.sent_at.is_some_and(|sent| now >= sent + self.waits.read) {
            let detail = format!("{} sent no answer", exchange.node.label);
            return Err(Denial::new(Reason::UpstreamTimeout, detail));
        }
        let total = exchange.upload.total;
        if now >= self.window_end {
            let least = self.body_rate.saturating_mul(RATE_WINDOW.as_secs());
            if total.saturating_sub(self.window_seen) < least && !exchange.is_blocked() {
                return Err(Denial::new(
                    Reason::ClientTimeout,
                    "the body came more slowly than `limits.body_rate`",
                ));
            }
            self.window_seen = total;
            self.window_end = now + RATE_WINDOW;
        }
        if now >= self.quiet_since + self.waits.send {
            if total == self.seen && exchange.is_blocked() {
                let detail = format!("{} takes nothing", exchange.node.label);
                return Err(Denial::new(Reason::UpstreamTimeout, detail));
            }
            self.seen = total;
            self.quiet_since = now;
        }
        Ok(())
    }
}
