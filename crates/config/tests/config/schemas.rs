//! The schemas that are published.

use bartizan_config::{node_schema, resources_schema, unsupported_keywords};
use serde_json::Value;

use crate::catalogue::Catalogue;

fn references<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match value {
                    Value::String(target) if key == "$ref" => found.push(target),
                    value => references(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_a_published_schema_leads_somewhere() {
    for schema in [node_schema(), resources_schema(&Catalogue)] {
        let mut found = Vec::new();
        references(&schema, &mut found);
        assert!(!found.is_empty());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some(), "{target}");
        }
        assert_eq!(unsupported_keywords(&schema), Vec::<String>::new());
    }
}

#[test]
fn the_schema_of_resources_knows_where_which_plugin_may_stand() {
    let schema = resources_schema(&Catalogue);
    let plugins = |set: &str| -> Vec<&str> {
        schema["$defs"][set]["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    };
    assert_eq!(
        plugins("plugins"),
        ["key-auth", "mtls-auth", "limit-count", "ip-restriction", "http-logger", "translated"]
    );
    assert_eq!(plugins("plugins of a credential"), ["key-auth"]);
    assert!(!plugins("plugins of a consumer group").contains(&"key-auth"));
    assert_eq!(schema["$defs"]["route"]["properties"]["plugins"]["$ref"], "#/$defs/plugins");
    assert_eq!(schema["$defs"]["key-auth"]["properties"]["_meta"]["$ref"], "#/$defs/_meta");
    assert_eq!(
        schema["$defs"]["key-auth of a consumer"]["properties"]["key"]["$ref"],
        "#/$defs/key-auth of a consumer: Key"
    );
}

#[test]
fn no_mark_of_ours_hides_a_part_of_the_schema() {
    fn look(schema: &Value) {
        if let Value::Object(members) = schema {
            assert!(!members.contains_key("x-opaque"), "{schema}");
            members.values().for_each(look);
        }
    }
    look(&resources_schema(&Catalogue));
    look(&node_schema());
}
