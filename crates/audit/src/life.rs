//! The life of a writer thread: running, closing until a deadline, finished.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::sink::CloseError;

/// How long after its deadline a thread is waited for, so that it can say what it lost.
const GRACE: Duration = Duration::from_secs(1);

/// What a writer thread and those who write through it share.
#[derive(Debug, Default)]
pub(crate) struct Life {
    deadline: OnceLock<Instant>,
    is_closing: AtomicBool,
    is_reopening: AtomicBool,
    is_finished: Mutex<bool>,
    finished: Condvar,
    lost: AtomicU64,
}

impl Life {
    /// From now on nothing is accepted; what was accepted is written until `within` has passed.
    pub(crate) fn close(&self, within: Duration) {
        let _ = self.deadline.set(Instant::now() + within);
        self.is_closing.store(true, Ordering::SeqCst);
    }

    /// True once nothing more is accepted.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::SeqCst)
    }

    /// True once there is no time left to write.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline.get().is_some_and(|deadline| Instant::now() >= *deadline)
    }

    /// Asks for the files to be opened anew.
    pub(crate) fn reopen(&self) {
        self.is_reopening.store(true, Ordering::SeqCst);
    }

    /// True once after each [`Life::reopen`].
    pub(crate) fn takes_reopen(&self) -> bool {
        self.is_reopening.load(Ordering::Relaxed) && self.is_reopening.swap(false, Ordering::SeqCst)
    }

    /// Counts what was accepted and could not be written.
    pub(crate) fn lose(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::SeqCst);
    }

    /// Waits for the thread to end.
    pub(crate) fn wait(&self, within: Duration) -> Result<(), CloseError> {
        let guard = self.lock();
        let waited = self.finished.wait_timeout_while(guard, within + GRACE, |is| !*is);
        let is_finished = *waited.map_or_else(|e| e.into_inner().0, |(guard, _)| guard);
        match self.lost.load(Ordering::SeqCst) {
            _ if !is_finished => Err(CloseError::Stuck),
            0 => Ok(()),
            lost => Err(CloseError::Lost(lost)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_finished.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held by a writer thread; says that it ended, also when it panicked.
pub(crate) struct Finish<'a>(pub(crate) &'a Life);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.is_closing.store(true, Ordering::SeqCst);
        *self.0.lock() = true;
        self.0.finished.notify_all();
    }
}
