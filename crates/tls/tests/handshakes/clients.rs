//! Client certificates.

use std::time::Duration;

use bartizan_core::Reason;
use bartizan_tls::{
    Authority, CertificateSource, CertificateStore, ClientSource, HandshakeError, Issued, KeyKind,
    RevocationDepth, RevocationFault, RevocationLists, Validity, check_host, has_certificate_for,
};

use crate::{DAY, NOW, Scene, refused, shake, source, try_shake, year};

fn asking(scene: &Scene, ca: &Authority, depth: u8, skip: &[&str]) -> CertificateSource {
    CertificateSource {
        client: Some(ClientSource {
            ca: ca.certificate(),
            depth,
            skip_mtls_uri_regex: skip.iter().map(ToString::to_string).collect(),
        }),
        ..source("locked", &["locked.example"], &scene.server(&["locked.example"]))
    }
}

fn alice(ca: &Authority) -> Issued {
    let names = ["spiffe://example/alice", "alice@example.org", "alice.example"];
    ca.issue_client("alice", &names, year()).unwrap()
}

async fn is_admitted(store: &CertificateStore, scene: &Scene, identity: Option<&Issued>) -> bool {
    try_shake(store, &scene.client_with(identity), "locked.example").await.is_ok()
}

#[tokio::test]
async fn a_certificate_is_required_in_the_handshake() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    let (error, said) = refused(&store, &scene.client(), "locked.example").await;
    assert_eq!(error, "the peer presented no certificate");
    assert_eq!(said, "the peer ended the handshake with the alert `certificate required`");
    let client = scene.client_with(Some(&alice(&clients)));
    let pair = shake(&store, &client, "locked.example").await;
    assert!(pair.session.facts.client_authority.is_some());
    let verdict = check_host(&store, Some(&pair.session.facts), "locked.example", "/");
    assert_eq!(verdict, Ok(()));
}

#[tokio::test]
async fn the_verified_certificate_can_be_read() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    let client = scene.client_with(Some(&alice(&clients)));
    let pair = shake(&store, &client, "locked.example").await;
    let certificate = pair.session.client_certificate.unwrap();
    assert_eq!(certificate.subject(), Some("CN=alice"));
    assert_eq!(certificate.issuer(), Some("CN=clients"));
    assert_eq!(certificate.not_after(), Some(NOW.plus(365 * DAY)));
    assert_eq!(certificate.fingerprint().len(), 64);
    assert!(certificate.serial().is_some_and(|serial| serial.len() >= 16));
    let names = certificate.alternative_names().unwrap();
    assert_eq!(names.uri, ["spiffe://example/alice"]);
    assert_eq!(names.email, ["alice@example.org"]);
    assert_eq!(names.dns, ["alice.example"]);
    assert!(alice(&clients).chain.starts_with("-----BEGIN CERTIFICATE-----"));
    assert_eq!(certificate.pem().lines().count(), certificate.pem().trim().lines().count());
    assert!(certificate.pem().lines().all(|line| line.len() <= 64));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused_even_where_none_is_needed() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let strangers = Authority::create("clients", year()).unwrap();
    for skip in [&[][..], &["^/public"]] {
        let store = scene.store(&[asking(&scene, &clients, 1, skip)]);
        let mallory = alice(&strangers);
        let client = scene.client_with(Some(&mallory));
        let (error, _) = refused(&store, &client, "locked.example").await;
        assert!(
            error == "the certificate is not signed by an authority that is trusted here"
                || error == "a signature of the certificate does not verify",
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_date() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let validity = Validity::starting(NOW, DAY);
    let short = clients.issue_client("alice", &[], validity).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    let client = scene.client_with(Some(&short));
    shake(&store, &client, "locked.example").await;
    scene.manual.advance(2 * DAY);
    let (error, said) = refused(&store, &client, "locked.example").await;
    assert_eq!(error, "the certificate expired on 2027-01-16T08:00:00Z");
    assert_eq!(said, "the peer ended the handshake with the alert `certificate expired`");
}

#[tokio::test]
async fn a_server_certificate_is_no_client_certificate() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let server = clients.issue_server(&["a.example"], year(), KeyKind::EcP256).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    let client = scene.client_with(Some(&server));
    let (error, _) = refused(&store, &client, "locked.example").await;
    assert!(error.contains("extended key usage"), "{error}");
}

#[tokio::test]
async fn depth_counts_the_intermediate_certificates() {
    let scene = Scene::new();
    let root = Authority::create("root", year()).unwrap();
    let middle = root.subordinate("middle", year()).unwrap();
    let lower = middle.subordinate("lower", year()).unwrap();
    let identities = [alice(&root), alice(&middle), alice(&lower)];
    for depth in 0..=2_u8 {
        let store = scene.store(&[asking(&scene, &root, depth, &[])]);
        for (count, identity) in identities.iter().enumerate() {
            let expected = count <= usize::from(depth);
            let admitted = is_admitted(&store, &scene, Some(identity)).await;
            assert_eq!(admitted, expected, "{count} intermediates at depth {depth}");
        }
    }
    let store = scene.store(&[asking(&scene, &root, 0, &[])]);
    let client = scene.client_with(Some(&identities[1]));
    let (error, _) = refused(&store, &client, "locked.example").await;
    let expected =
        "the path from the certificate to an authority has more than 0 intermediate certificates";
    assert_eq!(error, expected);
}

#[tokio::test]
async fn where_paths_go_without_the_handshake_admits_and_the_request_decides() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &["^/public/"])]);
    let pair = shake(&store, &scene.client(), "locked.example").await;
    assert!(pair.session.client_certificate.is_none());
    let facts = Some(&pair.session.facts);
    assert_eq!(check_host(&store, facts, "locked.example", "/public/a"), Ok(()));
    let verdict = check_host(&store, facts, "locked.example", "/orders");
    assert_eq!(verdict, Err(Reason::ClientCertificateRequired));
    let client = scene.client_with(Some(&alice(&clients)));
    let pair = shake(&store, &client, "locked.example").await;
    let facts = Some(&pair.session.facts);
    assert_eq!(check_host(&store, facts, "locked.example", "/orders"), Ok(()));
}

#[tokio::test]
async fn a_failed_handshake_names_the_server_name_for_the_event() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    let Err((error, _)) = try_shake(&store, &scene.client(), "locked.example").await else {
        panic!("the handshake succeeded");
    };
    assert_eq!(error.sni(), Some("locked.example"));
    assert_eq!(HandshakeError::REASON, Reason::HandshakeFailed);
}

#[tokio::test]
async fn what_is_no_tls_is_refused_as_such() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    let request: &[u8] = b"GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let io = tokio::io::join(request, tokio::io::sink());
    let Err(error) = bartizan_tls::accept(io, &store).await else {
        panic!("the handshake succeeded");
    };
    assert!(matches!(error, HandshakeError::NoHello(_)), "{error}");
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
}

#[tokio::test]
async fn a_short_clock_skew_does_not_refuse_a_fresh_certificate() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let fresh = Validity::starting(NOW.plus(Duration::from_secs(600)), DAY);
    let identity = clients.issue_client("alice", &[], fresh).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    assert!(is_admitted(&store, &scene, Some(&identity)).await);
}

#[tokio::test]
async fn a_certificate_counts_for_hosts_that_name_its_authorities_now_only() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let others = Authority::create("others", year()).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &["^/public"])]);
    let client = scene.client_with(Some(&alice(&clients)));
    let facts = shake(&store, &client, "locked.example").await.session.facts;
    assert!(has_certificate_for(&store, &facts, "locked.example"));
    assert!(!has_certificate_for(&store, &facts, "other.example"));
    // The connection stands while the authorities change, or are asked for no more.
    let changed = scene.store(&[asking(&scene, &others, 1, &["^/public"])]);
    assert_eq!(check_host(&changed, Some(&facts), "locked.example", "/public"), Ok(()));
    assert!(!has_certificate_for(&changed, &facts, "locked.example"));
    let open = source("locked", &["locked.example"], &scene.server(&["locked.example"]));
    assert!(!has_certificate_for(&scene.store(&[open]), &facts, "locked.example"));
    let none = shake(&store, &scene.client(), "locked.example").await.session.facts;
    assert!(!has_certificate_for(&store, &none, "locked.example"));
}

#[tokio::test]
async fn what_was_shown_is_followed_to_its_authority_and_looked_up_in_lists() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let below = clients.subordinate("below", year()).unwrap();
    let store = scene.store(&[asking(&scene, &clients, 1, &[])]);
    let issued = alice(&below);
    let client = scene.client_with(Some(&issued));
    let session = shake(&store, &client, "locked.example").await.session;
    let certificate = session.client_certificate.unwrap();
    assert_eq!(certificate.intermediates(NOW).len(), 1);
    assert!(certificate.has_key_usage(0) && !certificate.has_key_usage(5));
    assert!(certificate.has_purpose("1.3.6.1.5.5.7.3.2"));
    assert!(!certificate.has_purpose("1.3.6.1.5.5.7.3.1"));

    let day = Validity::starting(NOW, DAY);
    let lists = |pems: &[String]| RevocationLists::read(pems.iter().map(String::as_bytes)).unwrap();
    let of_root = clients.revocation_list(&[], day).unwrap();
    let of_below = below.revocation_list(&[], day).unwrap();
    let both = lists(&[of_root.clone(), of_below.clone()]);
    let (chain, leaf) = (RevocationDepth::Chain, RevocationDepth::Leaf);
    assert_eq!(certificate.check_revocation(&both, chain, NOW), Ok(()));
    let only_below = lists(&[of_below]);
    assert_eq!(certificate.check_revocation(&only_below, leaf, NOW), Ok(()));
    let told = certificate.check_revocation(&only_below, chain, NOW);
    assert_eq!(told, Err(RevocationFault::Unknown));
    let bad = lists(&[of_root, below.revocation_list(&[&issued], day).unwrap()]);
    assert_eq!(certificate.check_revocation(&bad, leaf, NOW), Err(RevocationFault::Revoked));
    let late = NOW.plus(2 * DAY);
    assert_eq!(certificate.check_revocation(&both, chain, late), Err(RevocationFault::Ended));
}
