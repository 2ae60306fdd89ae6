//! Replays the fuzzers' corpora on the stable toolchain.

use std::fs;
use std::path::Path;

use bartizan_wire::fuzz;

fn replay(target: &str, law: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        law(&input);
        // Every start of it is an input as well.
        for end in 0..input.len() {
            law(&input[..end]);
        }
        inputs += 1;
    }
    assert!(inputs > 0, "no corpus in {}", folder.display());
}

#[test]
fn replays_fuzz_corpus_request_head() {
    replay("request_head", fuzz::request_head);
}

#[test]
fn replays_fuzz_corpus_response_head() {
    replay("response_head", fuzz::response_head);
}

#[test]
fn replays_fuzz_corpus_chunked() {
    replay("chunked", fuzz::chunked);
}

#[test]
fn replays_fuzz_corpus_canonical() {
    replay("canonical", fuzz::canonical);
}

#[test]
fn replays_fuzz_corpus_h2_connection() {
    replay("h2_connection", fuzz::h2_connection);
}

#[test]
fn replays_fuzz_corpus_hpack() {
    replay("hpack", fuzz::hpack);
}

#[test]
fn replays_fuzz_corpus_frames() {
    replay("frames", fuzz::frames);
}
