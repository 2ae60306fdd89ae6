//! The thread that writes the audit log.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::event::{Event, EventKind};
use crate::life::Finish;
use crate::log::{Message, State};
use crate::sink::Sinks;
use crate::stamp::Stamp;

/// How often folded events are collected.
const TICK: Duration = Duration::from_millis(100);
/// How often a closing thread looks for events that are still being recorded.
const LAST_LOOK: Duration = Duration::from_millis(2);
/// The batch is written when it has so many bytes, or when nothing waits.
const BATCH: usize = 64 * 1_024;

pub(crate) struct Writer {
    state: Arc<State>,
    queue: Receiver<Message>,
    sinks: Sinks,
    stamp: Stamp,
    batch: Vec<u8>,
    /// Lines in the batch, the events they stand for, and how many of them came from the queue.
    events: u64,
    from_queue: usize,
    ticked: Instant,
}

impl Writer {
    pub(crate) fn new(state: Arc<State>, queue: Receiver<Message>, sinks: Sinks) -> Self {
        Self {
            state,
            queue,
            sinks,
            stamp: Stamp::default(),
            batch: Vec::with_capacity(BATCH + BATCH / 4),
            events: 0,
            from_queue: 0,
            ticked: Instant::now(),
        }
    }

    /// Writes until the log is closed and everything that was accepted is written.
    pub(crate) fn run(mut self) {
        let state = Arc::clone(&self.state);
        let _finish = Finish(&state.life);
        loop {
            let is_closing = state.life.is_closing();
            let mut is_idle = false;
            match self.queue.recv_timeout(if is_closing { LAST_LOOK } else { TICK }) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => is_idle = true,
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while self.batch.len() < BATCH
                && let Ok(message) = self.queue.try_recv()
            {
                self.take(message);
            }
            if self.ticked.elapsed() >= TICK {
                self.tick(false);
            }
            self.flush();
            if is_closing && is_idle && (state.is_quiet() || state.life.is_overdue()) {
                break;
            }
        }
        self.tick(true);
        self.flush();
    }

    fn take(&mut self, message: Message) {
        if let Message::Event(event) = message {
            self.from_queue += 1;
            self.append(event);
        }
    }

    fn append(&mut self, event: Box<Event>) {
        self.events = self.events.saturating_add(event.count);
        event.write(&mut self.batch, &mut self.stamp);
        self.state.recent.take(event);
    }

    /// Tells what was folded and what was dropped.
    fn tick(&mut self, is_last: bool) {
        self.ticked = Instant::now();
        let state = Arc::clone(&self.state);
        let now = state.clock.now();
        state.folds.collect(now, is_last, &mut |event| self.append(Box::new(event)));
        let dropped = state.take_dropped();
        if dropped > 0 {
            let mut event = Event::new(EventKind::Dropped, now);
            event.count = dropped;
            event.detail = Some("the audit queue was full".into());
            event.write(&mut self.batch, &mut self.stamp);
        }
    }

    fn flush(&mut self) {
        self.sinks.reopen_if_asked(&self.state.life, &[]);
        if !self.batch.is_empty() && !self.sinks.write(&self.batch, &self.state.life) {
            self.state.lose(self.events);
        }
        self.batch.clear();
        self.events = 0;
        self.state.release(std::mem::take(&mut self.from_queue));
    }
}
