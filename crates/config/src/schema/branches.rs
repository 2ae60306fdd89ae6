//! Values of several forms (`anyOf`, `oneOf`): which one was meant.

use serde_json::{Map, Value};

use super::walk::{Marks, Walk, at, either, found, list, type_words, types};
use super::{Fault, Findings, Problem};
use crate::diagnostic::Place;
use crate::document::{Content, Node};
use crate::words::{choices, did_you_mean, quoted};

impl<'a> Walk<'a> {
    /// Checks a value against several forms and tells the problems of the one that fits best.
    #[expect(clippy::too_many_arguments, reason = "the walk's usual ones and the forms")]
    pub(super) fn forms(
        &mut self,
        node: &'a Node,
        here: Place,
        schema: &'a Map<String, Value>,
        forms: &'a [Value],
        is_exclusive: bool,
        marks: Marks,
        out: &mut Findings,
    ) {
        if let Some(keys) = key_choices(forms) {
            self.one_of_keys(node, here, &keys, is_exclusive, out);
            return;
        }
        if let Some(accepted) = constants(forms) {
            if !accepted.contains(&node.to_json()) {
                self.refuse_choice(node, here, &accepted, schema, marks, out);
            }
            return;
        }
        let mut best: Option<(usize, Findings)> = None;
        let mut fitting = 0;
        for form in forms {
            let mut trial = Findings::default();
            self.value(node, here, form, marks, &mut trial);
            fitting += usize::from(trial.is_clean());
            out.concealed.extend(trial.concealed.iter().copied());
            let score = self.score(&trial.problems);
            if best.as_ref().is_none_or(|(least, _)| score < *least) {
                best = Some((score, trial));
            }
        }
        let Some((_, best)) = best else { return };
        if fitting > 0 {
            out.absorb(best);
            if is_exclusive && fitting > 1 {
                let problem = format!("{} fits more than one of its forms", self.name());
                self.tell(out, here, Fault::Value, problem);
            }
            return;
        }
        if let Some(keys) = tags(node, forms) {
            self.unknown_form(node, here, &keys, out);
        } else if best.problems.iter().any(|problem| self.is_other_type(problem)) {
            let mut words: Vec<&str> = Vec::new();
            for name in forms.iter().flat_map(|form| self.types_of(form)) {
                let name = type_words(name);
                if name != "null" && !words.contains(&name) {
                    words.push(name);
                }
            }
            let problem = format!("expected {}, found {}", either(&words), found(node, marks));
            self.tell(out, at(node, here), Fault::Type, problem);
        } else {
            out.absorb(best);
        }
    }

    fn is_other_type(&self, problem: &Problem) -> bool {
        problem.fault == Fault::Type && problem.depth == self.steps.len()
    }

    /// How badly a form fits: the lower, the better.
    fn score(&self, problems: &[Problem]) -> usize {
        problems
            .iter()
            .map(|problem| match (problem.fault, problem.depth - self.steps.len()) {
                (Fault::Type, 0) => 10_000,
                (Fault::Tag, 0 | 1) => 1_000,
                (Fault::Missing, 0) => 100,
                (Fault::Unknown, 0 | 1) => 60,
                (Fault::Type, 1) => 40,
                _ => 10,
            })
            .sum()
    }

    /// The types that a form accepts.
    fn types_of(&self, form: &'a Value) -> Vec<&'a str> {
        let mut form = form;
        for _ in 0..8 {
            match form.get("$ref").and_then(Value::as_str).and_then(|to| self.definition(to)) {
                Some(target) => form = target,
                None => break,
            }
        }
        let Some(schema) = form.as_object() else { return Vec::new() };
        let own = types(schema);
        if own.is_empty() {
            let inner = list(schema, "anyOf").iter().chain(list(schema, "oneOf"));
            inner.filter_map(Value::as_object).flat_map(types).collect()
        } else {
            own
        }
    }

    fn unknown_form(&self, node: &'a Node, here: Place, keys: &[&str], out: &mut Findings) {
        let names = || keys.iter().copied();
        let Some(member) = node.members().first() else {
            let problem = format!("one of {} is required", choices(names()));
            self.tell(out, here, Fault::Missing, problem);
            return;
        };
        let problem =
            format!("expected one of {}, found {}", choices(names()), quoted(&member.key));
        let help = did_you_mean(&member.key, names());
        self.tell_with(out, member.key_place, Fault::Unknown, problem, help);
    }

    fn one_of_keys(
        &self,
        node: &'a Node,
        here: Place,
        keys: &[Vec<&str>],
        is_exclusive: bool,
        out: &mut Findings,
    ) {
        if !matches!(node.content, Content::Map(_)) {
            return;
        }
        let is_given = |group: &&Vec<&str>| group.iter().all(|key| node.get(key).is_some());
        let given: Vec<&Vec<&str>> = keys.iter().filter(is_given).collect();
        let names = |groups: &[&Vec<&str>]| {
            let words: Vec<String> = groups
                .iter()
                .map(|group| {
                    let keys: Vec<String> = group.iter().map(|key| quoted(key)).collect();
                    keys.join(" with ")
                })
                .collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            either(&words)
        };
        if given.is_empty() {
            let all: Vec<&Vec<&str>> = keys.iter().collect();
            let problem = format!("one of {} is required", names(&all));
            self.tell(out, here, Fault::Missing, problem);
        } else if is_exclusive && given.len() > 1 {
            let problem = format!("only one of {} may be given", names(&given));
            self.tell(out, here, Fault::Value, problem);
        }
    }
}

/// The keys that mark the forms, if each map form is marked by one and the value has none.
fn tags<'a>(node: &Node, forms: &'a [Value]) -> Option<Vec<&'a str>> {
    if !matches!(node.content, Content::Map(_)) {
        return None;
    }
    let mut keys = Vec::new();
    for form in forms.iter().filter_map(Value::as_object) {
        if !types(form).contains(&"object") {
            continue;
        }
        match list(form, "required") {
            [Value::String(key)] => keys.push(key.as_str()),
            _ => return None,
        }
    }
    let has_none = keys.iter().all(|key| node.get(key).is_none());
    (keys.len() > 1 && has_none).then_some(keys)
}

/// The keys of forms that say nothing but which keys must be there.
fn key_choices(forms: &[Value]) -> Option<Vec<Vec<&str>>> {
    forms
        .iter()
        .map(|form| {
            let form = form.as_object()?;
            let is_plain = form.keys().all(|key| matches!(key.as_str(), "required" | "title"));
            let keys: Vec<&str> = list(form, "required").iter().filter_map(Value::as_str).collect();
            (is_plain && !keys.is_empty()).then_some(keys)
        })
        .collect()
}

/// The values of forms that are constants.
fn constants(forms: &[Value]) -> Option<Vec<Value>> {
    let mut accepted = Vec::new();
    for form in forms {
        let form = form.as_object()?;
        let is_plain = form.keys().all(|key| {
            matches!(
                key.as_str(),
                "const" | "enum" | "type" | "description" | "title" | "deprecated"
            )
        });
        match (is_plain, form.get("const"), form.get("enum").and_then(Value::as_array)) {
            (true, Some(constant), _) => accepted.push(constant.clone()),
            (true, None, Some(several)) => accepted.extend(several.iter().cloned()),
            _ => return None,
        }
    }
    Some(accepted)
}
