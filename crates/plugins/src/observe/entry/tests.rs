use std::sync::Arc;
use std::time::Duration;

use bartizan_chain::{Matched, Outcome, RouteFacts};
use bartizan_core::{Denial, Reason};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::request_of;

fn outcome(denial: Option<&Denial>) -> Outcome<'_> {
    Outcome {
        status: denial.map_or(200, Denial::status),
        denial,
        was_forwarded: denial.is_none(),
        upstream_status: None,
        upstream_node: None,
        duration: Duration::from_micros(2_500),
        upstream_duration: Some(Duration::from_millis(2)),
        bytes_in: 100,
        bytes_out: 1_000,
    }
}

fn matched() -> Matched {
    let route = RouteFacts {
        id: "r1".into(),
        name: None,
        service_id: Some("s1".into()),
        service_name: None,
        graphql_costs: None,
    };
    Matched { route: Arc::new(route), uri: "/*".into(), host: None }
}

fn format(own: &Value, extra: &Value) -> LogFormat {
    let read =
        |value: &Value| serde_json::from_value::<Option<FormatConfig>>(value.clone()).unwrap();
    let (own, extra) = (read(own), read(extra));
    let config = Formats { own: own.as_ref(), extra: extra.as_ref() };
    LogFormat::compile(config, Formats::default()).unwrap()
}

fn entry_of(
    format: &LogFormat,
    target: &str,
    lines: &[(&'static str, &'static str)],
    denial: Option<&Denial>,
) -> Value {
    let mut cx = request_of(target, lines, Some(matched()));
    cx.status = Some(200);
    let outcome = outcome(denial);
    let mut answer = Fields::new();
    answer.append("set-cookie", "sid=qrstuvwx");
    answer.append("x-a", "1");
    answer.append("x-a", "2");
    let redactor = Redactor::default().with_secret_fields(["x-door"]);
    let exchange = Exchange::new(&cx, &outcome, Some(&answer), &redactor, "host.test");
    let mut out = Vec::new();
    format.write(&exchange, &mut out);
    assert!(!out.contains(&b'\n'));
    serde_json::from_slice(&out).unwrap()
}

#[test]
fn the_usual_entry_has_what_readers_of_apisix_logs_expect() {
    let usual = format(&json!(null), &json!(null));
    let lines = [("accept", "a/b"), ("authorization", "Bearer abcdefgh"), ("x-door", "sesame")];
    let denial = Denial::new(Reason::RateLimited, "");
    let entry = entry_of(&usual, "/orders?owner=alice&id=7&id=8", &lines, Some(&denial));
    assert_eq!(
        entry,
        json!({
            "request_id": "01010101-0101-0101-0101-010101010101",
            "client_ip": "192.0.2.1",
            "route_id": "r1",
            "service_id": "s1",
            "request": {
                "method": "GET",
                "url": "http://example.com/orders?owner=***&id=***&id=***",
                "uri": "/orders?owner=***&id=***&id=***",
                "querystring": {"owner": "***", "id": "***"},
                "headers": {
                    "host": "example.com",
                    "accept": "a/b",
                    "authorization": "***",
                    "x-door": "***",
                },
                "size": 100,
            },
            "response": {"status": 429, "headers": {"set-cookie": "***", "x-a": "1, 2"}, "size": 1_000},
            "reason": "limit.exceeded",
            "server": {"hostname": "host.test", "version": env!("CARGO_PKG_VERSION")},
            "start_time": 1_000_000_000_u64,
            "latency": 2.5,
            "upstream_latency": 2,
            "apisix_latency": 0.5,
        })
    );
}

#[test]
fn a_format_is_texts_literals_and_maps_of_them() {
    let own = json!({
        "at": "$time_iso8601",
        "local": "$time_local",
        "msec": "$msec",
        "line": "$request -> $status",
        "number": 7,
        "nothing": null,
        "absent": "$http_x_absent",
        "price": r"5\$",
        "inner": {"agent": "$http_user_agent", "deeper": {"host": "${host}!"}},
        "sent": "$sent_http_x_a",
        "sizes": "$request_length $bytes_sent",
        "who": "$hostname $server_protocol",
    });
    let entry = entry_of(
        &format(&own, &json!({"number": 8, "extra": true})),
        "/a?x=1",
        &[("user-agent", "curl")],
        None,
    );
    assert_eq!(
        entry,
        json!({
            "at": "1970-01-12T13:46:40.000Z",
            "local": "12/Jan/1970:13:46:40 +0000",
            "msec": "1000000.000",
            "line": "GET /a?x=*** HTTP/1.1 -> 200",
            "number": 8,
            "nothing": null,
            "price": "5$",
            "inner": {"agent": "curl", "deeper": {"host": "example.com!"}},
            "sent": "1, 2",
            "sizes": "100 1000",
            "who": "host.test HTTP/1.1",
            "extra": true,
        })
    );
}

#[test]
fn faults_name_their_place() {
    for (own, problem) in [
        (json!({"a": "$nope"}), "there is no variable `nope`"),
        (json!({"a": {"b": [1]}}), "a list has no place"),
        (json!({"a": "$request_body"}), "not supported yet"),
        (json!({"a": "$post_arg_x"}), "reads the body"),
    ] {
        let config: FormatConfig = serde_json::from_value(own).unwrap();
        let formats = Formats { own: Some(&config), extra: None };
        let fault = LogFormat::compile(formats, Formats::default()).unwrap_err();
        assert!(fault.problem.contains(problem), "{fault}");
        assert!(fault.path.len() >= 2);
        let fault = LogFormat::compile(Formats::default(), formats).unwrap_err();
        assert!(fault.problem.starts_with("`log_format` of the metadata: "), "{fault}");
    }
}

#[test]
fn a_format_is_bounded() {
    let mut deep = json!("x");
    for _ in 0..10 {
        deep = json!({ "a": deep });
    }
    let wide: serde_json::Map<String, Value> =
        (0..300).map(|n| (n.to_string(), json!("x"))).collect();
    for value in [deep, Value::Object(wide)] {
        let config: FormatConfig = serde_json::from_value(value).unwrap();
        let formats = Formats { own: Some(&config), extra: None };
        assert!(LogFormat::compile(formats, Formats::default()).is_err());
    }
}

#[test]
fn fields_of_the_answer_are_kept_only_where_they_are_shown() {
    let reads = |own: Value, extra: Value| format(&own, &extra).reads_answer();
    assert!(reads(json!(null), json!(null)));
    assert!(!reads(json!({"a": "$status"}), json!(null)));
    assert!(reads(json!({"a": {"b": "x$sent_http_etag"}}), json!(null)));
    assert!(reads(json!({"a": 1}), json!({"b": "$sent_http_etag"})));
}

#[test]
fn no_part_of_a_secret_is_left_where_a_text_is_cut() {
    let agent: &'static str =
        Box::leak(format!("{}opensesame", "x".repeat(TEXT_MAX - 4)).into_boxed_str());
    let lines = [("x-door", "opensesame"), ("user-agent", agent)];
    let own = json!({"agent": "$http_user_agent", "line": "a $http_user_agent"});
    for own in [json!(null), own] {
        let text = entry_of(&format(&own, &json!(null)), "/", &lines, None).to_string();
        assert!(!text.contains("xo") && !text.contains("esame"), "{own}");
        assert!(text.contains("x***"), "{own}");
    }
}

#[test]
fn a_secret_is_taken_out_wherever_it_occurs_also_escaped() {
    let secret = "a\"b\\cdefgh";
    let lines = [("x-door", secret), ("x-note", secret), ("a\"b\\cdefgh", "x")];
    let entry = entry_of(&format(&json!(null), &json!(null)), "/", &lines, None);
    let headers = json!({"host": "example.com", "x-door": "***", "x-note": "***", "***": "x"});
    assert_eq!(entry["request"]["headers"], headers);
    // Names and addresses of ours too, if somebody has them as a secret.
    let lines = [("x-door", "192.0.2.1"), ("x-gate-token", "host.test"), ("x-a", "at 192.0.2.1")];
    let own = json!({"somewhere": "$remote_addr", "host.test": "$hostname", "a": "$http_x_a"});
    let entry = entry_of(&format(&own, &json!(null)), "/", &lines, None);
    assert_eq!(entry, json!({"somewhere": "***", "***": "***", "a": "at ***"}));
    let entry = entry_of(&format(&json!(null), &json!(null)), "/", &lines, None);
    assert_eq!(entry["client_ip"], "***");
    assert_eq!(entry["server"]["hostname"], "***");
}

#[test]
fn long_targets_are_cut_and_keep_the_names_of_their_query() {
    let usual = format(&json!(null), &json!(null));
    for length in [100, 1_000, TEXT_MAX - 40, TEXT_MAX, 2 * TEXT_MAX] {
        let path = format!("/{}", "p".repeat(length));
        let entry = entry_of(&usual, &format!("{path}?a=1&b"), &[], None);
        let shown = |text: String| match text.get(..TEXT_MAX) {
            Some(cut) if text.len() > TEXT_MAX => format!("{cut}…"),
            _ => text,
        };
        assert_eq!(entry["request"]["uri"], shown(format!("{path}?a=***&***")));
        let url = format!("http://example.com{path}?a=***&***");
        assert_eq!(entry["request"]["url"], shown(url));
        assert_eq!(entry["request"]["querystring"], json!({"a": "***"}));
    }
}

#[test]
fn fields_are_joined_by_name_and_judged_however_many_there_are() {
    let mut lines: Vec<(&'static str, &'static str)> = Vec::new();
    let mut expected = serde_json::Map::new();
    expected.insert("host".into(), json!("example.com"));
    for number in 0..150 {
        let name: &'static str = Box::leak(format!("x-{number:03}").into_boxed_str());
        lines.push((name, "1"));
        expected.insert(name.into(), json!("1"));
    }
    for (name, value, shown) in [
        ("x-010", "", "1, "),
        ("x-140", "2", "1, 2"),
        ("x-door", "short", "***"),
        ("x-door", "opensesame", "***, ***"),
        ("x-note", "opensesame", "***"),
    ] {
        lines.push((name, value));
        expected.insert(name.into(), json!(shown));
    }
    let entry = entry_of(&format(&json!(null), &json!(null)), "/", &lines, None);
    assert_eq!(entry["request"]["headers"], Value::Object(expected));
    assert_eq!(entry["response"]["headers"], json!({"set-cookie": "***", "x-a": "1, 2"}));
}

proptest! {
    /// Whatever a format asks for, no credential and no value of the query gets out.
    #[test]
    fn redaction_takes_out_every_seeded_secret(
        secret in "[A-Za-z0-9]{12,24}",
        name in prop::sample::select(vec!["authorization", "cookie", "x-door", "apikey"]),
        own in prop::bool::ANY,
    ) {
        let leaked: &'static str = Box::leak(secret.clone().into_boxed_str());
        let agent: &'static str = Box::leak(format!("agent {secret}").into_boxed_str());
        let cookie: &'static str = Box::leak(format!("sid={secret}").into_boxed_str());
        let value = if name == "cookie" { cookie } else { leaked };
        let target = format!("/a/{secret}?{secret}&token={secret}");
        let everything = json!({
            "a": "$http_authorization $http_cookie $http_x_door $http_apikey $cookie_sid",
            "b": "$arg_token $args $request_uri $request $uri $http_user_agent",
        });
        let own = if own { everything } else { json!(null) };
        let lines = [(name, value), ("user-agent", agent)];
        let entry = entry_of(&format(&own, &json!(null)), &target, &lines, None);
        let text = entry.to_string();
        prop_assert!(!text.contains(&secret), "{text}");
    }
}

proptest! {
    #[test]
    fn texts_agree_with_putting_values_in_by_hand(
        pieces in prop::collection::vec((0_u8..6, "[a-z{} ]{1,3}"), 2..6),
    ) {
        let (mut written, mut expected) = (String::new(), String::new());
        for (kind, text) in &pieces {
            let (as_written, as_read) = match kind {
                0 => (r"\$".to_owned(), "$".to_owned()),
                1 => ("$ ".to_owned(), "$ ".to_owned()),
                2 => ("${route_id}".to_owned(), "r1".to_owned()),
                3 => ("$sent_http_x_a ".to_owned(), "1, 2 ".to_owned()),
                4 => ("$http_x_absent.".to_owned(), ".".to_owned()),
                _ => (text.clone(), text.clone()),
            };
            written.push_str(&as_written);
            expected.push_str(&as_read);
        }
        let entry = entry_of(&format(&json!({ "it": written }), &json!(null)), "/", &[], None);
        // One variable alone has no text around it; here there always is another piece.
        prop_assert_eq!(entry["it"].as_str(), Some(expected.as_str()));
    }
}
