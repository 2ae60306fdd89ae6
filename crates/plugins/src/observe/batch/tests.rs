use std::sync::Mutex;

use bartizan_chain::Nothing;
use bartizan_net::{ConnectError, NoReach, Target, UpstreamIo};
use tokio::time::{Instant as TokioInstant, advance};

use super::*;
use crate::fixture::Bench;

/// Runs tasks on the runtime of the test.
#[derive(Debug)]
struct Here;

impl Reach for Here {
    fn connect<'a>(
        &'a self,
        target: &'a Target,
        limit: Duration,
    ) -> Task<'a, Result<UpstreamIo, ConnectError>> {
        NoReach.connect(target, limit)
    }

    fn send_datagrams<'a>(
        &'a self,
        target: &'a Target,
        datagrams: &'a [Bytes],
        limit: Duration,
    ) -> Task<'a, Result<(), ConnectError>> {
        NoReach.send_datagrams(target, datagrams, limit)
    }

    fn spawn(&self, task: Task<'static, ()>) {
        tokio::spawn(task);
    }

    fn run_blocking(&self, work: Box<dyn FnOnce() + Send>) -> Task<'static, ()> {
        work();
        Box::pin(std::future::ready(()))
    }
}

/// What a sink got, and how it behaves.
#[derive(Default)]
struct Log {
    /// When each batch came, in milliseconds, and what was in it.
    batches: Vec<(u128, Vec<String>)>,
    /// Fails so often, then works.
    failures: u32,
    /// How long a delivery takes.
    slow: Duration,
    reopened: u32,
}

struct Recorder(Arc<Mutex<Log>>, TokioInstant);

impl Deliver for Recorder {
    fn deliver<'a>(&'a mut self, batch: &'a [Bytes]) -> Task<'a, Result<usize, Undelivered>> {
        Box::pin(async move {
            let slow = self.0.lock().unwrap().slow;
            tokio::time::sleep(slow).await;
            let mut log = self.0.lock().unwrap();
            if log.failures > 0 {
                log.failures -= 1;
                return Err(Undelivered::new(&"it is down"));
            }
            let texts = batch.iter().map(|e| String::from_utf8(e.to_vec()).unwrap()).collect();
            log.batches.push((self.1.elapsed().as_millis(), texts));
            Ok(0)
        })
    }

    fn reopen(&mut self) {
        self.0.lock().unwrap().reopened += 1;
    }
}

struct Scene {
    bench: Bench,
    log: Arc<Mutex<Log>>,
    start: TokioInstant,
}

impl Scene {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.node.outside = Outside::new(Arc::new(Here), "test");
        Self { bench, log: Arc::default(), start: TokioInstant::now() }
    }

    fn sink(&self, change: impl FnOnce(&mut BatchSettings)) -> Batch {
        let mut settings = BatchSettings {
            entries: 3,
            bytes: 1_000,
            inactive: Duration::from_secs(5),
            oldest: Duration::from_secs(12),
            retries: 0,
            retry_delay: Duration::from_secs(1),
            pending: 10,
            pending_bytes: 2_000,
        };
        change(&mut settings);
        let (log, start) = (self.log.clone(), self.start);
        self.bench.within::<Probe, _>(|cx| {
            Batch::new(cx, &Batch::metrics(cx), "s", "routes/r", settings, move || {
                Box::new(Recorder(log.clone(), start))
            })
        })
    }

    fn batches(&self) -> Vec<(u128, Vec<String>)> {
        self.log.lock().unwrap().batches.clone()
    }

    fn count(&self, line: &str) -> u64 {
        let mut text = String::new();
        let registry = self.bench.node.metrics.lock().unwrap();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let found = text.lines().find(|own| own.starts_with(line)).unwrap_or_else(|| {
            panic!("no `{line}` in\n{text}");
        });
        found.rsplit(' ').next().unwrap().parse().unwrap()
    }

    fn dropped(&self, cause: &str) -> u64 {
        self.count(&format!(
            "bartizan_sink_dropped_total{{plugin=\"probe\",name=\"s\",resource=\"routes/r\",\
             cause=\"{cause}\"}}"
        ))
    }

    fn delivered(&self) -> u64 {
        self.count("bartizan_sink_delivered_total{plugin=\"probe\"")
    }
}

/// A plugin that only compiles.
struct Probe;

impl bartizan_chain::Plugin for Probe {
    const NAME: &'static str = "probe";
    const PRIORITY: i32 = 0;
    const KINSHIP: bartizan_chain::Kinship = bartizan_chain::Kinship::Ours;
    const STAGES: bartizan_core::StageSet = crate::observe::logger::OBSERVE;

    type Config = serde_json::Value;
    type ConsumerConfig = Nothing;
    type Metadata = Nothing;
    type Call = ();

    fn compile(
        _: serde_json::Value,
        _: &mut CompileCx<'_>,
    ) -> Result<Self, bartizan_config::Invalid> {
        Ok(Self)
    }

    fn traits(&self) -> bartizan_chain::Traits {
        bartizan_chain::Traits::default()
    }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn pass(seconds: u64) {
    for _ in 0..seconds {
        advance(Duration::from_secs(1)).await;
        settle().await;
    }
}

fn push(sink: &Batch, texts: &[&str]) {
    for text in texts {
        sink.push(text.as_bytes());
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_leaves_at_once_and_the_rest_when_nothing_comes() {
    let scene = Scene::new();
    let sink = scene.sink(|_| {});
    push(&sink, &["1", "2", "3", "4"]);
    settle().await;
    let three = vec!["1".to_owned(), "2".into(), "3".into()];
    assert_eq!(scene.batches(), [(0, three.clone())]);
    pass(4).await;
    assert_eq!(scene.batches().len(), 1);
    pass(1).await;
    assert_eq!(scene.batches(), [(0, three), (5_000, vec!["4".into()])]);
    assert_eq!((scene.delivered(), scene.dropped("full")), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_trickles_in_leaves_when_its_first_entry_is_old() {
    let scene = Scene::new();
    let sink = scene.sink(|settings| settings.entries = 100);
    for _ in 0..4 {
        push(&sink, &["x"]);
        pass(4).await;
    }
    let (at, batch) = scene.batches().remove(0);
    assert_eq!((at, batch.len()), (12_000, 3));
}

#[tokio::test(start_paused = true)]
async fn bytes_fill_a_batch_too() {
    let scene = Scene::new();
    let sink = scene.sink(|settings| settings.bytes = 4);
    push(&sink, &["12", "34", "5"]);
    settle().await;
    assert_eq!(scene.batches(), [(0, vec!["12".into(), "34".into()])]);
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_dropped_and_counted() {
    let scene = Scene::new();
    scene.log.lock().unwrap().slow = Duration::from_secs(60);
    let sink = scene.sink(|_| {});
    push(&sink, &["1", "2", "3"]);
    settle().await;
    // Three are on their way and count as well.
    push(&sink, &["x"; 20]);
    assert_eq!(scene.dropped("full"), 13);
    let other = scene.sink(|settings| settings.pending_bytes = 5);
    push(&other, &["1234", "12"]);
    assert_eq!(scene.dropped("full"), 14);
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_tried_as_often_as_said_and_then_dropped() {
    for (failures, dropped) in [(2, 0), (3, 3)] {
        let scene = Scene::new();
        scene.log.lock().unwrap().failures = failures;
        let sink = scene.sink(|settings| settings.retries = 2);
        push(&sink, &["1", "2", "3"]);
        settle().await;
        pass(3).await;
        assert_eq!((scene.dropped("failed"), scene.delivered()), (dropped, 3 - dropped));
        // It goes on afterwards.
        push(&sink, &["4", "5", "6"]);
        settle().await;
        assert_eq!(scene.delivered(), 6 - dropped);
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_lets_the_sink_hand_over_what_it_has() {
    let scene = Scene::new();
    let sink = scene.sink(|_| {});
    push(&sink, &["1"]);
    drop(sink);
    settle().await;
    assert_eq!(scene.batches(), [(0, vec!["1".into()])]);
}

#[tokio::test(start_paused = true)]
async fn files_are_opened_anew_before_the_next_batch() {
    let scene = Scene::new();
    let sink = scene.sink(|_| {});
    scene.bench.node.outside.sinks.reopen();
    push(&sink, &["1", "2", "3"]);
    settle().await;
    assert_eq!(scene.log.lock().unwrap().reopened, 1);
}

/// With real threads and time, since closing waits for other threads.
fn with_threads(test: impl FnOnce()) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    test();
}

#[test]
fn closing_waits_until_everything_is_handed_over() {
    with_threads(|| {
        let scene = Scene::new();
        let sink = scene.sink(|_| {});
        push(&sink, &["1", "2"]);
        scene.bench.node.outside.sinks.close(Duration::from_secs(20));
        assert_eq!(scene.batches().len(), 1);
        push(&sink, &["late"]);
        assert_eq!((scene.delivered(), scene.dropped("closed")), (2, 1));
    });
}

#[test]
fn a_sink_that_does_not_end_is_cut_and_its_entries_counted() {
    with_threads(|| {
        let scene = Scene::new();
        scene.log.lock().unwrap().slow = Duration::from_secs(3_600);
        let sink = scene.sink(|_| {});
        push(&sink, &["1", "2", "3", "4", "5"]);
        scene.bench.node.outside.sinks.close(Duration::from_millis(50));
        assert_eq!((scene.delivered(), scene.dropped("closed")), (0, 5));
    });
}

#[test]
fn a_sink_that_was_never_used_is_closed_at_once() {
    with_threads(|| {
        let scene = Scene::new();
        let _sink = scene.sink(|_| {});
        let before = Instant::now();
        scene.bench.node.outside.sinks.close(Duration::from_secs(20));
        assert!(before.elapsed() < Duration::from_secs(10));
    });
}

proptest::proptest! {
    /// Every entry is delivered, or dropped and counted; and the order is kept.
    #[test]
    fn nothing_is_lost_silently(
        steps in proptest::collection::vec((0_u64..8, 0_usize..6), 1..30),
        failures in 0_u32..6,
        retries in 0_u32..3,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let scene = Scene::new();
            scene.log.lock().unwrap().failures = failures;
            let sink = scene.sink(|settings| settings.retries = retries);
            let mut sent = 0_u64;
            for (wait, count) in steps {
                for _ in 0..count {
                    sent += 1;
                    sink.push(sent.to_string().as_bytes());
                }
                pass(wait).await;
            }
            drop(sink);
            pass(60).await;
            let got: Vec<u64> = scene
                .batches()
                .into_iter()
                .flat_map(|(_, texts)| texts)
                .map(|text| text.parse().unwrap())
                .collect();
            assert!(got.is_sorted());
            let delivered = scene.delivered();
            assert_eq!(delivered, got.len() as u64);
            let dropped: u64 = ["full", "failed", "closed"].iter().map(|c| scene.dropped(c)).sum();
            assert_eq!(delivered + dropped, sent);
        });
    }
}
