//! Configurations that are sound, and what is read from them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bartizan_config::{
    Invalid, OnInvalid, PassHost, ResourceKind, Scheme, Sink, SslType, Store, TlsVersion, locate,
};
use serde_json::json;

use crate::catalogue::{NODE, PEM, loader, node, resources, resources_with};

const FULL: &str = r"
routes:
- id: orders
  name: Orders
  desc: what people bought
  uris: [/orders, /orders/*]
  hosts: [API.example.com, '*.Shop.example']
  methods: [GET, POST]
  remote_addrs: [10.1.2.3/8, '::1']
  vars: [[arg_x, ==, '1']]
  priority: 5
  status: 0
  labels: {team: a, env: prod}
  plugins:
    key-auth: {hide_credentials: true}
    limit-count:
      count: 10
      time_window: 60
      allow_degradation: false
      _meta: {disable: true, priority: 7, error_response: {message: slow}, filter: [[uri, '==', /a]]}
  service_id: 7
  timeout: {connect: 1, send: 2.5, read: 3}
  enable_websocket: false
  create_time: 1700000000
  update_time: 1700000000
- uri: /inline
  upstream:
    type: roundrobin
    hash_on: vars
    nodes: {'[::1]:8443': 1, plain: 0}
    scheme: https
    pass_host: rewrite
    upstream_host: inner
    retries: 0
    retry_timeout: 1.5
    keepalive_pool: {size: 1, idle_timeout: 2, requests: 3}
    tls: {ca_certs: $file://ca.pem, client_cert_id: client, verify: true}
services:
- id: 7
  hosts: [Svc.example.com]
  upstream_id: pool
  enable_websocket: true
  plugins: {ip-restriction: {whitelist: [10.0.0.0/8]}}
upstreams:
- id: pool
  nodes:
  - {host: a, weight: 1, priority: -1}
  - {host: '::1', port: 81, weight: 2}
consumers:
- username: alice
  group_id: gold
  labels: {custom_id: '17'}
  plugins:
    key-auth: {key: $env://ALICE}
    limit-count: {count: 1, time_window: 1}
  credentials:
  - id: laptop
    plugins: {key-auth: {key: secret}}
- id: alice/credentials/phone
  plugins: {key-auth: {key: other}}
- id: bob/credentials/first
  plugins: {key-auth: {key: third}}
- username: bob
consumer_groups:
- id: gold
  plugins: {limit-count: {count: 2, time_window: 1}}
plugin_configs:
- id: 1
  plugins: {}
global_rules:
- id: 1
  plugins: {http-logger: {uri: /a}}
- id: 2
  plugins: {http-logger: {uri: /b}}
ssls:
- id: server
  cert: $file://cert.pem
  key: $env://KEY
  certs: [$file://cert.pem]
  keys: [$env://KEY]
  snis: [Example.com., '*.Example.com']
  ssl_protocols: [TLSv1.3]
  client: {ca: $file://ca.pem, depth: 2, skip_mtls_uri_regex: [^/health]}
- id: client
  type: client
  cert: $file://cert.pem
  key: $env://KEY
plugin_metadata:
- id: http-logger
  log_format: {host: $host}
plugins:
- name: key-auth
- name: limit-count
- name: ip-restriction
- name: http-logger
- {name: openid-connect, stream: true}
stream_routes: []
#END
";

#[test]
fn every_field_of_the_declarative_format_arrives() {
    let read = resources(FULL).unwrap();
    let [orders, inline] = read.routes.as_slice() else { panic!("two routes") };
    assert_eq!((&*orders.id, orders.name.as_deref()), ("orders", Some("Orders")));
    assert_eq!(orders.uris, ["/orders", "/orders/*"]);
    assert_eq!(orders.hosts, ["api.example.com", "*.shop.example"]);
    assert_eq!(orders.methods, ["GET", "POST"]);
    let addresses: Vec<String> = orders.remote_addrs.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.0.0.0/8", "::1/128"]);
    assert_eq!(orders.vars, Some(json!([["arg_x", "==", "1"]])));
    assert_eq!((orders.priority, orders.is_enabled), (5, false));
    assert_eq!(orders.labels, [("env".into(), "prod".into()), ("team".into(), "a".into())]);
    assert_eq!(orders.service_id.as_deref(), Some("7"));
    let timeout = orders.timeout.unwrap();
    assert_eq!(
        (timeout.connect, timeout.send),
        (Duration::from_secs(1), Duration::from_millis(2500))
    );

    let limit = &orders.plugins[1];
    assert_eq!(
        (&*limit.name, &limit.config),
        ("limit-count", &json!({ "count": 10, "time_window": 60 }))
    );
    assert!(limit.meta.disable);
    assert_eq!(limit.meta.priority, Some(7));
    assert_eq!(limit.meta.error_response, Some(json!({ "message": "slow" })));
    assert_eq!(limit.meta.filter, Some(json!([["uri", "==", "/a"]])));
    assert_eq!(limit.origin.to_string(), "route `orders`");

    assert_eq!(&*inline.id, "2");
    let upstream = inline.upstream.as_ref().unwrap();
    assert_eq!(
        upstream.origin,
        bartizan_config::ResourceRef { kind: ResourceKind::Route, id: "2".into() }
    );
    let nodes: Vec<_> = upstream.nodes.iter().map(|n| (&*n.host, n.port, n.weight)).collect();
    assert_eq!(nodes, [("::1", 8443, 1), ("plain", 443, 0)]);
    assert_eq!(upstream.scheme, Scheme::Https);
    assert_eq!(upstream.pass_host, PassHost::Rewrite("inner".to_owned()));
    assert_eq!(
        (upstream.retries, upstream.retry_timeout),
        (Some(0), Some(Duration::from_millis(1500)))
    );
    assert_eq!((upstream.keepalive_size, upstream.keepalive_requests), (Some(1), Some(3)));
    assert_eq!(upstream.keepalive_idle, Some(Duration::from_secs(2)));
    assert_eq!(upstream.tls.ca_certs.as_deref(), Some(PEM.trim_end()));
    assert_eq!(upstream.tls.client_cert_id.as_deref(), Some("client"));
    assert!(!upstream.tls.danger_verify_off);
}

#[test]
fn what_several_routes_and_consumers_share_arrives_too() {
    let read = resources(FULL).unwrap();
    assert_eq!(&*read.services[0].id, "7");
    assert_eq!(read.services[0].hosts, ["svc.example.com"]);
    let nodes: Vec<_> =
        read.upstreams[0].nodes.iter().map(|n| (&*n.host, n.port, n.weight, n.priority)).collect();
    assert_eq!(nodes, [("a", 80, 1, -1), ("::1", 81, 2, 0)]);

    let [alice, bob] = read.consumers.as_slice() else { panic!("two consumers") };
    assert_eq!(alice.plugins[0].config, json!({ "key": "alice-key" }));
    assert_eq!(alice.group_id.as_deref(), Some("gold"));
    let credentials = |consumer: &bartizan_config::Consumer| -> Vec<String> {
        consumer
            .credentials
            .iter()
            .map(|found| format!("{} {}", found.id, found.plugins[0].origin.id))
            .collect()
    };
    assert_eq!(
        credentials(alice),
        ["laptop alice/credentials/laptop", "phone alice/credentials/phone"]
    );
    assert_eq!(credentials(bob), ["first bob/credentials/first"]);
    assert!(bob.plugins.is_empty());

    assert_eq!(read.consumer_groups[0].plugins.len(), 1);
    assert_eq!(&*read.plugin_configs[0].id, "1");
    assert_eq!(read.global_rules.len(), 2);
    let [server, client] = read.ssls.as_slice() else { panic!("two certificates") };
    assert_eq!(server.snis, ["example.com", "*.example.com"]);
    assert_eq!((server.pairs.len(), server.protocols.as_slice()), (2, &["TLSv1.3".to_owned()][..]));
    let clients = server.client.as_ref().unwrap();
    assert_eq!((clients.depth, clients.skip_mtls_uri_regex.len()), (2, 1));
    assert_eq!(client.ssl_type, SslType::Client);
    assert_eq!(read.plugin_metadata[0].config, json!({ "log_format": { "host": "$host" } }));
}

#[test]
fn json_and_yaml_hold_the_same() {
    let yaml = "upstreams:\n- id: a\n  nodes: {'h:1': 2}\n";
    let json = r#"{"upstreams": [{"id": "a", "nodes": {"h:1": 2}}]}"#;
    let nodes = |name, text| resources_with("", name, text).unwrap().upstreams.remove(0).nodes;
    assert_eq!(nodes("r.yaml", yaml), nodes("r.json", json));
}

#[test]
fn what_fails_open_means_its_twin_where_the_node_accepts_it() {
    let text = "
routes:
- uri: /a
  plugins: {limit-count: {count: 1, time_window: 1, allow_degradation: true}}
  upstream: {nodes: {'a:443': 1}, scheme: https, tls: {verify: false}}
";
    assert_eq!(resources(text).unwrap_err().len(), 2);
    let read = resources_with("danger_accept_apisix_fail_open: true\n", "r.yaml", text).unwrap();
    assert_eq!(read.routes[0].plugins[0].config["danger_allow_degradation"], true);
    assert!(read.routes[0].upstream.as_ref().unwrap().tls.danger_verify_off);
}

#[test]
fn a_plugin_that_finds_its_configuration_invalid_is_shown_where_it_stands() {
    let text = "routes:\n- uri: /a\n  plugins:\n    ip-restriction:\n      whitelist: [10.0.0.1, 10.0.0.2]\n";
    let loaded = loader().resources_text(&node(""), Path::new("/etc/b/r.yaml"), text).unwrap();
    let plugin = &loaded.resources.routes[0].plugins[0];
    let invalid = Invalid::at_item("whitelist", 1, "is not wanted").with_help("leave it out");
    let shown = locate(&loaded.sources, plugin, &invalid);
    assert_eq!(
        bartizan_config::one_line(&loaded.sources, &shown),
        "/etc/b/r.yaml:5:29: is not wanted (at routes[0].plugins.ip-restriction.whitelist[1]); leave it out"
    );
}

#[test]
fn a_node_file_says_everything_about_the_node() {
    let text = "
listeners:
- address: 0.0.0.0:8443
  tls:
    minimum: 1.3
    certificates:
    - {cert: cert.pem, key: $file://key.pem, default: true}
- {address: '[::]:8080', danger_plaintext: true}
workers: 2
store: {file: {path: resources.json}}
compatibility: apisix
security: {require: [grant, waf], danger_allow_unauthenticated_routes: true}
status: {address: '127.0.0.1:9090'}
audit: {sinks: [stdout, {file: {path: audit.log}}], on_full: deny}
access_log: {sinks: [{stdout: {}}]}
trusted_proxies: [10.0.0.0/8, 192.0.2.1]
limits: {request_line: 4KiB}
merge_slashes: false
router: radixtree_uri_with_parameter
delete_uri_tail_slash: true
normalize_uri_like_servlet: true
danger_match_uri_encoded_slash: true
on_invalid: reject_all
";
    let loaded = loader().node_text(Path::new("/etc/b/bartizan.yaml"), text).unwrap();
    let node = &loaded.node;
    let tls = node.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.minimum, TlsVersion::V1_3);
    assert_eq!(tls.certificates[0].cert, PEM.trim_end());
    assert_eq!(tls.certificates[0].key.expose_str(), Some(PEM.trim_end()));
    assert!(tls.certificates[0].default && node.listeners[1].danger_plaintext);
    assert_eq!(node.workers, Some(2));
    let Some(Store::File { path }) = &node.store else { panic!("a file") };
    assert_eq!(path, Path::new("/etc/b/resources.json"));
    assert!(node.compatibility.is_apisix() && !node.merge_slashes);
    assert!(node.router.has_parameters() && node.delete_uri_tail_slash);
    assert!(node.normalize_uri_like_servlet && node.danger_match_uri_encoded_slash);
    assert_eq!(node.security.require.len(), 2);
    assert_eq!(node.audit.sinks[1], Sink::File { path: "/etc/b/audit.log".into() });
    assert_eq!(node.access_log.sinks, [Sink::Stdout]);
    assert_eq!(node.trusted_proxies[1].to_string(), "192.0.2.1/32");
    assert_eq!(node.limits.request_line.0, 4096);
    assert_eq!(loaded.resources.upstreams.len(), 1);
    let files = ["cert.pem", "key.pem", "resources.json"];
    assert_eq!(loaded.files, files.map(|file| PathBuf::from("/etc/b").join(file)));
}

#[test]
fn a_small_node_file_has_safe_defaults() {
    let node = node("");
    assert_eq!(node.security.require.len(), 2);
    assert!(node.merge_slashes && !node.danger_accept_apisix_fail_open);
    assert!(node.router.is_host_first() && !node.delete_uri_tail_slash);
    assert!(!node.normalize_uri_like_servlet && !node.danger_match_uri_encoded_slash);
    assert_eq!(node.audit.sinks, [Sink::Stdout]);
    assert!(node.access_log.sinks.is_empty() && node.status.is_none());
    assert_eq!(node.path, Path::new("/etc/b/bartizan.yaml"));
}

#[test]
fn resources_in_a_node_file_can_be_read_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bartizan.yaml");
    let write =
        |routes: &str| std::fs::write(&path, format!("{NODE}resources: {routes}\n")).unwrap();
    write("{upstreams: [{id: a, nodes: {}}]}");
    let catalogue = crate::catalogue::Catalogue;
    let loaded = bartizan_config::load_node(&path, &catalogue).unwrap();
    assert_eq!(loaded.resources.upstreams.len(), 1);
    write("{upstreams: [{id: a, nodes: {}}, {id: b, nodes: {}}]}");
    let again = bartizan_config::load_resources(&loaded.node, &catalogue).unwrap();
    assert_eq!(again.resources.upstreams.len(), 2);
    std::fs::write(&path, "store: {}\n").unwrap();
    assert!(bartizan_config::load_resources(&loaded.node, &catalogue).is_err());
}

#[test]
fn a_store_in_etcd_has_its_secrets_resolved_and_its_files_read() {
    let text = format!(
        "{NODE}\
store:
  etcd:
    endpoints: ['https://etcd-1:2379', 'http://localhost:2379']
    user: root
    password: $env://ALICE
    tls: {{ca_certs: ca.pem, cert: cert.pem, key: $file://key.pem}}
    snapshot: {{path: kept, key: $env://SHORT}}
    references: {{env: [KEY], files: [lent, /srv/lent]}}
    encryption: {{required: true, keys: [{{id: a, key: x}}]}}
"
    );
    let loaded = loader().node_text(Path::new("/etc/b/bartizan.yaml"), &text).unwrap();
    let node = &loaded.node;
    let Some(Store::Etcd(etcd)) = &node.store else { panic!("etcd") };
    assert_eq!(etcd.password.as_ref().unwrap().expose_str(), Some("alice-key"));
    assert_eq!(etcd.tls.ca_certs.as_deref(), Some(PEM.trim_end()));
    assert_eq!(etcd.tls.key.as_ref().unwrap().expose_str(), Some(PEM.trim_end()));
    let snapshot = etcd.snapshot.as_ref().unwrap();
    assert_eq!((&*snapshot.path, snapshot.key.len()), (Path::new("/etc/b/kept"), 2));
    assert_eq!((etcd.prefix.as_str(), etcd.timeout.0.as_secs()), ("/apisix", 5));
    assert_eq!(etcd.references.files, [Path::new("/etc/b/lent"), Path::new("/srv/lent")]);
    assert!(etcd.encryption.as_ref().is_some_and(|encryption| encryption.required));
    assert_eq!(node.on_invalid(), OnInvalid::Quarantine);
    assert!(loaded.resources.routes.is_empty());
}

#[test]
fn behind_the_admin_api_is_a_database_unless_something_else_is_named() {
    let store = |rest: &str| {
        let text = format!("{NODE}admin: {{}}\n{rest}");
        let loaded = loader().node_text(Path::new("/etc/b/bartizan.yaml"), &text).unwrap();
        loaded.node.store
    };
    let Some(Store::Embedded { path, history, encryption }) = store("") else {
        panic!("{:?}", store(""))
    };
    assert_eq!((&*path, history), (Path::new("/etc/b/bartizan.store"), 10_000));
    assert!(encryption.is_none());
    assert!(store("resources: {}\n").is_none());
    assert!(matches!(
        store("store: {etcd: {endpoints: ['https://e:2379']}}\n"),
        Some(Store::Etcd(_))
    ));
}

#[test]
fn the_admin_api_is_on_this_machine_unless_told_otherwise() {
    let node = |admin: &str| {
        let text = format!("{NODE}admin: {admin}\nresources: {{}}\n");
        let loaded = loader().node_text(Path::new("/etc/b/bartizan.yaml"), &text).unwrap();
        loaded.node.admin.unwrap()
    };
    let admin = node("{}");
    assert_eq!(admin.listen.to_string(), "127.0.0.1:9180");
    assert_eq!(
        admin.allow.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["127.0.0.0/8", "::1/128"]
    );
    assert!(admin.tls.is_none() && admin.cors.is_empty() && admin.dashboard);
    assert_eq!(admin.keys, Path::new("/etc/b/bartizan.keys"));
    assert_eq!(admin.socket, Path::new("/etc/b/bartizan.sock"));
    let admin = node(
        "{listen: '0.0.0.0:9443', allow: [10.0.0.0/8], cors: ['https://a.test'], keys: /k, \
         socket: s, dashboard: false, tls: {cert: cert.pem, key: $file://key.pem, client_ca: ca.pem}}",
    );
    let tls = admin.tls.unwrap();
    let pem = PEM.trim_end();
    assert_eq!((&*tls.cert, tls.client_ca.as_deref()), (pem, Some(pem)));
    assert_eq!(tls.key.expose_str(), Some(pem));
    assert_eq!((&*admin.keys, &*admin.socket), (Path::new("/k"), Path::new("/etc/b/s")));
    assert_eq!(admin.allow[0].to_string(), "10.0.0.0/8");
    assert_eq!(admin.cors, ["https://a.test"]);
    assert!(!admin.dashboard);
}

#[test]
fn upstreams_of_grpc_have_the_ports_of_http_and_https() {
    for (scheme, expected, port) in
        [("grpc", Scheme::Grpc, 80), ("grpcs", Scheme::Grpcs, 443), ("https", Scheme::Https, 443)]
    {
        let text = format!("upstreams: [{{id: 1, nodes: {{a.example: 1}}, scheme: {scheme}}}]\n");
        let resources = resources(&text).unwrap();
        let upstream = &resources.upstreams[0];
        assert_eq!((upstream.scheme, upstream.nodes[0].port), (expected, port));
    }
}
