//! `bartizan quickstart`.

use std::net::TcpListener;

use crate::driver::{Bench, mode};

const CHECK: [&str; 4] = ["quickstart", "--check", "--state", "state"];

#[test]
fn every_protection_does_what_it_says_and_again() {
    let bench = Bench::new();
    let first = bench.bartizan(&CHECK).succeeds();
    assert!(first.ends_with("as they must be, and no refused request reached the API.\n"));
    assert!(!first.contains("FAILED"), "{first}");
    let keys = ["tls/ca.pem", "tls/server.key", "secrets/alice.secret", "resources.yaml"];
    let before = keys.map(|name| bench.read(&format!("state/{name}")));
    assert_eq!(bench.bartizan(&CHECK).succeeds(), first);
    assert_eq!(keys.map(|name| bench.read(&format!("state/{name}"))), before);
}

#[test]
fn its_configuration_passes_the_check_without_a_warning() {
    let bench = Bench::new();
    bench.bartizan(&CHECK).succeeds();
    let summary = bench.bartizan(&["check", "-c", "state/bartizan.yaml"]).succeeds();
    assert!(summary.contains("anyone: \"the price list is public\""), "{summary}");
    assert!(summary.ends_with("5 routes, 3 consumers, 0 warnings.\n"), "{summary}");
}

#[test]
fn a_protection_that_is_gone_is_noticed() {
    let bench = Bench::new();
    bench.bartizan(&CHECK).succeeds();
    bench.replace(
        "state/resources.yaml",
        "whitelist: [\"192.0.2.0/24\"]",
        "blacklist: [\"192.0.2.0/24\"]",
    );
    let told = bench.bartizan(&CHECK).fails_with(1);
    assert!(told.contains("address not allowed: reached the API 1 times, not 0"), "{told}");
}

#[test]
fn a_configuration_that_was_broken_since_is_told_and_kept() {
    let bench = Bench::new();
    bench.bartizan(&CHECK).succeeds();
    bench.replace("state/resources.yaml", "uri: /prices", "urii: /prices");
    let told = bench.bartizan(&CHECK).fails_with(2);
    assert!(told.contains("unknown field `urii`"), "{told}");
    assert!(bench.read("state/resources.yaml").contains("urii"));
}

#[test]
fn the_state_folder_is_closed_to_others_and_to_repositories() {
    let bench = Bench::new();
    bench.bartizan(&CHECK).succeeds();
    assert_eq!(mode(&bench.path("state")), 0o700);
    assert_eq!(bench.read("state/.gitignore"), "*\n");
    for name in ["secrets/alice.secret", "tls/server.key", "audit.jsonl"] {
        assert_eq!(mode(&bench.path(&format!("state/{name}"))), 0o600, "{name}");
    }
}

#[test]
fn ports_that_are_taken_are_left_alone() {
    let bench = Bench::new();
    bench.bartizan(&CHECK).succeeds();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    bench.replace("state/bartizan.yaml", "127.0.0.1:9443", &address);
    bench.replace("state/bartizan.yaml", "127.0.0.1:9091", "127.0.0.2:0");
    let node = bench.serve(&["quickstart", "--state", "state"]);
    assert_ne!(node.listeners[0].to_string(), address);
    assert!(bench.read("state/bartizan.yaml").contains(&address), "the file stays as it is");
    assert!(node.stop().success());
}

#[test]
fn a_state_folder_that_cannot_be_is_told_with_a_remedy() {
    let bench = Bench::with(&[("file", "")]);
    let told = bench.bartizan(&["quickstart", "--check", "--state", "file/state"]).fails_with(2);
    assert_eq!(
        told,
        "\
error: cannot create the folder `file/state`: not a directory
 |
 = help: choose another folder with `--state`

"
    );
}
