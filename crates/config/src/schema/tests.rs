use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::Sources;
use crate::report::one_line;
use crate::surroundings::Surroundings;

struct Fixed;

impl Surroundings for Fixed {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "KEY").then(|| "s3cret".to_owned())
    }

    fn file(&self, _: &Path, _: u64) -> io::Result<Vec<u8>> {
        Err(io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }
}

struct Outcome {
    lines: Vec<String>,
    value: Value,
    concealed: usize,
}

fn run_with(schema: &Value, text: &str, specials: &[Special], accepts: bool) -> Outcome {
    let mut sources = Sources::new();
    let source = sources.add("f", Path::new(""), text.to_owned());
    let node = sources.read(source).unwrap();
    let resolver = Resolver::new(&Fixed);
    let rules = Rules::new(&resolver, accepts);
    let subject = Subject {
        node: &node,
        here: node.place,
        path: "",
        folder: Path::new(""),
        schema,
        hidden: &["_meta"],
        specials,
    };
    let mut findings = check(&rules, &subject);
    let lines = findings.take_diagnostics();
    Outcome {
        lines: lines.iter().map(|diagnostic| one_line(&sources, diagnostic)).collect(),
        value: node.to_json_with(&findings.edits),
        concealed: findings.concealed.len(),
    }
}

fn run(schema: &Value, text: &str) -> Vec<String> {
    run_with(schema, text, &[], false).lines
}

/// One property `a` of that schema.
fn of(schema: &Value) -> Value {
    json!({ "type": "object", "properties": { "a": schema }, "additionalProperties": false })
}

#[test]
fn values_outside_of_their_schema_are_told_in_words() {
    let named = json!({ "type": "string", "pattern": "^[a-z]+$", "x-expects": "a small word" });
    for (schema, text, expected) in [
        (json!({ "type": "integer" }), "a: x", "1:4: expected an integer, found the string `x`"),
        (
            json!({ "type": "integer" }),
            "a: '7'",
            "1:4: expected an integer, found the string `7`|remove the quotes",
        ),
        (
            json!({ "type": "integer" }),
            "a: 1.0",
            "1:4: expected an integer, found the number `1.0`",
        ),
        (
            json!({ "type": "string" }),
            "a: 7",
            "1:4: expected a string, found the number `7`|put it in quotes",
        ),
        (
            json!({ "type": "boolean" }),
            "a: yes",
            "1:4: expected a boolean, found the string `yes`|write `true`",
        ),
        (
            json!({ "type": "array" }),
            "a: b",
            "1:4: expected a list, found the string `b`|write a list, also for one item",
        ),
        (json!({ "type": ["string", "null"] }), "a: [b]", "1:1: expected a string, found a list"),
        (
            json!({ "type": ["string", "null"] }),
            "a:",
            "1:1: `a` has no value|give it a value or remove the key",
        ),
        (
            json!({ "anyOf": [{ "type": "string" }, { "type": "null" }] }),
            "a: ~",
            "1:4: `a` has no value|give it a value or remove the key",
        ),
        (json!({ "type": "integer", "minimum": 1 }), "a: 0", "1:4: `a` must be at least 1, is `0`"),
        (
            json!({ "type": "integer", "maximum": 9 }),
            "a: 10",
            "1:4: `a` must be at most 9, is `10`",
        ),
        (
            json!({ "type": "number", "exclusiveMinimum": 0 }),
            "a: 0.0",
            "1:4: `a` must be more than 0, is `0.0`",
        ),
        (
            json!({ "type": "number", "exclusiveMaximum": 1 }),
            "a: 1",
            "1:4: `a` must be less than 1, is `1`",
        ),
        (
            json!({ "type": "integer", "format": "uint32", "minimum": 0 }),
            "a: 5000000000",
            "1:4: `a` must be at most 4294967295, is `5000000000`",
        ),
        (
            json!({ "type": "integer", "format": "int8" }),
            "a: -200",
            "1:4: `a` must be at least -128, is `-200`",
        ),
        (json!({ "type": "string", "minLength": 1 }), "a: ''", "1:4: `a` is empty"),
        (
            json!({ "type": "string", "minLength": 3 }),
            "a: äö",
            "1:4: `a` needs at least 3 characters, has 2",
        ),
        (
            json!({ "type": "string", "maxLength": 1 }),
            "a: äö",
            "1:4: `a` may have at most 1 characters, has 2",
        ),
        (
            json!({ "type": "string", "pattern": "^[a-z]+$" }),
            "a: X",
            "1:4: `X` does not match `^[a-z]+$`",
        ),
        (named, "a: X", "1:4: expected a small word, found `X`"),
        (
            json!({ "type": "string", "format": "ipv4" }),
            "a: '::1'",
            "1:4: expected an IPv4 address, found `::1`",
        ),
        (
            json!({ "type": "string", "enum": ["get", "put"] }),
            "a: gte",
            "1:4: expected one of `get` or `put`, found the string `gte`|did you mean `get`?",
        ),
        (json!({ "const": 1 }), "a: 2", "1:4: expected `1`, found the number `2`"),
        (
            json!({ "enum": ["x"], "x-answers": { "y": "is not supported yet" } }),
            "a: y",
            "1:4: `y` is not supported yet",
        ),
        (json!({ "type": "array", "minItems": 1 }), "a: []", "1:1: `a` is an empty list"),
        (
            json!({ "type": "array", "minItems": 3 }),
            "a: [1]",
            "1:1: `a` needs at least 3 items, has 1",
        ),
        (
            json!({ "type": "array", "maxItems": 0 }),
            "a: [1]",
            "1:1: `a` may have at most 0 items, has 1",
        ),
        (
            json!({ "type": "array", "uniqueItems": true }),
            "a: [1, 2, 1]",
            "1:11: the item is given twice",
        ),
        (
            json!({ "type": "array", "items": { "type": "string" } }),
            "a: [b, 1]",
            "1:8: expected a string, found the number `1`|put it in quotes",
        ),
        (json!({ "type": "object", "minProperties": 1 }), "a: {}", "1:1: `a` is an empty map"),
        (
            json!({ "type": "object", "maxProperties": 1 }),
            "a: {b: 1, c: 2}",
            "1:1: `a` may have at most 1 keys, has 2",
        ),
        (json!({ "type": "object", "required": ["b"] }), "a: {}", "1:1: `b` is required"),
        (
            json!({ "dependentRequired": { "b": ["c"] } }),
            "a: {b: 1}",
            "1:1: `b` needs `c` beside it",
        ),
        (
            json!({ "propertyNames": { "pattern": "^x" } }),
            "a: {y: 1}",
            "1:5: `y` does not match `^x`",
        ),
        (
            json!({ "not": { "required": ["b", "c"] } }),
            "a: {b: 1, c: 2}",
            "1:1: only one of `b` or `c` may be given",
        ),
        (
            json!({ "if": { "required": ["b"] }, "then": { "required": ["c"] } }),
            "a: {b: 1}",
            "1:1: `c` is required",
        ),
        (json!(false), "a: 1", "1:1: `a` is not accepted"),
        (
            json!({ "$ref": "#/$defs/none" }),
            "a: 1",
            "1:1: cannot be checked: its schema has a broken `$ref`",
        ),
    ] {
        let lines = run(&of(&schema), text);
        assert_eq!(lines.len(), 1, "{text}: {lines:?}");
        let (problem, help) = expected.split_once('|').unwrap_or((expected, ""));
        let mut line = lines[0].replacen("f:", "", 1);
        if let Some(start) = line.find(" (at a") {
            let end = line[start..].find(')').unwrap() + start;
            line.replace_range(start..=end, "");
        }
        let (told, told_help) = line.split_once("; ").unwrap_or((&line, ""));
        assert_eq!((told, told_help), (problem, help), "{text}");
    }
}

#[test]
fn fitting_values_have_no_problem() {
    for (schema, text) in [
        (json!({ "type": ["integer", "null"] }), "a: 7"),
        (json!({ "type": "null" }), "a: ~"),
        (json!({}), "a: {b: [~, x, 1.5]}"),
        (json!(true), "a: ~"),
        (json!({ "type": "number", "minimum": 0.5 }), "a: 1"),
        (json!({ "type": "integer", "format": "uint64", "minimum": 0 }), "a: 18446744073709551615"),
        (
            json!({ "patternProperties": { "^x-": { "type": "integer" } }, "additionalProperties": false }),
            "a: {x-1: 1}",
        ),
        (
            json!({ "prefixItems": [{ "type": "string" }], "items": { "type": "integer" } }),
            "a: [b, 1, 2]",
        ),
        (json!({ "x-opaque": true }), "a: {b: $env://KEY}"),
    ] {
        assert_eq!(run(&of(&schema), text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn unknown_keys_name_the_nearest_known_one_and_all_are_told() {
    let schema = json!({
        "type": "object",
        "properties": { "count": { "type": "integer" }, "time_window": { "type": "integer" } },
        "required": ["count"],
        "additionalProperties": false
    });
    assert_eq!(
        run(&schema, "cuont: 1\ntime-window: x\n_meta: {}\n"),
        [
            "f:1:1: unknown field `cuont` (at cuont); did you mean `count`?",
            "f:2:1: unknown field `time-window` (at time-window); did you mean `time_window`?",
        ]
    );
}

#[test]
fn keys_known_to_a_part_of_the_schema_are_known() {
    let schema = json!({
        "properties": { "a": true },
        "allOf": [{ "$ref": "#/$defs/b" }],
        "oneOf": [
            { "properties": { "kind": { "const": "x" }, "x": true }, "required": ["kind"] },
            { "properties": { "kind": { "const": "y" }, "y": true }, "required": ["kind"] }
        ],
        "unevaluatedProperties": false,
        "$defs": { "b": { "properties": { "b": { "type": "integer" } } } }
    });
    assert_eq!(run(&schema, "{a: 1, b: 2, kind: x, x: 3}"), Vec::<String>::new());
    assert_eq!(
        run(&schema, "{kind: x, y: 3, b: z}"),
        [
            "f:1:20: expected an integer, found the string `z` (at b)",
            "f:1:11: unknown field `y` (at y); did you mean `a`?",
        ]
        .iter()
        .map(|line| line.replace("did you mean `a`?", "known here: `a`, `b`, `kind` or `x`"))
        .collect::<Vec<_>>()
    );
}

#[test]
fn of_several_forms_the_best_fitting_one_is_judged() {
    let tagged = json!({ "oneOf": [
        { "type": "object", "properties": { "policy": { "const": "local" } }, "required": ["policy"], "additionalProperties": false },
        { "type": "object", "properties": { "policy": { "const": "redis" }, "host": { "type": "string" }, "port": { "type": "integer" } }, "required": ["policy", "host"], "additionalProperties": false }
    ] });
    assert_eq!(
        run(&of(&tagged), "a: {policy: redis, host: h, port: x}"),
        ["f:1:35: expected an integer, found the string `x` (at a.port)"]
    );
    assert_eq!(run(&of(&tagged), "a: {policy: redis}"), ["f:1:1: `host` is required (at a)"]);
    assert_eq!(run(&of(&tagged), "a: 7"), ["f:1:4: expected a map, found the number `7` (at a)"]);
    let sink = json!({ "oneOf": [
        { "const": "stdout" },
        { "type": "object", "properties": { "file": { "type": "string" } }, "required": ["file"], "additionalProperties": false },
        { "type": "object", "properties": { "syslog": { "type": "string" } }, "required": ["syslog"], "additionalProperties": false }
    ] });
    assert_eq!(
        run(&of(&sink), "a: stdot"),
        ["f:1:4: expected `stdout`, found the string `stdot` (at a); did you mean `stdout`?"]
    );
    assert_eq!(
        run(&of(&sink), "a: {fiel: x}"),
        ["f:1:5: expected one of `file` or `syslog`, found `fiel` (at a); did you mean `file`?"]
    );
    assert_eq!(run(&of(&sink), "a: {}"), ["f:1:1: one of `file` or `syslog` is required (at a)"]);
    let size = json!({ "anyOf": [{ "type": "integer", "minimum": 0 }, { "type": "string", "pattern": "^\\d+KiB$" }] });
    assert_eq!(run(&of(&size), "a: 1MB"), ["f:1:4: `1MB` does not match `^\\d+KiB$` (at a)"]);
    assert_eq!(
        run(&of(&size), "a: true"),
        ["f:1:4: expected an integer or a string, found `true` (at a)"]
    );
}

#[test]
fn constants_written_as_forms_are_one_choice() {
    let schema = json!({ "oneOf": [
        { "type": "string", "const": "deny", "description": "refuse" },
        { "type": "string", "const": "count" }
    ], "x-answers": { "drop": "is not supported yet" } });
    assert_eq!(
        run(&of(&schema), "a: dney"),
        [
            "f:1:4: expected one of `deny` or `count`, found the string `dney` (at a); did you mean `deny`?"
        ]
    );
    assert_eq!(run(&of(&schema), "a: drop"), ["f:1:4: `drop` is not supported yet (at a)"]);
    assert_eq!(run(&of(&schema), "a: count"), Vec::<String>::new());
}

#[test]
fn keys_that_exclude_each_other_are_named() {
    let schema = json!({ "oneOf": [{ "required": ["whitelist"] }, { "required": ["blacklist"] }] });
    assert_eq!(
        run(&of(&schema), "a: {}"),
        ["f:1:1: one of `whitelist` or `blacklist` is required (at a)"]
    );
    assert_eq!(
        run(&of(&schema), "a: {whitelist: 1, blacklist: 2}"),
        ["f:1:1: only one of `whitelist` or `blacklist` may be given (at a)"]
    );
    assert_eq!(run(&of(&schema), "a: {blacklist: 2}"), Vec::<String>::new());
}

#[test]
fn references_resolve_in_secrets_and_nowhere_else() {
    let schema = json!({
        "properties": {
            "key": { "type": ["string", "null"], "x-secret": true, "maxLength": 6 },
            "keys": { "type": "array", "items": { "$ref": "#/$defs/Key" } },
            "name": { "type": "string" },
            "free": true
        },
        "$defs": { "Key": { "anyOf": [{ "type": "integer" }, { "type": "string", "x-secret": true }] } }
    });
    let outcome = run_with(&schema, "key: $env://KEY\nkeys: [$ENV://KEY, plain]\n", &[], false);
    assert_eq!(outcome.lines, Vec::<String>::new());
    assert_eq!(outcome.value, json!({ "key": "s3cret", "keys": ["s3cret", "plain"] }));
    assert!(outcome.concealed > 0);

    assert_eq!(
        run(&schema, "key: $env://NONE\nname: $env://KEY\nfree: {a: [$file://x]}\n"),
        [
            "f:1:6: the environment variable `NONE` is not set (at key)",
            "f:2:7: the reference `$env://KEY` stands where nothing keeps its value secret (at name); references are accepted in fields for secrets, certificates and keys only",
            "f:3:12: the reference `$file://x` stands where nothing keeps its value secret (at free.a[0]); references are accepted in fields for secrets, certificates and keys only",
        ]
    );
}

#[test]
fn a_resolved_value_is_checked_and_not_repeated() {
    let schema =
        of(&json!({ "type": "string", "x-secret": true, "maxLength": 3, "pattern": "^[a-z]+$" }));
    assert_eq!(
        run(&schema, "a: $env://KEY"),
        ["f:1:4: the value does not match `^[a-z]+$` (at a)"]
    );
    assert_eq!(run(&schema, "a: HUNTER2"), ["f:1:4: the value does not match `^[a-z]+$` (at a)"]);
}

#[test]
fn environment_placeholders_of_apisix_are_refused() {
    assert_eq!(
        run(&of(&json!({ "type": "string" })), "a: ${{HOST:=x}}"),
        [
            "f:1:4: `${{…}}` is replaced in documents of a `file` store only (at a); use `$env://NAME`, which secrets, certificates and keys may hold"
        ]
    );
}

#[test]
fn special_fields_have_their_own_answer_also_where_they_are_known() {
    let schema = json!({ "properties": { "rules": { "items": { "additionalProperties": false } } }, "additionalProperties": false });
    let special = |path: &str, standing| Special {
        path: path.to_owned(),
        owner: "`limit-count`".to_owned(),
        standing,
    };
    let specials = [
        special("rules[].key", Standing::NotYet("use `key`")),
        special("lua", Standing::Refused("it is code")),
    ];
    assert_eq!(
        run_with(&schema, "{rules: [{key: 1}], lua: x}", &specials, false).lines,
        [
            "f:1:11: `key` of `limit-count` is not supported yet: use `key` (at rules[0].key)",
            "f:1:21: `lua` of `limit-count` is refused: it is code (at lua)",
        ]
    );
}

#[test]
fn fields_that_fail_open_are_refused_by_the_name_of_their_twin() {
    let schema = json!({
        "properties": {
            "danger_allow_degradation": { "type": "boolean", "default": false },
            "danger_ssl_verify": { "type": "boolean", "default": true }
        },
        "additionalProperties": false
    });
    assert_eq!(
        run(&schema, "allow_degradation: true\nssl_verify: false\n"),
        [
            "f:1:1: `allow_degradation: true` weakens protection (at allow_degradation); where it is meant, write `danger_allow_degradation: true`",
            "f:2:1: `ssl_verify: false` weakens protection (at ssl_verify); where it is meant, write `danger_ssl_verify: false`",
        ]
    );
    let harmless = run_with(&schema, "allow_degradation: false\nssl_verify: true\n", &[], false);
    assert_eq!((harmless.lines, harmless.value), (Vec::new(), json!({})));
    let accepted = run_with(&schema, "allow_degradation: true\nssl_verify: false\n", &[], true);
    assert_eq!(accepted.lines, Vec::<String>::new());
    assert_eq!(
        accepted.value,
        json!({ "danger_allow_degradation": true, "danger_ssl_verify": false })
    );
    let both = "{ssl_verify: false, danger_ssl_verify: true}";
    assert_eq!(run_with(&schema, both, &[], true).lines.len(), 1);
}

#[test]
fn schemas_that_cannot_be_followed_fail_closed() {
    let endless = json!({ "$ref": "#" });
    assert_eq!(run(&endless, "a: 1"), ["f:1:1: is too involved to be checked"]);
    let broken = of(&json!({ "type": "string", "pattern": "(" }));
    assert_eq!(
        run(&broken, "a: x"),
        ["f:1:4: cannot be checked: its schema has a broken `pattern` (at a)"]
    );
}

#[test]
fn a_schema_is_followed_so_deep_and_so_many_problems_are_collected() {
    let nested = |levels| (1..levels).fold(json!({}), |inner, _| json!({ "allOf": [inner] }));
    for (levels, told) in [(399, 0), (400, 0), (401, 1)] {
        assert_eq!(run(&nested(levels), "a: 1").len(), told, "{levels}");
    }
    let none = json!({ "type": "array", "items": { "type": "string" } });
    for (count, told) in [(999, 999), (1_000, 1_000), (1_001, 1_000)] {
        let text = format!("[{}]", vec!["7"; count].join(", "));
        assert_eq!(run(&none, &text).len(), told);
    }
}

#[test]
fn the_deepest_document_can_be_checked_against_a_schema_of_itself() {
    let schema = json!({
        "$ref": "#/$defs/any",
        "$defs": { "any": { "anyOf": [
            { "type": "array", "items": { "$ref": "#/$defs/any" } },
            { "allOf": [{ "type": "object", "additionalProperties": { "$ref": "#/$defs/any" } }] },
            { "type": "string" }
        ] } }
    });
    let nested = |leaf: &str| format!("{}{leaf}{}", "{a: [".repeat(32), "]}".repeat(32));
    assert_eq!(run(&schema, &nested("x")), Vec::<String>::new());
    assert_eq!(run(&schema, &nested("7")).len(), 1);
}

#[test]
fn keywords_that_are_not_checked_are_found() {
    let schema = json!({
        "$schema": "s", "type": "object", "multipleOf": 2,
        "properties": { "contains": { "items": { "contains": {} } } },
        "x-note": 1
    });
    assert_eq!(
        unsupported_keywords(&schema),
        ["#/multipleOf", "#/properties/contains/items/contains"]
    );
}

#[test]
fn a_walk_takes_so_many_steps_and_no_more() {
    let mut sources = Sources::new();
    let source = sources.add("f", Path::new(""), "text".to_owned());
    let node = sources.read(source).unwrap();
    let (resolver, schema) = (Resolver::new(&Fixed), json!({ "type": "string" }));
    let rules = Rules::new(&resolver, false);
    let subject = Subject {
        node: &node,
        here: node.place,
        path: "",
        folder: Path::new(""),
        schema: &schema,
        hidden: &[],
        specials: &[],
    };
    for (taken, is_checked) in [(STEPS_MAX - 2, true), (STEPS_MAX - 1, true), (STEPS_MAX, false)] {
        let mut walk = walk::Walk::new(&rules, &subject);
        walk.taken = taken;
        let mut findings = Findings::default();
        walk.value(&node, node.place, &schema, walk::Marks::default(), &mut findings);
        assert_eq!(findings.is_clean(), is_checked, "{taken}");
    }
}
