use std::io::{self, Write};
use std::sync::mpsc::{Sender, channel};

use bartizan_core::RequestId;
use bartizan_core::metrics::NodeMetrics;
use serde_json::Value;

use super::*;

const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const PATIENCE: Duration = Duration::from_secs(30);

/// Collects what is written; each write begins when the test lets it.
#[derive(Clone)]
struct Page {
    bytes: Arc<Mutex<Vec<u8>>>,
    begun: Sender<()>,
    may: Arc<Mutex<Receiver<()>>>,
}

impl Page {
    fn new() -> (Self, Receiver<()>, Sender<()>) {
        let ((begun, begins), (lets, may)) = (channel(), channel());
        (Self { bytes: Arc::default(), begun, may: Arc::new(Mutex::new(may)) }, begins, lets)
    }

    fn open() -> Self {
        Self::new().0
    }

    fn lines(&self) -> Vec<Value> {
        let bytes = self.bytes.lock().unwrap();
        bytes.split_inclusive(|&b| b == b'\n').map(|l| serde_json::from_slice(l).unwrap()).collect()
    }
}

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.may.lock().unwrap().recv();
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(page: &Page, queue: u32) -> (AccessLog, SharedMetrics) {
    let metrics = Arc::new(NodeMetrics::default());
    let targets = vec![Target::Writer(Box::new(page.clone()))];
    let options = AccessOptions::new(targets, &Limits::default(), Arc::clone(&metrics));
    let clock = Clock::Manual(bartizan_core::ManualClock::at(START));
    (AccessLog::open(AccessOptions { queue, clock, ..options }).unwrap(), metrics)
}

fn line(path: &str) -> AccessLine<'_> {
    AccessLine {
        time: START,
        id: RequestId::from_bytes([0; 16]),
        client: None,
        method: b"GET",
        host: b"h",
        path: path.as_bytes(),
        http: "1.1",
        status: 200,
        reason: None,
        bytes_in: 0,
        bytes_out: 0,
        total: Duration::ZERO,
        upstream_time: None,
        route: None,
        service: None,
        consumer: None,
        upstream: None,
        tls: None,
        sni: None,
        user_agent: None,
    }
}

#[test]
fn every_line_of_every_worker_is_written_in_its_order() {
    let page = Page::open();
    let (log, metrics) = open(&page, 256);
    let workers: Vec<_> = (0..3)
        .map(|worker| {
            let mut writer = log.writer();
            thread::spawn(move || {
                (0..2_000).for_each(|i| writer.write(&line(&format!("/{worker}/{i}"))));
            })
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(log.close(PATIENCE), Ok(()));
    let lines = page.lines();
    for worker in 0..3 {
        let prefix = format!("/{worker}/");
        let of = lines.iter().filter_map(|l| l["path"].as_str().unwrap().strip_prefix(&prefix));
        let expected: Vec<_> = (0..2_000).map(|i| i.to_string()).collect();
        assert_eq!(of.collect::<Vec<_>>(), expected);
    }
    assert_eq!(metrics.access_dropped.get(), 0);
}

#[test]
fn lines_are_handed_over_when_they_are_old() {
    let (page, begins, lets) = Page::new();
    let (log, _) = open(&page, 8);
    drop(lets);
    let mut writer = log.writer();
    writer.tick(START);
    writer.write(&line("/a"));
    writer.tick(START.plus(Duration::from_millis(10)));
    assert_eq!(writer.batch.lines, 1);
    writer.tick(START.plus(Duration::from_millis(110)));
    assert_eq!(writer.batch.lines, 0);
    begins.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_buffer_is_handed_over_when_it_is_full() {
    let (page, begins, lets) = Page::new();
    let (log, _) = open(&page, 8);
    drop(lets);
    let mut writer = log.writer();
    while writer.batch.bytes.len() < FULL - 1_024 {
        writer.write(&line("/a"));
    }
    writer.write(&line(&"a".repeat(1_024)));
    assert_eq!(writer.batch.lines, 0);
    begins.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn lines_that_a_stalled_sink_costs_are_counted_exactly() {
    let (page, begins, lets) = Page::new();
    let (log, metrics) = open(&page, 1);
    let mut writer = log.writer();
    writer.write(&line("/first"));
    writer.flush();
    begins.recv().unwrap();
    for buffer in 0..4 {
        (0..=buffer).for_each(|_| writer.write(&line("/more")));
        writer.flush();
    }
    assert_eq!(metrics.access_dropped.get(), 2 + 3 + 4);
    drop(lets);
    drop(writer);
    assert_eq!(log.close(PATIENCE), Ok(()));
    let lines = page.lines();
    assert_eq!(lines.iter().filter(|l| l["path"].is_string()).count(), 2);
    assert_eq!(lines.iter().filter_map(|l| l["dropped"].as_u64()).sum::<u64>(), 9);
}

#[test]
fn files_are_opened_anew_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (path, moved) = (folder.path().join("access.jsonl"), folder.path().join("access.1"));
    let targets = vec![Target::File(path.clone())];
    let options = AccessOptions::new(targets, &Limits::default(), SharedMetrics::default());
    let log = AccessLog::open(options).unwrap();
    std::fs::rename(&path, &moved).unwrap();
    log.reopen();
    let mut writer = log.writer();
    writer.write(&line("/after"));
    drop(writer);
    assert_eq!(log.close(PATIENCE), Ok(()));
    assert!(std::fs::read_to_string(&path).unwrap().contains("/after"));
}

#[test]
fn buffers_are_used_again() {
    let page = Page::open();
    let (log, _) = open(&page, 8);
    let mut writer = log.writer();
    writer.write(&line("/a"));
    drop(writer);
    assert_eq!(log.close(PATIENCE), Ok(()));
    assert!(!log.0.state.spare.lock().unwrap().is_empty());
}
