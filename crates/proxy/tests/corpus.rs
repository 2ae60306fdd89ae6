//! Replays the fuzzers' corpora on the stable toolchain.

use bartizan_testkit::corpus::replay;

#[test]
fn replays_fuzz_corpus_resources() {
    replay("resources", 7, bartizan_proxy::fuzz::resources);
}
