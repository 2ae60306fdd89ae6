//! The schemas that are published, so that editors complete and check configurations.

use serde_json::{Map, Value, json};

use crate::node::NodeConfig;
use crate::plugin_schemas::{PluginSchemas, Slot, Standing};
use crate::resources::ResourceKind;
use crate::wire::{MetaWire, schema, schema_of};

/// The JSON Schema of a node file.
pub fn node_schema() -> Value {
    let mut schema = schema_of::<NodeConfig>();
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert(
            "resources".to_owned(),
            json!({
                "description": "Routes, consumers and the other resources, in the declarative \
                                format of Apache APISIX, instead of a `store`.",
                "type": "object"
            }),
        );
    }
    schema
}

/// The JSON Schema of a document of resources, with the plugins.
pub fn resources_schema(plugins: &dyn PluginSchemas) -> Value {
    let mut definitions = Map::new();
    let meta = embed(&mut definitions, "_meta", &schema_of::<MetaWire>());
    for (kind, name) in PLUGIN_SETS {
        let set = plugin_set(&mut definitions, plugins, *kind, &meta);
        definitions.insert((*name).to_owned(), set);
    }
    let mut properties = Map::new();
    for kind in ResourceKind::ALL {
        let item = match schema(kind) {
            Some(schema) => embed(&mut definitions, kind.noun(), &schema),
            None => metadata(&mut definitions, plugins),
        };
        if kind.parent().is_none() {
            let list = json!({ "type": "array", "items": item });
            properties.insert(kind.collection().to_owned(), list);
        }
    }
    describe_plugins(&mut definitions);
    for kind in ResourceKind::ALL {
        let Some((parent, _)) = kind.parent() else { continue };
        if let Some(Value::Object(list)) = properties.get_mut(parent.collection()) {
            let own = list.insert("items".to_owned(), Value::Null).unwrap_or_default();
            list.insert("items".to_owned(), json!({ "anyOf": [own, reference(kind.noun())] }));
        }
    }
    properties.insert(
        "plugins".to_owned(),
        json!({
            "description": "The plugins that this document may use. Absent: all.",
            "type": "array",
            "items": {
                "type": "object",
                "properties": { "name": { "type": "string" }, "stream": { "type": "boolean" } },
                "required": ["name"]
            }
        }),
    );
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "resources",
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
        "$defs": definitions
    })
}

/// Which plugins may stand in which resources.
const PLUGIN_SETS: &[(ResourceKind, &str)] = &[
    (ResourceKind::Route, "plugins"),
    (ResourceKind::Consumer, "plugins of a consumer"),
    (ResourceKind::Credential, "plugins of a credential"),
    (ResourceKind::ConsumerGroup, "plugins of a consumer group"),
];

/// The map of plugins of a kind of resource.
fn plugin_set(
    definitions: &mut Map<String, Value>,
    plugins: &dyn PluginSchemas,
    kind: ResourceKind,
    meta: &Value,
) -> Value {
    let mut known = Map::new();
    for name in plugins.names() {
        if plugins.standing(name) != Standing::Known {
            continue;
        }
        let slot = match (kind, plugins.is_authentication(name)) {
            (ResourceKind::Consumer | ResourceKind::Credential, true) => Slot::Consumer,
            (ResourceKind::Credential, false) | (ResourceKind::ConsumerGroup, true) => continue,
            _ => Slot::Config,
        };
        let Some(schema) = plugins.schema(name, slot) else { continue };
        let key = match slot {
            Slot::Consumer => format!("{name} of a consumer"),
            Slot::Config | Slot::Metadata => name.to_owned(),
        };
        if !definitions.contains_key(&key) {
            embed(definitions, &key, schema);
            if let Some(schema) = definitions.get_mut(&key) {
                add_property(schema, "_meta", meta);
            }
        }
        known.insert(name.to_owned(), reference(&key));
    }
    json!({ "type": "object", "properties": known, "additionalProperties": false })
}

fn metadata(definitions: &mut Map<String, Value>, plugins: &dyn PluginSchemas) -> Value {
    let mut forms = Vec::new();
    for name in plugins.names() {
        let Some(schema) = plugins.schema(name, Slot::Metadata) else { continue };
        let key = format!("{name} metadata");
        forms.push(embed(definitions, &key, schema));
        let Some(schema) = definitions.get_mut(&key) else { continue };
        add_property(schema, "id", &json!({ "const": name, "description": "The plugin." }));
        for key in ["create_time", "update_time"] {
            add_property(schema, key, &json!({ "type": "integer" }));
        }
    }
    json!({ "type": "object", "required": ["id"], "anyOf": forms })
}

fn reference(key: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{}", key.replace('~', "~0").replace('/', "~1")) })
}

/// Puts a schema and its definitions under their own names, and gives the reference to it.
fn embed(definitions: &mut Map<String, Value>, key: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    let own = schema.as_object_mut().map(|schema| {
        schema.remove("$schema");
        schema.remove("$defs")
    });
    rename(&mut schema, key);
    if let Some(Some(Value::Object(own))) = own {
        for (name, mut definition) in own {
            rename(&mut definition, key);
            definitions.insert(format!("{key}: {name}"), definition);
        }
    }
    definitions.insert(key.to_owned(), schema);
    reference(key)
}

/// Makes references follow the definitions to their new names.
fn rename(schema: &mut Value, key: &str) {
    match schema {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(target) if name == "$ref" => {
                        let new = match target.strip_prefix("#/$defs/") {
                            Some(name) => reference(&format!("{key}: {name}")),
                            None => reference(key),
                        };
                        *value = new.get("$ref").cloned().unwrap_or_default();
                    }
                    value => rename(value, key),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, key)),
        _ => {}
    }
}

/// Adds a property to an object schema and to each of its forms that knows its keys.
fn add_property(schema: &mut Value, key: &str, property: &Value) {
    let Some(schema) = schema.as_object_mut() else { return };
    for forms in ["anyOf", "oneOf", "allOf"] {
        for form in schema.get_mut(forms).and_then(Value::as_array_mut).into_iter().flatten() {
            if form.get("additionalProperties").is_some() {
                add_property(form, key, property);
            }
        }
    }
    let is_open =
        !schema.contains_key("properties") && !schema.contains_key("additionalProperties");
    if is_open && (schema.contains_key("anyOf") || schema.contains_key("oneOf")) {
        return;
    }
    let properties = schema.entry("properties").or_insert_with(|| json!({}));
    if let Some(properties) = properties.as_object_mut() {
        properties.insert(key.to_owned(), property.clone());
    }
}

/// Says what stands where the resources leave it to the plugins.
fn describe_plugins(definitions: &mut Map<String, Value>) {
    let list = |kind: ResourceKind| json!({ "type": "array", "items": reference(kind.noun()) });
    for kind in ResourceKind::ALL {
        let Some(definition) = definitions.get_mut(kind.noun()) else { continue };
        let Some(properties) = definition.get_mut("properties").and_then(Value::as_object_mut)
        else {
            continue;
        };
        let own = PLUGIN_SETS.iter().find(|(of, _)| *of == kind);
        for (key, target) in [
            ("plugins", reference(own.map_or("plugins", |(_, name)| name))),
            ("credentials", list(ResourceKind::Credential)),
            ("graphql_cost_decorations", list(ResourceKind::GraphqlCost)),
        ] {
            let Some(property) = properties.get_mut(key).and_then(Value::as_object_mut) else {
                continue;
            };
            property.retain(|keyword, _| keyword == "description");
            if let Value::Object(target) = target {
                property.extend(target);
            }
        }
    }
}
