//! The fields of the catalogue, and where they stand in resources.

use std::collections::BTreeSet;
use std::fmt;

use bartizan_plugins::{CATALOGUE, find};
use serde_json::{Map, Value};

/// The keys of `_meta`, which every plugin takes.
const META: [&str; 4] = ["_meta.disable", "_meta.error_response", "_meta.filter", "_meta.priority"];

/// Marks the configuration of another plugin, whose fields its own cases show.
const PLUGIN: &str = "x-plugin";

/// A field of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Field {
    /// The plugin.
    pub plugin: String,
    /// `consumer` or `metadata`; empty for the configuration on a route.
    pub slot: String,
    /// Its place in that configuration; `[]` stands for every item of a list.
    pub path: String,
}

impl Field {
    /// Reads `key-auth.header`, `key-auth@consumer.key` or `cors@metadata.allow_origins`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (owner, path) = text.split_once('.')?;
        let (plugin, slot) = owner.split_once('@').unwrap_or((owner, ""));
        let is_known = matches!(slot, "" | "consumer" | "metadata");
        let field = Self { plugin: plugin.into(), slot: slot.into(), path: path.into() };
        is_known.then_some(field)
    }

    /// True for a key of `_meta`.
    pub(super) fn is_meta(&self) -> bool {
        self.slot.is_empty() && META.contains(&self.path.as_str())
    }

    /// The configurations in resources that can have the field.
    pub(super) fn configurations(&self, resources: &mut Value, visit: &mut impl FnMut(&mut Value)) {
        let Some(collections) = resources.as_object_mut() else { return };
        let is_authentication = find(&self.plugin).is_some_and(|entry| entry.is_authentication);
        for (collection, items) in collections {
            for item in items.as_array_mut().into_iter().flatten() {
                if collection == "plugin_metadata" {
                    if self.slot == "metadata" && item["id"] == self.plugin.as_str() {
                        visit(item);
                    }
                    continue;
                }
                let slot = match (collection.as_str(), is_authentication) {
                    ("consumers", true) => "consumer",
                    _ => "",
                };
                let credentials = item.get_mut("credentials").and_then(Value::as_array_mut);
                for credential in credentials.into_iter().flatten() {
                    self.visit_plugins(credential, slot, visit);
                }
                self.visit_plugins(item, slot, visit);
            }
        }
    }

    fn visit_plugins(&self, owner: &mut Value, slot: &str, visit: &mut impl FnMut(&mut Value)) {
        let plugin = owner.get_mut("plugins").and_then(|plugins| plugins.get_mut(&self.plugin));
        if let Some(config) = plugin.filter(|_| slot == self.slot) {
            visit(config);
        }
    }

    /// True if a configuration without the field is refused by the schema.
    pub(super) fn is_required(&self) -> bool {
        let schema = find(&self.plugin).and_then(|entry| match self.slot.as_str() {
            "consumer" => entry.consumer_schema.as_ref(),
            "metadata" => entry.metadata_schema.as_ref(),
            _ => Some(&entry.config_schema),
        });
        let Some(root) = schema else { return false };
        let mut at = vec![root];
        let steps: Vec<&str> = self.path.split('.').collect();
        let (last, steps) = steps.split_last().expect("a path has a step");
        for step in steps {
            let (key, is_list) = step.strip_suffix("[]").map_or((*step, false), |key| (key, true));
            at = at.iter().flat_map(|schema| alternatives(schema, root)).collect();
            at = at.iter().filter_map(|schema| schema.get("properties")?.get(key)).collect();
            if is_list {
                at = at.iter().flat_map(|schema| alternatives(schema, root)).collect();
                at = at.iter().filter_map(|schema| schema.get("items")).collect();
            }
        }
        let at = at.iter().flat_map(|schema| alternatives(schema, root));
        let required = at.filter_map(|schema| schema.get("required")?.as_array());
        required.flatten().any(|name| name == last)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.slot.is_empty() { "" } else { "@" };
        write!(f, "{}{at}{}.{}", self.plugin, self.slot, self.path)
    }
}

/// Every field of every plugin of the catalogue that has no fields of its own, and the keys of
/// `_meta`.
pub fn fields() -> BTreeSet<Field> {
    let mut fields = BTreeSet::new();
    for entry in CATALOGUE.iter() {
        let schemas = [
            ("", Some(&entry.config_schema)),
            ("consumer", entry.consumer_schema.as_ref()),
            ("metadata", entry.metadata_schema.as_ref()),
        ];
        for (slot, schema) in schemas {
            let Some(schema) = schema else { continue };
            let mut paths = BTreeSet::new();
            walk(schema, schema, "", &mut paths);
            paths.extend(META.iter().filter(|_| slot.is_empty()).map(|path| (*path).to_owned()));
            fields.extend(paths.into_iter().map(|path| Field {
                plugin: entry.name.to_owned(),
                slot: slot.to_owned(),
                path,
            }));
        }
    }
    fields
}

/// Collects the paths of what has no properties itself.
fn walk(schema: &Value, root: &Value, path: &str, paths: &mut BTreeSet<String>) {
    if schema.get(PLUGIN).is_some() && !path.is_empty() {
        paths.insert(path.to_owned());
        return;
    }
    let alternatives = alternatives(schema, root);
    let before = paths.len();
    for schema in &alternatives {
        for (key, inner) in properties(schema) {
            let dot = if path.is_empty() { "" } else { "." };
            walk(inner, root, &format!("{path}{dot}{key}"), paths);
        }
        if let Some(items) = schema.get("items") {
            let items_path = format!("{path}[]");
            let mut inside = BTreeSet::new();
            walk(items, root, &items_path, &mut inside);
            inside.remove(&items_path);
            paths.extend(inside);
        }
    }
    if paths.len() == before && !path.is_empty() {
        paths.insert(path.to_owned());
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties.into_iter().flat_map(Map::iter)
}

/// The schemas that a value can follow, references resolved.
fn alternatives<'s>(schema: &'s Value, root: &'s Value) -> Vec<&'s Value> {
    let mut found = vec![schema];
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        found.extend(alternatives(target.expect("a reference that leads somewhere"), root));
    }
    for keyword in ["anyOf", "oneOf", "allOf"] {
        let branches = schema.get(keyword).and_then(Value::as_array);
        found.extend(branches.into_iter().flatten().flat_map(|branch| alternatives(branch, root)));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(schema: &Value) -> Vec<String> {
        let mut paths = BTreeSet::new();
        walk(schema, schema, "", &mut paths);
        paths.into_iter().collect()
    }

    #[test]
    fn fields_are_found_behind_references_alternatives_and_lists() {
        let schema = json!({
            "properties": {
                "a": {"type": "string"},
                "b": {"anyOf": [{"$ref": "#/$defs/B"}, {"type": "null"}]},
                "c": {"type": "array", "items": {"properties": {"d": {}, "e": {"type": "array"}}}},
                "f": {"type": "array", "items": {"type": "string"}},
                "g": {"$ref": "#/$defs/B", "x-plugin": "key-auth"},
            },
            "$defs": {"B": {"properties": {"x": {}, "y": {"additionalProperties": {}}}}},
        });
        assert_eq!(names(&schema), ["a", "b.x", "b.y", "c[].d", "c[].e", "f", "g"]);
    }

    #[test]
    fn the_catalogue_has_fields_in_all_slots() {
        let fields: Vec<String> = fields().iter().map(ToString::to_string).collect();
        for name in [
            "key-auth.header",
            "key-auth@consumer.key",
            "cors@metadata.allow_origins",
            "limit-count.rules[].count",
            "object-guard.bindings[].object.path",
            "ip-restriction._meta.filter",
        ] {
            assert!(fields.iter().any(|field| field == name), "{name} in {fields:#?}");
            assert_eq!(Field::parse(name).unwrap().to_string(), name);
        }
    }

    #[test]
    fn what_the_schema_requires_is_known() {
        let is_required = |text: &str| Field::parse(text).unwrap().is_required();
        assert!(is_required("real-ip.source"));
        assert!(is_required("limit-count.rules[].count"));
        assert!(is_required("basic-auth@consumer.password"));
        assert!(!is_required("key-auth.header"));
    }
}
