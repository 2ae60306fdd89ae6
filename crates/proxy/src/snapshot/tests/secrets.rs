//! Certificates of the listeners.

use std::sync::Arc;
use std::time::Duration;

use bartizan_core::Secret;
use bartizan_tls::{Authority, Issued, KeyKind, Validity};
use serde_json::{Value, json};

use super::fixture::{Bench, NOW};

fn issue(names: &[&str]) -> Issued {
    let validity = Validity::starting(NOW, Duration::from_secs(86_400));
    let authority = Authority::create("test", validity).unwrap();
    authority.issue_server(names, validity, KeyKind::EcP256).unwrap()
}

fn text(key: &Secret) -> &str {
    key.expose_str().unwrap()
}

fn node(own: &[&Issued]) -> Value {
    let certificates: Vec<Value> = own
        .iter()
        .enumerate()
        .map(|(at, issued)| {
            json!({ "cert": issued.chain, "key": text(&issued.key), "default": at == 0 })
        })
        .collect();
    json!({ "listeners": [
        { "address": "127.0.0.1:9080" },
        { "address": "127.0.0.1:9443", "tls": { "certificates": certificates } },
    ] })
}

fn ssl(id: &str, sni: &str, issued: &Issued) -> Value {
    json!({ "id": id, "sni": sni, "cert": issued.chain, "key": text(&issued.key) })
}

#[test]
fn a_listener_shows_its_own_certificates_and_those_of_the_resources() {
    let (own, other) = (issue(&["own.example"]), issue(&["other.example"]));
    let bench = Bench::new(&node(&[&own]));
    let snapshot = bench.compile(&json!({ "ssls": [ssl("o", "other.example", &other)] }));
    // The plaintext listener shows nothing; it has the names to judge hosts by.
    assert!(snapshot.tls[0].as_ref().is_some_and(|store| store.server_config(None).is_none()));
    let store = snapshot.tls[1].as_ref().unwrap();
    for (name, is_served) in [
        (Some("own.example"), true),
        (Some("other.example"), true),
        (Some("third.example"), false),
        (None, true),
    ] {
        assert_eq!(store.server_config(name).is_some(), is_served, "{name:?}");
    }
}

#[test]
fn without_a_default_who_names_no_server_is_refused() {
    let other = issue(&["other.example"]);
    let snapshot =
        Bench::new(&node(&[])).compile(&json!({ "ssls": [ssl("o", "other.example", &other)] }));
    assert!(snapshot.tls[1].as_ref().unwrap().server_config(None).is_none());
}

#[test]
fn a_certificate_out_of_service_is_not_shown() {
    let other = issue(&["other.example"]);
    let mut off = ssl("o", "other.example", &other);
    off["status"] = json!(0);
    let snapshot = Bench::new(&node(&[])).compile(&json!({ "ssls": [off] }));
    assert!(snapshot.tls[1].as_ref().unwrap().server_config(Some("other.example")).is_none());
    let told: Vec<_> = snapshot.report.warnings.iter().map(|warning| &warning.problem).collect();
    let problem = "listener `127.0.0.1:9443` has no certificate: every handshake is refused";
    assert_eq!(told, [problem]);
}

#[test]
fn a_listeners_own_certificate_at_fault_is_told_before_anything_is_served() {
    let (one, other) = (issue(&["one.example"]), issue(&["two.example"]));
    let mixed = Issued { chain: one.chain, key: other.key };
    let faults = Bench::try_new(&node(&[&mixed])).err().unwrap();
    assert_eq!(faults.len(), 1);
    let diagnostic = faults[0].diagnostic(&bartizan_config::Sources::new());
    assert_eq!(&*diagnostic.path, "listeners[1].tls.certificates[0].key");
}

#[test]
fn certificates_at_fault_are_told_once_at_their_resource_whether_or_not_they_are_shown() {
    let (one, other) = (issue(&["one.example"]), issue(&["two.example"]));
    let mixed = Issued { chain: one.chain, key: other.key };
    let plaintext = json!({ "listeners": [{ "address": "127.0.0.1:9080" }] });
    let mut twice = node(&[]);
    twice["listeners"][0]["tls"] = json!({});
    for node in [plaintext, node(&[]), twice] {
        let bench = Bench::new(&node);
        let written = json!({ "ssls": [ssl("o", "one.example", &mixed)] });
        let (resources, sources) = bench.read(&written).unwrap();
        let faults = bench.compiler.compile(&resources, 1, None).err().unwrap();
        let paths: Vec<_> = faults.iter().map(|fault| fault.diagnostic(&sources).path).collect();
        assert_eq!(paths, [Arc::from("ssls[0].key")]);
    }
}
