//! Health checks: which servers are probed, and what requests come to where one or all are down.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use super::harness::{Gateway, Pki, ServerTls, Upstream, open_route, quoted, until};

/// A server that answers probes at `/up` with the status that is set, requests with its name.
struct Server {
    upstream: Upstream,
    status: Arc<AtomicU16>,
}

impl Server {
    fn named(name: &'static str) -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let said = status.clone();
        let upstream = Upstream::start(move |peer, seen| {
            let is_probe = seen.target.starts_with("/up");
            peer.answer(if is_probe { said.load(Ordering::SeqCst) } else { 200 }, name);
            true
        });
        Self { upstream, status }
    }

    fn address(&self) -> SocketAddr {
        self.upstream.address()
    }

    fn answers_probes_with(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn requests(&self) -> usize {
        let seen = self.upstream.seen();
        seen.iter().filter(|seen| !seen.target.starts_with("/up")).count()
    }

    fn probes(&self) -> usize {
        self.upstream.seen().len() - self.requests()
    }
}

/// One failure or success decides, and probes come every second.
const QUICK: &str = "http_path: /up, healthy: {successes: 1}, unhealthy: {http_failures: 1, \
                     tcp_failures: 1, timeouts: 1}";

/// Probes that decide nothing for a long time.
const IDLE: &str = "type: tcp, healthy: {interval: 3600, successes: 254}, unhealthy: {interval: \
                    3600, tcp_failures: 254}";

fn resources(nodes: &[SocketAddr], further: &str, checks: &str) -> String {
    let nodes: Vec<String> = nodes.iter().map(|node| format!("'{node}': 1")).collect();
    format!(
        "\
routes:
- id: open
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{nodes: {{{}}}{further}, checks: {{{checks}}}}}
",
        nodes.join(", ")
    )
}

fn gauge(node: SocketAddr, value: u8) -> String {
    let labels = format!("upstream=\"routes/open\",node=\"{node}\"");
    format!("bartizan_upstream_healthy{{{labels}}} {value}\n")
}

/// Waits until a server is healthy or not.
#[track_caller]
fn until_healthy(gateway: &Gateway, node: SocketAddr, value: u8) {
    let line = gauge(node, value);
    until(&line, || gateway.metrics().contains(&line));
}

fn ask(gateway: &Gateway) -> super::harness::Reply {
    gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
}

#[test]
fn a_server_that_is_down_gets_no_requests_until_it_is_back() {
    for how in ["roundrobin", "least_conn", "ewma", "chash, key: arg_x"] {
        let (one, two) = (Server::named("one"), Server::named("two"));
        let nodes = [one.address(), two.address()];
        let checks = format!("active: {{{QUICK}}}");
        let gateway = Gateway::serving(&resources(&nodes, &format!(", type: {how}"), &checks));
        let serving = || -> BTreeSet<String> {
            let ask = |n| gateway.ask(format!("GET /?x={n} HTTP/1.1\r\nHost: a\r\n\r\n"));
            (0..24).map(|n| ask(n).text()).collect()
        };
        until("both serve", || serving().len() == 2);
        one.answers_probes_with(500);
        until_healthy(&gateway, one.address(), 0);
        assert_eq!(serving(), BTreeSet::from(["two".to_owned()]), "{how}");
        one.answers_probes_with(302);
        until_healthy(&gateway, one.address(), 1);
        // Whoever was slower before is asked again later only.
        until("both serve again", || how == "ewma" || serving().len() == 2);
        let told: Vec<String> = gateway
            .events()
            .iter()
            .filter(|event| event["event"] == "health")
            .map(|event| event["detail"].as_str().unwrap().to_owned())
            .collect();
        let server = format!("server `{}` of the upstream of route `open` is", one.address());
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with(&format!("{server} unhealthy: a probe failed")), "{told:?}");
        assert!(told[0].ends_with("it answered with 500"), "{told:?}");
        assert_eq!(told[1], format!("{server} healthy again: probes succeed"));
    }
}

#[test]
fn probes_are_sent_as_they_are_written_without_waiting_for_a_request() {
    let server = Server::named("one");
    let checks = "active: {http_path: '/up?deep=1', http_method: POST, http_req_body: ping, host: \
                  probe.example, req_headers: ['X-Probe: yes', 'User-Agent: probe']}";
    let gateway = Gateway::serving(&resources(&[server.address()], "", checks));
    until("the first probe", || server.probes() > 0);
    let seen = server.upstream.seen().remove(0);
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/up?deep=1"));
    assert_eq!(seen.body, b"ping");
    let field = |name| seen.field(name).unwrap();
    assert_eq!((field("host"), field("x-probe")), ("probe.example".into(), "yes".into()));
    assert_eq!((field("user-agent"), field("connection")), ("probe".into(), "close".into()));
    // Another port is probed than requests are sent to.
    let other = Server::named("other");
    let checks = format!("active: {{{QUICK}, port: {}}}", other.address().port());
    gateway.apply(&resources(&[server.address()], "", &checks));
    until("a probe", || other.probes() > 0);
    assert_eq!(ask(&gateway).text(), "one");
    assert_eq!(other.upstream.seen()[0].field("host").unwrap(), server.address().to_string());
}

#[test]
fn where_all_are_down_nothing_is_sent_unless_it_is_written_that_it_shall() {
    let server = Server::named("one");
    server.answers_probes_with(503);
    let checks = format!("active: {{{QUICK}}}");
    let gateway = Gateway::serving(&resources(&[server.address()], "", &checks));
    until_healthy(&gateway, server.address(), 0);
    let reply = ask(&gateway);
    assert_eq!((reply.status, reply.reason().as_str()), (503, "upstream.unhealthy"));
    assert_eq!(server.requests(), 0);
    let events = gateway.events();
    let refused = events.iter().find(|event| event["event"] == "error").unwrap();
    assert_eq!(refused["reason"], "upstream.unhealthy");
    assert_eq!(refused["detail"], "every server of the upstream of route `open` is unhealthy");
    let counted = "bartizan_denials_total{reason=\"upstream.unhealthy\"} 1\n";
    assert!(gateway.metrics().contains(counted), "{}", gateway.metrics());
    let checks = format!("{checks}, danger_use_unhealthy: true");
    gateway.apply(&resources(&[server.address()], "", &checks));
    until_healthy(&gateway, server.address(), 0);
    assert_eq!(ask(&gateway).text(), "one");
}

#[test]
fn lower_priorities_serve_where_all_of_higher_ones_are_down() {
    let (one, two) = (Server::named("one"), Server::named("two"));
    one.answers_probes_with(500);
    let node = |server: &Server, priority: i32| {
        let (host, port) = (server.address().ip(), server.address().port());
        format!("{{host: {host}, port: {port}, weight: 1, priority: {priority}}}")
    };
    let text = format!(
        "\
routes:
- id: open
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{nodes: [{}, {}], checks: {{active: {{{QUICK}}}}}}}
",
        node(&one, 1),
        node(&two, 0)
    );
    let gateway = Gateway::serving(&text);
    until_healthy(&gateway, one.address(), 0);
    assert_eq!(ask(&gateway).text(), "two");
    one.answers_probes_with(200);
    until_healthy(&gateway, one.address(), 1);
    assert_eq!(ask(&gateway).text(), "one");
}

#[test]
fn requests_that_fail_take_a_server_out_too() {
    let passive = |further: &str| format!("active: {{{IDLE}}}, passive: {{{further}}}");
    let failing = Upstream::start(|peer, seen| {
        peer.answer(seen.target.trim_start_matches('/').parse().unwrap_or(200), "");
        true
    });
    let node = failing.address();
    let checks = passive("unhealthy: {http_statuses: [502], http_failures: 1}");
    let gateway = Gateway::serving(&resources(&[node], "", &checks));
    let status =
        |target: &str| gateway.ask(format!("GET /{target} HTTP/1.1\r\nHost: a\r\n\r\n")).status;
    assert_eq!([status("200"), status("503"), status("502")], [200, 503, 502]);
    assert_eq!(status("200"), 503);
    assert_eq!(failing.seen().len(), 3, "nothing is sent any more");
    // 0 switches a counter off.
    let checks = passive("unhealthy: {http_statuses: [502], http_failures: 0}");
    gateway.apply(&open_route(node, ""));
    gateway.apply(&resources(&[node], "", &checks));
    assert_eq!([status("502"), status("502"), status("200")], [502, 502, 200]);
    // Connections that fail.
    let nowhere = Upstream::nowhere();
    for (count, expected) in [(1, 503), (0, 502)] {
        let checks = passive(&format!("unhealthy: {{tcp_failures: {count}}}"));
        gateway.apply(&open_route(nowhere, ""));
        gateway.apply(&resources(&[nowhere], "", &checks));
        assert_eq!(status(""), 502);
        assert_eq!(status(""), expected, "{count}");
    }
    // Answers that do not come.
    let silent = Upstream::start(|peer, _| {
        peer.wait_for_end();
        false
    });
    let timeout = ", retries: 0, timeout: {connect: 5, send: 5, read: 0.05}";
    for (count, expected) in [(1, 503), (0, 504)] {
        let checks = passive(&format!("unhealthy: {{timeouts: {count}}}"));
        gateway.apply(&open_route(silent.address(), ""));
        gateway.apply(&resources(&[silent.address()], timeout, &checks));
        assert_eq!(status(""), 504);
        assert_eq!(status(""), expected, "{count}");
    }
}

#[test]
fn a_request_that_every_server_closes_on_speaks_against_one_of_them() {
    let checks = format!("active: {{{IDLE}}}, passive: {{unhealthy: {{tcp_failures: 1}}}}");
    let down = |gateway: &Gateway| {
        let metrics = gateway.metrics();
        let gauges = metrics.lines().filter(|line| line.starts_with("bartizan_upstream_healthy{"));
        gauges.filter(|line| line.ends_with(" 0")).count()
    };
    let closing = [(); 3].map(|()| Upstream::start(|_, _| false));
    let nodes = closing.each_ref().map(Upstream::address);
    let gateway = Gateway::serving(&resources(&nodes, "", &checks));
    assert_eq!(ask(&gateway).status, 502);
    assert!(closing.iter().all(|one| one.seen().len() == 1), "it was tried on all of them");
    assert_eq!(down(&gateway), 1);
    // That nobody takes a connection is no doing of a request.
    let bound = [(); 3].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let nodes = bound.map(|one| one.local_addr().unwrap());
    gateway.apply(&resources(&nodes, "", &checks));
    assert_eq!(ask(&gateway).status, 502);
    assert_eq!(down(&gateway), 3);
}

#[test]
fn what_is_known_outlives_a_reload_and_is_gone_with_the_checks() {
    let server = Server::named("one");
    server.answers_probes_with(500);
    let node = server.address();
    let checks = format!("active: {{{QUICK}}}");
    let gateway = Gateway::serving(&resources(&[node], "", &checks));
    until_healthy(&gateway, node, 0);
    gateway.apply(&resources(&[node], ", retries: 0", &checks));
    assert!(gateway.metrics().contains(&gauge(node, 0)));
    assert_eq!(ask(&gateway).status, 503);
    // Other checks are no amnesty.
    gateway.apply(&resources(&[node], "", &format!("active: {{{IDLE}}}")));
    assert!(gateway.metrics().contains(&gauge(node, 0)));
    assert_eq!(ask(&gateway).status, 503);
    gateway.apply(&open_route(node, ""));
    assert!(!gateway.metrics().contains("bartizan_upstream_healthy{"));
    assert_eq!(ask(&gateway).status, 200);
}

#[test]
fn a_node_that_drains_probes_nobody() {
    let server = Server::named("one");
    let gateway =
        Gateway::serving(&resources(&[server.address()], "", &format!("active: {{{QUICK}}}")));
    until("a probe", || server.probes() > 0);
    assert!(gateway.metrics().contains(&gauge(server.address(), 1)));
    gateway.running().drain();
    assert!(!gateway.metrics().contains("bartizan_upstream_healthy{"));
}

#[test]
fn probes_under_tls_verify_who_answers_and_show_who_asks() {
    let (servers, clients) = (Pki::new("servers"), Pki::new("clients"));
    let issued = servers.server(&["127.0.0.1"]);
    let start = |tls: ServerTls| {
        Upstream::start_tls(tls, |peer, _| {
            peer.answer(200, "one");
            true
        })
    };
    let own = clients.client("gateway");
    let (chain, key) = (quoted(&own.chain), quoted(own.key.expose_str().unwrap()));
    let root = quoted(&servers.root());
    let pair = format!("client_cert: {chain}, client_key: {key}");
    for (asks, tls, further, value) in [
        (false, format!("ca_certs: {root}"), "", 1),
        (false, "danger_tls_verify_off: true".to_owned(), "", 0),
        (
            false,
            "danger_tls_verify_off: true".to_owned(),
            ", danger_https_verify_certificate: false",
            1,
        ),
        (false, format!("ca_certs: {root}"), ", host: other.example", 0),
        (true, format!("ca_certs: {root}, {pair}"), "", 1),
        (true, format!("ca_certs: {root}"), "", 0),
    ] {
        let tls_of =
            if asks { ServerTls::asking(&issued, &clients) } else { ServerTls::showing(&issued) };
        let server = start(tls_of);
        let node = server.address();
        let checks = format!("active: {{{QUICK}, type: https{further}}}");
        let upstream = format!(", scheme: https, tls: {{{tls}}}");
        let gateway = Gateway::serving(&resources(&[node], &upstream, &checks));
        if value == 1 {
            until("a probe", || !server.seen().is_empty());
        }
        until_healthy(&gateway, node, value);
        assert_eq!(server.seen().is_empty(), value == 0, "{tls} {further}");
    }
}
