//! Routes that requests fall through to with less protection.

use http::Method;
use serde_json::{Value, json};

use super::fixture::{Bench, Fate, Probe, guarded, local, node, open};

fn route(id: &str, uri: &str, plugins: &Value, more: &Value) -> Value {
    let mut route = json!({ "id": id, "uri": uri, "plugins": plugins, "upstream": local() });
    route.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    route
}

fn warnings(routes: &Value) -> Vec<String> {
    let snapshot = Bench::new(&node()).compile(&json!({ "routes": routes }));
    snapshot.report.warnings.into_iter().map(|warning| warning.problem).collect()
}

const TOLD: &str = "requests that do not meet the methods, addresses or vars of route `admin` go \
                    to route `all`, without authentication";

#[test]
fn a_shorter_route_that_proves_less_is_told() {
    let methods = json!({ "methods": ["GET"] });
    let routes = json!([
        route("admin", "/admin/*", &guarded(), &methods),
        route("all", "/*", &open(), &json!({})),
    ]);
    assert_eq!(warnings(&routes), [TOLD]);

    // What the warning says is what happens.
    let bench = Bench::new(&node());
    let snapshot = bench.compile(&json!({ "routes": routes }));
    let fate = Probe::get("/admin/users").by(Method::DELETE).send(&snapshot, &bench.facts);
    assert_eq!(fate, Fate::Forwarded("all".into()));
}

#[test]
fn addresses_and_vars_are_ways_around_too() {
    for condition in
        [json!({ "remote_addr": "10.0.0.0/8" }), json!({ "vars": [["arg_v", "==", "1"]] })]
    {
        let routes = json!([
            route("admin", "/admin/*", &guarded(), &condition),
            route("all", "/*", &open(), &json!({})),
        ]);
        assert_eq!(warnings(&routes), [TOLD]);
    }
}

#[test]
fn nothing_is_told_where_no_request_can_fall_through_or_lose() {
    let get = json!({ "methods": ["GET"] });
    let none = json!({});
    for (name, first, second) in [
        (
            "no condition",
            route("admin", "/admin/*", &guarded(), &none),
            route("all", "/*", &open(), &none),
        ),
        (
            "no other method",
            route("admin", "/admin/*", &guarded(), &get),
            route("all", "/*", &open(), &get),
        ),
        (
            "as protected",
            route("admin", "/admin/*", &guarded(), &get),
            route("all", "/*", &guarded(), &none),
        ),
        (
            "more protected",
            route("admin", "/admin/*", &open(), &get),
            route("all", "/*", &guarded(), &none),
        ),
        (
            "another path",
            route("admin", "/admin/*", &guarded(), &get),
            route("all", "/b*", &open(), &none),
        ),
        (
            "a longer path",
            route("admin", "/admin/*", &guarded(), &get),
            route("all", "/admin/x*", &open(), &none),
        ),
        (
            "another host",
            route(
                "admin",
                "/admin/*",
                &guarded(),
                &json!({ "methods": ["GET"], "host": "a.example" }),
            ),
            route("all", "/*", &open(), &json!({ "host": "b.example" })),
        ),
        (
            "a narrower host",
            route("admin", "/admin/*", &guarded(), &get),
            route("all", "/*", &open(), &json!({ "host": "b.example" })),
        ),
        (
            "tried before",
            route("admin", "/admin/*", &guarded(), &get),
            route("all", "/admin/*", &open(), &json!({ "priority": 1, "methods": ["PUT"] })),
        ),
    ] {
        assert_eq!(warnings(&json!([first, second])), [""; 0], "{name}");
    }
}

#[test]
fn wider_hosts_and_equal_paths_tried_later_count() {
    let at = |host: &str| json!({ "methods": ["GET"], "host": host });
    let none = json!({});
    for (first, second) in [
        (
            route("admin", "/admin", &guarded(), &at("x.a.example")),
            route("all", "/*", &open(), &none),
        ),
        (
            route("admin", "/admin", &guarded(), &at("x.a.example")),
            route("all", "/adm*", &open(), &json!({ "host": "*.a.example" })),
        ),
        (
            route("admin", "/admin", &guarded(), &at("*.a.example")),
            route("all", "/admin", &open(), &json!({ "host": "*.example" })),
        ),
        (
            route("admin", "/admin/*", &guarded(), &json!({ "methods": ["GET"], "priority": 1 })),
            route("all", "/admin/*", &open(), &none),
        ),
    ] {
        assert_eq!(warnings(&json!([first, second])), [TOLD]);
    }
}

#[test]
fn many_routes_that_fall_to_one_are_one_warning() {
    let get = json!({ "methods": ["GET"] });
    let mut routes: Vec<Value> =
        (0..5).map(|n| route(&format!("r{n}"), &format!("/r{n}/*"), &guarded(), &get)).collect();
    routes.push(route("all", "/*", &open(), &json!({})));
    let told = warnings(&json!(routes));
    assert_eq!(told.len(), 1);
    assert!(told[0].contains("routes `r0`, `r1`, `r2` and 2 more go"), "{}", told[0]);
}
