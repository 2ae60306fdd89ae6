//! Schemas of a description as JSON Schema 2020-12 for requests.
//!
//! Every schema that something refers to becomes one definition, so that references may lead in
//! circles and each schema is compiled once.

use std::collections::HashMap;

use bartizan_config::{Content, Member, Node};
use serde_json::{Map, Value, json};

use super::DEFINITION;
use super::keywords::{OAS_DIALECT, bound_by_format, is_file, older, required};
use super::patterns::Patterns;
use crate::openapi::{DocumentFault, Documents, Version};

/// Longest chain that is followed to find out whether a property is read-only.
const DEPTH_MAX: usize = 8;

/// For what a schema is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// Values.
    Plain,
    /// The parts of a form, of which files are not looked into.
    Parts,
}

/// What decides how schemas are translated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) rejects_read_only: bool,
    pub(super) skips_patterns: bool,
}

/// Translates the schemas of a description.
pub(super) struct Translator<'d> {
    documents: &'d Documents,
    rules: Rules,
    is_30: bool,
    targets: HashMap<(u32, &'d str), &'d Node>,
    index: HashMap<(usize, Mode), usize>,
    origins: Vec<(&'d Node, Mode)>,
    patterns: Patterns,
}

/// Definitions, and the places that they come from.
pub(super) struct Translated<'d> {
    pub(super) definitions: Vec<Value>,
    pub(super) origins: Vec<&'d Node>,
}

impl<'d> Translator<'d> {
    pub(super) fn new(documents: &'d Documents, rules: Rules) -> Self {
        Self {
            documents,
            rules,
            is_30: documents.version() == Version::V30,
            targets: HashMap::new(),
            index: HashMap::new(),
            origins: Vec::new(),
            patterns: Patterns::default(),
        }
    }

    /// The definition that a schema becomes.
    pub(super) fn definition(&mut self, node: &'d Node, mode: Mode) -> usize {
        let key = (std::ptr::from_ref(node).addr(), mode);
        let next = self.origins.len();
        let index = *self.index.entry(key).or_insert(next);
        if index == next {
            self.origins.push((node, mode));
        }
        index
    }

    /// Translates every definition, and those that they refer to.
    pub(super) fn finish(mut self) -> Result<Translated<'d>, DocumentFault> {
        let mut definitions = Vec::new();
        while let Some((node, mode)) = self.origins.get(definitions.len()).copied() {
            let schema = self.schema(node, mode, &[])?;
            definitions.push(schema);
        }
        let origins = self.origins.into_iter().map(|(node, _)| node).collect();
        Ok(Translated { definitions, origins })
    }

    fn fault(&self, at: &Node, problem: impl Into<String>) -> DocumentFault {
        self.documents.fault(at, problem)
    }

    /// Where a reference leads, found once.
    fn target(&mut self, at: &'d Node, reference: &'d str) -> Result<&'d Node, DocumentFault> {
        let key = (at.place.source.0, reference);
        if let Some(known) = self.targets.get(&key) {
            return Ok(known);
        }
        let target = self.documents.resolve(at, reference)?;
        self.targets.insert(key, target);
        Ok(target)
    }

    fn reference(&mut self, at: &'d Node, to: &'d str, mode: Mode) -> Result<Value, DocumentFault> {
        let target = self.target(at, to)?;
        Ok(Value::String(format!("{DEFINITION}{}", self.definition(target, mode))))
    }

    /// A schema. `hidden` are properties that only the server sets, by what stands around it.
    fn schema(
        &mut self,
        node: &'d Node,
        mode: Mode,
        hidden: &[&'d str],
    ) -> Result<Value, DocumentFault> {
        let members = match &node.content {
            Content::Bool(flag) => return Ok(Value::Bool(*flag)),
            Content::Map(members) => members,
            _ => return Err(self.fault(node, "a schema must be a map")),
        };
        if mode == Mode::Parts && is_file(node) {
            return Ok(Value::Bool(true));
        }
        if self.is_30
            && let Some(reference) = node.get("$ref").and_then(Node::as_text)
        {
            // What stands beside a reference has no meaning in 3.0.
            let reference = self.reference(node, reference, mode)?;
            return Ok(json!({ "$ref": reference }));
        }
        let mut own = hidden.to_vec();
        self.read_only_names(node, 0, &mut own)?;
        let mut out = Map::new();
        for member in members {
            self.keyword(node, member, mode, &own, &mut out)?;
        }
        if self.is_30 {
            older(node, &mut out);
            self.discriminate(node, mode, &mut out)?;
        }
        bound_by_format(&mut out);
        Ok(Value::Object(out))
    }

    fn keyword(
        &mut self,
        node: &'d Node,
        member: &'d Member,
        mode: Mode,
        hidden: &[&'d str],
        out: &mut Map<String, Value>,
    ) -> Result<(), DocumentFault> {
        let (key, value) = (member.key.as_str(), &member.value);
        let translated = match key {
            "$ref" => match value.as_text() {
                Some(reference) => self.reference(node, reference, mode)?,
                None => return Err(self.fault(value, "`$ref` must be text")),
            },
            "properties" => self.properties(value, mode)?,
            "patternProperties" | "dependentSchemas" => self.schemas_by_name(key, value, mode)?,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                let hidden = if key == "prefixItems" { &[] } else { hidden };
                let Content::List(items) = &value.content else {
                    return Err(self.fault(value, format!("`{key}` must be a list")));
                };
                let items = items.iter().map(|item| self.schema(item, mode, hidden));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            "if" | "then" | "else" => self.schema(value, mode, hidden)?,
            "items"
            | "not"
            | "additionalProperties"
            | "contains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties" => self.schema(value, mode, &[])?,
            "required" => required(value, hidden),
            "pattern" => {
                let text = value.as_text().unwrap_or_default();
                if self.rules.skips_patterns && !self.patterns.is_supported(text) {
                    return Ok(());
                }
                value.to_json()
            }
            "type" | "enum" | "const" | "multipleOf" | "minimum" | "maximum"
            | "exclusiveMinimum" | "exclusiveMaximum" | "minLength" | "maxLength" | "minItems"
            | "maxItems" | "uniqueItems" | "minContains" | "maxContains" | "minProperties"
            | "maxProperties" | "dependentRequired" | "format" => value.to_json(),
            "$schema" if !self.is_30 => return self.dialect(value),
            "$id" | "$anchor" | "$dynamicAnchor" | "$dynamicRef" | "$recursiveRef"
            | "$recursiveAnchor"
                if !self.is_30 =>
            {
                return Err(self
                    .fault(value, format!("`{key}` in a schema is not supported yet"))
                    .with_help(
                        "refer to schemas by their place, as in `#/components/schemas/Order`",
                    ));
            }
            // What is left describes, or has no meaning in a request.
            _ => return Ok(()),
        };
        out.insert(key.to_owned(), translated);
        Ok(())
    }

    fn dialect(&self, value: &Node) -> Result<(), DocumentFault> {
        let known = ["https://json-schema.org/draft/2020-12/schema", OAS_DIALECT];
        let text = value.as_text().unwrap_or_default().trim_end_matches('#');
        if known.contains(&text) {
            return Ok(());
        }
        Err(self
            .fault(value, "a schema of another dialect is not supported yet")
            .with_help("JSON Schema 2020-12 is"))
    }

    fn properties(&mut self, value: &'d Node, mode: Mode) -> Result<Value, DocumentFault> {
        let mut out = Map::new();
        for member in self.named(value, "properties")? {
            let is_hidden = self.rules.rejects_read_only && self.is_read_only(&member.value, 0)?;
            let schema = if is_hidden {
                json!({"readOnly": true})
            } else {
                self.schema(&member.value, mode, &[])?
            };
            out.insert(member.key.clone(), schema);
        }
        Ok(Value::Object(out))
    }

    fn schemas_by_name(
        &mut self,
        key: &str,
        value: &'d Node,
        mode: Mode,
    ) -> Result<Value, DocumentFault> {
        let mut out = Map::new();
        for member in self.named(value, key)? {
            let is_pattern = key == "patternProperties";
            if is_pattern && self.rules.skips_patterns && !self.patterns.is_supported(&member.key) {
                continue;
            }
            out.insert(member.key.clone(), self.schema(&member.value, mode, &[])?);
        }
        Ok(Value::Object(out))
    }

    fn named(&self, value: &'d Node, key: &str) -> Result<&'d [Member], DocumentFault> {
        match &value.content {
            Content::Map(members) => Ok(members),
            _ => Err(self.fault(value, format!("`{key}` must be a map"))),
        }
    }

    /// The properties that a schema says only the server sets, also in what it is made of.
    fn read_only_names(
        &mut self,
        node: &'d Node,
        depth: usize,
        names: &mut Vec<&'d str>,
    ) -> Result<(), DocumentFault> {
        if depth > DEPTH_MAX {
            return Ok(());
        }
        for member in node.get("properties").map(Node::members).unwrap_or_default() {
            if self.is_read_only(&member.value, 0)? && !names.contains(&member.key.as_str()) {
                names.push(&member.key);
            }
        }
        if depth > 0
            && let Some(reference) = node.get("$ref").and_then(Node::as_text)
        {
            let target = self.target(node, reference)?;
            self.read_only_names(target, depth + 1, names)?;
        }
        for branch in node.get("allOf").map(Node::items).unwrap_or_default() {
            self.read_only_names(branch, depth + 1, names)?;
        }
        Ok(())
    }

    fn is_read_only(&mut self, node: &'d Node, depth: usize) -> Result<bool, DocumentFault> {
        if node.get("readOnly").is_some_and(|flag| flag.content == Content::Bool(true)) {
            return Ok(true);
        }
        let Some(reference) = node.get("$ref").and_then(Node::as_text) else { return Ok(false) };
        if depth > DEPTH_MAX {
            return Ok(false);
        }
        let target = self.target(node, reference)?;
        self.is_read_only(target, depth + 1)
    }

    /// In 3.0 a discriminator chooses the schema among those of `oneOf` or `anyOf`; in 3.1 it
    /// changes nothing.
    fn discriminate(
        &mut self,
        node: &'d Node,
        mode: Mode,
        out: &mut Map<String, Value>,
    ) -> Result<(), DocumentFault> {
        let Some(discriminator) = node.get("discriminator") else { return Ok(()) };
        let Some(property) = discriminator.get("propertyName").and_then(Node::as_text) else {
            return Ok(());
        };
        for keyword in ["oneOf", "anyOf"] {
            let branches = node.get(keyword).map(Node::items).unwrap_or_default();
            let Some(choices) = self.choices(discriminator, branches)? else { continue };
            let (mut all, mut cases) = (Vec::new(), Vec::new());
            for (names, target) in choices {
                let target = format!("{DEFINITION}{}", self.definition(target, mode));
                cases.push(json!({
                    "if": {"properties": {property: {"enum": names}}},
                    "then": {"$ref": target},
                }));
                all.extend(names);
            }
            let choice = json!({
                "type": "object",
                "required": [property],
                "properties": {property: {"enum": all}},
                "allOf": cases,
            });
            out.remove(keyword);
            match out.entry("allOf").or_insert_with(|| Value::Array(Vec::new())) {
                Value::Array(all) => all.push(choice),
                other => *other = Value::Array(vec![choice]),
            }
        }
        Ok(())
    }

    /// What values of a discriminator lead to which schema; `None` where a branch has no name.
    #[expect(clippy::type_complexity, reason = "a list of pairs, read once")]
    fn choices(
        &mut self,
        discriminator: &'d Node,
        branches: &'d [Node],
    ) -> Result<Option<Vec<(Vec<String>, &'d Node)>>, DocumentFault> {
        if branches.is_empty() {
            return Ok(None);
        }
        let mut choices: Vec<(Vec<String>, &'d Node)> = Vec::new();
        for branch in branches {
            let Some(reference) = branch.get("$ref").and_then(Node::as_text) else {
                return Ok(None);
            };
            let name = reference.rsplit('/').next().unwrap_or_default().to_owned();
            choices.push((vec![name], self.target(branch, reference)?));
        }
        for member in discriminator.get("mapping").map(Node::members).unwrap_or_default() {
            let Some(to) = member.value.as_text() else { continue };
            let target = if to.contains(['#', '/', '.']) {
                self.target(&member.value, to)?
            } else {
                self.documents.resolve(&member.value, &format!("#/components/schemas/{to}"))?
            };
            let choice = choices.iter_mut().find(|(_, known)| std::ptr::eq(*known, target));
            if let Some((names, _)) = choice
                && !names.contains(&member.key)
            {
                names.push(member.key.clone());
            }
        }
        Ok(Some(choices))
    }
}
