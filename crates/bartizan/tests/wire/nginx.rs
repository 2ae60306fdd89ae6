//! Upstreams that nobody here wrote: nginx, and Python's `http.server`.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::harness::{Client, Folder, Gateway, Setup, curl, open_route, until};

/// A server of others; killed with the test.
struct Server {
    child: Child,
    address: SocketAddr,
    folder: Folder,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LARGE: usize = 8 * 1024 * 1024;

fn nginx() -> Server {
    // It takes no port from the system by itself: a port that was free a moment ago is tried until
    // one still is.
    for _ in 0..20 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let folder = Folder::new();
        std::fs::create_dir(folder.path("site")).unwrap();
        folder.write("site/text.txt", "some text of several words\n".repeat(200));
        folder.write("site/large", vec![b'x'; LARGE]);
        let temporary: Vec<String> = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {};\n", folder.argument(name)))
            .collect();
        let config = format!(
            "\
daemon off;
master_process off;
pid {pid};
error_log stderr;
events {{ worker_connections 256; }}
http {{
{temporary}
access_log {log};
client_max_body_size 32m;
server {{
  listen {address};
  root {root};
  gzip on; gzip_types text/plain; gzip_min_length 100;
  location / {{ }}
  location = /teapot {{ return 418 \"short and stout\"; }}
  location = /broken {{ return 500 \"broken\"; }}
  location = /moved {{ return 302 /text.txt; }}
  location = /empty {{ return 204; }}
  location = /closes {{ keepalive_timeout 0; return 200 \"closed\"; }}
  location /dav/ {{ dav_methods PUT DELETE; create_full_put_path on; dav_access user:rw; }}
}}
}}
",
            temporary = temporary.concat(),
            pid = folder.argument("pid"),
            log = folder.argument("access.log"),
            root = folder.argument("site"),
        );
        let path = folder.write("nginx.conf", config);
        let mut child = Command::new("nginx")
            .args(["-c", &path, "-e", "stderr"])
            .stderr(Stdio::null())
            .spawn()
            .expect("nginx is needed for this test");
        let is_over = std::cell::Cell::new(false);
        let child_ref = std::cell::RefCell::new(&mut child);
        until("nginx serves, or ended", || {
            is_over.set(child_ref.borrow_mut().try_wait().unwrap().is_some());
            is_over.get() || TcpStream::connect(address).is_ok()
        });
        if !is_over.get() {
            return Server { child, address, folder };
        }
    }
    panic!("nginx does not start");
}

fn python() -> Server {
    let folder = Folder::new();
    folder.write("text.txt", "some text");
    folder.write("large", vec![b'x'; LARGE]);
    let mut child = Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(folder.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("python3 is needed for this test");
    // "Serving HTTP on 127.0.0.1 port 40000 (http://127.0.0.1:40000/) ..."
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split(" port ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
    Server { child, address, folder }
}

fn before(server: &Server) -> Gateway {
    Setup::default().limits("body: 16MiB").serve(&open_route(server.address, ""))
}

/// Connections that nginx has served, as its access log tells them apart.
fn connections(server: &Server, fields: &str) -> usize {
    let log = String::from_utf8(server.folder.read("access.log")).unwrap();
    log.lines().filter(|line| line.contains(fields)).count()
}

#[test]
fn nginx_answers_pass_as_they_are() {
    let server = nginx();
    let gateway = before(&server);
    let mut client = gateway.connect();
    for (path, status, body) in [
        ("/teapot", 418, "short and stout"),
        ("/broken", 500, "broken"),
        ("/closes", 200, "closed"),
        ("/empty", 204, ""),
    ] {
        let reply = client.get(path);
        assert_eq!((reply.status, reply.text().as_str()), (status, body), "{path}");
        assert!(reply.field("server").is_some_and(|name| name.starts_with("nginx")), "{path}");
    }
    let missing = client.get("/missing");
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("<h1>404 Not Found</h1>"));
    let moved = client.get("/moved");
    assert_eq!(moved.status, 302);
    let to = moved.field("location").unwrap();
    assert!(to.starts_with("http://api.test") && to.ends_with("/text.txt"), "{to}");
    drop(client);
    assert!(gateway.events().is_empty(), "what the upstream says is no refusal of ours");
    assert_eq!(connections(&server, "\"GET /teapot HTTP/1.1\" 418"), 1);
}

#[test]
fn nginx_serves_ranges_validators_and_compressed_bodies() {
    let server = nginx();
    let gateway = before(&server);
    let mut client = gateway.connect();
    let mut ask = |fields: &str| {
        client.send(format!("GET /text.txt HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.reply("GET")
    };
    let whole = ask("");
    assert_eq!((whole.status, whole.body.len()), (200, 27 * 200));
    let part = ask("Range: bytes=5-8\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "text"));
    assert_eq!(part.field("content-range"), Some("bytes 5-8/5400"));
    let none = ask("Range: bytes=9999-\r\n");
    assert_eq!(none.status, 416);
    let tag = whole.field("etag").unwrap().to_owned();
    let same = ask(&format!("If-None-Match: {tag}\r\n"));
    assert_eq!((same.status, same.body.len()), (304, 0));
    let since = whole.field("last-modified").unwrap().to_owned();
    assert_eq!(ask(&format!("If-Modified-Since: {since}\r\n")).status, 304);
    let zipped = ask("Accept-Encoding: gzip\r\n");
    assert_eq!(zipped.field("content-encoding"), Some("gzip"));
    assert!(zipped.is_complete && zipped.body.starts_with(&[0x1f, 0x8b]));
    assert!(zipped.body.len() < whole.body.len());
    assert_eq!(ask("").body, whole.body, "the connection is in order after all that");
}

#[test]
fn nginx_serves_and_takes_large_bodies() {
    let server = nginx();
    let gateway = before(&server);
    let reply = gateway.connect().get("/large");
    assert_eq!(reply.body.len(), LARGE);
    assert!(reply.body.iter().all(|byte| *byte == b'x'));
    let body: Vec<u8> = (0_u8..=250).cycle().take(LARGE).collect();
    let path = server.folder.write("upload", &body);
    let file = format!("@{path}");
    for (name, coding) in [("length", "X-None: x"), ("chunks", "Transfer-Encoding: chunked")] {
        let url = format!("http://{}/dav/{name}", gateway.address());
        let status = curl(&[
            "--request",
            "PUT",
            "--header",
            coding,
            "--data-binary",
            &file,
            "--write-out",
            "%{response_code}",
            &url,
        ]);
        assert_eq!(status, "201", "{name}");
        assert!(server.folder.read(&format!("site/dav/{name}")) == body, "{name}");
    }
}

#[test]
fn nginx_is_reached_over_kept_connections() {
    let server = nginx();
    let gateway = before(&server);
    for _ in 0..10 {
        assert_eq!(gateway.connect().get("/teapot").status, 418);
    }
    let count = |name: &str| -> u64 {
        let metrics = gateway.metrics();
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or_default()
    };
    // A worker counts by itself and hands over what it counted once the answer has left.
    super::harness::until("every request is counted", || {
        count("bartizan_requests_total") == 10 && count("bartizan_upstream_reuses_total") == 9
    });
    assert_eq!(count("bartizan_upstream_connects_total"), 1);
}

#[test]
fn python_closes_after_each_answer_and_is_served_all_the_same() {
    let server = python();
    let gateway = before(&server);
    let mut client: Client = gateway.connect();
    for _ in 0..3 {
        let reply = client.get("/text.txt");
        assert_eq!((reply.status, reply.text().as_str()), (200, "some text"));
    }
    assert_eq!(client.get("/large").body.len(), LARGE);
    assert_eq!(client.get("/missing").status, 404);
    client.send("HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.reply("HEAD");
    assert_eq!(head.field("content-length"), Some(LARGE.to_string().as_str()));
    client.send("POST /text.txt HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    assert_eq!(client.reply("POST").status, 501);
    drop(client);
    assert!(gateway.events().is_empty());
}
