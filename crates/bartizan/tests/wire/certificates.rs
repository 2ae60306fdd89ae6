//! Certificates of clients as identities, over real TLS.

use super::harness::{Folder, Gateway, Pki, Setup, Upstream, quoted, run};

const NAME: &str = "api.test";

struct Scene {
    folder: Folder,
    gateway: Gateway,
    upstream: Upstream,
}

/// A gateway that asks for certificates of `clients` and knows alice by hers.
fn scene(clients: &Pki) -> Scene {
    let pki = Pki::new("servers");
    let issued = pki.server(&[NAME]);
    let upstream = Upstream::plain();
    let resources = format!(
        "routes:
- id: r
  uri: /*
  plugins:
    mtls-auth: {{forward: certificate}}
    any-authenticated: {{reason: a test}}
  upstream: {{nodes: {{\"{}\": 1}}}}
consumers:
- {{username: alice, plugins: {{mtls-auth: {{subject: CN=alice}}}}}}
ssls:
- {{id: a, snis: [{NAME}], cert: {}, key: {}, client: {{ca: {}, depth: 1, skip_mtls_uri_regex: ['.']}}}}
",
        upstream.address(),
        quoted(&issued.chain),
        quoted(issued.key.expose_str().unwrap()),
        quoted(&clients.root()),
    );
    let gateway = Setup::default().listeners("{address: '127.0.0.1:0', tls: {}}").serve(&resources);
    let folder = Folder::new();
    folder.write("root.pem", pki.root());
    Scene { folder, gateway, upstream }
}

impl Scene {
    fn common(&self) -> Vec<String> {
        let port = self.gateway.address().port();
        let resolve = format!("{NAME}:{port}:127.0.0.1");
        ["--cacert", &self.folder.argument("root.pem"), "--resolve", &resolve]
            .map(str::to_owned)
            .to_vec()
    }

    fn url(&self) -> String {
        format!("https://{NAME}:{}/", self.gateway.address().port())
    }

    fn identity(&self, name: &str, pki: &Pki) -> Vec<String> {
        let issued = pki.client(name);
        let chain = self.folder.write(&format!("{name}.pem"), &issued.chain);
        let key = self.folder.write(&format!("{name}.key"), issued.key.expose());
        vec!["--cert".to_owned(), chain, "--key".to_owned(), key]
    }

    /// The status of a request with these arguments; 0 where the handshake failed.
    fn status(&self, more: &[String]) -> u16 {
        let mut all: Vec<String> = ["--silent", "--noproxy", "*", "--max-time", "60", "--output"]
            .map(str::to_owned)
            .to_vec();
        all.extend(["/dev/null", "--write-out", "%{response_code}"].map(str::to_owned));
        all.extend(self.common());
        all.extend(more.iter().cloned());
        all.push(self.url());
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        String::from_utf8_lossy(&run("curl", &all, b"").stdout).trim().parse().unwrap()
    }
}

#[test]
fn a_certificate_says_who_calls_and_nothing_else_does() {
    let clients = Pki::new("clients");
    let scene = scene(&clients);
    for http in ["--http1.1", "--http2"] {
        let mut good = scene.identity("alice", &clients);
        good.push(http.to_owned());
        good.extend(["--header", "Client-Cert: :AAAA:"].map(str::to_owned));
        assert_eq!(scene.status(&good), 200, "{http}");
    }
    let seen = scene.upstream.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        let head = request.head.to_lowercase();
        assert_eq!(head.matches("client-cert: :mi").count(), 1, "{head}");
        assert!(!head.contains(":aaaa:"), "{head}");
    }
    // No certificate, one of nobody, and one of another authority under the same name.
    assert_eq!(scene.status(&[]), 401);
    let claims = ["--header", "X-SSL-Client-S-DN: CN=alice", "--header", "Client-Cert: :AAAA:"];
    assert_eq!(scene.status(&claims.map(str::to_owned)), 401);
    assert_eq!(scene.status(&scene.identity("mallory", &clients)), 401);
    // The handshake fails, or goes without what the client has.
    let other = scene.status(&scene.identity("alice", &Pki::new("clients")));
    assert!([0, 401].contains(&other), "{other}");
    assert_eq!(scene.upstream.seen().len(), 2, "nobody else comes in");
}
