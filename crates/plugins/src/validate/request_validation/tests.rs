//! What `request-validation` makes of schemas, and of what they describe.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixture::Bench;

fn plugin(config: &Value) -> RequestValidation {
    Bench::new().compile(config).unwrap()
}

fn accepts(plugin: &RequestValidation, body: &Value) -> bool {
    judge(plugin, body).is_ok()
}

fn judge(plugin: &RequestValidation, body: &Value) -> Result<(), Denial> {
    let schema = plugin.body.as_ref().unwrap();
    let denial = plugin.check("body", &schema.validator, body);
    // What is accepted without a value is what is accepted with it.
    assert_eq!(schema.fits(body.to_string().as_bytes(), true).is_some(), denial.is_ok(), "{body}");
    denial
}

fn headers(
    plugin: &RequestValidation,
    lines: &[(&'static str, &'static str)],
) -> Result<(), Denial> {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.append(*name, *value);
    }
    let schema = plugin.headers.as_ref().unwrap();
    plugin.check("headers", &schema.validator, &schema.read(&fields)?)
}

#[test]
fn the_audit_log_learns_the_place_and_the_client_does_not() {
    let plugin = plugin(&json!({
        "body_schema": {"properties": {"age": {"type": "integer"}}},
        "rejected_code": 422, "rejected_msg": "no",
    }));
    let body = json!({"age": "secret"});
    let denial = judge(&plugin, &body).unwrap_err();
    assert_eq!(denial.detail, "body at `/age`: type");
    assert_eq!((denial.status(), denial.message.as_deref()), (422, Some("no")));
    assert!(accepts(&plugin, &json!({"age": 7})));
}

#[test]
fn patterns_run_in_linear_time_or_are_refused() {
    let config = |pattern: &str| json!({"body_schema": {"pattern": pattern}});
    assert!(!accepts(&plugin(&config("^(a+)+$")), &json!(format!("{}!", "a".repeat(50_000)))));
    for pattern in ["(?=a)b", r"(a)\1", r"(\w{1000}){1000}"] {
        let fault = Bench::new().fault::<RequestValidation>(&config(pattern));
        assert_eq!(fault.path.last(), Some(&PathStep::Key("pattern".into())), "{fault}");
    }
}

#[test]
fn nothing_is_fetched() {
    for to in ["https://example.com/schema.json", "file:///etc/passwd", "other.json"] {
        let config = json!({"body_schema": {"allOf": [{"$ref": to}]}});
        let fault = Bench::new().fault::<RequestValidation>(&config);
        let steps = ["body_schema", "allOf"].map(|key| PathStep::Key(key.into()));
        assert_eq!(fault.path[..2], steps, "{fault}");
        assert!(fault.help.unwrap().contains("same schema"));
    }
    let config = json!({"body_schema": {"$ref": "#/$defs/n", "$defs": {"n": {"type": "null"}}}});
    assert!(accepts(&plugin(&config), &json!(null)));
    assert!(!accepts(&plugin(&config), &json!(1)));
}

#[test]
fn the_draft_is_the_newest_unless_somebody_says_otherwise() {
    // Draft 7 takes a list of `items` for the items in order; 2020-12 refuses it.
    let old = json!({"items": [{"type": "string"}]});
    let config = json!({"body_schema": old});
    assert!(Bench::new().compile::<RequestValidation>(&config).is_err());
    assert!(Bench::apisix().compile::<RequestValidation>(&config).is_ok());
    let mut said = old;
    said["$schema"] = json!("http://json-schema.org/draft-07/schema#");
    assert!(!accepts(&plugin(&json!({"body_schema": said})), &json!([1])));
}

#[test]
fn faults_say_where_and_why() {
    for (config, at, problem) in [
        (json!({}), None, "needs a"),
        (json!({"body_schema": {}}), Some("body_schema"), "accepts everything"),
        (json!({"body_schema": {"type": "text"}}), Some("body_schema"), "text"),
        (json!({"body_schema": {"format": "nonsense"}}), Some("body_schema"), "nonsense"),
        (
            json!({"body_schema": {"type": "object"}, "max_req_body_size": 1_u64 << 40}),
            Some("max_req_body_size"),
            "limits.body_max",
        ),
        (
            json!({"header_schema": {"type": "object"}, "max_req_body_size": 1}),
            Some("max_req_body_size"),
            "no body is read",
        ),
    ] {
        let fault = Bench::new().fault::<RequestValidation>(&config);
        let at = at.map(|key| PathStep::Key(key.into()));
        assert_eq!(fault.path.first(), at.as_ref(), "{config}: {fault}");
        assert!(fault.problem.contains(problem), "{config}: {fault}");
    }
}

#[test]
fn headers_are_compared_in_lower_case_and_named_ones_occur_once() {
    let plugin = plugin(&json!({"header_schema": {
        "required": ["X-Tenant"],
        "properties": {"X-Tenant": {"pattern": "^t[0-9]+$"}},
        "allOf": [{"properties": {"X-Mode": {"enum": ["a"]}}}],
    }}));
    assert!(headers(&plugin, &[("x-tenant", "t1"), ("accept", "a"), ("accept", "b")]).is_ok());
    for (lines, reason) in [
        (&[("accept", "a")][..], Reason::SchemaViolation),
        (&[("x-tenant", "x")], Reason::SchemaViolation),
        (&[("x-tenant", "t1"), ("x-mode", "b")], Reason::SchemaViolation),
        (&[("x-tenant", "t1"), ("x-tenant", "t1")], Reason::AmbiguousParameter),
        (&[("x-tenant", "t1"), ("x-mode", "a"), ("x-mode", "a")], Reason::AmbiguousParameter),
    ] {
        assert_eq!(headers(&plugin, lines).unwrap_err().reason, reason, "{lines:?}");
    }
}

#[test]
fn only_a_body_schema_asks_for_the_body() {
    let traits = plugin(&json!({"header_schema": {"type": "object"}})).traits();
    assert_eq!(traits.body, BodyNeed::None);
    let config = json!({"body_schema": {"type": "object"}, "max_req_body_size": 100});
    assert_eq!(plugin(&config).traits().body, BodyNeed::Bytes { max: 100 });
    let traits = plugin(&json!({"body_schema": {"type": "object"}})).traits();
    assert_eq!(traits.body, BodyNeed::Bytes { max: 1_048_576 });
    assert!(traits.proves.schema);
}

proptest! {
    #[test]
    fn bounds_agree_with_comparison(number: i64, min: i64, max: i64) {
        let plugin = plugin(&json!({"body_schema": {"minimum": min, "maximum": max}}));
        prop_assert_eq!(accepts(&plugin, &json!(number)), (min..=max).contains(&number));
    }
}
