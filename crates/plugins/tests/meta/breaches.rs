//! The bounds of a schema, and for each a value that is beyond it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// A value changed so that it breaks one bound of its schema.
#[derive(Debug)]
pub(super) struct Breach {
    /// The bound: the pointer of its keyword in the schema.
    pub(super) bound: String,
    /// The pointer of the value that was changed, or that lacks something.
    pub(super) at: String,
    /// The configuration with the change.
    pub(super) config: Value,
}

/// The formats that the reader of configurations knows.
const FORMATS: [&str; 5] = ["ip", "ipv4", "ipv6", "network", "socket-address"];

/// Text that hardly any pattern describes.
const ODD_TEXTS: [&str; 6] = ["\u{1}", "", " ", "%%", "-", "\u{fffd} \u{fffd}"];

/// Keywords under which another schema of the same value stands.
const SAME_VALUE: [&str; 3] = ["allOf", "anyOf", "oneOf"];

/// The bounds of a schema, each as the pointer of its keyword.
pub(super) fn bounds(root: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(root, "", root, &mut found);
    found
}

fn collect(root: &Value, pointer: &str, schema: &Value, found: &mut BTreeSet<String>) {
    let Some(keywords) = schema.as_object().filter(|keywords| is_ours(keywords, pointer)) else {
        return;
    };
    for (keyword, said) in keywords {
        let here = format!("{pointer}/{keyword}");
        match keyword.as_str() {
            "$ref" => {
                let target = said.as_str().and_then(|to| to.strip_prefix('#')).unwrap_or_default();
                // A schema may hold itself: what is known is not walked again.
                if found.insert(format!("{target} (visited)")) {
                    collect(root, target, root.pointer(target).unwrap_or(&Value::Null), found);
                }
            }
            keyword if SAME_VALUE.contains(&keyword) => {
                for (index, inner) in said.as_array().into_iter().flatten().enumerate() {
                    collect(root, &format!("{here}/{index}"), inner, found);
                }
            }
            "properties" => {
                for (name, inner) in said.as_object().into_iter().flatten() {
                    collect(root, &format!("{here}/{}", escaped(name)), inner, found);
                }
            }
            "items" | "additionalProperties" | "then" | "else" => {
                if said == &json!(false) {
                    found.insert(here);
                } else {
                    collect(root, &here, said, found);
                }
            }
            "required" => {
                let names = said.as_array().into_iter().flatten().filter_map(Value::as_str);
                found.extend(names.map(|name| format!("{here}/{name}")));
            }
            "format" if !said.as_str().is_some_and(|name| FORMATS.contains(&name)) => {}
            "minItems" | "minLength" | "minProperties" if said == &json!(0) => {}
            "type" | "enum" | "const" | "minimum" | "maximum" | "exclusiveMinimum"
            | "exclusiveMaximum" | "minLength" | "maxLength" | "pattern" | "format"
            | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                found.insert(here);
            }
            _ => {}
        }
    }
}

/// False for what another plugin's own schema bounds, and for what no schema describes.
fn is_ours(keywords: &Map<String, Value>, pointer: &str) -> bool {
    !keywords.contains_key("x-opaque") && (pointer.is_empty() || !keywords.contains_key("x-plugin"))
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Every way in which a configuration can be changed to break one of the bounds that are wanted.
pub(super) fn breaches(
    root: &Value,
    config: &Value,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Vec<Breach> {
    let mut walk = Walk { root, config, is_wanted, found: Vec::new() };
    walk.value("", root, "", config, 0);
    walk.found
}

struct Walk<'a> {
    root: &'a Value,
    config: &'a Value,
    is_wanted: &'a dyn Fn(&str) -> bool,
    found: Vec<Breach>,
}

impl<'a> Walk<'a> {
    fn value(&mut self, pointer: &str, schema: &'a Value, at: &str, value: &Value, depth: usize) {
        let Some(keywords) = schema.as_object().filter(|keywords| is_ours(keywords, pointer))
        else {
            return;
        };
        if depth > 28 {
            return;
        }
        for (keyword, said) in keywords {
            let here = format!("{pointer}/{keyword}");
            match keyword.as_str() {
                "$ref" => {
                    let to = said.as_str().and_then(|to| to.strip_prefix('#')).unwrap_or_default();
                    let target = self.root.pointer(to).unwrap_or(&Value::Null);
                    self.value(to, target, at, value, depth + 1);
                }
                keyword if SAME_VALUE.contains(&keyword) => {
                    for (index, inner) in said.as_array().into_iter().flatten().enumerate() {
                        self.value(&format!("{here}/{index}"), inner, at, value, depth + 1);
                    }
                }
                "then" | "else" => self.value(&here, said, at, value, depth + 1),
                "properties" => {
                    for (name, inner) in said.as_object().into_iter().flatten() {
                        let name = escaped(name);
                        let inside = (format!("{here}/{name}"), format!("{at}/{name}"));
                        match value.pointer(&format!("/{name}")) {
                            Some(member) => {
                                self.value(&inside.0, inner, &inside.1, member, depth + 1);
                            }
                            None => self.absent(inside, inner, at, &name, depth),
                        }
                    }
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(&here, said, &format!("{at}/{index}"), item, depth + 1);
                    }
                }
                "additionalProperties" => self.others(&here, keywords, said, at, value, depth),
                "required" => self.required(&here, said, at, value),
                _ if !(self.is_wanted)(&here) => {}
                _ => {
                    for changed in beyond(keyword, said, value) {
                        self.put(here.clone(), at, changed);
                    }
                }
            }
        }
    }

    /// What would stand where nothing does.
    fn absent(
        &mut self,
        (pointer, at): (String, String),
        schema: &'a Value,
        owner: &str,
        name: &str,
        depth: usize,
    ) {
        for value in starts(self.root, schema, 0) {
            let mut config = self.config.clone();
            let owner = config.pointer_mut(owner).and_then(Value::as_object_mut);
            let Some(members) = owner else { continue };
            members.insert(name.replace("~1", "/").replace("~0", "~"), value.clone());
            let is_wanted = self.is_wanted;
            let mut walk = Walk { root: self.root, config: &config, is_wanted, found: Vec::new() };
            walk.value(&pointer, schema, &at, &value, depth + 20);
            self.found.append(&mut walk.found);
        }
    }

    fn others(
        &mut self,
        here: &str,
        keywords: &Map<String, Value>,
        said: &'a Value,
        at: &str,
        value: &Value,
        depth: usize,
    ) {
        let Some(members) = value.as_object() else { return };
        if said == &json!(false) {
            let mut changed = members.clone();
            changed.insert("no_such_field".to_owned(), json!(1));
            self.put(here.to_owned(), at, Value::Object(changed));
            return;
        }
        let named = keywords.get("properties").and_then(Value::as_object);
        for (name, member) in members {
            if named.is_none_or(|named| !named.contains_key(name)) {
                let at = format!("{at}/{}", escaped(name));
                self.value(here, said, &at, member, depth + 1);
            }
        }
    }

    fn required(&mut self, here: &str, said: &Value, at: &str, value: &Value) {
        let Some(members) = value.as_object() else { return };
        for name in said.as_array().into_iter().flatten().filter_map(Value::as_str) {
            let mut changed = members.clone();
            if changed.remove(name).is_some() {
                self.put(format!("{here}/{name}"), at, Value::Object(changed));
            }
        }
    }

    fn put(&mut self, bound: String, at: &str, changed: Value) {
        if !(self.is_wanted)(&bound) {
            return;
        }
        let mut config = self.config.clone();
        *config.pointer_mut(at).expect("a place in the configuration") = changed;
        self.found.push(Breach { bound, at: at.to_owned(), config });
    }
}

/// Values with which to begin where a configuration has none: one for each form.
fn starts(root: &Value, schema: &Value, depth: usize) -> Vec<Value> {
    if depth > 6 {
        return Vec::new();
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let target = target.strip_prefix('#').and_then(|to| root.pointer(to));
        return target.map_or(Vec::new(), |target| starts(root, target, depth + 1));
    }
    let forms = SAME_VALUE.iter().filter_map(|keyword| schema.get(keyword)?.as_array()).flatten();
    let mut found: Vec<Value> = forms.flat_map(|form| starts(root, form, depth + 1)).collect();
    let first = schema.get("enum").and_then(|accepted| accepted.get(0));
    found.extend(schema.get("const").or(first).cloned());
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(kind)) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    found.extend(kinds.into_iter().filter_map(|kind| match kind {
        "integer" | "number" => Some(schema.get("minimum").cloned().unwrap_or_else(|| json!(1))),
        "string" => Some(json!("a")),
        "boolean" => Some(json!(true)),
        "array" => Some(json!([])),
        "object" => Some(json!({})),
        _ => None,
    }));
    found
}

/// Values that a keyword excludes, as near to `value` as may be.
fn beyond(keyword: &str, said: &Value, value: &Value) -> Vec<Value> {
    let count = said.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
    match (keyword, value) {
        ("type", _) => {
            [json!({"no": 1}), json!(["no"]), json!("no"), json!(true), json!(1.5)].into()
        }
        ("enum" | "const", Value::Number(_)) => vec![json!(7_777)],
        ("enum" | "const", Value::Bool(is)) => vec![json!(!is)],
        ("enum" | "const", _) => vec![json!("no-such-value")],
        ("minimum", Value::Number(_)) => vec![json!(-1), step(said, -1)],
        ("maximum", Value::Number(_)) => vec![step(said, 1)],
        ("exclusiveMinimum" | "exclusiveMaximum", Value::Number(_)) => vec![said.clone()],
        ("minLength", Value::String(text)) => {
            vec![json!(text.chars().take(count.saturating_sub(1)).collect::<String>())]
        }
        ("maxLength", Value::String(text)) if count <= 1 << 20 => {
            let base = if text.is_empty() { "a" } else { text };
            vec![json!(base.chars().cycle().take(count + 1).collect::<String>())]
        }
        ("pattern" | "format", Value::String(text)) => {
            let mut texts: Vec<Value> = ODD_TEXTS.iter().map(|text| json!(text)).collect();
            texts.push(json!(format!("{text}\u{1}")));
            texts.push(json!(format!("\u{1}{text}")));
            texts
        }
        ("minItems", Value::Array(items)) => {
            vec![items.iter().take(count.saturating_sub(1)).cloned().collect()]
        }
        ("maxItems", Value::Array(items)) if !items.is_empty() && count < 100_000 => {
            vec![items.iter().cycle().take(count + 1).cloned().collect()]
        }
        ("minProperties", Value::Object(members)) => {
            let fewer = members.iter().take(count.saturating_sub(1));
            vec![fewer.map(|(name, value)| (name.clone(), value.clone())).collect()]
        }
        ("maxProperties", Value::Object(members)) if !members.is_empty() && count < 10_000 => {
            let first = members.values().next().cloned().unwrap_or_default();
            let mut more = members.clone();
            more.extend((0..=count).map(|index| (format!("x{index}"), first.clone())));
            vec![Value::Object(more)]
        }
        _ => Vec::new(),
    }
}

/// A bound and one.
fn step(bound: &Value, by: i64) -> Value {
    match (bound.as_i64(), bound.as_f64()) {
        (Some(bound), _) if bound.checked_add(by).is_some() => json!(bound + by),
        (_, Some(bound)) => json!(bound + f64::from(i32::try_from(by).unwrap_or_default())),
        _ => json!(f64::MAX),
    }
}
