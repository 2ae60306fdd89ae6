//! A real OpenID provider (npm's `oidc-provider`), which issues tokens that the gateway judges.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bartizan_core::{Clock, Secret};
use bartizan_plugins::jose::{Algorithm, SigningKey};
use bartizan_testkit::npm_package;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::harness::{Gateway, Pki, Setup, Upstream, curl, quoted, run, until};

/// RFC 8037, appendix A: a key pair of Ed25519. The client `keyed` proves itself with it, and
/// senders do.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";

fn public() -> Value {
    json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" })
}

/// A provider of its own process; it ends with its input.
struct Provider {
    issuer: String,
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Provider {
    /// A provider on a free port; nothing where npm's package was not fetched.
    fn start() -> Option<Self> {
        let package = npm_package("oidc-provider")?;
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire/oidc/provider.mjs");
        let mut child = Command::new("node")
            .arg(program)
            .arg(package.parent().expect("a folder of packages"))
            .arg(public().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("`node` is needed for this test: {error}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut provider = Self { issuer: String::new(), child, input, output };
        provider.issuer = provider.line();
        Some(provider)
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line of the provider");
        line.trim_end().to_owned()
    }

    /// Signs with a new key, and publishes the one before it still, or no longer.
    fn rotate(&mut self, how: &str) {
        writeln!(self.input.as_mut().expect("its input"), "{how}").expect("a pipe");
        assert_eq!(self.line(), "ok");
    }

    fn post(&self, client: &str, path: &str, form: &[String], field: &str) -> String {
        let secret = secret(client).replace(' ', "%20").replace(':', "%3A");
        let (user, address) = (format!("{client}:{secret}"), format!("{}{path}", self.issuer));
        let mut arguments = vec!["--user", &user, "--header", field];
        arguments.extend(form.iter().flat_map(|pair| ["--data-urlencode", pair]));
        arguments.push(&address);
        curl(&arguments)
    }

    /// A token by client credentials (RFC 6749 §4.4) for a resource (RFC 8707).
    fn token(&self, resource: &str, scope: &str) -> String {
        self.token_of("app", resource, scope, "x-nothing: 1")
    }

    /// The same of a client that proves with a field what its token is bound to.
    fn token_of(&self, client: &str, resource: &str, scope: &str, field: &str) -> String {
        let form = ["grant_type=client_credentials".to_owned()];
        let more = [format!("resource={resource}"), format!("scope={scope}")];
        let answer = self.post(client, "/token", &[&form[..], &more[..]].concat(), field);
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Withdraws a token (RFC 7009).
    fn revoke(&self, token: &str) {
        self.post("app", "/token/revocation", &[format!("token={token}")], "x-nothing: 1");
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.input.take());
        drop(self.child.wait());
    }
}

fn secret(client: &str) -> String {
    format!("the secret of {client}: long enough for signatures")
}

const SIGNED: &str = "https://api.test/signed";
const OPAQUE: &str = "https://api.test/opaque";

/// A route whose tokens are judged by this plugin.
fn route(path: &str, node: SocketAddr, plugin: &str) -> String {
    format!(
        "- uri: /{path}
  plugins:
    {plugin}
  upstream: {{nodes: {{'{node}': 1}}}}
"
    )
}

/// The provider is asked by a client that proves itself in some way.
fn asks(issuer: &str, client: &str, method: &str, secret: &str) -> String {
    format!(
        "oauth-introspection:
      issuer: '{issuer}'
      client_id: {client}
      client_secret: '{secret}'
      client_auth_method: {method}
      audiences: ['{OPAQUE}']
      required_scopes: [read]
      clients: [app]
      cache_ttl: 0s
      negative_cache_ttl: 0s"
    )
}

fn openid(issuer: &str, more: &str) -> String {
    format!(
        "openid-connect:
      bearer_only: true
      discovery: '{issuer}/.well-known/openid-configuration'
      client_id: gateway
      required_scopes: [read]
      {more}"
    )
}

/// A route for each way to judge tokens; `timeout` is that of the keys.
fn resources(issuer: &str, node: SocketAddr, timeout: &str) -> String {
    let gateway = secret("gateway");
    let signed = format!(
        "jwt-auth:
      providers: [{{issuer: '{issuer}', audiences: ['{SIGNED}'], timeout: {timeout}}}]
      token_type: at+jwt
      required_scopes: [read]"
    );
    let asked = format!("client_secret: '{gateway}'\n      audiences: ['{OPAQUE}']");
    let routes = [
        ("signed", signed),
        ("basic", asks(issuer, "gateway", "client_secret_basic", &gateway)),
        ("posted", asks(issuer, "poster", "client_secret_post", &secret("poster"))),
        ("proved", asks(issuer, "signer", "client_secret_jwt", &secret("signer"))),
        ("wrong", asks(issuer, "gateway", "client_secret_basic", "not its secret")),
        ("keys", openid(issuer, &format!("use_jwks: true\n      audiences: ['{SIGNED}']"))),
        ("asked", openid(issuer, &asked)),
    ];
    let routes = routes.iter().map(|(path, plugin)| route(path, node, plugin));
    format!("routes:\n{}", routes.collect::<String>())
}

fn status(gateway: &Gateway, path: &str, token: &str) -> u16 {
    let request =
        format!("GET /{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    gateway.ask(&request).status
}

#[test]
fn tokens_of_a_real_provider_are_judged_by_keys_and_by_questions() {
    let Some(provider) = Provider::start() else { return };
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&resources(&provider.issuer, upstream.address(), "5s"));
    let (signed, opaque) = (provider.token(SIGNED, "read"), provider.token(OPAQUE, "read"));
    until("keys are there", || status(&gateway, "signed", &signed) == 200);
    until("keys are there", || status(&gateway, "keys", &signed) == 200);
    for path in ["basic", "posted", "proved", "asked"] {
        assert_eq!(status(&gateway, path, &opaque), 200, "{path}");
    }
    let seen = upstream.seen().len();
    // For another audience, without the scope, issued by nobody, of another form.
    let (elsewhere, small) =
        (provider.token("https://b.test/opaque", "read"), provider.token(OPAQUE, "write"));
    let unscoped = provider.token(SIGNED, "write");
    for path in ["basic", "posted", "proved", "asked"] {
        assert_eq!(status(&gateway, path, &elsewhere), 401, "{path}");
        assert_eq!(status(&gateway, path, &small), 403, "{path}");
        assert_eq!(status(&gateway, path, "nobody-issued-this"), 401, "{path}");
    }
    for path in ["signed", "keys"] {
        assert_eq!(status(&gateway, path, &opaque), 401, "{path}");
        assert_eq!(status(&gateway, path, &unscoped), 403, "{path}");
        assert_eq!(status(&gateway, path, &format!("{signed}x")), 401, "{path}");
    }
    // Who cannot prove itself at the provider knows nothing.
    assert_eq!(status(&gateway, "wrong", &opaque), 503);
    provider.revoke(&opaque);
    for path in ["basic", "posted", "proved"] {
        assert_eq!(status(&gateway, path, &opaque), 401, "{path}");
    }
    assert_eq!(upstream.seen().len(), seen);
}

#[test]
fn keys_of_a_real_provider_rotate_with_and_without_the_old_one() {
    let Some(mut provider) = Provider::start() else { return };
    let upstream = Upstream::plain();
    let issuer = provider.issuer.clone();
    let resources = |timeout: &str| resources(&issuer, upstream.address(), timeout);
    let gateway = Gateway::serving(&resources("5s"));
    let first = provider.token(SIGNED, "read");
    until("keys are there", || status(&gateway, "signed", &first) == 200);
    // Whatever is said anew of a provider is reason to ask it at once.
    provider.rotate("keep");
    let second = provider.token(SIGNED, "read");
    gateway.apply(&resources("6s"));
    until("the new key is there", || status(&gateway, "signed", &second) == 200);
    assert_eq!(status(&gateway, "signed", &first), 200);
    provider.rotate("drop");
    let third = provider.token(SIGNED, "read");
    gateway.apply(&resources("7s"));
    until("the newest key is there", || status(&gateway, "signed", &third) == 200);
    let before = upstream.seen().len();
    for token in [&first, &second] {
        assert_ne!(status(&gateway, "signed", token), 200);
    }
    assert_eq!(upstream.seen().len(), before);
}

/// A proof of possession (RFC 9449 §4.2), for a token where there is one.
fn proof(id: &str, method: &str, target: &str, token: Option<&str>) -> String {
    let key = SigningKey::from_pem(Algorithm::EdDsa, &Secret::new(PRIVATE)).unwrap();
    let header = json!({ "typ": "dpop+jwt", "jwk": public() });
    let now = Clock::System.now().as_secs();
    let mut claims = json!({ "htm": method, "htu": target, "iat": now, "jti": id });
    if let Some(token) = token {
        let digest = run("openssl", &["dgst", "-sha256", "-binary"], token.as_bytes()).stdout;
        claims["ath"] = URL_SAFE_NO_PAD.encode(digest).into();
    }
    key.sign(header.as_object().unwrap(), &claims).unwrap()
}

/// Routes whose tokens must be bound: judged by keys, and by what the provider says of them.
fn bound_resources(issuer: &str, node: SocketAddr) -> String {
    let routes = ["dpop", "mtls"].into_iter().flat_map(|binding| {
        let signed = format!(
            "jwt-auth:
      providers: [{{issuer: '{issuer}', audiences: ['{SIGNED}']}}]
      require_binding: {binding}
    any-authenticated: {{reason: a test}}"
        );
        let asked = format!(
            "oauth-introspection:
      issuer: '{issuer}'
      client_id: keyed
      client_auth_method: private_key_jwt
      assertion_key: {}
      assertion_algorithm: EdDSA
      audiences: ['{OPAQUE}']
      require_binding: {binding}
    any-authenticated: {{reason: a test}}",
            quoted(PRIVATE)
        );
        [
            route(&format!("signed-{binding}"), node, &signed),
            route(&format!("asked-{binding}"), node, &asked),
        ]
    });
    format!("routes:\n{}", routes.collect::<String>())
}

#[test]
fn tokens_of_a_real_provider_that_are_bound_to_a_key_need_its_proof() {
    let Some(provider) = Provider::start() else { return };
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&bound_resources(&provider.issuer, upstream.address()));
    let ask = |path: &str, scheme: &str, token: &str, proof: &str| {
        let proof = if proof.is_empty() { String::new() } else { format!("DPoP: {proof}\r\n") };
        let fields = format!("Host: a.test\r\nAuthorization: {scheme} {token}\r\n{proof}");
        gateway.ask(format!("GET /{path} HTTP/1.1\r\n{fields}\r\n")).status
    };
    let mut count = 0;
    let mut fresh = |path: &str, token: &str| {
        count += 1;
        proof(&format!("r{count}"), "GET", &format!("http://a.test/{path}"), Some(token))
    };
    let endpoint = format!("{}/token", provider.issuer);
    for (path, resource) in [("signed-dpop", SIGNED), ("asked-dpop", OPAQUE)] {
        let field = format!("DPoP: {}", proof(path, "POST", &endpoint, None));
        let token = provider.token_of("app", resource, "read", &field);
        let other = provider.token(resource, "read");
        until("the provider is known", || ask(path, "Bearer", &token, "") == 401);
        let good = fresh(path, &token);
        assert_eq!(ask(path, "DPoP", &token, &good), 200, "{path}");
        let seen = upstream.seen().len();
        assert_eq!(ask(path, "DPoP", &token, &good), 401, "{path}: the same proof again");
        assert_eq!(ask(path, "Bearer", &token, &fresh(path, &token)), 401, "{path}: as a bearer's");
        assert_eq!(ask(path, "DPoP", &token, &fresh(path, &other)), 401, "{path}: another's proof");
        assert_eq!(ask(path, "DPoP", &token, &fresh("x", &token)), 401, "{path}: another target");
        assert_eq!(ask(path, "Bearer", &other, ""), 401, "{path}: a token that is not bound");
        assert_eq!(upstream.seen().len(), seen);
    }
}

#[test]
fn tokens_of_a_real_provider_that_are_bound_to_a_certificate_need_it() {
    let Some(provider) = Provider::start() else { return };
    let upstream = Upstream::plain();
    let (servers, clients) = (Pki::new("servers"), Pki::new("clients"));
    let (server, own, other) =
        (servers.server(&["a.test"]), clients.client("held"), clients.client("thief"));
    let resources = format!(
        "{}ssls:\n- {{id: a, snis: [a.test], cert: {}, key: {}, client: {{ca: {}}}}}\n",
        bound_resources(&provider.issuer, upstream.address()),
        quoted(&server.chain),
        quoted(server.key.expose_str().unwrap()),
        quoted(&clients.root()),
    );
    let gateway = Setup::default().listeners("{address: '127.0.0.1:0', tls: {}}").serve(&resources);
    let ask = |shown: &bartizan_tls::Issued, path: &str, token: &str| {
        let chain = CertificateDer::pem_slice_iter(shown.chain.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_slice(shown.key.expose()).unwrap();
        let config = servers.presenting(chain, key);
        let mut client = Pki::connect_with(config, gateway.address(), "a.test");
        let fields = format!("Host: a.test\r\nAuthorization: Bearer {token}\r\n");
        client.send(format!("GET /{path} HTTP/1.1\r\n{fields}\r\n"));
        client.reply("GET").status
    };
    let field = format!("x-certificate: {}", own.chain.replace('\n', "%0A"));
    for (path, resource) in [("signed-mtls", SIGNED), ("asked-mtls", OPAQUE)] {
        let token = provider.token_of("held", resource, "read", &field);
        until("the provider is known", || ask(&own, path, &token) == 200);
        let seen = upstream.seen().len();
        assert_eq!(ask(&other, path, &token), 401, "{path}: another certificate");
        let unbound = provider.token(resource, "read");
        assert_eq!(ask(&own, path, &unbound), 401, "{path}: a token that is not bound");
        assert_eq!(upstream.seen().len(), seen);
    }
}
