//! The built binary, a Vault beside it, and secrets that lie in its store.

use std::time::Duration;

use bartizan_testkit::VaultDouble;
use serde_json::json;

use crate::driver::Bench;
use crate::stores::{node, status};

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A document of ADC whose consumer has its key in Vault.
fn document(port: u16) -> String {
    format!(
        "\
services:
- name: orders
  upstream: {{ nodes: [{{ host: 127.0.0.1, port: 1, weight: 1 }}] }}
  routes:
  - name: list
    uris: [/a]
    plugins: {{ key-auth: {{}}, any-authenticated: {{ reason: a test }} }}
consumers:
- username: jack
  credentials:
  - {{ name: laptop, type: key-auth, config: {{ key: $secret://vault/1/jack/key, danger_weak_secret: true }} }}
secrets:
- id: vault/1
  uri: http://127.0.0.1:{port}
  prefix: kv2/gateway
  kv_version: 2
  refresh: 1s
  auth: {{ approle: {{ role_id: gateway, secret_id: $file://secret-id }} }}
"
    )
}

fn bench() -> (Bench, VaultDouble) {
    let vault = VaultDouble::default();
    let body = json!({ "role_id": "gateway", "secret_id": "s3cret" });
    vault.let_in("approle", body, Duration::from_secs(600));
    vault.put("kv2/gateway/jack", json!({ "key": "first-key" }));
    let node = node("{ file: { path: adc.yaml } }");
    let document = document(vault.listen());
    let files = [("bartizan.yaml", &*node), ("adc.yaml", &*document), ("secret-id", "s3cret\n")];
    (Bench::with(&files), vault)
}

#[test]
fn a_key_in_vault_is_used_and_its_successor_without_a_word() {
    let (bench, vault) = bench();
    assert!(bench.bartizan(&["check"]).succeeds().contains("In order: 1 route, 1 consumer"));
    let mut serving = bench.serve(&["run"]);
    let with = |serving: &crate::driver::Serving, key: &str| {
        status(&serving.get("/a", &format!("apikey: {key}\r\n"))).to_owned()
    };
    let (first, second) = (with(&serving, "first-key"), with(&serving, "second-key"));
    assert_eq!((&*first, &*second), ("502", "401"));
    vault.put("kv2/gateway/jack", json!({ "key": "second-key" }));
    serving.log_line("reloaded");
    let (first, second) = (with(&serving, "first-key"), with(&serving, "second-key"));
    assert_eq!((&*first, &*second), ("401", "502"));
    // Where files reject, the configuration in force stays, and it is told why the newest is not.
    vault.remove("kv2/gateway/jack");
    serving.log_line("the change is refused: ");
    assert_eq!(with(&serving, "second-key"), "502");
    let ready = serving.status_page("/readyz");
    assert!(ready.contains("there is nothing at the path"), "{ready}");
    assert!(!ready.contains("second-key"), "{ready}");
    assert!(serving.status_page("/metrics").contains("bartizan_secrets_failing 1\n"));
    assert!(serving.stop().success());
}

#[test]
fn a_secret_that_cannot_be_had_is_shown_where_it_is_referred_to() {
    let (bench, vault) = bench();
    vault.seal(true);
    let told = bench.bartizan(&["check"]).fails_with(2);
    assert!(told.contains("`$secret://vault/1/jack/key` cannot be had from"), "{told}");
    assert!(told.contains("it is sealed or out of order (status 503)"), "{told}");
    assert!(told.contains("adc.yaml:11:52"), "{told}");
    bench.write("secret-id", "another\n");
    vault.seal(false);
    let told = bench.bartizan(&["check"]).fails_with(2);
    assert!(told.contains("does not let the gateway in by `approle` (status 400)"), "{told}");
    assert!(!told.contains("another"), "{told}");
}

#[test]
fn keys_of_a_store_are_of_32_bytes_and_named_once() {
    let encryption = |keys: &str| {
        node(&format!("{{ embedded: {{ path: store, encryption: {{ keys: [{keys}] }} }} }}"))
    };
    for (keys, code, words) in [
        (format!("{{ id: a, key: {KEY} }}, {{ id: a, key: x }}"), 2, "the id is given twice"),
        (format!("{{ id: a, key: {KEY} }}, {{ id: b, key: {KEY} }}"), 2, "the key is given twice"),
        ("{ id: a/b, key: x }".to_owned(), 2, "expected a name of up to 64"),
        ("{ id: a, key: hunter2 }".to_owned(), 2, "the key `a` of `store.embedded.encryption`"),
    ] {
        let bench = Bench::with(&[("bartizan.yaml", &encryption(&keys))]);
        let told = bench.bartizan(&["run", "--log-level", "off"]).fails_with(code);
        assert!(told.contains(words), "{keys}: {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}
