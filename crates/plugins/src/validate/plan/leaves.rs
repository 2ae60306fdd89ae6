//! Which values and names a plan calls harmless, and that wrong ones would be noticed.

use jsonschema::Draft;
use serde_json::{Value, json};

use super::law::Claims;
use super::tests::{LIMITS, compile};
use super::*;

fn harmless(schema: &Value, body: &str) -> Vec<String> {
    let (plan, _) = compile(schema, Draft::Draft202012).unwrap();
    let document = Document::read(body.as_bytes(), LIMITS).unwrap();
    assert!(plan.accepts(&document), "{body}");
    let leaves = plan.leaves(&document).into_iter().filter(|leaf| leaf.is_harmless);
    leaves.map(|leaf| body[leaf.range].to_owned()).collect()
}

#[test]
fn values_without_room_for_harm_are_named() {
    let schema = json!({"properties": {
        "count": {"type": "integer"},
        "is": {"type": ["boolean", "null", "string"]},
        "free": {"type": "string"},
        "size": {"enum": ["s <m>", "l"]},
        "at": {"format": "date-time"},
        "mail": {"format": "email"},
        "code": {"pattern": "^[a-z]{2}-[0-9]+$"},
        "word": {"pattern": "^[^<>]+$"},
        "part": {"pattern": "^[a-z]+"},
        "list": {"items": {"$ref": "#/$defs/id"}},
        "open": {},
    }, "$defs": {"id": {"format": "uuid"}}});
    let id = "67e55044-10b1-426f-9247-bb680e5fe0c8";
    let body = format!(
        r#"{{"count": 1, "is": null, "free": "x", "size": "s <m>", "at": "2024-02-29T12:00:00+01:00",
        "mail": "a@example.com", "code": "ab-1", "word": "x", "part": "x", "list": ["{id}"],
        "open": 1, "other": 1}}"#
    );
    assert_eq!(
        harmless(&schema, &body),
        [
            "1",
            "null",
            "\"s <m>\"",
            "\"2024-02-29T12:00:00+01:00\"",
            "\"ab-1\"",
            &format!("\"{id}\""),
        ]
    );
}

#[test]
fn names_that_a_schema_states_are_told_from_those_that_clients_choose() {
    let schema = json!({"properties": {
        "free": {"type": "string"},
        "any": true,
        "list": {"items": {"properties": {"a": {"type": "string"}}}},
        "map": {"additionalProperties": {"type": "string"}},
        "named": {"patternProperties": {"^x": {"type": "string"}}},
        "part": {"allOf": [{"properties": {"p": {}}}, {"properties": {"q": {"type": "integer"}}}]},
        "either": {"anyOf": [{"properties": {"e": {}}}, {"type": "string"}]},
    }});
    let body = r#"{"free": "0", "any": "1", "list": [{"a": "2", "b": "3"}], "map": {"m": "4"},
        "named": {"x": "5"}, "part": {"p": "6", "q": 7, "r": "8"}, "either": {"e": "9"},
        "other": "10", "\u0066ree": "11"}"#;
    let (plan, _) = compile(&schema, Draft::Draft202012).unwrap();
    let document = Document::read(body.as_bytes(), LIMITS);
    let body = body.replace(r#""\u0066ree": "11""#, r#""more": {"free": "11"}"#);
    assert!(document.is_none(), "a name that stands twice");
    let document = Document::read(body.as_bytes(), LIMITS).unwrap();
    let named = plan.leaves(&document).into_iter().filter(|leaf| leaf.is_named);
    let named: Vec<&str> = named.map(|leaf| &body[leaf.range]).collect();
    assert_eq!(named, ["\"0\"", "\"1\"", "\"2\"", "\"6\"", "7"]);
}

#[test]
fn claims_that_do_not_hold_are_found() {
    let schema = json!({"properties": {
        "n": {"type": "integer"},
        "day": {"format": "date"},
        "list": {"items": {"enum": ["a", "b"]}},
        "in": {"properties": {"n": {"type": "integer"}}},
    }});
    let body = br#"{"n":7,"m":7,"day":"2024-02-29","x":"2024-02-29","y":"\u0061",
        "list":["a","b"],"in":{"n":70,"o":7}}"#;
    let (plan, validator) = compile(&schema, Draft::Draft202012).unwrap();
    let document = Document::read(body, LIMITS).unwrap();
    let claims = Claims { schema: &schema, validator: &validator, body };
    let leaves = plan.leaves(&document);
    let texts: Vec<&[u8]> = leaves.iter().map(|leaf| &body[leaf.range.clone()]).collect();
    assert_eq!(texts, [&b"7"[..], b"\"2024-02-29\"", b"\"a\"", b"\"b\"", b"70"]);
    assert_eq!(claims.hold(&leaves), Ok(()));

    let place = |text: &str, nth: usize| {
        let places = body.windows(text.len()).enumerate().filter(|(_, at)| *at == text.as_bytes());
        let start = places.map(|(start, _)| start).nth(nth).unwrap();
        start..start + text.len()
    };
    let fault = |range: std::ops::Range<usize>, is_harmless: bool| {
        let leaf = Leaf { range, is_harmless, is_named: !is_harmless };
        claims.hold(&[leaf]).err().unwrap_or_default()
    };
    for (range, is_harmless, wanted) in [
        (place("7", 0), true, ""),
        (place("7", 0), false, ""),
        // The same value, where nothing is said of it.
        (place("7", 1), true, "may be anything"),
        (place("7", 1), false, "does not state"),
        (place("\"2024-02-29\"", 0), true, ""),
        (place("\"2024-02-29\"", 1), true, "may be harmful"),
        (place("\"2024-02-29\"", 1), false, "does not state"),
        (place("\"\\u0061\"", 0), true, "has an escape"),
        // Others than values.
        (place("7", 2), true, "no place"),
        (place("2024", 0), true, "no place"),
        (place("\"n\"", 0), true, "no place"),
        (place("[\"a\",\"b\"]", 0), true, "no leaf"),
        (place("\"a\",\"b\"", 0), true, "no value"),
        (place(":70", 0), true, "no value"),
        (body.len()..body.len() + 1, true, "outside"),
        // Inside of what is stated.
        (place("70", 0), false, ""),
        (place("7", 3), false, "does not state"),
    ] {
        let said = fault(range.clone(), is_harmless);
        assert!(said.contains(wanted) && said.is_empty() == wanted.is_empty(), "{range:?}: {said}");
    }
    let mut turned = leaves;
    turned.reverse();
    assert!(claims.hold(&turned).unwrap_err().contains("out of order"));
}

#[test]
fn what_may_not_hold_or_is_escaped_proves_nothing() {
    let code = json!({"pattern": "^[a-z]+$"});
    for schema in [
        json!({"items": {"anyOf": [code, {"type": "string"}]}}),
        json!({"items": {"oneOf": [code, {"type": "array"}]}}),
        json!({"items": {"if": code, "then": code}}),
        json!({"items": {"not": {"not": code}}}),
    ] {
        assert!(harmless(&schema, r#"["abc"]"#).is_empty(), "{schema}");
    }
    let types = ["null", "boolean", "number", "string", "array", "object"];
    for types in [&types[..], &["integer"], &types[..5]] {
        let schema = json!({"items": {"type": types}});
        let proven = harmless(&schema, "[1]");
        assert_eq!(proven.is_empty(), types.len() == 6, "{schema}");
    }
    let schema = json!({"items": {"allOf": [code]}});
    assert_eq!(harmless(&schema, r#"["abc", "\u0061"]"#), ["\"abc\""]);
}
