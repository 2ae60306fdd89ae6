//! Replays the fuzzers' corpora on the stable toolchain.

use std::fs;
use std::path::Path;

use bartizan_plugins::fuzz;

fn replay(target: &str, law: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let input = fs::read(entry.unwrap().path()).unwrap();
        // Every start of it is an input as well.
        for end in 0..=input.len() {
            law(&input[..end]);
        }
        inputs += 1;
    }
    assert!(inputs > 0, "no corpus in {}", folder.display());
}

#[test]
fn replays_fuzz_corpus_hmac_params() {
    replay("hmac_params", fuzz::hmac_params);
}

#[test]
fn replays_fuzz_corpus_jwe() {
    replay("jwe", fuzz::jwe);
}

#[test]
fn replays_fuzz_corpus_graphql_query() {
    replay("graphql_query", fuzz::graphql_query);
}
