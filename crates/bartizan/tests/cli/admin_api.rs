//! The Admin API of the program, walked with curl.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::driver::{Bench, Serving};
use crate::play::{Answered, Step, steps};
use crate::stores::{node, route, status};

fn admin_node() -> String {
    node("{ embedded: { path: store } }") + "admin: { listen: \"127.0.0.1:0\" }\n"
}

/// A node with its Admin API, and the key of an operator.
pub(crate) struct Scene {
    bench: Bench,
    pub(crate) serving: Serving,
    pub(crate) key: String,
}

impl Scene {
    pub(crate) fn start(role: &str) -> Self {
        let bench = Bench::with(&[("bartizan.yaml", &admin_node())]);
        Self::of(bench, &["--role", role])
    }

    /// A node in a folder that is prepared, and an operator with these rights.
    fn of(bench: Bench, rights: &[&str]) -> Self {
        let serving = bench.serve(&["run"]);
        let key = key(&bench, rights);
        Self { bench, serving, key }
    }

    /// Asks with curl.
    fn ask(&self, step: &Step) -> Answered {
        let url = format!("http://{}{}", self.serving.admin.unwrap(), step.target);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-i", "--globoff", "--path-as-is", "-H", "Expect:"]);
        if step.method == "HEAD" {
            curl.arg("--head");
        } else {
            curl.args(["-X", &step.method]);
        }
        for (name, value) in step.fields_with(&self.key) {
            curl.args(["-H", &format!("{name}: {value}")]);
        }
        if !step.body.is_empty() {
            curl.args(["--data-binary", &step.body]);
        }
        let output = curl.arg(url).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let fields = head.lines().skip(1).filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.trim_end().to_owned()))
        });
        Answered {
            status: status(head).parse().unwrap(),
            fields: fields.collect(),
            body: body.to_owned(),
        }
    }

    fn send(&self, method: &str, path: &str, value: &Value) -> Answered {
        self.ask(&Step::of(method, path, &value.to_string()))
    }

    fn put(&self, path: &str, value: &Value) -> u16 {
        self.ask(&Step::of("PUT", path, &value.to_string())).status
    }
}

/// Makes a key with these rights.
fn key(bench: &Bench, rights: &[&str]) -> String {
    // The name says what for: two operators of one name there are not.
    let name = rights.get(1).unwrap();
    let command = ["admin", "key", "create", "--name", name, "--expires", "1d"];
    let made = bench.bartizan(&[&command[..], rights].concat());
    made.succeeds().lines().next().unwrap().trim().to_owned()
}

#[test]
fn every_documented_call_is_answered_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../admin/cases");
    let mut problems = Vec::new();
    let mut played = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "case") {
            continue;
        }
        let scene = Scene::start("admin");
        for step in steps(&std::fs::read_to_string(&path).unwrap()) {
            let told = step.judge(&scene.ask(&step)).err();
            problems.extend(told.map(|problem| {
                format!("{}: {} {}\n  {problem}", path.display(), step.method, step.target)
            }));
            played += 1;
        }
        assert!(scene.serving.stop().success());
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(played > 100, "{played} steps");
}

#[test]
fn a_server_that_is_down_is_told_with_what_is_wrong() {
    let scene = Scene::start("admin");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let node = nobody.local_addr().unwrap().to_string();
    drop(nobody);
    let checks = serde_json::json!({ "active": { "unhealthy": { "tcp_failures": 1 } } });
    let upstream = serde_json::json!({ "nodes": { &node: 1 }, "checks": checks });
    assert_eq!(scene.put("/apisix/admin/upstreams/u", &upstream), 201);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let told = loop {
        let answer = scene.ask(&Step::of("GET", "/bartizan/v1/upstreams", ""));
        let list: Value = serde_json::from_str(&answer.body).unwrap();
        if list["list"][0]["health"] != "not_checked" {
            break list["list"][0].clone();
        }
        assert!(std::time::Instant::now() < end, "never probed: {list}");
    };
    assert_eq!(told["health"], "unhealthy");
    let server = &told["servers"][0];
    assert_eq!(
        (server["server"].as_str(), server["tcp_failures"].as_u64()),
        (Some(&*node), Some(1))
    );
    let fault = server["last_probe"]["fault"].as_str().unwrap();
    assert!(fault.contains("refused"), "{fault}");
    assert!(scene.serving.stop().success());
}

#[test]
fn a_route_serves_when_its_write_is_answered_and_a_bad_one_changes_nothing() {
    let scene = Scene::start("admin");
    let served = |path: &str| status(&scene.serving.get(path, "")).to_owned();
    assert_eq!(served("/a"), "404");
    assert_eq!(scene.put("/apisix/admin/routes/1", &route("/a")), 201);
    assert_eq!(served("/a"), "401");

    // Compiled, not only read: this one proves nothing.
    let mut open = route("/a");
    open["plugins"] = serde_json::json!({});
    let refused = scene.ask(&Step::of("PUT", "/apisix/admin/routes/1", &open.to_string()));
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("has no authentication"), "{}", refused.body);
    assert_eq!(scene.put("/apisix/admin/routes/2", &open), 400);
    assert_eq!(served("/a"), "401");
    let list = scene.ask(&Step::of("GET", "/apisix/admin/routes", "")).value();
    assert_eq!(list["total"], 1);

    // A dry run says what would be, and changes nothing.
    let path = "/apisix/admin/routes/2?dry_run=true";
    let foreseen = scene.ask(&Step::of("PUT", path, &route("/b").to_string())).value();
    let opens = foreseen["opens"][0].as_str().unwrap();
    assert!(opens.starts_with("route `2` at /b on any host"), "{opens}");
    assert_eq!(served("/b"), "404");

    let gone = scene.ask(&Step::of("DELETE", "/apisix/admin/routes/1", ""));
    assert_eq!((gone.status, served("/a")), (200, "404".to_owned()));
    let log = scene.bench.path("audit.jsonl");
    assert!(scene.serving.stop().success());
    let log = std::fs::read_to_string(log).unwrap();
    let changes = log.lines().filter(|line| line.contains("\"event\":\"change\""));
    let of_routes = changes.filter(|line| line.contains("\"object\":\"routes/1\""));
    assert_eq!(of_routes.count(), 2, "{log}");
}

#[test]
fn upstreams_may_not_be_the_admin_listener_and_listeners_serve_no_admin_paths() {
    let scene = Scene::start("admin");
    let admin = scene.serving.admin.unwrap().to_string();
    let mut inward = route("/in");
    inward["upstream"] = serde_json::json!({ "nodes": { (admin): 1 } });
    let refused = scene.ask(&Step::of("PUT", "/apisix/admin/routes/in", &inward.to_string()));
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(refused.body.contains("is a listener of this gateway"), "{}", refused.body);
    let key = format!("X-API-KEY: {}\r\n", scene.key);
    assert_eq!(status(&scene.serving.get("/apisix/admin/routes", &key)), "404");
    assert!(scene.serving.stop().success());
}

#[test]
fn viewers_read_and_do_not_write() {
    let scene = Scene::start("viewer");
    assert_eq!(scene.ask(&Step::of("GET", "/apisix/admin/routes", "")).status, 200);
    let refused = scene.put("/apisix/admin/routes/1", &route("/a"));
    assert!(matches!(refused, 401 | 403), "{refused}");
    assert_eq!(status(&scene.serving.get("/a", "")), "404");
    assert!(scene.serving.stop().success());
}

#[test]
fn a_body_that_is_too_long_is_refused() {
    let scene = Scene::start("admin");
    let long = format!("{{\"desc\":\"{}\"}}", "x".repeat(1_600_000));
    scene.bench.write("long.json", &long);
    let url = format!("http://{}/apisix/admin/routes/1", scene.serving.admin.unwrap());
    let file = format!("@{}", scene.bench.path("long.json").display());
    let put = |key: &str| {
        let key = format!("X-API-KEY: {key}");
        let arguments = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "PUT", "-H", &key];
        let output = Command::new("curl")
            .args(arguments)
            .args(["-H", "Expect:", "--data-binary", &file, &url])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(put(&scene.key), "400");
    assert!(scene.serving.stop().success());
}

#[test]
fn an_editor_that_is_confined_changes_nothing_outside() {
    let bench = Bench::with(&[("bartizan.yaml", &admin_node())]);
    let mut scene = Scene::of(bench, &["--role", "admin"]);
    let of_team = |team: &str, path: &str| {
        let mut route = route(path);
        route["labels"] = serde_json::json!({ "team": team });
        route
    };
    assert_eq!(scene.put("/apisix/admin/routes/theirs", &of_team("pay", "/pay/*")), 201);
    let rights = ["--role", "editor", "--labels", "team=shop", "--paths", "/shop"];
    scene.key = key(&scene.bench, &rights);
    assert_eq!(scene.put("/apisix/admin/routes/ours", &of_team("shop", "/shop")), 201);
    let attempts = [
        ("PUT", "routes/theirs", of_team("shop", "/shop")),
        ("PATCH", "routes/theirs", serde_json::json!({ "desc": "x" })),
        ("DELETE", "routes/theirs", Value::Null),
        ("PUT", "routes/ours", of_team("pay", "/shop")),
        ("PUT", "routes/ours", of_team("shop", "/pay/x")),
        ("PATCH", "routes/ours/uri", serde_json::json!("/*")),
        ("PUT", "global_rules/1", serde_json::json!({ "plugins": { "request-id": {} } })),
        ("PUT", "ssls/1", serde_json::json!({ "cert": "x", "key": "y", "snis": ["a.test"] })),
    ];
    for (method, path, body) in attempts {
        let answer = scene.send(method, &format!("/apisix/admin/{path}"), &body);
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.body);
    }
    let dry = scene.put("/apisix/admin/routes/theirs?dry_run=true", &of_team("shop", "/shop"));
    assert_eq!(dry, 403);
    let served = ["/pay/x", "/shop"].map(|path| status(&scene.serving.get(path, "")).to_owned());
    assert_eq!(served, ["401", "401"]);
    assert_eq!(status(&scene.serving.get("/other", "")), "404");
    assert!(scene.serving.stop().success());
}

#[test]
fn the_same_calls_write_to_etcd_and_see_what_others_write_there() {
    let server = bartizan_testkit::EtcdServer::start();
    let store = format!("{{ etcd: {{ endpoints: [\"{}\"], timeout: 2s }} }}", server.url());
    let file = node(&store) + "admin: { listen: \"127.0.0.1:0\" }\n";
    let scene = Scene::of(Bench::with(&[("bartizan.yaml", &file)]), &["--role", "admin"]);
    assert_eq!(scene.put("/apisix/admin/routes/1", &route("/a")), 201);
    assert_eq!(status(&scene.serving.get("/a", "")), "401");
    // Someone else's object at fault is quarantined, and does not stand in the way.
    server.put("/apisix/upstreams/theirs", "{\"nodes\": 1}");
    assert_eq!(scene.put("/apisix/admin/routes/2", &route("/b")), 201);
    assert_eq!(status(&scene.serving.get("/b", "")), "401");
    let shown = scene.ask(&Step::of("GET", "/apisix/admin/routes/1", "")).value();
    assert_eq!((&shown["key"], &shown["value"]["uri"]), (&"/apisix/routes/1".into(), &"/a".into()));
    let refused = scene.ask(&Step::of("POST", "/bartizan/v1/rollback", "{\"revision\": 1}"));
    assert!(refused.body.contains("name an `object`"), "{}", refused.body);
    let gone = scene.ask(&Step::of("DELETE", "/apisix/admin/routes/1", ""));
    assert_eq!((gone.status, status(&scene.serving.get("/a", ""))), (200, "404"));
    // What is no key is shown under a name of its own, by which it can be removed.
    for (raw, shown, named) in [
        ("routes/", "routes/%", "routes/%25"),
        ("routes//n", "routes/%2fn", "routes/%252fn"),
        ("routes/a\nb", "routes/a%0ab", "routes/a%250ab"),
        ("secrets/vault/", "secrets/%/vault%2f", "secrets/%25/vault%252f"),
    ] {
        server.put(&format!("/apisix/{raw}"), "{}");
        crate::stores::until_told(&scene.serving, "/readyz", &format!("{shown} at revision"));
        let gone = scene.ask(&Step::of("DELETE", &format!("/apisix/admin/{named}"), ""));
        assert_eq!(gone.status, 200, "{shown}: {}", gone.body);
        crate::stores::until_told(&scene.serving, "/readyz", "\"quarantined_count\":1");
    }
    assert!(scene.serving.stop().success());
}

#[test]
fn documents_are_shown_and_not_written() {
    let file = node("{ file: { path: resources.json } }") + "admin: { listen: \"127.0.0.1:0\" }\n";
    let mut written = route("/a");
    written["id"] = "1".into();
    let resources = serde_json::json!({ "routes": [written] }).to_string();
    let bench = Bench::with(&[("bartizan.yaml", &file), ("resources.json", &resources)]);
    let scene = Scene::of(bench, &["--role", "admin"]);
    let shown = scene.ask(&Step::of("GET", "/apisix/admin/routes/1", "")).value();
    assert_eq!(shown["value"]["uri"], "/a");
    for (method, path) in [
        ("PUT", "/apisix/admin/routes/2"),
        ("POST", "/apisix/admin/routes"),
        ("PATCH", "/apisix/admin/routes/1"),
        ("DELETE", "/apisix/admin/routes/1"),
    ] {
        let answer = scene.send(method, path, &route("/b"));
        assert_eq!(answer.status, 409, "{method}: {}", answer.body);
        assert!(answer.body.contains("edit its documents"), "{}", answer.body);
    }
    assert_eq!(scene.bench.read("resources.json"), resources);
    assert!(scene.serving.stop().success());
}
