//! `bartizan init`.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::driver::{Bench, mode};

const UPSTREAM: &str = "http://127.0.0.1:3000";

#[test]
fn what_it_writes_passes_the_check() {
    let bench = Bench::new();
    bench.bartizan(&["init", "--upstream", UPSTREAM]).succeeds();
    let summary = bench.bartizan(&["check", "-c", "bartizan.yaml"]).succeeds();
    assert_eq!(
        summary,
        "\
ROUTE       SERVES  FROM  WHO       MAY                   HOW OFTEN    WHAT
everything  /*      -     key-auth  consumer-restriction  limit-count  -

In order: 1 route, 1 consumer, 0 warnings.
"
    );
}

#[test]
fn an_upstream_that_is_spoken_to_in_clear_is_told() {
    let bench = Bench::new();
    bench.bartizan(&["init", "--upstream", "http://api.example"]).succeeds();
    let summary = bench.bartizan(&["check", "-c", "bartizan.yaml"]).succeeds();
    assert!(summary.contains("warning: upstream `api` is spoken to in clear"), "{summary}");
}

#[test]
fn the_key_is_its_owners_and_in_no_configuration() {
    let bench = Bench::new();
    bench.bartizan(&["init", "--upstream", UPSTREAM]).succeeds();
    let key = bench.read("secrets/first-client.key");
    assert_eq!(key.trim().len(), 43);
    assert_eq!(mode(&bench.path("secrets/first-client.key")), 0o600);
    assert_eq!(mode(&bench.path("secrets")), 0o700);
    assert!(!bench.read("resources.yaml").contains(key.trim()));
    assert_eq!(bench.read("secrets/.gitignore"), "*\n");
}

#[test]
fn nothing_is_replaced_unless_it_is_forced() {
    let bench = Bench::with(&[("resources.yaml", "mine")]);
    let told = bench.bartizan(&["init", "--upstream", UPSTREAM]).fails_with(2);
    assert!(told.contains("`resources.yaml` exists already"), "{told}");
    assert!(told.contains("`--force`"), "{told}");
    assert_eq!(bench.read("resources.yaml"), "mine");
    assert!(!bench.path("bartizan.yaml").exists() && !bench.path("secrets").exists());
    bench.bartizan(&["init", "--upstream", UPSTREAM, "--force"]).succeeds();
    bench.bartizan(&["check"]).succeeds();
}

#[test]
fn other_machines_are_not_served_in_clear() {
    let bench = Bench::new();
    let arguments = ["init", "--upstream", UPSTREAM, "--listen", "0.0.0.0:80"];
    let told = bench.bartizan(&arguments).fails_with(2);
    assert!(told.contains("there is no certificate yet"), "{told}");
    assert!(!bench.path("bartizan.yaml").exists());
}

#[test]
fn the_api_gets_requests_with_the_key_only_and_never_the_key() {
    let api = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", api.local_addr().unwrap());
    let bench = Bench::new();
    let listen = ["--listen", "127.0.0.1:0"];
    bench.bartizan(&[&["init", "--upstream", &upstream][..], &listen].concat()).succeeds();
    bench.replace("bartizan.yaml", "127.0.0.1:9091", "127.0.0.2:0");
    let node = bench.serve(&["run"]);

    assert!(node.get("/a", "").starts_with("HTTP/1.1 401 "));
    let key = bench.read("secrets/first-client.key");
    let seen = std::thread::spawn(move || {
        let (mut stream, _) = api.accept().unwrap();
        let mut seen = [0; 4_096];
        let length = stream.read(&mut seen).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
        String::from_utf8_lossy(&seen[..length]).into_owned()
    });
    let answer = node.get("/b", &format!("apikey: {}\r\n", key.trim()));
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hi"), "{answer}");
    let seen = seen.join().unwrap();
    // The first request that the API sees at all is the one with the key.
    assert!(seen.starts_with("GET /b HTTP/1.1\r\n"), "{seen}");
    assert!(!seen.contains(key.trim()), "{seen}");
    assert!(node.stop().success());
}
