use std::time::Duration;

use bartizan_chain::{Consumer, Peer, TlsFacts};
use bartizan_tls::{Authority, ClientSource, Issued, Validity};
use serde_json::json;

use super::*;
use crate::fixture::{Bench, arrival};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn authority() -> Authority {
    Authority::create("clients", validity(100_000)).unwrap()
}

fn validity(secs: u64) -> Validity {
    Validity::starting(NOW, Duration::from_secs(secs))
}

fn verified(authority: &Authority, issued: &Issued) -> ClientCertificate {
    let source =
        ClientSource { ca: authority.certificate(), depth: 1, skip_mtls_uri_regex: Vec::new() };
    ClientCertificate::verify(&issued.chain, &source, NOW).unwrap()
}

fn alice(authority: &Authority) -> ClientCertificate {
    let names = ["spiffe://example.org/alice", "alice@example.org", "alice.example"];
    verified(authority, &authority.issue_client("alice", &names, validity(1_000)).unwrap())
}

fn index(credentials: &[(&str, Value)]) -> ConsumerIndex {
    let bench = Bench::new();
    let mut index = ConsumerIndex::default();
    for (name, config) in credentials {
        let consumer = Arc::new(Consumer::new((*name).into(), None, Vec::new()));
        index.add_consumer(consumer.clone());
        let entry = bench.credential::<MtlsAuth>(config).unwrap();
        index.add_credential(MtlsAuth::NAME, &consumer, None, entry).unwrap();
    }
    index
}

fn judge(
    config: &Value,
    certificate: &ClientCertificate,
    index: &ConsumerIndex,
) -> Result<String, Fault> {
    let plugin: MtlsAuth = Bench::new().compile(config).unwrap();
    let parts = plugin.judge(certificate, index, NOW)?;
    Ok(parts.consumer.map_or_else(|| "nobody".to_owned(), |owner| owner.username().to_owned()))
}

#[test]
fn a_certificate_belongs_to_whoever_names_it_in_any_way() {
    let certificate = alice(&authority());
    for name in [
        json!({ "thumbprint": certificate.fingerprint() }),
        json!({ "spiffe_id": "spiffe://example.org/alice" }),
        json!({ "uri": "spiffe://example.org/alice" }),
        json!({ "email": "alice@EXAMPLE.org" }),
        json!({ "dns": "ALICE.example" }),
        json!({ "subject": "CN=alice" }),
    ] {
        let index = index(&[("alice", name.clone())]);
        assert_eq!(judge(&json!({}), &certificate, &index).as_deref(), Ok("alice"), "{name}");
    }
    for name in [
        json!({ "thumbprint": "00".repeat(32) }),
        json!({ "spiffe_id": "spiffe://example.org/alic" }),
        json!({ "uri": "SPIFFE://example.org/alice" }),
        json!({ "email": "Alice@example.org" }),
        json!({ "dns": "example" }),
        json!({ "dns": "alice" }),
        json!({ "subject": "CN=Alice" }),
    ] {
        let index = index(&[("alice", name.clone())]);
        assert_eq!(judge(&json!({}), &certificate, &index), Err(Fault::Nobody), "{name}");
    }
}

#[test]
fn a_certificate_of_two_consumers_is_of_none() {
    let certificate = alice(&authority());
    let both = [
        ("alice", json!({ "spiffe_id": "spiffe://example.org/alice" })),
        ("mallory", json!({ "subject": "CN=alice" })),
    ];
    let index = index(&both);
    let two = Fault::Two("alice".into(), "mallory".into());
    assert_eq!(judge(&json!({}), &certificate, &index), Err(two));
    let config = json!({ "names": ["subject"] });
    assert_eq!(judge(&config, &certificate, &index).as_deref(), Ok("mallory"));
    let config = json!({ "names": ["dns"] });
    assert_eq!(judge(&config, &certificate, &index), Err(Fault::Nobody));
}

#[test]
fn a_second_uri_makes_a_spiffe_id_ambiguous() {
    let authority = authority();
    let names = ["spiffe://example.org/alice", "spiffe://example.org/bob"];
    let issued = authority.issue_client("x", &names, validity(1_000)).unwrap();
    let certificate = verified(&authority, &issued);
    let index = index(&[("alice", json!({ "spiffe_id": "spiffe://example.org/alice" }))]);
    assert_eq!(judge(&json!({}), &certificate, &index), Err(Fault::Nobody));
    let config = json!({ "trust_domains": ["example.org"], "without_consumer": true });
    assert_eq!(judge(&config, &certificate, &index), Err(Fault::TrustDomain));
}

#[test]
fn a_wildcard_in_a_certificate_is_no_host() {
    let authority = authority();
    let issued = authority.issue_client("x", &["*.example"], validity(1_000)).unwrap();
    let certificate = verified(&authority, &issued);
    let index = index(&[("alice", json!({ "dns": "alice.example" }))]);
    assert_eq!(judge(&json!({}), &certificate, &index), Err(Fault::Nobody));
}

#[test]
fn a_certificate_that_the_host_did_not_ask_for_counts_for_nothing() {
    let certificate = Arc::new(alice(&authority()));
    let tls = TlsFacts {
        sni: None,
        version: "TLSv1.3",
        cipher: None,
        is_resumed: false,
        client_certificate: Some(certificate),
    };
    let mut start = arrival("/", &[("client-cert", ":AAAA:")]);
    start.peer =
        Arc::new(Peer::new(([192, 0, 2, 1], 1).into(), ([192, 0, 2, 2], 2).into(), Some(tls)));
    start.consumers = Arc::new(index(&[("alice", json!({ "subject": "CN=alice" }))]));
    let plugin: MtlsAuth = Bench::new().compile(&json!({})).unwrap();
    let mut cx = RequestCx::new(start, None);
    assert_eq!(plugin.prove(&cx).map(drop), Err(Fault::Missing));
    cx.admit_certificate();
    let (parts, _) = plugin.prove(&cx).unwrap();
    assert_eq!(parts.consumer.unwrap().username(), "alice");
    let plain = RequestCx::new(arrival("/", &[]), None);
    assert_eq!(plugin.prove(&plain).map(drop), Err(Fault::Plain));
}

#[test]
fn only_the_path_that_verified_is_told() {
    let root = authority();
    let below = root.subordinate("below", validity(100_000)).unwrap();
    let issued = below.issue_client("alice", &[], validity(1_000)).unwrap();
    let stranger = Authority::create("stranger", validity(1_000)).unwrap();
    let chain = format!("{}{}", issued.chain, stranger.certificate());
    let certificate = verified(&root, &Issued { chain, key: issued.key });
    let plugin: MtlsAuth = Bench::new().compile(&json!({ "forward": "chain" })).unwrap();
    let [leaf, above] = plugin.told(&certificate, NOW).unwrap();
    let (name, value) = leaf.unwrap();
    assert_eq!(
        (name, &value[..1], &value[value.len() - 1..]),
        ("client-cert", &b":"[..], &b":"[..])
    );
    let (name, value) = above.unwrap();
    assert_eq!(name, "client-cert-chain");
    assert!(!value.contains(&b','), "one certificate");
}

#[test]
fn what_is_revoked_or_not_spoken_of_is_refused() {
    let root = authority();
    let below = root.subordinate("below", validity(100_000)).unwrap();
    let good = root.issue_client("good", &[], validity(1_000)).unwrap();
    let bad = root.issue_client("bad", &[], validity(1_000)).unwrap();
    let deep = below.issue_client("deep", &[], validity(1_000)).unwrap();
    let list = root.revocation_list(&[&bad], validity(500)).unwrap();
    let forged = authority().revocation_list(&[], validity(500)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("root.crl"), list).unwrap();
    std::fs::write(folder.path().join("forged.crl"), forged).unwrap();
    let mut bench = Bench::new();
    folder.path().clone_into(&mut bench.node.base_dir);
    let judge_at = |config: &Value, issued: &Issued, secs: u64| {
        let plugin: MtlsAuth = bench.compile(config).unwrap();
        let now = Timestamp::from_secs(1_000_000 + secs);
        let verdict = plugin.judge(&verified(&root, issued), &ConsumerIndex::default(), now);
        verdict.map(drop).map_err(|fault| (fault.reason(), fault.to_string()))
    };
    let config = json!({ "crls": ["root.crl"], "without_consumer": true });
    assert_eq!(judge_at(&config, &good, 0), Ok(()));
    assert_eq!(judge_at(&config, &bad, 0).unwrap_err().0, Reason::InvalidCredential);
    let (reason, told) = judge_at(&config, &good, 501).unwrap_err();
    assert_eq!((reason, told.contains("ended")), (Reason::RevocationUnknown, true));
    assert_eq!(judge_at(&config, &deep, 0).unwrap_err().0, Reason::RevocationUnknown);
    let other = json!({ "crls": ["forged.crl"], "without_consumer": true });
    assert_eq!(judge_at(&other, &bad, 0).unwrap_err().0, Reason::RevocationUnknown);
    assert_eq!(judge_at(&other, &good, 0).unwrap_err().0, Reason::RevocationUnknown);
}

#[test]
fn routes_with_the_same_lists_share_them() {
    let root = authority();
    let list = root.revocation_list(&[], validity(500)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one.crl"), &list).unwrap();
    std::fs::write(folder.path().join("copy.crl"), &list).unwrap();
    let mut bench = Bench::new();
    folder.path().clone_into(&mut bench.node.base_dir);
    let lists = |file: &str| {
        let plugin: MtlsAuth = bench.compile(&json!({ "crls": [file] })).unwrap();
        plugin.revocation.unwrap().lists
    };
    let one = lists("one.crl");
    assert!(Arc::ptr_eq(&one, &lists("copy.crl")));
}

#[test]
fn so_many_names_of_a_certificate_are_compared_and_no_more() {
    let authority = authority();
    for (count, is_known) in
        [(names::NAMES_MAX - 1, true), (names::NAMES_MAX, true), (names::NAMES_MAX + 1, false)]
    {
        let names: Vec<String> = (1..=count).map(|n| format!("host{n}.example")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let issued = authority.issue_client("x", &names, validity(1_000)).unwrap();
        let certificate = verified(&authority, &issued);
        let index = index(&[("alice", json!({ "dns": format!("host{count}.example") }))]);
        let told = judge(&json!({}), &certificate, &index);
        assert_eq!(told.is_ok(), is_known, "{count}: {told:?}");
    }
}

#[test]
fn what_is_told_of_certificates_has_so_many_letters_and_no_more() {
    let told = |leaf: usize, above: usize| {
        super::told(vec![b'x'; leaf].into(), vec![b'x'; above].into()).is_ok()
    };
    for (length, is_told) in
        [(FORWARDED_MAX - 1, true), (FORWARDED_MAX, true), (FORWARDED_MAX + 1, false)]
    {
        assert_eq!((told(length, 0), told(length - 100, 100)), (is_told, is_told), "{length}");
    }
}
