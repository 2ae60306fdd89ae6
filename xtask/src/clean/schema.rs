//! Values that fit a schema of an OpenAPI document.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::values;

/// How deep values are nested at most.
const DEPTH_MAX: u32 = 6;

/// A document, in which schemas refer to each other.
pub(super) struct Document<'a>(pub(super) &'a Value);

impl<'a> Document<'a> {
    /// What a reference leads to; the thing itself where it is none.
    pub(super) fn resolve(&self, mut value: &'a Value) -> &'a Value {
        for _ in 0..8 {
            let Some(path) = value["$ref"].as_str().and_then(|path| path.strip_prefix('#')) else {
                break;
            };
            value = self
                .0
                .pointer(&path.replace("%7B", "{").replace("%7D", "}"))
                .unwrap_or(&Value::Null);
        }
        value
    }

    /// A value of this schema, for a field of this name. What the document itself gives as an
    /// example, a default or a choice is taken seven times of ten, or always where it is a choice.
    pub(super) fn value(
        &self,
        chance: &mut Chance,
        schema: &'a Value,
        name: &str,
        depth: u32,
    ) -> Value {
        let schema = self.resolve(schema);
        if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.is_empty()) {
            return choices[chance.index(choices.len())].clone();
        }
        if chance.percent(70)
            && let Some(given) = given(schema)
        {
            return given.clone();
        }
        for key in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[key].as_array().filter(|choices| !choices.is_empty()) {
                let index = chance.index(choices.len());
                return self.value(chance, &choices[index], name, depth);
            }
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return self.merged(chance, schema, parts, name, depth);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.first().and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("object") => self.object(chance, schema, depth),
            Some("array") => self.array(chance, schema, name, depth),
            Some("integer") => number(chance, schema, false),
            Some("number") => number(chance, schema, true),
            Some("boolean") => Value::Bool(chance.percent(50)),
            Some("null") => Value::Null,
            _ if schema["properties"].is_object() => self.object(chance, schema, depth),
            _ => Value::String(text(chance, schema, name)),
        }
    }

    fn merged(
        &self,
        chance: &mut Chance,
        schema: &'a Value,
        parts: &'a [Value],
        name: &str,
        depth: u32,
    ) -> Value {
        let mut all = Map::new();
        for part in parts {
            match self.value(chance, part, name, depth) {
                Value::Object(members) => all.extend(members),
                other if parts.len() == 1 => return other,
                _ => {}
            }
        }
        if let Value::Object(members) = self.object(chance, schema, depth) {
            all.extend(members);
        }
        Value::Object(all)
    }

    fn object(&self, chance: &mut Chance, schema: &'a Value, depth: u32) -> Value {
        let mut out = Map::new();
        if depth >= DEPTH_MAX {
            return Value::Object(out);
        }
        let required = schema["required"].as_array();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let is_required =
                required.is_some_and(|all| all.iter().any(|wanted| wanted.as_str() == Some(name)));
            if self.resolve(member)["readOnly"] == Value::Bool(true) || out.len() >= 40 {
                continue;
            }
            if is_required || chance.percent(60) {
                out.insert(name.clone(), self.value(chance, member, name, depth + 1));
            }
        }
        if out.is_empty() && schema["additionalProperties"].is_object() {
            let more = &schema["additionalProperties"];
            for name in ["region", "team", "label-1"] {
                out.insert(name.to_owned(), self.value(chance, more, name, depth + 1));
            }
        }
        Value::Object(out)
    }

    fn array(&self, chance: &mut Chance, schema: &'a Value, name: &str, depth: u32) -> Value {
        if depth >= DEPTH_MAX {
            return json!([]);
        }
        let count = chance.between(1, 3);
        let name = name.strip_suffix('s').unwrap_or(name);
        (0..count).map(|_| self.value(chance, &schema["items"], name, depth + 1)).collect()
    }
}

/// What the document says that a value may be.
fn given(schema: &Value) -> Option<&Value> {
    let examples = schema["examples"].as_array().and_then(|examples| examples.first());
    [schema.get("example"), examples, schema.get("default")]
        .into_iter()
        .flatten()
        .find(|given| !given.is_null() && given.as_str() != Some(""))
}

fn text(chance: &mut Chance, schema: &Value, name: &str) -> String {
    let format = schema["format"].as_str().unwrap_or_default();
    let mut text = values::string(chance, name, format);
    if let Some(max) = schema["maxLength"].as_u64() {
        text = text.chars().take(usize::try_from(max).unwrap_or(usize::MAX)).collect();
    }
    text
}

fn number(chance: &mut Chance, schema: &Value, is_fractional: bool) -> Value {
    let least = schema["minimum"].as_f64().unwrap_or(0.0).clamp(-1e9, 1e9);
    let most = schema["maximum"].as_f64().unwrap_or(least + 10_000.0).clamp(least, 1e12);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    let whole = chance.between(0, (most - least) as u64);
    #[expect(clippy::cast_precision_loss, reason = "drawn below 10^12")]
    let value = least + whole as f64;
    if is_fractional && chance.percent(70) {
        return json!((value * 100.0 + 37.0).round() / 100.0);
    }
    #[expect(clippy::cast_possible_truncation, reason = "clamped above")]
    let value = value as i64;
    json!(value)
}
