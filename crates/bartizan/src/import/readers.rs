//! Objects of another machine that would read this one, once they are in a file.

use bartizan_config::{AUTH_FILE, is_of_machine};
use serde_json::Value;

use crate::failure::Failure;

/// Refuses resources to be written of which one refers to this machine, accepted or not: in the file
/// that is written it would be that of an operator here, who may read what is here.
pub(super) fn refuse(resources: &Value) -> Result<(), Failure> {
    match first(resources) {
        None => Ok(()),
        Some(name) => Err(Failure::new(format!(
            "nothing is written: `{name}` refers to this machine, and whoever wrote it chose where \
             the value is sent"
        ))
        .with_help("take the reference out there; or look at each, and add `--danger-references`")),
    }
}

/// The first object that refers to the machine.
fn first(resources: &Value) -> Option<String> {
    let lists = resources.as_object()?.iter();
    lists
        .flat_map(|(collection, list)| {
            list.as_array().into_iter().flatten().map(move |object| (collection, object))
        })
        .find(|(collection, object)| {
            let names_file = *collection == "secrets" && object.pointer(AUTH_FILE).is_some();
            names_file || refers(object)
        })
        .map(|(collection, object)| {
            let named = ["id", "username"].iter().find_map(|key| object.get(key)?.as_str());
            named.map_or_else(|| collection.clone(), |id| format!("{collection}/{id}"))
        })
}

/// Whether a text or a key in a value stands for what is of the machine.
fn refers(value: &Value) -> bool {
    match value {
        Value::String(text) => is_of_machine(text),
        Value::Array(items) => items.iter().any(refers),
        Value::Object(members) => {
            members.iter().any(|(key, member)| is_of_machine(key) || refers(member))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_reference_is_found_wherever_it_stands() {
        for (resources, expected) in [
            (json!({ "routes": [{ "id": "1", "uri": "/a" }], "plugins": ["key-auth"] }), None),
            (json!({ "routes": [{ "id": "1", "uri": "/${{A}}" }] }), Some("routes/1")),
            (
                json!({ "upstreams": [{}, { "id": "u", "nodes": { "${{A}}:1": 1 } }] }),
                Some("upstreams/u"),
            ),
            (
                json!({ "consumers": [{ "username": "jack", "plugins": { "p": [{ "k": "$env://A" }] } }] }),
                Some("consumers/jack"),
            ),
            (json!({ "plugins": ["$file://a"] }), Some("plugins")),
            (
                json!({ "secrets": [{ "id": "gcp/1", "auth_file": "/a.json" }] }),
                Some("secrets/gcp/1"),
            ),
            (json!({ "secrets": [{ "id": "gcp/1", "auth_config": { "scope": ["a"] } }] }), None),
            (json!({ "routes": [{ "id": "1", "auth_file": "/a.json" }] }), None),
            (json!({ "consumers": [{ "username": "jack", "k": "$secret://vault/1/a/b" }] }), None),
            (json!(null), None),
        ] {
            assert_eq!(first(&resources).as_deref(), expected, "{resources}");
        }
    }
}
