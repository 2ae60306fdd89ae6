//! `config.yaml` of Apache APISIX as a node file of ours.

use std::net::IpAddr;

use bartizan_core::ByteSize;
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

    fn plaintext(&mut self, value: &Value) {
        let before = self.listeners.len();
        for item in items(value) {
            let address = address(item, 9080);
            self.listeners.push(json!({ "address": address }));
        }
        let is_open = self.listeners.iter().skip(before).any(|listener| {
            !listener["address"].as_str().is_some_and(|address| address.starts_with("127."))
        });
        if is_open {
            self.note(
                Verdict::Stricter,
                "a listener without TLS that other machines reach answers only with a redirect to \
                 https; `danger_plaintext: true` beside its address serves it all the same",
            );
        } else {
            self.note(Verdict::Same, "listeners");
        }
    }

    fn tls(&mut self, value: &Value) {
        if value.get("enable") == Some(&Value::Bool(false)) {
            return self.note(Verdict::Same, "no listener with TLS");
        }
        let listen = value.get("listen").map(items).unwrap_or_default();
        let default = json!({ "port": 9443 });
        let listen = if listen.is_empty() { vec![&default] } else { listen };
        let protocols = value.get("ssl_protocols").and_then(Value::as_str).unwrap_or_default();
        let mut tls = Map::new();
        if protocols.split_whitespace().collect::<Vec<_>>() == ["TLSv1.3"] {
            tls.insert("minimum".to_owned(), "1.3".into());
        }
        for item in listen {
            self.listeners.push(json!({ "address": address(item, 9443), "tls": tls.clone() }));
        }
        if protocols.contains("TLSv1.1") || protocols.contains("TLSv1 ") {
            self.note(Verdict::Stricter, "TLS 1.0 and 1.1 are not spoken");
        } else {
            self.note(Verdict::Same, "listeners with TLS; certificates are those of `ssls`");
        }
    }

    fn trusted(&mut self, value: &Value) {
        let texts = items(value).into_iter().filter(|item| item.is_string() && *item != "unix:");
        self.trusted.extend(texts.cloned());
        self.note(Verdict::Same, "`trusted_proxies`");
    }

    /// Proxies that are trusted in one field may pass on another as the client wrote it.
    fn real_ip_from(&mut self, value: &Value) {
        if self.reads_forwarded_for {
            return self.trusted(value);
        }
        self.note(
            Verdict::Review,
            "they are trusted in another field than `X-Forwarded-For`; list them in `trusted_proxies` \
             if they also write that one",
        );
    }

    fn real_ip_header(&mut self, value: &Value) {
        if value.as_str().is_some_and(|name| name.eq_ignore_ascii_case("x-forwarded-for")) {
            self.reads_forwarded_for = true;
            self.note(Verdict::Same, "`X-Forwarded-For` of trusted proxies");
        } else {
            self.note(
                Verdict::Stricter,
                "trusted proxies are believed in `X-Forwarded-For`; the plugin `real-ip` reads \
                 another source on a route",
            );
        }
    }

    fn body(&mut self, value: &Value) {
        match value.as_u64().or_else(|| value.as_str().and_then(size)) {
            Some(0) => self.note(
                Verdict::Stricter,
                "there is no unlimited body: 1 MiB, and what `client-control` says on a route",
            ),
            Some(bytes) => {
                self.limits.insert("body".to_owned(), ByteSize(bytes).to_string().into());
                let most = ByteSize(bytes.max(64 << 20));
                self.limits.insert("body_max".to_owned(), most.to_string().into());
                self.note(Verdict::Same, "`limits.body`");
            }
            None => self.note(Verdict::Refused, "it is no size"),
        }
    }

    fn idle(&mut self, value: &Value) {
        match value.as_str() {
            Some(text) if text.ends_with('s') || text.ends_with('m') => {
                self.limits.insert("idle".to_owned(), text.into());
                self.note(Verdict::Same, "`limits.idle`");
            }
            _ => self.note(Verdict::Refused, "it is no time; say it in `limits.idle`"),
        }
    }

    fn workers(&mut self, value: &Value) {
        if let Some(count) = value.as_u64() {
            self.node.insert("workers".to_owned(), count.into());
        }
        self.note(Verdict::Same, "`workers`");
    }

    fn servlet(&mut self, value: &Value) {
        if is_on(value) {
            self.note(
                Verdict::Stricter,
                "a path with `;` is one path, before routing and for the upstream alike",
            );
        }
    }

    fn tail_slash(&mut self, value: &Value) {
        if is_on(value) {
            self.note(Verdict::Refused, "a path is routed as it is; give routes both paths");
        }
    }

    fn router(&mut self, value: &Value) {
        match value.as_str() {
            Some("radixtree_uri_with_parameter") => self.note(
                Verdict::Refused,
                "parameters in paths (`/users/:id`) are not there yet; write `/users/*`",
            ),
            _ => self.note(Verdict::Same, "hosts are looked at before paths, as there by default"),
        }
    }

    fn keyring(&mut self, value: &Value) {
        if value.get("enable_encrypt_fields") != Some(&Value::Bool(false)) {
            self.note(
                Verdict::Refused,
                "values that are encrypted in etcd with this keyring are not read by the import; \
                 export them by the Admin API, which gives them in clear",
            );
        }
    }

    fn status(&mut self, value: &Value) {
        let ip = value.get("ip").and_then(Value::as_str).unwrap_or("127.0.0.1");
        let port = value.get("port").and_then(Value::as_u64).unwrap_or(7085);
        let is_here = ip.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let ip = if is_here { ip } else { "127.0.0.1" };
        let address = address(&json!({ "ip": ip, "port": port }), port);
        self.node.insert("status".to_owned(), json!({ "address": address }));
        if is_here {
            self.note(Verdict::Same, "`status`: `/readyz`, `/healthz` and metrics");
        } else {
            self.note(
                Verdict::Review,
                "`status` also shows metrics and what is wrong with the configuration, to whoever \
                 asks: it is on the loopback until you say otherwise",
            );
        }
    }

    fn control(&mut self, value: &Value) {
        if is_on(value) || value.is_object() {
            self.note(
                Verdict::Stricter,
                "there is no control API without authentication; `status` tells how the node is",
            );
        }
    }

    fn server_tokens(&mut self, value: &Value) {
        if is_on(value) {
            self.note(Verdict::Stricter, "answers never name this gateway and its version");
        }
    }

    fn stream(&mut self, _: &Value) {
        self.note(
            Verdict::Refused,
            "TCP and UDP proxying is not there yet; nothing is listened on",
        );
    }

    fn resolver(&mut self, _: &Value) {
        self.note(Verdict::Refused, "names are resolved as the system is set up to do");
    }

    fn cache(&mut self, _: &Value) {
        self.note(Verdict::Refused, "answers are not cached yet");
    }

    fn role(&mut self, value: &Value) {
        match value.as_str() {
            Some("control_plane") => self.note(
                Verdict::Refused,
                "a node serves traffic; to write to etcd keep the control plane that you have",
            ),
            _ => self.note(Verdict::Same, "a node with its store"),
        }
    }

    fn provider(&mut self, value: &Value) {
        match value.get("config_provider").and_then(Value::as_str) {
            Some("xds") => self.note(Verdict::Refused, "there is no xDS; use files or etcd"),
            Some(provider) => {
                let text =
                    format!("`store`: what comes from `{provider}` is imported as it is now");
                self.note(Verdict::Same, text);
            }
            None => {}
        }
    }

    fn etcd(&mut self, value: &Value) {
        let hosts = value.get("host").map(items).unwrap_or_default();
        let hosts: Vec<&str> = hosts.into_iter().filter_map(Value::as_str).collect();
        let text = format!(
            "to go on reading {}, write `store: {{etcd: …}}`; its password and certificates are not \
             taken over into a file",
            if hosts.is_empty() { "etcd".to_owned() } else { hosts.join(", ") }
        );
        self.note(Verdict::Review, text);
        if value.pointer("/tls/verify") == Some(&Value::Bool(false)) {
            self.note(Verdict::Stricter, "certificates of etcd are always verified");
        }
    }

    fn admin_key(&mut self, _: &Value) {
        self.note(
            Verdict::Stricter,
            "keys are not taken over: they were in a file in clear; make new ones, each with a role \
             and an end",
        );
    }

    fn admin_open(&mut self, value: &Value) {
        if value == &Value::Bool(false) {
            self.note(Verdict::Stricter, "the Admin API always asks for a key");
        }
    }

    fn admin_cors(&mut self, value: &Value) {
        if is_on(value) {
            self.note(Verdict::Stricter, "no page of another origin may call the Admin API");
        }
    }

    fn admin(&mut self, _: &Value) {
        self.note(Verdict::Review, "write `admin` where this node is to have an Admin API");
    }

    fn plugins(&mut self, _: &Value) {
        self.note(
            Verdict::Stricter,
            "every plugin is there; one that a route names and that is missing is an error, never \
             skipped. To forbid some, list the others under `plugins` of the resources",
        );
    }

    fn plugin_attr(&mut self, value: &Value) {
        let names: Vec<&str> =
            value.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let text = format!(
            "attributes of {} are not taken over; those of a plugin are on its page",
            names.join(", ")
        );
        self.note(Verdict::Review, text);
    }

    fn discovery(&mut self, _: &Value) {
        self.note(
            Verdict::Refused,
            "upstreams name their nodes; service discovery is not there yet",
        );
    }

    fn code(&mut self, _: &Value) {
        self.note(Verdict::Refused, "code from outside does not run in the gateway");
    }

    fn nginx(&mut self, value: &Value) {
        let snippets: Vec<&str> = value
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .filter(|key| key.ends_with("_snippet"))
            .map(String::as_str)
            .collect();
        if !snippets.is_empty() {
            let text = format!("there is no nginx for {}", snippets.join(", "));
            self.note(Verdict::Refused, text);
        }
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

fn items(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    }
}

/// Address and port of a listener: a number, `ip:port`, or a map of both.
fn address(item: &Value, port: u64) -> String {
    match item {
        Value::Number(port) => format!("0.0.0.0:{port}"),
        Value::String(text) if text.contains(':') => text.clone(),
        Value::String(text) => format!("0.0.0.0:{text}"),
        item => {
            let ip = item.get("ip").and_then(Value::as_str).unwrap_or("0.0.0.0");
            let port = item.get("port").and_then(Value::as_u64).unwrap_or(port);
            if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
        }
    }
}

/// A size as nginx writes it.
fn size(text: &str) -> Option<u64> {
    let (digits, factor) = match text.trim().to_ascii_lowercase() {
        text if text.ends_with('k') => (text.trim_end_matches('k').to_owned(), 1 << 10),
        text if text.ends_with('m') => (text.trim_end_matches('m').to_owned(), 1 << 20),
        text if text.ends_with('g') => (text.trim_end_matches('g').to_owned(), 1 << 30),
        text => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn is_on(value: &Value) -> bool {
    value == &Value::Bool(true)
}
