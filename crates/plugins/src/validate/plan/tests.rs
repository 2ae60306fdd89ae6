//! Plans against the validator of the whole schema.

use bartizan_chain::{JsonLimits, parse_strict};
use jsonschema::{Draft, Validator};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use serde_json::{Map, Value, json};

use super::law::law;
use super::*;
use crate::validate::schema_options;

pub(super) const LIMITS: JsonLimits = JsonLimits { depth: 12, items: 300 };

pub(super) fn build(schema: &Value, draft: Draft) -> Option<Validator> {
    // Not every draft knows every format that is tried here.
    let options = schema_options().should_ignore_unknown_formats(true);
    options.with_draft(draft).build(schema).ok()
}

pub(super) fn compile(schema: &Value, draft: Draft) -> Option<(Plan, Validator)> {
    let validator = build(schema, draft)?;
    let build = |part: &Value| build(part, draft);
    let dialect = Dialect { draft, refuses_read_only: false, build: &build };
    Some((Plan::compile(schema, dialect)?, validator))
}

/// Decisions, taken from random bytes; the first when they run out.
struct Choices<'c>(std::slice::Iter<'c, u8>);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or(0)) % count
    }

    fn one<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn rarely(&mut self) -> bool {
        self.below(8) == 7
    }
}

const NAMES: [&str; 6] = ["a", "id", "name", "long_name_1", "long_name_2", "é"];
const PATTERNS: [&str; 12] = [
    "^[a-z]+$",
    "^[^@ ]+@[^@ ]+$",
    "^[0-9]{2,3}$",
    "^a*b?[a-z]$",
    r"^\d+\.\d{2}$",
    r"^[A-Za-z0-9_.\-]{0,8}$",
    "a",
    "^(a|b)+$",
    r"^[\w-]+$",
    "^a",
    "^x{2}y{0,2}$",
    "^é+$",
];
const FORMATS: [&str; 8] =
    ["uuid", "date", "date-time", "ipv4", "ipv6", "email", "hostname", "duration"];
const TEXTS: [&str; 20] = [
    "",
    "a",
    "ab",
    "a@b",
    "é",
    "ééé",
    "aé",
    "12",
    "123",
    "12.50",
    "xxyy",
    "aab",
    "\\u0061",
    "a\\n",
    "2024-02-29",
    "2024-02-29T12:00:00Z",
    "127.0.0.1",
    "::1",
    "67e55044-10b1-426f-9247-bb680e5fe0c8",
    "\\ud83d\\ude00",
];
const NUMBERS: [&str; 20] = [
    "0",
    "1",
    "2",
    "3",
    "-1",
    "-0",
    "1.0",
    "2.5",
    "0.1",
    "1e2",
    "-3.25",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "1e300",
    "0.30000000000000004",
    "1e-7",
    "6",
    "0.3",
];

fn bound(c: &mut Choices<'_>) -> Value {
    c.one(&[0, 1, 2, 3]).into()
}

fn number(c: &mut Choices<'_>) -> Value {
    serde_json::from_str(c.one(&NUMBERS)).unwrap()
}

fn constant(c: &mut Choices<'_>) -> Value {
    match c.below(8) {
        0 => Value::Null,
        1 => true.into(),
        2 => number(c),
        3 => json!([1]),
        4 => json!({"a": 1}),
        _ => serde_json::from_str(&format!("\"{}\"", c.one(&TEXTS))).unwrap(),
    }
}

fn schemas(c: &mut Choices<'_>, draft: Draft, depth: u32) -> Value {
    (0..=c.below(2)).map(|_| schema(c, draft, depth)).collect()
}

/// A schema of the keywords that are known, and now and then another.
fn schema(c: &mut Choices<'_>, draft: Draft, depth: u32) -> Value {
    let mut schema = Map::new();
    let is_old = draft == Draft::Draft4;
    for _ in 0..=c.below(4) {
        let (keyword, said) = match c.below(if depth == 0 { 17 } else { 30 }) {
            0..=3 => ("type", c.one(&["string", "integer", "number", "object", "array"]).into()),
            4 => ("type", json!(["null", c.one(&["boolean", "integer", "string"])])),
            5 => ("minLength", bound(c)),
            6 => ("maxLength", bound(c)),
            7 => ("pattern", c.one(&PATTERNS).into()),
            8 => ("format", c.one(&FORMATS).into()),
            9 => ("minimum", number(c)),
            10 => ("maximum", number(c)),
            11 if is_old && schema.contains_key("minimum") => ("exclusiveMinimum", true.into()),
            12 if is_old && schema.contains_key("maximum") => ("exclusiveMaximum", true.into()),
            11 if !is_old => ("exclusiveMinimum", number(c)),
            12 if !is_old => ("exclusiveMaximum", number(c)),
            13 => ("multipleOf", serde_json::from_str(c.one(&["1", "2", "0.1", "1.5"])).unwrap()),
            14 => ("enum", (0..=c.below(3)).map(|_| constant(c)).collect()),
            15 if !is_old => ("const", constant(c)),
            16 => ("uniqueItems", true.into()),
            17 => ("minItems", bound(c)),
            18 => ("maxItems", bound(c)),
            19 => ("items", self::schema(c, draft, depth - 1)),
            20 => ("minProperties", bound(c)),
            21 => ("maxProperties", bound(c)),
            22 => ("required", json!([c.one(&NAMES)])),
            23 => ("additionalProperties", c.one(&[false, true]).into()),
            24 => ("additionalProperties", self::schema(c, draft, depth - 1)),
            25 => (c.one(&["allOf", "anyOf", "oneOf"]), schemas(c, draft, depth - 1)),
            26 => ("not", self::schema(c, draft, depth - 1)),
            27 => {
                schema.insert("then".into(), self::schema(c, draft, depth - 1));
                schema.insert("else".into(), self::schema(c, draft, depth - 1));
                ("if", self::schema(c, draft, depth - 1))
            }
            28 => ("$ref", c.one(&["#/definitions/one", "#/definitions/two", "#"]).into()),
            29 if c.rarely() => ("patternProperties", json!({"^a": {"type": "integer"}})),
            _ => {
                let names = (0..=c.below(4)).map(|_| c.one(&NAMES).to_owned());
                let names: Vec<String> = names.collect();
                let inner = |name| (name, self::schema(c, draft, depth.saturating_sub(1)));
                ("properties", Value::Object(names.into_iter().map(inner).collect()))
            }
        };
        schema.insert(keyword.to_owned(), said);
    }
    Value::Object(schema)
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// A text that may fit a schema: what it speaks of is there, and mostly of the type that it names.
fn text(c: &mut Choices<'_>, schema: &Value, root: &Value, depth: u32) -> String {
    if let Some(to) =
        schema["$ref"].as_str().and_then(|to| root.pointer(to.trim_start_matches('#')))
        && depth > 0
    {
        return text(c, to, root, depth - 1);
    }
    if let Some(list) = schema["enum"].as_array().filter(|_| !c.rarely()) {
        return list[c.below(list.len())].to_string();
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        if let Some(list) = schema[keyword].as_array().filter(|_| depth > 0 && c.rarely()) {
            let index = c.below(list.len());
            return text(c, &list[index], root, depth - 1);
        }
    }
    let named = schema["type"].as_str().filter(|_| !c.rarely());
    let guess = if schema["items"].is_object() { "array" } else { "object" };
    let space = c.one(&["", "", " ", "\n\t"]);
    match named.unwrap_or_else(|| c.one(&["string", "number", guess, guess, "null", "true"])) {
        "string" => quoted(c.one(&TEXTS)),
        "integer" | "number" => c.one(&NUMBERS).to_owned(),
        "array" if depth > 0 => {
            let item = |_| text(c, &schema["items"], root, depth - 1);
            let items: Vec<String> = (0..item_count(schema)).map(item).collect();
            format!("[{space}{}]", items.join(&format!("{space},")))
        }
        "object" if depth > 0 => {
            let mut members = Vec::new();
            for name in NAMES {
                let known = schema["properties"].get(name);
                let is_required = schema["required"][0] == name;
                if known.is_some() && !c.rarely() || is_required || c.rarely() {
                    let inner = known.unwrap_or(&schema["additionalProperties"]);
                    let value = text(c, inner, root, depth - 1);
                    members.push(format!("{}{space}:{value}", quoted(name)));
                }
            }
            format!("{{{space}{}{space}}}", members.join(","))
        }
        "true" => "true".to_owned(),
        _ => "null".to_owned(),
    }
}

fn item_count(schema: &Value) -> u64 {
    schema["minItems"].as_u64().unwrap_or(2)
}

#[derive(Default)]
struct Tally {
    accepted: u32,
    refused: u32,
    unsure: u32,
}

fn agree(bytes: &[u8], draft: Draft, tally: &mut Tally) {
    let c = &mut Choices(bytes.iter());
    let mut root = schema(c, draft, 2);
    root["definitions"] = json!({"one": schema(c, draft, 1), "two": schema(c, draft, 2)});
    let Some((plan, validator)) = compile(&root, draft) else { return };
    for _ in 0..8 {
        let text = text(c, &root, &root, 4);
        match law(&plan, &root, &validator, text.as_bytes(), LIMITS) {
            Some(true) => tally.accepted += 1,
            Some(false) => tally.refused += 1,
            None => tally.unsure += 1,
        }
    }
}

#[test]
fn a_plan_says_what_the_validator_says() {
    let mut tally = Tally::default();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for draft in
        [Draft::Draft4, Draft::Draft6, Draft::Draft7, Draft::Draft201909, Draft::Draft202012]
    {
        let bytes = proptest::collection::vec(any::<u8>(), 300..400);
        for _ in 0..400 {
            let bytes = bytes.new_tree(&mut runner).unwrap().current();
            agree(&bytes, draft, &mut tally);
        }
    }
    // Enough of either was judged, and little was left to others.
    let Tally { accepted, refused, unsure } = tally;
    assert!(accepted > 1_000 && refused > 1_000, "{accepted} accepted, {refused} refused");
    assert!(unsure < (accepted + refused) / 10, "{unsure} unsure");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_choice_of_schema_and_body_agrees(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        agree(&bytes, Draft::Draft202012, &mut Tally::default());
    }

    #[test]
    fn patterns_match_what_the_engine_matches(
        pattern in r"\^(([a-c@.]|\\[.d<]|\[\^?([a-c]|b-c|@|-|\\d){1,2}\])([+*?]|\{[0-2],?[2-3]?\})?){1,4}\$",
        texts in proptest::collection::vec("[a-d@.1é<-]{0,6}", 12),
    ) {
        let schema = json!({"pattern": pattern});
        if let Some((plan, validator)) = compile(&schema, Draft::Draft202012) {
            for text in texts {
                law(&plan, &schema, &validator, json!(text).to_string().as_bytes(), LIMITS);
            }
        }
    }
}

#[test]
fn what_is_read_without_a_value_is_read_with_one() {
    let texts = r#"\[( ?("(a|\\u006[0-2]|\\n|\\ud83d(\\ude00)?|\\ude00)?"|-?[0-9]{1,2}([.eE][0-9+-]{1,2})?|true|null|\[\]|\{("[ab]":1,)?"[ab]":null\}),){0,4}(1|"a"|\{\})\]"#;
    let texts = proptest::string::string_regex(texts).unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut read, mut refused) = (0, 0);
    for _ in 0..2_000 {
        let text = texts.new_tree(&mut runner).unwrap().current();
        let reads = parse_strict(text.as_bytes(), LIMITS).is_ok();
        if Document::read(text.as_bytes(), LIMITS).is_some() {
            assert!(reads, "{text}");
            read += 1;
        }
        refused += u32::from(!reads);
    }
    assert!(read > 1_000 && refused > 200, "{read} read, {refused} refused");
}

#[test]
fn what_the_strict_reader_refuses_has_no_tokens() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let list = |n: usize| format!("[{}]", vec!["1"; n].join(","));
    let members = |n: usize| {
        let members: Vec<String> = (0..n).map(|n| format!("\"{n}\":0")).collect();
        members.join(",")
    };
    let lone = r#"["\ud800"]"#.to_owned();
    for (text, is_read) in [
        (nested(12), true),
        (nested(13), false),
        (list(300), true),
        (list(301), false),
        (format!("{{{}}}", members(250)), true),
        (format!("{{{},\"7\":0}}", members(250)), false),
        (format!("{{{},\"7\":0}}", members(40)), false),
        (r#"{"a":1,"a":1}"#.into(), false),
        (r#"{"a":{"a":1},"b":{"a":1}}"#.into(), true),
        (lone, false),
        (r#"["\ud83d\ude00\/"]"#.into(), true),
        (r#"["\x"]"#.into(), false),
        ("[1,]".into(), false),
        ("[01]".into(), false),
        ("[1e999]".into(), false),
        (format!("[{}]", "9".repeat(400)), false),
        ("[-]".into(), false),
        ("\"\t\"".into(), false),
        ("{} {}".into(), false),
        (String::new(), false),
    ] {
        assert_eq!(Document::read(text.as_bytes(), LIMITS).is_some(), is_read, "{text}");
        assert_eq!(parse_strict(text.as_bytes(), LIMITS).is_ok(), is_read, "{text}");
    }
    assert!(Document::read(b"\"\xff\"", LIMITS).is_none());
}

#[test]
fn depth_beyond_what_values_can_have_is_left_to_their_reader() {
    let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let limits = JsonLimits { depth: 1_000, items: 1_000 };
    for n in [127, 128] {
        let text = nested(n);
        let is_read = Document::read(text.as_bytes(), limits).is_some();
        assert_eq!(is_read, parse_strict(text.as_bytes(), limits).is_ok(), "{n}");
    }
}

#[test]
fn schemas_that_lead_to_themselves_end() {
    for (schema, body, verdict) in [
        (json!({"$ref": "#"}), "1", Verdict::Unsure),
        (json!({"items": {"$ref": "#"}, "type": "array"}), "[[],[[]]]", Verdict::Holds),
        (json!({"items": {"$ref": "#"}, "type": "array"}), "[[],[1]]", Verdict::Fails),
    ] {
        let build = |part: &Value| build(part, Draft::Draft202012);
        let dialect =
            Dialect { draft: Draft::Draft202012, refuses_read_only: false, build: &build };
        let plan = Plan::compile(&schema, dialect).unwrap();
        let document = Document::read(body.as_bytes(), LIMITS).unwrap();
        assert_eq!(plan.judge(&document), verdict, "{schema}");
    }
}

#[test]
fn alternatives_inside_alternatives_are_given_up_in_time() {
    let again = json!({"$ref": "#"});
    let schema = json!({"oneOf": [
        {"type": "integer"},
        {"type": "array", "items": again, "minItems": 1, "maxItems": 1},
        {"type": "array", "items": {"not": again}, "minItems": 1},
        {"type": "array", "items": again, "minItems": 2},
    ]});
    let (plan, _) = compile(&schema, Draft::Draft202012).unwrap();
    let body = format!("{}\"\"{}", "[".repeat(60), "]".repeat(60));
    let limits = JsonLimits { depth: 64, items: 1_000 };
    let document = Document::read(body.as_bytes(), limits).unwrap();
    assert_eq!(plan.judge(&document), Verdict::Unsure);
}
