//! Replays the fuzzers' corpora on the stable toolchain.

use bartizan_testkit::corpus::replay;

#[test]
fn replays_fuzz_corpus_vars() {
    replay("vars", 1, bartizan_chain::fuzz::vars);
}
