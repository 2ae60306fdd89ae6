//! Events in memory.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use bartizan_audit::{AuditLog, Event, EventKind};
use bartizan_core::Timestamp;
use serde_json::Value;

/// How long the audit thread may take. It takes microseconds, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Begins the detail of the event that marks how far the log is written.
const MARK: &str = "testkit mark ";

#[derive(Default)]
struct Written {
    bytes: Vec<u8>,
    marks: u64,
}

/// What the audit log wrote.
#[derive(Clone, Default)]
pub(crate) struct MemoryLog {
    shared: Arc<(Mutex<Written>, Condvar)>,
}

impl Write for MemoryLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let (written, changed) = &*self.shared;
        written.lock().unwrap_or_else(PoisonError::into_inner).bytes.extend_from_slice(bytes);
        changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MemoryLog {
    /// Every event recorded so far, in order. A mark is sent through the queue behind them; when
    /// it is written, they are.
    pub(crate) fn read(&self, log: &AuditLog) -> Vec<Value> {
        let (written, changed) = &*self.shared;
        let mut guard = written.lock().unwrap_or_else(PoisonError::into_inner);
        guard.marks += 1;
        let mark = format!("{MARK}{}", guard.marks);
        drop(guard);
        let mut event = Event::new(EventKind::Node, Timestamp::default());
        event.detail = Some(mark.clone().into());
        log.record(event);

        let guard = written.lock().unwrap_or_else(PoisonError::into_inner);
        let needle = format!("\"{mark}\"");
        let is_missing = |written: &mut Written| {
            !written.bytes.windows(needle.len()).any(|window| window == needle.as_bytes())
        };
        let (guard, waited) = changed
            .wait_timeout_while(guard, PATIENCE, is_missing)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the audit log does not write");
        let text = String::from_utf8_lossy(&guard.bytes).into_owned();
        text.lines().filter(|line| !line.contains(MARK)).map(parse).collect()
    }
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("no event: {error}: {line}"))
}
