//! Large answers in clear, which pass from socket to socket inside the kernel: whole, in order,
//! bounded, and with the same ends as those that are copied.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::harness::{Client, Folder, Gateway, Setup, Upstream, open_route, until};

/// Bytes without a pattern that a lost, doubled or moved piece could hide in.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length as u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Answers with as many bytes as the target says.
fn sized() -> Upstream {
    Upstream::start(|peer, seen| {
        peer.answer(200, noise(seen.target[1..].parse().unwrap()));
        true
    })
}

fn ask(client: &mut Client, length: usize) {
    client.send(format!("GET /{length} HTTP/1.1\r\nHost: a\r\n\r\n"));
}

#[track_caller]
fn expect(client: &mut Client, length: usize) {
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.is_complete), (200, true), "{length} bytes");
    assert!(reply.body == noise(length), "{length} bytes: another body");
}

#[test]
fn bodies_of_every_size_arrive_whole_on_connections_that_go_on() {
    let upstream = sized();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    let around = [4_096, 32 * 1_024, 36 * 1_024, 64 * 1_024, 256 * 1_024, 260 * 1_024];
    let near = around.into_iter().flat_map(|size| (size - 90)..(size + 20)).step_by(7);
    for length in near.chain([0, 1, 100_000, 1 << 20, 3_000_001]) {
        ask(&mut client, length);
        expect(&mut client, length);
    }
    assert_eq!(upstream.connections(), 1, "the upstream's connection is used again");
    drop(client);
    assert!(gateway.events().is_empty());
}

#[test]
fn sixty_four_mebibytes_arrive_whole_at_several_clients_at_once() {
    let upstream = sized();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    std::thread::scope(|scope| {
        for length in [64 << 20, 5 << 20, 700_001] {
            let mut client = gateway.connect();
            scope.spawn(move || {
                ask(&mut client, length);
                expect(&mut client, length);
            });
        }
    });
    assert!(gateway.events().is_empty());
}

#[test]
fn answers_to_requests_sent_ahead_follow_a_large_body_in_order() {
    let upstream = sized();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    let lengths = [200_000, 5, 400_000, 0, 90_000];
    for length in lengths {
        ask(&mut client, length);
    }
    for length in lengths {
        expect(&mut client, length);
    }
}

#[test]
fn what_the_upstream_sends_behind_a_large_body_is_no_part_of_any_answer() {
    let upstream = Upstream::start(|peer, _| {
        let mut answer = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n".to_vec();
        answer.extend_from_slice(&noise(200_000));
        answer.extend_from_slice(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged");
        peer.send(answer);
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    for _ in 0..3 {
        ask(&mut client, 200_000);
        expect(&mut client, 200_000);
    }
    assert_eq!(upstream.connections(), 3, "such a connection is not used again");
}

/// An upstream that announces `announced` bytes, sends `sent` of them in pieces, and waits for a
/// word after the first and the last.
fn halting(announced: usize, sent: usize) -> (Upstream, Sender<()>) {
    let (go, gone) = channel::<()>();
    let gone: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(gone));
    let upstream = Upstream::start(move |peer, _| {
        let body = noise(announced);
        peer.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n"));
        peer.send(&body[..50_000]);
        let _ = gone.lock().unwrap().recv();
        for piece in body[50_000..sent].chunks(20_000) {
            peer.send(piece);
        }
        let _ = gone.lock().unwrap().recv();
        sent == announced
    });
    (upstream, go)
}

#[test]
fn what_there_is_reaches_the_client_while_the_rest_is_waited_for() {
    let (upstream, go) = halting(500_000, 500_000);
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    ask(&mut client, 1);
    client.until(|received| received.ends_with(&noise(500_000)[49_000..50_000]));
    go.send(()).unwrap();
    expect(&mut client, 500_000);
}

#[test]
fn a_large_body_that_is_cut_is_no_complete_one() {
    let (upstream, go) = halting(500_000, 300_000);
    let gateway = Gateway::serving(&open_route(upstream.address(), ", retries: 0"));
    let mut client = gateway.connect();
    ask(&mut client, 1);
    drop(go);
    let reply = client.reply("GET");
    assert_eq!((reply.status, reply.is_complete), (200, false));
    assert!(reply.body == noise(500_000)[..300_000], "{} bytes", reply.body.len());
    client.expect_end();
    drop(client);
    assert_eq!(gateway.only_event()["reason"], "upstream.closed");
}

#[test]
fn an_upstream_that_stops_inside_a_large_body_is_given_up() {
    let (upstream, _go) = halting(500_000, 300_000);
    let timeouts = ", retries: 0, timeout: {connect: 5, send: 5, read: 0.3}";
    let gateway = Gateway::serving(&open_route(upstream.address(), timeouts));
    let mut client = gateway.connect();
    ask(&mut client, 1);
    let reply = client.reply("GET");
    assert_eq!((reply.is_complete, reply.body.len()), (false, 50_000));
    drop(client);
    assert_eq!(gateway.only_event()["reason"], "upstream.timeout");
}

/// An upstream that says after every piece how much it could send in all.
fn endless() -> (Upstream, Arc<Mutex<usize>>) {
    let taken = Arc::new(Mutex::new(0));
    let own = taken.clone();
    let upstream = Upstream::start(move |peer, _| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        let piece = noise(65_536);
        while peer.try_send(&piece) {
            *own.lock().unwrap() += piece.len();
        }
        false
    });
    (upstream, taken)
}

#[test]
fn a_client_that_reads_nothing_is_given_up_and_holds_little_until_then() {
    let (upstream, taken) = endless();
    let gateway = Setup::default()
        .limits("idle: 700ms")
        .serve(&open_route(upstream.address(), ", retries: 0"));
    let mut client = gateway.connect();
    ask(&mut client, 1);
    client.until(|received| received.len() > 1_000);
    until("the gateway gave up", || gateway.running().connections() == 0);
    assert_eq!(gateway.only_event()["reason"], "http.client_timeout");
    // The system's own buffers of two connections, as large as it lets them grow, and one pipe.
    let buffers = 2 * (most_of("tcp_rmem") + most_of("tcp_wmem"));
    let taken = *taken.lock().unwrap();
    assert!(taken < buffers + (2 << 20), "{taken} bytes of {buffers}");
}

/// The most bytes that a buffer of the system may have.
fn most_of(name: &str) -> usize {
    let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
    text.split_whitespace().last().unwrap().parse().unwrap()
}

#[test]
fn a_client_that_goes_away_inside_a_large_body_ends_the_exchange() {
    let (upstream, _) = endless();
    let gateway = Gateway::serving(&open_route(upstream.address(), ", retries: 0"));
    let mut client = gateway.connect();
    ask(&mut client, 1);
    client.until(|received| received.len() > 400_000);
    drop(client);
    assert_eq!(gateway.only_event()["reason"], "client.gone");
    let metric = "bartizan_upstream_connections 0";
    until("nothing is open", || gateway.metrics().contains(metric));
}

#[test]
fn a_large_body_that_is_under_way_is_finished_when_the_node_drains() {
    let (upstream, go) = halting(500_000, 500_000);
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    ask(&mut client, 1);
    client.until(|received| received.len() > 40_000);
    gateway.running().drain();
    let ending = std::thread::spawn(move || gateway.shut_down());
    go.send(()).unwrap();
    expect(&mut client, 500_000);
    client.expect_end();
    ending.join().unwrap();
}

/// The command as a process of its own, whose descriptors can be counted and limited.
struct Process {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Process {
    fn start(upstream: SocketAddr) -> Self {
        let folder = Folder::new();
        let node = "listeners: [{address: '127.0.0.1:0'}]\nworkers: 1\n\
                    store: {file: {path: resources.yaml}}\n\
                    audit: {sinks: [{file: {path: audit.jsonl}}]}\n";
        folder.write("bartizan.yaml", node);
        folder.write("resources.yaml", open_route(upstream, ""));
        let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
            .args(["run", "--log-format=json", "--log-level=info"])
            .current_dir(folder.path(""))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("listeners")));
        let started: serde_json::Value = serde_json::from_str(&started.unwrap().unwrap()).unwrap();
        let address = started["listeners"].as_str().unwrap().parse().unwrap();
        std::thread::spawn(move || log.for_each(drop));
        Self { child, address, _folder: folder }
    }

    /// Ends of pipes that it has open; its standard streams are no pipes of its own.
    fn pipe_ends(&self) -> usize {
        let folder = format!("/proc/{}/fd", self.child.id());
        let entries = std::fs::read_dir(folder).expect("what is open").flatten();
        let own = entries.filter(|entry| !["0", "1", "2"].iter().any(|n| entry.file_name() == *n));
        let targets = own.filter_map(|entry| std::fs::read_link(entry.path()).ok());
        targets.filter(|target| target.to_string_lossy().starts_with("pipe:")).count()
    }

    /// From here on it gets no further descriptor.
    fn starve(&self) {
        let limit = Rlimit { current: Some(3), maximum: Some(3) };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).expect("a limit");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_emptied_pipe_serves_the_next_answer_and_one_with_a_rest_is_closed() {
    let upstream = sized();
    let process = Process::start(upstream.address());
    let mut client = Client::connect(process.address);
    ask(&mut client, 10);
    expect(&mut client, 10);
    let before = process.pipe_ends();
    for _ in 0..20 {
        ask(&mut client, 200_000);
        expect(&mut client, 200_000);
    }
    assert_eq!(process.pipe_ends(), before + 2, "one pipe for one client at a time");
    let mut stuck: Vec<Client> = (0..5).map(|_| Client::connect(process.address)).collect();
    for client in &mut stuck {
        ask(client, 60_000_000);
    }
    until("each of them holds a pipe", || process.pipe_ends() >= before + 2 * 5);
    drop(stuck);
    until("what they held is closed", || process.pipe_ends() <= before + 2);
    ask(&mut client, 300_000);
    expect(&mut client, 300_000);
    assert_eq!(process.pipe_ends(), before + 2);
}

#[test]
fn without_descriptors_for_a_pipe_bodies_are_copied() {
    let upstream = sized();
    let process = Process::start(upstream.address());
    let mut client = Client::connect(process.address);
    // Both connections are open before there are no more descriptors.
    ask(&mut client, 10);
    expect(&mut client, 10);
    let before = process.pipe_ends();
    process.starve();
    for length in [900_000, 50_000, 5_000_000] {
        ask(&mut client, length);
        expect(&mut client, length);
    }
    assert_eq!(process.pipe_ends(), before, "no pipe was made");
    assert_eq!(upstream.connections(), 1);
}
