//! Who sees what.

use super::*;

const PATHS: [&str; 7] = [
    "/ui/",
    "/ui/routes",
    "/ui/quarantine",
    "/ui/revisions",
    "/ui/revisions/2",
    "/ui/denials",
    "/ui/upstreams",
];

async fn put(desk: &Desk, path: &str, value: &serde_json::Value) {
    let step = Step::of("PUT", &format!("/apisix/admin/{path}"), &value.to_string());
    let answer = desk.ask(&step).await;
    assert!(answer.status < 300, "{}", answer.body);
}

fn sample() -> Sample {
    let mut route = SampleRoute::of("<script>alert(1)</script>");
    (route.name, route.hosts) = (Some("\"><img src=x>".into()), vec!["a.test".into()]);
    (route.is_public, route.reason) = (true, Some("'<b>'".into()));
    Sample { version: 1, routes: vec![route], ..Sample::default() }
}

#[tokio::test(start_paused = true)]
async fn each_role_sees_its_pages_and_a_visit_to_another_is_refused_and_told_once() {
    let lobby = Lobby::open();
    put(&lobby.desk, "upstreams/u", &json!({ "nodes": { "127.0.0.1:1": 1 } })).await;
    let resources = [true, true, true, false, false, true, true];
    let past = [true, true, true, true, true, true, false];
    let mut forbidden = 0;
    for (role, sees) in
        [("viewer", resources), ("editor", resources), ("auditor", past), ("admin", [true; 7])]
    {
        let other = lobby.desk.as_one_who(role, &json!({ "role": role }));
        let cookie = lobby.sign_in_with(&other.key).await.cookie();
        let home = lobby.get("/ui/", &cookie).await.body;
        for (path, sees) in PATHS.into_iter().zip(sees) {
            let seen = lobby.get(path, &cookie).await;
            assert_eq!(seen.status, if sees { 200 } else { 403 }, "{role} {path}");
            assert_eq!(seen.body.contains("<h1>Not permitted</h1>"), !sees, "{role} {path}");
            if path != "/ui/revisions/2" {
                let link = format!("href=\"{path}\"");
                assert_eq!(home.contains(&link), sees, "{role} {path}");
            }
            forbidden += usize::from(!sees);
        }
    }
    let refusals = lobby.refusals();
    assert_eq!(refusals.len(), forbidden, "{refusals:?}");
    assert!(refusals.iter().all(|told| told.starts_with("may not read `")), "{refusals:?}");
}

#[tokio::test(start_paused = true)]
async fn names_and_texts_of_others_are_text_on_every_page() {
    let lobby = Lobby::open();
    lobby.desk.cover(sample());
    lobby.desk.set_aside(vec![Aside {
        object: "routes/<script>".into(),
        stands_in: true,
        problems: vec!["unknown field `<script>`".into()],
    }]);
    let text = "<script>alert(2)</script>";
    put(&lobby.desk, "upstreams/u", &json!({ "nodes": { "127.0.0.1:1": 1 }, "desc": text })).await;
    let cookie = lobby.sign_in().await;
    for path in PATHS
        .into_iter()
        .chain(["/ui/routes?q=%3Cscript%3E&gap=open&page=2", "/ui/revisions/%3Cscript%3E"])
    {
        let seen = lobby.get(path, &cookie).await;
        let text = &seen.body;
        assert!(
            !text.contains("<script") && !text.contains("<img src=x") && !text.contains("<b>"),
            "{path}"
        );
    }
    let routes = lobby.get("/ui/routes?q=%22%3E%3Cimg", &cookie).await.body;
    assert!(routes.contains("value=\"&quot;&gt;&lt;img\""), "{routes}");
    assert!(routes.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let difference = lobby.get("/ui/revisions/2", &cookie).await.body;
    assert!(difference.contains("&lt;script&gt;alert(2)&lt;/script&gt;"), "{difference}");
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_shown_but_to_keys_that_read_them_and_that_is_told() {
    let lobby = Lobby::open();
    let jack =
        json!({ "username": "jack", "plugins": { "key-auth": { "key": "a-key-of-sixteen" } } });
    put(&lobby.desk, "consumers/jack", &jack).await;
    let reader = lobby.desk.as_one_who("reader", &json!({ "role": "admin", "secrets": true }));
    for (key, sees) in [(&lobby.desk.key, false), (&reader.key, true)] {
        let cookie = lobby.sign_in_with(key).await.cookie();
        let seen = lobby.get("/ui/revisions/2", &cookie).await;
        assert_eq!(seen.status, 200);
        assert!(seen.body.contains("consumers/jack"));
        assert_eq!(seen.body.contains("a-key-of-sixteen"), sees);
    }
    let told = lobby.desk.told();
    assert_eq!(told.matches("\"event\":\"secrets\"").count(), 1, "{told}");
    assert!(!told.contains("a-key-of-sixteen"));
}

#[tokio::test(start_paused = true)]
async fn everybody_sees_how_often_and_auditors_what_was_refused() {
    let lobby = Lobby::open();
    assert_eq!(lobby.sign_in_with("btz_admin_nobody").await.status, 401);
    // What is written is told: the thread that writes says when.
    while lobby.desk.api.recent_total() == 0 {
        tokio::task::yield_now().await;
    }
    for (role, sees) in [("viewer", false), ("editor", false), ("auditor", true), ("admin", true)] {
        let other = lobby.desk.as_one_who(role, &json!({ "role": role }));
        let cookie = lobby.sign_in_with(&other.key).await.cookie();
        let text = lobby.get("/ui/denials", &cookie).await.body;
        assert!(text.contains("admin.key_refused"), "{role}");
        assert_eq!(text.contains("there is no such key"), sees, "{role}");
        assert_eq!(text.contains("Single events are for auditors and admins."), !sees, "{role}");
        let answer = other.ask(&Step::of("GET", "/bartizan/v1/denials", "")).await.value();
        assert_eq!(answer["counts"][0]["reason"], "admin.key_refused", "{role}");
        assert_eq!(answer["latest"].is_array(), sees, "{role}");
    }
    let cookie = lobby.sign_in().await;
    assert_eq!(lobby.get("/ui/denials", &cookie).await.field("refresh"), "");
    let live = lobby.get("/ui/denials?refresh=5", &cookie).await;
    assert_eq!(live.field("refresh"), "5");
    assert!(live.body.contains("Stop that"));
    assert_eq!(lobby.get("/ui/denials?refresh=0", &cookie).await.field("refresh"), "");
}

#[tokio::test(start_paused = true)]
async fn a_page_that_loads_itself_keeps_no_session() {
    let lobby = Lobby::open();
    let cookie = lobby.sign_in().await;
    advance(IDLE / 2).await;
    assert_eq!(lobby.get("/ui/denials?refresh=5", &cookie).await.status, 200);
    advance(IDLE / 2).await;
    assert_eq!(lobby.get("/ui/denials?refresh=5", &cookie).await.status, 401);
}

#[tokio::test(start_paused = true)]
async fn lists_have_pages_and_pages_have_edges() {
    let lobby = Lobby::open();
    let aside = (0..51).map(|n| Aside {
        object: format!("routes/r{n}"),
        stands_in: n % 2 == 0,
        problems: vec!["a".into(), "b".into()],
    });
    lobby.desk.set_aside(aside.collect());
    let cookie = lobby.sign_in().await;
    for (page, first, last) in [
        ("1", "r0", "r49"),
        ("2", "r50", "r50"),
        ("9", "r50", "r50"),
        ("x", "r0", "r49"),
        ("0", "r0", "r49"),
    ] {
        let text = lobby.get(&format!("/ui/quarantine?page={page}"), &cookie).await.body;
        let named: Vec<&str> =
            text.split("<code>routes/").skip(1).filter_map(|part| part.split('<').next()).collect();
        assert_eq!((named.first(), named.last()), (Some(&first), Some(&last)), "{page}");
    }
    let text = lobby.get("/ui/quarantine?page=2", &cookie).await.body;
    assert!(text.contains("Page 2 of 2") && text.contains("href=\"/ui/quarantine?page=1\""));
    assert!(!text.contains("?page=3"));
    assert_eq!(lobby.get("/ui/routes?page=x", &cookie).await.status, 400);
    assert_eq!(lobby.get("/ui/routes?gap=nosuch", &cookie).await.status, 400);
    assert_eq!(lobby.get("/ui/revisions/99", &cookie).await.status, 404);
    assert_eq!(lobby.get("/ui/nowhere", &cookie).await.status, 404);
}

#[tokio::test(start_paused = true)]
async fn upstreams_have_pages_on_which_each_is_whole() {
    let lobby = Lobby::open();
    for n in 10..62 {
        put(&lobby.desk, &format!("upstreams/u{n}"), &json!({ "nodes": { "127.0.0.1:1": 1 } }))
            .await;
    }
    let route = json!({
        "uri": "/a", "upstream_id": "u61",
        "plugins": { "key-auth": {}, "any-authenticated": { "reason": "a test" } },
    });
    put(&lobby.desk, "routes/r", &route).await;
    let cookie = lobby.sign_in().await;
    for (page, first, last, count) in
        [("1", "u10", "u59", 50), ("2", "u60", "u61", 2), ("9", "u60", "u61", 2)]
    {
        let text = lobby.get(&format!("/ui/upstreams?page={page}"), &cookie).await.body;
        let rows = text.split("<th scope=\"row\"><code>upstreams/").skip(1);
        let named: Vec<&str> = rows.filter_map(|part| part.split('<').next()).collect();
        assert_eq!((named.first(), named.last(), named.len()), (Some(&first), Some(&last), count));
        assert_eq!(text.contains("routes/r"), page != "1", "{page}");
        assert!(text.contains("of 2</span>"), "{text}");
    }
    let answer = lobby.desk.ask(&Step::of("GET", "/bartizan/v1/upstreams", "")).await.value();
    assert_eq!((&answer["total"], answer["list"].as_array().unwrap().len()), (&json!(52), 52));
    assert_eq!(answer["list"][51]["used_by"], json!(["routes/r"]));
    // Who is confined sees, and counts, what is theirs.
    let team = json!({ "role": "editor", "confinement": { "labels": { "team": ["shop"] } } });
    let editor = lobby.desk.as_one_who("shop", &team);
    let seen = editor.ask(&Step::of("GET", "/bartizan/v1/upstreams", "")).await.value();
    let all = seen["list"].as_array().unwrap().len();
    assert_eq!(seen["total"], json!(all));
}

#[tokio::test(start_paused = true)]
async fn a_page_of_routes_is_as_long_as_it_is_asked_for() {
    let lobby = Lobby::open();
    let routes = (10..22).map(|n| SampleRoute::of(&format!("r{n}"))).collect();
    lobby.desk.cover(Sample { version: 1, routes, ..Sample::default() });
    let cookie = lobby.sign_in().await;
    for (query, count, kept) in [
        ("", 12, false),
        ("?page_size=10", 10, true),
        ("?page_size=10&page=2", 2, true),
        ("?page_size=500", 12, false),
    ] {
        let text = lobby.get(&format!("/ui/routes{query}"), &cookie).await.body;
        assert_eq!(text.matches("<span class=\"id\">").count(), count, "{query}");
        assert_eq!(text.contains("&amp;page_size=10\""), kept, "{query}");
    }
    for size in ["9", "501", "x"] {
        let seen = lobby.get(&format!("/ui/routes?page_size={size}"), &cookie).await;
        assert_eq!(seen.status, 400, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn so_many_objects_of_a_revision_are_shown_and_only_those_are_read() {
    for (count, shown) in [(49, 49), (50, 50), (51, 50)] {
        let lobby = Lobby::open();
        let object = |n: usize| {
            let plugins = json!({ "key-auth": { "key": format!("a-key-of-number-{n}") } });
            (format!("consumers/c{n}"), json!({ "username": format!("c{n}"), "plugins": plugins }))
        };
        let objects: Vec<_> = (100..100 + count).map(object).collect();
        let revision = lobby.desk.commit(&objects).await;
        let reader = lobby.desk.as_one_who("reader", &json!({ "role": "admin", "secrets": true }));
        let cookie = lobby.sign_in_with(&reader.key).await.cookie();
        let text = lobby.get(&format!("/ui/revisions/{revision}"), &cookie).await.body;
        assert_eq!(text.matches("<section>").count(), shown);
        assert_eq!(text.contains("and 1 more objects, which the API tells."), count > shown);
        let list = lobby.desk.ask(&Step::of("GET", "/bartizan/v1/revisions?limit=1", "")).await;
        let objects = &list.value()["list"][0]["objects"];
        assert_eq!(objects.as_array().unwrap().len(), count);
        let told = lobby.desk.told();
        assert_eq!(told.matches("\"event\":\"secrets\"").count(), shown, "{told}");
    }
}
