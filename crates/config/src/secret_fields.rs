//! Which fields of an object hold secrets, as the schemas say. Nothing is resolved and nothing is
//! judged: a field counts as secret where any form of its schema says so.

use std::collections::HashSet;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::plugin_schemas::{PluginSchemas, Slot};
use crate::resources::ResourceKind;
use crate::secrets::kind_at;
use crate::wire::schema;

/// Deepest nesting that is followed, schemas inside schemas included.
const DEPTH_MAX: usize = 200;

/// The schemas of resources, made once.
#[derive(Debug)]
pub struct SecretFields(Vec<(ResourceKind, Value)>);

impl Default for SecretFields {
    fn default() -> Self {
        let kinds = ResourceKind::ALL.into_iter();
        Self(kinds.filter_map(|kind| Some((kind, schema(kind)?))).collect())
    }
}

impl SecretFields {
    /// Those of the resources that there are.
    pub fn known() -> &'static Self {
        static KNOWN: LazyLock<SecretFields> = LazyLock::new(SecretFields::default);
        &KNOWN
    }

    /// The fields of an object that hold secrets, as JSON pointers (RFC 6901), each once.
    pub fn of(
        &self,
        plugins: &dyn PluginSchemas,
        collection: &str,
        id: &str,
        value: &Value,
    ) -> Vec<String> {
        let mut found = Found::default();
        if collection == ResourceKind::PluginMetadata.collection() {
            if let Some(schema) = plugins.schema(id, Slot::Metadata) {
                found.walk(schema, schema, value, &mut String::new(), 0, false);
            }
            return found.once();
        }
        let Some(kind) = kind_at(collection, id) else { return Vec::new() };
        self.object(plugins, kind, value, &mut String::new(), &mut found);
        found.once()
    }

    fn object(
        &self,
        plugins: &dyn PluginSchemas,
        kind: ResourceKind,
        value: &Value,
        at: &mut String,
        found: &mut Found,
    ) {
        if let Some((_, schema)) = self.0.iter().find(|(known, _)| *known == kind) {
            found.walk(schema, schema, value, at, 0, false);
        }
        let length = at.len();
        for (name, config) in value.get("plugins").and_then(Value::as_object).into_iter().flatten()
        {
            let is_consumer = matches!(kind, ResourceKind::Consumer | ResourceKind::Credential);
            let slot = if is_consumer && plugins.is_authentication(name) {
                Slot::Consumer
            } else {
                Slot::Config
            };
            if let Some(schema) = plugins.schema(name, slot) {
                push(at, "plugins");
                push(at, name);
                found.walk(schema, schema, config, at, 0, false);
                at.truncate(length);
            }
        }
        let credentials = value.get("credentials").and_then(Value::as_array);
        for (index, credential) in credentials.into_iter().flatten().enumerate() {
            push(at, "credentials");
            push(at, &index.to_string());
            self.object(plugins, ResourceKind::Credential, credential, at, found);
            at.truncate(length);
        }
    }
}

/// The fields of an object that hold secrets, as JSON pointers.
pub fn secret_fields(
    plugins: &dyn PluginSchemas,
    collection: &str,
    id: &str,
    value: &Value,
) -> Vec<String> {
    SecretFields::known().of(plugins, collection, id, value)
}

#[derive(Default)]
struct Found {
    pointers: Vec<String>,
}

impl Found {
    /// Follows a schema and a value together.
    fn walk(
        &mut self,
        root: &Value,
        schema: &Value,
        value: &Value,
        at: &mut String,
        depth: usize,
        is_secret: bool,
    ) {
        let Some(schema) = schema.as_object().filter(|_| depth < DEPTH_MAX) else {
            self.unwritten(value, at, depth, is_secret);
            return;
        };
        let is_secret = is_secret || schema.get("x-secret") == Some(&Value::Bool(true));
        let target = schema.get("$ref").and_then(Value::as_str);
        if let Some(target) = target.and_then(|target| root.pointer(target.strip_prefix('#')?)) {
            self.walk(root, target, value, at, depth + 1, is_secret);
        }
        for forms in ["allOf", "anyOf", "oneOf"] {
            for form in schema.get(forms).and_then(Value::as_array).into_iter().flatten() {
                self.walk(root, form, value, at, depth + 1, is_secret);
            }
        }
        for part in ["if", "then", "else"].iter().filter_map(|part| schema.get(*part)) {
            self.walk(root, part, value, at, depth + 1, is_secret);
        }
        let length = at.len();
        match value {
            Value::String(_) if is_secret => self.add(at),
            Value::Object(members) => {
                for (key, member) in members {
                    push(at, key);
                    for described in described(schema, key) {
                        self.walk(root, described, member, at, depth + 1, is_secret);
                    }
                    at.truncate(length);
                }
            }
            Value::Array(items) => {
                let first = schema.get("prefixItems").and_then(Value::as_array);
                for (index, item) in items.iter().enumerate() {
                    push(at, &index.to_string());
                    let own = first.and_then(|first| first.get(index));
                    for described in own.into_iter().chain(schema.get("items")) {
                        self.walk(root, described, item, at, depth + 1, is_secret);
                    }
                    at.truncate(length);
                }
            }
            _ => {}
        }
    }

    /// What no schema describes is a secret where everything around it is one.
    fn unwritten(&mut self, value: &Value, at: &mut String, depth: usize, is_secret: bool) {
        if !is_secret || depth >= DEPTH_MAX * 2 {
            return;
        }
        let length = at.len();
        match value {
            Value::String(_) => self.add(at),
            Value::Object(members) => {
                for (key, member) in members {
                    push(at, key);
                    self.unwritten(member, at, depth + 1, is_secret);
                    at.truncate(length);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    push(at, &index.to_string());
                    self.unwritten(item, at, depth + 1, is_secret);
                    at.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn add(&mut self, at: &str) {
        self.pointers.push(at.to_owned());
    }

    /// Each of them once.
    fn once(mut self) -> Vec<String> {
        let mut seen = HashSet::with_capacity(self.pointers.len());
        self.pointers.retain(|pointer| seen.insert(pointer.clone()));
        self.pointers
    }
}

/// What a schema says about a member: its own words, else what is said of the rest.
fn described<'s>(schema: &'s Map<String, Value>, key: &str) -> Vec<&'s Value> {
    let own = schema.get("properties").and_then(|known| known.get(key));
    let patterns = schema.get("patternProperties").and_then(Value::as_object);
    // A pattern that does not match marks at most too much.
    let mut all: Vec<&Value> = patterns.into_iter().flatten().map(|(_, schema)| schema).collect();
    all.extend(own);
    if own.is_none() {
        let rest = ["additionalProperties", "unevaluatedProperties"];
        all.extend(rest.iter().filter_map(|rest| schema.get(*rest)));
    }
    all
}

/// One step down.
fn push(at: &mut String, key: &str) {
    at.push('/');
    at.push_str(&key.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin_schemas::Standing;

    struct Plugins(Value);

    impl PluginSchemas for Plugins {
        fn names(&self) -> Vec<&'static str> {
            vec!["p"]
        }
        fn standing(&self, _: &str) -> Standing {
            Standing::Known
        }
        fn schema(&self, plugin: &str, _: Slot) -> Option<&Value> {
            (plugin == "p").then_some(&self.0)
        }
        fn special_fields(&self, _: &str, _: Slot) -> &[(&'static str, Standing)] {
            &[]
        }
        fn is_authentication(&self, _: &str) -> bool {
            true
        }
    }

    fn plugins() -> Plugins {
        Plugins(json!({
            "type": "object",
            "properties": {
                "key": { "$ref": "#/$defs/Key" },
                "list": { "type": "array", "items": { "anyOf": [{ "type": "string", "x-secret": true }, { "type": "integer" }] } },
                "map": { "type": "object", "additionalProperties": { "type": "string", "x-secret": true } },
                "name": { "type": "string" },
                "loop": { "$ref": "#" }
            },
            "$defs": { "Key": { "type": "string", "x-secret": true } }
        }))
    }

    #[test]
    fn fields_that_the_schemas_call_secret_are_found_wherever_they_are() {
        let config = json!({
            "key": "k", "name": "n", "list": ["a", 1, "b"], "map": { "x/y": "z" },
            "loop": { "key": "k" }
        });
        let inside = |prefix: &str| {
            ["/key", "/list/0", "/list/2", "/map/x~1y", "/loop/key"]
                .map(|field| format!("{prefix}{field}"))
        };
        for (collection, id, value, prefix) in [
            ("routes", "r", json!({ "plugins": { "p": config, "q": config } }), "/plugins/p"),
            ("consumers", "c", json!({ "plugins": { "p": config } }), "/plugins/p"),
            ("consumers", "c/credentials/1", json!({ "plugins": { "p": config } }), "/plugins/p"),
            (
                "consumers",
                "c",
                json!({ "credentials": [{}, { "plugins": { "p": config } }] }),
                "/credentials/1/plugins/p",
            ),
            ("plugin_metadata", "p", config.clone(), ""),
        ] {
            let found = secret_fields(&plugins(), collection, id, &value);
            assert_eq!(found, inside(prefix), "{collection}");
        }
    }

    #[test]
    fn resources_have_secrets_of_their_own() {
        for (collection, value, expected) in [
            ("ssls", json!({ "cert": "c", "key": "k", "keys": ["a"] }), vec!["/key", "/keys/0"]),
            ("upstreams", json!({ "tls": { "client_key": "k" } }), vec!["/tls/client_key"]),
            (
                "routes",
                json!({ "upstream": { "tls": { "client_key": "k" } } }),
                vec!["/upstream/tls/client_key"],
            ),
            (
                "secrets",
                json!({ "token": "t", "auth": { "approle": { "role_id": "r", "secret_id": "s" } } }),
                vec!["/token", "/auth/approle/secret_id"],
            ),
            ("nothing", json!({ "key": "k" }), vec![]),
            ("ssls", json!([1]), vec![]),
        ] {
            let found = secret_fields(&plugins(), collection, "1", &value);
            assert_eq!(found, expected, "{collection}");
        }
    }
}
