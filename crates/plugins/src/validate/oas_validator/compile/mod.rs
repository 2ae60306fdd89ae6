//! From a description to what requests are held against.

mod bodies;
mod keywords;
mod parameters;
mod patterns;
mod translate;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bartizan_config::Node;
use serde_json::{Map, Value, json};

use super::body::{Body, Entry, FormFields, PartField};
use super::check::{Schemas, Slot};
use super::operation::{Api, Operation};
use super::parameter::{Content, Parameter};
use super::paths::{PathFault, Paths};
use super::shape::{Kinds, Shape};
use super::style::Style;
use crate::openapi::{
    DocumentFault, Documents, PathItem, SchemeKind, base_paths, path_items, shown, upper,
};
use parameters::Location;
use translate::{Rules, Translated, Translator};

/// What references to definitions begin with.
pub(super) const DEFINITION: &str = "#/$defs/";

/// What to do about a pattern that is refused.
const PATTERN_HELP: &str = "patterns are matched in linear time, so that there is no look-around \
                            and no back-reference; change it, or leave such patterns out with \
                            `danger_skip_unsupported_patterns: true`";

/// What decides how a description is compiled.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// What paths begin with; `None` where the servers of the description say.
    pub(super) base_path: Option<String>,
    pub(super) rejects_read_only: bool,
    pub(super) skips_patterns: bool,
}

/// An operation as it is written.
struct Draft<'d> {
    label: String,
    names: Vec<String>,
    item: &'d Node,
    parameters: Vec<parameters::Draft>,
    body: Option<bodies::Draft<'d>>,
}

/// Compiles a description.
pub(super) fn compile(documents: &Documents, options: &Options) -> Result<Api, DocumentFault> {
    let rules = Rules {
        rejects_read_only: options.rejects_read_only,
        skips_patterns: options.skips_patterns,
    };
    let mut translator = Translator::new(documents, rules);
    let (mut paths, mut drafts) = (Paths::new(), Vec::new());
    let common = match &options.base_path {
        Some(base) => vec![base.clone()],
        None => base_paths(documents, documents.root())?.unwrap_or_else(|| vec![String::new()]),
    };
    for item in path_items(documents)? {
        for (method, operation) in &item.operations {
            let own = match &options.base_path {
                Some(_) => None,
                None => item.bases(documents, operation)?,
            };
            let bases = own.as_ref().unwrap_or(&common);
            let names = add(documents, &mut paths, &item, method, bases, drafts.len())?;
            drafts.push(Draft {
                label: format!("{} {}", upper(method), item.template),
                names,
                item: operation,
                parameters: parameters::all(documents, &mut translator, item.item, operation)?,
                body: bodies::read(documents, &mut translator, operation)?,
            });
        }
    }
    let Translated { definitions, origins } = translator.finish()?;
    let mut builder = Builder {
        documents,
        definitions: &definitions,
        shapes: HashMap::new(),
        slots: Map::new(),
        own: HashMap::new(),
    };
    let operations = builder.operations(&drafts)?;
    let entries = drafts.iter().filter_map(|draft| draft.body.as_ref()).flat_map(|b| &b.entries);
    let json = entries.filter(|entry| entry.media.may_be_json());
    let bodies = json.filter_map(|entry| entry.definition).collect();
    let slots = Value::Object(builder.slots);
    let schemas = schemas(documents, slots, definitions, &bodies, &origins)?;
    Ok(Api { paths, operations, schemas, query_credentials: query_credentials(documents)? })
}

/// Adds the paths of an operation; gives back the names of their parameters.
fn add(
    documents: &Documents,
    paths: &mut Paths,
    item: &PathItem<'_>,
    method: &str,
    bases: &[String],
    index: usize,
) -> Result<Vec<String>, DocumentFault> {
    let mut names = Vec::new();
    for base in bases {
        let path = format!("{base}{}", item.template);
        names = paths.add(&path, upper(method), index).map_err(|fault| {
            let template = shown(item.template);
            let problem = match fault {
                PathFault::Brace => format!("the braces of `{template}` do not belong together"),
                PathFault::Nameless => format!("a parameter of `{template}` has no name"),
                PathFault::Adjacent => {
                    format!("nothing stands between two parameters of `{template}`")
                }
                PathFault::Taken => {
                    format!("`{template}` matches the same as another path with this method")
                }
            };
            documents.fault(item.item, problem)
        })?;
    }
    Ok(names)
}

/// Compiles all schemas; a fault is told where it stands in the description.
fn schemas(
    documents: &Documents,
    slots: Value,
    definitions: Vec<Value>,
    bodies: &BTreeSet<usize>,
    origins: &[&Node],
) -> Result<Schemas, DocumentFault> {
    let named: Map<String, Value> = definitions
        .into_iter()
        .enumerate()
        .map(|(index, schema)| (index.to_string(), schema))
        .collect();
    let root = Value::Object(Map::from_iter([
        ("properties".to_owned(), slots),
        ("$defs".to_owned(), Value::Object(named)),
    ]));
    Schemas::compile(&root, bodies).map_err(|error| {
        let path = error.instance_path().as_str().to_owned();
        let mut steps = path.strip_prefix("/$defs/").unwrap_or_default().split('/');
        let origin = steps.next().and_then(|index| index.parse::<usize>().ok());
        let mut at = origin.and_then(|index| origins.get(index)).copied();
        for step in steps {
            let name = step.replace("~1", "/").replace("~0", "~");
            let next = at.and_then(|node| {
                let item = name.parse::<usize>().ok().and_then(|index| node.items().get(index));
                item.or_else(|| node.get(&name))
            });
            let Some(next) = next else { break };
            at = Some(next);
        }
        let text = error.to_string();
        let fault = documents.fault(at.unwrap_or(documents.root()), shown(&text));
        if text.ends_with("is not a \"regex\"") { fault.with_help(PATTERN_HELP) } else { fault }
    })
}

fn query_credentials(documents: &Documents) -> Result<Box<[Box<str>]>, DocumentFault> {
    let schemes = crate::openapi::schemes(documents)?;
    let names = schemes.into_values().filter_map(|scheme| match scheme.kind {
        SchemeKind::ApiKey { place, name } if place == "query" => Some(name.into()),
        _ => None,
    });
    Ok(names.collect())
}

/// Makes operations of drafts, once all schemas are translated.
struct Builder<'b> {
    documents: &'b Documents,
    definitions: &'b [Value],
    shapes: HashMap<usize, Arc<Shape>>,
    /// The schemas that the validator can be asked for, by slot.
    slots: Map<String, Value>,
    /// Slots of single schemas, by their reference.
    own: HashMap<String, Slot>,
}

impl Builder<'_> {
    fn operations(&mut self, drafts: &[Draft<'_>]) -> Result<Vec<Operation>, DocumentFault> {
        drafts.iter().map(|draft| self.operation(draft)).collect()
    }

    fn operation(&mut self, draft: &Draft<'_>) -> Result<Operation, DocumentFault> {
        let mut parts = Map::new();
        let mut parameters = |location, part: &str, this: &mut Self| {
            let own = draft.parameters.iter().filter(|p| p.location == location);
            let own: Vec<&parameters::Draft> = own.collect();
            if let Some(schema) = part_schema(&own) {
                parts.insert(part.to_owned(), schema);
            }
            own.iter().map(|draft| this.parameter(draft)).collect::<Box<[Parameter]>>()
        };
        let path = parameters(Location::Path, "path", self);
        let query = parameters(Location::Query, "query", self);
        let headers = parameters(Location::Header, "header", self);
        let cookies = parameters(Location::Cookie, "cookie", self);
        let places = draft.names.iter().map(|name| {
            path.iter().position(|parameter| *parameter.name == **name).ok_or_else(|| {
                let problem =
                    format!("the path has `{{{}}}`, which no parameter describes", shown(name));
                self.documents.fault(draft.item, problem)
            })
        });
        let places = places.collect::<Result<Box<[usize]>, _>>()?;
        let body = draft.body.as_ref().map(|body| self.body(body, &mut parts)).transpose()?;
        Ok(Operation {
            label: shown(&draft.label).into(),
            slot: self.slot(json!({ "properties": parts })),
            places,
            path,
            query,
            headers,
            cookies,
            body,
        })
    }

    fn slot(&mut self, schema: Value) -> Slot {
        let slot = Slot::new(self.slots.len());
        self.slots.insert(slot.name().to_owned(), schema);
        slot
    }

    /// The slot of a schema by itself.
    fn own_slot(&mut self, reference: String) -> Slot {
        if let Some(slot) = self.own.get(&reference) {
            return slot.clone();
        }
        let slot = self.slot(json!({ "$ref": reference }));
        self.own.insert(reference, slot.clone());
        slot
    }

    fn shape(&mut self, definition: Option<usize>) -> Arc<Shape> {
        let Some(index) = definition else { return Shape::text() };
        let definitions = self.definitions;
        let of = || definitions.get(index).map(|schema| Shape::of(schema, definitions));
        self.shapes.entry(index).or_insert_with(|| Arc::new(of().unwrap_or_default())).clone()
    }

    fn parameter(&mut self, draft: &parameters::Draft) -> Parameter {
        let shape = self.shape(draft.definition);
        let slot = draft
            .definition
            .filter(|_| draft.content.is_none() && needs_slot(&shape))
            .map(|index| self.own_slot(format!("{DEFINITION}{index}")));
        Parameter {
            name: draft.name.as_str().into(),
            style: draft.style,
            explodes: draft.explodes,
            content: draft.content,
            allows_empty: draft.allows_empty,
            shape,
            slot,
        }
    }

    fn body(
        &mut self,
        draft: &bodies::Draft<'_>,
        parts: &mut Map<String, Value>,
    ) -> Result<Body, DocumentFault> {
        let mut entries = Vec::new();
        for (index, entry) in draft.entries.iter().enumerate() {
            let name = format!("body{index}");
            if let Some(definition) = entry.definition {
                parts.insert(name.clone(), json!({"$ref": format!("{DEFINITION}{definition}")}));
            }
            entries.push(Entry {
                name: entry.definition.map(|_| name.into()),
                definition: entry.definition,
                shape: self.shape(entry.definition),
                form: self.form(entry)?,
                media: entry.media.clone(),
            });
        }
        Ok(Body { is_required: draft.is_required, entries: entries.into() })
    }

    fn form(&mut self, entry: &bodies::EntryDraft<'_>) -> Result<FormFields, DocumentFault> {
        let shape = self.shape(entry.definition);
        if entry.media.is_form() {
            let fields = shape.properties.iter().map(|(name, shape)| {
                let writing = bodies::writing(self.documents, entry.encoding, name)?;
                // A map has no other form, unless the description says so.
                let is_json = writing.style == Style::Form && shape.kinds == Kinds::MAP;
                let own = entry.definition.filter(|_| needs_slot(shape));
                let own = own.and_then(|index| self.property(index, name));
                Ok(Parameter {
                    name: name.clone(),
                    style: writing.style,
                    explodes: writing.explodes,
                    content: writing.content.or(is_json.then_some(Content::Json)),
                    allows_empty: false,
                    shape: shape.clone(),
                    slot: own.map(|reference| self.own_slot(reference)),
                })
            });
            return Ok(FormFields::Pairs(fields.collect::<Result<_, DocumentFault>>()?));
        }
        if entry.media.is_multipart() {
            let fields = shape.properties.iter().map(|(name, shape)| {
                let writing = bodies::writing(self.documents, entry.encoding, name)?;
                let media = writing.media.into();
                Ok(PartField { name: name.clone(), shape: shape.clone(), media })
            });
            return Ok(FormFields::Parts(fields.collect::<Result<_, DocumentFault>>()?));
        }
        Ok(FormFields::None)
    }

    /// A reference to the schema of a property, where the definition itself names it.
    fn property(&self, definition: usize, name: &str) -> Option<String> {
        let is_plain =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if !name.bytes().all(is_plain) {
            return None;
        }
        let mut index = definition;
        for _ in 0..4 {
            let schema = self.definitions.get(index)?;
            if schema.get("properties").is_some_and(|named| named.get(name).is_some()) {
                return Some(format!("{DEFINITION}{index}/properties/{name}"));
            }
            let target = schema.get("$ref")?.as_str()?;
            index = target.strip_prefix(DEFINITION)?.parse().ok()?;
        }
        None
    }
}

/// True if a text of this shape can be read in more than one way.
fn needs_slot(shape: &Shape) -> bool {
    let has_texts = |items: &Arc<Shape>| items.kinds.has(Kinds::TEXT);
    shape.kinds.is_mixed()
        || (shape.kinds.has(Kinds::LIST) && shape.items.as_ref().is_none_or(has_texts))
}

/// The schema of the parameters of one place.
fn part_schema(drafts: &[&parameters::Draft]) -> Option<Value> {
    if drafts.is_empty() {
        return None;
    }
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for draft in drafts {
        if let Some(index) = draft.definition {
            let reference = json!({"$ref": format!("{DEFINITION}{index}")});
            let schema = if draft.allows_empty {
                json!({"anyOf": [{"const": ""}, reference]})
            } else {
                reference
            };
            properties.insert(draft.name.clone(), schema);
        }
        if draft.is_required {
            required.push(draft.name.as_str());
        }
    }
    Some(json!({"properties": properties, "required": required}))
}
