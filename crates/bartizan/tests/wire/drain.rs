//! The end of a node: what runs is finished, what is new is not taken.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::harness::{Gateway, Setup, Upstream, open_route, until};

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
