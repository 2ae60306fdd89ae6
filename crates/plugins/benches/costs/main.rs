//! What each plugin costs a request that it lets through, in this process and on this thread:
//! nanoseconds and instructions of a chain with the plugin, less those of the same
//! chain without it. The entries are in `bench/plugins.yaml`; `cargo xtask bench plugins` starts
//! this program, as it is and under callgrind, and makes the tables.
//!
//! A request here is all that the gateway does for one between its codecs: the context is made,
//! every stage is run, the head of an answer is shaped and encoded, its body is changed where a
//! plugin asks for that, and the end is told. What a logger has queued leaves between the measured
//! blocks, not inside of them.

mod credentials;
mod entries;
mod ground;
mod near;
mod traffic;

use std::hint::black_box;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_chain::Chain;
use bartizan_plugins::{AnyPlugin, CATALOGUE};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use entries::{Document, Entry};
use ground::Ground;
use traffic::Traffic;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Requests that fill caches and counters before anything is measured.
const WARM_UP: usize = 512;
/// The same under callgrind, which is slow and needs no warm processor.
const WARM_UP_COUNTED: usize = 48;
/// Requests whose instructions are counted together.
const COUNTED: usize = 16;
/// Pairs of blocks that are timed.
const PAIRS: usize = 61;
/// About as long as one block takes.
const BLOCK: Duration = Duration::from_micros(1_500);
/// The most requests of a block: as many as every logger has room for.
const BLOCK_MAX: usize = 2_000;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (task, rest) = words.split_first().expect("a task: list, time or count");
    let stage = Stage::new(PathBuf::from(rest.first().expect("a folder")));
    let document = Document::read();
    let only = |from: usize| rest.get(from..).unwrap_or_default().to_vec();
    match (*task, rest) {
        ("list", [_, server, sink]) => {
            println!("{}", stage.list(&document, server, sink));
        }
        ("time", _) => stage.each(&document, &only(1), |subject| stage.time(subject)),
        ("count", _) => stage.each(&document, &only(1), |subject| stage.count(subject)),
        _ => panic!("list FOLDER SERVER SINK, time FOLDER [NAME…] or count FOLDER [NAME…]"),
    }
}

/// An entry with all that its requests need.
struct Subject {
    name: String,
    with: Arc<Chain<AnyPlugin>>,
    without: Arc<Chain<AnyPlugin>>,
    traffic: Traffic,
}

/// Where the subjects are measured.
struct Stage {
    runtime: Runtime,
    local: LocalSet,
    ground: Rc<Ground>,
}

impl Stage {
    fn new(folder: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let ground = Rc::new(Ground::new(folder));
        Self { runtime: runtime.expect("a runtime"), local: LocalSet::new(), ground }
    }

    fn wait<F: Future>(&self, work: F) -> F::Output {
        self.runtime.block_on(self.local.run_until(work))
    }

    /// Lets everything that runs beside the requests come to rest.
    fn settle(&self) {
        self.wait(async {
            for _ in 0..64 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// What stands for words in the entry of this number.
    fn words(&self, number: usize, entry: &Entry, server: &str, sink: &str) -> Map<String, Value> {
        let prefix = format!("/p/{number:02}");
        let mut words = self.ground.credentials.words(&prefix, entry.target());
        words.insert("server".into(), json!(server));
        words.insert("sink".into(), sink.parse::<u16>().map_or(Value::Null, Value::from));
        words.insert("folder".into(), json!(self.ground.folder));
        if entry.names("csrf") {
            words.insert("csrf".into(), json!(""));
            let asking = entry.filled(&words).asking("GET");
            let subject = self.subject("csrf", &asking);
            let token = self.wait(subject.traffic.cookie(&self.ground, &subject.with));
            words.insert("csrf".into(), json!(token));
        }
        words
    }

    fn subject(&self, name: &str, entry: &Entry) -> Subject {
        let chain = |plugins| self.ground.chain(name, plugins);
        let (with, without) = (chain(&entry.with(true)), chain(&entry.without(true)));
        Subject { name: name.to_owned(), with, without, traffic: Traffic::new(entry) }
    }

    /// Does something with each subject, or with those that are named.
    fn each(&self, document: &Document, only: &[&str], work: impl Fn(&Subject)) {
        for (number, (name, entry)) in document.entries().enumerate() {
            if !only.is_empty() && !only.contains(&&**name) {
                continue;
            }
            let entry = entry.filled(&self.words(number, entry, near::SERVER, near::SINK));
            let subject = self.subject(name, &entry);
            self.wait(subject.traffic.verify(&self.ground, &subject.without, false, name));
            self.wait(subject.traffic.verify(&self.ground, &subject.with, entry.answers, name));
            work(&subject);
            self.settle();
        }
    }

    /// Everything as the gateway is configured and asked with it.
    fn list(&self, document: &Document, server: &str, sink: &str) -> Value {
        let mut entries = Vec::new();
        for (number, (name, entry)) in document.entries().enumerate() {
            let mut words = self.words(number, entry, server, sink);
            let filled = entry.filled(&words);
            // The signature of the other route's request is over the other route's path.
            let other = format!("/q/{number:02}");
            words.insert("prefix".into(), json!(other));
            let without = entry.filled(&words);
            entries.push(json!({
                "name": name,
                "beyond": entry.beyond,
                "answers": entry.answers,
                "with": {"plugins": filled.with(false), "request": filled.request()},
                "without": {"plugins": filled.without(false), "request": without.request()},
            }));
        }
        let consumer = document.consumer(&self.ground.credentials.words("", "/"));
        json!({
            "consumer": consumer,
            "entries": entries,
            "catalogue": CATALOGUE.iter().map(|entry| entry.name).collect::<Vec<_>>(),
        })
    }

    /// Times pairs of blocks, and prints what one request more costs.
    fn time(&self, subject: &Subject) {
        let block = |chain: &Arc<Chain<AnyPlugin>>, count| {
            let began = Instant::now();
            self.measured(subject, chain, count);
            let spent = began.elapsed();
            self.settle();
            spent
        };
        block(&subject.without, WARM_UP);
        let warm = block(&subject.with, WARM_UP).max(block(&subject.with, WARM_UP));
        let share = BLOCK.as_nanos() * WARM_UP as u128 / warm.as_nanos().max(1);
        let count = usize::try_from(share).unwrap_or(BLOCK_MAX).clamp(8, BLOCK_MAX);
        let each = |spent: Duration| spent.as_secs_f64() * 1e9 / f64::from(as_u32(count));
        let pairs: Vec<(f64, f64)> = (0..PAIRS)
            .map(|_| (each(block(&subject.without, count)), each(block(&subject.with, count))))
            .collect();
        let mut more: Vec<f64> = pairs.iter().map(|(without, with)| with - without).collect();
        let mut without: Vec<f64> = pairs.iter().map(|(without, _)| *without).collect();
        more.sort_by(f64::total_cmp);
        without.sort_by(f64::total_cmp);
        let found = json!({
            "name": subject.name,
            "ns": more[PAIRS / 2],
            "low": more[PAIRS / 4],
            "high": more[PAIRS * 3 / 4],
            "without": without[PAIRS / 2],
        });
        println!("{found}");
    }

    /// Runs what callgrind counts: requests without the plugin, then with it. The name tells whose
    /// counts come next.
    fn count(&self, subject: &Subject) {
        for chain in [&subject.without, &subject.with] {
            self.requests(subject, chain, WARM_UP_COUNTED);
            self.settle();
            self.measured(subject, chain, COUNTED);
            self.settle();
        }
        println!("{}", json!({"name": subject.name, "requests": COUNTED}));
    }

    /// What is measured. Callgrind finds it by its name.
    #[inline(never)]
    fn measured(&self, subject: &Subject, chain: &Arc<Chain<AnyPlugin>>, count: usize) {
        self.requests(black_box(subject), chain, count);
    }

    fn requests(&self, subject: &Subject, chain: &Arc<Chain<AnyPlugin>>, count: usize) {
        self.wait(async {
            for _ in 0..count {
                subject.traffic.pass(&self.ground, chain).await;
            }
        });
    }
}

fn as_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
