use std::io::{self, Write};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use bartizan_core::metrics::NodeMetrics;
use bartizan_core::{ManualClock, Reason, Timestamp};
use serde_json::Value;

use super::*;
use crate::event::EventKind;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const PATIENCE: Duration = Duration::from_secs(30);

/// What was written, for the test to read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Page {
    fn lines(&self) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        bytes.split_inclusive(|&b| b == b'\n').map(|l| serde_json::from_slice(l).unwrap()).collect()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A page that says when a write begins, and does it when the test lets it.
struct Gate {
    page: Page,
    begun: Sender<()>,
    may: Receiver<()>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.may.recv();
        self.page.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A page that takes a few bytes at a time and fails in between.
struct Flaky(Page, u32);

impl Write for Flaky {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1 += 1;
        match self.1 % 4 {
            1 => Err(io::ErrorKind::StorageFull.into()),
            2 => Err(io::ErrorKind::Interrupted.into()),
            _ => self.0.write(&bytes[..bytes.len().min(300)]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gate() -> (Gate, Page, Receiver<()>, Sender<()>) {
    let (page, (begun, begins), (lets, may)) = (Page::default(), channel(), channel());
    (Gate { page: page.clone(), begun, may }, page, begins, lets)
}

fn options(target: impl Write + Send + 'static) -> AuditOptions {
    let targets = vec![Target::Writer(Box::new(target))];
    let mut options = AuditOptions::new(targets, &Limits::default(), SharedMetrics::default());
    options.clock = Clock::Manual(ManualClock::at(START));
    options
}

fn refusal(peer: u32) -> Event {
    let mut event = Event::new(EventKind::Denied, START);
    event.client = Some(IpAddr::V4(peer.into()));
    event.reason = Some(Reason::NoRoute);
    event
}

fn count(line: &Value) -> u64 {
    line.get("count").map_or(1, |count| count.as_u64().unwrap())
}

fn of<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["event"] == kind).collect()
}

#[test]
fn closing_writes_everything_that_was_recorded() {
    let page = Page::default();
    let log = AuditLog::open(options(page.clone())).unwrap();
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let log = log.clone();
            thread::spawn(move || (0..500).for_each(|i| log.record(refusal(worker << 16 | i))))
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(log.close(PATIENCE), Ok(()));
    let mut clients: Vec<_> = page.lines().iter().map(|l| l["client"].to_string()).collect();
    clients.sort_unstable();
    clients.dedup();
    assert_eq!(clients.len(), 2_000);
}

#[test]
fn a_flood_of_one_peer_is_few_lines_with_the_exact_count() {
    let page = Page::default();
    let log = AuditLog::open(options(page.clone())).unwrap();
    (0..100_000).for_each(|_| log.record(refusal(7)));
    assert_eq!(log.close(PATIENCE), Ok(()));
    let lines = page.lines();
    assert_eq!(lines.len(), 11);
    assert_eq!(of(&lines, "folded").iter().map(|l| count(l)).collect::<Vec<_>>(), [99_990]);
}

#[test]
fn what_a_full_queue_drops_is_counted_exactly() {
    let (gate, page, begins, lets) = gate();
    let metrics = Arc::new(NodeMetrics::default());
    let mut options = AuditOptions { queue: 4, ..options(gate) };
    options.metrics = Arc::clone(&metrics);
    let log = AuditLog::open(options).unwrap();
    log.record(refusal(0));
    begins.recv().unwrap();
    (1..20).for_each(|peer| log.record(refusal(peer)));
    assert_eq!(metrics.audit_dropped.get(), 16);
    drop(lets);
    assert_eq!(log.close(PATIENCE), Ok(()));
    let lines = page.lines();
    assert_eq!(of(&lines, "denied").len(), 4);
    assert_eq!(of(&lines, "dropped").iter().map(|l| count(l)).sum::<u64>(), 16);
}

#[test]
fn with_deny_a_full_queue_lets_no_request_through() {
    let (gate, page, begins, lets) = gate();
    let options = AuditOptions { queue: 2, on_full: OnFull::Deny, ..options(gate) };
    let log = AuditLog::open(options).unwrap();
    log.record(refusal(0));
    begins.recv().unwrap();
    let slot = log.reserve().unwrap();
    assert!(log.reserve().is_none());
    drop(slot);
    let slot = log.reserve().unwrap();
    log.record_reserved(slot, refusal(1));
    assert!(log.reserve().is_none(), "the event waits in the place that was reserved");
    drop(lets);
    assert_eq!(log.close(PATIENCE), Ok(()));
    assert_eq!(page.lines().len(), 2);
    assert!(log.reserve().is_none(), "nothing can be recorded any more");
}

#[test]
fn with_count_a_full_queue_stops_nothing() {
    let (gate, _, begins, _lets) = gate();
    let log = AuditLog::open(AuditOptions { queue: 1, ..options(gate) }).unwrap();
    log.record(refusal(0));
    begins.recv().unwrap();
    assert!(log.reserve().is_some() && log.reserve().is_some());
}

#[test]
fn closing_waits_for_the_event_of_a_request_that_still_runs() {
    let page = Page::default();
    let options = AuditOptions { on_full: OnFull::Deny, ..options(page.clone()) };
    let log = AuditLog::open(options).unwrap();
    let slot = log.reserve().unwrap();
    let closing = thread::spawn({
        let log = log.clone();
        move || log.close(PATIENCE)
    });
    while log.reserve().is_some() {
        thread::yield_now();
    }
    log.record_reserved(slot, refusal(1));
    assert_eq!(closing.join().unwrap(), Ok(()));
    assert_eq!(page.lines().len(), 1);
}

#[test]
fn a_sink_that_fails_now_and_then_loses_and_tears_nothing() {
    let page = Page::default();
    let log = AuditLog::open(options(Flaky(page.clone(), 0))).unwrap();
    (0..20).for_each(|peer| log.record(refusal(peer)));
    assert_eq!(log.close(PATIENCE), Ok(()));
    let clients: Vec<_> = page.lines().iter().map(|l| l["client"].clone()).collect();
    let expected: Vec<_> = (0..20).map(|peer| Value::from(format!("0.0.0.{peer}"))).collect();
    assert_eq!(clients, expected);
}

#[test]
fn what_cannot_be_written_before_the_end_is_told_to_the_caller() {
    let metrics = Arc::new(NodeMetrics::default());
    let mut options = AuditOptions { fold: 1, ..options(Flaky(Page::default(), 0)) };
    options.targets = vec![Target::File("/dev/full".into())];
    options.metrics = Arc::clone(&metrics);
    let log = AuditLog::open(options).unwrap();
    (0..7).for_each(|_| log.record(refusal(1)));
    assert_eq!(log.close(Duration::ZERO), Err(CloseError::Lost(7)));
    assert_eq!(metrics.audit_dropped.get(), 7);
}

#[test]
fn what_is_recorded_after_closing_is_counted_as_dropped() {
    let metrics = Arc::new(NodeMetrics::default());
    let mut options = options(Page::default());
    options.metrics = Arc::clone(&metrics);
    let log = AuditLog::open(options).unwrap();
    assert_eq!(log.close(PATIENCE), Ok(()));
    log.record(refusal(1));
    assert_eq!(metrics.audit_dropped.get(), 1);
}

#[test]
fn files_are_private_and_opened_anew_when_asked() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("audit.jsonl"), folder.path().join("audit.1"));
    std::fs::write(&path, "{\"from\":\"before\"}\n").unwrap();
    let mut options = options(Page::default());
    options.targets = vec![Target::File(path.clone())];
    let log = AuditLog::open(options).unwrap();
    log.record(refusal(1));
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    log.record(refusal(2));
    assert_eq!(log.close(PATIENCE), Ok(()));
    let (old, new) =
        (std::fs::read_to_string(&moved).unwrap(), std::fs::read_to_string(&path).unwrap());
    assert!(old.starts_with("{\"from\":\"before\"}\n"));
    assert!(new.contains("0.0.0.2") && (old.contains("0.0.0.1") || new.contains("0.0.0.1")));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let mut options = options(Page::default());
    options.targets = vec![Target::File("/nowhere/audit.jsonl".into())];
    let error = AuditLog::open(options).unwrap_err().to_string();
    assert!(error.starts_with("cannot write to `/nowhere/audit.jsonl`: "), "{error}");
}

#[test]
fn a_log_that_nobody_holds_is_written_to_its_end() {
    let (gate, page, begins, lets) = gate();
    let log = AuditLog::open(options(gate)).unwrap();
    log.record(refusal(1));
    begins.recv().unwrap();
    log.record(refusal(2));
    let state = Arc::clone(&log.0.state);
    drop(log);
    drop(lets);
    assert_eq!(state.life.wait(PATIENCE), Ok(()));
    assert_eq!(page.lines().len(), 2);
}
