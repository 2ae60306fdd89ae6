//! What a store refuses to be built from.

use bartizan_core::Secret;
use bartizan_tls::{
    Authority, CertificateStore, ClientSource, Issued, KeyKind, StoreSettings, TlsVersion, Validity,
};

use crate::{DAY, NOW, Scene, leaf, only_error, shake, source, year};

#[test]
fn an_expired_certificate_is_refused_with_its_date() {
    let scene = Scene::new();
    let validity = Validity { not_before: NOW, not_after: NOW.plus(DAY) };
    let issued = scene.authority.issue_server(&["a.example"], validity, KeyKind::EcP256).unwrap();
    let sources = [source("1", &["a.example"], &issued)];
    let store = scene.store(&sources);
    scene.manual.advance(2 * DAY);
    let expected = "ssl `1`: the certificate expired on 2027-01-16T08:00:00Z";
    assert_eq!(only_error(&scene, &sources).to_string(), expected);
    let settings = StoreSettings { previous: Some(&store), ..scene.settings() };
    let errors = CertificateStore::build(&sources, &settings).unwrap_err();
    assert_eq!(errors[0].to_string(), expected, "also where it was known");
}

#[test]
fn a_certificate_of_tomorrow_is_refused_with_its_date() {
    let scene = Scene::new();
    let validity = Validity { not_before: NOW.plus(DAY), not_after: NOW.plus(2 * DAY) };
    let issued = scene.authority.issue_server(&["a.example"], validity, KeyKind::EcP256).unwrap();
    let error = only_error(&scene, &[source("1", &["a.example"], &issued)]);
    let expected = "ssl `1`: the certificate is not valid before 2027-01-16T08:00:00Z";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let scene = Scene::new();
    let (a, b) = (scene.server(&["a.example"]), scene.server(&["b.example"]));
    let mixed = Issued { chain: a.chain, key: b.key };
    let error = only_error(&scene, &[source("1", &["a.example"], &mixed)]);
    let expected = "ssl `1`: the private key is not the key of the certificate `CN=a.example`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn a_chain_out_of_order_is_refused_with_the_place() {
    let scene = Scene::new();
    let middle = scene.authority.subordinate("middle", year()).unwrap();
    let issued = middle.issue_server(&["a.example"], year(), KeyKind::EcP256).unwrap();
    scene.store(&[source("1", &["a.example"], &issued)]);
    let chain = format!(
        "{}{}{}",
        scene.server(&["a.example"]).chain,
        middle.certificate(),
        scene.authority.certificate()
    );
    let wrong = Issued { chain, key: issued.key };
    let error = only_error(&scene, &[source("1", &["a.example"], &wrong)]);
    let expected = "ssl `1`: certificate 2 of the chain (`CN=middle`) is not the issuer of the \
                    one before it, which is `CN=scene`";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let scene = Scene::new();
    let good = scene.server(&["a.example"]);
    let mut first = source("1", &["10.0.0.1", "ok.example"], &good);
    first.pairs.push(("no pem".to_owned(), Secret::new("no pem")));
    first.protocols = vec!["TLSv1.1".to_owned()];
    let mut second = source("2", &["b.example"], &good);
    second.pairs.clear();
    second.client = Some(ClientSource {
        ca: scene.authority.certificate(),
        depth: 1,
        skip_mtls_uri_regex: vec!["(?=a)".to_owned()],
    });
    let errors = CertificateStore::build(&[first, second], &scene.settings()).unwrap_err();
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "ssl `1`: there is no certificate in the PEM text",
            "ssl `1`: `10.0.0.1` is not a server name: write `a.example`, `*.example` or `*`",
            "ssl `1`: `TLSv1.1` is not served: TLSv1.2 and TLSv1.3 are",
            "ssl `2`: there is no pair of certificate and key",
            "ssl `2`: `(?=a)` needs backtracking (look-around or back-reference), which can take \
             exponential time",
        ]
    );
}

#[test]
fn versions_below_the_listener_s_minimum_are_refused() {
    let scene = Scene::new();
    let mut old = source("1", &["a.example"], &scene.server(&["a.example"]));
    old.protocols = vec!["TLSv1.2".to_owned()];
    let settings = StoreSettings { minimum: TlsVersion::Tls13, ..scene.settings() };
    let errors = CertificateStore::build(&[old], &settings).unwrap_err();
    assert!(errors[0].to_string().contains("the listener's minimum is TLSv1.3"));
}

#[test]
fn a_default_that_does_not_exist_is_refused() {
    let scene = Scene::new();
    let settings = StoreSettings { default: Some("x"), ..scene.settings() };
    let errors = CertificateStore::build(&[], &settings).unwrap_err();
    let expected = "ssl `x`: is declared the default certificate but does not exist";
    assert_eq!(errors[0].to_string(), expected);
}

#[test]
fn one_name_with_two_demands_on_clients_is_ambiguous() {
    let scene = Scene::new();
    let issued = scene.server(&["a.example"]);
    let open = source("open", &["a.example"], &issued);
    let mut locked = source("locked", &["a.example"], &issued);
    locked.client = Some(ClientSource {
        ca: scene.authority.certificate(),
        depth: 1,
        skip_mtls_uri_regex: Vec::new(),
    });
    let error = only_error(&scene, &[open, locked]).to_string();
    assert!(error.starts_with("ssl `locked`: `a.example` is also a server name of ssl `open`"));
}

#[tokio::test]
async fn two_resources_that_agree_share_a_name_and_the_longer_lived_certificate_is_shown() {
    let scene = Scene::new();
    let short = Validity::starting(NOW, 10 * DAY);
    let old = scene.authority.issue_server(&["a.example"], short, KeyKind::EcP256).unwrap();
    let new = scene.server(&["a.example"]);
    for order in [[&old, &new], [&new, &old]] {
        let [one, two] = order;
        let sources = [source("1", &["a.example"], one), source("2", &["a.example"], two)];
        let pair = shake(&scene.store(&sources), &scene.client(), "a.example").await;
        assert_eq!(pair.shown(), leaf(&new));
    }
}

#[tokio::test]
async fn names_that_are_written_win_over_names_in_a_certificate() {
    let scene = Scene::new();
    let node = scene.server(&["a.example", "b.example"]);
    let written = scene.server(&["a.example"]);
    let clients = Authority::create("clients", year()).unwrap();
    let mut locked = source("ssl", &["a.example"], &written);
    locked.client = Some(ClientSource {
        ca: clients.certificate(),
        depth: 1,
        skip_mtls_uri_regex: vec!["^/".to_owned()],
    });
    let store = scene.store(&[source("node", &[], &node), locked]);
    for (name, expected) in [("a.example", &written), ("b.example", &node)] {
        let pair = shake(&store, &scene.client(), name).await;
        assert_eq!(pair.shown(), leaf(expected), "{name}");
    }
}

#[test]
fn a_certificate_that_does_not_cover_its_name_is_a_warning() {
    let scene = Scene::new();
    let issued = scene.server(&["*.example.com"]);
    let names = ["*.example.com", "a.example.com", "a.b.example.com", "*"];
    let store = scene.store(&[source("1", &names, &issued)]);
    let texts: Vec<_> = store.warnings().iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(texts, ["a certificate is not valid for its server name `a.b.example.com`"]);
}

#[test]
fn a_short_rsa_key_is_refused() {
    let scene = Scene::new();
    let pair = (SHORT_RSA_CERTIFICATE.to_owned(), Secret::new("unread"));
    let mut short = source("1", &["a.example"], &scene.server(&["a.example"]));
    short.pairs = vec![pair];
    let error = only_error(&scene, &[short]).to_string();
    assert_eq!(error, "ssl `1`: the RSA key has 1024 bits, at least 2048 are needed");
}

/// RSA of 1024 bits, which our own authority does not make.
const SHORT_RSA_CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIICBjCCAW+gAwIBAgIUBGwgsdWvpXY8GH6of7FJ166XbHowDQYJKoZIhvcNAQEL
BQAwFDESMBAGA1UEAwwJYS5leGFtcGxlMCAXDTI2MTEyMzIxMzAwNloYDzIxMjYx
MDMwMjEzMDA2WjAUMRIwEAYDVQQDDAlhLmV4YW1wbGUwgZ8wDQYJKoZIhvcNAQEB
BQADgY0AMIGJAoGBALrY7UbBXsFZw2s2tzwavaS3Yh02M0F8FoQNdiwN4HcXBdqt
UHx4DQtTLYLOn1IK7YoIBJQ4R4BG5qq2vluQ3ikHE/RgtvSF/y46ZulL8Rr/RK7s
X3gY8Jq3DxnlPwR2Ds+GuFhavcnBXI0dDGY07zt+5uYOLbGL1LgXbv7O8333AgMB
AAGjUzBRMB0GA1UdDgQWBBSHYw3Vp84liGpn7EQmZIIKqsadWzAfBgNVHSMEGDAW
gBSHYw3Vp84liGpn7EQmZIIKqsadWzAPBgNVHRMBAf8EBTADAQH/MA0GCSqGSIb3
DQEBCwUAA4GBACXuXxu+MKgX7IT+4sDT+M7+kabq3V6zm6vL4Q/Ip5ks0+rWkQy6
a0X49ef80A6XnY3GSESXttEhP5mB+NFk7P4q4zISP7lgUSmZfwh4jg+4AQC6bKe4
IXmJ5frNWXgHjVoqD1+q4piaac1S6yMM4JZ0aE1vENKq8AeNyWTByFD8
-----END CERTIFICATE-----
";
