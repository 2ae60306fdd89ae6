//! What logs see of requests, and which configurations are refused.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bartizan_chain::{
    Arrival, BodySource, Chain, ChainBuilder, Consumer, Expr, Outcome, Over, Profiles, Reach, Run,
    Step, Var,
};
use bartizan_core::Limits;
use bartizan_wire::Fields;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::AnyPlugin;
use crate::authenticate::anonymous_access::AnonymousAccess;
use crate::fixture::{Bench, arrival, percent_encoded};
use crate::transform::proxy_rewrite::ProxyRewrite;
use crate::validate::request_validation::RequestValidation;

struct Sent(Bytes);

impl BodySource for Sent {
    fn collect<'a>(
        &'a mut self,
        _max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

struct NoProfiles;

impl Profiles<AnyPlugin> for NoProfiles {
    fn of(&self, _consumer: &Consumer) -> [Option<Arc<Chain<AnyPlugin>>>; 2] {
        [None, None]
    }
}

fn mask(config: &Value) -> DataMask {
    Bench::new().compile::<DataMask>(config).unwrap()
}

/// A request that is over, without an answer.
fn over(chain: ChainBuilder<AnyPlugin>, arrival: Arrival, body: &'static str) -> Run<AnyPlugin> {
    answered(chain, arrival, body, None)
}

/// A request that is over, with an answer of this kind.
fn answered(
    chain: ChainBuilder<AnyPlugin>,
    arrival: Arrival,
    body: &'static str,
    kind: Option<&'static str>,
) -> Run<AnyPlugin> {
    let cx = RequestCx::new(arrival, None);
    let global = Arc::new(Chain::empty());
    let mut run = Run::new(cx, &global, Some(&Arc::new(chain.build())), &Limits::default());
    {
        let mut source = Sent(Bytes::from_static(body.as_bytes()));
        let screening = pin!(run.screen(&mut source, &NoProfiles));
        let polled = screening.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(_)), "nothing here waits");
    }
    if let Some(kind) = kind {
        let mut fields = Fields::new();
        fields.append(Bytes::from_static(b"x-kind"), Bytes::from_static(kind.as_bytes()));
        run.cx_mut().status = Some(200);
        run.respond(&mut AnswerHead::new(StatusCode::OK, fields, false)).unwrap();
    }
    run.cx_mut().status.get_or_insert(499);
    run.cx_mut().over = Some(Over { bytes_in: 0, bytes_out: 4, is_complete: true });
    run.finish(&Outcome {
        status: 200,
        denial: None,
        was_forwarded: true,
        upstream_status: None,
        upstream_node: None,
        duration: std::time::Duration::ZERO,
        upstream_duration: None,
        bytes_in: 0,
        bytes_out: 0,
    });
    run
}

fn chain(plugins: Vec<AnyPlugin>) -> ChainBuilder<AnyPlugin> {
    let mut chain = ChainBuilder::new();
    let open = Bench::new().compile::<AnonymousAccess>(&json!({"reason": "a test"})).unwrap();
    chain.add(Step::new(Arc::new(AnyPlugin::AnonymousAccess(open))));
    for plugin in plugins {
        chain.add(Step::new(Arc::new(plugin)));
    }
    chain
}

fn masked(rules: &Value, target: &str, lines: &[(&'static str, &'static str)]) -> Run<AnyPlugin> {
    let plugin = AnyPlugin::DataMask(mask(&json!({ "request": rules })));
    over(chain(vec![plugin]), arrival(target, lines), "")
}

#[test]
fn whatever_a_log_reads_is_masked() {
    let rules = json!([
        {"type": "query", "name": "token", "action": "remove"},
        {"type": "query", "name": "card", "action": "regex", "regex": r"\d+(\d{4})", "value": "*$1"},
        {"type": "query", "name": "pin", "action": "replace", "value": "***"},
        {"type": "header", "name": "X-Key", "action": "replace", "value": "hidden"},
        {"type": "header", "name": "X-Gone", "action": "remove"},
    ]);
    let target = "/a?q=1&token=s1&card=4111111111111111&%70in=77&pin=78";
    let lines = [("x-key", "s2"), ("x-key", "s3"), ("x-gone", "s4"), ("x-kept", "yes")];
    let run = masked(&rules, target, &lines);
    let cx = run.cx();
    let query = "q=1&card=%2A1111&%70in=%2A%2A%2A&pin=%2A%2A%2A";
    assert_eq!(cx.canonical().query(), Some(query));
    assert_eq!(cx.canonical().raw_target(), format!("/a?{query}").as_bytes());
    assert_eq!(cx.fields.all("x-key").collect::<Vec<_>>(), [b"hidden", b"hidden"]);
    assert!(!cx.fields.contains("x-gone") && cx.fields.contains("x-kept"));
    for (var, expected) in [
        ("arg_card", Some("*1111")),
        ("arg_token", None),
        ("http_x_gone", None),
        ("args", Some(query)),
        ("request_uri", Some(&*format!("/a?{query}"))),
    ] {
        let value = Var::parse(var).unwrap().value(cx).unwrap();
        assert_eq!(value.as_deref(), expected, "{var}");
    }
}

#[test]
fn a_filter_that_reads_an_answer_which_there_was_not_masks() {
    let hidden = |filter: &Value, target: &str, kind| {
        let rule = json!([{"type": "query", "name": "token", "action": "remove"}]);
        let plugin = AnyPlugin::DataMask(mask(&json!({ "request": rule })));
        let filter = Some(Expr::compile_within(filter, Reach::Filter).unwrap());
        let mut chain = chain(Vec::new());
        chain.add(Step { filter, ..Step::new(Arc::new(plugin)) });
        let run = answered(chain, arrival(target, &[]), "", kind);
        !run.cx().canonical().path_and_query().contains("s1")
    };
    let (of_fields, of_end) = (json!(["sent_http_x_kind", "a"]), json!(["bytes_sent", ">", 3]));
    for (filter, without, with_a, with_b) in [
        (json!([of_fields]), true, true, false),
        (json!([["sent_http_x_kind", "!", "==", "a"]]), true, false, true),
        (json!([["status", 200]]), true, true, true),
        (json!([["status", 404]]), true, false, false),
        (json!([["upstream_status", 200]]), true, false, false),
        (json!([of_end]), true, true, true),
        (json!([["bytes_sent", ">", 4]]), true, false, false),
        (json!([of_fields, of_end]), true, true, false),
        (json!([of_fields, ["arg_q", "1"]]), true, false, false),
        (json!([["arg_q", "1"]]), false, false, false),
        (json!([["arg_q", "2"]]), true, true, true),
    ] {
        for (kind, expected) in [(None, without), (Some("a"), with_a), (Some("b"), with_b)] {
            assert_eq!(hidden(&filter, "/?token=s1&q=2", kind), expected, "{filter} {kind:?}");
        }
    }
    // One that could not be decided by the answer is not decided without it.
    assert!(hidden(&json!([of_fields, ["arg_q", "1"]]), "/?token=s1&q=1&q=2", Some("a")));
}

#[test]
fn what_was_sent_after_a_rewrite_is_masked_as_well() {
    let rule = json!([{"type": "query", "name": "token", "action": "remove"}]);
    let rewrite = json!({"uri": "/b?token=$arg_token&x=1"});
    let rewrite = Bench::new().compile::<ProxyRewrite>(&rewrite).unwrap();
    let plugins = vec![
        AnyPlugin::DataMask(mask(&json!({ "request": rule }))),
        AnyPlugin::ProxyRewrite(rewrite),
    ];
    let run = over(chain(plugins), arrival("/a?token=s1", &[]), "");
    assert_eq!(run.cx().outgoing().path_and_query(), "/b?x=1");
    assert_eq!(run.cx().canonical().path_and_query(), "/a");
}

#[test]
fn a_body_that_was_read_is_masked() {
    let rule = json!({"type": "body", "body_format": "json", "name": "$.pin", "action": "remove"});
    let schema = json!({"body_schema": {"type": "object"}});
    let validation = Bench::new().compile::<RequestValidation>(&schema).unwrap();
    let plugins = vec![
        AnyPlugin::DataMask(mask(&json!({"request": [rule]}))),
        AnyPlugin::RequestValidation(validation),
    ];
    let lines = [("content-type", "application/json")];
    let run = over(chain(plugins), arrival("/", &lines), r#"{"pin": 1, "a": 2}"#);
    assert_eq!(run.cx().body().unwrap(), r#"{"a":2}"#);
    assert!(run.cx().body_value().is_none());
}

#[test]
fn a_body_of_two_content_types_is_left_out() {
    let rule = json!({"type": "body", "body_format": "json", "name": "$.pin", "action": "remove"});
    let schema = json!({"body_schema": {"type": "object"}});
    let json = ("content-type", "application/json");
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (lines, is_kept) in [(&[json][..], true), (&[json, form], false), (&[form, json], false)] {
        let validation = Bench::new().compile::<RequestValidation>(&schema).unwrap();
        let plugins = vec![
            AnyPlugin::DataMask(mask(&json!({"request": [rule]}))),
            AnyPlugin::RequestValidation(validation),
        ];
        let run = over(chain(plugins), arrival("/", lines), r#"{"a": 2}"#);
        assert_eq!(run.cx().body().is_some(), is_kept, "{lines:?}");
    }
}

#[test]
fn bodies_are_masked_by_their_kind_or_left_out() {
    let both = mask(&json!({"max_body_size": 40, "max_req_post_args": 2, "request": [
        {"type": "body", "body_format": "json", "name": "$..pin", "action": "replace", "value": "*"},
        {"type": "body", "body_format": "urlencoded", "name": "pin", "action": "remove"},
    ]}));
    for (body, is_form, expected) in [
        (r#"{"a": {"pin": 1}}"#, false, Some(r#"{"a":{"pin":"*"}}"#)),
        (r#"{"a": 1}"#, false, Some(r#"{"a": 1}"#)),
        (r#"{"a": 1"#, false, None),
        ("pin=1&a=2", true, Some("a=2")),
        ("%70in=1&a=2", true, Some("a=2")),
        ("a=2", true, Some("a=2")),
        ("a=1&b=2&pin=3", true, None),
        ("pin=1&a=2", false, None),
        (r#"{"a": "0123456789012345678901234567890123"}"#, false, None),
    ] {
        let masked = both.mask_body(&Bytes::from_static(body.as_bytes()), is_form);
        assert_eq!(masked.as_deref(), expected.map(str::as_bytes), "{body} {is_form}");
    }
    let form = mask(&json!({"request": [
        {"type": "body", "body_format": "urlencoded", "name": "pin", "action": "remove"},
    ]}));
    // Whoever names another kind does not escape the rules.
    assert_eq!(form.mask_body(&Bytes::from_static(b"pin=1"), false), None);
    assert_eq!(form.form_max, 100);
}

#[test]
fn each_action_does_its_own() {
    for (action, regex, value, expected) in [
        ("remove", None, None, r#"{"b":"12"}"#),
        ("replace", None, Some("*"), r#"{"a":"*","b":"12"}"#),
        ("regex", Some("1"), Some("*"), r#"{"a":"*2","b":"12"}"#),
    ] {
        let rule = json!({"type": "body", "name": "$.a", "action": action});
        let mut rule = rule.as_object().unwrap().clone();
        rule.extend(regex.map(|regex| ("regex".to_owned(), json!(regex))));
        rule.extend(value.map(|value| ("value".to_owned(), json!(value))));
        let plugin = mask(&json!({"response": [rule]}));
        let Answers { rules, bounds, .. } = &*plugin.response;
        let body = Bytes::from_static(br#"{"a": "12", "b": "12"}"#);
        assert_eq!(rules.mask_json(&body, *bounds).unwrap(), expected, "{action}");
    }
}

#[test]
fn faults_say_where_and_why() {
    let body = |more: &Value| {
        let mut rule = json!({"type": "body", "name": "$.a", "action": "remove"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "request": [rule] })
    };
    for (config, problem) in [
        (json!({}), "masks nothing"),
        (body(&json!({})), "needs a `body_format`"),
        (body(&json!({"body_format": "json", "name": "a"})), "not a place in a body"),
        (body(&json!({"body_format": "json", "action": "replace"})), "needs a `value`"),
        (body(&json!({"body_format": "json", "action": "regex"})), "needs a `regex`"),
        (body(&json!({"body_format": "json", "value": "x"})), "no effect"),
        (body(&json!({"type": "query", "body_format": "json"})), "is for `type: body`"),
        (body(&json!({"type": "header", "name": "Content-Length"})), "connection"),
        (body(&json!({"type": "header", "name": "a b"})), "not the name of a header"),
    ] {
        let fault = Bench::new().fault::<DataMask>(&config);
        assert!(fault.problem.contains(problem), "{config}: {fault}");
    }
}

proptest! {
    #[test]
    fn a_secret_value_is_nowhere_in_what_is_left(
        before in "[a-c&=%]{0,8}",
        secret in "[ -~]{4,12}",
        after in "[a-c&=]{0,8}",
        is_regex: bool,
    ) {
        let rule = if is_regex {
            json!({"type": "query", "name": "token", "action": "regex", "regex": "(?s).+", "value": "*"})
        } else {
            json!({"type": "query", "name": "token", "action": "replace", "value": "*"})
        };
        let plugin = mask(&json!({ "request": [rule] }));
        let hidden = percent_encoded(&secret);
        let query = format!("{before}&token={hidden}&{after}");
        let masked = plugin.request.mask_query(&query).unwrap();
        prop_assert!(!masked.contains(&hidden), "{}", masked);
        prop_assert!(masked.contains("token=%2A"));
    }
}
