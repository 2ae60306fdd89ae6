//! HTTP/2 from clients: one task per connection reads, drives the exchanges of all its streams, and
//! writes what they have to say at a time.

mod answer;
mod slots;
mod stream;

use std::cell::{Cell, RefCell};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bartizan_audit::{Event, EventKind};
use bartizan_core::Reason;
use bartizan_wire::{ConnectionLimits, H2Connection, H2Event, StreamEnd, Violation};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use self::slots::{Ended, Slots};
use self::stream::Stream;
use crate::decide::Connection;
use crate::timer::Timer;
use crate::worker::Worker;

/// Time for a client that is told to go to read that and close.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// What is read and thrown away meanwhile, at most.
const LINGER_MAX: usize = 256 * 1_024;
/// Timers that are kept for the next streams, at most.
const TIMERS_MAX: usize = 8;
/// Rounds of reading, serving and writing before other connections have their turn.
const ROUNDS_MAX: usize = 16;

/// Why exchanges are dropped, while they are.
pub(crate) type Cause = Rc<Cell<Option<(Reason, &'static str)>>>;

/// What the streams of a connection share.
pub(super) struct Shared {
    state: RefCell<H2Connection>,
    connection: Rc<Connection>,
    worker: Rc<Worker>,
    cause: Cause,
    /// Streams that wait for the connection's window, or for room in its output.
    blocked: RefCell<Vec<u32>>,
    /// Bytes of answers that were read and may not be sent yet.
    held: Cell<usize>,
    timers: RefCell<Vec<Timer>>,
}

impl Shared {
    fn timer(&self, due: Instant) -> Timer {
        self.timers.borrow_mut().pop().unwrap_or_else(|| Timer::new(due))
    }

    fn keep_timer(&self, timer: Timer) {
        let mut timers = self.timers.borrow_mut();
        if timers.len() < TIMERS_MAX {
            timers.push(timer);
        }
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

/// How a connection ended.
enum End {
    /// As it should, or the time for it was over: what is pending was sent.
    Finished,
    /// The client broke the protocol or floods.
    Violated(Violation),
    /// The client began a header block and did not end it in time. What is bounded is the block
    /// alone: a client that sends nothing is idle.
    TooSlow,
    /// The client is gone, or takes nothing.
    Gone,
}

/// Serves a connection until it ends.
pub(crate) async fn serve<T>(io: T, connection: Rc<Connection>, worker: Rc<Worker>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    let limits = ConnectionLimits::from(&worker.shared.node.limits);
    let shared = Rc::new(Shared {
        state: RefCell::new(H2Connection::new(limits)),
        connection,
        worker,
        cause: Cause::default(),
        blocked: RefCell::default(),
        held: Cell::new(0),
        timers: RefCell::default(),
    });
    let mut draining = shared.worker.shared.draining.clone();
    // Polled once, which has it wake this task; whether it is so says the flag.
    let mut drain = pin!(draining.changed());
    let _ = std::future::poll_fn(|cx| Poll::Ready(drain.as_mut().poll(cx))).await;
    let mut driver = Driver::new(io, shared.clone());
    let end = std::future::poll_fn(|cx| driver.poll(cx)).await;
    driver.slots.clear();
    match end {
        End::Gone => return,
        End::Finished => {}
        End::TooSlow => shared.tell(
            Reason::ClientTimeout,
            "a header block took longer than `limits.header_time`".into(),
        ),
        End::Violated(violation) => {
            let reason = match violation {
                Violation::Flood(flood) => {
                    shared.worker.shared.metrics.limit_hit(flood.limit());
                    Reason::FrameFlood
                }
                Violation::Protocol(..) => Reason::ProtocolError,
            };
            shared.tell(reason, violation.to_string());
        }
    }
    driver.leave().await;
}

struct Driver<T> {
    io: T,
    shared: Rc<Shared>,
    slots: Slots,
    start: Instant,
    timer: Timer,
    /// Streams that were opened.
    served: u32,
    is_idle: bool,
    /// Since when there is no stream.
    idle_since: Instant,
    /// What was written may not have left.
    owes_flush: bool,
    /// Since when the client takes nothing.
    stuck_since: Option<Instant>,
    /// The header block that is incomplete, and since when it was seen to be.
    block_since: Option<(u32, Instant)>,
    /// When a connection that is told to go must be gone.
    leave_by: Option<Instant>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    fn new(io: T, shared: Rc<Shared>) -> Self {
        let start = Instant::now();
        let first_byte = shared.worker.shared.node.limits.first_byte.0;
        Self {
            io,
            shared,
            slots: Slots::default(),
            start,
            timer: Timer::new(start + first_byte),
            served: 0,
            is_idle: true,
            idle_since: start,
            owes_flush: false,
            stuck_since: None,
            block_since: None,
            leave_by: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        self.slots.begin(cx);
        self.heed_drain();
        for _ in 0..ROUNDS_MAX {
            if let Err(end) = self.read(cx) {
                return Poll::Ready(end);
            }
            let state = &self.shared.state;
            self.slots.run(|stream, ended| match ended {
                Ended::Done => {}
                Ended::Panicked => state.borrow_mut().give_up(stream),
            });
            let Ok(has_written) = self.write(cx) else { return Poll::Ready(End::Gone) };
            if self.is_over() {
                return Poll::Ready(End::Finished);
            }
            // What was full takes input again once some of it has left.
            if self.slots.rest() && !has_written {
                self.note_idle();
                return self.look_at_the_clock(cx);
            }
        }
        // Other connections have their turn.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn heed_drain(&mut self) {
        if self.leave_by.is_none() && self.shared.worker.is_draining() {
            self.announce_end();
        }
    }

    fn announce_end(&mut self) {
        let drain = self.shared.worker.shared.node.limits.drain.0;
        self.shared.state.borrow_mut().announce_end();
        self.leave_by = Some(Instant::now() + drain);
    }

    /// Reads what there is, unless the client is behind with taking what it asked for.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let start = self.start;
        let now = || start.elapsed();
        loop {
            if self.shared.state.borrow().is_full() {
                return Ok(());
            }
            let received = {
                let scratch = &mut *self.shared.worker.scratch.0.borrow_mut();
                let mut buf = ReadBuf::new(scratch);
                match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                    Poll::Pending => return Ok(()),
                    Poll::Ready(Err(_)) => return Err(End::Gone),
                    Poll::Ready(Ok(())) if buf.filled().is_empty() => return Err(End::Gone),
                    Poll::Ready(Ok(())) => {
                        self.shared.state.borrow_mut().receive(buf.filled(), &now)
                    }
                }
            };
            // After a violation what is left to be told is a count.
            self.take_events();
            received.map_err(End::Violated)?;
        }
    }

    fn take_events(&mut self) {
        loop {
            let event = self.shared.state.borrow_mut().next_event();
            match event {
                None => break,
                Some(H2Event::Moved { tag }) => self.slots.wake(tag),
                Some(H2Event::WindowGrew) => self.wake_blocked(),
                Some(H2Event::Ended { tag, why }) => {
                    self.shared.cause.set(Some(match why {
                        StreamEnd::Reset => (Reason::ClientGone, "the client reset the stream"),
                        StreamEnd::Fault(detail) => (Reason::ProtocolError, detail),
                    }));
                    self.slots.stop(tag);
                    self.shared.cause.set(None);
                    self.wake_blocked();
                }
                Some(H2Event::Opened { stream, head }) => {
                    let Some(tag) = self.slots.claim(stream) else { continue };
                    if !self.shared.state.borrow_mut().tag(stream, tag) {
                        // Opened and reset at once: nobody was asked for anything.
                        self.slots.stop(tag);
                        continue;
                    }
                    self.is_idle = false;
                    let stream = Stream { shared: self.shared.clone(), id: stream, tag };
                    self.slots.start(tag, Box::pin(stream.serve(head)));
                    self.count_request();
                }
            }
        }
        self.count_refused();
    }

    /// Each stream that was refused counts, though whole reads of them are told at once.
    fn count_refused(&self) {
        let shared = &self.shared;
        for _ in 0..shared.state.borrow_mut().take_refused() {
            shared.worker.shared.metrics.limit_hit("h2_streams");
        }
    }

    fn count_request(&mut self) {
        let limits = &self.shared.worker.shared.node.limits;
        self.served = self.served.saturating_add(1);
        if self.served >= limits.requests_per_connection && self.leave_by.is_none() {
            self.announce_end();
        } else if self.served >= limits.requests_per_connection.saturating_add(limits.h2_streams) {
            // Who does not hear it has no more than another connection's streams.
            self.shared.state.borrow_mut().end();
        }
    }

    fn wake_blocked(&mut self) {
        for tag in self.shared.blocked.borrow_mut().drain(..) {
            self.slots.wake(tag);
        }
    }

    /// Sends what is pending; true if anything was.
    fn write(&mut self, cx: &mut Context<'_>) -> std::io::Result<bool> {
        let mut has_written = false;
        loop {
            let mut state = self.shared.state.borrow_mut();
            if state.pending().is_empty() {
                break;
            }
            match Pin::new(&mut self.io).poll_write(cx, state.pending()) {
                Poll::Ready(Ok(0)) => return Err(std::io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(count)) => {
                    state.advance(count);
                    has_written = true;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        self.owes_flush |= has_written;
        if self.owes_flush
            && let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx)
        {
            flushed?;
            self.owes_flush = false;
        }
        if has_written {
            self.stuck_since = None;
            if !self.shared.blocked.borrow().is_empty() {
                self.wake_blocked();
            }
        }
        Ok(has_written)
    }

    /// True once the connection has nothing left to do.
    fn is_over(&self) -> bool {
        let state = self.shared.state.borrow();
        state.is_finished() && state.pending().is_empty() && !self.owes_flush
    }

    fn note_idle(&mut self) {
        let mut state = self.shared.state.borrow_mut();
        let is_idle = state.open() == 0;
        if is_idle && !self.is_idle {
            self.idle_since = Instant::now();
        }
        // What was full empties after the last stream has ended.
        state.shrink();
        self.is_idle = is_idle;
        // While the output is full it is we who do not read its rest.
        let block = state.open_block().filter(|_| !state.is_full());
        self.block_since = block.map(|number| match self.block_since {
            Some(open @ (known, _)) if known == number => open,
            _ => (number, Instant::now()),
        });
        let is_stuck = !state.pending().is_empty() || self.owes_flush;
        match (is_stuck, self.stuck_since) {
            (true, None) => self.stuck_since = Some(Instant::now()),
            (false, Some(_)) => self.stuck_since = None,
            _ => {}
        }
    }

    /// Waits, and ends the connection if it has waited too long for something.
    fn look_at_the_clock(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let Some(due) = self.due() else { return Poll::Pending };
            if self.timer.poll(cx, due).is_pending() {
                return Poll::Pending;
            }
            let now = Instant::now();
            let limits = &self.shared.worker.shared.node.limits;
            let metrics = &self.shared.worker.shared.metrics;
            if self.stuck_since.is_some_and(|since| now >= since + limits.idle.0) {
                metrics.limit_hit("idle");
                return Poll::Ready(End::Gone);
            }
            if self.block_since.is_some_and(|(_, since)| now >= since + limits.header_time.0) {
                metrics.limit_hit("header_time");
                return Poll::Ready(End::TooSlow);
            }
            if self.leave_by.is_some_and(|by| now >= by) {
                return Poll::Ready(End::Finished);
            }
            if self.is_idle && now >= self.idle_due() {
                metrics.limit_hit(if self.served == 0 { "first_byte" } else { "idle" });
                self.shared.state.borrow_mut().end();
                // What is left is one frame.
                let _ = self.write(cx);
                return Poll::Ready(End::Finished);
            }
        }
    }

    fn idle_due(&self) -> Instant {
        let limits = &self.shared.worker.shared.node.limits;
        let wait = if self.served == 0 { limits.first_byte.0 } else { limits.idle.0 };
        self.idle_since + wait
    }

    /// When to look again, if nothing else happens.
    fn due(&self) -> Option<Instant> {
        let limits = &self.shared.worker.shared.node.limits;
        let stuck = self.stuck_since.map(|since| since + limits.idle.0);
        let block = self.block_since.map(|(_, since)| since + limits.header_time.0);
        let idle = self.is_idle.then(|| self.idle_due());
        [stuck, block, idle, self.leave_by].into_iter().flatten().min()
    }

    /// Sends what is left, closes, and lets the client read it before the connection is torn down:
    /// closing with unread data would reset it.
    async fn leave(&mut self) {
        let due = Instant::now() + LINGER_TIME;
        let mut timer = Timer::new(due);
        let sending = std::future::poll_fn(|cx| {
            let sent = self.write(cx);
            let is_sent = self.shared.state.borrow().pending().is_empty() && !self.owes_flush;
            if sent.is_err() || is_sent { Poll::Ready(()) } else { Poll::Pending }
        });
        if timer.bound(due, sending).await.is_none() {
            return;
        }
        // The client may be gone; there is no one left to tell.
        if timer.bound(due, self.io.shutdown()).await.is_none() {
            return;
        }
        let mut seen = 0;
        std::future::poll_fn(|cx| {
            loop {
                let scratch = &mut *self.shared.worker.scratch.0.borrow_mut();
                let mut buf = ReadBuf::new(scratch);
                match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => seen += buf.filled().len(),
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return timer.poll(cx, due),
                }
                if seen > LINGER_MAX {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }
}
