//! Replays the fuzzers' corpora on the stable toolchain.

use std::fs;
use std::path::Path;

use bartizan_waf::fuzz;

/// Replays each input, and what is left of it without so many bytes at its end, again and again.
fn replay_in_steps(target: &str, law: fn(&[u8]), step: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        for end in (0..=input.len()).rev().step_by(step) {
            law(&input[..end]);
        }
        inputs += 1;
    }
    assert!(inputs > 0, "no corpus in {}", folder.display());
}

fn replay(target: &str, law: fn(&[u8])) {
    replay_in_steps(target, law, 1);
}

#[test]
fn replays_fuzz_corpus_waf_transformations() {
    replay("waf_transformations", fuzz::waf_transformations);
}

#[test]
fn replays_fuzz_corpus_waf_bodies() {
    replay("waf_bodies", fuzz::waf_bodies);
}

#[test]
fn replays_fuzz_corpus_waf_seclang() {
    replay_in_steps("waf_seclang", fuzz::waf_seclang, 5);
}

#[test]
fn replays_fuzz_corpus_waf_operators() {
    replay("waf_operators", fuzz::waf_operators);
}

#[test]
fn replays_fuzz_corpus_waf_detectors() {
    replay("waf_detectors", fuzz::waf_detectors);
}

#[test]
fn replays_fuzz_corpus_waf_transactions() {
    replay_in_steps("waf_transactions", fuzz::waf_transactions, 29);
}
