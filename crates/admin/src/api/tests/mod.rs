//! Conversations with the API, in process: those of `cases/`, and what takes more than one client.

mod changes;
mod complete;
pub(crate) mod desk;
mod limits;
mod listener;
pub(crate) mod play;
mod product;
mod rights;
mod teams;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use self::desk::Desk;
use self::play::{Step, steps};

/// The folder of the cases.
fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

#[tokio::test]
async fn every_case_is_answered_as_it_says() {
    let mut played = 0;
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "case") {
            continue;
        }
        let desk = Desk::open();
        for step in steps(&std::fs::read_to_string(&path).unwrap()) {
            let answer = desk.ask(&step).await;
            problems.extend(step.judge(&answer).err().map(|problem| {
                format!("{}: {} {}\n  {problem}", path.display(), step.method, step.target)
            }));
        }
        played += 1;
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(played >= 8, "{played} files");
}

fn route(uri: &str) -> Value {
    json!({
        "uri": uri,
        "plugins": { "key-auth": {}, "any-authenticated": { "reason": "a test" } },
        "upstream": { "nodes": { "127.0.0.1:1": 1 } },
    })
}

#[tokio::test]
async fn an_object_with_a_time_to_live_ends_and_one_that_is_written_again_does_not() {
    let desk = Desk::open();
    let put = |path: &str| Step::of("PUT", path, &route("/a").to_string());
    for path in ["routes/1?ttl=10", "routes/2?ttl=10", "routes/3"] {
        assert_eq!(desk.ask(&put(&format!("/apisix/admin/{path}"))).await.status, 201);
    }
    assert_eq!(desk.ask(&put("/apisix/admin/routes/2")).await.status, 200);
    let total = async || {
        let list = desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await;
        list.value()["total"].clone()
    };
    desk.clock.advance(Duration::from_secs(9));
    desk.api.expire_now().await;
    assert_eq!(total().await, 3);
    desk.clock.advance(Duration::from_secs(1));
    // A node that starts anew finds it in the store.
    let desk = desk.again();
    desk.api.expire_now().await;
    let list = desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await;
    assert_eq!(list.value()["total"], 2);
    let left = desk.keys();
    assert!(!left.iter().any(|key| key.contains("expiries")), "{left:?}");
}

#[tokio::test]
async fn secrets_are_sealed_and_a_sealed_value_means_unchanged() {
    let desk = Desk::open();
    let jack = "/apisix/admin/consumers/jack";
    let body = json!({ "username": "jack", "plugins": { "key-auth": { "key": "a-long-secret" } } });
    let made = desk.ask(&Step::of("PUT", jack, &body.to_string())).await;
    assert!(made.status == 201 && !made.body.contains("a-long-secret"), "{}", made.body);
    let shown = desk.ask(&Step::of("GET", jack, "")).await.value();
    let sealed = shown["value"]["plugins"]["key-auth"]["key"].clone();
    assert!(sealed.as_str().unwrap().starts_with("sealed:v1:"), "{sealed}");

    // Written back, also after a restart, it means what it stood for.
    let desk = desk.again();
    let back =
        json!({ "username": "jack", "desc": "x", "plugins": { "key-auth": { "key": sealed } } });
    let written = desk.ask(&Step::of("PUT", jack, &back.to_string())).await;
    assert_eq!(written.status, 200, "{}", written.body);
    assert!(desk.content("consumers/jack").contains("a-long-secret"));

    // Elsewhere it is refused, and nothing is stored.
    let copy = json!({ "username": "jill", "plugins": { "key-auth": { "key": sealed } } });
    let refused =
        desk.ask(&Step::of("PUT", "/apisix/admin/consumers/jill", &copy.to_string())).await;
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("holds a sealed value"), "{}", refused.body);
    assert!(!desk.keys().contains(&"consumers/jill".to_owned()));

    let desk = desk.reading_secrets();
    let clear = desk.ask(&Step::of("GET", jack, "")).await;
    assert!(clear.body.contains("a-long-secret"));
    assert!(!desk.told().contains("a-long-secret") && desk.told().contains("\"change\""));
}

#[tokio::test]
async fn writers_at_the_same_time_lose_nothing() {
    let desk = Desk::open();
    let path = "/apisix/admin/upstreams/u";
    let start = json!({ "nodes": { "127.0.0.1:1": 1 } });
    assert_eq!(desk.ask(&Step::of("PUT", path, &start.to_string())).await.status, 201);
    let patches: Vec<Step> = (0..8)
        .map(|n| {
            let patch = json!({ "labels": { (format!("l{n}")): "x" } });
            Step::of("PATCH", path, &patch.to_string())
        })
        .collect();
    let mut tasks = tokio::task::JoinSet::new();
    for step in patches {
        let desk = desk.clone();
        tasks.spawn(async move { desk.ask(&step).await.status });
    }
    while let Some(status) = tasks.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    let stored: Value = serde_json::from_str(&desk.content("upstreams/u")).unwrap();
    assert_eq!(stored["labels"].as_object().unwrap().len(), 8);
}

#[tokio::test]
async fn a_store_that_is_written_otherwise_says_how() {
    let desk = Desk::open().read_only();
    let put = Step::of("PUT", "/apisix/admin/routes/1", &route("/a").to_string());
    let answer = desk.ask(&put).await;
    assert_eq!(answer.status, 409);
    assert!(answer.body.contains("edit the documents"), "{}", answer.body);
    let list = desk.ask(&Step::of("GET", "/apisix/admin/routes", "")).await;
    assert_eq!(list.status, 200);
}

fn collect_references<'v>(value: &'v Value, references: &mut Vec<&'v str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            for value in members.values() {
                collect_references(value, references);
            }
        }
        Value::Array(items) => {
            for item in items {
                collect_references(item, references);
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_description_has_every_endpoint_and_is_pinned() {
    let desk = Desk::open();
    let description = desk.ask(&Step::of("GET", "/bartizan/v1/openapi.json", "")).await.value();
    let mut lines = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for (path, methods) in description["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let statuses: Vec<&str> =
                operation["responses"].as_object().unwrap().keys().map(String::as_str).collect();
            lines.push(format!("{} {path} {}", method.to_uppercase(), statuses.join(" ")));
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{path}");
        }
    }
    let mut references = Vec::new();
    collect_references(&description, &mut references);
    assert!(references.len() > 100, "{}", references.len());
    for reference in references {
        let part = description.pointer(reference.strip_prefix('#').unwrap());
        assert!(part.is_some(), "{reference} leads nowhere");
    }
    lines.sort();
    let pinned = folder().join("endpoints.txt");
    let text = lines.join("\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&pinned, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&pinned).unwrap_or_default(), text);
}
