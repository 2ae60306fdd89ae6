//! Gateways whose upstreams are found in a registry.

use std::time::Duration;

use bartizan_discovery::SERVICES_MAX;
use bartizan_testkit::{DnsDouble, Gateway, run};

use crate::settle;

const NODE: &str = "discovery: {dns: {servers: [10.0.0.53]}}";

fn resources(upstream: &str) -> String {
    format!(
        "routes:\n- uri: /*\n  upstream: {upstream}\n  plugins: {{anonymous-access: {{reason: a test}}}}\n"
    )
}

const ORDERS: &str = "{service_name: 'orders.test:8080', discovery_type: dns}";

fn gateway(upstream: &str) -> (Gateway, DnsDouble) {
    let gateway = Gateway::builder().node(NODE).resources("routes: []\n").start();
    let dns = DnsDouble::default();
    gateway.remotes().dns("10.0.0.53:53", &dns);
    gateway.reload(&resources(upstream)).unwrap();
    (gateway, dns)
}

/// Which nodes serve the next requests.
async fn serving(gateway: &Gateway, requests: usize) -> Vec<String> {
    let mut nodes = Vec::new();
    for _ in 0..requests {
        let reply = gateway.get("/").send().await;
        nodes.extend(reply.expect_forwarded(200).seen().iter().map(|seen| seen.node.clone()));
    }
    nodes.sort();
    nodes
}

#[test]
fn requests_go_where_the_registry_says_and_follow_its_changes() {
    run(async {
        let (gateway, dns) = gateway(ORDERS);
        dns.addresses("orders.test", 1, &["10.1.0.1", "10.1.0.2"]);
        settle().await;
        assert_eq!(serving(&gateway, 2).await, ["10.1.0.1:8080", "10.1.0.2:8080"]);
        dns.addresses("orders.test", 1, &["10.1.0.3", "10.1.0.2"]);
        gateway.advance(Duration::from_secs(1)).await;
        settle().await;
        assert_eq!(serving(&gateway, 2).await, ["10.1.0.2:8080", "10.1.0.3:8080"]);
    });
}

#[test]
fn without_a_list_yet_and_with_an_empty_one_there_are_two_reasons() {
    run(async {
        let (gateway, dns) = gateway(ORDERS);
        dns.fail(true);
        gateway.get("/").send().await.expect(503).reason("upstream.undiscovered");
        dns.fail(false);
        gateway.advance(Duration::from_secs(1)).await;
        settle().await;
        gateway.get("/").send().await.expect(503).reason("upstream.none");
    });
}

#[test]
fn an_address_that_may_not_be_reached_is_left_out() {
    run(async {
        let (gateway, dns) = gateway(ORDERS);
        dns.addresses("orders.test", 1, &["169.254.169.254", "10.1.0.1", "0.0.0.0"]);
        settle().await;
        assert_eq!(serving(&gateway, 2).await, ["10.1.0.1:8080", "10.1.0.1:8080"]);
        dns.addresses("orders.test", 1, &["169.254.169.254"]);
        gateway.advance(Duration::from_secs(1)).await;
        settle().await;
        gateway.get("/").send().await.expect(503).reason("upstream.none");
    });
}

#[test]
fn a_reload_keeps_what_the_registry_told_and_another_service_does_not() {
    run(async {
        let (gateway, dns) = gateway(ORDERS);
        dns.addresses("orders.test", 60, &["10.1.0.1"]);
        dns.addresses("others.test", 60, &["10.1.0.2"]);
        settle().await;
        dns.fail(true);
        gateway.reload(&resources(ORDERS)).unwrap();
        assert_eq!(serving(&gateway, 1).await, ["10.1.0.1:8080"]);
        let other = "{service_name: 'others.test:8080', discovery_type: dns}";
        gateway.reload(&resources(other)).unwrap();
        gateway.get("/").send().await.expect(503).reason("upstream.undiscovered");
    });
}

/// Probes that decide at once, a second apart.
const CHECKED: &str = "{service_name: 'orders.test:8080', discovery_type: dns, checks: {active: {type: tcp, \
     healthy: {interval: 1, successes: 1}, unhealthy: {interval: 1, tcp_failures: 1}}}}";

/// The servers of which metrics tell that they are healthy, or not.
fn told(gateway: &Gateway, value: u8) -> Vec<String> {
    let end = format!("\"}} {value}");
    let metrics = gateway.metrics();
    let lines = metrics.lines().filter(|line| line.starts_with("bartizan_upstream_healthy{"));
    let nodes = lines.filter_map(|line| line.strip_suffix(&*end)?.rsplit_once('"'));
    let mut nodes: Vec<_> = nodes.map(|(_, node)| node.to_owned()).collect();
    nodes.sort();
    nodes
}

async fn seconds_pass(gateway: &Gateway, seconds: u32) {
    for _ in 0..seconds {
        gateway.advance(Duration::from_secs(1)).await;
        settle().await;
    }
}

#[test]
fn servers_are_probed_as_the_registry_names_them() {
    run(async {
        let (gateway, dns) = gateway(CHECKED);
        let [one, two, three] = ["10.1.0.1:8080", "10.1.0.2:8080", "10.1.0.3:8080"];
        gateway.remotes().refuse(one, true);
        dns.addresses("orders.test", 1, &["10.1.0.1", "10.1.0.2"]);
        seconds_pass(&gateway, 3).await;
        assert_eq!((told(&gateway, 0), told(&gateway, 1)), (vec![one.into()], vec![two.into()]));
        assert_eq!(serving(&gateway, 2).await, [two, two]);
        // Another list is no amnesty for those that stay.
        dns.addresses("orders.test", 1, &["10.1.0.3", "10.1.0.1"]);
        seconds_pass(&gateway, 2).await;
        assert_eq!((told(&gateway, 0), told(&gateway, 1)), (vec![one.into()], vec![three.into()]));
        assert_eq!(serving(&gateway, 2).await, [three, three]);
        // Those that came are probed too, and those that are down come back.
        gateway.remotes().refuse(three, true);
        seconds_pass(&gateway, 3).await;
        gateway.get("/").send().await.expect(503).reason("upstream.unhealthy");
        gateway.remotes().refuse(one, false);
        seconds_pass(&gateway, 3).await;
        assert_eq!(serving(&gateway, 2).await, [one, one]);
    });
}

#[test]
fn neither_a_reload_nor_one_that_is_refused_is_an_amnesty() {
    run(async {
        let (gateway, dns) = gateway(CHECKED);
        let [one, two] = ["10.1.0.1:8080", "10.1.0.2:8080"];
        gateway.remotes().refuse(one, true);
        dns.addresses("orders.test", 60, &["10.1.0.1", "10.1.0.2"]);
        dns.addresses("others.test", 60, &["10.1.0.1", "10.1.0.2"]);
        seconds_pass(&gateway, 3).await;
        for checks in [CHECKED.to_owned(), CHECKED.replace("interval: 1,", "interval: 2,")] {
            gateway.reload(&resources(&checks)).unwrap();
            assert_eq!(serving(&gateway, 2).await, [two, two]);
            assert_eq!(told(&gateway, 0), [one]);
        }
        let other = CHECKED.replace("orders.test", "others.test");
        gateway.reload(&resources(&other).replace("uri: /*", "uri: ''")).unwrap_err();
        assert_eq!(told(&gateway, 0), [one]);
        gateway.remotes().refuse(one, false);
        gateway.remotes().refuse(two, true);
        seconds_pass(&gateway, 5).await;
        assert_eq!(serving(&gateway, 2).await, [one, one]);
        // Without checks, everyone serves.
        gateway.reload(&resources(ORDERS)).unwrap();
        assert_eq!((told(&gateway, 0), told(&gateway, 1)), (Vec::new(), Vec::new()));
        assert_eq!(serving(&gateway, 2).await, [one, two]);
    });
}

#[test]
fn a_server_that_may_not_be_probed_is_left_out() {
    run(async {
        let refused = CHECKED.replace("type: tcp", "type: tcp, port: 9080");
        let (gateway, dns) = gateway(&refused);
        dns.addresses("orders.test", 60, &["127.0.0.1", "10.1.0.1"]);
        seconds_pass(&gateway, 1).await;
        assert_eq!(told(&gateway, 0).len() + told(&gateway, 1).len(), 1);
        assert_eq!(serving(&gateway, 2).await, ["10.1.0.1:8080", "10.1.0.1:8080"]);
    });
}

#[test]
fn probes_under_tls_go_by_the_name_that_was_looked_up() {
    run(async {
        let probed = CHECKED.replace("type: tcp", "type: https");
        let (gateway, dns) = gateway(&probed);
        dns.addresses("orders.test", 60, &["10.1.0.1"]);
        seconds_pass(&gateway, 2).await;
        let names = gateway.remotes().tls_names();
        assert!(!names.is_empty() && names.iter().all(|name| name == "orders.test"), "{names:?}");
    });
}

#[test]
fn what_probes_name_is_judged_before_any_server_is_known() {
    run(async {
        let (gateway, dns) =
            gateway(&ORDERS.replace("dns}", "dns, checks: {active: {type: https}}}"));
        dns.fail(true);
        let named = ORDERS.replace("dns}", "dns, checks: {active: {type: https, host: 'a..b'}}}");
        let refused = gateway.reload(&resources(&named)).unwrap_err().lines();
        assert!(refused[0].contains("no certificate can be for `a..b`"), "{refused:?}");
    });
}

#[test]
fn the_port_is_that_of_the_scheme_and_the_host_the_service_where_nothing_else_is_said() {
    run(async {
        let upstream = "{service_name: orders.test, discovery_type: dns, pass_host: node}";
        let (gateway, dns) = gateway(upstream);
        dns.addresses("orders.test", 60, &["10.1.0.1"]);
        settle().await;
        let reply = gateway.get("/").send().await;
        let seen = reply.expect_forwarded(200).seen().first().unwrap().clone();
        assert_eq!((&*seen.node, seen.field("host")), ("10.1.0.1:80", Some("orders.test")));
    });
}

#[test]
fn a_registry_that_the_node_does_not_have_is_told_with_what_to_write() {
    let refused = Gateway::builder().resources(&resources(ORDERS)).try_start().err().unwrap();
    let lines = refused.lines();
    assert_eq!(
        lines,
        [concat!(
            "resources.yaml:3:64: the node has no registry `dns` (at routes[0].upstream.",
            "discovery_type); write `discovery: { dns: { servers: [\"10.0.0.2\"] } }` into the ",
            "node file, with its own servers"
        )]
    );
}

#[test]
fn a_discovered_upstream_in_clear_is_told_like_one_on_another_machine() {
    run(async {
        let node = format!("{NODE}\nsecurity: {{require: [authentication, upstream_tls]}}");
        let refused = Gateway::builder().node(&node).resources(&resources(ORDERS)).try_start();
        let lines = refused.err().unwrap().lines();
        assert!(
            lines.iter().any(|line| line
                .contains("is spoken to in clear at the servers of `orders.test:8080` in `dns`")),
            "{lines:?}"
        );
    });
}

/// Upstreams that are found by so many services of these names, each by two.
fn many(name: &str, count: usize) -> String {
    use std::fmt::Write as _;
    let mut text = "upstreams:\n".to_owned();
    for n in 0..count {
        for id in ["a", "b"] {
            let service = format!("{{service_name: {name}{n}.test, discovery_type: dns}}");
            let service = service.replacen('{', &format!("{{id: {id}{n}, "), 1);
            let _ = writeln!(text, "- {service}");
        }
    }
    text
}

#[test]
fn as_many_services_as_may_be_named_can_all_be_exchanged_for_others() {
    run(async {
        let gateway = Gateway::builder().node(NODE).resources("routes: []\n").start();
        let refused = gateway.reload(&many("one", SERVICES_MAX + 1)).unwrap_err();
        assert!(refused.lines()[0].contains("more than 1024 services are named"));
        gateway.reload(&many("one", SERVICES_MAX)).unwrap();
        gateway.reload(&many("one", SERVICES_MAX)).unwrap();
        gateway.reload(&many("two", SERVICES_MAX)).unwrap();
        gateway.reload(&many("six", SERVICES_MAX)).unwrap();
    });
}
