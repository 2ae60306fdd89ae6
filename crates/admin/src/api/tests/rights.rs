//! Who may ask for what changes everything or nothing.

use serde_json::{Value, json};

use super::desk::Desk;
use super::play::Step;
use super::route;

const CONFIGS: &str = "/apisix/admin/configs";

fn document(digest: &str, body: &str) -> Step {
    let mut step = Step::of("PUT", CONFIGS, body);
    step.fields.push(("X-Digest".to_owned(), digest.to_owned()));
    step
}

#[tokio::test]
async fn a_document_that_changes_no_object_is_the_admins_alone() {
    let desk = Desk::open();
    let upstream = r#"{"upstreams": [{"id": "u", "nodes": {"127.0.0.1:1": 1}}]}"#;
    assert_eq!(desk.ask(&document("one", upstream)).await.status, 202);
    let before = desk.content("bartizan/configs");
    for (role, known, new) in [("viewer", 401, 401), ("editor", 204, 403), ("auditor", 403, 403)] {
        let other = desk.as_one_who(role, &json!({ "role": role }));
        assert_eq!(other.ask(&document("one", upstream)).await.status, known, "{role}");
        assert_eq!(other.ask(&document("two", upstream)).await.status, new, "{role}");
        let versions = r#"{"upstreams_conf_version": 1, "routes_conf_version": 99}"#;
        assert_eq!(other.ask(&document("two", versions)).await.status, new, "{role}");
        assert_eq!(desk.content("bartizan/configs"), before, "{role}");
    }
    // Where it may change all that differs, an editor replaces it.
    let other = upstream.replace(":1\"", ":2\"");
    let editor = desk.as_one_who("another", &json!({ "role": "editor" }));
    let newest = r#"{"routes_conf_version": 99, "upstreams_conf_version": 9, "#;
    let versioned = other.replacen('{', newest, 1);
    assert_eq!(editor.ask(&document("two", &versioned)).await.status, 202);
    // It says what is the newest of what it changes only.
    let stand: Value = serde_json::from_str(&desk.content("bartizan/configs")).unwrap();
    let versions = &stand["versions"];
    let told = [&versions["upstreams_conf_version"], &versions["routes_conf_version"]];
    assert_eq!(told, [9, 1]);
    assert_eq!(desk.ask(&document("three", &other)).await.status, 202);
    assert_ne!(desk.content("bartizan/configs"), before);
}

#[tokio::test]
async fn a_rollback_that_changes_nothing_is_refused_to_those_who_write_nothing() {
    let desk = Desk::open();
    let put = Step::of("PUT", "/apisix/admin/routes/1", &route("/a").to_string());
    assert_eq!(desk.ask(&put).await.status, 201);
    for (role, status) in [("viewer", 401), ("auditor", 403)] {
        let other = desk.as_one_who(role, &json!({ "role": role }));
        for body in [json!({ "revision": 2 }), json!({ "revision": 2, "object": "routes/1" })] {
            let step = Step::of("POST", "/bartizan/v1/rollback", &body.to_string());
            assert_eq!(other.ask(&step).await.status, status, "{role}: {body}");
        }
    }
}

#[tokio::test]
async fn what_is_not_there_cannot_be_removed_and_editors_are_told_so() {
    let desk = Desk::open();
    let shop = json!({ "role": "editor", "confinement": { "hosts": ["shop.example"] } });
    for (name, rights, status) in [
        ("editor", json!({ "role": "editor" }), 404),
        ("confined", shop, 404),
        ("viewer", json!({ "role": "viewer" }), 401),
        ("auditor", json!({ "role": "auditor" }), 403),
        ("admin", json!({ "role": "admin" }), 404),
    ] {
        let other = desk.as_one_who(name, &rights);
        let answer = other.ask(&Step::of("DELETE", "/apisix/admin/routes/none", "")).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.body);
        assert_eq!(answer.body.contains("Key not found"), status == 404, "{}", answer.body);
    }
}

#[tokio::test]
async fn whoever_validates_learns_neither_values_nor_whether_they_are_there() {
    let desk = Desk::open();
    let consumer = |key: &str| {
        let plugins = json!({ "key-auth": { "key": key } });
        json!({ "consumers": [{ "username": "jack", "plugins": plugins }] }).to_string()
    };
    let upstream = |text: &str| {
        let nodes = json!({ "127.0.0.1:1": 1 });
        json!({ "upstreams": [{ "id": "u", "desc": text, "nodes": nodes }] }).to_string()
    };
    for role in ["viewer", "editor", "admin"] {
        let other = desk.as_one_who(role, &json!({ "role": role }));
        let ask = async |path: &str, body: &str| {
            let answer = other.ask(&Step::of("POST", path, body)).await;
            (answer.status, answer.body)
        };
        let judge = async |body: &str| ask("/apisix/admin/configs/validate", body).await;
        let there = judge(&consumer("$env://PATH")).await;
        assert_eq!(there, (200, "{}".to_owned()), "{role}");
        assert_eq!(judge(&consumer("$ENV://NO_SUCH_VARIABLE")).await, there, "{role}");
        assert_eq!(judge(&consumer("$file:///etc/hostname")).await, there, "{role}");
        let set = judge(&upstream("${{PATH}}")).await;
        assert_eq!(set.0, 400, "{role}");
        assert!(set.1.contains("no variable is read") && !set.1.contains("/bin"), "{}", set.1);
        assert_eq!(judge(&upstream("${{NOPE}}")).await, set, "{role}");
        let ssl = |key: &str| json!({ "snis": ["a.test"], "cert": key, "key": key }).to_string();
        let path = "/apisix/admin/schema/validate/ssls";
        let there = ask(path, &ssl("$env://PATH")).await;
        assert_eq!(ask(path, &ssl("$env://NO_SUCH_VARIABLE")).await, there, "{role}");
        assert_eq!(there.0, 200, "{role}: {}", there.1);
    }
    let auditor = desk.as_one_who("auditor", &json!({ "role": "auditor" }));
    let asked = Step::of("POST", "/apisix/admin/configs/validate", "{}");
    assert_eq!(auditor.ask(&asked).await.status, 403);
}
