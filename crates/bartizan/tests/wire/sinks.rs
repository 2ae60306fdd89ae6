//! Sinks of logs that are real: files, sockets and servers of another make; and sinks that are
//! down, slow or full, which hold no request up and lose nothing silently.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::{
    Client, Folder, Gateway, PATIENCE, Pki, ServerTls, Setup, Upstream, quoted, until,
};

/// A route for everything with a logger on it.
fn logged(upstream: &Upstream, logger: &str, config: &str) -> String {
    format!(
        "\
routes:
- id: logged
  uri: /*
  plugins:
    anonymous-access: {{reason: a test}}
    {logger}: {{{config}}}
  upstream: {{nodes: {{'{}': 1}}}}
",
        upstream.address()
    )
}

/// A counter of the sinks; zero while it is not there.
fn count(gateway: &Gateway, name: &str, part: &str) -> u64 {
    let text = gateway.metrics();
    let is_it = |line: &&str| line.starts_with(name) && line.contains(part);
    let value = text.lines().find(is_it).and_then(|line| line.rsplit(' ').next());
    value.map_or(0, |value| value.parse().expect("a number"))
}

fn delivered(gateway: &Gateway) -> u64 {
    count(gateway, "bartizan_sink_delivered_total", "")
}

fn dropped(gateway: &Gateway) -> u64 {
    let causes = ["full", "failed", "closed"];
    causes.iter().map(|cause| count(gateway, "bartizan_sink_dropped_total", cause)).sum()
}

/// A program in Python that tells its port in its first line and what it receives in the others.
struct Receiver {
    child: Child,
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn start(program: &str) -> Self {
        let mut child = Command::new("python3")
            .args(["-u", "-c", program])
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 is needed for this test");
        let mut out = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let port = out.next().expect("a port").expect("a port").parse().expect("a port");
        let lines = Arc::new(Mutex::new(Vec::new()));
        let noted = lines.clone();
        std::thread::spawn(move || {
            for line in out.map_while(Result::ok) {
                noted.lock().unwrap().push(line);
            }
        });
        Self { child, port, lines }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HTTP_RECEIVER: &str = "
import http.server
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_POST(self):
        body = self.rfile.read(int(self.headers['content-length']))
        print(self.path, self.headers['authorization'], body.decode())
        self.send_response(204)
        self.end_headers()
    def log_message(self, *a):
        pass
s = http.server.ThreadingHTTPServer(('127.0.0.1', 0), H)
print(s.server_port)
s.serve_forever()
";

const TCP_RECEIVER: &str = "
import socketserver
class H(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            print(line.decode().rstrip())
s = socketserver.ThreadingTCPServer(('127.0.0.1', 0), H)
print(s.server_address[1])
s.serve_forever()
";

const UDP_RECEIVER: &str = "
import socketserver
class H(socketserver.BaseRequestHandler):
    def handle(self):
        print(self.request[0].decode())
s = socketserver.UDPServer(('127.0.0.1', 0), H)
print(s.server_address[1])
s.serve_forever()
";

#[test]
fn a_server_of_another_make_takes_batches() {
    let (upstream, receiver) = (Upstream::plain(), Receiver::start(HTTP_RECEIVER));
    let config = format!(
        "uri: 'http://127.0.0.1:{}/in', auth_header: Bearer of-the-log, batch_max_size: 2, \
         log_format: {{uri: $uri}}",
        receiver.port
    );
    let gateway = Gateway::serving(&logged(&upstream, "http-logger", &config));
    let mut client = gateway.connect();
    for target in ["/one", "/two", "/three", "/four"] {
        assert_eq!(client.get(target).status, 200);
    }
    until("both batches are there", || receiver.lines().len() == 2);
    assert_eq!(
        receiver.lines(),
        [
            "/in Bearer of-the-log [{\"uri\":\"/one\"},{\"uri\":\"/two\"}]",
            "/in Bearer of-the-log [{\"uri\":\"/three\"},{\"uri\":\"/four\"}]",
        ]
    );
    until("it is counted", || delivered(&gateway) == 4);
}

#[test]
fn lines_and_datagrams_arrive() {
    let upstream = Upstream::plain();
    for (logger, program, more) in [
        ("tcp-logger", TCP_RECEIVER, ""),
        ("udp-logger", UDP_RECEIVER, ""),
        ("syslog", TCP_RECEIVER, ""),
        ("syslog", UDP_RECEIVER, ", sock_type: udp"),
    ] {
        let receiver = Receiver::start(program);
        let config = format!(
            "host: 127.0.0.1, port: {}, batch_max_size: 2, log_format: {{uri: $uri}}{more}",
            receiver.port
        );
        let gateway = Gateway::serving(&logged(&upstream, logger, &config));
        let mut client = gateway.connect();
        for target in ["/one", "/two"] {
            assert_eq!(client.get(target).status, 200);
        }
        until("both entries are there", || receiver.lines().len() == 2);
        for (line, target) in receiver.lines().iter().zip(["/one", "/two"]) {
            assert!(line.ends_with(&format!("{{\"uri\":\"{target}\"}}")), "{logger}: {line}");
            let is_message =
                line.starts_with("<46>1 20") && line.contains(" gateway.test bartizan ");
            assert_eq!(is_message, logger == "syslog", "{line}");
        }
    }
}

#[test]
fn a_sink_under_tls_is_verified_by_the_authority_that_is_named() {
    let upstream = Upstream::plain();
    let (pki, other) = (Pki::new("logs"), Pki::new("other"));
    let sink = Upstream::start_tls(ServerTls::showing(&pki.server(&["localhost"])), |peer, _| {
        peer.answer(200, "");
        true
    });
    let config = |pki: &Pki, more: &str| {
        format!(
            "uri: 'https://localhost:{}/', ca_certs: {}, batch_max_size: 1{more}",
            sink.address().port(),
            quoted(&pki.root())
        )
    };
    let gateway = Gateway::serving(&logged(&upstream, "http-logger", &config(&other, "")));
    assert_eq!(gateway.connect().get("/unseen").status, 200);
    until("it is refused and counted", || dropped(&gateway) == 1);
    assert_eq!(sink.seen().len(), 0);

    gateway.apply(&logged(&upstream, "http-logger", &config(&pki, "")));
    assert_eq!(gateway.connect().get("/seen").status, 200);
    until("it is taken", || sink.seen().len() == 1);

    let danger = config(&other, ", danger_ssl_verify: false");
    gateway.apply(&logged(&upstream, "http-logger", &danger));
    assert_eq!(gateway.connect().get("/danger").status, 200);
    until("danger opens it", || sink.seen().len() == 2);
}

/// A port of the loopback where nobody listens.
fn nobody() -> u16 {
    Upstream::nowhere().port()
}

#[test]
fn sinks_that_are_down_hold_no_request_up_and_every_entry_is_counted() {
    let upstream = Upstream::plain();
    let port = nobody();
    for (logger, place) in [
        ("http-logger", format!("uri: 'http://127.0.0.1:{port}/'")),
        ("tcp-logger", format!("host: 127.0.0.1, port: {port}")),
        ("syslog", format!("host: 127.0.0.1, port: {port}")),
    ] {
        let config = format!("{place}, batch_max_size: 10, max_retry_count: 1, retry_delay: 0");
        let gateway = Gateway::serving(&logged(&upstream, logger, &config));
        let mut client = gateway.connect();
        for _ in 0..100 {
            assert_eq!(client.get("/").status, 200);
        }
        until("every entry is accounted for", || dropped(&gateway) == 100);
        assert_eq!(delivered(&gateway), 0);
    }
}

#[test]
fn a_sink_that_takes_nothing_fills_its_queue_and_holds_no_request_up() {
    let upstream = Upstream::plain();
    // It accepts, by the system's backlog, and never reads.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let resources = logged(
        &upstream,
        "http-logger",
        &format!("uri: 'http://127.0.0.1:{port}/', batch_max_size: 5, timeout: 600"),
    );
    let resources =
        format!("{resources}plugin_metadata:\n- {{id: http-logger, max_pending_entries: 20}}\n");
    let gateway = Setup::default().workers(2).serve(&resources);
    let started = Instant::now();
    let mut client = gateway.connect();
    for _ in 0..200 {
        assert_eq!(client.get("/").status, 200);
    }
    assert!(started.elapsed() < PATIENCE, "held up: {:?}", started.elapsed());
    let full = || count(&gateway, "bartizan_sink_dropped_total", "full");
    until("what there is no room for is counted", || full() == 180);
    assert_eq!((delivered(&gateway), dropped(&gateway)), (0, 180));
}

#[test]
fn what_waits_is_handed_over_when_the_node_ends() {
    let (upstream, receiver) = (Upstream::plain(), Receiver::start(TCP_RECEIVER));
    let config = format!(
        "host: 127.0.0.1, port: {}, inactive_timeout: 3600, buffer_duration: 3600, \
         log_format: {{uri: $uri}}",
        receiver.port
    );
    let gateway = Gateway::serving(&logged(&upstream, "tcp-logger", &config));
    let mut client = gateway.connect();
    for number in 0..50 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
    }
    assert!(receiver.lines().is_empty());
    gateway.shut_down();
    until("everything is there", || receiver.lines().len() == 50);
}

#[test]
fn reloads_under_load_lose_and_double_no_entry() {
    let upstream = Upstream::plain();
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = socket.local_addr().unwrap().port();
    let resources = |format: &str| {
        let config = format!(
            "host: 127.0.0.1, port: {port}, batch_max_size: 3, log_format: {{uri: $uri, {format}: 1}}"
        );
        logged(&upstream, "udp-logger", &config)
    };
    let gateway = Gateway::serving(&resources("a"));
    let mut client = gateway.connect();
    for number in 0..60 {
        assert_eq!(client.get(&format!("/{number}")).status, 200);
        gateway.apply(&resources(if number % 2 == 0 { "b" } else { "a" }));
    }
    let mut seen = Vec::new();
    let mut buffer = [0; 1_024];
    while seen.len() < 60 {
        let count = socket.recv(&mut buffer).expect("an entry");
        let entry: Value = serde_json::from_slice(&buffer[..count]).unwrap();
        seen.push(entry["uri"].as_str().unwrap()[1..].parse::<u32>().unwrap());
    }
    assert_eq!(seen, (0..60).collect::<Vec<_>>());
}

#[test]
fn a_file_that_was_moved_away_is_opened_anew_on_a_signal() {
    let upstream = Upstream::plain();
    let folder = Folder::new();
    let node = "listeners: [{address: '127.0.0.1:0'}]\nstore: {file: {path: resources.yaml}}\n";
    folder.write("bartizan.yaml", node);
    let config = "path: access.jsonl, log_format: {uri: $uri}";
    folder.write("resources.yaml", logged(&upstream, "file-logger", config));
    let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["run", "--log-format=json", "--log-level=info"])
        .current_dir(folder.path(""))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let started = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("listeners")));
    let started: Value = serde_json::from_str(&started.unwrap().unwrap()).unwrap();
    let mut client = Client::connect(started["listeners"].as_str().unwrap().parse().unwrap());
    let holds = |name: &str, expected: &str| {
        let mut text = String::new();
        let file = std::fs::File::open(folder.path(name));
        file.is_ok_and(|mut file| file.read_to_string(&mut text).is_ok()) && text == expected
    };
    client.get("/one");
    until("the first line is there", || holds("access.jsonl", "{\"uri\":\"/one\"}\n"));
    std::fs::rename(folder.path("access.jsonl"), folder.path("old.jsonl")).unwrap();
    kill_process(Pid::from_child(&child), Signal::USR1).unwrap();
    log.find(|line| line.as_ref().is_ok_and(|line| line.contains("opened anew")));
    client.get("/two");
    until("the second is in the new file", || holds("access.jsonl", "{\"uri\":\"/two\"}\n"));
    assert!(holds("old.jsonl", "{\"uri\":\"/one\"}\n"));
    client.get("/three");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    log.for_each(drop);
    assert!(child.wait().unwrap().success());
    assert!(holds("access.jsonl", "{\"uri\":\"/two\"}\n{\"uri\":\"/three\"}\n"));
}
