//! Teams beside each other: what one may refer to of another, and secrets that it does not know.

use serde_json::{Value, json};

use super::desk::Desk;
use super::play::Step;

async fn put(desk: &Desk, path: &str, body: &Value) -> (u16, String) {
    ask(desk, "PUT", path, body).await
}

async fn ask(desk: &Desk, method: &str, path: &str, body: &Value) -> (u16, String) {
    let path = format!("/apisix/admin/{path}");
    let answer = desk.ask(&Step::of(method, &path, &body.to_string())).await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn a_team_refers_to_its_own_and_to_what_is_lent_to_it() {
    let desk = Desk::open();
    for (id, labels) in [
        ("shop", json!({ "team": "shop" })),
        ("bank", json!({ "team": "bank" })),
        ("all", json!({ "for": "all" })),
        ("plain", json!({})),
    ] {
        let upstream = json!({ "nodes": { "127.0.0.1:1": 1 }, "labels": labels });
        assert_eq!(put(&desk, &format!("upstreams/{id}"), &upstream).await.0, 201);
        assert_eq!(
            put(&desk, &format!("services/{id}"), &json!({ "labels": labels })).await.0,
            201
        );
        let config = json!({ "plugins": { "key-auth": {} }, "labels": labels });
        assert_eq!(put(&desk, &format!("plugin_configs/{id}"), &config).await.0, 201);
    }
    let labels = json!({ "team": ["shop"] });
    let confinement = json!({ "labels": labels, "uses": { "for": ["all"] } });
    let team = desk.as_one_who("shop", &json!({ "role": "editor", "confinement": confinement }));
    let route = |members: Value| {
        let mut route = json!({ "uri": "/a", "labels": { "team": "shop" } });
        for (name, value) in members.as_object().unwrap() {
            route[name] = value.clone();
        }
        route
    };
    let before = desk.everything();
    for member in ["upstream_id", "service_id", "plugin_config_id"] {
        for id in ["bank", "plain"] {
            let (status, body) = put(&team, "routes/1", &route(json!({ member: id }))).await;
            assert_eq!(status, 403, "{member} {id}: {body}");
            assert!(body.contains("it may not refer to"), "{body}");
        }
    }
    let service = json!({ "upstream_id": "bank", "labels": { "team": "shop" } });
    assert_eq!(put(&team, "services/new", &service).await.0, 403);
    assert_eq!(desk.everything(), before);
    for member in ["upstream_id", "service_id", "plugin_config_id"] {
        for id in ["shop", "all"] {
            let (status, body) = put(&team, "routes/1", &route(json!({ member: id }))).await;
            assert!(matches!(status, 200 | 201), "{member} {id}: {body}");
        }
    }
    for body in [json!({ "upstream_id": "bank" }), json!({ "service_id": "plain" })] {
        assert_eq!(ask(&team, "PATCH", "routes/1", &body).await.0, 403, "{body}");
    }
    // What an admin wrote stays, and is what may stay.
    let written = route(json!({ "upstream_id": "bank" }));
    assert_eq!(put(&desk, "routes/1", &written).await.0, 200);
    let (status, body) = ask(&team, "PATCH", "routes/1", &json!({ "desc": "x" })).await;
    assert_eq!(status, 200, "{body}");
    // All at once is no way around it.
    let mut document = Step::of("PUT", "/apisix/admin/configs", "");
    document.fields.push(("X-Digest".to_owned(), "one".to_owned()));
    let mut other = route(json!({ "upstream_id": "plain" }));
    other["id"] = json!("1");
    document.body = json!({ "routes": [other] }).to_string();
    let answer = team.ask(&document).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
}

/// An editor of the team `shop`, and what an object of it has.
fn shop(desk: &Desk, more: &Value) -> (Desk, Value) {
    let mut rights = json!({ "role": "editor", "confinement": { "labels": { "team": ["shop"] } } });
    for (name, value) in more.as_object().unwrap() {
        rights[name] = value.clone();
    }
    (desk.as_one_who("shop", &rights), json!({ "team": "shop" }))
}

#[tokio::test]
async fn an_account_that_stands_in_for_strangers_is_referred_to() {
    let desk = Desk::open();
    for (name, team) in [("banker", "bank"), ("guest", "shop")] {
        let account = json!({ "username": name, "labels": { "team": team } });
        assert_eq!(put(&desk, &format!("consumers/{name}"), &account).await.0, 201);
    }
    let (team, labels) = shop(&desk, &json!({}));
    let route = |plugins: Value| {
        let mut route = super::route("/a");
        route["labels"] = labels.clone();
        for (name, config) in plugins.as_object().unwrap() {
            route["plugins"][name] = config.clone();
        }
        route
    };
    let several = |name: &str| {
        let ways = json!([{ "basic-auth": {} }, { "key-auth": { "anonymous_consumer": name } }]);
        json!({ "multi-auth": { "auth_plugins": ways } })
    };
    let one = |name: &str| json!({ "key-auth": { "anonymous_consumer": name } });
    for plugins in [one("banker"), several("banker")] {
        let (status, body) = put(&team, "routes/1", &route(plugins)).await;
        assert_eq!(status, 403, "{body}");
        assert!(body.contains("it may not refer to `consumers/banker`"), "{body}");
    }
    assert_eq!(put(&team, "routes/1", &route(one("guest"))).await.0, 201);
    let (status, body) = ask(&team, "DELETE", "consumers/guest", &Value::Null).await;
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("routes/1"), "{body}");
    assert_eq!(ask(&team, "DELETE", "routes/1", &Value::Null).await.0, 200);
    assert_eq!(ask(&team, "DELETE", "consumers/guest", &Value::Null).await.0, 200);
}

#[tokio::test]
async fn no_team_leaves_an_id_behind_that_something_refers_to() {
    let desk = Desk::open();
    let (team, labels) = shop(&desk, &json!({}));
    let upstream = json!({ "nodes": { "127.0.0.1:1": 1 }, "labels": labels });
    for id in ["used", "free"] {
        let (status, body) = put(&team, &format!("upstreams/{id}?ttl=60"), &upstream).await;
        assert_eq!(status, 403, "{body}");
        assert_eq!(put(&team, &format!("upstreams/{id}"), &upstream).await.0, 201);
    }
    let mut own = super::route("/a");
    own["labels"] = labels;
    own.as_object_mut().unwrap().remove("upstream");
    own["upstream_id"] = json!("used");
    let (status, body) = put(&team, "routes/1?ttl=60", &own).await;
    assert_eq!(status, 201, "{body}");
    let before = desk.everything();
    let (status, body) = ask(&team, "DELETE", "upstreams/used?force=true", &Value::Null).await;
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("routes/1"), "{body}");
    assert_eq!(desk.everything(), before);
    assert_eq!(ask(&team, "DELETE", "upstreams/free?force=true", &Value::Null).await.0, 200);
    // Whoever is not confined knows what they do.
    assert_eq!(ask(&desk, "DELETE", "upstreams/used?force=true", &Value::Null).await.0, 200);
}

#[tokio::test]
async fn what_the_node_can_read_is_of_no_team() {
    let desk = Desk::open();
    let logger = logging("https://logs.example/a", Some("$env://LOGS"));
    let (team, labels) = shop(&desk, &json!({ "secrets": true }));
    let mut own = logger.clone();
    own["labels"] = labels;
    let (status, body) = put(&team, "routes/1", &own).await;
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("auth_header"), "{body}");
    // Nor is one that stands there sent elsewhere.
    own["plugins"]["http-logger"]["auth_header"] = json!("$env://PATH");
    assert_eq!(put(&desk, "routes/2", &own).await.0, 201);
    let path = "routes/2/plugins/http-logger";
    let (status, body) = ask(&team, "PATCH", &format!("{path}/uri"), &json!("https://evil")).await;
    assert_eq!(status, 403, "{body}");
    let (status, body) = ask(&team, "PATCH", &format!("{path}/batch_max_size"), &json!(9)).await;
    assert_eq!(status, 200, "{body}");
    own["plugins"]["http-logger"]["auth_header"] = json!("Bearer of-the-team");
    let (status, body) = put(&team, "routes/1", &own).await;
    assert_eq!(status, 201, "{body}");
}

fn logging(uri: &str, header: Option<&str>) -> Value {
    let mut logger = json!({ "uri": uri, "batch_max_size": 10 });
    if let Some(header) = header {
        logger["auth_header"] = json!(header);
    }
    let mut route = super::route("/a");
    route["plugins"]["http-logger"] = logger;
    route
}

#[tokio::test]
async fn a_secret_that_is_not_known_cannot_be_sent_elsewhere() {
    let desk = Desk::open();
    let (home, away) = ("https://logs.example/a", "https://evil.example/a");
    let secret = "Bearer a-long-secret";
    assert_eq!(put(&desk, "routes/1", &logging(home, Some(secret))).await.0, 201);
    let editor = desk.as_one_who("editor", &json!({ "role": "editor" }));
    let read = editor.ask(&Step::of("GET", "/apisix/admin/routes/1", "")).await.value();
    let sealed = read["value"]["plugins"]["http-logger"]["auth_header"].as_str().unwrap();
    assert!(sealed.starts_with("sealed:v1:"), "{sealed}");

    let before = desk.everything();
    let mut document = logging(away, Some(sealed));
    document["id"] = json!("1");
    let attempts = [
        ("PUT", "routes/1", logging(away, Some(sealed))),
        ("PATCH", "routes/1", json!({ "plugins": { "http-logger": { "uri": away } } })),
        ("PATCH", "routes/1/plugins/http-logger/uri", json!(away)),
        ("PATCH", "routes/1/plugins/http-logger", {
            let moved = logging(away, Some(sealed));
            moved["plugins"]["http-logger"].clone()
        }),
        ("PUT", "configs", json!({ "routes": [document] })),
    ];
    for (method, path, body) in &attempts {
        let mut step = Step::of(method, &format!("/apisix/admin/{path}"), &body.to_string());
        step.fields.push(("X-Digest".to_owned(), "one".to_owned()));
        let answer = editor.ask(&step).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
        assert!(answer.body.contains("write the secret anew"), "{}", answer.body);
        assert!(!answer.body.contains("a-long-secret"), "{}", answer.body);
        assert_eq!(desk.everything(), before, "{method} {path}");
    }
    // How much is logged at a time may change, and everything where the secret is written.
    let amount = json!({ "plugins": { "http-logger": { "batch_max_size": 20 } } });
    for (method, body) in [
        ("PATCH", amount),
        ("PUT", logging(home, Some(sealed))),
        ("PUT", logging(away, Some("Bearer another"))),
        ("PUT", logging(home, Some(secret))),
        ("PUT", logging(away, Some(secret))),
        ("PUT", logging(home, None)),
    ] {
        let (status, told) = ask(&editor, method, "routes/1", &body).await;
        assert_eq!(status, 200, "{method} {body}: {told}");
    }
    // Who reads secrets knows them, and an admin does everything.
    assert_eq!(put(&desk, "routes/1", &logging(home, Some(secret))).await.0, 200);
    let capable = desk.as_one_who("capable", &json!({ "role": "editor", "secrets": true }));
    assert_eq!(ask(&capable, attempts[1].0, attempts[1].1, &attempts[1].2).await.0, 200);
}

#[tokio::test]
async fn a_token_of_a_secret_manager_is_sent_to_no_other_one() {
    let desk = Desk::open();
    let vault =
        json!({ "uri": "https://vault.example", "prefix": "kv", "token": "t-of-the-vault" });
    assert_eq!(put(&desk, "secrets/vault/1", &vault).await.0, 201);
    let rights = json!({ "role": "editor", "confinement": { "kinds": ["secrets"] } });
    let editor = desk.as_one_who("vaults", &rights);
    for patch in [json!({ "uri": "https://evil.example" }), json!({ "prefix": "kw" })] {
        let (status, body) = ask(&editor, "PATCH", "secrets/vault/1", &patch).await;
        assert_eq!(status, 403, "{patch}: {body}");
    }
    let anew = json!({ "uri": "https://evil.example", "token": "another" });
    assert_eq!(ask(&editor, "PATCH", "secrets/vault/1", &anew).await.0, 200);
}

#[tokio::test]
async fn who_reads_secrets_sees_differences_in_clear_and_each_reading_is_told() {
    let desk = Desk::open();
    let (home, secret) = ("https://logs.example/a", "Bearer a-long-secret");
    assert_eq!(put(&desk, "routes/1", &logging(home, Some(secret))).await.0, 201);
    assert_eq!(put(&desk, "routes/1", &logging(home, Some("Bearer another-one"))).await.0, 200);
    let diff = Step::of("GET", "/bartizan/v1/revisions/3/diff", "");
    let sealed = desk.ask(&diff).await;
    assert_eq!(sealed.status, 200, "{}", sealed.body);
    assert!(
        sealed.body.contains("auth_header") && !sealed.body.contains("Bearer"),
        "{}",
        sealed.body
    );
    let reader = desk.as_one_who("reader", &json!({ "role": "admin", "secrets": true }));
    let clear = reader.ask(&diff).await;
    for text in [secret, "Bearer another-one"] {
        assert!(clear.body.contains(text), "{}", clear.body);
    }
    let told = desk.told();
    let of_reader = told.lines().filter(|line| line.contains("\"operator\":\"reader\""));
    let readings = of_reader.filter(|line| line.contains("\"event\":\"secrets\""));
    assert_eq!(readings.count(), 2, "{told}");
    assert!(!told.contains("Bearer"), "{told}");
}

#[tokio::test]
async fn no_answer_that_changes_nothing_tells_who_guessed_a_secret() {
    let desk = Desk::open();
    let (home, secret) = ("https://logs.example/a", "Bearer a-long-secret");
    assert_eq!(put(&desk, "routes/1", &logging(home, Some(secret))).await.0, 201);
    let editor = desk.as_one_who("editor", &json!({ "role": "editor" }));
    let before = desk.everything();
    let mut told = Vec::new();
    for guess in [secret, "Bearer another-secret"] {
        let mut route = logging(home, Some(guess));
        let (status, one) = put(&editor, "routes/1?dry_run=true", &route).await;
        assert_eq!(status, 200, "{one}");
        route["id"] = json!("1");
        let body = json!({ "routes": [route] }).to_string();
        let mut all = Step::of("PUT", "/apisix/admin/configs?dry_run=true", &body);
        all.fields.push(("X-Digest".to_owned(), "one".to_owned()));
        let all = editor.ask(&all).await;
        assert_eq!(all.status, 200, "{}", all.body);
        told.push((one, all.body));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(desk.everything(), before);
}
