//! Replacing a store, and sessions across it.

use std::sync::Arc;

use bartizan_tls::{
    Authority, CertificateSource, CertificateStore, ClientSource, StoreSettings, TicketKeys,
};
use rustls::HandshakeKind;

use crate::{Scene, leaf, refused, shake, source, year};

fn locked(scene: &Scene, clients: &Authority) -> CertificateSource {
    CertificateSource {
        client: Some(ClientSource {
            ca: clients.certificate(),
            depth: 1,
            skip_mtls_uri_regex: Vec::new(),
        }),
        ..source("a", &["a.example"], &scene.server(&["a.example"]))
    }
}

#[tokio::test]
async fn a_new_store_serves_the_new_certificate_and_the_old_connection_goes_on() {
    let scene = Scene::new();
    let (old, new) = (scene.server(&["a.example"]), scene.server(&["a.example"]));
    let before = scene.store(&[source("a", &["a.example"], &old)]);
    let mut standing = shake(&before, &scene.client(), "a.example").await;
    let sources = [source("a", &["a.example"], &new)];
    let settings = StoreSettings { previous: Some(&before), ..scene.settings() };
    let after = CertificateStore::build(&sources, &settings).unwrap();
    drop(before);
    let fresh = shake(&after, &scene.client(), "a.example").await;
    assert_eq!((standing.shown(), fresh.shown()), (leaf(&old), leaf(&new)));
    standing.talk().await;
}

#[tokio::test]
async fn a_session_is_resumed_across_a_reload() {
    let scene = Scene::new();
    let sources = [source("a", &["a.example"], &scene.server(&["a.example"]))];
    let client = scene.client();
    let before = scene.store(&sources);
    let mut first = shake(&before, &client, "a.example").await;
    first.talk().await;
    let after = scene.store(&sources);
    let second = shake(&after, &client, "a.example").await;
    let full = HandshakeKind::Full;
    assert!(first.kind() == full && second.kind() == HandshakeKind::Resumed);
    assert!(!first.session.is_resumed && second.session.is_resumed);
}

#[tokio::test]
async fn other_ticket_keys_resume_nothing() {
    let scene = Scene::new();
    let sources = [source("a", &["a.example"], &scene.server(&["a.example"]))];
    let client = scene.client();
    shake(&scene.store(&sources), &client, "a.example").await.talk().await;
    let tickets = TicketKeys::new().unwrap();
    let settings = StoreSettings { tickets: &tickets, ..scene.settings() };
    let store = CertificateStore::build(&sources, &settings).unwrap();
    assert_eq!(shake(&store, &client, "a.example").await.kind(), HandshakeKind::Full);
}

#[tokio::test]
async fn a_session_of_another_server_name_is_not_resumed() {
    let scene = Scene::new();
    let issued = scene.server(&["a.example"]);
    let store =
        scene.store(&[source("a", &["a.example"], &issued), source("any", &["*"], &issued)]);
    let client = scene.client();
    shake(&store, &client, "a.example").await.talk().await;
    // The client looks for its session by the name it verifies, and sends no server name.
    let mut other = rustls::ClientConfig::clone(&client);
    other.enable_sni = false;
    let settings = StoreSettings { default: Some("a"), ..scene.settings() };
    let sources = [source("a", &["a.example"], &issued)];
    let store = CertificateStore::build(&sources, &settings).unwrap();
    let pair = shake(&store, &Arc::new(other), "a.example").await;
    assert_eq!(pair.kind(), HandshakeKind::Full);
    assert_eq!(shake(&store, &client, "a.example").await.kind(), HandshakeKind::Resumed);
}

#[tokio::test]
async fn client_certificates_are_verified_in_every_handshake() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let identity = clients.issue_client("alice", &[], year()).unwrap();
    let client = scene.client_with(Some(&identity));
    let store = scene.store(&[locked(&scene, &clients)]);
    for _ in 0..2 {
        let mut pair = shake(&store, &client, "a.example").await;
        pair.talk().await;
        assert_eq!(pair.kind(), HandshakeKind::Full);
    }
}

#[tokio::test]
async fn no_session_outlives_a_change_of_the_client_authority() {
    let scene = Scene::new();
    let before = Authority::create("before", year()).unwrap();
    let after = Authority::create("after", year()).unwrap();
    let identity = before.issue_client("alice", &[], year()).unwrap();
    let client = scene.client_with(Some(&identity));
    let store = scene.store(&[locked(&scene, &before)]);
    shake(&store, &client, "a.example").await.talk().await;
    let settings = StoreSettings { previous: Some(&store), ..scene.settings() };
    let replaced = CertificateStore::build(&[locked(&scene, &after)], &settings).unwrap();
    let (error, _) = refused(&replaced, &client, "a.example").await;
    assert_eq!(error, "the certificate is not signed by an authority that is trusted here");
}

#[tokio::test]
async fn a_session_made_without_a_certificate_is_not_resumed_once_one_is_required() {
    let scene = Scene::new();
    let clients = Authority::create("clients", year()).unwrap();
    let client = scene.client();
    let open = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    shake(&open, &client, "a.example").await.talk().await;
    let closed = scene.store(&[locked(&scene, &clients)]);
    let (error, _) = refused(&closed, &client, "a.example").await;
    assert_eq!(error, "the peer presented no certificate");
}
