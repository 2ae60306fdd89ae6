//! Which certificate, which version, which group, which protocol.

use std::sync::Arc;

use bartizan_tls::{
    ApplicationProtocol, CertificateStore, KeyKind, StoreSettings, TlsVersion, provider,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, NamedGroup, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::{Scene, leaf, refused, shake, source, without_sni, year};

/// Accepts any certificate and offers these signature schemes only.
#[derive(Debug)]
struct Offers(Vec<SignatureScheme>);

impl ServerCertVerifier for Offers {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

fn client_of(
    schemes: &[SignatureScheme],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::clone(provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Offers(schemes.to_vec())))
        .with_no_client_auth();
    Arc::new(config)
}

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const RSA: &[SignatureScheme] =
    &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
const BOTH: &[SignatureScheme] = &[
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ECDSA_NISTP256_SHA256,
];

#[tokio::test]
async fn the_exact_name_wins_over_the_wildcard_and_the_wildcard_over_any() {
    let scene = Scene::new();
    let exact = scene.server(&["a.example.com"]);
    let wildcard = scene.server(&["*.example.com"]);
    let any = scene.server(&["other.org"]);
    let store = scene.store(&[
        source("any", &["*"], &any),
        source("wildcard", &["*.example.com"], &wildcard),
        source("exact", &["a.example.com"], &exact),
    ]);
    for (name, expected) in
        [("a.example.com", &exact), ("b.example.com", &wildcard), ("other.org", &any)]
    {
        let pair = shake(&store, &scene.client(), name).await;
        assert_eq!(pair.shown(), leaf(expected), "{name}");
        assert_eq!(pair.session.facts.sni.as_deref(), Some(name));
    }
}

#[tokio::test]
async fn an_unknown_server_name_is_refused_by_name() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    let (error, said) = refused(&store, &scene.client(), "b.example").await;
    assert_eq!(error, "there is no certificate for the server name `b.example`");
    assert_eq!(said, "the peer ended the handshake with the alert `unrecognised name`");
}

#[tokio::test]
async fn a_client_without_server_name_gets_the_declared_default_or_nothing() {
    let scene = Scene::new();
    let issued = scene.server(&["a.example"]);
    let sources = [source("a", &["a.example"], &issued), source("any", &["*"], &issued)];
    let client = without_sni(&scene.client());
    let (error, said) = refused(&scene.store(&sources), &client, "a.example").await;
    assert_eq!(error, "the client sent no server name, and no default certificate is declared");
    assert_eq!(said, "the peer ended the handshake with the alert `unrecognised name`");
    let settings = StoreSettings { default: Some("a"), ..scene.settings() };
    let store = CertificateStore::build(&sources, &settings).unwrap();
    let pair = shake(&store, &client, "a.example").await;
    assert_eq!((pair.shown(), pair.session.facts.sni), (leaf(&issued), None));
}

#[tokio::test]
async fn a_refused_name_does_not_fall_through_to_a_wildcard() {
    let scene = Scene::new();
    let sources = [source("wide", &["*.corp.example"], &scene.server(&["*.corp.example"]))];
    let names = ["locked.corp.example".to_owned()];
    let settings = StoreSettings { refused_names: &names, ..scene.settings() };
    let store = CertificateStore::build(&sources, &settings).unwrap();
    shake(&store, &scene.client(), "open.corp.example").await;
    let (error, _) = refused(&store, &scene.client(), "locked.corp.example").await;
    assert_eq!(error, "there is no certificate for the server name `locked.corp.example`");
}

#[tokio::test]
async fn each_client_gets_the_certificate_that_it_can_verify() {
    let scene = Scene::new();
    let ecdsa = scene.server(&["a.example"]);
    let rsa = scene.authority.issue_server(&["a.example"], year(), KeyKind::Rsa2048).unwrap();
    let mut both = source("a", &["a.example"], &rsa);
    both.pairs.push((ecdsa.chain.clone(), ecdsa.key.clone()));
    let store = scene.store(&[both]);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        for (schemes, expected) in [(ECDSA, &ecdsa), (RSA, &rsa), (BOTH, &ecdsa)] {
            let pair = shake(&store, &client_of(schemes, versions), "a.example").await;
            assert_eq!(pair.shown(), leaf(expected), "{schemes:?} {versions:?}");
        }
    }
}

#[tokio::test]
async fn a_client_of_tls_1_2_is_served_unless_the_minimum_is_1_3() {
    let scene = Scene::new();
    let sources = [source("a", &["a.example"], &scene.server(&["a.example"]))];
    let old = client_of(BOTH, &[&rustls::version::TLS12]);
    let pair = shake(&scene.store(&sources), &old, "a.example").await;
    assert_eq!(pair.session.version, TlsVersion::Tls12);
    assert!(pair.session.cipher.is_some_and(|name| name.starts_with("ECDHE-")));
    let settings = StoreSettings { minimum: TlsVersion::Tls13, ..scene.settings() };
    let store = CertificateStore::build(&sources, &settings).unwrap();
    let (error, said) = refused(&store, &old, "a.example").await;
    assert_eq!(error, "no protocol version in common: the peer's are below the minimum");
    assert_eq!(said, "the peer ended the handshake with the alert `protocol version`");
}

#[tokio::test]
async fn a_server_name_may_ask_for_one_version_only() {
    let scene = Scene::new();
    let issued = scene.server(&["a.example", "b.example"]);
    let mut strict = source("strict", &["a.example"], &issued);
    strict.protocols = vec!["TLSv1.3".to_owned()];
    let store = scene.store(&[strict, source("b", &["b.example"], &issued)]);
    let old = client_of(BOTH, &[&rustls::version::TLS12]);
    refused(&store, &old, "a.example").await;
    shake(&store, &old, "b.example").await;
    let pair = shake(&store, &scene.client(), "a.example").await;
    assert_eq!(pair.session.version, TlsVersion::Tls13);
    let known =
        ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"];
    assert!(pair.session.cipher.is_some_and(|name| known.contains(&name)));
}

#[tokio::test]
async fn the_post_quantum_group_is_negotiated_by_default() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    let pair = shake(&store, &scene.client(), "a.example").await;
    assert_eq!(pair.group(), NamedGroup::X25519MLKEM768);
}

#[tokio::test]
async fn the_first_protocol_of_the_listener_that_the_client_offers_is_spoken() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    let offers = |protocols: &[&[u8]]| {
        let mut client = ClientConfig::clone(&scene.client());
        client.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        Arc::new(client)
    };
    for (offered, spoken) in [
        (vec![b"http/1.1".as_slice(), b"h2"], ApplicationProtocol::Http2),
        (vec![b"http/1.1".as_slice()], ApplicationProtocol::Http1),
        (vec![b"http/1.0".as_slice()], ApplicationProtocol::Http1),
        (vec![], ApplicationProtocol::Http1),
    ] {
        let pair = shake(&store, &offers(&offered), "a.example").await;
        assert_eq!(pair.session.protocol, spoken, "{offered:?}");
    }
    let (error, _) = refused(&store, &offers(&[b"smtp"]), "a.example").await;
    assert_eq!(error, "the peer offers no application protocol that is served");
}
