//! The clock beside an exchange whose answer is awaited.

use std::task::Poll;
use std::time::Duration;

use bartizan_core::{Denial, Reason};
use smallvec::SmallVec;
use tokio::time::Instant;

use super::Exchange;
use super::forward::Waits;
use crate::timer::Timer;
use crate::worker::Worker;

/// Watches the clock while a request is sent and its answer awaited.
pub(super) struct Watch {
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
    /// Both sides send as they please: only silence ends it.
    is_stream: bool,
}

/// The rate of a body is measured over this time.
pub(crate) const RATE_WINDOW: Duration = Duration::from_secs(10);

impl Watch {
    pub(super) fn new(waits: Waits, worker: &Worker, now: Instant, is_stream: bool) -> Self {
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
            is_stream,
        }
    }

    pub(super) fn sent(&mut self, exchange: &Exchange) {
        // A request whose body was here left at once, at the time the watch began.
        let is_instant = !self.has_waited || exchange.upload.total == 0;
        self.sent_at = Some(if is_instant { self.quiet_since } else { Instant::now() });
    }

    pub(super) fn poll<T>(
        &mut self,
        cx: &mut std::task::Context<'_>,
        timer: &mut Timer,
        exchange: &mut Exchange,
        is_body_done: bool,
    ) -> Poll<Result<T, Denial>> {
        if let Poll::Ready(denial) = exchange.poll_end(cx, timer) {
            return Poll::Ready(Err(denial));
        }
        if self.is_stream && self.seen != exchange.upload.total {
            self.seen = exchange.upload.total;
            self.quiet_since = Instant::now();
        }
        loop {
            let mut due: SmallVec<[Instant; 3]> = SmallVec::new();
            due.push(self.waits.end);
            match self.sent_at {
                _ if self.is_stream => due.push(self.silent_at(exchange)),
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

    fn silent_at(&self, exchange: &Exchange) -> Instant {
        let wait = if exchange.is_blocked() { self.waits.send } else { self.waits.read };
        self.quiet_since + wait
    }

    fn judge_silence(&self, exchange: &Exchange, now: Instant) -> Result<(), Denial> {
        if now < self.silent_at(exchange) {
            return Ok(());
        }
        let name = &exchange.node.label;
        if self.sent_at.is_none() && !exchange.is_blocked() {
            // It may well wait for what the client has yet to say.
            let detail = format!("the client sent no more, and {name} no answer");
            return Err(Denial::new(Reason::ClientTimeout, detail));
        }
        Err(Denial::new(Reason::UpstreamTimeout, format!("{name} sent no answer")))
    }

    /// Something is due: either too little happened, or the next date is set.
    fn judge(&mut self, exchange: &Exchange) -> Result<(), Denial> {
        let now = Instant::now();
        if now >= self.waits.end {
            let detail = "the exchange took longer than `limits.request_time`";
            return Err(Denial::new(Reason::RequestTimeout, detail));
        }
        if self.is_stream {
            return self.judge_silence(exchange, now);
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
