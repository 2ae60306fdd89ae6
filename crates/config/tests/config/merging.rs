//! What a route has of its service and plugin config.

use bartizan_config::{Shared, effective_hosts, effective_plugins, effective_upstream};

use crate::catalogue::resources;

const TEXT: &str = "
routes:
- id: all
  uri: /a
  service_id: s
  plugin_config_id: c
  plugins: {limit-count: {count: 1, time_window: 1}}
- {id: own, uri: /b, host: own, service_id: s, upstream_id: u}
- {id: inline, uri: /c, service_id: s, upstream: {nodes: {'inline:80': 1}}}
- {id: alone, uri: /d, plugins: {}}
services:
- id: s
  hosts: [svc]
  upstream: {nodes: {'svc:80': 1}}
  plugins:
    limit-count: {count: 3, time_window: 1}
    http-logger: {uri: /s}
    key-auth: {}
plugin_configs:
- id: c
  plugins:
    limit-count: {count: 2, time_window: 1}
    http-logger: {uri: /c}
upstreams:
- {id: u, nodes: {'shared:80': 1}}
";

#[test]
fn the_route_wins_over_the_plugin_config_and_that_over_the_service() {
    let read = resources(TEXT).unwrap();
    let of = |index: usize| -> Vec<String> {
        effective_plugins(&read.routes[index], &read)
            .iter()
            .map(|plugin| format!("{} of {}", plugin.name, plugin.origin))
            .collect()
    };
    assert_eq!(
        of(0),
        [
            "limit-count of route `all`",
            "http-logger of plugin config `c`",
            "key-auth of service `s`"
        ]
    );
    assert_eq!(of(1).len(), 3);
    assert!(of(3).is_empty());
}

#[test]
fn a_route_is_answered_by_its_own_upstream_before_that_of_the_service() {
    let read = resources(TEXT).unwrap();
    let hosts: Vec<Option<&str>> = read
        .routes
        .iter()
        .map(|route| effective_upstream(route, &read).map(|upstream| &*upstream.nodes[0].host))
        .collect();
    assert_eq!(hosts, [Some("svc"), Some("shared"), Some("inline"), None]);
}

#[test]
fn the_hosts_of_a_route_replace_those_of_the_service() {
    let read = resources(TEXT).unwrap();
    let hosts: Vec<&[String]> =
        read.routes.iter().map(|route| effective_hosts(route, &read)).collect();
    assert_eq!(hosts, [&["svc".to_owned()][..], &["own".to_owned()], &["svc".to_owned()], &[]]);
}

#[test]
fn what_a_route_says_of_websocket_counts_before_its_service() {
    let text = "\
services:
- {id: on, enable_websocket: true}
- {id: off, enable_websocket: false}
- {id: silent}
routes:
- {id: 1, uri: /a, service_id: on}
- {id: 2, uri: /b, service_id: on, enable_websocket: false}
- {id: 3, uri: /c, service_id: off, enable_websocket: true}
- {id: 4, uri: /d, service_id: silent}
- {id: 5, uri: /e, plugins: {}, enable_websocket: true}
";
    let read = resources(text).unwrap();
    let shared = Shared::new(&read);
    let allowed: Vec<bool> =
        read.routes.iter().map(|route| shared.allows_websocket(route)).collect();
    assert_eq!(allowed, [true, false, true, false, true]);
}
