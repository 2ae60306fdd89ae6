//! The law of schemas: they never panic, one that compiles judges any value, and one of a few plain
//! keywords judges as a naive reading of it does. Its plan says what it says.

use bartizan_chain::{JsonLimits, parse_strict};
use bartizan_config::PathStep;
use bartizan_wire::Fields;
use jsonschema::Draft;
use serde_json::{Map, Value, json};

use super::{header_schema, plan, validator};
use crate::validate::plan::law as plan_law;

/// Inputs are cut off here: longer ones show nothing that shorter ones do not.
const INPUT_MAX: usize = 8_192;
/// The bounds of a real body, smaller.
const LIMITS: JsonLimits = JsonLimits { depth: 16, items: 500 };

/// A schema, a line of dashes, and a value that it judges.
pub(crate) fn law(data: &[u8]) {
    let text = String::from_utf8_lossy(data.get(..INPUT_MAX).unwrap_or(data)).into_owned();
    let (schema, instance) = text.split_once("\n---\n").unwrap_or((&text, "{}"));
    let Ok(schema) = serde_json::from_str::<Map<String, Value>>(schema) else { return };
    let text = instance.as_bytes();
    let instance = parse_strict(text, LIMITS).ok();
    for draft in [Draft::Draft202012, Draft::Draft7] {
        body(&schema, text, instance.as_ref(), draft);
        headers(&schema, instance.as_ref(), draft);
    }
}

fn body(schema: &Map<String, Value>, text: &[u8], instance: Option<&Value>, draft: Draft) {
    let schema = Value::Object(schema.clone());
    let compiled = match validator("body_schema", &schema, draft) {
        Ok(compiled) => compiled,
        Err(fault) => {
            assert!(!fault.problem.is_empty(), "a fault without a problem");
            let config = json!({ "body_schema": schema });
            assert!(leads_somewhere(&config, &fault.path), "{:?} is not in it", fault.path);
            return;
        }
    };
    let plan = plan(&schema, compiled.draft());
    if let Some(plan) = plan {
        plan_law::law(&plan, &schema, &compiled, text, LIMITS);
    }
    let Some(instance) = instance else { return };
    let verdict = compiled.is_valid(instance);
    assert_eq!(compiled.validate(instance).is_ok(), verdict, "two verdicts");
    if let Some(expected) = naive(&schema, instance) {
        assert_eq!(verdict, expected, "the naive reading of {schema} on {instance}");
    }
    // What refers to other places of the schema means something else one level further in.
    let moves = ["$ref", "$dynamicRef", "$recursiveRef", "$id", "\"id\"", "$schema", "$anchor"];
    let text = schema.to_string();
    if moves.iter().any(|word| text.contains(word)) {
        return;
    }
    let around = |wrapped: Value| {
        let compiled = validator("body_schema", &wrapped, draft);
        compiled.map(|compiled| compiled.is_valid(instance)).ok()
    };
    assert_eq!(around(json!({ "not": schema })), Some(!verdict), "the opposite of {schema}");
    assert_eq!(around(json!({ "allOf": [true, schema] })), Some(verdict), "{schema} and anything");
    assert_eq!(around(json!({ "anyOf": [schema, false] })), Some(verdict), "{schema} or nothing");
}

/// A schema of headers judges the fields that an object of texts stands for.
fn headers(schema: &Map<String, Value>, instance: Option<&Value>, draft: Draft) {
    let compiled = match header_schema(schema.clone(), draft) {
        Ok(compiled) => compiled,
        Err(fault) => {
            assert!(!fault.problem.is_empty(), "a fault without a problem");
            return;
        }
    };
    let mut fields = Fields::new();
    for (name, value) in instance.and_then(Value::as_object).into_iter().flatten() {
        if let (true, Some(value)) =
            (name.bytes().all(|b| b.is_ascii_alphanumeric()), value.as_str())
        {
            fields.append(name.to_ascii_lowercase().into_bytes(), value.as_bytes().to_vec());
        }
    }
    let judge = || compiled.read(&fields).is_ok_and(|read| compiled.validator.is_valid(&read));
    assert_eq!(judge(), judge(), "two verdicts on {schema:?}");
}

fn leads_somewhere(value: &Value, path: &[PathStep]) -> bool {
    let Some((step, rest)) = path.split_first() else { return true };
    let inner = match step {
        PathStep::Key(key) => value.get(key),
        PathStep::Index(index) => value.get(index),
    };
    inner.is_some_and(|inner| leads_somewhere(inner, rest))
}

/// What a schema of plain keywords says of a value; `None` where it has others.
fn naive(schema: &Value, value: &Value) -> Option<bool> {
    let schema = match schema {
        Value::Bool(verdict) => return Some(*verdict),
        other => other.as_object()?,
    };
    let mut is_valid = true;
    for (keyword, said) in schema {
        // Bounds that are no plain numbers are for somebody else to judge.
        if keyword.starts_with("min") || keyword.starts_with("max") {
            said.as_u64()?;
        }
        is_valid &= match keyword.as_str() {
            "type" => said.as_str().map(|kind| is_of(kind, value))?,
            "const" => plain(said)? == plain(value)?,
            "enum" => {
                let mut values = Vec::new();
                for one in said.as_array()? {
                    values.push(plain(one)?);
                }
                values.contains(&plain(value)?)
            }
            "minLength" => value.as_str().is_none_or(|text| length(text) >= said.as_u64()),
            "maxLength" => value.as_str().is_none_or(|text| length(text) <= said.as_u64()),
            "minItems" => value.as_array().is_none_or(|items| count(items) >= said.as_u64()),
            "maxItems" => value.as_array().is_none_or(|items| count(items) <= said.as_u64()),
            "minimum" => !value.is_number() || value.as_i64()? >= said.as_i64()?,
            "maximum" => !value.is_number() || value.as_i64()? <= said.as_i64()?,
            "required" => {
                let names = said.as_array()?;
                let has =
                    |name: &Value| name.as_str().is_some_and(|name| value.get(name).is_some());
                !value.is_object() || names.iter().all(has)
            }
            "properties" => within(value, |name| said.get(name))?,
            "additionalProperties" => {
                let named = schema.get("properties").and_then(Value::as_object);
                let is_named = |name: &str| named.is_some_and(|named| named.contains_key(name));
                within(value, |name| (!is_named(name)).then_some(said))?
            }
            _ => return None,
        };
    }
    Some(is_valid)
}

fn within<'s>(value: &Value, schema: impl Fn(&str) -> Option<&'s Value>) -> Option<bool> {
    let mut is_valid = true;
    for (name, member) in value.as_object().into_iter().flatten() {
        if let Some(schema) = schema(name) {
            is_valid &= naive(schema, member)?;
        }
    }
    Some(is_valid)
}

fn is_of(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        // 1.0 is an integer as well (JSON Schema 2020-12, 4.2.1).
        _ => value.as_f64().is_some_and(|number| number.fract() == 0.0),
    }
}

fn length(text: &str) -> Option<u64> {
    u64::try_from(text.chars().count()).ok()
}

fn count(items: &[Value]) -> Option<u64> {
    u64::try_from(items.len()).ok()
}

/// A value whose equality is beyond doubt: no fraction, nothing inside.
fn plain(value: &Value) -> Option<&Value> {
    let is_plain = match value {
        Value::Number(number) => number.is_i64(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => true,
    };
    is_plain.then_some(value)
}
