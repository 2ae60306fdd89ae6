//! That nothing is forgotten: every endpoint with every status has a case, every refusal of Apache
//! APISIX is worded in one, and `docs/compatibility.md` names every endpoint and every field.

use std::collections::BTreeSet;
use std::path::Path;

use bartizan_config::{ResourceKind, resource_schema};

use super::desk::Desk;
use super::folder;
use super::play::{Step, steps};
use crate::api::kinds::{KINDS, Kind};
use crate::api::table::{Call, Endpoint, Table};

/// The text of all cases.
fn cases() -> String {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let cases = files.filter(|path| path.extension().is_some_and(|end| end == "case"));
    cases
        .map(|path| std::fs::read_to_string(path).unwrap().trim_end().to_owned() + "\n\n")
        .collect()
}

/// The endpoint that a step asks.
fn asked<'t>(table: &'t Table, step: &Step) -> Option<&'t Endpoint> {
    let path = step.target.split('?').next().unwrap_or_default();
    let segments: Vec<String> = path.trim_matches('/').split('/').map(str::to_owned).collect();
    table.at(&segments).into_iter().find(|row| row.method.as_str() == step.method)
}

/// The statuses that an endpoint must be seen to answer. What a store that is not written here
/// answers, and one where others are faster (409), is tried with each endpoint in `product.rs`.
fn wanted(row: &Endpoint) -> Vec<u16> {
    let is_read = row.method == "GET" || row.method == "HEAD";
    let is_unwritten = row.kind.is_some_and(|kind| !kind.is_written());
    let own = row.statuses.iter().copied().filter(|status| *status != 409);
    match (is_unwritten, is_read) {
        (true, true) if row.call == Call::Show => vec![404],
        (true, false) if row.method == "DELETE" => vec![404],
        (true, false) => vec![400],
        (_, true) | (false, _) => own.collect(),
    }
}

#[test]
fn every_status_of_every_endpoint_has_a_case() {
    let table = Table::new();
    let mut seen = BTreeSet::new();
    for step in steps(&cases()) {
        if let Some(row) = asked(&table, &step) {
            seen.insert((row.path.clone(), row.method.to_string(), step.status));
        }
    }
    let mut missing = Vec::new();
    for row in table.endpoints() {
        for status in wanted(row) {
            let wanted = (row.path.clone(), row.method.to_string(), status);
            if !seen.contains(&wanted) {
                missing.push(format!("{} {} => {status}", row.method, row.path));
            }
        }
    }
    assert!(missing.is_empty(), "no case has\n{}", missing.join("\n"));
}

#[test]
fn every_method_that_a_kind_does_not_take_has_a_case() {
    let all = steps(&cases());
    let refuses = |kind: &Kind, method: &str| {
        let text = format!("not supported `{method}` method for {}", kind.noun);
        let tells = |step: &Step| {
            step.value.as_ref().is_some_and(|value| value["error_msg"] == text.as_str())
        };
        all.iter().any(|step| step.method == method && step.status == 405 && tells(step))
    };
    for kind in KINDS {
        for method in ["PUT", "POST", "PATCH", "DELETE"] {
            let is_taken = kind.verbs.contains(&method);
            assert!(is_taken || refuses(kind, method), "{method} {}", kind.segment);
        }
    }
}

#[test]
fn every_refusal_that_apache_apisix_words_has_a_case() {
    let cases = cases();
    for text in [
        "missing apikey",
        "wrong apikey",
        "failed to check token",
        "invalid request body: ",
        "Unsupported resource type: ",
        "\"error_msg\": \"not found\"",
        "Key not found",
        "consumer not found",
        "plugin not found in subsystem http",
        "plugin not found in subsystem stream",
        "page_size must be between 10 and 500",
        "invalid argument ttl: should be a number",
        "invalid configuration: ",
        "failed to check the configuration of plugin ",
        "unknown plugin [",
        "wrong route id\"",
        "missing route id",
        "wrong route id, do not need it",
        "failed to fetch upstream info by upstream id [",
        "failed to fetch service info by service id [",
        "failed to fetch plugin config info by plugin config id [",
        "failed to fetch consumer group info by consumer group id [",
        "can not delete this upstream, route [",
        "can not delete this upstream, service [",
        "can not delete this service, route [",
        "can not delete this plugin config, route [",
        "can not delete this consumer group, consumer [",
        "already exists in global rule with id ",
        "Configuration validation failed",
        "missing digest header",
        "must be greater than or equal to (",
        "stream mode is disabled",
    ] {
        assert!(cases.contains(text), "no case has `{text}`");
    }
}

/// A part of `docs/compatibility.md`.
fn compatibility(heading: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).expect(heading);
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// Whether a table names a field, as `name` or as the beginning of `name.member` or `name: value`.
fn names(table: &str, field: &str) -> bool {
    let mut spans = table.split('`').skip(1).step_by(2);
    spans.any(|span| {
        let span = span.strip_prefix(|mark: char| mark == '/').unwrap_or(span);
        span.strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', ':', '[', '/']))
    })
}

#[test]
fn every_endpoint_stands_in_the_table_of_compatibility() {
    let table = compatibility("Admin API");
    for row in Table::new().endpoints() {
        let own = "/bartizan/v1/";
        let path = row.path.strip_prefix("/apisix/admin").unwrap_or(&row.path);
        let path = path.trim_start_matches('/');
        let segment = path.split(['/', '{']).next().unwrap_or_default();
        let is_named = row.path.starts_with(own) || segment.is_empty() || names(&table, segment);
        assert!(is_named, "{} {}", row.method, row.path);
        // What is ours is on its own page.
        if row.path.starts_with(own) {
            let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/admin-api.md");
            let page = std::fs::read_to_string(page).unwrap();
            assert!(page.contains(&format!("{} {}", row.method, row.path)), "{}", row.path);
        }
    }
    for kind in KINDS {
        assert!(table.contains(kind.segment), "{}", kind.segment);
    }
}

#[test]
fn every_field_stands_in_the_tables_of_compatibility() {
    let mut missing = Vec::new();
    for (kind, heading) in [
        (ResourceKind::Route, "Routes"),
        (ResourceKind::Service, "Services, plugin configs, global rules"),
        (ResourceKind::GraphqlCost, "Services, plugin configs, global rules"),
        (ResourceKind::PluginConfig, "Services, plugin configs, global rules"),
        (ResourceKind::GlobalRule, "Services, plugin configs, global rules"),
        (ResourceKind::Upstream, "Upstreams"),
        (ResourceKind::Consumer, "Consumers, credentials, groups"),
        (ResourceKind::Credential, "Consumers, credentials, groups"),
        (ResourceKind::ConsumerGroup, "Consumers, credentials, groups"),
        (ResourceKind::Ssl, "Certificates (`ssls`)"),
        (ResourceKind::Proto, "Protos"),
    ] {
        let table = compatibility(heading);
        let schema = resource_schema(kind).unwrap();
        for field in schema["properties"].as_object().unwrap().keys() {
            let is_everywhere = matches!(field.as_str(), "create_time" | "update_time");
            if !is_everywhere && !names(&table, field) {
                missing.push(format!("{}: {field}", kind.collection()));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[tokio::test]
async fn the_description_tells_what_may_be_expected_of_an_object() {
    let answer = Desk::open().ask(&Step::of("GET", "/bartizan/v1/openapi.json", "")).await;
    let description = answer.value();
    let fields = |path: &str, method: &str| -> Vec<String> {
        let operation = &description["paths"][path][method];
        let parameters = operation["parameters"].as_array().unwrap().iter();
        let fields = parameters.filter(|parameter| parameter["in"] == "header");
        fields.map(|field| field["name"].as_str().unwrap().to_owned()).collect()
    };
    let route = "/apisix/admin/routes/{id}";
    for (path, method, expected) in [
        (route, "get", &["If-None-Match"][..]),
        (route, "put", &["If-Match", "If-None-Match"]),
        (route, "patch", &["If-Match"]),
        (route, "delete", &["If-Match"]),
        ("/apisix/admin/routes", "post", &[]),
        ("/apisix/admin/configs", "put", &["X-Digest"]),
        ("/bartizan/v1/rollback", "post", &["If-Match"]),
    ] {
        assert_eq!(fields(path, method), expected, "{method} {path}");
    }
    let shown = &description["paths"][route]["get"]["responses"]["200"]["headers"];
    assert!(shown["ETag"].is_object(), "{shown}");
}
