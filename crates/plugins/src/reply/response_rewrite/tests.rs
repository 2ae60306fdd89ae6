//! What `response-rewrite` makes of answers, and of configurations.

use bartizan_wire::Fields;
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixture::{Bench, percent_encoded, request};

fn answer(status: u16, lines: &[(&'static str, &'static str)]) -> AnswerHead {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.append(*name, *value);
    }
    let status = StatusCode::from_u16(status).unwrap();
    AnswerHead::new(status, fields, false)
}

fn rewrite(config: &Value, target: &str, answer: &mut AnswerHead) -> Result<(), Denial> {
    let plugin = Bench::new().compile::<ResponseRewrite>(config).unwrap();
    let mut cx = request(target, &[]);
    cx.status = Some(answer.status.as_u16());
    plugin.on_response_head(&cx, answer, &mut ())
}

#[test]
fn another_body_takes_the_description_of_the_old_one_with_it() {
    let mut answer = answer(
        200,
        &[("etag", "x"), ("content-length", "3"), ("content-encoding", "br"), ("x-a", "1")],
    );
    let config = json!({"body": "aGk=", "body_base64": true, "status_code": 418});
    rewrite(&config, "/", &mut answer).unwrap();
    assert_eq!(answer.status, 418);
    assert_eq!(answer.replacement.unwrap().0, "hi");
    let names: Vec<_> = answer.fields.iter().map(|field| field.name).collect();
    assert_eq!(names, [b"x-a"]);
}

#[test]
fn headers_are_changed_where_the_expression_holds() {
    let config = json!({
        "headers": {"set": {"X-Id": "$arg_id", "X-N": 1}, "add": ["Vary: Origin"], "remove": ["server"]},
        "vars": [["status", "==", 200]],
    });
    let lines = [("server", "x"), ("vary", "Accept"), ("x-id", "old")];
    let mut hit = answer(200, &lines);
    rewrite(&config, "/?id=7", &mut hit).unwrap();
    assert_eq!(hit.fields.get_str("x-id"), Some("7"));
    assert_eq!(hit.fields.get_str("x-n"), Some("1"));
    assert_eq!(hit.fields.all("vary").collect::<Vec<_>>(), [&b"Accept"[..], b"Origin"]);
    assert!(!hit.fields.contains("server"));

    let mut miss = answer(500, &lines);
    rewrite(&config, "/?id=7", &mut miss).unwrap();
    assert_eq!(miss.fields.get_str("x-id"), Some("old"));
    assert_eq!(miss.fields.len(), 3);
}

#[test]
fn a_plain_mapping_sets() {
    let mut answer = answer(200, &[("x-a", "0")]);
    rewrite(&json!({"headers": {"X-A": "1"}}), "/", &mut answer).unwrap();
    assert_eq!(answer.fields.all("x-a").collect::<Vec<_>>(), [b"1"]);
}

#[test]
fn faults_say_where_and_why() {
    for (config, problem) in [
        (json!({}), "changes nothing"),
        (json!({"headers": {}}), "changes nothing"),
        (json!({"body_base64": true, "status_code": 200}), "no `body`"),
        (json!({"body": "!", "body_base64": true}), "not Base64"),
        (json!({"body": "x", "status_code": 204}), "no body"),
        (json!({"headers": {"add": ["novalue"]}}), "not `Name: value`"),
        (json!({"headers": {"set": {"Content-Length": "1"}}}), "connection"),
        (json!({"headers": {"X": "$nope"}}), "no variable"),
        (json!({"body": "x", "vars": [["nope", "==", "1"]]}), "no variable"),
    ] {
        let fault = Bench::new().fault::<ResponseRewrite>(&config);
        assert!(fault.problem.contains(problem), "{config}: {fault}");
    }
}

proptest! {
    #[test]
    fn no_value_ever_splits_an_answer(id in "[a-z\r\n\t :]{0,12}") {
        let encoded = percent_encoded(&id);
        let target = format!("/?id={encoded}");
        let mut answer = answer(200, &[]);
        let result = rewrite(&json!({"headers": {"X-Id": "$arg_id"}}), &target, &mut answer);
        prop_assert_eq!(result.is_ok(), bartizan_wire::is_field_value(id.as_bytes()));
        prop_assert!(answer.fields.iter().all(|f| bartizan_wire::is_field_value(f.value)));
    }
}
