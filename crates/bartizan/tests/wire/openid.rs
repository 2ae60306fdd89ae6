//! A real OpenID provider (npm's `oidc-provider`), which issues tokens that the gateway judges.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use bartizan_testkit::npm_package;
use serde_json::Value;

use super::harness::{Gateway, Upstream, curl, until};

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

    fn post(&self, client: &str, path: &str, form: &[String]) -> String {
        let secret = secret(client).replace(' ', "%20").replace(':', "%3A");
        let (user, address) = (format!("{client}:{secret}"), format!("{}{path}", self.issuer));
        let mut arguments = vec!["--user", &user];
        arguments.extend(form.iter().flat_map(|pair| ["--data-urlencode", pair]));
        arguments.push(&address);
        curl(&arguments)
    }

    /// A token by client credentials (RFC 6749 §4.4) for a resource (RFC 8707).
    fn token(&self, resource: &str, scope: &str) -> String {
        let form = ["grant_type=client_credentials".to_owned()];
        let more = [format!("resource={resource}"), format!("scope={scope}")];
        let answer = self.post("app", "/token", &[&form[..], &more[..]].concat());
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Withdraws a token (RFC 7009).
    fn revoke(&self, token: &str) {
        self.post("app", "/token/revocation", &[format!("token={token}")]);
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
