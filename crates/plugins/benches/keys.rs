//! What API keys cost by their number: memory by key, and the time of a look-up. `cargo xtask bench
//! identity` starts this program once for each number and makes the table.
//!
//! Keys are made of what a configuration says, by `key-auth` itself, a thousand credentials to a
//! consumer. They are asked for in no order, so that what does not fit into the processor's caches
//! is waited for, as it is in a gateway.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bartizan_chain::{
    CompileCx, Consumer, ConsumerIndex, CpuPool, CredentialEntry, NodeFacts, Outside, StateRegistry,
};
use bartizan_config::{ResourceKind, ResourceRef};
use bartizan_core::{Clock, Compatibility, Limits, NodeKey};
use bartizan_net::NoReach;
use serde_json::json;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The plugin whose keys these are.
const PLUGIN: &str = "key-auth";
/// Keys of one consumer.
const OF_ONE: usize = 1_000;
/// The most keys that are asked for, in turn.
const ASKED: usize = 100_000;
/// How long one measurement takes.
const TIME: Duration = Duration::from_millis(300);
/// Measurements, of which the median counts.
const TIMES: usize = 9;

/// What one of the keys that are asked for is known by.
#[derive(Clone, Copy)]
struct Known {
    shown: [u8; 32],
    lookup: [u8; 17],
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` adds a word of its own.
    let number = words.iter().find_map(|word| word.parse::<usize>().ok());
    let number = number.expect("how many keys").max(1);
    let node = node();
    let step = number.div_ceil(ASKED);
    // Written to, so that it is resident before the keys are.
    let mut asked = vec![Known { shown: [1; 32], lookup: [1; 17] }; number / step];
    // So is what a key is looked up in that does not look random at once.
    entry(&node, b"seven violet otters juggle");
    let before = resident();
    let index = index(&node, number, |n, known| {
        if let (0, Some(place)) = (n % step, asked.get_mut(n / step)) {
            *place = known;
        }
    });
    let bytes = as_float(resident().saturating_sub(before)) / as_float(number);
    shuffle(&mut asked);
    let find_ns = median(|| find(&index, &asked, |_| {}));
    let whole_ns = median(|| {
        find(&index, &asked, |known| _ = black_box(node.key.digest(PLUGIN, &known.shown)))
    });
    println!(
        "{}",
        json!({"keys": number, "find_ns": find_ns, "whole_ns": whole_ns, "bytes": bytes})
    );
}

fn node() -> NodeFacts {
    let limits = Limits::default();
    NodeFacts {
        compatibility: Compatibility::None,
        cpu: CpuPool::inline(&limits),
        limits,
        clock: Clock::System,
        key: NodeKey::random(),
        hash_keys: bartizan_core::HashKeys::default(),
        key_uses: bartizan_chain::KeyUses::default(),
        metrics: Arc::default(),
        registry: StateRegistry::default(),
        base_dir: std::path::PathBuf::new(),
        files: bartizan_chain::FilesRead::default(),
        started: Clock::System.now(),
        counts: Arc::default(),
        pages: bartizan_chain::Pages::default(),
        outside: Outside::new(Arc::new(NoReach), "gateway"),
        redactor: Arc::default(),
    }
}

/// The key of this number: as random as keys have to look.
fn shown(number: usize) -> [u8; 32] {
    let mut shown = [0; 32];
    for (part, digits) in (0_u64..).zip(shown.chunks_mut(16)) {
        let mixed = mix(number as u64 * 2 + part);
        digits.copy_from_slice(format!("{mixed:016x}").as_bytes());
    }
    shown
}

/// A number that tells nothing of the one that it is made of (splitmix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// What `key-auth` makes of a credential's configuration.
fn entry(node: &NodeFacts, shown: &[u8]) -> CredentialEntry {
    let plugin = bartizan_plugins::find(PLUGIN).expect("the plugin");
    let resource = ResourceRef { kind: ResourceKind::Consumer, id: Arc::from("c") };
    let shown = std::str::from_utf8(shown).expect("digits");
    let config = json!({"key": shown, "expires_at": "2100-01-01T00:00:00Z"});
    let mut cx = CompileCx {
        node,
        resource: &resource,
        plugin: plugin.name,
        is_disabled: false,
        metadata: None,
        exposed: &std::cell::RefCell::default(),
        has_consumer: &|_| true,
        has_group: &|_| true,
        proto: &|_| None,
    };
    (plugin.credential)(&config, &mut cx).unwrap_or_else(|fault| panic!("{fault}"))
}

/// So many keys, each of which is also told.
fn index(node: &NodeFacts, number: usize, mut told: impl FnMut(usize, Known)) -> ConsumerIndex {
    let mut index = ConsumerIndex::default();
    for first in (0..number).step_by(OF_ONE) {
        let name: Arc<str> = format!("consumer-{first}").into();
        let consumer = Arc::new(Consumer::new(name.clone(), None, Vec::new()));
        index.add_consumer(consumer.clone());
        for n in first..number.min(first + OF_ONE) {
            let shown = shown(n);
            let entry = entry(node, &shown);
            let lookup = (*entry.lookup).try_into().expect("as long as a key's look-up");
            told(n, Known { shown, lookup });
            let id: Arc<str> = format!("{n:08}").into();
            index.add_credential(PLUGIN, &consumer, Some(id), entry).expect("a key of one only");
        }
        index.settle(&name);
    }
    index
}

fn shuffle(asked: &mut [Known]) {
    for at in (1..asked.len()).rev() {
        let other = usize::try_from(mix(at as u64)).unwrap_or_default() % (at + 1);
        asked.swap(at, other);
    }
}

/// Nanoseconds of processor time of one look-up, with what is taken of what it finds.
fn find(index: &ConsumerIndex, asked: &[Known], before: impl Fn(&Known)) -> f64 {
    let (begin, before_all, mut count) = (Instant::now(), spent(), 0_usize);
    let mut turn = asked.iter().cycle();
    while begin.elapsed() < TIME {
        for known in turn.by_ref().take(1_000) {
            before(known);
            let found = index.find(PLUGIN, &known.lookup).expect("a key that is there");
            black_box((found.consumer.clone(), found.credential.cloned()));
        }
        count += 1_000;
    }
    as_float(spent().saturating_sub(before_all)) / as_float(count)
}

/// Nanoseconds that the kernel charged to this thread.
fn spent() -> usize {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("a thread");
    text.split(' ').next().and_then(|first| first.parse().ok()).expect("its time")
}

fn median(once: impl Fn() -> f64) -> f64 {
    let mut times: Vec<f64> = (0..TIMES).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Resident memory of this process, in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let amount = line.and_then(|line| line.split_whitespace().next());
    amount.and_then(|amount| amount.parse::<usize>().ok()).expect("its memory") * 1_024
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn as_float(number: usize) -> f64 {
    number as f64
}
