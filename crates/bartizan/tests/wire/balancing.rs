//! Which node serves a request: by a key that it holds, or by how busy the nodes are.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;

use super::harness::{Gateway, Upstream, until};

fn named(name: &'static str) -> Upstream {
    Upstream::start(move |peer, _| {
        peer.answer(200, name);
        true
    })
}

fn resources(nodes: &[SocketAddr], plugins: &str, how: &str) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| format!("'{node}': 1")).collect();
    format!(
        "\
routes:
- id: r
  uri: /*
  plugins: {{{plugins}}}
  upstream: {{nodes: {{{}}}, {how}}}
consumers:
- {{username: alice, plugins: {{key-auth: {{key: alice-key, danger_weak_secret: true}}}}}}
- {{username: bob, plugins: {{key-auth: {{key: bob-key, danger_weak_secret: true}}}}}}
",
        nodes.join(", ")
    )
}

const OPEN: &str = "anonymous-access: {reason: a test}";

/// Who answers requests with these lines, from a connection of its own.
#[track_caller]
fn served(gateway: &Gateway, target: &str, lines: &str) -> String {
    let reply = gateway.ask(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{lines}\r\n"));
    assert_eq!(reply.status, 200);
    reply.text()
}

/// Who serves which key.
fn places(gateway: &Gateway, ask: impl Fn(&Gateway, u32) -> String) -> BTreeMap<u32, String> {
    (0..40).map(|key| (key, ask(gateway, key))).collect()
}

#[test]
fn a_key_stays_with_its_node_and_moves_only_when_that_goes() {
    let ups = [named("a"), named("b"), named("c")];
    let all: Vec<SocketAddr> = ups.iter().map(Upstream::address).collect();
    for (how, ask) in [
        (
            "type: chash, hash_on: header, key: X-User",
            (|gateway, key| served(gateway, "/", &format!("X-User: {key}\r\n")))
                as fn(&Gateway, u32) -> String,
        ),
        ("type: chash, hash_on: cookie, key: user", |gateway, key| {
            served(gateway, "/", &format!("Cookie: a=b; user={key}\r\n"))
        }),
        ("type: chash, key: arg_user", |gateway, key| {
            served(gateway, &format!("/?user={key}"), "")
        }),
        ("type: chash, hash_on: vars_combinations, key: '$host-$uri'", |gateway, key| {
            served(gateway, &format!("/{key}"), "")
        }),
    ] {
        let gateway = Gateway::serving(&resources(&all, OPEN, how));
        let before = places(&gateway, ask);
        assert_eq!(places(&gateway, ask), before, "{how}");
        let used: BTreeSet<&String> = before.values().collect();
        assert_eq!(used.len(), 3, "{how}");
        gateway.apply(&resources(&all[..2], OPEN, how));
        for (key, node) in places(&gateway, ask) {
            let was = &before[&key];
            assert!(node == *was || was == "c", "{how}: {key} moved from {was} to {node}");
        }
    }
}

#[test]
fn where_there_is_no_key_the_clients_address_counts() {
    let ups = [named("a"), named("b"), named("c")];
    let all: Vec<SocketAddr> = ups.iter().map(Upstream::address).collect();
    let gateway =
        Gateway::serving(&resources(&all, OPEN, "type: chash, hash_on: header, key: X-User"));
    let served: BTreeSet<String> = [
        served(&gateway, "/", ""),
        served(&gateway, "/other", ""),
        served(&gateway, "/", "X-User:\r\n"),
        // Said twice it has no one value.
        served(&gateway, "/", "X-User: 1\r\nX-User: 2\r\n"),
        served(&gateway, "/", "X-User: 3\r\nX-User: 4\r\n"),
    ]
    .into();
    assert_eq!(served.len(), 1, "{served:?}");
}

#[test]
fn a_consumer_stays_with_a_node() {
    let ups = [named("a"), named("b")];
    let all: Vec<SocketAddr> = ups.iter().map(Upstream::address).collect();
    let plugins = "key-auth: {}, any-authenticated: {reason: a test}";
    let gateway = Gateway::serving(&resources(&all, plugins, "type: chash, hash_on: consumer"));
    for key in ["alice-key", "bob-key"] {
        let lines = format!("apikey: {key}\r\n");
        let nodes: BTreeSet<String> =
            (0..5).map(|n| served(&gateway, &format!("/{n}"), &lines)).collect();
        assert_eq!(nodes.len(), 1, "{key}");
    }
}

#[test]
fn where_a_node_fails_each_key_has_a_next_one_of_its_own() {
    let ups = [named("a"), named("b"), named("c")];
    let mut all: Vec<SocketAddr> = ups.iter().map(Upstream::address).collect();
    let how = "type: chash, key: arg_user";
    let ask = |gateway: &Gateway, key: u32| served(gateway, &format!("/?user={key}"), "");
    let without = places(&Gateway::serving(&resources(&all, OPEN, how)), ask);
    all.push(Upstream::nowhere());
    let gateway = Gateway::serving(&resources(&all, OPEN, how));
    // The keys of the node that is down go where they would be without it.
    assert_eq!(places(&gateway, ask), without);
    assert!(gateway.events().is_empty());
}

#[test]
fn the_less_busy_node_serves() {
    let (go, gone) = channel::<()>();
    let gone = Mutex::new(gone);
    let slow = Upstream::start(move |peer, seen| {
        if seen.target == "/slow" {
            gone.lock().unwrap().recv().unwrap();
        }
        peer.answer(200, "slow");
        true
    });
    let quick = named("quick");
    let nodes = [slow.address(), quick.address()];
    let gateway = Gateway::serving(&resources(&nodes, OPEN, "type: least_conn"));
    let mut waiting = gateway.connect();
    // The first of equals is anybody: until it is the slow one.
    for count in 1.. {
        waiting.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
        until("somebody has it", || slow.seen().len() + quick.seen().len() == count);
        if !slow.seen().is_empty() {
            break;
        }
        assert_eq!(waiting.reply("GET").text(), "quick");
    }
    let busy: Vec<String> = (0..6).map(|_| served(&gateway, "/", "")).collect();
    assert_eq!(busy, ["quick"; 6]);
    go.send(()).unwrap();
    assert_eq!(waiting.reply("GET").text(), "slow");
    let idle: BTreeSet<String> = (0..6).map(|_| served(&gateway, "/", "")).collect();
    assert_eq!(idle.len(), 2, "{idle:?}");
}
