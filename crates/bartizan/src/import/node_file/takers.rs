//! How each key of `config.yaml` is taken over.

use std::net::IpAddr;

use bartizan_core::ByteSize;
use serde_json::{Map, Value, json};

use super::Taking;
use crate::import::findings::Verdict;

impl Taking {
    pub(super) fn plaintext(&mut self, value: &Value) {
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

    pub(super) fn tls(&mut self, value: &Value) {
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

    pub(super) fn trusted(&mut self, value: &Value) {
        let texts = items(value).into_iter().filter(|item| item.is_string() && *item != "unix:");
        self.trusted.extend(texts.cloned());
        self.note(Verdict::Same, "`trusted_proxies`");
    }

    /// Proxies that are trusted in one field may pass on another as the client wrote it.
    pub(super) fn real_ip_from(&mut self, value: &Value) {
        if self.reads_forwarded_for {
            return self.trusted(value);
        }
        self.note(
            Verdict::Review,
            "they are trusted in another field than `X-Forwarded-For`; list them in `trusted_proxies` \
             if they also write that one",
        );
    }

    pub(super) fn real_ip_header(&mut self, value: &Value) {
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

    pub(super) fn body(&mut self, value: &Value) {
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

    pub(super) fn idle(&mut self, value: &Value) {
        match value.as_str() {
            Some(text) if text.ends_with('s') || text.ends_with('m') => {
                self.limits.insert("idle".to_owned(), text.into());
                self.note(Verdict::Same, "`limits.idle`");
            }
            _ => self.note(Verdict::Refused, "it is no time; say it in `limits.idle`"),
        }
    }

    pub(super) fn workers(&mut self, value: &Value) {
        if let Some(count) = value.as_u64() {
            self.node.insert("workers".to_owned(), count.into());
        }
        self.note(Verdict::Same, "`workers`");
    }

    pub(super) fn servlet(&mut self, value: &Value) {
        if is_on(value) {
            self.node.insert("normalize_uri_like_servlet".to_owned(), true.into());
            self.note(
                Verdict::Stricter,
                "parameters are taken from the path for the upstream, too, and refused at dot \
                 segments",
            );
        }
    }

    pub(super) fn tail_slash(&mut self, value: &Value) {
        if is_on(value) {
            self.node.insert("delete_uri_tail_slash".to_owned(), true.into());
            self.note(Verdict::Stricter, "the upstream gets the path without the slash, too");
        }
    }

    pub(super) fn encoded_slash(&mut self, value: &Value) {
        if is_on(value) {
            self.note(
                Verdict::Refused,
                "an upstream may read another path than the one that is authorised; say \
                 `danger_match_uri_encoded_slash: true` if yours does not",
            );
        }
    }

    pub(super) fn router(&mut self, value: &Value) {
        match value.as_str() {
            Some(mode @ ("radixtree_uri" | "radixtree_uri_with_parameter")) => {
                self.node.insert("router".to_owned(), mode.into());
                self.note(Verdict::Same, "`router`");
            }
            _ => self.note(Verdict::Same, "hosts are looked at before paths, as there by default"),
        }
    }

    pub(super) fn keyring(&mut self, value: &Value) {
        if value.get("enable_encrypt_fields") != Some(&Value::Bool(false)) {
            self.note(
                Verdict::Review,
                "what is encrypted in etcd with this keyring is imported with `--keyring-file`; to \
                 go on reading etcd, list the keys in `store.etcd.apisix_keyring`",
            );
        }
    }

    pub(super) fn status(&mut self, value: &Value) {
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

    pub(super) fn control(&mut self, value: &Value) {
        if is_on(value) || value.is_object() {
            self.note(
                Verdict::Stricter,
                "there is no control API without authentication; `status` tells how the node is",
            );
        }
    }

    pub(super) fn server_tokens(&mut self, value: &Value) {
        if is_on(value) {
            self.note(Verdict::Stricter, "answers never name this gateway and its version");
        }
    }

    pub(super) fn stream(&mut self, _: &Value) {
        self.note(
            Verdict::Refused,
            "TCP and UDP proxying is not there yet; nothing is listened on",
        );
    }

    pub(super) fn resolver(&mut self, _: &Value) {
        self.note(Verdict::Refused, "names are resolved as the system is set up to do");
    }

    pub(super) fn cache(&mut self, _: &Value) {
        self.note(Verdict::Refused, "answers are not cached yet");
    }

    pub(super) fn role(&mut self, value: &Value) {
        match value.as_str() {
            Some("control_plane") => self.note(
                Verdict::Refused,
                "a node serves traffic; to write to etcd keep the control plane that you have",
            ),
            _ => self.note(Verdict::Same, "a node with its store"),
        }
    }

    pub(super) fn provider(&mut self, value: &Value) {
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

    pub(super) fn etcd(&mut self, value: &Value) {
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

    pub(super) fn admin_key(&mut self, _: &Value) {
        self.note(
            Verdict::Stricter,
            "keys are not taken over: they were in a file in clear; make new ones, each with a role \
             and an end",
        );
    }

    pub(super) fn admin_open(&mut self, value: &Value) {
        if value == &Value::Bool(false) {
            self.note(Verdict::Stricter, "the Admin API always asks for a key");
        }
    }

    pub(super) fn admin_cors(&mut self, value: &Value) {
        if is_on(value) {
            self.note(Verdict::Stricter, "no page of another origin may call the Admin API");
        }
    }

    pub(super) fn admin(&mut self, _: &Value) {
        self.note(Verdict::Review, "write `admin` where this node is to have an Admin API");
    }

    pub(super) fn plugins(&mut self, _: &Value) {
        self.note(
            Verdict::Stricter,
            "every plugin is there; one that a route names and that is missing is an error, never \
             skipped. To forbid some, list the others under `plugins` of the resources",
        );
    }

    pub(super) fn plugin_attr(&mut self, value: &Value) {
        let names: Vec<&str> =
            value.as_object().into_iter().flat_map(Map::keys).map(String::as_str).collect();
        let text = format!(
            "attributes of {} are not taken over; those of a plugin are on its page",
            names.join(", ")
        );
        self.note(Verdict::Review, text);
    }

    pub(super) fn discovery(&mut self, value: &Value) {
        for (name, settings) in value.as_object().into_iter().flatten() {
            match name.as_str() {
                "dns" => {
                    self.discovered("dns", settings, &["servers", "resolv_conf", "order"]);
                    self.note(Verdict::Stricter, "`discovery.dns`; its servers are asked over TCP");
                }
                "consul" => {
                    self.discovered("consul", settings, &["servers"]);
                    let text = "`discovery.consul`; give it a `token` as `$file://…`, and write its \
                                servers as `https`";
                    self.note(Verdict::Review, text);
                }
                "kubernetes" if settings.is_object() => {
                    self.discovered("kubernetes", settings, &[]);
                    let text = "`discovery.kubernetes`, with the account of the container; name \
                                another `server` and `token_file` where they are others";
                    self.note(Verdict::Review, text);
                }
                "nacos" | "eureka" => {
                    let text = format!(
                        "`discovery.{name}` is not taken over: its `servers`, `username` and \
                         `password` are written apart"
                    );
                    self.note(Verdict::Review, text);
                }
                other => {
                    let text = format!("the registry `{other}` is not there; name nodes instead");
                    self.note(Verdict::Refused, text);
                }
            }
        }
    }

    /// Takes over what a registry of ours has under the same name.
    fn discovered(&mut self, registry: &str, settings: &Value, same: &[&str]) {
        let taken: Map<String, Value> = same
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), settings.get(key)?.clone())))
            .collect();
        let all = self.node.entry("discovery").or_insert_with(|| json!({}));
        all[registry] = Value::Object(taken);
    }

    pub(super) fn code(&mut self, _: &Value) {
        self.note(Verdict::Refused, "code from outside does not run in the gateway");
    }

    pub(super) fn nginx(&mut self, value: &Value) {
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
