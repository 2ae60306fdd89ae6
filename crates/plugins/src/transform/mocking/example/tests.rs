//! Schemas and the examples that are made of them.

use proptest::prelude::*;

use super::*;

fn made(schema: &Value) -> Result<Value, String> {
    let validator = validator(schema, false).unwrap();
    example(schema, &validator).map_err(|fault| fault.problem)
}

#[test]
fn schemas_have_the_plainest_example() {
    for (schema, expected) in [
        (json!({"type": "string"}), json!("text")),
        (json!({"type": "string", "maxLength": 2}), json!("te")),
        (json!({"type": "string", "minLength": 6}), json!("textxx")),
        (json!({"type": "string", "format": "ipv4"}), json!("192.0.2.1")),
        (json!({"type": "string", "pattern": "^[a-z]+$"}), json!("text")),
        (json!({"type": "integer"}), json!(0)),
        (json!({"type": "integer", "exclusiveMinimum": 4, "multipleOf": 3}), json!(6)),
        (json!({"type": "integer", "maximum": -5, "multipleOf": 4}), json!(-8)),
        (json!({"type": "number", "minimum": 0.5}), json!(0.5)),
        (json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}), json!(0.5)),
        (json!({"type": "number", "maximum": -1.5}), json!(-1.5)),
        (json!({"type": "boolean"}), json!(true)),
        (json!({"type": ["null", "string"]}), json!("text")),
        (json!({"type": "array", "items": {"type": "integer"}}), json!([0])),
        (json!({"type": "array", "items": {"const": 1}, "minItems": 3}), json!([1, 1, 1])),
        (json!({"type": "array", "items": {"const": 1}, "maxItems": 0}), json!([])),
        (json!({"prefixItems": [{"const": 1}, {"const": 2}], "items": false}), json!([1, 2])),
        (json!({"enum": ["b", "a"]}), json!("b")),
        (json!({"type": "string", "example": "e", "default": "d"}), json!("e")),
        (json!({"type": "string", "examples": ["x", "y"]}), json!("x")),
        (
            json!({"properties": {"a": {"type": "integer"}}, "required": ["b"]}),
            json!({"a": 0, "b": null}),
        ),
        (
            json!({"allOf": [
                {"properties": {"a": {"const": 1}}, "required": ["a"]},
                {"properties": {"b": {"const": 2}}},
            ]}),
            json!({"a": 1, "b": 2}),
        ),
        (json!({"oneOf": [false, {"type": "integer"}]}), json!(0)),
        (
            json!({"anyOf": [{"$ref": "#/$defs/none"}, {"const": 3}], "$defs": {"none": false}}),
            json!(3),
        ),
        (json!({}), json!(null)),
    ] {
        assert_eq!(made(&schema), Ok(expected), "{schema}");
    }
}

#[test]
fn what_leads_into_itself_ends() {
    let tree = json!({
        "$ref": "#/$defs/tree",
        "$defs": {"tree": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "left": {"$ref": "#/$defs/tree"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/tree"}},
            },
        }},
    });
    assert_eq!(made(&tree), Ok(json!({"name": "text", "children": []})));
    let endless = json!({
        "$ref": "#/$defs/a",
        "$defs": {"a": {"properties": {"a": {"$ref": "#/$defs/a"}}, "required": ["a"]}},
    });
    assert!(made(&endless).unwrap_err().contains("nothing finite"));
}

#[test]
fn what_cannot_be_made_says_so() {
    for (schema, problem) in [
        (json!({"type": "string", "pattern": "^[0-9]+$"}), "text"),
        (json!({"type": "integer", "minimum": 5, "maximum": 4}), "4"),
        (
            json!({"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": true}),
            "unique",
        ),
        (json!({"type": "string", "minLength": 10_001}), "10000 values"),
        (json!(false), "nothing finite"),
    ] {
        let validator = validator(&schema, false).unwrap();
        let fault = example(&schema, &validator).unwrap_err();
        assert!(fault.problem.contains(problem), "{schema}: {}", fault.problem);
    }
}

#[test]
fn what_is_too_large_is_given_up() {
    let mut schema = json!({"type": "string"});
    for _ in 0..20 {
        schema = json!({"type": "array", "items": schema, "minItems": 9});
    }
    assert!(made(&schema).unwrap_err().contains("10000 values"));
}

/// Schemas for which there is an example.
fn schemas() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!({"type": "boolean"})),
        (0_u64..20, 0_u64..20).prop_map(|(least, more)| {
            json!({"type": "string", "minLength": least, "maxLength": least + more})
        }),
        (-50_i64..50, 1_i64..9).prop_map(|(least, step)| {
            json!({"type": "integer", "minimum": least, "multipleOf": step})
        }),
        (-50_i64..50, 1_i64..50).prop_map(|(above, width)| {
            json!({"type": "number", "exclusiveMinimum": above, "exclusiveMaximum": above + width})
        }),
        prop::sample::select(vec!["date-time", "email", "uuid", "ipv6", "uri", "date"])
            .prop_map(|format| json!({"type": "string", "format": format})),
    ];
    leaf.prop_recursive(4, 64, 5, |inner| {
        let members = prop::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            members.prop_map(|members| {
                let name = |index: usize| format!("p{index}");
                let required: Vec<String> = (0..members.len()).step_by(2).map(name).collect();
                let properties: Map<String, Value> =
                    members.into_iter().enumerate().map(|(i, m)| (name(i), m)).collect();
                json!({"type": "object", "properties": properties, "required": required})
            }),
            (inner.clone(), 0_u64..4).prop_map(|(items, least)| {
                json!({"type": "array", "items": items, "minItems": least})
            }),
            inner.prop_map(|form| json!({"anyOf": [false, form]})),
        ]
    })
}

proptest! {
    /// That it fits is what `example` itself sees to; it must also find one.
    #[test]
    fn schemas_that_can_be_satisfied_are(schema in schemas()) {
        let first = made(&schema);
        prop_assert!(first.is_ok(), "{schema}: {first:?}");
        prop_assert_eq!(first, made(&schema));
    }
}
