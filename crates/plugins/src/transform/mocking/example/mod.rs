//! One value that a JSON Schema describes: always the same, and held against the schema.

#[cfg(test)]
mod tests;

use bartizan_config::{Invalid, PathStep};
use jsonschema::error::ValidationErrorKind::Referencing;
use jsonschema::{Draft, Validator};
use serde_json::{Map, Number, Value, json};

use crate::validate::schema_options;

/// Most values that an example has in all.
const VALUES_MAX: u32 = 10_000;
/// Deepest nesting of schemas that is followed.
const DEPTH_MAX: u32 = 64;
/// Longest text and list that are made for a least length.
const LENGTH_MAX: u64 = 10_000;

/// Keywords that belong to the schema they stand in when two are put together.
type Schema = Map<String, Value>;

/// What judges whether a value fits.
pub(super) fn validator(schema: &Value, is_apisix: bool) -> Result<Validator, Invalid> {
    let draft = if is_apisix { Draft::Draft7 } else { Draft::Draft202012 };
    let options = schema_options().should_ignore_unknown_formats(true);
    let options = if schema.get("$schema").is_some() { options } else { options.with_draft(draft) };
    options.build(schema).map_err(|error| {
        if let Referencing(_) = error.kind() {
            return Invalid::new("a `$ref` leads out of the schema, or to nothing in it")
                .with_help("only places in the same schema are followed, such as `#/$defs/name`");
        }
        let mut fault = Invalid::new(error.to_string());
        let mut value = Some(schema);
        for part in error.instance_path().as_str().split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            let index = value.filter(|v| v.is_array()).and_then(|_| name.parse::<usize>().ok());
            value = value.and_then(|v| index.map_or_else(|| v.get(&name), |index| v.get(index)));
            fault.path.push(index.map_or(PathStep::Key(name), PathStep::Index));
        }
        fault
    })
}

/// An example that fits, or why there is none.
pub(super) fn example(schema: &Value, validator: &Validator) -> Result<Value, Invalid> {
    let none = |why: String| {
        Err(Invalid::new(format!("no example could be made: {why}"))
            .with_help("give a `response_example`, or an `example` in the schema"))
    };
    let mut maker = Maker { root: schema, left: VALUES_MAX, followed: Vec::new() };
    let value = match maker.make(schema, 0) {
        Ok(value) => value,
        Err(Hitch::TooLarge) => {
            return none(format!("it would have more than {VALUES_MAX} values"));
        }
        Err(Hitch::None) => return none("the schema describes nothing finite".into()),
    };
    match validator.validate(&value) {
        Ok(()) => Ok(value),
        Err(fault) => none(fault.to_string()),
    }
}

/// Why a part of an example could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hitch {
    /// There is none; who does not need it goes on without.
    None,
    /// The whole is too large.
    TooLarge,
}

struct Maker<'a> {
    root: &'a Value,
    left: u32,
    /// The references that are being followed: one that leads into itself has no end.
    followed: Vec<String>,
}

impl Maker<'_> {
    fn make(&mut self, schema: &Value, depth: u32) -> Result<Value, Hitch> {
        self.left = self.left.checked_sub(1).ok_or(Hitch::TooLarge)?;
        if depth > DEPTH_MAX {
            return Err(Hitch::None);
        }
        let schema = match schema {
            Value::Object(schema) => schema,
            Value::Bool(false) => return Err(Hitch::None),
            _ => return Ok(Value::Null),
        };
        if let Some(given) = given(schema) {
            return Ok(given.clone());
        }
        if let Some(Value::String(reference)) = schema.get("$ref") {
            return self.follow(reference, schema, depth);
        }
        if let Some(Value::Array(parts)) = schema.get("allOf") {
            let mut whole = without(schema, &["allOf"]);
            for part in parts {
                merge(&mut whole, self.resolved(part, 0));
            }
            return self.make(&Value::Object(whole), depth + 1);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(Value::Array(forms)) = schema.get(keyword) {
                return self.first_form(&without(schema, &[keyword]), forms, depth);
            }
        }
        self.of_type(type_of(schema), schema, depth)
    }

    fn follow(&mut self, reference: &str, schema: &Schema, depth: u32) -> Result<Value, Hitch> {
        if self.followed.iter().any(|followed| followed == reference) {
            return Err(Hitch::None);
        }
        let target = reference.strip_prefix('#').and_then(|at| self.root.pointer(at));
        let mut whole = without(schema, &["$ref"]);
        match target.ok_or(Hitch::None)? {
            Value::Object(target) => merge(&mut whole, target),
            Value::Bool(false) => return Err(Hitch::None),
            _ => {}
        }
        self.followed.push(reference.to_owned());
        let made = self.make(&Value::Object(whole), depth + 1);
        self.followed.pop();
        made
    }

    /// A part of `allOf`, behind its reference.
    fn resolved<'s>(&'s self, part: &'s Value, steps: u32) -> &'s Schema {
        static EMPTY: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(Schema::new);
        let Value::Object(part) = part else { return &EMPTY };
        let reference = part.get("$ref").and_then(Value::as_str);
        match reference.and_then(|to| self.root.pointer(to.strip_prefix('#')?)) {
            Some(target) if steps < DEPTH_MAX => self.resolved(target, steps + 1),
            _ => part,
        }
    }

    /// The first form of which there is an example.
    fn first_form(&mut self, base: &Schema, forms: &[Value], depth: u32) -> Result<Value, Hitch> {
        for form in forms {
            let mut whole = base.clone();
            match form {
                Value::Object(form) => merge(&mut whole, form),
                Value::Bool(false) => continue,
                _ => {}
            }
            match self.make(&Value::Object(whole), depth + 1) {
                Err(Hitch::None) => {}
                other => return other,
            }
        }
        Err(Hitch::None)
    }

    fn of_type(&mut self, name: &str, schema: &Schema, depth: u32) -> Result<Value, Hitch> {
        match name {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => text(schema),
            "integer" => integer(schema).map(Value::from).ok_or(Hitch::None),
            "number" => number(schema).ok_or(Hitch::None),
            "boolean" => Ok(Value::Bool(true)),
            _ => Ok(Value::Null),
        }
    }

    fn object(&mut self, schema: &Schema, depth: u32) -> Result<Value, Hitch> {
        let is_required = |name: &str| {
            let required = schema.get("required").and_then(Value::as_array);
            required.is_some_and(|required| required.iter().any(|own| own == name))
        };
        let mut object = Map::new();
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            match self.make(property, depth + 1) {
                Ok(value) => drop(object.insert(name.clone(), value)),
                Err(Hitch::None) if !is_required(name) => {}
                Err(hitch) => return Err(hitch),
            }
        }
        let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !object.contains_key(name) {
                let other = schema.get("additionalProperties").unwrap_or(&Value::Bool(true));
                object.insert(name.to_owned(), self.make(other, depth + 1)?);
            }
        }
        Ok(Value::Object(object))
    }

    fn array(&mut self, schema: &Schema, depth: u32) -> Result<Value, Hitch> {
        let (least, most) = lengths(schema, "minItems", "maxItems")?;
        let mut items = Vec::new();
        for item in schema.get("prefixItems").and_then(Value::as_array).into_iter().flatten() {
            if (items.len() as u64) < most {
                items.push(self.make(item, depth + 1)?);
            }
        }
        let of = schema.get("items").unwrap_or(&Value::Bool(true));
        let wanted = if of == &Value::Bool(false) { 0 } else { least.max(1).min(most) };
        while (items.len() as u64) < wanted {
            match self.make(of, depth + 1) {
                Ok(value) => items.push(value),
                Err(Hitch::None) if items.len() as u64 >= least => break,
                Err(hitch) => return Err(hitch),
            }
        }
        Ok(Value::Array(items))
    }
}

/// What the schema gives as an example.
fn given(schema: &Schema) -> Option<&Value> {
    let first = |keyword: &str| schema.get(keyword).and_then(Value::as_array)?.first();
    schema
        .get("example")
        .or_else(|| first("examples"))
        .or_else(|| schema.get("default"))
        .or_else(|| schema.get("const"))
        .or_else(|| first("enum"))
}

/// The type, or what the keywords are about.
fn type_of(schema: &Schema) -> &str {
    match schema.get("type") {
        Some(Value::String(name)) => return name,
        Some(Value::Array(names)) => {
            let mut names = names.iter().filter_map(Value::as_str);
            return names.find(|name| *name != "null").unwrap_or("null");
        }
        _ => {}
    }
    let about = [
        ("properties", "object"),
        ("required", "object"),
        ("items", "array"),
        ("prefixItems", "array"),
        ("minItems", "array"),
        ("format", "string"),
        ("pattern", "string"),
        ("minLength", "string"),
        ("maxLength", "string"),
        ("minimum", "number"),
        ("maximum", "number"),
        ("exclusiveMinimum", "number"),
        ("multipleOf", "number"),
    ];
    about.iter().find(|(keyword, _)| schema.contains_key(*keyword)).map_or("null", |(_, name)| name)
}

fn without(schema: &Schema, keywords: &[&str]) -> Schema {
    let keeps = |(name, _): &(&String, &Value)| !keywords.contains(&name.as_str());
    schema.iter().filter(keeps).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Puts the keywords of another schema in; properties and required names of both hold.
fn merge(whole: &mut Schema, other: &Schema) {
    for (name, value) in other {
        match (whole.get_mut(name), value) {
            (Some(Value::Object(own)), Value::Object(more)) if name == "properties" => {
                own.extend(more.clone());
            }
            (Some(Value::Array(own)), Value::Array(more))
                if name == "required" || name == "allOf" =>
            {
                own.extend(more.iter().cloned());
            }
            _ => drop(whole.insert(name.clone(), value.clone())),
        }
    }
}

/// The least and the largest length, if it can be made.
fn lengths(schema: &Schema, least: &str, most: &str) -> Result<(u64, u64), Hitch> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
    let least = limit(least).unwrap_or(0);
    if least > LENGTH_MAX {
        Err(Hitch::TooLarge)
    } else {
        Ok((least, limit(most).unwrap_or(u64::MAX)))
    }
}

fn text(schema: &Schema) -> Result<Value, Hitch> {
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    let text = match format {
        "date-time" => "2026-01-01T00:00:00Z",
        "date" => "2026-01-01",
        "time" => "00:00:00Z",
        "duration" => "P1D",
        "email" | "idn-email" => "user@example.com",
        "hostname" | "idn-hostname" => "example.com",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "uri" | "iri" => "https://example.com/",
        "uri-reference" | "iri-reference" | "json-pointer" => "/example",
        "uri-template" => "/{id}",
        "uuid" => "01234567-89ab-4def-8123-456789abcdef",
        "relative-json-pointer" => "0/example",
        "regex" => ".*",
        "byte" => "ZXhhbXBsZQ==",
        _ => "text",
    };
    let (least, most) = lengths(schema, "minLength", "maxLength")?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    let mut text: String = text.chars().take(most).collect();
    let missing = least.saturating_sub(text.chars().count());
    text.extend(std::iter::repeat_n('x', missing));
    Ok(Value::String(text))
}

/// The smallest whole number at or above the least one that is a multiple of what it must be; zero
/// where nothing speaks against it.
fn integer(schema: &Schema) -> Option<i64> {
    let limit = |keyword: &str, round: fn(f64) -> f64| {
        let value = schema.get(keyword)?;
        value.as_i64().or_else(|| value.as_f64().map(round).and_then(whole))
    };
    let above = limit("exclusiveMinimum", f64::floor).and_then(|n| n.checked_add(1));
    let below = limit("exclusiveMaximum", f64::ceil).and_then(|n| n.checked_sub(1));
    let least = limit("minimum", f64::ceil).into_iter().chain(above).max();
    let most = limit("maximum", f64::floor).into_iter().chain(below).min();
    let step = limit("multipleOf", f64::ceil).filter(|step| *step > 0).unwrap_or(1);
    let start = match (least, most) {
        (Some(least), _) => least,
        (None, Some(most)) if most < 0 => return most.checked_sub(most.rem_euclid(step)),
        _ => 0,
    };
    let over = start.rem_euclid(step);
    if over == 0 { Some(start) } else { start.checked_add(step - over) }
}

/// A number in the range: the least one, or halfway to what it must not reach.
fn number(schema: &Schema) -> Option<Value> {
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    if schema.contains_key("multipleOf") || schema.keys().all(|keyword| !is_bound(keyword)) {
        let step = limit("multipleOf").filter(|step| *step > 0.0).unwrap_or(1.0);
        let least = limit("minimum").or_else(|| limit("exclusiveMinimum").map(|n| n + step));
        let multiple = (least.unwrap_or(0.0) / step).ceil() * step;
        return finite(multiple);
    }
    let (above, below) = (limit("exclusiveMinimum"), limit("exclusiveMaximum"));
    let least = limit("minimum").filter(|least| above.is_none_or(|above| above < *least));
    let most = limit("maximum").or(below);
    if let Some(least) = least {
        return finite(least);
    }
    finite(match (above, most) {
        (Some(above), Some(most)) => f64::midpoint(above, most),
        (Some(above), None) => above + 1.0,
        (None, Some(most)) if below.is_some_and(|below| below <= most) => most - 1.0,
        (None, Some(most)) => most,
        (None, None) => 0.0,
    })
}

fn is_bound(keyword: &str) -> bool {
    matches!(keyword, "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum")
}

/// Whole numbers are written as such.
fn finite(value: f64) -> Option<Value> {
    match whole(value) {
        Some(whole) => Some(json!(whole)),
        None => Number::from_f64(value).map(Value::Number),
    }
}

/// The number, if it is whole and exact.
fn whole(value: f64) -> Option<i64> {
    let is_exact = value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0;
    // The text of a whole number is one.
    is_exact.then(|| format!("{value:.0}").parse().ok()).flatten()
}
