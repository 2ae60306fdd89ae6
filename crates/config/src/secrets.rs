//! Where secrets stand in resources as they are written, so that whoever shows them can hide those.

use serde_json::Value;

use crate::plugin_schemas::{PluginSchemas, Slot};
use crate::reference::is_reference;
use crate::resources::ResourceKind;
use crate::secret_fields::SecretFields;
use crate::wire::schema;

/// Members that hold secrets whatever a schema says of them, with `_` for `-`.
const NAMES: [&str; 11] = [
    "password",
    "secret",
    "secret_key",
    "client_secret",
    "client_key",
    "private_key",
    "token",
    "api_key",
    "apikey",
    "authorization",
    "access_token",
];

/// The JSON Schema of a kind of resource as it is written; `None` for plugin metadata, where the
/// plugin decides.
pub fn resource_schema(kind: ResourceKind) -> Option<Value> {
    schema(kind)
}

/// The kind of an object by its place in a store: what stands below another object is
/// among those there.
pub fn kind_at(collection: &str, id: &str) -> Option<ResourceKind> {
    let kind = ResourceKind::ALL.into_iter().find(|kind| kind.collection() == collection);
    kind.filter(|kind| kind.parent().is_none()).map(|kind| kind.of_id(id))
}

/// Where the secrets of an object are, as JSON pointers (RFC 6901) to strings, in order.
///
/// Schemas say it. What no schema is known for, such as a plugin of another gateway, is a secret
/// in every string. References (`$env://…` and the like) are none.
pub fn secrets_in(
    collection: &str,
    id: &str,
    value: &Value,
    plugins: &dyn PluginSchemas,
) -> Vec<String> {
    let mut marks = Marks { found: SecretFields::known().of(plugins, collection, id, value) };
    match kind_at(collection, id) {
        Some(ResourceKind::PluginMetadata) if plugins.schema(id, Slot::Metadata).is_none() => {
            marks.all(value, "");
        }
        Some(_) => {
            marks.unknown_plugins(plugins, value, "");
            let credentials = value.get("credentials").and_then(Value::as_array);
            for (index, credential) in credentials.into_iter().flatten().enumerate() {
                marks.unknown_plugins(plugins, credential, &format!("/credentials/{index}"));
            }
        }
        None => marks.all(value, ""),
    }
    marks.by_name(value, "");
    // What says which object this is, is no secret.
    let is_one = |pointer: &String| {
        let text = value.pointer(pointer).and_then(Value::as_str);
        !matches!(pointer.as_str(), "/id" | "/username") && !text.is_some_and(is_reference)
    };
    marks.found.retain(is_one);
    marks.found.sort_unstable();
    marks.found.dedup();
    marks.found
}

struct Marks {
    found: Vec<String>,
}

impl Marks {
    fn unknown_plugins(&mut self, plugins: &dyn PluginSchemas, value: &Value, pointer: &str) {
        for (name, config) in value.get("plugins").and_then(Value::as_object).into_iter().flatten()
        {
            if plugins.schema(name, Slot::Config).is_none() {
                self.all(config, &format!("{pointer}/plugins/{}", step(name)));
            }
        }
    }

    /// Every string from here on.
    fn all(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::String(_) => self.found.push(pointer.to_owned()),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.all(item, &format!("{pointer}/{index}"));
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    self.all(value, &format!("{pointer}/{}", step(key)));
                }
            }
            _ => {}
        }
    }

    fn by_name(&mut self, value: &Value, pointer: &str) {
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.by_name(item, &format!("{pointer}/{index}"));
                }
            }
            Value::Object(members) => {
                for (key, value) in members {
                    let pointer = format!("{pointer}/{}", step(key));
                    let name = key.to_ascii_lowercase().replace('-', "_");
                    match value {
                        Value::String(_) if NAMES.contains(&name.as_str()) => {
                            self.found.push(pointer);
                        }
                        value => self.by_name(value, &pointer),
                    }
                }
            }
            _ => {}
        }
    }
}

/// A key as a step of a pointer.
fn step(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin_schemas::Standing;

    struct Plugins(Value);

    impl PluginSchemas for Plugins {
        fn names(&self) -> Vec<&'static str> {
            vec!["known"]
        }

        fn standing(&self, _: &str) -> Standing {
            Standing::Known
        }

        fn schema(&self, plugin: &str, _: Slot) -> Option<&Value> {
            (plugin == "known").then_some(&self.0)
        }

        fn special_fields(&self, _: &str, _: Slot) -> &[(&'static str, Standing)] {
            &[]
        }

        fn is_authentication(&self, _: &str) -> bool {
            false
        }
    }

    fn plugins() -> Plugins {
        Plugins(json!({
            "properties": {
                "key": { "anyOf": [{ "$ref": "#/$defs/hidden" }, { "type": "null" }] },
                "keys": { "type": "array", "items": { "$ref": "#/$defs/hidden" } },
                "map": { "additionalProperties": { "$ref": "#/$defs/hidden" } },
                "open": { "type": "string" }
            },
            "$defs": { "hidden": { "type": "string", "x-secret": true } }
        }))
    }

    #[test]
    fn schemas_say_what_is_secret_and_what_has_none_is_secret_throughout() {
        let route = json!({
            "id": "1",
            "uri": "/a",
            "plugins": {
                "known": {
                    "key": "s",
                    "keys": ["$env://A", "s", "$ENV://A", "$File://a", "$sECRET://vault/a/b/c"],
                    "map": { "a/b": "s" }, "open": "o", "password": "s"
                },
                "other": { "any": ["s", 1] }
            }
        });
        let found = secrets_in("routes", "1", &route, &plugins());
        assert_eq!(
            found,
            [
                "/plugins/known/key",
                "/plugins/known/keys/1",
                "/plugins/known/map/a~1b",
                "/plugins/known/password",
                "/plugins/other/any/0",
            ]
        );
        let manager = json!({ "id": "v", "uri": "https://vault", "token": "t" });
        assert_eq!(secrets_in("secrets", "vault/v", &manager, &plugins()), ["/token"]);
        assert_eq!(secrets_in("unheard", "v", &manager, &plugins()), ["/token", "/uri"]);
    }

    #[test]
    fn keys_of_certificates_are_secret() {
        let ssl = json!({ "id": "1", "cert": "c", "key": "k", "keys": ["k2"], "snis": ["a.test"] });
        assert_eq!(secrets_in("ssls", "1", &ssl, &plugins()), ["/key", "/keys/0"]);
        let upstream = json!({ "nodes": {}, "tls": { "client_key": "k", "client_cert": "c" } });
        assert_eq!(secrets_in("upstreams", "1", &upstream, &plugins()), ["/tls/client_key"]);
    }

    #[test]
    fn what_probes_send_is_secret() {
        let active = json!({
            "http_path": "/up",
            "http_req_body": "b",
            "req_headers": ["Authorization: Bearer t", "$env://LINE"]
        });
        let upstream = json!({ "nodes": {}, "checks": { "active": active } });
        let expected = ["/checks/active/http_req_body", "/checks/active/req_headers/0"];
        assert_eq!(secrets_in("upstreams", "1", &upstream, &plugins()), expected);
        for collection in ["routes", "services"] {
            let inline = json!({ "uri": "/a", "upstream": upstream });
            let expected = expected.map(|pointer| format!("/upstream{pointer}"));
            assert_eq!(secrets_in(collection, "1", &inline, &plugins()), expected);
        }
    }
}
