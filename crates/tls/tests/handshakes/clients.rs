//! Client certificates.

use std::time::Duration;

use bartizan_core::Reason;
use bartizan_tls::{
    Authority, CertificateSource, CertificateStore, ClientSource, HandshakeError, Issued, KeyKind,
    Validity, check_host,
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
