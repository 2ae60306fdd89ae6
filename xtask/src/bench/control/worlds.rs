//! Configurations of many routes, in the language of each proxy.

use std::fmt::Write;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::etcd::EtcdServer;
use crate::bench::proxies::Proxy;

/// Who is measured with what.
#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) proxy: Proxy,
    pub(super) routes: usize,
    pub(super) consumers: usize,
    pub(super) is_in_etcd: bool,
}

impl World {
    /// The row in the report.
    pub(super) fn title(&self) -> String {
        let consumers = if self.consumers > 0 { ", as many consumers" } else { "" };
        let etcd = if self.is_in_etcd { ", etcd" } else { "" };
        format!("{}, {} routes{consumers}{etcd}", self.proxy.name(), self.routes)
    }
}

/// The name of a route.
pub(super) fn route(number: usize) -> String {
    format!("r{number:06}")
}

/// The key of a consumer.
pub(super) fn key(number: usize) -> String {
    // As random as a key has to look; numbers that are alike are not.
    let mixed = |by: u64| (number as u64 + 1).wrapping_mul(by) ^ (by >> 7);
    format!("{:016x}{:016x}", mixed(0x9e37_79b9_7f4a_7c15), mixed(0xc2b2_ae3d_27d4_eb4f))
}

/// What configurations are made of.
pub(super) struct Worlds<'a> {
    pub(super) folder: &'a Path,
    pub(super) upstream: SocketAddr,
    pub(super) etcd: Option<&'a EtcdServer>,
}

/// The last route is at this path, which changes.
pub(super) struct Layout<'a> {
    pub(super) world: World,
    pub(super) last: &'a str,
}

impl Layout<'_> {
    /// The first segments of all paths.
    fn segments(&self) -> impl Iterator<Item = (usize, String)> {
        let last = self.world.routes - 1;
        let segment = move |n| if n == last { self.last.to_owned() } else { route(n) };
        (0..self.world.routes).map(move |n| (n, segment(n)))
    }
}

impl Worlds<'_> {
    /// Writes what a proxy reads once, and gives the words that start it.
    pub(super) fn begin(&self, world: World, port: u16) -> Result<Vec<String>> {
        let folder = self.folder.display();
        let upstream = self.upstream.port();
        let (name, text) = match world.proxy {
            Proxy::Bartizan => {
                let store = match self.etcd {
                    Some(etcd) => {
                        format!("store: {{ etcd: {{ endpoints: [\"{}\"] }} }}", etcd.url())
                    }
                    None => "store: { file: { path: resources.yaml } }".to_owned(),
                };
                let text = format!(
                    "listeners: [{{ address: \"127.0.0.1:{port}\" }}]\nworkers: 1\n{store}\n\
                     audit: {{ sinks: [{{ file: {{ path: \"{folder}/audit.jsonl\" }} }}] }}\n"
                );
                ("bartizan.yaml", text)
            }
            Proxy::Nginx | Proxy::NginxLua => ("nginx.conf", String::new()),
            Proxy::Haproxy => {
                let text = format!(
                    "global\n nbthread 1\n maxconn 8192\ndefaults\n mode http\n\
                     timeout connect 5s\n timeout client 300s\n timeout server 300s\n\
                     option http-keep-alive\n http-reuse always\nfrontend front\n\
                     bind 127.0.0.1:{port}\n\
                     use_backend %[path,map_beg({folder}/routes.map)] if {{ path,map_beg({folder}/routes.map) -m found }}\n\
                     http-request return status 404 if !{{ path,map_beg({folder}/routes.map) -m found }}\n\
                     backend origin\n server origin 127.0.0.1:{upstream} pool-max-conn 128\n"
                );
                ("haproxy.cfg", text)
            }
            Proxy::Envoy => ("envoy.yaml", envoy(&format!("{folder}"), port, upstream)),
        };
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        let path = path.display().to_string();
        let words: Vec<&str> = match world.proxy {
            Proxy::Bartizan => vec!["run", "-c", &path],
            Proxy::Nginx | Proxy::NginxLua => vec!["-c", &path],
            Proxy::Haproxy => vec!["-W", "-db", "-f", &path],
            Proxy::Envoy => {
                vec![
                    "--service-node",
                    "bench",
                    "--service-cluster",
                    "bench",
                    "--concurrency",
                    "1",
                    "--disable-hot-restart",
                    "--log-level",
                    "error",
                    "-c",
                    &path,
                ]
            }
        };
        Ok(words.into_iter().map(str::to_owned).collect())
    }

    /// The file that holds the routes, where it is one.
    pub(super) fn document(&self, world: World) -> PathBuf {
        self.folder.join(match world.proxy {
            Proxy::Bartizan => "resources.yaml",
            Proxy::Nginx | Proxy::NginxLua => "nginx.conf",
            Proxy::Haproxy => "routes.map",
            Proxy::Envoy => "routes.json",
        })
    }

    /// The text of that file.
    pub(super) fn text(&self, layout: &Layout<'_>, port: u16) -> String {
        let upstream = self.upstream.port();
        match layout.world.proxy {
            Proxy::Bartizan => resources(layout, upstream),
            Proxy::Nginx | Proxy::NginxLua => {
                nginx(layout, &self.folder.display().to_string(), port, upstream)
            }
            Proxy::Haproxy => {
                let line = |(_, segment): (usize, String)| format!("/{segment}/ origin\n");
                layout.segments().map(line).collect()
            }
            Proxy::Envoy => envoy_routes(layout).to_string(),
        }
    }

    /// Puts everything into etcd.
    pub(super) fn fill_etcd(&self, layout: &Layout<'_>) -> Result<()> {
        let etcd = self.etcd.context("no etcd")?;
        let nodes = json!({ format!("127.0.0.1:{}", self.upstream.port()): 1 });
        let mut objects = vec![
            ("upstreams/origin".to_owned(), json!({ "nodes": nodes })),
            (
                "services/shared".to_owned(),
                json!({ "upstream_id": "origin", "plugins": plugins(layout.world) }),
            ),
        ];
        for number in 0..layout.world.consumers {
            let plugins = json!({ "key-auth": { "key": key(number) } });
            let name = format!("c{number:06}");
            objects.push((
                format!("consumers/{name}"),
                json!({ "username": name, "plugins": plugins }),
            ));
        }
        for (number, segment) in layout.segments() {
            objects.push((format!("routes/{}", route(number)), route_object(&segment)));
        }
        etcd.put_all(&objects)
    }

    /// Moves the last route in etcd.
    pub(super) fn change_etcd(&self, world: World, segment: &str) -> Result<()> {
        let etcd = self.etcd.context("no etcd")?;
        etcd.put(&format!("routes/{}", route(world.routes - 1)), &route_object(segment))
    }
}

fn route_object(segment: &str) -> Value {
    json!({ "uri": format!("/{segment}/*"), "service_id": "shared" })
}

fn plugins(world: World) -> Value {
    if world.consumers > 0 {
        json!({ "key-auth": {}, "any-authenticated": { "reason": "bench" } })
    } else {
        json!({ "anonymous-access": { "reason": "bench" } })
    }
}

/// Resources as people write them.
fn resources(layout: &Layout<'_>, upstream: u16) -> String {
    let mut text = format!(
        "upstreams:\n- id: origin\n  nodes:\n    \"127.0.0.1:{upstream}\": 1\nservices:\n- id: shared\n  \
         upstream_id: origin\n  plugins: {}\nroutes:\n",
        plugins(layout.world)
    );
    // Writing to a string cannot fail.
    for (number, segment) in layout.segments() {
        let id = route(number);
        let _ = writeln!(text, "- id: {id}\n  uri: /{segment}/*\n  service_id: shared");
    }
    if layout.world.consumers > 0 {
        text.push_str("consumers:\n");
    }
    for number in 0..layout.world.consumers {
        let key = key(number);
        let _ =
            writeln!(text, "- username: c{number:06}\n  plugins:\n    key-auth:\n      key: {key}");
    }
    text.push_str("#END\n");
    text
}

fn nginx(layout: &Layout<'_>, folder: &str, port: u16, upstream: u16) -> String {
    let mut text = format!(
        "user root;\nworker_processes 1;\ndaemon off;\npid {folder}/nginx.pid;\n\
         error_log {folder}/nginx-error.log error;\nevents {{ worker_connections 8192; }}\nhttp {{\n\
         access_log off;\nclient_body_temp_path {folder}/t1;\nproxy_temp_path {folder}/t2;\n\
         fastcgi_temp_path {folder}/t3;\nuwsgi_temp_path {folder}/t4;\nscgi_temp_path {folder}/t5;\n\
         keepalive_requests 10000000;\n\
         upstream origin {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 10000000; }}\n\
         server {{\nlisten 127.0.0.1:{port};\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
         proxy_set_header Host $host;\n"
    );
    for (_, segment) in layout.segments() {
        let _ = writeln!(text, "location /{segment}/ {{ proxy_pass http://origin; }}");
    }
    text.push_str("location / { return 404; }\n}\n}\n");
    text
}

fn envoy(folder: &str, port: u16, upstream: u16) -> String {
    let types = "type.googleapis.com/envoy.extensions.filters";
    let value = json!({
        "static_resources": {
            "listeners": [{
                "name": "plain",
                "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
                "filter_chains": [{ "filters": [{
                    "name": "envoy.filters.network.http_connection_manager",
                    "typed_config": {
                        "@type": format!("{types}.network.http_connection_manager.v3.HttpConnectionManager"),
                        "stat_prefix": "front",
                        "generate_request_id": false,
                        "rds": {
                            "route_config_name": "all",
                            "config_source": { "path_config_source": { "path": format!("{folder}/routes.json") } }
                        },
                        "http_filters": [{
                            "name": "envoy.filters.http.router",
                            "typed_config": {
                                "@type": format!("{types}.http.router.v3.Router"),
                                "suppress_envoy_headers": true
                            }
                        }]
                    }
                }] }]
            }],
            "clusters": [{
                "name": "origin", "type": "STATIC", "connect_timeout": "5s",
                "load_assignment": { "cluster_name": "origin", "endpoints": [{ "lb_endpoints": [{
                    "endpoint": { "address": { "socket_address": {
                        "address": "127.0.0.1", "port_value": upstream
                    } } }
                }] }] }
            }]
        }
    });
    // JSON is YAML.
    value.to_string()
}

fn envoy_routes(layout: &Layout<'_>) -> Value {
    let route = |(_, segment): (usize, String)| json!({ "match": { "prefix": format!("/{segment}/") }, "route": { "cluster": "origin", "timeout": "0s" } });
    let routes: Vec<Value> = layout.segments().map(route).collect();
    json!({ "resources": [{
        "@type": "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
        "name": "all",
        "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }]
    }] })
}
