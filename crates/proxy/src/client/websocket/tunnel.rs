//! When a WebSocket goes on, and when and how it ends.

use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_core::{Denial, Reason, Timestamp};
use bartizan_wire::{FrameFault, FramesOf};
use tokio::time::Instant;

use super::super::h1::{H1, Transport};
use super::way::{Ends, Fault, Goodbye, Way};
use crate::record::Record;
use crate::timer::Timer;
use crate::upstream::UpstreamConnection;
use crate::websocket::Switched;
use crate::worker::Worker;

/// How long both sides get to close once they were told, or have told each other.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// How often the wall clock is asked whether the credential has ended: it may be set, and stands
/// still where a machine sleeps.
const LOOK_MAX: Duration = Duration::from_secs(60);

/// The codes that both sides are told (RFC 6455 §7.4.1).
const GOING_AWAY: u16 = 1_001;
const PROTOCOL_ERROR: u16 = 1_002;
const POLICY: u16 = 1_008;
const TOO_BIG: u16 = 1_009;

/// A WebSocket at work.
pub(super) struct Tunnel {
    worker: Rc<Worker>,
    /// Holds the upstream's lease and the place among those of the node.
    switched: Box<Switched>,
    connection: Box<UpstreamConnection>,
    /// From the client to the upstream.
    up: Way,
    /// From the upstream to the client.
    down: Way,
    mask: [u8; 4],
    goodbye: Option<Goodbye>,
    /// Why it is being ended, where that is anybody's fault.
    denial: Option<Denial>,
    /// When it is torn down, whatever the two still have to say.
    closing_end: Option<Instant>,
    /// When it has lasted long enough.
    end: Instant,
    /// When the credential is looked at again.
    look: Option<Instant>,
    /// What was read and what waits, when it was last looked at.
    moved: [u64; 4],
    quiet_since: Instant,
}

impl Tunnel {
    pub(super) fn new(
        mut switched: Box<Switched>,
        record: &Record,
        now: Instant,
    ) -> Result<Self, Denial> {
        let Some(connection) = switched.exchange.take_connection() else {
            return Err(Denial::new(Reason::Internal, "no upstream connection"));
        };
        let worker = record.worker().clone();
        let limits = &worker.shared.node.limits;
        let (reserved, max) = (switched.agreement.reserved, limits.websocket_message.0);
        let [.., a, b, c, d] = *record.id.as_bytes();
        let end = now + limits.websocket_time.0;
        let mut tunnel = Self {
            switched,
            connection,
            up: Way::new(FramesOf::Client, reserved, max),
            down: Way::new(FramesOf::Server, reserved, max),
            mask: [a, b, c, d],
            goodbye: None,
            denial: None,
            closing_end: None,
            end,
            look: None,
            moved: [0; 4],
            quiet_since: now,
            worker,
        };
        tunnel.look = tunnel.switched.until.map(|until| now + tunnel.until_look(until));
        Ok(tunnel)
    }

    /// Passes frames until it is over.
    pub(super) async fn run<T: Transport>(
        mut self,
        h1: &mut H1<T>,
        record: &mut Record,
        timer: &mut Timer,
    ) -> Result<(), Denial> {
        let mut draining = self.worker.shared.draining.clone();
        let mut drained = pin!(draining.wait_for(|is_draining| *is_draining));
        let mut is_drained = false;
        std::future::poll_fn(|cx| {
            if !is_drained && drained.as_mut().poll(cx).is_ready() {
                is_drained = true;
                self.say_goodbye(GOING_AWAY, None);
            }
            let poll = self.poll(cx, h1, timer);
            record.bytes_in = self.up.passed;
            record.bytes_out = self.down.passed;
            poll
        })
        .await
    }

    fn poll<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        timer: &mut Timer,
    ) -> Poll<Result<(), Denial>> {
        loop {
            if let Err(fault) = self.pass(cx, h1) {
                if let Some(outcome) = self.judge(fault) {
                    return Poll::Ready(outcome);
                }
                continue;
            }
            if self.up.is_over() && self.down.is_over() {
                return Poll::Ready(self.outcome());
            }
            let Some(due) = self.due(h1) else { continue };
            if timer.poll(cx, due).is_pending() {
                return Poll::Pending;
            }
            if let Some(outcome) = self.expire(h1) {
                return Poll::Ready(outcome);
            }
        }
    }

    /// Passes on what there is, both ways.
    fn pass<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
    ) -> Result<(), (FramesOf, Fault)> {
        let scratch = &self.worker.scratch;
        let UpstreamConnection { io, received, out, .. } = &mut *self.connection;
        let mut ends =
            Ends { source: &mut h1.io, received: &mut h1.received, out, target: &mut *io, scratch };
        let up = self.up.poll(cx, &mut ends, self.goodbye);
        up.map_err(|fault| (FramesOf::Client, fault))?;
        let mut ends = Ends { source: io, received, out: &mut h1.out, target: &mut h1.io, scratch };
        let down = self.down.poll(cx, &mut ends, self.goodbye);
        down.map_err(|fault| (FramesOf::Server, fault))
    }

    /// What a fault means: the end, or that both have to be told.
    fn judge(&mut self, (of, fault): (FramesOf, Fault)) -> Option<Result<(), Denial>> {
        let (reason, code, detail) = match (fault, of) {
            (Fault::Frames(FrameFault::Broken(detail)), FramesOf::Client) => {
                (Reason::BadFrame, PROTOCOL_ERROR, format!("the client: {detail}"))
            }
            (Fault::Frames(FrameFault::Broken(detail)), FramesOf::Server) => {
                (Reason::BadFrame, PROTOCOL_ERROR, format!("the upstream: {detail}"))
            }
            (Fault::Frames(FrameFault::TooLarge), of) => {
                let who = if of == FramesOf::Client { "the client" } else { "the upstream" };
                let detail = format!("{who}: a message over `limits.websocket_message`");
                (Reason::MessageTooLarge, TOO_BIG, detail)
            }
            (Fault::Source(error), FramesOf::Client) | (Fault::Target(error), FramesOf::Server) => {
                return Some(self.broken(Reason::ClientGone, &error));
            }
            (Fault::Source(error) | Fault::Target(error), _) => {
                return Some(self.broken(Reason::UpstreamClosed, &error));
            }
        };
        self.say_goodbye(code, Some(Denial::new(reason, detail)));
        None
    }

    /// A connection broke. Behind a close frame that is nobody's fault: not everyone waits for the
    /// answer.
    fn broken(&mut self, reason: Reason, error: &io::Error) -> Result<(), Denial> {
        let is_closing = self.goodbye.is_some() || self.up.has_closed() || self.down.has_closed();
        if is_closing {
            return self.outcome();
        }
        Err(Denial::new(reason, format!("the WebSocket broke off: {error}")))
    }

    fn outcome(&mut self) -> Result<(), Denial> {
        self.denial.take().map_or(Ok(()), Err)
    }

    /// Tells both that it is over, and bounds how long they may take to it.
    fn say_goodbye(&mut self, code: u16, denial: Option<Denial>) {
        if self.goodbye.is_some() {
            return;
        }
        self.goodbye = Some(Goodbye { code, mask: self.mask });
        self.denial = denial;
        self.closing_end = Some(self.close_by());
    }

    /// When what is left to be done at the end must be.
    fn close_by(&self) -> Instant {
        Instant::now() + CLOSING_TIME.min(self.worker.shared.node.limits.drain.0)
    }

    /// When to look at the clock; `None` if there is nothing to wait for.
    fn due<T>(&mut self, h1: &H1<T>) -> Option<Instant> {
        let (for_upstream, for_client) = (self.connection.out.len(), h1.out.len());
        let moved = [self.up.read, self.down.read, for_upstream as u64, for_client as u64];
        if moved != self.moved {
            self.moved = moved;
            self.quiet_since = Instant::now();
        }
        let stalled = [self.stalled_upstream(), self.stalled_client(h1)];
        if let Some(end) = self.closing_end {
            return Some(end);
        }
        if self.up.has_closed() && self.down.has_closed() {
            self.closing_end = Some(self.close_by());
            return None;
        }
        let quiet_end = self.quiet_since + self.switched.waits.read;
        let others = stalled.into_iter().flatten().chain(self.look);
        Some(others.fold(self.end.min(quiet_end), Instant::min))
    }

    /// When the upstream has taken nothing for too long.
    fn stalled_upstream(&mut self) -> Option<Instant> {
        let since = self.up.stalled_since(self.connection.out.len())?;
        Some(since + self.switched.waits.send)
    }

    /// When the client has.
    fn stalled_client<T>(&mut self, h1: &H1<T>) -> Option<Instant> {
        let since = self.down.stalled_since(h1.out.len())?;
        Some(since + self.worker.shared.node.limits.idle.0)
    }

    /// Something is due: what it was, and whether that is the end.
    fn expire<T>(&mut self, h1: &H1<T>) -> Option<Result<(), Denial>> {
        let now = Instant::now();
        let is_past = |end: Option<Instant>| end.is_some_and(|end| now >= end);
        if self.closing_end.is_some() {
            return is_past(self.closing_end).then(|| self.outcome());
        }
        if is_past(self.stalled_upstream()) {
            let detail = format!("{} takes nothing", self.switched.exchange.node.label);
            return Some(Err(Denial::new(Reason::UpstreamTimeout, detail)));
        }
        if is_past(self.stalled_client(h1)) {
            let detail = "the client read nothing for `limits.idle`";
            return Some(Err(Denial::new(Reason::ClientTimeout, detail)));
        }
        if let Some(until) = self.switched.until.filter(|_| is_past(self.look)) {
            if self.worker.shared.node.clock.now() >= until {
                let detail = "the credential that opened the WebSocket has ended";
                self.say_goodbye(POLICY, Some(Denial::new(Reason::ExpiredCredential, detail)));
                return None;
            }
            self.look = Some(now + self.until_look(until));
        }
        let detail = if now >= self.end {
            "over `limits.websocket_time`"
        } else if now >= self.quiet_since + self.switched.waits.read {
            "nothing moved for the `timeout.read` of the upstream"
        } else {
            return None;
        };
        self.say_goodbye(GOING_AWAY, Some(Denial::new(Reason::WebsocketOver, detail)));
        None
    }

    /// How long until the credential is looked at again.
    fn until_look(&self, until: Timestamp) -> Duration {
        // A millisecond more, so that a look is not before its time.
        let left = until.since(self.worker.shared.node.clock.now());
        (left + Duration::from_millis(1)).min(LOOK_MAX)
    }
}
