//! curl as the client: the versions of HTTP and TLS, client certificates, bodies both ways.

use std::net::SocketAddr;

use super::harness::{Folder, Gateway, Pki, Setup, Upstream, curl, open_route, quoted, run};

const NAME: &str = "api.test";
const LARGE: usize = 8 * 1024 * 1024;

struct Scene {
    folder: Folder,
    clients: Pki,
    gateway: Gateway,
    upstream: Upstream,
}

/// A gateway with TLS for `api.test`; `client` are further keys of its certificate.
fn scene_with(upstream: Upstream, client: impl Fn(&Pki) -> String) -> Scene {
    let (pki, clients) = (Pki::new("servers"), Pki::new("clients"));
    let issued = pki.server(&[NAME]);
    let resources = format!(
        "{}ssls:\n- {{id: a, snis: [{NAME}], cert: {}, key: {}{}}}\n",
        open_route(upstream.address(), ""),
        quoted(&issued.chain),
        quoted(issued.key.expose_str().unwrap()),
        client(&clients),
    );
    let gateway = Setup::default()
        .listeners("{address: '127.0.0.1:0', tls: {}}, {address: '127.0.0.1:0'}")
        .limits("body: 16MiB")
        .serve(&resources);
    let folder = Folder::new();
    folder.write("root.pem", pki.root());
    Scene { folder, clients, gateway, upstream }
}

fn scene(upstream: Upstream) -> Scene {
    scene_with(upstream, |_| String::new())
}

impl Scene {
    fn secure(&self) -> SocketAddr {
        self.gateway.address()
    }

    fn clear(&self) -> SocketAddr {
        self.gateway.running().addresses()[1]
    }

    fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.secure().port())
    }

    /// What every call over TLS needs: whom to trust and where the name is.
    fn common(&self) -> [String; 4] {
        let port = self.secure().port();
        [
            "--cacert".to_owned(),
            self.folder.argument("root.pem"),
            "--resolve".to_owned(),
            format!("{NAME}:{port}:127.0.0.1"),
        ]
    }

    #[track_caller]
    fn curl(&self, arguments: &[&str]) -> String {
        let common = self.common();
        let all: Vec<&str> =
            common.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        curl(&all)
    }

    /// The exit code of a call that must fail.
    fn fails(&self, arguments: &[&str]) -> i32 {
        let common = self.common();
        let mut all = vec!["--silent", "--noproxy", "*", "--max-time", "60"];
        all.extend(common.iter().map(String::as_str).chain(arguments.iter().copied()));
        let code = run("curl", &all, b"").status.code().unwrap();
        assert_ne!(code, 0, "{arguments:?}");
        code
    }

    /// The paths of a client's certificate and key.
    fn client(&self, name: &str, pki: &Pki) -> [String; 2] {
        let issued = pki.client(name);
        [
            self.folder.write(&format!("{name}.pem"), &issued.chain),
            self.folder.write(&format!("{name}.key"), issued.key.expose()),
        ]
    }
}

/// Bytes without a pattern that a mistake could repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(|_| next()).take(length).collect()
}

#[test]
fn every_version_of_http_and_tls_is_served() {
    let scene = scene(Upstream::plain());
    let write = ["--write-out", " %{http_version} %{response_code}"];
    for (options, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"], "2"),
        (&["--http2", "--tls-max", "1.2"], "2"),
        (&["--http1.1", "--tls-max", "1.2"], "1.1"),
        (&["--http1.1", "--tlsv1.3"], "1.1"),
        (&["--http2", "--tlsv1.3"], "2"),
        (&["--http1.0"], "1.1"),
        (&["--no-alpn"], "1.1"),
    ] {
        let url = scene.url("/hello");
        let told = scene.curl(&[options, &write, &[url.as_str()]].concat());
        assert_eq!(told, format!("/hello {version} 200"), "{options:?}");
    }
    let clear = format!("http://{}/clear", scene.clear());
    assert_eq!(curl(&[&clear]), "/clear");
    assert!(scene.gateway.events().is_empty());
}

#[test]
fn an_old_version_of_tls_is_refused_and_told() {
    let scene = scene(Upstream::plain());
    let url = scene.url("/");
    let code =
        scene.fails(&["--tlsv1.0", "--tls-max", "1.1", "--ciphers", "ALL:@SECLEVEL=0", &url]);
    assert_eq!(code, 35, "curl's code for a failed handshake");
    assert_eq!(scene.gateway.only_event()["reason"], "tls.handshake_failed");
}

#[test]
fn an_answer_to_http_1_0_has_no_chunks() {
    let upstream = Upstream::start(|peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        peer.send("5\r\nhello\r\n0\r\n\r\n");
        true
    });
    let scene = scene(upstream);
    let clear = format!("http://{}/", scene.clear());
    let told = curl(&["--http1.0", "--include", "--raw", &clear]);
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    assert_eq!(body, "hello");
    assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
}

#[test]
fn a_client_certificate_is_asked_for_and_judged() {
    let scene = scene_with(Upstream::plain(), |clients| {
        format!(
            ", client: {{ca: {}, depth: 1, skip_mtls_uri_regex: ['^/public']}}",
            quoted(&clients.root())
        )
    });
    let (good, other) = (scene.client("good", &scene.clients), scene.client("bad", &Pki::new("x")));
    for http in ["--http1.1", "--http2"] {
        let url = scene.url("/private");
        let told = scene.curl(&[http, "--cert", &good[0], "--key", &good[1], &url]);
        assert_eq!(told, "/private", "{http}");
        let public = scene.url("/public/x");
        assert_eq!(scene.curl(&[http, &public]), "/public/x", "{http}");
        let told = scene.curl(&[http, "--write-out", " %{response_code}", &url]);
        assert!(told.ends_with(" 400"), "{http}: {told}");
        assert!(told.contains("tls.client_certificate_required"), "{http}: {told}");
    }
    let before = scene.upstream.seen().len();
    let url = scene.url("/private");
    let wrong = ["--cert", &other[0], "--key", &other[1]];
    let common = scene.common();
    let mut all: Vec<&str> = vec!["--silent", "--noproxy", "*", "--write-out", " %{response_code}"];
    all.extend(common.iter().map(String::as_str).chain(wrong).chain([url.as_str()]));
    let output = run("curl", &all, b"");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() || told.ends_with(" 400"), "{told}");
    assert_eq!(scene.upstream.seen().len(), before, "nobody else comes in");
    assert!(!scene.gateway.events().is_empty());
}

#[test]
fn a_client_certificate_of_another_authority_is_refused_where_one_is_required() {
    let scene = scene_with(Upstream::plain(), |clients| {
        format!(", client: {{ca: {}, depth: 1}}", quoted(&clients.root()))
    });
    let other = scene.client("bad", &Pki::new("x"));
    let url = scene.url("/");
    scene.fails(&["--http1.1", "--cert", &other[0], "--key", &other[1], &url]);
    scene.fails(&["--http1.1", &url]);
    assert!(scene.upstream.seen().is_empty());
    let events = scene.gateway.events();
    assert_eq!(events.len(), 2, "{events:#?}");
    assert!(events.iter().all(|event| event["reason"] == "tls.handshake_failed"), "{events:#?}");
}

#[test]
fn large_bodies_arrive_whole_in_both_directions() {
    let scene = scene(Upstream::echo());
    let body = noise(LARGE);
    let path = scene.folder.write("body", &body);
    let data = format!("@{path}");
    for options in [
        &["--http1.1"][..],
        &["--http2"],
        &["--http1.1", "--header", "Transfer-Encoding: chunked"],
        &["--http1.1", "--header", "Expect: 100-continue"],
    ] {
        let out = scene.folder.argument("out");
        let url = scene.url("/");
        scene.curl(&[options, &["--data-binary", &data, "--output", &out, &url]].concat());
        assert!(scene.folder.read("out") == body, "{options:?}");
    }
    assert_eq!(scene.upstream.complete().len(), 4);
    assert!(scene.gateway.events().is_empty());
}

#[test]
fn a_chunked_answer_of_many_pieces_arrives_whole() {
    let body = noise(LARGE);
    let sent = body.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (count, piece) in sent.chunks(100_003).enumerate() {
            let (first, second) = piece.split_at(piece.len() / (count % 7 + 2));
            for part in [first, second] {
                peer.send([format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat());
            }
        }
        peer.send("0\r\n\r\n");
        true
    });
    let scene = scene(upstream);
    for http in ["--http1.1", "--http2"] {
        let out = scene.folder.argument("out");
        scene.curl(&[http, "--output", &out, &scene.url("/")]);
        assert!(scene.folder.read("out") == body, "{http}");
    }
}

#[test]
fn continue_is_sent_only_to_those_who_may_go_on() {
    let upstream = Upstream::echo();
    let resources = format!(
        "\
routes:
- id: a
  uri: /allowed
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{nodes: {{'{0}': 1}}}}
- id: b
  uri: /secret
  plugins: {{key-auth: {{}}, any-authenticated: {{reason: a test}}}}
  upstream: {{nodes: {{'{0}': 1}}}}
",
        upstream.address()
    );
    let gateway = Gateway::serving(&resources);
    for (path, statuses) in [("/allowed", &[100, 200][..]), ("/secret", &[401])] {
        let mut client = gateway.connect();
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        ));
        for status in statuses {
            let reply = client.one_reply("POST").unwrap();
            assert_eq!(reply.status, *status, "{path}");
            if *status == 100 {
                client.send("hello");
            }
        }
    }
    assert_eq!(upstream.complete().len(), 1);
    assert_eq!(upstream.complete()[0].body, b"hello");
}

#[test]
fn head_and_statuses_without_a_body_leave_the_connection_in_order() {
    let upstream = Upstream::start(|peer, seen| {
        match seen.target.as_str() {
            "/204" => peer.send("HTTP/1.1 204 No Content\r\n\r\n"),
            "/304" => peer.send("HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"),
            _ if seen.method == "HEAD" => {
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n");
            }
            _ => peer.answer(200, &seen.target),
        }
        true
    });
    let scene = scene(upstream);
    for http in ["--http1.1", "--http2"] {
        let told = scene.curl(&[http, "--head", &scene.url("/head")]);
        assert!(told.to_lowercase().contains("content-length: 12345"), "{told}");
        let (no_content, not_modified, after) =
            (scene.url("/204"), scene.url("/304"), scene.url("/after"));
        let told = scene.curl(&[
            http,
            "--write-out",
            "[%{response_code} %{num_connects}]",
            &no_content,
            &not_modified,
            &after,
        ]);
        assert_eq!(told, "[204 1][304 0]/after[200 0]", "{http}");
    }
}

#[test]
fn one_connection_serves_many_requests() {
    let scene = scene(Upstream::plain());
    let urls: Vec<String> = (0..20).map(|count| scene.url(&format!("/{count}"))).collect();
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    for http in ["--http1.1", "--http2"] {
        let told = scene.curl(&[&[http, "--write-out", " %{num_connects}\n"][..], &urls].concat());
        let expected: Vec<String> =
            (0..20).map(|count| format!("/{count} {}\n", u8::from(count == 0))).collect();
        assert_eq!(told, expected.concat(), "{http}");
    }
}

#[test]
fn trailers_pass_both_ways() {
    let upstream = Upstream::start(|peer, seen| {
        let sum = seen.trailers.join(";");
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n");
        peer.send(format!("X-Seen: {sum}\r\n\r\n"));
        true
    });
    let scene = scene(upstream);
    let clear = scene.clear();
    let mut client = super::harness::Client::connect(clear);
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n",
    );
    let reply = client.reply("POST");
    assert_eq!(reply.text(), "hello");
    let (name, value) = &reply.trailers[0];
    assert_eq!(name, "x-seen");
    assert!(value.eq_ignore_ascii_case("x-sum: 3"), "{value}");
}
