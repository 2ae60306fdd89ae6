//! Maps: known and unknown keys, required keys, danger twins, conditions.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::walk::{Marks, Step, Walk, broken, list};
use super::{Fault, Findings};
use crate::diagnostic::Place;
use crate::document::{Content, Member, Node};
use crate::plugin_schemas::Standing;
use crate::words::{choices, did_you_mean, nearest, quoted};

/// What has the name of a field that opens something where ours has a twin.
const DANGER: &str = "danger_";

impl<'a> Walk<'a> {
    /// Checks a map and its values.
    pub(super) fn map(
        &mut self,
        node: &'a Node,
        members: &'a [Member],
        here: Place,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let hidden = if self.steps.is_empty() { self.subject.hidden } else { &[] };
        self.required(members, here, schema, out);
        self.count(members, hidden, here, schema, out);
        for member in members.iter().filter(|member| !hidden.contains(&member.key.as_str())) {
            self.steps.push(Step::Key(&member.key));
            if let Some(names) = schema.get("propertyNames").and_then(Value::as_object) {
                let key = Some(member.key.as_str());
                self.text_limits(member.key_place, &member.key, key, names, out);
            }
            self.member(node, member, schema, marks, out);
            self.steps.pop();
        }
    }

    /// Checks one member; its key is the last step.
    fn member(
        &mut self,
        node: &'a Node,
        member: &'a Member,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let parent = self.steps.split_last().map_or(&[][..], |(_, parent)| parent);
        if let Some(answer) = self.answer(parent, member) {
            conceal(&member.value, out);
            self.tell(out, member.key_place, Fault::Value, answer);
            return;
        }
        let known = schema.get("properties").and_then(Value::as_object);
        let described = known.and_then(|known| known.get(&member.key));
        let mut is_known = described.is_some();
        if let Some(described) = described {
            self.value(&member.value, member.key_place, described, marks, out);
        }
        for (pattern, described) in entries(schema, "patternProperties") {
            match self.rules.pattern(pattern) {
                Ok(regex) if regex.is_match(&member.key) => {
                    is_known = true;
                    self.value(&member.value, member.key_place, described, marks, out);
                }
                Ok(_) => {}
                Err(_) => {
                    let problem = broken("`patternProperties`");
                    self.tell(out, member.key_place, Fault::Value, problem);
                }
            }
        }
        if is_known {
            return;
        }
        match schema.get("additionalProperties") {
            Some(Value::Bool(false)) => self.unknown(node, member, schema, marks, out),
            Some(Value::Bool(true)) => self.unchecked(&member.value, marks, out),
            Some(rest) => self.value(&member.value, member.key_place, rest, marks, out),
            None => {
                let is_closed = schema.get("unevaluatedProperties") == Some(&Value::Bool(false));
                let mut evaluated = HashSet::new();
                self.evaluated(node, schema, is_closed, marks, &mut evaluated);
                if evaluated.contains(member.key.as_str()) {
                    return;
                }
                if is_closed {
                    self.unknown(node, member, schema, marks, out);
                } else if evaluated.is_empty() {
                    self.unchecked(&member.value, marks, out);
                }
            }
        }
    }

    /// What is said of a field below `parent` that has an answer of its own.
    fn answer(&self, parent: &[Step<'_>], member: &Member) -> Option<String> {
        let key = member.key.as_str();
        let mut candidates = self
            .subject
            .specials
            .iter()
            .filter(|special| {
                special.path.ends_with(key) && special.path.rsplit('.').next() == Some(key)
            })
            .peekable();
        candidates.peek()?;
        let path = relative(parent, key);
        let special = candidates.find(|special| special.path == path)?;
        let field = format!("{} of {}", quoted(key), special.owner);
        match special.standing {
            Standing::NotYet(why) => Some(format!("{field} is not supported yet: {why}")),
            Standing::Refused(why) => Some(format!("{field} is refused: {why}")),
            Standing::Known | Standing::Unknown => None,
        }
    }

    /// A key that the schema has not: the twin of a danger field, or nothing that is known.
    fn unknown(
        &mut self,
        node: &'a Node,
        member: &'a Member,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        let known = schema.get("properties").and_then(Value::as_object);
        let twin = format!("{DANGER}{}", member.key);
        if let Some(danger) = known.and_then(|known| known.get(&twin)) {
            self.twin(node, member, &twin, danger, out);
            return;
        }
        conceal(&member.value, out);
        let mut names = HashSet::new();
        self.evaluated(node, schema, true, marks, &mut names);
        let mut names: Vec<&str> = names.into_iter().collect();
        names.sort_unstable();
        let help = did_you_mean(&member.key, names.iter().copied()).or_else(|| {
            (!names.is_empty()).then(|| format!("known here: {}", choices(names.iter().copied())))
        });
        let problem = format!("unknown field {}", quoted(&member.key));
        self.tell_with(out, member.key_place, Fault::Unknown, problem, help);
    }

    fn twin(&self, node: &Node, member: &Member, twin: &str, danger: &Value, out: &mut Findings) {
        let safe = danger.get("default").and_then(Value::as_bool).unwrap_or(false);
        match member.value.content {
            Content::Bool(value) if value == safe => {
                out.edits.dropped.insert(member.key_place);
            }
            Content::Bool(_) if self.rules.accepts_fail_open && node.get(twin).is_none() => {
                out.edits.keys.insert(member.key_place, twin.to_owned());
            }
            Content::Bool(value) => {
                let problem = format!("`{}: {value}` weakens protection", member.key);
                let help = format!("where it is meant, write `{twin}: {value}`");
                self.tell_with(out, member.key_place, Fault::Value, problem, Some(help));
            }
            _ => {
                let problem = format!("expected `{safe}` for {}", quoted(&member.key));
                self.tell(out, member.key_place, Fault::Value, problem);
            }
        }
    }

    fn required(
        &self,
        members: &[Member],
        here: Place,
        schema: &Map<String, Value>,
        out: &mut Findings,
    ) {
        let has = |key: &str| members.iter().any(|member| member.key == key);
        let is_answered =
            || members.iter().any(|member| self.answer(&self.steps, member).is_some());
        for key in list(schema, "required").iter().filter_map(Value::as_str) {
            if !has(key) && !is_answered() && !is_misspelt(key, members, schema) {
                self.tell(out, here, Fault::Missing, format!("{} is required", quoted(key)));
            }
        }
        for (key, needed) in entries(schema, "dependentRequired").filter(|(key, _)| has(key)) {
            for needed in needed.as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !has(needed) {
                    let problem = format!("{} needs {} beside it", quoted(key), quoted(needed));
                    self.tell(out, here, Fault::Missing, problem);
                }
            }
        }
    }

    fn count(
        &self,
        members: &[Member],
        hidden: &[&str],
        here: Place,
        schema: &Map<String, Value>,
        out: &mut Findings,
    ) {
        let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_u64);
        let count = members.iter().filter(|member| !hidden.contains(&member.key.as_str())).count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        if let Some(least) = limit("minProperties").filter(|least| count < *least) {
            let problem = if count == 0 {
                format!("{} is an empty map", self.name())
            } else {
                format!("{} needs at least {least} keys, has {count}", self.name())
            };
            self.tell(out, here, Fault::Value, problem);
        }
        if let Some(most) = limit("maxProperties").filter(|most| count > *most) {
            let problem = format!("{} may have at most {most} keys, has {count}", self.name());
            self.tell(out, here, Fault::Value, problem);
        }
    }

    /// Checks `not`, and `if` with `then` and `else`.
    pub(super) fn conditions(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Map<String, Value>,
        marks: Marks,
        out: &mut Findings,
    ) {
        if let Some(excluded) = schema.get("not")
            && self.fits(node, here, excluded, marks)
        {
            let keys: Vec<&str> = excluded
                .as_object()
                .map(|excluded| list(excluded, "required").iter().filter_map(Value::as_str))
                .into_iter()
                .flatten()
                .collect();
            let problem = match keys.as_slice() {
                [] => format!("{} has a value that is excluded", self.name()),
                [key] => format!("{} is not accepted here", quoted(key)),
                keys => format!("only one of {} may be given", choices(keys.iter().copied())),
            };
            self.tell(out, here, Fault::Value, problem);
        }
        if let Some(condition) = schema.get("if") {
            let branch = if self.fits(node, here, condition, marks) { "then" } else { "else" };
            if let Some(consequence) = schema.get(branch) {
                self.value(node, here, consequence, marks, out);
            }
        }
    }

    /// True if the value has no problem with a schema.
    pub(super) fn fits(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Value,
        marks: Marks,
    ) -> bool {
        let mut trial = Findings::default();
        self.value(node, here, schema, marks, &mut trial);
        trial.is_clean()
    }

    /// The keys that a schema or a part of it knows; with `only_fitting`, of those forms only that
    /// the value has, if it has any.
    fn evaluated(
        &mut self,
        node: &'a Node,
        schema: &'a Map<String, Value>,
        only_fitting: bool,
        marks: Marks,
        keys: &mut HashSet<&'a str>,
    ) {
        let mut open: Vec<&'a Map<String, Value>> = vec![schema];
        // A schema that refers to itself is followed a few times only.
        let mut left = 1_000_usize;
        while let Some(schema) = open.pop() {
            left = left.saturating_sub(1);
            if left == 0 {
                return;
            }
            keys.extend(entries(schema, "properties").map(|(key, _)| key));
            if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
                open.extend(self.definition(target).and_then(Value::as_object));
            }
            open.extend(list(schema, "allOf").iter().filter_map(Value::as_object));
            open.extend(["then", "else"].iter().filter_map(|key| schema.get(*key)?.as_object()));
            for keyword in ["anyOf", "oneOf"] {
                let forms = list(schema, keyword);
                let fitting: Vec<&'a Value> = if only_fitting {
                    forms.iter().filter(|form| self.fits(node, node.place, form, marks)).collect()
                } else {
                    Vec::new()
                };
                let forms = if fitting.is_empty() { forms.iter().collect() } else { fitting };
                open.extend(forms.into_iter().filter_map(Value::as_object));
            }
        }
    }
}

/// The members of the object under a keyword.
fn entries<'a>(
    schema: &'a Map<String, Value>,
    keyword: &str,
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    schema
        .get(keyword)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.as_str(), value))
}

/// True if an unknown key is told to mean this one: that it is absent need not be told as well.
fn is_misspelt(key: &str, members: &[Member], schema: &Map<String, Value>) -> bool {
    let is_known = |name: &str| entries(schema, "properties").any(|(known, _)| known == name);
    schema.get("additionalProperties") == Some(&Value::Bool(false))
        && members
            .iter()
            .any(|member| !is_known(&member.key) && nearest(&member.key, [key]).is_some())
}

fn relative(parent: &[Step<'_>], key: &str) -> String {
    let mut path = String::new();
    for step in parent {
        match step {
            Step::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Step::Index(_) => path.push_str("[]"),
        }
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
    path
}

/// Keeps texts out of reports that nobody has told to be harmless.
pub(crate) fn conceal(node: &Node, out: &mut Findings) {
    match &node.content {
        Content::Text(_) | Content::Number(_) => out.concealed.push(node.place),
        Content::List(items) => items.iter().for_each(|item| conceal(item, out)),
        Content::Map(members) => members.iter().for_each(|member| conceal(&member.value, out)),
        Content::Null | Content::Bool(_) => {}
    }
}
