//! Trying a node over HTTP/2.

use std::task::Poll;

use bartizan_chain::RequestCx;
use bartizan_core::{Denial, Reason};
use bartizan_wire::BodyLength;
use tokio::time::Instant;

use super::forward::{Failure, Trial};
use super::upload::Taken;
use super::{Downstream, Exchange, Over, Streamed, Upload};
use crate::links::{LinkLimits, Ticket};

/// How often a node is tried: a second time where it has done nothing about the request, or where
/// a connection turns out dead.
const ROUNDS: usize = 2;

/// What earlier attempts leave to the next.
#[derive(Default)]
pub(super) struct Again {
    /// What they have taken of a streamed body from the client.
    taken: Taken,
    /// More of it is gone than can be sent again.
    is_gone: bool,
    /// A server was blamed for what became of the request.
    pub(super) is_blamed: bool,
}

impl Trial<'_> {
    /// Tries one node over HTTP/2.
    pub(super) async fn run_http2(
        &mut self,
        cx: &mut RequestCx,
        downstream: &mut impl Downstream,
        again: &mut Again,
    ) -> Result<Box<Exchange>, Failure> {
        let mut round = 1;
        loop {
            let ticket = self.place(round).await?;
            self.now = Instant::now();
            let is_reused = ticket.is_reused;
            match self.stream(cx, downstream, ticket, again).await {
                Err((failure, is_unprocessed))
                    if failure.may_retry
                        && round < ROUNDS
                        && failure.denial.reason == Reason::UpstreamClosed
                        && (is_unprocessed || is_reused) => {}
                outcome => return outcome.map_err(|(failure, _)| failure),
            }
            round += 1;
        }
    }

    /// A connection: a kept one at first, else a new one, within the time for connecting.
    async fn place(&mut self, round: usize) -> Result<Ticket, Failure> {
        let keep = self.upstream.keep;
        let site = self.worker.links.site(self.node);
        if round == 1 {
            let kept = std::future::poll_fn(|task| Poll::Ready(site.take(task, keep))).await;
            if let Some(ticket) = kept {
                self.worker.tally.reuse();
                return Ok(ticket);
            }
        }
        let by = Instant::now() + self.waits.connect;
        let io = self.dial(self.waits.connect).await?;
        let limits = &self.worker.shared.node.limits;
        // No window is larger (RFC 9113 §6.9.1), and of nothing nothing would come.
        let bound = |size: u64| u32::try_from(size).unwrap_or(u32::MAX).clamp(1, u32::MAX >> 1);
        let header_list = self.worker.shared.response_limits.head.header_block as u64;
        let limits =
            LinkLimits { header_list: bound(header_list), window: bound(limits.h2_window.0) };
        let gauge = &self.worker.shared.metrics.upstream_connections;
        let opening = site.open(io, limits, keep, gauge);
        match self.timer.bound(by.min(self.waits.end), opening).await {
            Some(Ok(ticket)) => Ok(ticket),
            Some(Err(error)) => Err(self.no_place(&error.to_string())),
            None => Err(self.no_place("it takes no connection preface")),
        }
    }

    fn no_place(&self, detail: &str) -> Failure {
        let is_late = Instant::now() >= self.waits.end;
        let over = if is_late { format!(", and {} was over", self.limit()) } else { String::new() };
        let detail = format!("{}: {detail}{over}", self.node.label);
        let reason = if is_late { Reason::RequestTimeout } else { Reason::UpstreamConnect };
        Failure { denial: Denial::new(reason, detail), may_retry: !is_late, was_sent: false }
    }

    /// One attempt on one connection; a failure says whether the upstream has done nothing.
    async fn stream(
        &mut self,
        cx: &mut RequestCx,
        downstream: &mut impl Downstream,
        ticket: Ticket,
        again: &mut Again,
    ) -> Result<Box<Exchange>, (Failure, bool)> {
        cx.upstream.address = ticket.address();
        let is_last = self.outgoing.length == BodyLength::None;
        let is_tls = self.node.target.tls.is_some();
        let limits = self.worker.shared.response_limits;
        let is_repeatable = self.outgoing.is_repeatable() || !again.is_gone;
        let opened = Streamed::open(ticket, &self.request(cx), (is_tls, is_last), &limits)
            .map_err(|denial| (Failure { denial, may_retry: false, was_sent: false }, true))?;
        let stream = opened.map_err(|(denial, is_unprocessed)| {
            (Failure { denial, may_retry: is_repeatable, was_sent: false }, is_unprocessed)
        })?;
        let source = self.outgoing.source();
        let mut upload = Upload::new(source, self.outgoing.length, self.outgoing.max);
        if cx.drops_trailers() {
            upload.drop_trailers();
        }
        if !again.is_gone {
            upload.again(std::mem::take(&mut again.taken));
        }
        let (node, keep, read) = (self.node.clone(), self.upstream.keep, self.waits.read);
        let mut exchange = Exchange::new(node, keep, read, Over::Stream(stream), upload);
        exchange.deadline = self.call.filter(|call| call.is_timed).map(|call| call.end);
        let Err(denial) = self.await_answer(&mut exchange, cx, downstream).await else {
            return Ok(exchange);
        };
        if !self.outgoing.is_repeatable() {
            match exchange.upload.give_taken() {
                Some(taken) => again.taken = taken,
                None => again.is_gone = true,
            }
        }
        let is_unprocessed = exchange.is_unprocessed();
        let is_transport =
            matches!(denial.reason, Reason::UpstreamClosed | Reason::UpstreamTimeout);
        let may_retry = is_transport
            && !exchange.has_answered
            && (self.outgoing.is_idempotent || is_unprocessed)
            && (self.outgoing.is_repeatable() || !again.is_gone);
        Err((Failure { denial, may_retry, was_sent: true }, is_unprocessed))
    }
}
