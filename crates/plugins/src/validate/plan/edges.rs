//! What stands on either side of each bound: a plan may be less sure there, never wrong.

use bartizan_chain::JsonLimits;
use jsonschema::Draft;
use serde_json::{Map, Value, json};

use super::law::law;
use super::tests::{build, compile};
use super::*;

const LIMITS: JsonLimits = JsonLimits { depth: 120, items: 10_000 };

/// What the plan of a schema says of a body, held against the validator.
fn said(schema: &Value, body: &str) -> Option<bool> {
    let (plan, validator) = compile(schema, Draft::Draft202012).unwrap();
    law(&plan, schema, &validator, body.as_bytes(), LIMITS)
}

/// The plan alone, where no validator would bear the schema.
fn plan(schema: &Value) -> Option<Plan> {
    let build = |part: &Value| build(part, Draft::Draft202012);
    let dialect = Dialect { draft: Draft::Draft202012, refuses_read_only: false, build: &build };
    Plan::compile(schema, dialect)
}

fn nested(levels: usize, inner: &str) -> String {
    format!("{}{inner}{}", "[".repeat(levels), "]".repeat(levels))
}

fn list(items: &[String]) -> String {
    format!("[{}]", items.join(","))
}

/// Lists of items that differ, and such in which one occurs again at the end: the first, the
/// middle one or the last.
fn with_and_without_a_repeated_one(items: &[String]) -> Vec<(Vec<String>, bool)> {
    let last = items.len() - 1;
    let again = [0, last / 2, last - 1].map(|place| {
        let mut items = items.to_vec();
        items[last] = items[place].clone();
        (items, false)
    });
    [(items.to_vec(), true)].into_iter().chain(again).collect()
}

#[test]
fn names_are_distinct_however_many_there_are() {
    for count in 46..=51 {
        let names: Vec<String> = (0..count).map(|n| format!("\"n{n}\"")).collect();
        for (names, differ) in with_and_without_a_repeated_one(&names) {
            let members: Vec<String> = names.iter().map(|name| format!("{name}:1")).collect();
            for body in [
                format!("{{{}}}", members.join(",")),
                format!("{{\"a\":[{{}}],{}}}", members.join(",")),
            ] {
                let is_read = Document::read(body.as_bytes(), LIMITS).is_some();
                assert_eq!(is_read, differ, "{body}");
                let reads = bartizan_chain::parse_strict(body.as_bytes(), LIMITS).is_ok();
                assert_eq!(reads, differ, "{body}");
            }
        }
    }
}

#[test]
fn items_are_distinct_however_many_there_are() {
    let schema = json!({"uniqueItems": true});
    for count in 30..=35 {
        for items in [
            (0..count).map(|n| n.to_string()).collect::<Vec<_>>(),
            (0..count).map(|n| format!("\"{n}\"")).collect(),
            (0..count).map(|n| format!("{n}.5")).collect(),
        ] {
            for (items, differ) in with_and_without_a_repeated_one(&items) {
                assert_eq!(said(&schema, &list(&items)), Some(differ), "{items:?}");
            }
        }
    }
}

#[test]
fn long_integers_are_distinct_as_their_values_are() {
    let schema = json!({"uniqueItems": true});
    for digits in 16..=23 {
        for sign in ["", "-"] {
            let number = |last: u32| format!("{sign}1{}{last}", "0".repeat(digits - 2));
            let differ = said(&schema, &list(&[number(0), number(1)]));
            // What no integer holds is rounded, and then it is the same.
            let longest = if sign.is_empty() { 20 } else { 19 };
            assert_eq!(differ, Some(digits <= longest), "{}", number(0));
            assert_eq!(said(&schema, &list(&[number(1), number(1)])), Some(false));
        }
    }
}

#[test]
fn texts_of_short_and_long_lists_are_found() {
    for count in 1..=20 {
        let mut values: Vec<Value> = (0..count).map(|n| json!(format!("t{n}"))).collect();
        for _ in 0..2 {
            let schema = json!({ "enum": values });
            for n in 0..count {
                assert_eq!(said(&schema, &format!("\"t{n}\"")), Some(true), "{count}");
                assert_eq!(said(&schema, &format!("\"\\u0074{n}\"")), Some(true), "{count}");
            }
            for other in [&format!("\"t{count}\""), "\"\"", "\"T0\"", "null", "0", "0.5", "[]"] {
                assert_eq!(said(&schema, other), Some(false), "{count}: {other}");
            }
            values.reverse();
        }
    }
}

#[test]
fn integers_of_a_list_are_found_in_any_order() {
    let schema = json!({"enum": [7, -3, 1e2, 12, 0, u64::MAX, 5, i64::MIN, "7"]});
    for listed in ["7", "-3", "100", "12", "0", "5", "18446744073709551615", "7.0", "1e2"] {
        assert_eq!(said(&schema, listed), Some(true), "{listed}");
    }
    for other in ["6", "-4", "1", "18446744073709551614", "7.5", "null"] {
        assert_eq!(said(&schema, other), Some(false), "{other}");
    }
}

#[test]
fn schemas_in_schemas_are_known_at_any_depth() {
    for levels in [1, 62, 63, 64, 65, 66, 80] {
        let inner = json!({"type": "integer", "minimum": 3});
        let schema = (0..levels).fold(inner, |inner, _| json!({"type": "array", "items": inner}));
        assert_eq!(said(&schema, &nested(levels, "3")), Some(true), "{levels}");
        for inner in ["2", "3.5", "[]"] {
            assert_eq!(said(&schema, &nested(levels, inner)), Some(false), "{levels}");
        }
    }
}

#[test]
fn depth_does_not_grow_from_reference_to_reference() {
    let deep = |inner: Value| (0..40).fold(inner, |inner, _| json!({"items": inner}));
    let schema = json!({
        "items": deep(json!({"$ref": "#/$defs/deep"})),
        "$defs": {"deep": deep(json!({"type": "integer"}))},
    });
    assert_eq!(said(&schema, &nested(81, "1")), Some(true));
    assert_eq!(said(&schema, &nested(81, "\"\"")), Some(false));
}

#[test]
fn a_long_chain_of_references_is_followed() {
    let next = |n: usize| (n.to_string(), json!({"$ref": format!("#/$defs/{}", n + 1)}));
    let mut definitions: Map<String, Value> = (0..60_000).map(next).collect();
    definitions.insert("60000".into(), json!({"type": "integer"}));
    let plan = plan(&json!({"$ref": "#/$defs/0", "$defs": definitions})).unwrap();
    let document = Document::read(b"1", LIMITS).unwrap();
    assert_eq!(plan.judge(&document), Verdict::Unsure);
}

#[test]
fn schemas_that_lead_to_themselves_judge_so_deep_and_no_deeper() {
    // Every level of the body is two of schemas: the items and what they refer to.
    let schema = json!({"type": ["array", "integer"], "items": {"$ref": "#"}});
    for levels in 90..=100 {
        for (inner, fits) in [("1", true), ("\"\"", false)] {
            let verdict = (levels <= 96).then_some(fits);
            assert_eq!(said(&schema, &nested(levels, inner)), verdict, "{levels}");
        }
    }
}

#[test]
fn a_body_is_not_read_into_values_again_at_each_of_its_levels() {
    let schema = json!({"type": ["array", "integer"], "uniqueItems": true, "items": {"$ref": "#"}});
    let numbers: Vec<String> = (0..1_000).map(|n| n.to_string()).collect();
    let body =
        |levels: usize| format!("{}{}{}", "[1,".repeat(levels), list(&numbers), "]".repeat(levels));
    // The list of numbers is read for itself and once for each level around it.
    for (levels, verdict) in
        [(1, Some(true)), (2, Some(true)), (3, Some(true)), (5, None), (90, None)]
    {
        assert_eq!(said(&schema, &body(levels)), verdict, "{levels}");
    }
    // Small bodies are worth no count.
    assert_eq!(said(&schema, "[[1,[2,[3,[4,[5,[6,[7,[8,[]]]]]]]]]]"), Some(true));
}

#[test]
fn so_many_bytes_are_read_into_values_and_no_more() {
    // Each schema has the whole body read: it is worth four readings, and 4 KiB more.
    for (readings, most) in [(5, 4_096), (6, 2_048), (8, 1_024)] {
        let schema = json!({"allOf": vec![json!({"uniqueItems": true}); readings]});
        let numbers: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let numbers = numbers.join(",");
        for (size, verdict) in [(most - 1, Some(true)), (most, Some(true)), (most + 1, None)] {
            let body = format!("[{numbers}{}]", " ".repeat(size - numbers.len() - 2));
            assert_eq!((body.len(), said(&schema, &body)), (size, verdict), "{readings}");
        }
    }
    let schema = json!({"allOf": vec![json!({"uniqueItems": true}); 4]});
    let numbers: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    assert_eq!(said(&schema, &list(&numbers)), Some(true));
}

#[test]
fn a_plan_has_so_many_schemas_and_no_more() {
    // The root is one as well.
    let schema = |count: usize| json!({"allOf": vec![true; count]});
    for (count, is_known) in [(65_534, true), (65_535, true), (65_536, false)] {
        assert_eq!(plan(&schema(count)).is_some(), is_known, "{count}");
    }
}

#[test]
fn as_many_names_are_required_as_a_plan_can_tell_apart() {
    let names: Vec<String> = (0..65_536).map(|n| format!("n{n}")).collect();
    for (count, is_known) in [(65_534, true), (65_535, true), (65_536, false)] {
        let schema = json!({"required": &names[..count], "properties": {"n1": {"const": 1}}});
        let Some(plan) = plan(&schema) else {
            assert!(!is_known, "{count}");
            continue;
        };
        let verdict = |members: &[String]| {
            let members: Vec<String> = members.iter().map(|name| format!("\"{name}\":1")).collect();
            let limits = JsonLimits { depth: 1, items: 100_000 };
            let body = format!("{{{}}}", members.join(","));
            plan.judge(&Document::read(body.as_bytes(), limits).unwrap())
        };
        assert_eq!(verdict(&names[..count]), Verdict::Holds, "{count}");
        assert_eq!(verdict(&names[1..count]), Verdict::Fails, "{count}");
        assert_eq!(verdict(&names[..count - 1]), Verdict::Fails, "{count}");
    }
}
