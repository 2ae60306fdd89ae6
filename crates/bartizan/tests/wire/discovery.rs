//! Servers found by a DNS server that nobody here wrote: dnsmasq.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::harness::{Gateway, Setup, Upstream, until};

/// A DNS server; killed with the test.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// dnsmasq with these records, which hold for a second.
fn dnsmasq(records: &[String]) -> Server {
    // It takes no port from the system by itself: a port that was free a moment ago is tried until
    // one still is.
    for _ in 0..20 {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let port = format!("--port={}", address.port());
        let mut child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--listen-address=127.0.0.1", "--bind-interfaces", "--local-ttl=1"])
            .args(["--pid-file=", "--user=", "--local=/test/", &port])
            .args(records)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq is needed for this test");
        let is_over = std::cell::Cell::new(false);
        let child_ref = std::cell::RefCell::new(&mut child);
        until("dnsmasq serves, or ended", || {
            is_over.set(child_ref.borrow_mut().try_wait().unwrap().is_some());
            is_over.get() || TcpStream::connect(address).is_ok()
        });
        if !is_over.get() {
            return Server { child, address };
        }
    }
    panic!("dnsmasq does not start");
}

fn named(name: &'static str) -> Upstream {
    Upstream::start(move |peer, _| {
        peer.answer(200, name);
        true
    })
}

fn before(dns: &Server, service: &str) -> Gateway {
    let resources = format!(
        "\
routes:
- id: r
  uri: /*
  plugins: {{anonymous-access: {{reason: a test}}}}
  upstream: {{service_name: '{service}', discovery_type: dns}}
"
    );
    let discovery = format!("{{dns: {{servers: ['{}']}}}}", dns.address);
    Setup::default().discovery(&discovery).serve(&resources)
}

/// Who serves now, or the status of the refusal.
fn served(gateway: &Gateway) -> String {
    let reply = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    if reply.status == 200 { reply.text() } else { reply.status.to_string() }
}

#[test]
fn srv_records_lead_to_their_servers_and_an_outage_changes_nothing() {
    let (first, second) = (named("first"), named("second"));
    let srv = |port: u16, priority: u16| {
        format!("--srv-host=_http._tcp.orders.test,a.orders.test,{port},{priority},5")
    };
    let records = [
        srv(first.address().port(), 2),
        srv(second.address().port(), 1),
        "--host-record=a.orders.test,127.0.0.1".to_owned(),
    ];
    let dns = dnsmasq(&records);
    let address = dns.address;
    let gateway = before(&dns, "_http._tcp.orders.test");
    until("the servers are known", || served(&gateway) == "second");
    drop(dns);
    until("the registry is found to be gone", || {
        gateway.metrics().contains("bartizan_discovery_failing 1")
    });
    assert!(TcpStream::connect(address).is_err());
    assert_eq!(served(&gateway), "second");
}

#[test]
fn addresses_behind_an_alias_serve_at_the_port_of_the_service_name() {
    let up = named("up");
    let records = [
        "--host-record=a.orders.test,127.0.0.1".to_owned(),
        "--cname=orders.test,a.orders.test".to_owned(),
    ];
    let dns = dnsmasq(&records);
    let gateway = before(&dns, &format!("orders.test:{}", up.address().port()));
    until("the server is known", || served(&gateway) == "up");
}

#[test]
fn a_name_that_the_server_does_not_know_has_no_servers() {
    let dns = dnsmasq(&[]);
    let gateway = before(&dns, "orders.test:80");
    until("it is known that there are none", || {
        let reply = gateway.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        reply.status == 503 && reply.reason() == "upstream.none"
    });
}
