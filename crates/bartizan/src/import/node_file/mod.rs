//! `config.yaml` of Apache APISIX as a node file of ours.

mod takers;

use serde_json::{Map, Value, json};

use super::findings::{NodeNote, Verdict};

/// The node file, and what became of each key of the other one.
pub(super) struct Translated {
    pub(super) node: Value,
    pub(super) notes: Vec<NodeNote>,
}

impl Default for Translated {
    /// What a node is without a `config.yaml`: its wire habits, reachable from this machine only.
    fn default() -> Self {
        let node = json!({
            "listeners": [{ "address": "127.0.0.1:9080" }],
            "compatibility": "apisix",
            "status": { "address": "127.0.0.1:7085" },
        });
        Self { node, notes: Vec::new() }
    }
}

/// How a key is taken over.
type Take = fn(&mut Taking, &Value);

/// Every key that is known, by its path.
const KEYS: &[(&str, Take)] = &[
    ("apisix.node_listen", Taking::plaintext),
    ("apisix.ssl", Taking::tls),
    ("apisix.trusted_addresses", Taking::trusted),
    ("nginx_config.http.real_ip_header", Taking::real_ip_header),
    ("nginx_config.http.real_ip_from", Taking::real_ip_from),
    ("nginx_config.http.client_max_body_size", Taking::body),
    ("nginx_config.http.keepalive_timeout", Taking::idle),
    ("nginx_config.worker_processes", Taking::workers),
    ("apisix.normalize_uri_like_servlet", Taking::servlet),
    ("apisix.delete_uri_tail_slash", Taking::tail_slash),
    ("apisix.match_uri_encoded_slash", Taking::encoded_slash),
    ("apisix.router.http", Taking::router),
    ("apisix.data_encryption", Taking::keyring),
    ("apisix.status", Taking::status),
    ("apisix.enable_control", Taking::control),
    ("apisix.control", Taking::control),
    ("apisix.enable_server_tokens", Taking::server_tokens),
    ("apisix.proxy_mode", Taking::stream),
    ("apisix.stream_proxy", Taking::stream),
    ("apisix.dns_resolver", Taking::resolver),
    ("apisix.proxy_cache", Taking::cache),
    ("deployment.role", Taking::role),
    ("deployment.role_traditional", Taking::provider),
    ("deployment.role_data_plane", Taking::provider),
    ("deployment.role_control_plane", Taking::provider),
    ("deployment.etcd", Taking::etcd),
    ("etcd", Taking::etcd),
    ("deployment.admin.admin_key", Taking::admin_key),
    ("deployment.admin.admin_key_required", Taking::admin_open),
    ("deployment.admin.enable_admin_cors", Taking::admin_cors),
    ("deployment.admin", Taking::admin),
    ("plugins", Taking::plugins),
    ("stream_plugins", Taking::stream),
    ("plugin_attr", Taking::plugin_attr),
    ("discovery", Taking::discovery),
    ("wasm", Taking::code),
    ("ext-plugin", Taking::code),
    ("xrpc", Taking::stream),
    ("nginx_config", Taking::nginx),
];

/// Takes keys over.
struct Taking {
    key: &'static str,
    listeners: Vec<Value>,
    trusted: Vec<Value>,
    reads_forwarded_for: bool,
    node: Map<String, Value>,
    limits: Map<String, Value>,
    notes: Vec<NodeNote>,
}

/// Translates a file.
pub(super) fn translate(document: &Value) -> Translated {
    let mut taking = Taking {
        key: "",
        listeners: Vec::new(),
        trusted: Vec::new(),
        reads_forwarded_for: false,
        node: Map::new(),
        limits: Map::new(),
        notes: Vec::new(),
    };
    for (key, take) in KEYS {
        if let Some(value) = at(document, key) {
            taking.key = key;
            take(&mut taking, value);
        }
    }
    taking.unknown(document);
    taking.ended()
}

fn at<'v>(document: &'v Value, key: &str) -> Option<&'v Value> {
    key.split('.').try_fold(document, |value, step| value.get(step))
}

impl Taking {
    fn note(&mut self, verdict: Verdict, text: impl Into<String>) {
        self.notes.push(NodeNote { key: self.key.to_owned(), verdict, text: text.into() });
    }

    /// Tells every key that nothing above is about.
    fn unknown(&mut self, document: &Value) {
        let mut keys = Vec::new();
        leaves(document, "", &mut keys);
        for key in keys {
            let is_known = KEYS.iter().any(|(known, _)| {
                key == *known || key.strip_prefix(known).is_some_and(|rest| rest.starts_with('.'))
            });
            if !is_known {
                let text =
                    "it is not taken over; the node file's page lists what there is".to_owned();
                self.notes.push(NodeNote { key, verdict: Verdict::Review, text });
            }
        }
    }

    fn ended(self) -> Translated {
        let Translated { mut node, .. } = Translated::default();
        if !self.listeners.is_empty() {
            node["listeners"] = Value::Array(self.listeners);
        }
        if !self.trusted.is_empty() {
            node["trusted_proxies"] = Value::Array(self.trusted);
        }
        if !self.limits.is_empty() {
            node["limits"] = Value::Object(self.limits);
        }
        for (key, value) in self.node {
            node[key] = value;
        }
        Translated { node, notes: self.notes }
    }
}

/// The paths of everything that is no map.
fn leaves(value: &Value, path: &str, keys: &mut Vec<String>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(member, &path, keys);
            }
        }
        _ => keys.push(path.to_owned()),
    }
}
