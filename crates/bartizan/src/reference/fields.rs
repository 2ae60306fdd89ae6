//! From a JSON Schema to the rows of a table that people read.

use std::fmt::Write;

use serde_json::{Map, Value};

/// Deepest nesting that is shown.
const DEPTH_MAX: usize = 6;

/// One field of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Its dotted path; items of a list are `[]`.
    pub(super) path: String,
    /// What it takes.
    pub(super) kind: String,
    /// Its default; `required` where it has none and must be given.
    pub(super) default: String,
    /// What it is for.
    pub(super) text: String,
}

/// The fields that a schema describes, parents before children.
pub(super) fn fields(schema: &Value) -> Vec<Field> {
    let mut fields = Vec::new();
    Walk { root: schema }.members(schema, "", 0, &mut fields);
    fields
}

struct Walk<'s> {
    root: &'s Value,
}

impl<'s> Walk<'s> {
    fn members(&self, schema: &'s Value, above: &str, depth: usize, fields: &mut Vec<Field>) {
        if depth > DEPTH_MAX {
            return;
        }
        let schema = self.resolve(schema);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        for (name, property) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            let path = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
            let default = match (property.get("default"), required.contains(&name.as_str())) {
                (Some(Value::Null) | None, false) => String::new(),
                (Some(Value::Null) | None, true) => "required".to_owned(),
                (Some(value), _) => format!("`{value}`"),
            };
            fields.push(Field {
                path: path.clone(),
                kind: self.kind(property, 0),
                default,
                text: self.text(property),
            });
            self.below(property, &path, depth, fields);
        }
        // Variants of a choice have their fields in their own forms.
        self.choices(schema, above, depth, fields);
    }

    /// The fields of each form that a value may have.
    fn choices(&self, schema: &'s Value, above: &str, depth: usize, fields: &mut Vec<Field>) {
        let start = fields.len();
        let mut count = 0;
        for form in forms(schema).filter(|form| self.resolve(form).get("properties").is_some()) {
            self.members(form, above, depth + 1, fields);
            count += 1;
        }
        if count < 2 {
            return;
        }
        // What one form requires the others do not have.
        for field in fields.iter_mut().skip(start) {
            let parent = field.path.rsplit_once('.').map_or("", |(parent, _)| parent);
            if parent == above && field.default == "required" {
                "one of these".clone_into(&mut field.default);
            }
        }
    }

    /// The fields inside of a value.
    fn below(&self, property: &'s Value, path: &str, depth: usize, fields: &mut Vec<Field>) {
        // The fields of another plugin stand on its own page.
        if depth > DEPTH_MAX || property.get("x-plugin").is_some() {
            return;
        }
        let schema = self.resolve(property);
        if let Some(items) = schema.get("items") {
            return self.below(items, &format!("{path}[]"), depth + 1, fields);
        }
        if schema.get("properties").is_some() {
            return self.members(schema, path, depth + 1, fields);
        }
        self.choices(schema, path, depth, fields);
        // A form may itself be a choice, or a list.
        let deeper = |form: &&Value| self.resolve(form).get("properties").is_none();
        for form in forms(schema).filter(deeper) {
            self.below(form, path, depth + 1, fields);
        }
    }

    /// Follows references inside the document.
    fn resolve(&self, schema: &'s Value) -> &'s Value {
        let mut schema = schema;
        for _ in 0..DEPTH_MAX {
            let target = schema
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|name| self.root.pointer(name.strip_prefix('#')?));
            match target {
                Some(target) => schema = target,
                None => break,
            }
        }
        schema
    }

    fn text(&self, schema: &Value) -> String {
        let own = |schema: &Value| schema.get("description").and_then(Value::as_str).map(one_line);
        let mut text = own(schema).unwrap_or_default();
        let resolved = resolve_in(self.root, schema);
        for form in forms(resolved) {
            if let (Some(name), Some(what)) = (form.get("const"), own(form)) {
                let name = plain(name);
                // Writing to a string cannot fail.
                let _ = write!(text, " `{name}`: {what}");
            }
        }
        text.trim().to_owned()
    }

    /// What a value may be, in a few words.
    fn kind(&self, schema: &Value, depth: usize) -> String {
        if depth > DEPTH_MAX {
            return "…".to_owned();
        }
        let schema = resolve_in(self.root, schema);
        if schema.get("x-secret").is_some() {
            return "secret".to_owned();
        }
        if let Some(value) = schema.get("const") {
            return format!("`{}`", plain(value));
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array) {
            let mut names: Vec<String> = Vec::new();
            for value in values {
                let name = format!("`{}`", plain(value));
                if !value.is_null() && !names.contains(&name) {
                    names.push(name);
                }
            }
            return names.join(", ");
        }
        let kinds: Vec<String> = unique(forms(schema).filter_map(|form| {
            let is_null = form.get("type").and_then(Value::as_str) == Some("null");
            (!is_null).then(|| self.kind(form, depth + 1))
        }));
        if !kinds.is_empty() {
            return unit(schema).map_or_else(|| kinds.join(" or "), str::to_owned);
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
            }
            _ => Vec::new(),
        };
        if types.is_empty() {
            return "anything".to_owned();
        }
        let kinds: Vec<String> =
            types.iter().map(|name| self.simple(name, schema, depth)).collect();
        kinds.join(" or ")
    }

    fn simple(&self, name: &str, schema: &Value, depth: usize) -> String {
        match name {
            "array" => match schema.get("items") {
                Some(items) => format!("list of {}", self.kind(items, depth + 1)),
                None => "list".to_owned(),
            },
            "object" => match schema.get("additionalProperties") {
                Some(Value::Object(of)) => {
                    format!("map to {}", self.kind(&Value::Object(of.clone()), depth + 1))
                }
                _ => "object".to_owned(),
            },
            "string" => format!("text{}", bounds(schema, "minLength", "maxLength")),
            "integer" => format!("integer{}", bounds(schema, "minimum", "maximum")),
            other => format!("{other}{}", bounds(schema, "minimum", "maximum")),
        }
    }
}

fn resolve_in<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    Walk { root }.resolve(schema)
}

/// The forms that a value may have.
fn forms(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf", "allOf"]
        .into_iter()
        .filter_map(|key| schema.get(key).and_then(Value::as_array))
        .flatten()
}

/// Sizes and durations are a number or a text with a unit.
fn unit(schema: &Value) -> Option<&'static str> {
    let pattern = forms(schema).find_map(|form| form.get("pattern").and_then(Value::as_str))?;
    match pattern {
        pattern if pattern.contains("KiB") => Some("size"),
        pattern if pattern.contains("ms|s") => Some("duration"),
        _ => None,
    }
}

fn bounds(schema: &Value, low: &str, high: &str) -> String {
    let shown = |key: &str| schema.get(key).filter(|value| value.as_i64() != Some(0));
    match (shown(low), shown(high)) {
        (None, None) => String::new(),
        (Some(low), None) => format!(" ≥ {low}"),
        (None, Some(high)) => format!(" ≤ {high}"),
        (Some(low), Some(high)) => format!(" {low} to {high}"),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn unique(kinds: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for kind in kinds {
        if !seen.contains(&kind) {
            seen.push(kind);
        }
    }
    seen
}

/// A text without line ends and without what would end a cell.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The rows as a table of Markdown.
pub(super) fn markdown(fields: &[Field]) -> String {
    if fields.is_empty() {
        return "It takes no fields.\n".to_owned();
    }
    let mut table = "| field | takes | default | what it is for |\n|---|---|---|---|\n".to_owned();
    for Field { path, kind, default, text } in fields {
        let kind = kind.replace('|', "\\|");
        let default = default.replace('|', "\\|");
        let _ = writeln!(table, "| `{path}` | {kind} | {default} | {text} |");
    }
    table
}

/// The fields of a schema that are answered specially.
pub(super) fn is_object(schema: &Value) -> bool {
    schema
        .get("properties")
        .and_then(Value::as_object)
        .is_some_and(|map: &Map<_, _>| !map.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(schema: &Value) -> Vec<(String, String, String)> {
        fields(schema).into_iter().map(|f| (f.path, f.kind, f.default)).collect()
    }

    fn row(path: &str, kind: &str, default: &str) -> (String, String, String) {
        (path.to_owned(), kind.to_owned(), default.to_owned())
    }

    #[test]
    fn nested_lists_and_references_become_dotted_paths() {
        let schema = json!({
            "properties": {
                "list": { "type": "array", "items": { "$ref": "#/$defs/Item" } },
                "name": { "type": ["string", "null"], "maxLength": 9 }
            },
            "required": ["list"],
            "$defs": { "Item": { "type": "object", "properties": {
                "on": { "type": "boolean", "default": false }
            } } }
        });
        let expected = [
            row("list", "list of object", "required"),
            row("list[].on", "boolean", "`false`"),
            row("name", "text ≤ 9", ""),
        ];
        assert_eq!(rows(&schema), expected);
    }

    #[test]
    fn choices_and_units_are_named() {
        let schema = json!({ "properties": {
            "mode": { "oneOf": [
                { "const": "a", "description": "The first." },
                { "const": "b", "description": "The\nsecond." }
            ], "description": "Which." },
            "size": { "anyOf": [
                { "type": "integer", "minimum": 0 },
                { "type": "string", "pattern": "^\\d+(B|KiB|MiB|GiB)?$" }
            ] }
        } });
        let fields = fields(&schema);
        assert_eq!(fields[0].kind, "`a` or `b`");
        assert_eq!(fields[0].text, "Which. `a`: The first. `b`: The second.");
        assert_eq!(fields[1].kind, "size");
    }

    #[test]
    fn a_schema_that_holds_itself_ends() {
        let schema = json!({
            "properties": { "in": { "$ref": "#" } },
        });
        assert!(fields(&schema).len() < 20);
    }
}
