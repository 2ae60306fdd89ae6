//! The audit log: events go in without waiting, a thread writes them out.
//!
//! The queue is bounded by slots. An event takes one when it is recorded and gives it back when it
//! is written, so that a disk that is full or stalled fills the queue and nothing else. Then
//! either the number of dropped events is counted and told later ([`OnFull::Count`]), or the
//! gateway refuses requests before it forwards them ([`OnFull::Deny`]): a request that was let
//! through has a slot reserved for the event that its end may cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Limits};

use crate::event::Event;
use crate::fold::Folds;
use crate::life::Life;
use crate::recent::{Recent, RecentDenials};
use crate::sink::{CloseError, OpenError, Sinks, Target};
use crate::writer::Writer;

/// How long a log that was not closed is written on when its last user is gone.
const ABANDONED: Duration = Duration::from_secs(1);
/// Places in the channel beyond the events, to wake the thread.
const WAKES: usize = 4;

/// What happens when the queue is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFull {
    /// Requests go on; the number of lost events is told when there is room again.
    #[default]
    Count,
    /// Requests that would be forwarded are refused.
    Deny,
}

/// How the audit log is written.
#[derive(Debug)]
pub struct AuditOptions {
    /// Where to; each gets every event.
    pub targets: Vec<Target>,
    /// What happens when the queue is full.
    pub on_full: OnFull,
    /// Events that may wait (`limits.audit_queue`).
    pub queue: u32,
    /// Events of a peer and reason in a second that are told one by one (`limits.audit_fold`).
    pub fold: u32,
    /// The time by which events are folded.
    pub clock: Clock,
    /// Where drops are counted.
    pub metrics: SharedMetrics,
}

impl AuditOptions {
    /// Options with the queue and folding that the limits say.
    pub fn new(targets: Vec<Target>, limits: &Limits, metrics: SharedMetrics) -> Self {
        Self {
            targets,
            on_full: OnFull::default(),
            queue: limits.audit_queue,
            fold: limits.audit_fold,
            clock: Clock::System,
            metrics,
        }
    }
}

pub(crate) enum Message {
    Event(Box<Event>),
    Wake,
}

/// What the log's users and its thread share.
pub(crate) struct State {
    pub(crate) life: Life,
    pub(crate) folds: Folds,
    pub(crate) recent: Recent,
    pub(crate) clock: Clock,
    metrics: SharedMetrics,
    slots: usize,
    /// Slots that are reserved, queued or being written.
    taken: AtomicUsize,
    /// Drops that were not told yet.
    dropped: AtomicU64,
}

impl State {
    /// True if nobody is recording, holds a slot, or waits to be written.
    pub(crate) fn is_quiet(&self) -> bool {
        self.taken.load(Ordering::SeqCst) == 0
    }

    pub(crate) fn release(&self, slots: usize) {
        self.taken.fetch_sub(slots, Ordering::SeqCst);
    }

    pub(crate) fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::SeqCst)
    }

    /// Counts events that were accepted and could not be written before the log had to close.
    pub(crate) fn lose(&self, events: u64) {
        self.life.lose(events);
        self.metrics.audit_dropped.inc_by(events);
    }

    fn drop_event(&self, event: &Event) {
        self.dropped.fetch_add(event.count, Ordering::SeqCst);
        self.metrics.audit_dropped.inc_by(event.count);
        self.metrics.limit_hit("audit_queue");
    }
}

struct Inner {
    state: Arc<State>,
    queue: SyncSender<Message>,
    on_full: OnFull,
    thread: Thread,
}

impl Inner {
    fn wake(&self) {
        // If there is no room, enough wakes are on their way.
        let _ = self.queue.try_send(Message::Wake);
        self.thread.unpark();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if !self.state.life.is_closing() {
            self.state.life.close(ABANDONED);
        }
        self.wake();
    }
}

/// The audit log. Clones write into the same one.
#[derive(Clone)]
pub struct AuditLog(Arc<Inner>);

impl std::fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AuditLog").field("on_full", &self.0.on_full).finish_non_exhaustive()
    }
}

/// Room in the queue for the event of a request that is let through. Dropping it gives it back.
#[derive(Default)]
#[must_use = "a slot that is dropped reserves nothing"]
pub struct Slot(Option<Arc<State>>);

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Slot").field(&self.0.is_some()).finish()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(state) = &self.0 {
            state.release(1);
        }
    }
}

impl AuditLog {
    /// Opens the sinks and starts the thread that writes.
    pub fn open(options: AuditOptions) -> Result<Self, OpenError> {
        let slots = usize::try_from(options.queue).unwrap_or(usize::MAX).clamp(1, 1 << 20);
        let (queue, receiver) = sync_channel(slots + WAKES);
        let state = Arc::new(State {
            life: Life::default(),
            folds: Folds::new(options.fold),
            recent: Recent::new(options.clock.now()),
            clock: options.clock,
            metrics: options.metrics,
            slots,
            taken: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        });
        let writer = Writer::new(Arc::clone(&state), receiver, Sinks::open(options.targets)?);
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(|| writer.run());
        let thread = thread.map_err(OpenError::Thread)?.thread().clone();
        Ok(Self(Arc::new(Inner { state, queue, on_full: options.on_full, thread })))
    }

    /// Room for one event, before a request is let through; `None` if the request must be refused
    /// with [`Reason::AuditFull`](bartizan_core::Reason::AuditFull), because what it does could
    /// not be recorded.
    ///
    /// With [`OnFull::Count`] this costs nothing and always succeeds.
    pub fn reserve(&self) -> Option<Slot> {
        let state = &self.0.state;
        if self.0.on_full == OnFull::Count {
            return Some(Slot::default());
        }
        let before = state.taken.fetch_add(1, Ordering::SeqCst);
        let slot = Slot(Some(Arc::clone(state)));
        if before < state.slots && !state.life.is_closing() {
            return Some(slot);
        }
        state.metrics.limit_hit("audit_queue");
        None
    }

    /// Records an event without waiting.
    pub fn record(&self, event: Event) {
        let state = &self.0.state;
        let has_room = state.taken.fetch_add(1, Ordering::SeqCst) < state.slots;
        // Taking the slot before looking means that a closing thread waits for this event.
        self.admit(event, has_room && !state.life.is_closing());
    }

    /// Records an event for which room was reserved with [`AuditLog::reserve`] of this log.
    pub fn record_reserved(&self, mut slot: Slot, event: Event) {
        match slot.0.take() {
            Some(state) if Arc::ptr_eq(&state, &self.0.state) => self.admit(event, true),
            other => {
                slot.0 = other;
                self.record(event);
            }
        }
    }

    /// Folds, queues or drops an event that has taken a slot.
    fn admit(&self, event: Event, has_room: bool) {
        let state = &self.0.state;
        if state.life.is_closing() && !has_room {
            state.drop_event(&event);
            return state.release(1);
        }
        let Some(event) = state.folds.admit(event, state.clock.now()) else {
            return state.release(1);
        };
        if !has_room {
            state.drop_event(&event);
            return state.release(1);
        }
        if let Err(refused) = self.0.queue.try_send(Message::Event(Box::new(event))) {
            use std::sync::mpsc::TrySendError::{Disconnected, Full};
            if let Full(Message::Event(event)) | Disconnected(Message::Event(event)) = refused {
                state.drop_event(&event);
            }
            state.release(1);
        }
    }

    /// What was refused since the log was opened, as far as it is written.
    pub fn recent(&self) -> RecentDenials {
        let state = &self.0.state;
        state.recent.told(state.metrics.audit_dropped.get())
    }

    /// Opens the files anew, after they were moved away (SIGUSR1).
    ///
    /// What is recorded after this is in the new files; what was recorded shortly before may be.
    pub fn reopen(&self) {
        self.0.state.life.reopen();
        self.0.wake();
    }

    /// Accepts no more events, and waits until what was accepted is written, at most `within` and
    /// a second. Blocks the thread it is called on.
    pub fn close(&self, within: Duration) -> Result<(), CloseError> {
        self.0.state.life.close(within);
        self.0.wake();
        self.0.state.life.wait(within)
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
