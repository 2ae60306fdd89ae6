//! Keys of token issuers, fetched over real sockets.

use bartizan_core::Secret;
use bartizan_plugins::jose::{Algorithm, SigningKey};
use bartizan_tls::Issued;
use serde_json::json;

use super::harness::{Gateway, Pki, ServerTls, Upstream, quoted, until};

/// RFC 8037, appendix A: a key pair of Ed25519.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const PUBLIC: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// A provider under TLS that publishes one key.
fn provider(pki: &Pki) -> Upstream {
    let tls = ServerTls::showing(&pki.server(&["localhost"]));
    Upstream::start_tls(tls, |peer, seen| {
        let issuer = format!("https://{}", seen.field("host").unwrap_or_default());
        let body = if seen.target == "/keys" {
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": PUBLIC}]})
        } else {
            json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")})
        };
        peer.answer(200, body.to_string());
        true
    })
}

#[test]
fn keys_are_those_of_a_provider_that_proves_to_be_the_host() {
    let upstream = Upstream::plain();
    let (pki, other) = (Pki::new("id"), Pki::new("other"));
    let provider = provider(&pki);
    let issuer = format!("https://localhost:{}", provider.address().port());
    let resources = |pki: &Pki| {
        let node = upstream.address();
        let root = quoted(&pki.root());
        format!(
            "\
routes:
- uri: /*
  plugins:
    jwt-auth: {{providers: [{{issuer: '{issuer}', audiences: [orders], ca_certs: {root}}}]}}
    any-authenticated: {{reason: a test}}
  upstream: {{nodes: {{'{node}': 1}}}}
"
        )
    };
    let key = SigningKey::from_pem(Algorithm::EdDsa, &Secret::new(PRIVATE)).unwrap();
    let header = json!({"kid": "k1"});
    let claims = json!({"iss": issuer, "aud": "orders", "exp": 4_000_000_000_u64});
    let token = key.sign(header.as_object().unwrap(), &claims).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");

    let gateway = Gateway::serving(&resources(&pki));
    // A busy machine may take longer than a request waits for keys.
    until("the keys are there", || gateway.ask(&request).status == 200);
    for _ in 0..2 {
        assert_eq!(gateway.ask(&request).status, 200);
    }
    assert_eq!(provider.seen().len(), 2);
    gateway.apply(&resources(&other));
    let refused = gateway.ask(&request);
    assert_eq!((refused.status, refused.reason().as_str()), (503, "auth.keys_unavailable"));
    assert_eq!((provider.seen().len(), upstream.seen().len()), (2, 3));
}

#[test]
fn an_issuer_that_asks_for_a_certificate_is_shown_the_gateways_own() {
    let upstream = Upstream::plain();
    let pki = Pki::new("id");
    let tls = ServerTls::asking(&pki.server(&["localhost"]), &pki);
    let issuer = Upstream::start_tls(tls, |peer, seen| {
        let form = String::from_utf8_lossy(&seen.body);
        assert!(form.ends_with("&client_id=gateway"), "{form}");
        let body = json!({"active": true, "aud": "orders"}).to_string();
        peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ));
        true
    });
    let resources = |certificate: &Issued| {
        let (port, node) = (issuer.address().port(), upstream.address());
        let root = quoted(&pki.root());
        let chain = quoted(&certificate.chain);
        let key = quoted(certificate.key.expose_str().unwrap_or_default());
        format!(
            "\
routes:
- uri: /*
  plugins:
    oauth-introspection:
      introspection_endpoint: https://localhost:{port}/introspect
      client_id: gateway
      client_auth_method: tls_client_auth
      client_cert: {chain}
      client_cert_key: {key}
      audiences: [orders]
      ca_certs: {root}
    any-authenticated: {{reason: a test}}
  upstream: {{nodes: {{'{node}': 1}}}}
"
        )
    };
    let request = "GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer opaque\r\n\r\n";
    let gateway = Gateway::serving(&resources(&pki.client("gateway")));
    assert_eq!(gateway.ask(request).status, 200);
    assert_eq!(issuer.seen().len(), 1);
    // The certificate of another authority proves nothing there.
    gateway.apply(&resources(&Pki::new("other").client("gateway")));
    let refused = gateway.ask(request);
    assert_eq!((refused.status, refused.reason().as_str()), (503, "auth.introspection_failed"));
    assert_eq!((issuer.seen().len(), upstream.seen().len()), (1, 1));
}
