//! What kind of value a schema describes, as far as text has to be read as one.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Deepest that a schema is followed for its shape; deeper values are read as text.
const DEPTH_MAX: usize = 8;

/// Most schemas that are looked at for one shape.
const STEPS_MAX: usize = 2_000;

/// A set of kinds of values. Null has no text and is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    pub(super) const FLAG: Self = Self(1);
    pub(super) const NUMBER: Self = Self(2);
    pub(super) const TEXT: Self = Self(4);
    pub(super) const LIST: Self = Self(8);
    pub(super) const MAP: Self = Self(16);

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// More than one kind, so that a text may be read in more than one way.
    pub(super) fn is_mixed(self) -> bool {
        self.0.count_ones() > 1
    }

    /// True if some kind is a single value.
    pub(super) fn has_scalar(self) -> bool {
        self.0 & (Self::FLAG.0 | Self::NUMBER.0 | Self::TEXT.0) != 0
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn named(name: &str) -> Self {
        match name {
            "boolean" => Self::FLAG,
            "integer" | "number" => Self::NUMBER,
            "string" => Self::TEXT,
            "array" => Self::LIST,
            "object" => Self::MAP,
            _ => Self(0),
        }
    }

    fn of_value(value: &Value) -> Self {
        match value {
            Value::Null => Self(0),
            Value::Bool(_) => Self::FLAG,
            Value::Number(_) => Self::NUMBER,
            Value::String(_) => Self::TEXT,
            Value::Array(_) => Self::LIST,
            Value::Object(_) => Self::MAP,
        }
    }
}

/// The shape of the values that a schema describes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    /// What it can be.
    pub(super) kinds: Kinds,
    /// The items, where it can be a list.
    pub(super) items: Option<Arc<Shape>>,
    /// The properties that it names, where it can be a map.
    pub(super) properties: Vec<(Box<str>, Arc<Shape>)>,
    /// The other properties, where it says that there may be some and what they are.
    pub(super) additional: Option<Arc<Shape>>,
    /// True where everything is accepted, as a part of a form that is a file.
    pub(super) is_open: bool,
}

impl Shape {
    /// The shape of a schema; `definitions` are what its references lead to.
    pub(super) fn of(schema: &Value, definitions: &[Value]) -> Self {
        Gatherer { definitions, steps: 0 }.shape(schema, 0)
    }

    /// Text and nothing else.
    pub(super) fn text() -> Arc<Self> {
        Arc::new(Self { kinds: Kinds::TEXT, ..Self::default() })
    }

    /// The shape of a property.
    pub(super) fn property(&self, name: &str) -> Option<&Arc<Self>> {
        let named = self.properties.iter().find(|(known, _)| **known == *name);
        named.map(|(_, shape)| shape).or(self.additional.as_ref())
    }
}

/// What several schemas that apply together say.
#[derive(Default)]
struct Gathered {
    kinds: Option<Kinds>,
    items: Option<Arc<Shape>>,
    properties: Vec<(Box<str>, Arc<Shape>)>,
    additional: Option<Arc<Shape>>,
}

impl Gathered {
    /// The kinds that are stated, or those that the other keywords are about.
    fn kinds(&self) -> Kinds {
        self.kinds.unwrap_or(if !self.properties.is_empty() || self.additional.is_some() {
            Kinds::MAP
        } else if self.items.is_some() {
            Kinds::LIST
        } else {
            Kinds::TEXT
        })
    }

    fn narrow(&mut self, kinds: Kinds) {
        self.kinds = Some(self.kinds.map_or(kinds, |known| known.and(kinds)));
    }

    /// Takes in what another schema says of items and properties.
    fn absorb(&mut self, other: Self) {
        self.items = self.items.take().or(other.items);
        self.additional = self.additional.take().or(other.additional);
        for (name, shape) in other.properties {
            if !self.properties.iter().any(|(known, _)| *known == name) {
                self.properties.push((name, shape));
            }
        }
    }
}

struct Gatherer<'v> {
    definitions: &'v [Value],
    steps: usize,
}

impl<'v> Gatherer<'v> {
    fn shape(&mut self, schema: &'v Value, depth: usize) -> Shape {
        let gathered = self.gather(schema, depth);
        let kinds = gathered.kinds();
        let Gathered { items, properties, additional, .. } = gathered;
        let is_open = matches!(schema, Value::Bool(true));
        Shape { kinds, items, properties, additional, is_open }
    }

    fn gather(&mut self, schema: &'v Value, depth: usize) -> Gathered {
        let mut all = Gathered::default();
        self.steps += 1;
        let Value::Object(schema) = schema else { return all };
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return all;
        }
        all.kinds = stated(schema);
        if let Some(target) = self.target(schema) {
            let there = self.gather(target, depth + 1);
            if let Some(kinds) = there.kinds {
                all.narrow(kinds);
            }
            all.absorb(there);
        }
        self.members(schema, depth, &mut all);
        for branch in branches(schema, "allOf") {
            let there = self.gather(branch, depth + 1);
            if let Some(kinds) = there.kinds {
                all.narrow(kinds);
            }
            all.absorb(there);
        }
        for keyword in ["anyOf", "oneOf"] {
            let (mut union, mut count) = (Kinds::default(), 0);
            for branch in branches(schema, keyword) {
                let there = self.gather(branch, depth + 1);
                union = union.or(there.kinds());
                all.absorb(there);
                count += 1;
            }
            if count > 0 {
                all.narrow(union);
            }
        }
        if let Some(then) = schema.get("then") {
            let there = self.gather(then, depth + 1);
            all.absorb(there);
        }
        all
    }

    /// Items and properties that a schema itself names.
    fn members(&mut self, schema: &'v Map<String, Value>, depth: usize, all: &mut Gathered) {
        if let Some(items) = schema.get("items") {
            all.items = Some(Arc::new(self.shape(items, depth + 1)));
        }
        if let Some(Value::Object(properties)) = schema.get("properties") {
            for (name, property) in properties {
                let shape = Arc::new(self.shape(property, depth + 1));
                all.properties.push((name.as_str().into(), shape));
            }
        }
        if let Some(additional) = schema.get("additionalProperties")
            && *additional != Value::Bool(false)
        {
            all.additional = Some(Arc::new(self.shape(additional, depth + 1)));
        }
    }

    fn target(&self, schema: &Map<String, Value>) -> Option<&'v Value> {
        let reference = schema.get("$ref")?.as_str()?;
        let index: usize = reference.strip_prefix(super::compile::DEFINITION)?.parse().ok()?;
        self.definitions.get(index)
    }
}

fn branches<'v>(schema: &'v Map<String, Value>, keyword: &str) -> &'v [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The kinds that `type`, `enum` and `const` leave; `None` where there is none of them.
fn stated(schema: &Map<String, Value>) -> Option<Kinds> {
    let union = |list: &[Value], kind: fn(&Value) -> Kinds| {
        list.iter().map(kind).fold(Kinds::default(), Kinds::or)
    };
    let named = |value: &Value| value.as_str().map_or(Kinds::default(), Kinds::named);
    let by_type = match schema.get("type") {
        Some(Value::String(name)) => Some(Kinds::named(name)),
        Some(Value::Array(names)) => Some(union(names, named)),
        _ => None,
    };
    let by_value = match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(Kinds::of_value(value)),
        (None, Some(Value::Array(values))) => Some(union(values, Kinds::of_value)),
        _ => None,
    };
    match (by_type, by_value) {
        (Some(by_type), Some(by_value)) => Some(by_type.and(by_value)),
        (by_type, by_value) => by_type.or(by_value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn kinds(schema: &Value) -> Kinds {
        let definitions = [json!({"type": "integer"}), json!({"allOf": [{"$ref": "#/$defs/1"}]})];
        Shape::of(schema, &definitions).kinds
    }

    #[test]
    fn kinds_are_what_all_schemas_leave() {
        for (schema, expected) in [
            (json!({"type": "integer"}), Kinds::NUMBER),
            (json!({"type": ["string", "null"]}), Kinds::TEXT),
            (json!({"$ref": "#/$defs/0"}), Kinds::NUMBER),
            (json!({"enum": [1, 2]}), Kinds::NUMBER),
            (
                json!({"anyOf": [{"type": "string"}, {"type": "boolean"}]}),
                Kinds::TEXT.or(Kinds::FLAG),
            ),
            (
                json!({"anyOf": [{"type": "boolean"}, {"minLength": 2}]}),
                Kinds::TEXT.or(Kinds::FLAG),
            ),
            (
                json!({"type": "string", "oneOf": [{"type": "string"}, {"type": "null"}]}),
                Kinds::TEXT,
            ),
            (json!({"properties": {"a": {}}}), Kinds::MAP),
            (json!({"items": {}}), Kinds::LIST),
            (json!({}), Kinds::TEXT),
            (json!(true), Kinds::TEXT),
        ] {
            assert_eq!(kinds(&schema), expected, "{schema}");
        }
    }

    #[test]
    fn properties_of_all_branches_are_known() {
        let shape = Shape::of(
            &json!({
                "allOf": [{"properties": {"a": {"type": "array", "items": {"type": "number"}}}}],
                "oneOf": [{"properties": {"b": {"type": "boolean"}}}, {"properties": {"c": {}}}],
                "additionalProperties": {"type": "integer"},
            }),
            &[],
        );
        let names: Vec<&str> = shape.properties.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(shape.property("a").unwrap().items.as_ref().unwrap().kinds, Kinds::NUMBER);
        assert_eq!(shape.property("other").unwrap().kinds, Kinds::NUMBER);
    }

    #[test]
    fn a_schema_that_leads_to_itself_has_a_shape() {
        assert_eq!(kinds(&json!({"$ref": "#/$defs/1"})), Kinds::TEXT);
    }
}
