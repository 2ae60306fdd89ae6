use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn line(event: &Event) -> String {
    let mut out = Vec::new();
    event.write(&mut out, &mut Stamp::default());
    String::from_utf8(out).unwrap()
}

fn value(event: &Event) -> Value {
    let line = line(event);
    assert_eq!(line.matches('\n').count(), 1, "{line}");
    serde_json::from_str(&line).unwrap()
}

const NOON: Timestamp = Timestamp::from_secs(1_700_000_000);

#[test]
fn every_field_is_written_under_its_documented_name() {
    let denial = Denial::new(Reason::ObjectDenied, "`bob` is not the owner").with_rule("owner");
    let mut event = Event::of(&denial, RequestId::from_bytes([1; 16]), NOON);
    event.stage = Some(Stage::Authorize);
    event.plugin = Some("object-guard");
    event.client = Some([192, 0, 2, 1].into());
    event.peer = Some(([10, 0, 0, 1], 4711).into());
    event.listener = Some("public".into());
    event.sni = Some("shop.example".into());
    event.method = Some("GET".into());
    event.host = Some("shop.example".into());
    event.route = Some("7".into());
    event.route_name = Some("orders".into());
    event.service = Some("s1".into());
    event.upstream = Some(([10, 0, 0, 2], 8080).into());
    event.caller = Some(Caller {
        consumer: Some("bob".into()),
        credential: Some("c1".into()),
        subject: Some("sub".into()),
        plugin: Some("jwt-auth"),
    });
    let redactor = Redactor::default().with_recorded_fields(["X-Tenant", "cookie"]);
    let fields: [(&str, &[u8]); 4] =
        [("User-Agent", b"curl"), ("x-tenant", b"a"), ("X-Tenant", b"b"), ("cookie", b"s=1")];
    event.describe(&redactor, b"/orders/1?view=all", fields);
    let expected = serde_json::json!({
        "time": "2023-11-14T22:13:20.000Z", "event": "denied",
        "id": "01010101-0101-0101-0101-010101010101",
        "reason": "authz.object_denied", "status": 403, "stage": "authorize",
        "plugin": "object-guard", "rule": "owner", "detail": "`bob` is not the owner",
        "client": "192.0.2.1", "peer": "10.0.0.1:4711", "listener": "public",
        "sni": "shop.example", "method": "GET", "host": "shop.example",
        "path": "/orders/1?view=***", "route": "7", "route_name": "orders", "service": "s1",
        "consumer": "bob", "credential": "c1", "subject": "sub", "auth_plugin": "jwt-auth",
        "upstream": "10.0.0.2:8080", "user_agent": "curl",
        "fields": {"x-tenant": "a, b", "cookie": "***"},
    });
    assert_eq!(value(&event), expected);
}

#[test]
fn what_does_not_apply_is_left_out() {
    let event = Event::new(EventKind::Reload, NOON);
    assert_eq!(line(&event), "{\"time\":\"2023-11-14T22:13:20.000Z\",\"event\":\"reload\"}\n");
}

#[test]
fn failures_that_are_not_the_clients_are_errors() {
    let kind =
        |reason| Event::of(&Denial::new(reason, ""), RequestId::from_bytes([0; 16]), NOON).kind;
    assert_eq!(kind(Reason::UpstreamTimeout), EventKind::Error);
    assert_eq!(kind(Reason::Panicked), EventKind::Error);
    assert_eq!(kind(Reason::RateLimited), EventKind::Denied);
}

#[test]
fn a_line_is_bounded_whatever_the_client_sends() {
    let long = "\u{1}".repeat(100_000);
    let mut event = Event::new(EventKind::Denied, NOON);
    event.detail = Some(long.clone().into());
    event.rule = Some(long.clone().into());
    event.method = Some(long.clone().into());
    event.host = Some(long.clone().into());
    let names: Vec<String> = (0..40).map(|i| format!("x-{i}")).collect();
    let redactor = Redactor::default().with_recorded_fields(names.iter().map(String::as_str));
    let fields = names.iter().map(|name| (name.as_str(), long.as_bytes()));
    event.describe(&redactor, long.as_bytes(), fields);
    assert!(line(&event).len() < 64 * 1_024);
}

/// Where a client may put a credential.
fn places(secret: &str) -> Vec<(String, Vec<(&'static str, String)>)> {
    let field = |name, value: String| ("/a?b=c".to_owned(), vec![(name, value)]);
    vec![
        field("authorization", format!("Bearer {secret}")),
        field("Authorization", secret.to_owned()),
        field("apikey", secret.to_owned()),
        field("X-Api-Key", secret.to_owned()),
        field("cookie", format!("theme=dark; sid={secret}; a=b")),
        field("cookie", secret.to_owned()),
        field("x-door", secret.to_owned()),
        (format!("/a?key={secret}"), Vec::new()),
        (format!("/a?{secret}"), Vec::new()),
        (format!("/a?x=1&y={secret}&z"), Vec::new()),
    ]
}

proptest! {
    #[test]
    fn a_seeded_secret_is_never_written(secret in "[A-Za-z0-9._~%:+@-]{12,40}", agent in ".{0,20}") {
        let redactor = Redactor::default()
            .with_secret_fields(["x-door"])
            .with_recorded_fields(["authorization", "apikey", "cookie", "x-door", "x-api-key"]);
        for (target, mut fields) in places(&secret) {
            fields.push(("user-agent", format!("{agent}{secret}")));
            let mut event = Event::new(EventKind::Denied, NOON);
            event.detail = Some(format!("`{secret}` is not known").into());
            event.rule = Some(secret.clone().into());
            event.host = Some(secret.clone().into());
            let fields = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
            event.describe(&redactor, target.as_bytes(), fields);
            let line = line(&event);
            prop_assert!(!line.contains(&secret), "{target}: {line}");
        }
    }

    #[test]
    fn any_text_reads_back_and_stays_on_its_line(
        texts in prop::array::uniform4(any::<String>()), path in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let [rule, detail, method, host] = texts;
        let mut event = Event::new(EventKind::Error, NOON);
        event.rule = Some(rule.clone().into());
        event.detail = Some(detail.clone().into());
        event.method = Some(method.clone().into());
        event.host = Some(host.clone().into());
        let path: Vec<u8> = path.into_iter().filter(|&byte| byte != b'?').collect();
        event.describe(&Redactor::default(), &path, []);
        let value = value(&event);
        for (name, text) in [("rule", rule), ("detail", detail), ("method", method), ("host", host)] {
            if text.len() <= TEXT_MAX {
                prop_assert_eq!(value[name].as_str(), Some(text.as_str()));
            }
        }
        prop_assert_eq!(value["path"].as_str(), Some(&*String::from_utf8_lossy(&path)));
    }
}
