//! etcd as a test starts it: of its own, on ports that were free, and stopped, paused, wiped or
//! compacted when the test says so.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long anything may take. It takes milliseconds, unless it is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is killed with the test.
#[derive(Debug)]
pub struct EtcdServer {
    child: Option<Child>,
    folder: TempDir,
    client: Port,
    peer: Port,
    tls: Vec<String>,
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl EtcdServer {
    /// A server without keys.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// A server that speaks TLS with this certificate and key.
    pub fn start_with_tls(chain: &str, key: &str) -> Self {
        Self::start_with(&[("cert", chain), ("key", key)])
    }

    fn start_with(files: &[(&str, &str)]) -> Self {
        for _ in 0..20 {
            let (client, peer) = (Port::reserve(), Port::reserve());
            let folder = tempfile::tempdir().expect("a folder");
            let mut tls = Vec::new();
            for (name, text) in files {
                let path = folder.path().join(name);
                std::fs::write(&path, text).expect("a file");
                tls.push(format!("--{name}-file={}", path.display()));
            }
            let mut server = Self { child: None, folder, client, peer, tls };
            if server.try_start() {
                return server;
            }
        }
        panic!("etcd does not start");
    }

    /// The endpoint.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_empty() { "http" } else { "https" };
        format!("{scheme}://127.0.0.1:{}", self.client.number)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn try_start(&mut self) -> bool {
        let (url, peer) = (self.url(), format!("http://127.0.0.1:{}", self.peer.number));
        let log = std::fs::File::create(self.folder.path().join("log")).expect("a log");
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.data());
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        command.args(["--heartbeat-interval", "10", "--election-timeout", "100"]);
        command.args(&self.tls).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("etcd is needed: {error}")));
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let child = self.child.as_mut().expect("started above");
            if child.try_wait().expect("its state").is_some() {
                return false;
            }
            if self.is_ready() {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        false
    }

    fn is_ready(&self) -> bool {
        if self.tls.is_empty() {
            let answer = self.exchange("GET", "/health", "");
            return answer.is_ok_and(|answer| answer.contains("\"health\":\"true\""));
        }
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.client.number)).is_ok()
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, where it was and with what it held.
    pub fn start_again(&mut self) {
        self.stop();
        assert!(self.try_start(), "etcd does not start again");
    }

    /// Kills it and removes all that it held.
    pub fn wipe(&mut self) {
        self.stop();
        std::fs::remove_dir_all(self.data()).expect("its data");
    }

    /// Runs something while it is on other ports, where nobody who follows it finds it.
    pub fn elsewhere(&mut self, work: impl FnOnce(&Self)) {
        self.stop();
        let own = std::mem::replace(&mut self.client, Port::reserve());
        self.start_again();
        work(self);
        self.stop();
        self.client = own;
        self.start_again();
    }

    /// Lets it stand still: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("a server that runs");
        kill_process(Pid::from_child(child), signal).expect("a signal");
    }

    /// Calls its API, which must do it.
    #[track_caller]
    pub fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.exchange("POST", path, &body.to_string()).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path} {body}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        let start = body.find('{').expect("an object");
        let end = body.rfind('}').expect("an object");
        serde_json::from_str(&body[start..=end]).expect("JSON")
    }

    /// Writes a key, as another control plane would; gives the revision.
    pub fn put(&self, key: &str, value: impl AsRef<[u8]>) -> u64 {
        let body = json!({ "key": STANDARD.encode(key), "value": STANDARD.encode(value) });
        revision(&self.call("/v3/kv/put", &body))
    }

    /// Removes a key; gives the revision.
    pub fn delete(&self, key: &str) -> u64 {
        revision(&self.call("/v3/kv/deleterange", &json!({ "key": STANDARD.encode(key) })))
    }

    /// Forgets everything before a revision.
    pub fn compact(&self, revision: u64) {
        self.call(
            "/v3/kv/compaction",
            &json!({ "revision": revision.to_string(), "physical": true }),
        );
    }

    /// Asks for users from now on; `root` has this password.
    pub fn ask_for_users(&self, password: &str) {
        self.call("/v3/auth/user/add", &json!({ "name": "root", "password": password }));
        self.call("/v3/auth/user/grant", &json!({ "user": "root", "role": "root" }));
        self.call("/v3/auth/enable", &json!({}));
    }

    fn exchange(&self, method: &str, path: &str, body: &str) -> std::io::Result<String> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.client.number));
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // HTTP/1.0: the answer ends with the connection.
        write!(
            socket,
            "{method} {path} HTTP/1.0\r\nHost: etcd\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer.replacen("HTTP/1.0", "HTTP/1.1", 1))
    }
}

/// A port that is kept for one server, also while it is stopped.
///
/// It is outside of what systems give away by themselves, so that no connection gets it, and two
/// servers of tests never get the same: the number is taken in UDP as long as this lives.
#[derive(Debug)]
struct Port {
    number: u16,
    _reserved: UdpSocket,
}

impl Port {
    fn reserve() -> Self {
        for turn in 0..1_000_u32 {
            let random = RandomState::new().hash_one(turn) % 10_000;
            let number = 20_000 + u16::try_from(random).expect("below 10,000");
            let address = (Ipv4Addr::LOCALHOST, number);
            if let (Ok(reserved), Ok(_)) = (UdpSocket::bind(address), TcpListener::bind(address)) {
                return Self { number, _reserved: reserved };
            }
        }
        panic!("no free port")
    }
}

fn revision(answer: &Value) -> u64 {
    let text = answer["header"]["revision"].as_str().expect("a revision");
    text.parse().expect("a number")
}
