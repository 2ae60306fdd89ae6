//! gRPC between a client and a server of its own makers.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bartizan_testkit::pypi_packages;

use super::harness::{Folder, Gateway, Pki, Setup, quoted};
use super::listeners::tls_listener;

const KEY: &str = "5d8f0c1e7a3b4926";

fn python(packages: &Path, script: &str) -> Command {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut python = Command::new("python3");
    python.arg("-B").arg(script).env("PYTHONPATH", packages);
    python
}

/// A server of gRPC, which ends with the test.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn start(packages: &Path, arguments: &[&str]) -> Self {
        let mut child = python(packages, "grpc_server.py")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { port: line.trim().parse().unwrap(), child }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It was told to end; where it is gone already there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn resources(upstream: &str) -> String {
    let guarded = |path: &str, upstream: &str| {
        format!(
            "- uri: {path}\n  upstream: {{{upstream}}}\n  plugins:\n    key-auth: {{}}\n    \
             consumer-restriction: {{whitelist: [alice]}}\n    identity-forward: {{headers: {{X-User: consumer}}}}\n"
        )
    };
    let echo = guarded("/test.Echo/*", upstream);
    let broken = guarded("/test.Broken/*", "scheme: grpc, nodes: {'127.0.0.1:1': 1}");
    format!(
        "routes:\n{echo}{broken}consumers:\n\
         - {{username: alice, plugins: {{key-auth: {{key: {KEY}, danger_weak_secret: true}}}}}}\n"
    )
}

/// Plays the client against a gateway with this upstream.
fn play(packages: &Path, upstream: &str) {
    let folder = Folder::new();
    let pki = Pki::new("clients");
    let root = folder.write("root.pem", pki.root());
    let listener = tls_listener(&pki.server(&["api.test"]), "");
    let gateway: Gateway = Setup::default().listeners(&listener).serve(&resources(upstream));
    let address = gateway.address().to_string();
    let output = python(packages, "grpc_client.py").args([&address, &root, KEY]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{:#?}", gateway.events_now());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n", "{told}");
    let events = gateway.events();
    let reasons: Vec<_> = events.iter().map(|event| event["reason"].as_str().unwrap()).collect();
    assert!(reasons.contains(&"auth.missing_credential"), "{reasons:?}");
}

#[test]
fn grpcio_calls_grpcio_in_all_four_ways_and_understands_refusals() {
    let Some(packages) = pypi_packages("grpcio") else { return };
    let server = Server::start(&packages, &[]);
    play(&packages, &format!("scheme: grpc, nodes: {{'127.0.0.1:{}': 1}}", server.port));
}

#[test]
fn grpcio_is_called_under_tls_where_it_proves_who_it_is() {
    let Some(packages) = pypi_packages("grpcio") else { return };
    let (folder, pki) = (Folder::new(), Pki::new("upstreams"));
    let issued = pki.server(&["localhost"]);
    let chain = folder.write("chain.pem", &issued.chain);
    let key = folder.write("key.pem", issued.key.expose_str().unwrap());
    let server = Server::start(&packages, &[&chain, &key]);
    let upstream = format!(
        "scheme: grpcs, tls: {{ca_certs: {}}}, nodes: {{'localhost:{}': 1}}",
        quoted(&pki.root()),
        server.port
    );
    play(&packages, &upstream);
}
