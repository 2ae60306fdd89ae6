//! A few plugins, and surroundings that hold still.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use bartizan_config::{
    Failure, Loader, NodeConfig, PluginSchemas, Resources, SecretFault, SecretManager, SecretName,
    Slot, Standing, Surroundings, one_line,
};
use serde_json::{Value, json};

/// Plugins that look like real ones.
pub(crate) struct Catalogue;

static SCHEMAS: LazyLock<HashMap<(&str, Slot), Value>> = LazyLock::new(|| {
    let object = |properties: Value, required: Value| json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false });
    HashMap::from([
        (
            ("key-auth", Slot::Config),
            object(json!({ "header": { "type": "string" }, "hide_credentials": { "type": "boolean" } }), json!([])),
        ),
        (
            ("key-auth", Slot::Consumer),
            object(json!({ "key": { "$ref": "#/$defs/Key" } }), json!(["key"]))
                .with("$defs", json!({ "Key": { "type": "string", "x-secret": true, "minLength": 3 } })),
        ),
        (("mtls-auth", Slot::Config), object(json!({}), json!([]))),
        (
            ("translated", Slot::Config),
            object(json!({ "proto_id": { "type": ["string", "integer"] } }), json!(["proto_id"])),
        ),
        (
            ("limit-count", Slot::Config),
            object(
                json!({
                    "count": { "type": "integer", "exclusiveMinimum": 0 },
                    "time_window": { "type": "integer", "exclusiveMinimum": 0 },
                    "policy": { "type": "string", "enum": ["local"], "x-answers": { "redis": "is not supported yet: use `local`" } },
                    "danger_allow_degradation": { "type": "boolean", "default": false }
                }),
                json!(["count", "time_window"]),
            ),
        ),
        (
            ("ip-restriction", Slot::Config),
            object(
                json!({
                    "whitelist": { "type": "array", "minItems": 1, "items": { "type": "string", "format": "network" } },
                    "blacklist": { "type": "array", "minItems": 1, "items": { "type": "string", "format": "network" } }
                }),
                json!([]),
            )
            .with("oneOf", json!([{ "required": ["whitelist"] }, { "required": ["blacklist"] }])),
        ),
        (("http-logger", Slot::Config), object(json!({ "uri": { "type": "string" } }), json!(["uri"]))),
        (
            ("http-logger", Slot::Metadata),
            object(json!({ "log_format": { "type": "object" } }), json!([])),
        ),
    ])
});

trait With {
    fn with(self, key: &str, value: Value) -> Self;
}

impl With for Value {
    fn with(mut self, key: &str, value: Value) -> Self {
        self[key] = value;
        self
    }
}

impl PluginSchemas for Catalogue {
    fn names(&self) -> Vec<&'static str> {
        vec!["key-auth", "mtls-auth", "limit-count", "ip-restriction", "http-logger", "translated"]
    }

    fn standing(&self, plugin: &str) -> Standing {
        match plugin {
            "openid-connect" => Standing::NotYet("use `jwt-auth`"),
            "serverless-pre-function" => Standing::Refused("it is code in the configuration"),
            _ if self.names().contains(&plugin) => Standing::Known,
            _ => Standing::Unknown,
        }
    }

    fn schema(&self, plugin: &str, slot: Slot) -> Option<&Value> {
        SCHEMAS
            .iter()
            .find(|((name, of), _)| *name == plugin && *of == slot)
            .map(|(_, schema)| schema)
    }

    fn special_fields(&self, plugin: &str, _: Slot) -> &[(&'static str, Standing)] {
        match plugin {
            "limit-count" => &[
                ("rules", Standing::NotYet("write one plugin for each limit")),
                ("redis.lua", Standing::Refused("it is code")),
            ],
            _ => &[],
        }
    }

    fn is_authentication(&self, plugin: &str) -> bool {
        plugin.ends_with("-auth")
    }
}

/// Variables and files that are always the same.
pub(crate) struct Fixed;

pub(crate) const PEM: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";

/// A service account as Google gives it out.
const ACCOUNT: &str = r#"{"type": "service_account", "project_id": "shop-1", "private_key_id": "0",
    "private_key": "-----BEGIN PRIVATE KEY-----\nAAAA\n", "client_email": "gateway@shop-1.test",
    "token_uri": "https://token.test/t", "universe_domain": "googleapis.com"}"#;

impl Surroundings for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "ALICE" => Some("alice-key".to_owned()),
            "SHORT" => Some("ab".to_owned()),
            "LINE" => Some("X-Door: open: me".to_owned()),
            "KEY" => Some(format!("-----BEGIN PRIVATE KEY-----\n{}\n", "A".repeat(80))),
            _ => None,
        }
    }

    fn secret(&self, _: &Arc<SecretManager>, name: &SecretName) -> Result<String, SecretFault> {
        match (&*name.path, name.key.as_deref()) {
            ("jack", Some("key")) => Ok("from vault".to_owned()),
            ("jack", None) => Ok(format!("all that {} keeps", name.manager)),
            ("jack", Some("empty")) => Ok(String::new()),
            ("jack", Some("later")) => Err(SecretFault::NotFetched),
            _ => {
                let problem = format!("`{name}` cannot be had: a test says so");
                Err(SecretFault::Refused(problem))
            }
        }
    }

    fn file(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let content = match path.to_str() {
            Some("/etc/b/cert.pem" | "/etc/b/key.pem" | "/etc/b/ca.pem") => PEM.to_owned(),
            Some("/etc/b/account.json") => ACCOUNT.to_owned(),
            Some(path) if path.starts_with("/etc/b/account-") => account(path),
            Some("/etc/b/half.json") => r#"{"client_email": "hunter2@p.test"}"#.to_owned(),
            Some("/etc/b/clear.json") => ACCOUNT.replace("https://token", "http://token"),
            Some("/etc/b/empty.pem") => "\n".to_owned(),
            Some("/etc/b/text.pem") => "text".to_owned(),
            Some("/etc/b/resources.yaml") => "routes:\n- uri: /a\n  upstream_id: none\n".to_owned(),
            Some("/etc/b/resources.json") => {
                r#"{"upstreams": [{"id": 1, "nodes": {"a:80": 1}}]}"#.to_owned()
            }
            _ => return Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        };
        if content.len() as u64 > limit {
            return Err(io::Error::other("too large"));
        }
        Ok(content.into_bytes())
    }
}

/// The account of a file `account-<what>-<length>.json`, in which something has that length.
fn account(path: &str) -> String {
    let named = path.trim_start_matches("/etc/b/account-").trim_end_matches(".json");
    let (what, length) = named.split_once('-').unwrap();
    let length: usize = length.parse().unwrap();
    let mut account: serde_json::Value = serde_json::from_str(ACCOUNT).unwrap();
    match what {
        "email" => account["client_email"] = "e".repeat(length).into(),
        "key" => {
            let begin = "-----BEGIN PRIVATE KEY-----";
            account["private_key"] = format!("{begin}{}", "k".repeat(length - begin.len())).into();
        }
        "scope" => account["scope"] = vec!["s".repeat(length)].into(),
        "scopes" => account["scope"] = vec!["s"; length].into(),
        _ => {
            let text = account.to_string();
            return format!("{text}{}", " ".repeat(length - text.len()));
        }
    }
    account.to_string()
}

/// A loader over both.
pub(crate) fn loader() -> Loader<'static> {
    Loader::new(&Catalogue).with_surroundings(&Fixed)
}

/// The rest of a node that keeps its resources in line.
pub(crate) const NODE: &str = "listeners: [{address: '127.0.0.1:8080'}]\n";

/// A node for resources that are given as text.
pub(crate) fn node(more: &str) -> NodeConfig {
    let text = format!("{NODE}{more}resources: {{}}\n");
    match loader().node_text(Path::new("/etc/b/bartizan.yaml"), &text) {
        Ok(loaded) => loaded.node,
        Err(failure) => panic!("{:?}", lines(&failure)),
    }
}

/// Reads resources.
pub(crate) fn resources_with(more: &str, name: &str, text: &str) -> Result<Resources, Vec<String>> {
    let path = Path::new("/etc/b").join(name);
    loader()
        .resources_text(&node(more), &path, text)
        .map(|loaded| loaded.resources)
        .map_err(|failure| lines(&failure))
}

/// Reads resources.
pub(crate) fn resources(text: &str) -> Result<Resources, Vec<String>> {
    resources_with("", "r.yaml", text)
}

/// The problems as lines, without the folder.
pub(crate) fn lines(failure: &Failure) -> Vec<String> {
    assert!(!failure.diagnostics.is_empty());
    for diagnostic in &failure.diagnostics {
        if let Some(place) = diagnostic.place {
            let text = failure.sources.text(place.source);
            assert!(place.start <= place.end && place.end as usize <= text.len());
            assert!(text.get(place.start as usize..place.end as usize).is_some());
        }
    }
    let line = |diagnostic| one_line(&failure.sources, diagnostic).replace("/etc/b/", "");
    failure.diagnostics.iter().map(line).collect()
}
