//! Keys of token issuers, fetched over real sockets.

use bartizan_core::Secret;
use bartizan_plugins::jose::{Algorithm, SigningKey};
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
