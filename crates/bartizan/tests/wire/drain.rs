//! The end of a node: what runs is finished, what is new is not taken.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::channel;

use rustix::process::{Pid, Signal, kill_process};

use super::harness::{Client, Folder, Gateway, Setup, Upstream, open_route, until};

#[test]
fn a_running_request_is_finished_and_its_connection_ends() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |peer, seen| {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
        gone.lock().unwrap().recv().unwrap();
        peer.send("world");
        assert_eq!(seen.target, "/x");
        true
    });
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let address = gateway.address();
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the upstream has it", || !upstream.seen().is_empty());
    gateway.running().drain();
    until("nobody listens", || std::net::TcpStream::connect(address).is_err());
    let ending = std::thread::spawn(move || gateway.shut_down());
    go.send(()).unwrap();
    let reply = client.reply("GET");
    assert_eq!((reply.is_complete, reply.text().as_str()), (true, "helloworld"));
    client.expect_end();
    ending.join().unwrap();
}

#[test]
fn an_idle_connection_does_not_hold_the_end_up() {
    let upstream = Upstream::plain();
    let gateway = Gateway::serving(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    assert_eq!(client.get("/").status, 200);
    gateway.shut_down();
    client.expect_end();
}

#[test]
fn what_does_not_end_is_cut_when_the_time_is_over() {
    let upstream = Upstream::start(|peer, _| {
        peer.wait_for_end();
        false
    });
    let gateway =
        Setup::default().limits("drain: 200ms").serve(&open_route(upstream.address(), ""));
    let mut client = gateway.connect();
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the upstream has it", || !upstream.seen().is_empty());
    gateway.shut_down();
    client.expect_end();
}

#[test]
fn the_command_that_is_told_to_stop_finishes_what_runs_and_succeeds() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let upstream = Upstream::start(move |peer, seen| {
        gone.lock().unwrap().recv().unwrap();
        peer.answer(200, &seen.target);
        true
    });
    let folder = Folder::new();
    let node = "listeners: [{address: '127.0.0.1:0'}]\nstore: {file: {path: resources.yaml}}\n\
                audit: {sinks: [{file: {path: audit.jsonl}}]}\n";
    folder.write("bartizan.yaml", node);
    folder.write("resources.yaml", open_route(upstream.address(), ""));
    let mut child = Command::new(env!("CARGO_BIN_EXE_bartizan"))
        .args(["run", "--log-format=json", "--log-level=info"])
        .current_dir(folder.path(""))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    let started = log.find(|line| line.as_ref().is_ok_and(|line| line.contains("listeners")));
    let started: serde_json::Value = serde_json::from_str(&started.unwrap().unwrap()).unwrap();
    let mut client = Client::connect(started["listeners"].as_str().unwrap().parse().unwrap());
    client.send("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the upstream has it", || !upstream.seen().is_empty());
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    log.find(|line| line.as_ref().is_ok_and(|line| line.contains("draining")));
    go.send(()).unwrap();
    assert_eq!(client.reply("GET").text(), "/x");
    client.expect_end();
    // The pipe is read to its end, or the last words would not be written.
    log.for_each(drop);
    assert!(child.wait().unwrap().success());
    let events = String::from_utf8(folder.read("audit.jsonl")).unwrap();
    let told: Vec<&str> = events.lines().filter(|line| line.contains("\"draining\"")).collect();
    assert_eq!(told.len(), 1, "{events}");
}
