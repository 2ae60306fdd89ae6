use std::sync::Arc;

use bartizan_chain::{AnswerHead, HeldBody as _};
use bartizan_protos::Protos;
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::http_status;
use super::*;
use crate::fixture::{Bench, request};

const PROTO: &str = r#"
syntax = "proto3";
package t;
message Ask { string name = 1; repeated int32 sizes = 2; int64 at = 3; }
message Why { string what = 1; }
service S { rpc Say(Ask) returns (Ask); rpc Watch(Ask) returns (stream Ask); }
"#;

fn bench() -> Bench {
    Bench::new().with_proto("p", Arc::new(Protos::compile(PROTO).unwrap()))
}

fn config(more: &Value) -> Value {
    let mut config = json!({ "proto_id": "p", "service": "t.S", "method": "Say" });
    let members = more.as_object().unwrap().clone();
    config.as_object_mut().unwrap().extend(members);
    config
}

fn compiled(more: &Value) -> GrpcTranscode {
    bench().compile::<GrpcTranscode>(&config(more)).unwrap()
}

#[test]
fn what_cannot_be_translated_does_not_compile() {
    for (more, problem) in [
        (json!({ "proto_id": "q" }), "there is no proto `q`"),
        (json!({ "proto_id": 7 }), "there is no proto `7`"),
        (json!({ "service": "S" }), "the proto has no service `S`"),
        (json!({ "method": "say" }), "the service has no method `say`"),
        (json!({ "method": "Watch" }), "the method `Watch` streams"),
        (json!({ "status_detail_type": "t.Why" }), "has no effect without"),
        (json!({ "status_detail_type": "Why", "show_status_in_body": true }), "no message `Why`"),
        (json!({ "pb_option": ["enum_as_name", "enum_as_value"] }), "decides the same"),
        (json!({ "deadline": 100_000_000 }), "at most 99999999"),
        (json!({ "max_resp_body_size": 67_108_865 }), "at most 67108864"),
    ] {
        let fault = bench().fault::<GrpcTranscode>(&config(&more));
        assert!(fault.problem.contains(problem), "{more}: {fault}");
    }
    for more in [
        json!({ "deadline": 99_999_999 }),
        json!({ "max_resp_body_size": 67_108_864 }),
        json!({ "pb_option": ["enum_as_value", "int64_as_string", "no_default_values"] }),
        json!({ "status_detail_type": "t.Why", "show_status_in_body": true }),
    ] {
        compiled(&more);
    }
}

/// What comes of an answer: its status, its `grpc-status`, and its body.
fn told(
    plugin: &GrpcTranscode,
    fields: &[(&'static str, &'static str)],
    trailers: &[(&'static str, &'static str)],
    body: &[u8],
) -> Result<(u16, String), String> {
    let of = |pairs: &[(&'static str, &'static str)]| {
        let mut fields = Fields::new();
        for (name, value) in pairs {
            fields.append(*name, *value);
        }
        fields
    };
    let mut answer = AnswerHead::new(StatusCode::OK, of(fields), false);
    answer.trailers = of(trailers);
    let cx = request("/", &[]);
    let translated = Box::new(Translated(plugin.reading.clone()));
    let body = translated.decide(&cx, &mut answer, Bytes::copy_from_slice(body));
    let body = body.map_err(|denial| denial.detail.to_string())?;
    Ok((answer.status.as_u16(), String::from_utf8(body.to_vec()).unwrap()))
}

#[test]
fn an_answer_is_one_message_and_a_status() {
    let plugin = compiled(&json!({ "pb_option": ["no_default_values"] }));
    let ok = [("grpc-status", "0")];
    let sent = told(&plugin, &[], &ok, &[0, 0, 0, 0, 3, 0x0a, 1, b'x']).unwrap();
    assert_eq!(sent, (200, r#"{"name":"x"}"#.to_owned()));
    for (trailers, body, expected) in [
        (&ok[..], &[][..], "no message"),
        (&ok, &[0, 0, 0, 0], "no message"),
        (&ok, &[1, 0, 0, 0, 0], "a compressed message"),
        (&ok, &[0, 0, 0, 0, 1], "more or less than one message"),
        (&ok, &[0, 0, 0, 0, 0, 0], "more or less than one message"),
        (&ok, &[0, 0, 0, 0, 1, 0x0a], "the message: it ends in the middle"),
        (&[], &[0, 0, 0, 0, 0], "no `grpc-status`"),
        (&[("grpc-status", "x")], &[], "no number"),
        (&[("grpc-status", "0"), ("grpc-status", "1")], &[], "twice"),
        (&[("grpc-status", "1"), ("grpc-status-details-bin", "-")], &[], "no base64"),
    ] {
        let fault = told(&plugin, &[], trailers, body).unwrap_err();
        assert!(fault.contains(expected), "{fault}");
    }
    // In the head, where nothing else came.
    assert_eq!(told(&plugin, &[("grpc-status", "5")], &[], &[]).unwrap(), (404, String::new()));
}

#[test]
fn an_error_is_shown_where_that_is_asked_for() {
    let plugin = compiled(&json!({ "show_status_in_body": true }));
    let plain = [("grpc-status", "5"), ("grpc-message", "no %C3%BC")];
    let sent = told(&plugin, &[], &plain, &[]).unwrap();
    assert_eq!(sent, (404, r#"{"error":{"code":5,"message":"no ü"}}"#.to_owned()));
    // {code: 3, message: "no", details: [Any {t.Why {what: "x"}}]}, without padding.
    let details =
        [("grpc-status", "3"), ("grpc-status-details-bin", "CAMSAm5vGg0KBi90LldoeRIDCgF4")];
    let (status, body) = told(&plugin, &[], &details, &[]).unwrap();
    assert_eq!(status, 400);
    assert!(body.contains(r#""details":[{"type_url":"/t.Why","value":"CgF4"}]"#), "{body}");
    let typed = compiled(&json!({ "show_status_in_body": true, "status_detail_type": "t.Why" }));
    let (_, body) = told(&typed, &[], &details, &[]).unwrap();
    assert_eq!(body, r#"{"error":{"code":3,"message":"no","details":[{"what":"x"}]}}"#);
}

#[test]
fn each_code_has_its_status() {
    let expected =
        [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401, 500];
    for (code, expected) in (0..).zip(expected) {
        assert_eq!(http_status(code).as_u16(), expected, "{code}");
    }
}

proptest! {
    #[test]
    fn any_answer_is_read_or_refused(
        body in prop::collection::vec(any::<u8>(), 0..40),
        code in 0_u32..20,
    ) {
        let plugin = compiled(&json!({}));
        let mut answer = AnswerHead::new(StatusCode::OK, Fields::new(), false);
        answer.trailers.append("grpc-status", code.to_string());
        let cx = request("/", &[]);
        let translated = Box::new(Translated(plugin.reading.clone()));
        if let Ok(sent) = translated.decide(&cx, &mut answer, body.into()) {
            prop_assert_eq!(answer.status, http_status(code));
            prop_assert_eq!(sent.is_empty(), code != 0);
        }
    }
}
