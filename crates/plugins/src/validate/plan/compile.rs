//! From a schema to a plan.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use jsonschema::{Draft, Validator};
use serde_json::{Map, Value, json};

use super::names::Names;
use super::node::{Additional, ListRule, Node, ObjectRule};
use super::node::{Format, Member, Multiple, NodeId, NumberRule, Others, TextRule, Types, Values};
use super::number::Number;
use super::pattern::Pattern;

/// Most schemas of one plan.
const NODES_MAX: usize = 65_536;
/// Deepest nesting of schemas.
const DEPTH_MAX: u32 = 64;
/// Texts of an `enum` that are compared one by one.
const FEW_TEXTS: usize = 8;

/// Keywords that say nothing of a value.
const SILENT: [&str; 10] = [
    "$comment",
    "$defs",
    "default",
    "definitions",
    "deprecated",
    "description",
    "example",
    "examples",
    "title",
    "writeOnly",
];

/// Keywords that are read with another one, which stands in the same schema.
const READ_WITH_OTHERS: [&str; 18] = [
    "additionalProperties",
    "else",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "pattern",
    "properties",
    "then",
];

/// The dialects whose `$schema` is known.
const DIALECTS: [&str; 5] = [
    "json-schema.org/draft-04/schema",
    "json-schema.org/draft-06/schema",
    "json-schema.org/draft-07/schema",
    "json-schema.org/draft/2019-09/schema",
    "json-schema.org/draft/2020-12/schema",
];

/// Formats whose values have no characters but letters, digits and `-`, `:`, `.`, `+`.
const HARMLESS_FORMATS: [&str; 5] = ["date", "date-time", "ipv4", "ipv6", "uuid"];
/// What no such format can have.
const PROBE: &str = "1' or <b>\"";

/// How the schema is read elsewhere, which is how it is read here.
pub(crate) struct Dialect<'o> {
    /// The draft where `$schema` names none; the validator's own.
    pub(crate) draft: Draft,
    /// Whether a value that has `readOnly: true` is refused.
    pub(crate) refuses_read_only: bool,
    /// Makes the validator of a schema, or of a part of one.
    pub(crate) build: &'o dyn Fn(&Value) -> Option<Validator>,
}

/// Turns schemas of one root into nodes.
pub(super) struct Compiler<'s, 'o> {
    root: &'s Value,
    dialect: Dialect<'o>,
    nodes: Vec<Node>,
    /// The schemas that references lead to.
    targets: HashMap<String, NodeId>,
    /// Those of them that are still to be read, their places, and whether each is the root. Read
    /// one after the other, none is nested in another one, however long a chain they are.
    waiting: Vec<(NodeId, &'s Value, bool)>,
    depth: u32,
}

/// A schema has something that is not known here.
struct Unknown;

impl<'s, 'o> Compiler<'s, 'o> {
    /// Reads schemas of `root`, whose references lead to places in it.
    pub(super) fn new(root: &'s Value, dialect: Dialect<'o>) -> Self {
        let (nodes, targets, waiting) = Default::default();
        Self { root, dialect, nodes, targets, waiting, depth: 0 }
    }

    /// The node of the schema that a reference such as `#` leads to; `None` where nothing is known
    /// of it.
    pub(super) fn entry(&mut self, reference: &str) -> Option<NodeId> {
        if self.dialect.draft == Draft::Unknown {
            return None;
        }
        let id = self.target(reference).ok()?;
        while let Some((id, schema, is_root)) = self.waiting.pop() {
            let node = self.node(schema, is_root);
            if let Some(place) = self.nodes.get_mut(id) {
                *place = node;
            }
        }
        self.nodes.get(id).is_some_and(|node| !node.is_unknown()).then_some(id)
    }

    /// The nodes so far.
    pub(super) fn into_nodes(self) -> Arc<[Node]> {
        self.nodes.into()
    }

    /// The node of the schema that a reference leads to, which may still have to be read.
    fn target(&mut self, reference: &str) -> Result<NodeId, Unknown> {
        if let Some(id) = self.targets.get(reference) {
            return Ok(*id);
        }
        let schema = resolve(self.root, reference).ok_or(Unknown)?;
        let id = self.push(Node::unknown())?;
        self.targets.insert(reference.to_owned(), id);
        self.waiting.push((id, schema, reference == "#"));
        Ok(id)
    }

    fn push(&mut self, node: Node) -> Result<NodeId, Unknown> {
        let id = self.nodes.len();
        if id >= NODES_MAX {
            return Err(Unknown);
        }
        self.nodes.push(node);
        Ok(id)
    }

    /// The node of a schema inside another one.
    fn inner(&mut self, schema: &Value) -> Result<NodeId, Unknown> {
        if self.depth >= DEPTH_MAX {
            return Err(Unknown);
        }
        self.depth += 1;
        let node = self.node(schema, false);
        self.depth -= 1;
        self.push(node)
    }

    fn list(&mut self, schemas: &Value) -> Result<Box<[NodeId]>, Unknown> {
        schemas.as_array().ok_or(Unknown)?.iter().map(|schema| self.inner(schema)).collect()
    }

    fn optional(&mut self, schema: Option<&Value>) -> Result<Option<NodeId>, Unknown> {
        schema.map(|schema| self.inner(schema)).transpose()
    }

    /// Whatever a schema is: what is not known here is asked of a validator of its own, unless it
    /// refers to other places. Then the whole value is left to the validator of the whole schema.
    fn node(&mut self, schema: &Value, is_root: bool) -> Node {
        let members = match schema {
            Value::Bool(true) => return Node::open(),
            Value::Bool(false) => return Node::shut(),
            other => other.as_object(),
        };
        if let Some(members) = members
            && let Ok(node) = self.known(members, is_root)
        {
            return node;
        }
        if is_root || !stands_alone(schema) {
            return Node::unknown();
        }
        match (self.dialect.build)(schema) {
            Some(validator) => {
                Node { others: [Others::Foreign(Box::new(validator))].into(), ..Node::open() }
            }
            None => Node::unknown(),
        }
    }

    fn known(&mut self, schema: &Map<String, Value>, is_root: bool) -> Result<Node, Unknown> {
        let draft = self.dialect.draft;
        let is_old = matches!(draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7);
        if let Some(to) = schema.get("$ref").filter(|_| is_old) {
            // Until draft 7 a reference stands for the whole schema.
            let id = self.target(to.as_str().ok_or(Unknown)?)?;
            return Ok(Node { others: [Others::All([id].into())].into(), ..Node::open() });
        }
        let mut node = Node { floats_may_be_integers: draft != Draft::Draft4, ..Node::open() };
        let (mut values, mut others) = (Vec::new(), Vec::new());
        for (keyword, said) in schema {
            match keyword.as_str() {
                "type" => node.types = types(said)?,
                "enum" => {
                    let list = said.as_array().ok_or(Unknown)?;
                    values.push(self.values(list, keyword, said)?);
                }
                "const" if draft != Draft::Draft4 => {
                    values.push(self.values(std::slice::from_ref(said), keyword, said)?);
                }
                "allOf" => others.push(Others::All(self.list(said)?)),
                "anyOf" => others.push(Others::Any(self.list(said)?)),
                "oneOf" => others.push(Others::One(self.list(said)?)),
                "not" => others.push(Others::Not(self.inner(said)?)),
                "if" if !matches!(draft, Draft::Draft4 | Draft::Draft6) => {
                    let then = self.optional(schema.get("then"))?;
                    let or = self.optional(schema.get("else"))?;
                    others.push(Others::If(self.inner(said)?, then, or));
                }
                "$ref" if !is_old => {
                    let id = self.target(said.as_str().ok_or(Unknown)?)?;
                    others.push(Others::All([id].into()));
                }
                "readOnly" => {
                    if self.dialect.refuses_read_only && *said == Value::Bool(true) {
                        others.push(Others::All([self.push(Node::shut())?].into()));
                    }
                }
                "uniqueItems" | "required" => {}
                "$schema" if is_root && is_known_dialect(said) => {}
                "$id" if is_root && said.as_str().is_some_and(|id| !id.contains('#')) => {}
                other if SILENT.contains(&other) || other.starts_with("x-") => {}
                other if READ_WITH_OTHERS.contains(&other) => {}
                _ => return Err(Unknown),
            }
        }
        node.text = self.text(schema)?.map(Box::new);
        node.number = self.number(schema)?.map(Box::new);
        node.list = self.items(schema)?.map(Box::new);
        node.object = self.object(schema)?.map(Box::new);
        (node.values, node.others) = (values.into(), others.into());
        Ok(node)
    }

    /// The validator of one keyword.
    fn alone(&self, keyword: &str, said: &Value) -> Result<Validator, Unknown> {
        (self.dialect.build)(&json!({ keyword: said })).ok_or(Unknown)
    }

    fn text(&self, schema: &Map<String, Value>) -> Result<Option<TextRule>, Unknown> {
        let (least, most) = sizes(schema, "minLength", "maxLength")?;
        let pattern = schema.get("pattern").map(|said| {
            let validator = self.alone("pattern", said)?;
            Ok(Pattern::new(said.as_str().ok_or(Unknown)?, validator))
        });
        let format = schema.get("format").map(|said| {
            let validator = self.alone("format", said)?;
            let name = said.as_str().ok_or(Unknown)?;
            let is_harmless =
                HARMLESS_FORMATS.contains(&name) && !validator.is_valid(&json!(PROBE));
            Ok(Format { validator, is_harmless })
        });
        let rule =
            TextRule { least, most, pattern: pattern.transpose()?, format: format.transpose()? };
        let is_idle = least == 0 && most == u64::MAX && rule.pattern.is_none();
        Ok((!is_idle || rule.format.is_some()).then_some(rule))
    }

    fn number(&self, schema: &Map<String, Value>) -> Result<Option<NumberRule>, Unknown> {
        let multiple_of = schema.get("multipleOf").map(|said| {
            let validator = self.alone("multipleOf", said)?;
            let integer = match Number::of(said) {
                Some(Number::Integer(integer)) if (1..1 << 53).contains(&integer) => Some(integer),
                _ => None,
            };
            Ok(Multiple { integer, validator })
        });
        let is_draft_4 = self.dialect.draft == Draft::Draft4;
        let mut bounds = Vec::new();
        for (keyword, exclusive, order) in [
            ("minimum", "exclusiveMinimum", Ordering::Greater),
            ("maximum", "exclusiveMaximum", Ordering::Less),
        ] {
            // In draft 4 the other keyword is a flag.
            let is_flagged = is_draft_4 && schema.get(exclusive) == Some(&Value::Bool(true));
            let or = if is_flagged { order } else { Ordering::Equal };
            if let Some(said) = schema.get(keyword) {
                bounds.push((Number::of(said).ok_or(Unknown)?, [order, or]));
            }
            if let Some(said) = schema.get(exclusive).filter(|_| !is_draft_4) {
                bounds.push((Number::of(said).ok_or(Unknown)?, [order; 2]));
            }
        }
        let rule = NumberRule { bounds: bounds.into(), multiple_of: multiple_of.transpose()? };
        let is_idle = rule.bounds.is_empty() && rule.multiple_of.is_none();
        Ok((!is_idle).then_some(rule))
    }

    fn items(&mut self, schema: &Map<String, Value>) -> Result<Option<ListRule>, Unknown> {
        let (least, most) = sizes(schema, "minItems", "maxItems")?;
        let items = match schema.get("items") {
            Some(said @ (Value::Object(_) | Value::Bool(_))) => Some(self.inner(said)?),
            // A list of schemas is for the items in order.
            Some(_) => return Err(Unknown),
            None => None,
        };
        let unique = match schema.get("uniqueItems") {
            Some(said @ Value::Bool(true)) => Some(self.alone("uniqueItems", said)?),
            _ => None,
        };
        let is_idle = least == 0 && most == u64::MAX && items.is_none() && unique.is_none();
        Ok((!is_idle).then_some(ListRule { least, most, items, unique }))
    }

    fn object(&mut self, schema: &Map<String, Value>) -> Result<Option<ObjectRule>, Unknown> {
        let (least, most) = sizes(schema, "minProperties", "maxProperties")?;
        let empty = Map::new();
        let named = match schema.get("properties") {
            Some(said) => said.as_object().ok_or(Unknown)?,
            None => &empty,
        };
        let (mut names, mut members) = (Vec::new(), Vec::new());
        let mut places = HashMap::new();
        for (name, said) in named {
            places.insert(name.as_str(), names.len());
            names.push(name.as_str());
            let node = Some(self.inner(said)?);
            members.push(Member { node, is_named: true, is_required: false });
        }
        let required: &[Value] = match schema.get("required") {
            Some(said) => said.as_array().ok_or(Unknown)?,
            None => &[],
        };
        for name in required {
            let name = name.as_str().ok_or(Unknown)?;
            let index = *places.entry(name).or_insert_with(|| {
                names.push(name);
                members.push(Member::default());
                names.len() - 1
            });
            if let Some(member) = members.get_mut(index) {
                member.is_required = true;
            }
        }
        let additional = match schema.get("additionalProperties") {
            None | Some(Value::Bool(true)) => Additional::Any,
            Some(Value::Bool(false)) => Additional::None,
            Some(said) => Additional::Schema(self.inner(said)?),
        };
        let is_idle =
            least == 0 && most == u64::MAX && names.is_empty() && additional == Additional::Any;
        let required = members.iter().filter(|member| member.is_required).count();
        let names = Names::new(&names).ok_or(Unknown)?;
        let members = members.into();
        let rule = ObjectRule { least, most, names, members, required, additional };
        Ok((!is_idle).then_some(rule))
    }

    fn values(&self, list: &[Value], keyword: &str, said: &Value) -> Result<Values, Unknown> {
        let is_simple = |value: &Value| value.is_string() || value.is_boolean() || value.is_null();
        let validator =
            if list.iter().all(is_simple) { None } else { Some(self.alone(keyword, said)?) };
        let words = list.iter().filter_map(|value| match value {
            Value::Null => Some(&b"null"[..]),
            Value::Bool(true) => Some(b"true"),
            Value::Bool(false) => Some(b"false"),
            _ => None,
        });
        let mut values = Values {
            words: words.collect(),
            integers: Box::default(),
            texts: list.iter().filter_map(Value::as_str).map(Box::from).collect(),
            few_texts: Box::default(),
            has_others: false,
            validator,
        };
        if values.texts.len() <= FEW_TEXTS {
            values.few_texts = values.texts.drain().collect();
        }
        let numbers = list.iter().filter_map(Number::of);
        values.integers = numbers
            .filter_map(|number| match number {
                Number::Integer(integer) => Some(integer),
                Number::Float(_) => None,
            })
            .collect();
        values.integers.sort_unstable();
        values.has_others = list.iter().any(|value| {
            value.is_array() || value.is_object() || (value.is_number() && value.is_f64())
        });
        Ok(values)
    }
}

fn types(said: &Value) -> Result<Types, Unknown> {
    let named = |name: &Value| name.as_str().and_then(Types::named).ok_or(Unknown);
    match said {
        Value::Array(names) => {
            names.iter().try_fold(0, |bits, name| Ok(bits | named(name)?)).map(Types)
        }
        name => named(name).map(Types),
    }
}

fn sizes(schema: &Map<String, Value>, least: &str, most: &str) -> Result<(u64, u64), Unknown> {
    let size = |keyword: &str, otherwise: u64| {
        schema.get(keyword).map_or(Ok(otherwise), |said| said.as_u64().ok_or(Unknown))
    };
    Ok((size(least, 0)?, size(most, u64::MAX)?))
}

fn is_known_dialect(said: &Value) -> bool {
    let name = said.as_str().unwrap_or_default().trim_end_matches('#');
    let name = name.strip_prefix("http://").or_else(|| name.strip_prefix("https://"));
    name.is_some_and(|name| DIALECTS.contains(&name))
}

/// True if a schema means the same wherever it stands: nothing in it leads to another place or is
/// a place itself. Such words may also be names of members; then it is only judged elsewhere.
fn stands_alone(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => members.iter().all(|(name, value)| {
            !(name.starts_with('$') || name == "id" && value.is_string()) && stands_alone(value)
        }),
        Value::Array(items) => items.iter().all(stands_alone),
        _ => true,
    }
}

/// The schema that a reference leads to; `None` where it goes through a schema with a base of its
/// own, or is not a plain pointer.
fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let pointer = reference.strip_prefix('#')?;
    if pointer.is_empty() {
        return Some(root);
    }
    if pointer.contains('%') {
        return None;
    }
    let mut value = root;
    for part in pointer.strip_prefix('/')?.split('/') {
        let name = part.replace("~1", "/").replace("~0", "~");
        value = match value {
            Value::Object(members) => members.get(&name)?,
            // A place in a list is no index if it has a leading zero.
            Value::Array(items) => {
                let is_index = name == "0" || !name.starts_with(['0', '+']);
                items.get(name.parse::<usize>().ok().filter(|_| is_index)?)?
            }
            _ => return None,
        };
        let has_base = |key: &str| value.get(key).is_some_and(Value::is_string);
        if has_base("$id") || has_base("id") {
            return None;
        }
    }
    Some(value)
}
