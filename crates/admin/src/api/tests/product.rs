//! Every endpoint, asked by every role, without a key, and of a store that is not written here.

use std::fmt::Write as _;

use http::Method;
use serde_json::{Value, json};

use super::desk::Desk;
use super::folder;
use super::play::Step;
use crate::api::kinds::{KINDS, Kind, Naming};
use crate::api::table::{Call, Endpoint, Table};

const ROLES: [&str; 4] = ["admin", "editor", "viewer", "auditor"];

/// An object of a kind, by the segment of its paths.
fn object(kind: &str) -> Value {
    match kind {
        "routes" => super::route("/a"),
        "services" => json!({ "upstream": { "nodes": { "127.0.0.1:1": 1 } } }),
        "upstreams" => json!({ "nodes": { "127.0.0.1:1": 1 } }),
        "ssls" => json!({ "snis": ["a.test"], "cert": "c", "key": "k" }),
        "credentials" => json!({ "plugins": { "key-auth": { "key": "a-key-of-sixteen" } } }),
        "graphql_cost_decorations" => json!({ "field_path": "a.b" }),
        "consumer_groups" => {
            json!({ "plugins": { "limit-count": { "count": 5, "time_window": 60 } } })
        }
        "plugin_configs" => json!({ "plugins": { "key-auth": {} } }),
        "global_rules" => json!({ "plugins": { "request-id": {} } }),
        "protos" => json!({ "content": "syntax = \"proto3\"; message A {}" }),
        "plugin_metadata" => json!({ "log_format": { "host": "$host" } }),
        "secrets" => json!({ "uri": "https://127.0.0.1:1", "prefix": "kv", "token": "t" }),
        _ => json!({}),
    }
}

/// A request to an endpoint that its body fits.
fn step(row: &Endpoint) -> Step {
    let kind = row.kind.map_or("", |kind| kind.segment);
    let id = if kind == "plugin_metadata" { "http-logger" } else { "1" };
    let target = row
        .path
        .replace("{username}", "jack")
        .replace("{service}", "shop")
        .replace("{manager}", "vault")
        .replace("{plugin}", id)
        .replace("{n}", "2")
        .replace("{name}", "key-auth")
        .replace("{resource}", "upstreams")
        .replace("{part*}", "desc")
        .replace("{id}", id);
    let is_named = row.method == Method::PUT && !row.path.contains('}');
    let mut body = object(kind);
    if is_named && let Some(kind) = row.kind {
        let name = if kind.naming == Naming::Username { "username" } else { "id" };
        body[name] = if kind.naming == Naming::Username { "jack" } else { id }.into();
    }
    let body = match row.call {
        Call::Rollback => json!({ "revision": 1 }),
        Call::ValidateObject => object("upstreams"),
        Call::PutConfigs | Call::ValidateDocument => json!({ "upstreams": [] }),
        Call::Patch if row.path.ends_with("{part*}") => json!("x"),
        Call::Patch => json!({ "desc": "x" }),
        Call::Put | Call::Post => body,
        _ => return Step::of(row.method.as_str(), &target, ""),
    };
    let mut step = Step::of(row.method.as_str(), &target, &body.to_string());
    if row.call == Call::PutConfigs {
        step.fields.push(("X-Digest".to_owned(), "one".to_owned()));
    }
    step
}

/// A desk at which each kind has an object, as far as it can be written here; or one kind alone.
async fn furnished(only: Option<&Kind>) -> Desk {
    let desk = Desk::open();
    let jack = json!({ "username": "jack" }).to_string();
    let put = async |path: &str, body: &str| {
        let path = format!("/apisix/admin/{path}");
        let answer = desk.ask(&Step::of("PUT", &path, body)).await;
        assert_eq!(answer.status, 201, "{path}: {}", answer.body);
    };
    put("consumers/jack", &jack).await;
    for kind in KINDS.iter().filter(|kind| only.is_none_or(|only| only.segment == kind.segment)) {
        let body = object(kind.segment).to_string();
        match kind.segment {
            "consumers" | "ssls" | "stream_routes" => {}
            "credentials" => put("consumers/jack/credentials/1", &body).await,
            "graphql_cost_decorations" => {
                put("services/shop", &object("services").to_string()).await;
                put("services/shop/graphql_cost_decorations/1", &body).await;
            }
            "plugin_metadata" => put("plugin_metadata/http-logger", &body).await,
            "secrets" => put("secrets/vault/1", &body).await,
            segment => put(&format!("{segment}/1"), &body).await,
        }
    }
    desk
}

#[tokio::test]
async fn every_role_is_answered_at_every_endpoint_as_its_table_says() {
    let mut told = format!("# method, path: {}\n", ROLES.join(", "));
    let still = furnished(None).await;
    let all = ROLES.map(|role| (role, still.as_one_who(role, &json!({ "role": role }))));
    let before = still.everything();
    for row in Table::new().endpoints() {
        let step = step(row);
        write!(told, "{} {}:", row.method, row.path).unwrap();
        for (role, known) in &all {
            let is_read = row.method == Method::GET || row.method == Method::HEAD;
            // What may change something is asked of a node of its own.
            let status = if is_read || matches!(*role, "viewer" | "auditor") {
                known.ask(&step).await.status
            } else {
                let desk = furnished(row.kind).await;
                let own = desk.everything();
                let asked = desk.as_one_who(role, &json!({ "role": role }));
                let status = asked.ask(&step).await.status;
                assert!(status < 400 || desk.everything() == own, "{role}: {}", step.target);
                status
            };
            write!(told, " {status}").unwrap();
        }
        told.push('\n');
    }
    assert_eq!(still.everything(), before, "who only reads changed something");
    let pinned = folder().join("roles.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&pinned, &told).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&pinned).unwrap_or_default(), told);
}

#[tokio::test]
async fn no_endpoint_but_that_of_life_answers_who_shows_no_good_key() {
    let desk = furnished(None).await;
    let before = desk.everything();
    for row in Table::new().endpoints() {
        for (fields, query) in [
            (&[("X-API-KEY", "-")][..], ""),
            (&[("X-API-KEY", "btz_admin_00000000_0")], ""),
            (&[], "?api_key=x"),
            (&[("Cookie", "x_api_key=x")], ""),
        ] {
            let mut step = step(row);
            step.target.push_str(query);
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            step.fields.extend(fields.iter().map(own));
            let answer = desk.ask(&step).await;
            // Failures delay what follows of their address.
            let is_refused = matches!(answer.status, 401 | 429);
            let lives = row.call == Call::Live;
            assert_eq!(is_refused, !lives, "{} {}: {}", row.method, step.target, answer.status);
        }
    }
    assert_eq!(desk.everything(), before);
}

#[tokio::test]
async fn every_write_to_a_store_of_documents_is_answered_409() {
    let desk = Desk::open().read_only();
    for row in Table::new().endpoints() {
        let is_write = matches!(
            row.call,
            Call::Put | Call::Post | Call::Patch | Call::Delete | Call::PutConfigs | Call::Rollback
        );
        // Streams are refused before anything else.
        let is_stream = row.kind.is_some_and(|kind| kind.segment == "stream_routes");
        if !is_write || (is_stream && row.call != Call::Delete) {
            continue;
        }
        let answer = desk.ask(&step(row)).await;
        assert_eq!(answer.status, 409, "{} {}: {}", row.method, row.path, answer.body);
        assert!(answer.body.contains("edit the documents"), "{}", answer.body);
    }
}
