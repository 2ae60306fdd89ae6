//! The access log: one line for each request, in batches from each worker.
//!
//! A worker formats into a buffer of its own, without a lock or a system call, and hands it over
//! when it is full or old. A thread writes the buffers. When too many wait, a buffer is dropped and
//! its lines are counted; a line `{"time": …, "dropped": n}` says so when there is room again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use bartizan_core::metrics::SharedMetrics;
use bartizan_core::{Clock, Limits, Timestamp};

use crate::access_line::AccessLine;
use crate::json::{self, key};
use crate::life::{Finish, Life};
use crate::sink::{CloseError, OpenError, Sinks, Target};
use crate::stamp::Stamp;

/// A buffer with so many bytes is handed over.
const FULL: usize = 32 * 1_024;
/// A buffer whose first line is so old is handed over.
const AGE_MAX: Duration = Duration::from_millis(100);
/// How often the thread looks whether there is something besides buffers to do.
const TICK: Duration = Duration::from_millis(100);
/// How long a log that was not closed is written on when its last user is gone.
const ABANDONED: Duration = Duration::from_secs(1);

/// How the access log is written.
#[derive(Debug)]
pub struct AccessOptions {
    /// Where to; each gets every line.
    pub targets: Vec<Target>,
    /// Buffers of 32 KiB that may wait (`limits.access_queue`).
    pub queue: u32,
    /// The time that is written with the number of dropped lines.
    pub clock: Clock,
    /// Where drops are counted.
    pub metrics: SharedMetrics,
}

impl AccessOptions {
    /// Options with the queue that the limits say.
    pub fn new(targets: Vec<Target>, limits: &Limits, metrics: SharedMetrics) -> Self {
        Self { targets, queue: limits.access_queue, clock: Clock::System, metrics }
    }
}

/// Formatted lines. Without any, it only wakes the thread.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    lines: u64,
}

struct State {
    life: Life,
    clock: Clock,
    metrics: SharedMetrics,
    /// Drops that were not told yet.
    dropped: AtomicU64,
    /// Empty buffers to be used again.
    spare: Mutex<Vec<Vec<u8>>>,
    spare_max: usize,
}

impl State {
    fn drop_lines(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::SeqCst);
        self.metrics.access_dropped.inc_by(lines);
        self.metrics.limit_hit("access_queue");
    }

    fn empty_buffer(&self) -> Vec<u8> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Vec::with_capacity(FULL + FULL / 4))
    }

    fn take_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < self.spare_max {
            spare.push(buffer);
        }
    }
}

struct Inner {
    state: Arc<State>,
    queue: SyncSender<Batch>,
    thread: Thread,
}

impl Inner {
    fn wake(&self) {
        // If there is no room, the thread is awake.
        let _ = self.queue.try_send(Batch::default());
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

/// The access log of a node. Clones write into the same one.
#[derive(Clone)]
pub struct AccessLog(Arc<Inner>);

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessLog")
    }
}

impl AccessLog {
    /// Opens the sinks and starts the thread that writes.
    pub fn open(options: AccessOptions) -> Result<Self, OpenError> {
        let places = usize::try_from(options.queue).unwrap_or(usize::MAX).clamp(1, 1 << 16);
        let (queue, receiver) = sync_channel(places);
        let state = Arc::new(State {
            life: Life::default(),
            clock: options.clock,
            metrics: options.metrics,
            dropped: AtomicU64::new(0),
            spare: Mutex::default(),
            spare_max: places.min(16),
        });
        let (sinks, shared) = (Sinks::open(options.targets)?, Arc::clone(&state));
        let thread = thread::Builder::new()
            .name("access".to_owned())
            .spawn(move || run(&shared, &receiver, sinks));
        let thread = thread.map_err(OpenError::Thread)?.thread().clone();
        Ok(Self(Arc::new(Inner { state, queue, thread })))
    }

    /// A writer for one worker.
    pub fn writer(&self) -> AccessWriter {
        AccessWriter {
            batch: Batch { bytes: self.0.state.empty_buffer(), lines: 0 },
            log: self.clone(),
            stamp: Stamp::default(),
            first: None,
        }
    }

    /// Opens the files anew, after they were moved away (SIGUSR1).
    pub fn reopen(&self) {
        self.0.state.life.reopen();
        self.0.wake();
    }

    /// Waits until what was handed over is written, at most `within` and a second. Blocks the
    /// thread it is called on. The workers' writers must be flushed or dropped before.
    pub fn close(&self, within: Duration) -> Result<(), CloseError> {
        self.0.state.life.close(within);
        self.0.wake();
        self.0.state.life.wait(within)
    }
}

/// Formats and collects the lines of one worker.
pub struct AccessWriter {
    log: AccessLog,
    stamp: Stamp,
    batch: Batch,
    /// The last time at which the buffer was known to be empty or young.
    first: Option<Timestamp>,
}

impl std::fmt::Debug for AccessWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessWriter").field("lines", &self.batch.lines).finish_non_exhaustive()
    }
}

impl AccessWriter {
    /// Appends a line.
    pub fn write(&mut self, line: &AccessLine<'_>) {
        line.write(&mut self.batch.bytes, &mut self.stamp);
        self.batch.lines += 1;
        if self.batch.bytes.len() >= FULL {
            self.flush();
        }
    }

    /// Hands the lines over if the oldest has waited for 100 ms, give or take the time between two
    /// calls. A worker calls it about that often.
    pub fn tick(&mut self, now: Timestamp) {
        if self.batch.lines == 0 {
            return;
        }
        let first = *self.first.get_or_insert(now);
        if now < first || now.since(first) >= AGE_MAX {
            self.flush();
        }
    }

    /// Hands over what was written.
    pub fn flush(&mut self) {
        self.first = None;
        if self.batch.lines == 0 {
            return;
        }
        let state = &self.log.0.state;
        let next = Batch { bytes: state.empty_buffer(), lines: 0 };
        let batch = std::mem::replace(&mut self.batch, next);
        if let Err(refused) = self.log.0.queue.try_send(batch) {
            use std::sync::mpsc::TrySendError::{Disconnected, Full};
            let (Full(batch) | Disconnected(batch)) = refused;
            state.drop_lines(batch.lines);
            state.take_back(batch.bytes);
        }
    }
}

impl Drop for AccessWriter {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Writes until the log is closed and the queue is empty.
fn run(state: &State, queue: &Receiver<Batch>, mut sinks: Sinks) {
    let _finish = Finish(&state.life);
    let mut stamp = Stamp::default();
    loop {
        let is_closing = state.life.is_closing();
        let wait = if is_closing { Duration::ZERO } else { TICK };
        match queue.recv_timeout(wait) {
            Ok(batch) => {
                if !batch.bytes.is_empty() && !sinks.write(&batch.bytes, &state.life) {
                    state.life.lose(batch.lines);
                    state.metrics.access_dropped.inc_by(batch.lines);
                }
                if batch.lines > 0 {
                    state.take_back(batch.bytes);
                }
            }
            Err(RecvTimeoutError::Timeout) if !is_closing => {}
            Err(_) => break,
        }
        sinks.reopen_if_asked(&state.life, &[]);
        tell_dropped(state, &mut sinks, &mut stamp);
    }
    tell_dropped(state, &mut sinks, &mut stamp);
}

fn tell_dropped(state: &State, sinks: &mut Sinks, stamp: &mut Stamp) {
    let dropped = state.dropped.swap(0, Ordering::SeqCst);
    if dropped == 0 {
        return;
    }
    let mut line = b"{\"time\":\"".to_vec();
    stamp.write(&mut line, state.clock.now());
    line.push(b'"');
    json::number(&mut line, key!("dropped"), dropped);
    line.extend_from_slice(b"}\n");
    // What was dropped is counted in the metric already; this only tells it.
    sinks.write(&line, &state.life);
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
