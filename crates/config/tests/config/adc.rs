//! Documents of ADC, read as they are.

use serde_json::json;

use crate::catalogue::{PEM, resources};

const DOCUMENT: &str = "
services:
  - name: orders
    description: what people bought
    hosts: [orders.test]
    upstream:
      name: orders
      nodes:
        - { host: 127.0.0.1, port: 8080, weight: 1 }
    plugins:
      key-auth: {}
    routes:
      - name: list
        uris: [/orders]
        methods: [GET]
        labels: { team: [a, b] }
      - id: one
        name: one
        uris: [/orders/*]
        description: a single one
        plugins:
          limit-count: { count: 5, time_window: 60 }
consumers:
  - username: jack
    description: a partner
    credentials:
      - name: laptop
        type: key-auth
        config: { key: jack-key }
consumer_groups:
  - name: partners
    plugins: {}
    consumers:
      - username: joe
global_rules:
  limit-count: { count: 500, time_window: 60 }
";

/// `printf orders | sha1sum`
const SERVICE: &str = "9658403816409e66eba2175f8eff8b53a9681573";
/// `printf orders.list | sha1sum`
const LIST: &str = "802d797ea6c48ad232ec23aca916c895bd53573a";
/// `printf jack.laptop | sha1sum`
const LAPTOP: &str = "f0b66ea581bea8a1eaa2d370c4f2aa3f2da5ea90";

#[test]
fn a_document_of_adc_is_read_as_it_is() {
    let resources = resources(DOCUMENT).unwrap();
    let service = &resources.services[0];
    assert_eq!((&*service.id, service.name.as_deref()), (SERVICE, Some("orders")));
    assert_eq!(service.hosts, ["orders.test"]);
    assert_eq!(service.upstream.as_ref().unwrap().nodes.len(), 1);
    let ids: Vec<&str> = resources.routes.iter().map(|route| &*route.id).collect();
    assert_eq!(ids, [LIST, "one"]);
    for route in &resources.routes {
        assert_eq!(route.service_id.as_deref(), Some(SERVICE));
    }
    assert_eq!(resources.routes[1].plugins[0].config, json!({ "count": 5, "time_window": 60 }));
    assert_eq!(&*resources.routes[0].labels[0].1, r#"["a","b"]"#);
    let find = |name: &str| resources.consumers.iter().find(|c| &*c.username == name).unwrap();
    let (jack, joe) = (find("jack"), find("joe"));
    assert_eq!(&*jack.credentials[0].id, LAPTOP);
    assert_eq!(jack.credentials[0].plugins[0].config, json!({ "key": "jack-key" }));
    assert_eq!(joe.group_id.as_deref(), Some(&*resources.consumer_groups[0].id));
    assert_eq!(&*resources.global_rules[0].id, "limit-count");
}

#[test]
fn certificates_in_pairs_are_one_and_further_ones() {
    let key = "-----BEGIN PRIVATE KEY-----".to_owned() + &"A".repeat(80);
    let pem = PEM.trim_end().replace('\n', "\\n");
    let text = format!(
        "ssls:\n- snis: [a.test, b.test]\n  certificates:\n  - {{certificate: \"{pem}\", key: \"{key}\"}}\n  - {{certificate: \"{pem}\", key: \"{key}\"}}\n"
    );
    let resources = resources(&text).unwrap();
    assert_eq!(resources.ssls[0].pairs.len(), 2);
    assert_eq!(resources.ssls[0].snis, ["a.test", "b.test"]);
}

#[test]
fn problems_are_shown_where_they_are_written() {
    for (text, expected) in [
        (
            "services:\n- name: a\n  upstream: {nodes: [{host: h, port: 1, weight: 1}]}\n  routes:\n  - name: r\n    uris: [/r]\n    urii: x\n",
            "r.yaml:7:5: unknown field `urii` (at services[0].routes[0].urii); did you mean `uri`?",
        ),
        (
            "services:\n- name: a\n  routes: []\n  path_prefix: /v1\n",
            "r.yaml:4:3: unknown field `path_prefix` (at services[0].path_prefix)",
        ),
        (
            "consumers:\n- username: jack\n  credentials:\n  - name: c\n    type: limit-count\n    config: {count: 1}\n",
            "r.yaml:5:11: the plugin `limit-count` is no authentication plugin (at consumers[0].credentials[0].type); a credential holds exactly one authentication plugin",
        ),
        (
            "global_rules:\n  limit-count:\n    count: x\n    time_window: 1\n",
            "r.yaml:3:12: expected an integer, found the string `x` (at global_rules.limit-count.count)",
        ),
        (
            "services:\n- routes: []\n",
            "r.yaml:2:3: `name` is required (at services[0]); ADC makes the id of it",
        ),
        (
            "services:\n- name: a\n  stream_routes: [{name: s, server_port: 1}]\n",
            "r.yaml:3:19: `stream_routes` is not supported yet: streams are not proxied (at services[0].stream_routes[0])",
        ),
    ] {
        let lines = resources(text).unwrap_err();
        assert!(lines.iter().any(|line| line.starts_with(expected)), "{text}{lines:#?}");
    }
}

#[test]
fn a_document_of_apisix_stays_one() {
    for text in [
        "services: [{id: 1, upstream: {nodes: {'a:80': 1}}}]\nroutes: [{uri: /a, service_id: 1}]\n",
        "consumers: [{username: jack, credentials: [{id: c, plugins: {key-auth: {key: jack-key}}}]}]\n",
        "global_rules: [{id: 1, plugins: {}}]\nplugin_metadata: []\n",
    ] {
        assert!(resources(text).is_ok(), "{text}");
    }
    // What is half of each is told as what it is not.
    let mixed = "routes: []\nservices: [{name: a, routes: []}]\n";
    let lines = resources(mixed).unwrap_err();
    assert!(lines[0].contains("unknown field `routes`"), "{lines:?}");
}
