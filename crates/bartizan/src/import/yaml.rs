//! JSON as YAML that people read: blocks of maps and lists, and texts quoted where YAML would take
//! them for something else.

use serde_json::Value;

/// The document of a value.
pub(super) fn document(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

/// A value on lines of its own, each indented by so many blanks.
fn block(value: &Value, indent: usize, text: &mut String) {
    let blanks = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, member) in members {
                text.extend([&blanks, &scalar(key), ":"]);
                behind(member, indent + 2, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                text.extend([&blanks, "-"]);
                behind_dash(item, indent, text);
            }
        }
        value => text.extend([&blanks, &flow(value), "\n"]),
    }
}

/// A value behind a key.
fn behind(value: &Value, indent: usize, text: &mut String) {
    if is_block(value) {
        text.push('\n');
        block(value, indent, text);
    } else {
        text.extend([" ", &flow(value), "\n"]);
    }
}

/// An item of a list; a map begins on the line of its dash.
fn behind_dash(item: &Value, indent: usize, text: &mut String) {
    if !is_block(item) {
        text.extend([" ", &flow(item), "\n"]);
        return;
    }
    let mut inner = String::new();
    block(item, indent + 2, &mut inner);
    text.push(' ');
    text.push_str(inner.trim_start_matches(' '));
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        value => value.to_string(),
    }
}

/// A text, plain where nothing else can be meant by it.
fn scalar(text: &str) -> String {
    const RESERVED: [&str; 10] =
        ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"];
    let begins =
        text.chars().next().is_some_and(|first| first.is_ascii_alphabetic() || first == '/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./*".contains(c);
    let lower = text.to_ascii_lowercase();
    if begins && text.chars().all(is_plain) && !RESERVED.contains(&lower.as_str()) {
        return text.to_owned();
    }
    // JSON's texts are YAML's in double quotes; `/` needs no escape in either.
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bartizan_config::Sources;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let value = json!({
            "routes": [
                { "id": "1", "uris": ["/a", "/b/*"], "plugins": {}, "labels": [] },
                { "uri": "*", "vars": [["arg_x", "==", "~"], [["a"], []]], "status": 1 },
            ],
            "on": "off", "true": "yes", "number": "1.5", "octal": "0o7", "empty": "",
            "hash": "a #b", "colon": "a: b", "dash": "- a", "lines": "a\nb\t\u{85}\u{2028}ä",
            "quote": "\"'\\", "null": null, "float": 1.25, "tilde": "~", "at": "@a", "date": "2001-01-01",
            "inf": ".inf", "merge": "<<", "doc": "---", "a b": { "c": { "d": [[1, [2]], {}] } },
        });
        let text = document(&value);
        let mut sources = Sources::new();
        let (source, problem) =
            sources.add_bytes("a.yaml", Path::new(""), text.clone().into_bytes());
        assert!(problem.is_none(), "{text}");
        assert_eq!(sources.read(source).unwrap().to_json(), value, "{text}");
    }

    #[test]
    fn people_can_read_it() {
        let value =
            json!({ "routes": [{ "id": "1", "uri": "/a/*", "plugins": { "key-auth": {} } }] });
        let expected = "\
routes:
  - id: \"1\"
    uri: /a/*
    plugins:
      key-auth: {}
";
        assert_eq!(document(&value), expected);
    }
}
