//! Which keywords the walk knows, so that a test over all schemas can tell if one is not checked.

use serde_json::Value;

const CHECKED: &[&str] = &[
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "dependentRequired",
    "else",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "required",
    "then",
    "type",
    "unevaluatedProperties",
    "uniqueItems",
    "x-answers",
    "x-expects",
    "x-opaque",
    "x-reference",
    "x-secret",
];

const ANNOTATIONS: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "default",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// The keywords of a schema that are not checked, with the pointer to where they stand.
///
/// Keywords that begin with `x-` are annotations of whoever wrote them.
pub fn unsupported_keywords(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    look(schema, "#", &mut found);
    found
}

fn look(schema: &Value, pointer: &str, found: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else { return };
    for (keyword, value) in schema {
        let here = format!("{pointer}/{keyword}");
        let is_known = CHECKED.contains(&keyword.as_str())
            || ANNOTATIONS.contains(&keyword.as_str())
            || keyword.starts_with("x-");
        if !is_known {
            found.push(here);
            continue;
        }
        match (keyword.as_str(), value) {
            ("properties" | "patternProperties" | "$defs", Value::Object(schemas)) => {
                for (key, schema) in schemas {
                    look(schema, &format!("{here}/{key}"), found);
                }
            }
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    look(schema, &format!("{here}/{index}"), found);
                }
            }
            (
                "additionalProperties" | "items" | "not" | "if" | "then" | "else" | "propertyNames",
                schema,
            ) => look(schema, &here, found),
            _ => {}
        }
    }
}
