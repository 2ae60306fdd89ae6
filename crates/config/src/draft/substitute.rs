//! `${{NAME}}` and `${{NAME:=default}}` in documents of resources, as in Apache APISIX.
//!
//! Texts and keys are replaced after the document was read, so that no value of a variable can
//! change its structure. A text that becomes a number, `true` or `false` is one, as there.

use serde_json::Number;

use crate::diagnostic::{Diagnostic, Place};
use crate::document::{Content, Node};
use crate::field_path::{push_index, push_key};
use crate::surroundings::Surroundings;
use crate::words::quoted;

/// Replaces every variable below a node; gives what could not be.
pub(crate) fn substitute(node: &mut Node, surroundings: &dyn Surroundings) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    walk(node, &mut String::new(), surroundings, &mut problems);
    problems
}

fn walk(
    node: &mut Node,
    path: &mut String,
    surroundings: &dyn Surroundings,
    problems: &mut Vec<Diagnostic>,
) {
    let length = path.len();
    match &mut node.content {
        Content::Text(text) => {
            if let Some(replaced) = replaced(text, (node.place, path), surroundings, problems) {
                node.content = typed(replaced);
            }
        }
        Content::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                push_index(path, index);
                walk(item, path, surroundings, problems);
                path.truncate(length);
            }
        }
        Content::Map(members) => {
            for index in 0..members.len() {
                let Some(member) = members.get_mut(index) else { continue };
                push_key(path, &member.key);
                walk(&mut member.value, path, surroundings, problems);
                let place = member.key_place;
                let key = replaced(&member.key, (place, path), surroundings, problems);
                path.truncate(length);
                let Some(key) = key else { continue };
                if members.iter().any(|other| other.key == key) {
                    let problem = format!("the key {} is given twice in this map", quoted(&key));
                    problems.push(diagnostic((place, path), problem));
                } else if let Some(member) = members.get_mut(index) {
                    member.key = key;
                }
            }
        }
        Content::Null | Content::Bool(_) | Content::Number(_) => {}
    }
}

/// The text with its variables replaced; `None` where there are none.
fn replaced(
    text: &str,
    at: (Place, &str),
    surroundings: &dyn Surroundings,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    let mut rest = text;
    let mut result = String::new();
    let mut has_any = false;
    while let Some((before, after)) = rest.split_once("${{") {
        let Some((inside, behind)) = after.split_once("}}") else { break };
        let (name, default) = match inside.split_once(":=") {
            Some((name, default)) => (name.trim(), Some(default.trim())),
            None => (inside.trim(), None),
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        result.push_str(before);
        rest = behind;
        if name.is_empty() || !name.chars().all(is_name) {
            // Not a variable: it stays as it is.
            result.extend(["${{", inside, "}}"]);
            continue;
        }
        has_any = true;
        match (surroundings.variable(name), default) {
            (Some(value), _) => result.push_str(&value),
            (None, Some(default)) => result.push_str(default),
            (None, None) => {
                let mut told =
                    diagnostic(at, format!("the environment variable {} is not set", quoted(name)));
                told.help = Some(format!("set it, or write `${{{{{name}:=default}}}}`"));
                problems.push(told);
            }
        }
    }
    result.push_str(rest);
    has_any.then_some(result)
}

/// What a text means after a variable was replaced in it.
fn typed(text: String) -> Content {
    match text.as_str() {
        "true" => return Content::Bool(true),
        "false" => return Content::Bool(false),
        _ => {}
    }
    match text.parse::<Number>() {
        Ok(number) => Content::Number(number),
        Err(_) => Content::Text(text),
    }
}

fn diagnostic((place, path): (Place, &str), problem: String) -> Diagnostic {
    Diagnostic { place: Some(place), path: path.into(), problem, help: None }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::diagnostic::SourceId;
    use crate::document::{Format, read};

    struct Variables;

    impl Surroundings for Variables {
        fn variable(&self, name: &str) -> Option<String> {
            let value = match name {
                "HOST" => "a.test",
                "PORT" => "8080",
                "ON" => "true",
                "EVIL" => "x\", \"admin\": \"y",
                "EMPTY" => "",
                _ => return None,
            };
            Some(value.to_owned())
        }

        fn file(&self, _: &Path, _: u64) -> io::Result<Vec<u8>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn after(text: &str) -> Result<serde_json::Value, Vec<String>> {
        let mut node = read(SourceId(0), text, Format::Yaml).unwrap();
        let problems = substitute(&mut node, &Variables);
        if problems.is_empty() {
            return Ok(node.to_json());
        }
        Err(problems.into_iter().map(|problem| problem.problem).collect())
    }

    #[test]
    fn variables_stand_for_their_values_in_texts_and_keys() {
        for (text, value) in [
            ("a: ${{HOST}}", json!({ "a": "a.test" })),
            ("a: 'http://${{ HOST }}:${{PORT}}/'", json!({ "a": "http://a.test:8080/" })),
            ("a: ${{PORT}}", json!({ "a": 8080 })),
            ("a: ${{ON}}", json!({ "a": true })),
            ("a: [{b: '${{NONE:=7}}'}]", json!({ "a": [{ "b": 7 }] })),
            ("a: ${{NONE:=}}", json!({ "a": "" })),
            ("a: ${{EMPTY:=x}}", json!({ "a": "" })),
            ("'${{HOST}}:1': 1", json!({ "a.test:1": 1 })),
            ("a: ${{EVIL}}", json!({ "a": "x\", \"admin\": \"y" })),
            (
                "a: '$HOST ${HOST} ${{}} ${{a b}} ${{HOST'",
                json!({ "a": "$HOST ${HOST} ${{}} ${{a b}} ${{HOST" }),
            ),
        ] {
            assert_eq!(after(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_set_or_comes_twice_is_a_problem() {
        let missing = "the environment variable `NONE` is not set".to_owned();
        assert_eq!(after("{a: '${{NONE}}', b: '${{NONE}}'}"), Err(vec![missing.clone(), missing]));
        let twice = "the key `a.test` is given twice in this map".to_owned();
        assert_eq!(after("{a.test: 1, '${{HOST}}': 2}"), Err(vec![twice]));
    }
}
