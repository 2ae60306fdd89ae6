//! What is wrong with a configuration is told with its place and the remedy, all at once, and the
//! exit code is 2.

use std::time::Duration;

use bartizan_core::{Clock, Timestamp};
use bartizan_tls::{Authority, KeyKind, Validity};

use crate::driver::Bench;

const NODE: &str = "\
listeners: [{ address: \"127.0.0.1:9080\" }]
store: { file: { path: resources.yaml } }
";

/// What `check` says of resources.
fn told(resources: &str) -> String {
    let bench = Bench::with(&[("bartizan.yaml", NODE), ("resources.yaml", resources)]);
    bench.bartizan(&["check", "-c", "bartizan.yaml"]).fails_with(2)
}

/// What `check` says of a node file.
fn told_of_node(bench: &Bench) -> String {
    bench.bartizan(&["check", "-c", "bartizan.yaml"]).fails_with(2)
}

#[test]
fn an_unknown_key_is_told_with_the_nearest_known_one() {
    assert_eq!(
        told("routes:\n  - id: orders\n    urii: /orders\n"),
        "\
error: unknown field `urii`
 --> resources.yaml:3:5
  |
3 |     urii: *******
  |     ^^^^
  |
  = note: at routes[0].urii
  = help: did you mean `uri`?

"
    );
}

#[test]
fn an_unknown_plugin_is_never_skipped() {
    let resources = "\
routes:
  - id: orders
    uri: /orders
    upstream: { nodes: { \"127.0.0.1:80\": 1 } }
    plugins: { jwt-auht: {} }
";
    assert_eq!(
        told(resources),
        "\
error: unknown plugin `jwt-auht`
 --> resources.yaml:5:16
  |
5 |     plugins: { jwt-auht: {} }
  |                ^^^^^^^^
  |
  = note: at routes[0].plugins.jwt-auht
  = help: did you mean `jwt-auth`?

"
    );
}

#[test]
fn wrong_types_and_ranges_are_told_at_once() {
    let resources = "\
routes:
  - id: orders
    uri: /orders
    priority: high
    plugins: { limit-count: { count: 0, time_window: 60 } }
";
    assert_eq!(
        told(resources),
        "\
error: expected an integer, found the string `high`
 --> resources.yaml:4:15
  |
4 |     priority: high
  |               ^^^^
  |
  = note: at routes[0].priority

error: `count` must be at least 1, is `0`
 --> resources.yaml:5:38
  |
5 |     plugins: { limit-count: { count: 0, time_window: 60 } }
  |                                      ^
  |
  = note: at routes[0].plugins.limit-count.count

2 problems
"
    );
}

#[test]
fn references_that_lead_nowhere_are_told() {
    let resources = "\
routes:
  - { id: orders, uri: /orders, upstream_id: nowhere }
";
    assert_eq!(
        told(resources),
        "\
error: there is no upstream `nowhere`
 --> resources.yaml:2:46
  |
2 |   - { id: orders, uri: /orders, upstream_id: nowhere }
  |                                              ^^^^^^^
  |
  = note: at routes[0].upstream_id

"
    );
}

#[test]
fn an_id_that_is_given_twice_is_told_with_the_first() {
    let resources = "\
upstreams:
  - { id: api, nodes: { \"127.0.0.1:80\": 1 } }
  - { id: api, nodes: { \"127.0.0.1:81\": 1 } }
";
    assert_eq!(
        told(resources),
        "\
error: the upstream `api` is given twice
 --> resources.yaml:3:11
  |
3 |   - { id: api, nodes: { \"127.0.0.1:81\": 1 } }
  |           ^^^
  |
  = note: at upstreams[1]
  = help: the first one is at resources.yaml:2:11

"
    );
}

#[test]
fn a_network_that_is_none_is_told() {
    let resources = "\
routes:
  - id: orders
    uri: /orders
    remote_addrs: [10.0.0.0/8, 10.0.0.0/33]
    upstream: { nodes: { \"127.0.0.1:80\": 1 } }
";
    assert_eq!(
        told(resources),
        "\
error: expected an IP address or a network such as `10.0.0.0/8`, found `10.0.0.0/33`
 --> resources.yaml:4:32
  |
4 |     remote_addrs: [10.0.0.0/8, 10.0.0.0/33]
  |                                ^^^^^^^^^^^
  |
  = note: at routes[0].remote_addrs[1]

"
    );
}

#[test]
fn what_only_a_plugin_knows_to_be_wrong_is_told_at_its_place() {
    let resources = "\
routes:
  - id: orders
    uri: /orders
    upstream: { nodes: { \"127.0.0.1:80\": 1 } }
    plugins:
      key-auth: {}
      any-authenticated: { reason: a test }
      ip-restriction: { whitelist: [10.0.0.1, 10.0.0.256] }
";
    let told = told(resources);
    assert!(told.starts_with("error: invalid ip address: `10.0.0.256`\n"), "{told}");
    assert!(told.contains(" --> resources.yaml:8:47\n"), "{told}");
    assert!(told.contains("= note: at routes[0].plugins.ip-restriction.whitelist[1]\n"), "{told}");
}

#[test]
fn a_key_that_cannot_be_read_is_told_where_it_is_named() {
    let resources = "\
consumers:
  - username: alice
    plugins: { key-auth: { key: $file://nowhere.key } }
";
    let told = told(resources);
    assert!(told.starts_with("error: the file `nowhere.key` cannot be read: "), "{told}");
    assert!(told.contains(" --> resources.yaml:3:33\n"), "{told}");
    assert!(told.contains("= note: at consumers[0].plugins.key-auth.key\n"), "{told}");
}

#[test]
fn a_route_that_anybody_could_call_says_so_or_is_refused() {
    let resources = "\
routes:
  - { id: open, uri: /, upstream: { nodes: { \"127.0.0.1:80\": 1 } } }
";
    let told = told(resources);
    assert!(told.starts_with("error: route `open` has no authentication\n"), "{told}");
    assert!(told.contains("declare `anonymous-access: {reason: …}`"), "{told}");
    assert!(told.contains("error: route `open` has no authorization\n"), "{told}");
    assert!(told.contains("declare `any-authenticated: {reason: …}`"), "{told}");
}

#[test]
fn secrets_are_not_shown_beside_a_mistake() {
    let resources = "\
consumers:
  - { username: alice, plugins: { key-auth: { key: hunter2hunter2 } }, urname: x }
";
    let told = told(resources);
    assert!(told.contains("unknown field `urname`") && !told.contains("hunter2"), "{told}");
}

#[test]
fn a_node_file_that_is_not_there_is_told_with_a_way_to_get_one() {
    assert_eq!(
        told_of_node(&Bench::new()),
        "\
error: there is no node file `bartizan.yaml`
 |
 = help: name it with `-c`, write one with `bartizan init --upstream URL`, or try `bartizan quickstart`

"
    );
}

#[test]
fn mistakes_of_the_node_file_are_told_at_once() {
    let node = "\
listeners:
  - { adress: \"127.0.0.1:9080\" }
worker: 2
trusted_proxies: [10.0.0.0/33]
resources: {}
";
    let told = told_of_node(&Bench::with(&[("bartizan.yaml", node)]));
    for problem in [
        "error: unknown field `adress`\n --> bartizan.yaml:2:7\n",
        "error: unknown field `worker`\n --> bartizan.yaml:3:1\n",
        "found `10.0.0.0/33`\n --> bartizan.yaml:4:19\n",
        "= help: did you mean `address`?\n",
        "= help: did you mean `workers`?\n",
    ] {
        assert!(told.contains(problem), "{problem}\nis not in\n{told}");
    }
}

fn with_certificate(not_after: Timestamp) -> Bench {
    let node = "\
listeners:
  - address: \"127.0.0.1:9443\"
    tls: { certificates: [{ cert: server.pem, key: server.key }] }
resources: {}
";
    let validity = Validity { not_before: Timestamp::from_secs(1_500_000_000), not_after };
    let authority = Authority::create("test", validity).unwrap();
    let issued = authority.issue_server(&["api.example"], validity, KeyKind::EcP256).unwrap();
    let key = issued.key.expose_str().unwrap();
    Bench::with(&[("bartizan.yaml", node), ("server.pem", &issued.chain), ("server.key", key)])
}

#[test]
fn a_certificate_that_has_expired_is_told_with_its_date() {
    let bench = with_certificate(Timestamp::from_secs(1_600_000_000));
    let told = told_of_node(&bench);
    assert!(told.contains("expired") && told.contains("2020-09-13"), "{told}");
    assert!(told.contains(" --> bartizan.yaml:3:"), "{told}");
    assert!(told.contains("= note: at listeners[0].tls.certificates[0].cert\n"), "{told}");
    let ran = bench.bartizan(&["run"]).fails_with(2);
    assert_eq!(ran, told, "run and check say the same");
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_told() {
    let bench = with_certificate(Clock::System.now().plus(Duration::from_secs(3_600)));
    bench.bartizan(&["check"]).succeeds();
    let other = with_certificate(Timestamp::from_secs(1_600_000_000));
    bench.write("server.key", &other.read("server.key"));
    let told = told_of_node(&bench);
    assert!(told.contains(" --> bartizan.yaml:3:"), "{told}");
    assert!(told.contains("= note: at listeners[0].tls.certificates[0].key\n"), "{told}");
}
