//! The client's side: what is verified, and what the operator reads when it is not right.

use std::sync::Arc;

use bartizan_tls::{
    Authority, Issued, TlsFault, UpstreamConfigs, UpstreamTlsSettings, client_config,
};

use crate::{DAY, Scene, refused, shake, source, year};

fn trusting(authority: &Authority) -> UpstreamTlsSettings {
    UpstreamTlsSettings { ca_certs: Some(authority.certificate()), ..Default::default() }
}

#[tokio::test]
async fn an_unknown_authority_is_refused_and_named_as_the_cause() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    let other = Authority::create("other", year()).unwrap();
    let client = client_config(&trusting(&other), &scene.clock).unwrap();
    let (error, said) = refused(&store, &client, "a.example").await;
    assert_eq!(said, "the certificate is not signed by an authority that is trusted here");
    assert_eq!(error, "the peer ended the handshake with the alert `unknown ca`");
}

#[tokio::test]
async fn another_name_is_refused_with_the_names_of_the_certificate() {
    let scene = Scene::new();
    let issued = scene.server(&["a.example", "b.example"]);
    let store = scene.store(&[source("a", &["*"], &issued)]);
    let (_, said) = refused(&store, &scene.client(), "c.example").await;
    assert_eq!(said, "the certificate is for `a.example`, `b.example`, not for `c.example`");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_with_its_date() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    scene.manual.advance(400 * DAY);
    let (_, said) = refused(&store, &scene.client(), "a.example").await;
    assert_eq!(said, "the certificate expired on 2028-01-15T08:00:00Z");
}

#[tokio::test]
async fn verification_ends_only_where_danger_is_written() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["*"], &scene.server(&["a.example"]))]);
    let settings = UpstreamTlsSettings { danger_verify_off: true, ..Default::default() };
    let client = client_config(&settings, &scene.clock).unwrap();
    shake(&store, &client, "c.example").await;
}

#[tokio::test]
async fn an_authority_s_own_certificate_is_refused_as_that_of_a_host() {
    let scene = Scene::new();
    let issued = Issued { chain: scene.authority.certificate(), key: scene.authority.key() };
    let store = scene.store(&[source("a", &["a.example"], &issued)]);
    let (_, said) = refused(&store, &scene.client(), "a.example").await;
    let expected = "the certificate is that of an authority, and must not be used by a host";
    assert_eq!(said, expected);
}

#[tokio::test]
async fn without_authorities_of_its_own_a_private_upstream_is_not_trusted() {
    let scene = Scene::new();
    let store = scene.store(&[source("a", &["a.example"], &scene.server(&["a.example"]))]);
    match client_config(&UpstreamTlsSettings::default(), &scene.clock) {
        Ok(client) => {
            let (_, said) = refused(&store, &client, "a.example").await;
            let expected = "the certificate is not signed by an authority that is trusted here";
            assert_eq!(said, expected);
        }
        // A machine without authorities trusts nobody.
        Err(fault) => assert!(matches!(fault, TlsFault::NoSystemAuthorities(_)), "{fault}"),
    }
}

#[test]
fn half_a_client_certificate_is_refused() {
    let scene = Scene::new();
    let issued = scene.server(&["a.example"]);
    let settings = UpstreamTlsSettings {
        client_cert: Some(issued.chain.clone()),
        ..trusting(&scene.authority)
    };
    let error = client_config(&settings, &scene.clock).unwrap_err();
    let expected = "`client_cert` and `client_key` belong together, one is missing";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn an_authority_that_cannot_be_read_is_refused() {
    let scene = Scene::new();
    let settings =
        UpstreamTlsSettings { ca_certs: Some("nothing".to_owned()), ..Default::default() };
    let error = client_config(&settings, &scene.clock).unwrap_err();
    assert_eq!(error.to_string(), "there is no certificate of an authority in the PEM text");
}

#[test]
fn equal_settings_share_one_configuration_and_different_ones_do_not() {
    let scene = Scene::new();
    let configs = UpstreamConfigs::default();
    let settings = trusting(&scene.authority);
    let first = configs.compile(&settings, &scene.clock).unwrap();
    let second = configs.compile(&settings.clone(), &scene.clock).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    let open = UpstreamTlsSettings { danger_verify_off: true, ..settings };
    let third = configs.compile(&open, &scene.clock).unwrap();
    assert!(!Arc::ptr_eq(&first, &third));
}
