//! The Admin API is reached on its own listener and nowhere else: neither over the listeners of
//! the data plane nor through an upstream, however it is written.

use serde_json::{Value, json};

use crate::stores::status;
use crate::tried::{Tried, keyed};

/// A route that anybody may call, so that whatever is behind it answers.
fn open(uri: &str) -> Value {
    let mut route = keyed(uri);
    route["plugins"] = json!({ "anonymous-access": { "reason": "a test" } });
    route
}

fn answers_as_the_admin_api(answer: &str) -> bool {
    status(answer) == "200" || answer.to_ascii_lowercase().contains("x-api-version")
}

#[test]
fn no_listener_but_its_own_serves_the_admin_api() {
    let tried = Tried::new();
    let key = format!("X-API-KEY: {}\r\n", tried.root);
    for path in [
        "/apisix/admin",
        "/apisix/admin/",
        "/apisix/admin/routes",
        "/apisix/admin/configs",
        "/apisix/admin/plugins/list",
        "/bartizan/v1/status",
        "/bartizan/v1/openapi.json",
        "/ui",
        "/v1/schema",
    ] {
        let answer = tried.serving.get(path, &key);
        assert_eq!(status(&answer), "404", "{path}: {answer}");
        assert!(!answers_as_the_admin_api(&answer), "{path}: {answer}");
    }
    assert!(tried.serving.stop().success());
}

#[test]
fn no_upstream_leads_to_the_admin_api_however_it_is_written() {
    let tried = Tried::new();
    let port = tried.serving.admin.unwrap().port();
    let key = format!("X-API-KEY: {}\r\n", tried.root);
    let mut refused = 0;
    for host in [
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "localhost",
        "localhost.",
        "admin.localhost",
        "0.0.0.0",
        "[::]",
    ] {
        let node = format!("{host}:{port}");
        let list = json!([{ "host": host.trim_matches(['[', ']']), "port": port, "weight": 1 }]);
        for (form, nodes) in [("map", json!({ node: 1 })), ("list", list)] {
            // By the route itself, by an upstream, by a service.
            let upstream = json!({ "nodes": nodes });
            let mut by_route = open("/apisix/admin/*");
            by_route["upstream"] = upstream.clone();
            let mut by_id = by_route.clone();
            by_id.as_object_mut().unwrap().remove("upstream");
            by_id["upstream_id"] = json!("in");
            let mut by_service = by_id.clone();
            by_service.as_object_mut().unwrap().remove("upstream_id");
            by_service["service_id"] = json!("in");
            let service = json!({ "upstream": upstream });
            for (path, object, route) in [
                ("upstreams/in", Some(&upstream), &by_id),
                ("services/in", Some(&service), &by_service),
                ("routes/in", None, &by_route),
            ] {
                // The form matters nowhere but in the upstream itself.
                if form == "list" && object.is_some() {
                    continue;
                }
                let put = |path: &str, object: &Value| {
                    let path = format!("/apisix/admin/{path}");
                    tried.call(&tried.root, "PUT", &path, Some(object))
                };
                let told = object.map(|object| put(path, object));
                let (code, body) = put("routes/in", route);
                let context = format!("{host} as {form} by {path}");
                if told.is_some_and(|(code, _)| code == 400) || code == 400 {
                    refused += 1;
                } else {
                    assert!(matches!(code, 200 | 201), "{context}: {code} {body}");
                }
                let answer = tried.serving.get("/apisix/admin/routes", &key);
                assert!(!answers_as_the_admin_api(&answer), "{context}: {answer}");
                let used = object.map(|_| path);
                for made in ["routes/in"].into_iter().chain(used) {
                    let path = format!("/apisix/admin/{made}?force=true");
                    let _ = tried.call(&tried.root, "DELETE", &path, None);
                }
            }
        }
    }
    assert!(refused > 10, "{refused}");
    // Names are judged by what they lead to when they are connected to.
    let mut by_name = open("/apisix/admin/*");
    by_name["upstream"] = json!({ "nodes": { (format!("localhost:{port}")): 1 } });
    tried.put("/apisix/admin/routes/in", &by_name);
    assert_eq!(status(&tried.serving.get("/apisix/admin/routes", &key)), "502");
    assert!(tried.tells_of_own_listener());
    assert!(tried.serving.stop().success());
}

#[test]
fn no_plugin_asks_the_admin_api() {
    let tried = Tried::new();
    let admin = tried.serving.admin.unwrap();
    let port = admin.port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0"] {
        // It would be asked with the client's key, and let through what answers 200.
        let mut route = open("/a");
        route["plugins"]["forward-auth"] = json!({
            "uri": format!("http://{host}:{port}/apisix/admin/routes"),
            "request_headers": ["X-API-KEY"],
        });
        let (code, body) = tried.call(&tried.root, "PUT", "/apisix/admin/routes/1", Some(&route));
        let key = format!("X-API-KEY: {}\r\n", tried.root);
        let answer = tried.serving.get("/a", &key);
        // 502 would be the upstream's: then the plugin has let it pass.
        assert!(!matches!(status(&answer), "200" | "502"), "{host}: {code} {body} {answer}");
        let _ = tried.call(&tried.root, "DELETE", "/apisix/admin/routes/1", None);
    }
    assert!(tried.tells_of_own_listener());
    assert!(tried.serving.stop().success());
}
