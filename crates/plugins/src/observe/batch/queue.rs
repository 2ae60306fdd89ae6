//! The queue of a sink: bounded in entries and in bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::BatchSettings;
use super::slab::Slab;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// It waits.
    Waits,
    /// It waits, and is the first of all: the task must begin.
    First,
    /// There was no room.
    Full,
    /// The sink takes nothing more.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Bytes>,
    /// Where what waits lies.
    slab: Slab,
    /// Bytes of all that waits.
    bytes: usize,
    /// Entries and bytes of the batch that is on its way.
    leaving: (usize, usize),
    /// When the first that waits came, and when the last did.
    first: Option<Instant>,
    last: Option<Instant>,
    task: Life,
    intake: Intake,
    is_to_reopen: bool,
}

/// Where the task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Life {
    /// It begins with the first entry.
    #[default]
    NotYet,
    Running,
    Ended,
}

/// What is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Intake {
    #[default]
    Open,
    /// Nothing more; what waits is handed over.
    Closed,
    /// Nothing more, and what waits is lost.
    Cut,
}

#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the task.
    wake: Notify,
    /// Wakes a delivery that must end.
    cut: Notify,
    ended: Condvar,
    pending: usize,
    pending_bytes: usize,
    full: usize,
    full_bytes: usize,
    inactive: Duration,
    oldest: Duration,
}

impl Queue {
    pub(super) fn new(settings: &BatchSettings) -> Self {
        Self {
            state: Mutex::new(State { slab: Slab::new(settings), ..State::default() }),
            wake: Notify::new(),
            cut: Notify::new(),
            ended: Condvar::new(),
            pending: settings.pending,
            pending_bytes: settings.pending_bytes,
            full: settings.entries,
            full_bytes: settings.bytes,
            inactive: settings.inactive,
            oldest: settings.oldest,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a copy of an entry in.
    pub(super) fn push(&self, entry: &[u8]) -> Push {
        let now = Instant::now();
        let mut state = self.state();
        if state.intake != Intake::Open {
            return Push::Closed;
        }
        let (leaving, leaving_bytes) = state.leaving;
        let has_room = state.waiting.len() + leaving < self.pending
            && state.bytes + leaving_bytes + entry.len() <= self.pending_bytes;
        if !has_room {
            return Push::Full;
        }
        let was_full = self.is_full(&state);
        let is_first = state.waiting.is_empty();
        state.bytes += entry.len();
        let entry = state.slab.keep(entry);
        state.waiting.push_back(entry);
        state.first.get_or_insert(now);
        state.last = Some(now);
        let begins = state.task == Life::NotYet;
        state.task = Life::Running;
        // The task sleeps until the batch is due: only what moves that date wakes it.
        let wakes = is_first || (!was_full && self.is_full(&state));
        drop(state);
        if begins {
            return Push::First;
        }
        if wakes {
            self.wake.notify_one();
        }
        Push::Waits
    }

    fn is_full(&self, state: &State) -> bool {
        state.waiting.len() >= self.full || state.bytes >= self.full_bytes
    }

    /// The next batch, once it is due; `None` when nothing more comes.
    pub(super) async fn next(&self) -> Option<Vec<Bytes>> {
        loop {
            let due = {
                let mut state = self.state();
                let due = self.due(&state);
                let is_due = due.is_some_and(|due| due <= Instant::now());
                let is_closed = state.intake != Intake::Open;
                if is_due || (is_closed && !state.waiting.is_empty()) {
                    return Some(self.take(&mut state));
                }
                if is_closed {
                    return None;
                }
                due
            };
            match due {
                None => self.wake.notified().await,
                // Either it is due then, or something moved the date.
                Some(due) => drop(timeout_at(due, self.wake.notified()).await),
            }
        }
    }

    /// When the batch that gathers must leave.
    fn due(&self, state: &State) -> Option<Instant> {
        let (first, last) = (state.first?, state.last?);
        if self.is_full(state) {
            return Some(first);
        }
        Some((first + self.oldest).min(last + self.inactive))
    }

    fn take(&self, state: &mut State) -> Vec<Bytes> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while batch.len() < self.full
            && (batch.is_empty() || bytes < self.full_bytes)
            && let Some(entry) = state.waiting.pop_front()
        {
            bytes += entry.len();
            batch.push(entry);
        }
        state.bytes = state.bytes.saturating_sub(bytes);
        state.leaving = (batch.len(), bytes);
        state.first = (!state.waiting.is_empty()).then(Instant::now);
        batch
    }

    /// The batch that was on its way is gone, one way or the other.
    pub(super) fn gone(&self) {
        self.state().leaving = (0, 0);
    }

    /// Entries that wait, those on their way included.
    pub(super) fn len(&self) -> usize {
        let state = self.state();
        state.waiting.len() + state.leaving.0
    }

    /// Takes nothing more.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.intake == Intake::Open {
            state.intake = Intake::Closed;
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Gives up what waits; returns how much that is.
    pub(super) fn give_up(&self) -> usize {
        let mut state = self.state();
        state.bytes = 0;
        state.leaving = (0, 0);
        std::mem::take(&mut state.waiting).len()
    }

    /// Ends at once.
    pub(super) fn cut(&self) {
        self.state().intake = Intake::Cut;
        self.cut.notify_one();
        self.wake.notify_one();
    }

    /// Ready when everything must end at once.
    pub(super) async fn cut_off(&self) {
        while !self.is_cut() {
            self.cut.notified().await;
        }
    }

    pub(super) fn is_cut(&self) -> bool {
        self.state().intake == Intake::Cut
    }

    pub(super) fn reopen(&self) {
        self.state().is_to_reopen = true;
    }

    /// True once after each [`Queue::reopen`].
    pub(super) fn takes_reopen(&self) -> bool {
        std::mem::take(&mut self.state().is_to_reopen)
    }

    /// The task has ended.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.intake = Intake::Cut;
        state.task = Life::Ended;
        drop(state);
        self.ended.notify_all();
    }

    /// Waits until the task has ended, or until then. Blocks the calling thread.
    pub(super) fn wait_for_end(&self, until: std::time::Instant) -> bool {
        let state = self.state();
        let left = until.saturating_duration_since(std::time::Instant::now());
        // What never began has nothing to hand over.
        let runs = |state: &mut State| state.task == Life::Running;
        let waited = self.ended.wait_timeout_while(state, left, runs);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !runs(&mut state)
    }
}
