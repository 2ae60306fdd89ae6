//! Replays the fuzzers' corpora on the stable toolchain.

use bartizan_plugins::fuzz;
use bartizan_testkit::corpus::replay;

#[test]
fn replays_fuzz_corpus_hmac_params() {
    replay("hmac_params", 1, fuzz::hmac_params);
}

#[test]
fn replays_fuzz_corpus_jwe() {
    replay("jwe", 1, fuzz::jwe);
}

#[test]
fn replays_fuzz_corpus_graphql_query() {
    replay("graphql_query", 1, fuzz::graphql_query);
}

#[test]
fn replays_fuzz_corpus_jwt() {
    replay("jwt", 3, fuzz::jwt);
}

#[test]
fn replays_fuzz_corpus_json_schema() {
    replay("json_schema", 5, fuzz::json_schema);
}

#[test]
fn replays_fuzz_corpus_openapi() {
    // A document takes a while to compile.
    replay("openapi", 7, fuzz::openapi);
}
