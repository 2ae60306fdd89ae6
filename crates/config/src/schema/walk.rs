//! The walk itself: what applies to values of every kind.

use serde_json::{Map, Value};

use super::{Fault, Findings, Problem, RECURSION_MAX, Rules, STEPS_MAX, Subject};
use crate::diagnostic::Place;
use crate::document::{Content, Node};
use crate::field_path::{push_index, push_key};
use crate::reference::is_reference;
use crate::words::{choices, did_you_mean, quoted};

/// One step into the value.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// What the schemas above say about the text at a place.
#[derive(Clone, Copy, Default)]
pub(super) struct Marks {
    /// No report shows it; references resolve.
    pub(super) is_secret: bool,
    /// References resolve.
    pub(super) is_reference: bool,
}

impl Marks {
    fn with(self, schema: &Map<String, Value>) -> Self {
        let is_marked = |mark: &str| schema.get(mark).and_then(Value::as_bool) == Some(true);
        Self {
            is_secret: self.is_secret || is_marked("x-secret"),
            is_reference: self.is_reference || is_marked("x-secret") || is_marked("x-reference"),
        }
    }
}

/// Which groups of keywords a schema has. Most schemas have few keywords, and a walk of many values
/// would look for each of the others in vain.
#[derive(Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, asked for by name")]
struct Groups {
    has_marks: bool,
    has_parts: bool,
    has_choice: bool,
    has_forms: bool,
    has_conditions: bool,
}

impl Groups {
    fn of(schema: &Map<String, Value>) -> Self {
        let mut groups = Self::default();
        for keyword in schema.keys() {
            match keyword.as_str() {
                "x-opaque" | "x-secret" | "x-reference" => groups.has_marks = true,
                "allOf" => groups.has_parts = true,
                "const" | "enum" => groups.has_choice = true,
                "anyOf" | "oneOf" => groups.has_forms = true,
                "not" | "if" => groups.has_conditions = true,
                _ => {}
            }
        }
        groups
    }
}

/// The state of one walk.
pub(super) struct Walk<'a> {
    pub(super) rules: &'a Rules<'a>,
    pub(super) subject: &'a Subject<'a>,
    pub(super) steps: Vec<Step<'a>>,
    recursion: usize,
    pub(super) taken: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(rules: &'a Rules<'a>, subject: &'a Subject<'a>) -> Self {
        Self { rules, subject, steps: Vec::new(), recursion: 0, taken: 0 }
    }

    /// Checks a value. `here` is where a problem of the value as a whole is shown.
    pub(super) fn value(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Value,
        marks: Marks,
        out: &mut Findings,
    ) {
        self.taken += 1;
        if self.recursion >= RECURSION_MAX || self.taken > STEPS_MAX {
            self.tell(out, here, Fault::Value, "is too involved to be checked".to_owned());
            return;
        }
        self.recursion += 1;
        match schema {
            Value::Bool(true) => self.unchecked(node, marks, out),
            Value::Object(schema) => self.against(node, here, schema, marks, out),
            _ => self.tell(out, here, Fault::Value, format!("{} is not accepted", self.name())),
        }
        self.recursion -= 1;
    }

    fn against(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let groups = Groups::of(schema);
        let marks = if groups.has_marks { marks.with(schema) } else { marks };
        if groups.has_marks && schema.get("x-opaque").is_some() {
            return;
        }
        if node.content == Content::Null && !accepts_null(schema) {
            let problem = format!("{} has no value", self.name());
            let help = "give it a value or remove the key".to_owned();
            self.tell_with(out, at(node, here), Fault::Type, problem, Some(help));
            return;
        }
        if let Some(target) = schema.get("$ref") {
            match target.as_str().and_then(|target| self.definition(target)) {
                Some(target) => self.value(node, here, target, marks, out),
                None => self.tell(out, here, Fault::Value, broken("`$ref`")),
            }
        }
        if groups.has_parts {
            for part in list(schema, "allOf") {
                self.value(node, here, part, marks, out);
            }
        }
        if !self.check_type(node, here, schema, marks, out) {
            return;
        }
        if groups.has_choice {
            self.check_choice(node, here, schema, marks, out);
        }
        match &node.content {
            Content::Text(text) => self.text(node, here, text, schema, marks, out),
            Content::Number(number) => self.number(at(node, here), number, schema, out),
            Content::List(items) => self.list(items, here, schema, marks, out),
            Content::Map(members) => self.map(node, members, here, schema, marks, out),
            Content::Null | Content::Bool(_) => {}
        }
        if groups.has_forms {
            for (keyword, is_exclusive) in [("anyOf", false), ("oneOf", true)] {
                let forms = list(schema, keyword);
                if !forms.is_empty() {
                    self.forms(node, here, schema, forms, is_exclusive, marks, out);
                }
            }
        }
        if groups.has_conditions {
            self.conditions(node, here, schema, marks, out);
        }
    }

    /// Looks at a value that no schema describes: it may hold no reference, which would stay text.
    pub(super) fn unchecked(&mut self, node: &'a Node, marks: Marks, out: &mut Findings) {
        match &node.content {
            Content::Text(text) if is_reference(text) && !marks.is_reference => {
                self.misplaced_reference(node.place, text, out);
            }
            Content::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.steps.push(Step::Index(index));
                    self.unchecked(item, marks, out);
                    self.steps.pop();
                }
            }
            Content::Map(members) => {
                for member in members {
                    self.steps.push(Step::Key(&member.key));
                    self.unchecked(&member.value, marks, out);
                    self.steps.pop();
                }
            }
            _ => {}
        }
    }

    /// Checks `type`; false if the value is of another.
    fn check_type(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) -> bool {
        let expected = types(schema);
        if expected.is_empty() || expected.iter().any(|name| is_of_type(node, name)) {
            return true;
        }
        if marks.is_secret {
            out.concealed.push(node.place);
        }
        let wanted: Vec<&str> =
            expected.iter().copied().filter(|name| *name != "null").map(type_words).collect();
        let problem = format!("expected {}, found {}", either(&wanted), found(node, marks));
        let help = match (&node.content, wanted.as_slice()) {
            (Content::Text(text), ["a boolean"]) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => Some("write `true`".to_owned()),
                "no" | "off" | "n" => Some("write `false`".to_owned()),
                "true" | "false" => Some("remove the quotes".to_owned()),
                _ => None,
            },
            (Content::Text(text), ["an integer" | "a number"]) if text.parse::<f64>().is_ok() => {
                Some("remove the quotes".to_owned())
            }
            (Content::Number(_) | Content::Bool(_), ["a string"]) => {
                Some("put it in quotes".to_owned())
            }
            (Content::Text(_) | Content::Number(_), ["a list"]) => {
                Some("write a list, also for one item".to_owned())
            }
            _ => None,
        };
        self.tell_with(out, at(node, here), Fault::Type, problem, help);
        false
    }

    /// Checks `const` and `enum`.
    fn check_choice(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let constant = schema.get("const").map(std::slice::from_ref);
        let Some(accepted) = constant.or_else(|| schema.get("enum")?.as_array().map(Vec::as_slice))
        else {
            return;
        };
        let value = node.to_json();
        if accepted.contains(&value) {
            return;
        }
        self.refuse_choice(node, here, accepted, schema, marks, out);
    }

    /// Tells that a value is none of the accepted ones.
    pub(super) fn refuse_choice(
        &self,
        node: &Node,
        here: Place,
        accepted: &[Value],
        schema: &Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let place = at(node, here);
        if let Some(answer) = answer(node, schema) {
            self.tell(out, place, Fault::Value, answer);
            return;
        }
        let fault = match (&node.content, accepted) {
            (Content::List(_) | Content::Map(_), _) => Fault::Type,
            (_, [_]) => Fault::Tag,
            _ => Fault::Value,
        };
        let mut names: Vec<String> = Vec::new();
        for name in accepted.iter().map(plain) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let names = || names.iter().map(String::as_str);
        let expected = if accepted.len() == 1 { "" } else { "one of " };
        let problem =
            format!("expected {expected}{}, found {}", choices(names()), found(node, marks));
        let help = node.as_text().and_then(|text| did_you_mean(text, names()));
        self.tell_with(out, place, fault, problem, help);
    }

    /// The schema that a `$ref` names.
    pub(super) fn definition(&self, target: &str) -> Option<&'a Value> {
        self.subject.schema.pointer(target.strip_prefix('#')?)
    }

    /// The last key, for messages.
    pub(super) fn name(&self) -> String {
        match self.steps.last() {
            Some(Step::Key(key)) => quoted(key),
            Some(Step::Index(_)) => "the item".to_owned(),
            None if self.subject.path.is_empty() => "the value".to_owned(),
            None if self.subject.path.ends_with(']') => "the item".to_owned(),
            None => quoted(self.subject.path.rsplit('.').next().unwrap_or_default()),
        }
    }

    fn path(&self) -> String {
        let mut path = self.subject.path.to_owned();
        for step in &self.steps {
            match step {
                Step::Key(key) => push_key(&mut path, key),
                Step::Index(index) => push_index(&mut path, *index),
            }
        }
        path
    }

    pub(super) fn tell(&self, out: &mut Findings, place: Place, fault: Fault, problem: String) {
        self.tell_with(out, place, fault, problem, None);
    }

    pub(super) fn tell_with(
        &self,
        out: &mut Findings,
        place: Place,
        fault: Fault,
        problem: String,
        help: Option<String>,
    ) {
        let depth = self.steps.len();
        out.push(Problem { place, path: self.path(), text: problem, help, fault, depth });
    }
}

/// What `x-answers` says about a value.
fn answer(node: &Node, schema: &Map<String, Value>) -> Option<String> {
    let value = plain(&node.to_json());
    let answer = schema.get("x-answers")?.get(&value)?.as_str()?;
    Some(format!("{} {answer}", quoted(&value)))
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A fault of the schema, not of the configuration.
pub(super) fn broken(what: &str) -> String {
    format!("cannot be checked: its schema has a broken {what}")
}

/// Where a problem of a scalar is shown: at the scalar, if there is anything to see.
pub(super) fn at(node: &Node, here: Place) -> Place {
    crate::sources::at_value(node, here)
}

/// The value in a message; a secret is only described.
pub(super) fn found(node: &Node, marks: Marks) -> String {
    match &node.content {
        Content::Null => "nothing".to_owned(),
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) => "a map".to_owned(),
        Content::Text(_) if marks.is_secret => "a string".to_owned(),
        Content::Number(_) if marks.is_secret => "a number".to_owned(),
        Content::Text(text) => format!("the string {}", quoted(text)),
        Content::Number(number) => format!("the number `{number}`"),
        Content::Bool(value) => format!("`{value}`"),
    }
}

fn accepts_null(schema: &Map<String, Value>) -> bool {
    let describes = ["$ref", "allOf", "anyOf", "oneOf", "properties", "items", "pattern"];
    match schema.get("type") {
        Some(Value::String(name)) => name == "null",
        Some(_) => false,
        None => match (schema.get("const"), schema.get("enum").and_then(Value::as_array)) {
            (Some(constant), _) => constant.is_null(),
            (None, Some(accepted)) => accepted.contains(&Value::Null),
            (None, None) => !describes.iter().any(|keyword| schema.contains_key(*keyword)),
        },
    }
}

/// The array under a keyword.
pub(super) fn list<'a>(schema: &'a Map<String, Value>, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The names under `type`.
pub(super) fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(name)) => vec![name],
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn is_of_type(node: &Node, name: &str) -> bool {
    match &node.content {
        Content::Null => name == "null",
        Content::Bool(_) => name == "boolean",
        Content::Text(_) => name == "string",
        Content::List(_) => name == "array",
        Content::Map(_) => name == "object",
        // 1.0 is an integer for JSON Schema but not for the readers of whole numbers.
        Content::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
    }
}

pub(super) fn type_words(name: &str) -> &str {
    match name {
        "boolean" => "a boolean",
        "integer" => "an integer",
        "number" => "a number",
        "string" => "a string",
        "array" => "a list",
        "object" => "a map",
        other => other,
    }
}

/// `a string, a list or a map`
pub(super) fn either(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}
