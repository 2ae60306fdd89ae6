//! What a node's router makes of paths.

use serde_json::{Value, json};

use super::fixture::{Bench, Fate, Probe, guarded, local, node, open};

fn node_of(router: &str) -> Value {
    let mut node = node();
    node["router"] = json!(router);
    node
}

fn route(id: &str, uri: &str, plugins: &Value) -> Value {
    json!({ "id": id, "uri": uri, "plugins": plugins, "upstream": local() })
}

#[test]
fn parameters_are_refused_where_the_router_has_none() {
    for (router, is_good) in [
        ("radixtree_host_uri", false),
        ("radixtree_uri", false),
        ("radixtree_uri_with_parameter", true),
    ] {
        let bench = Bench::new(&node_of(router));
        let routes = json!({ "routes": [route("a", "/u/:id", &open())] });
        let problems = bench.problems(&routes);
        assert_eq!(problems.is_empty(), is_good, "{router}");
        for problem in problems {
            assert!(problem.contains("has parameters, which this node's router has not"));
        }
    }
}

#[test]
fn conditions_of_a_route_cannot_read_its_parameters() {
    let bench = Bench::new(&node_of("radixtree_uri_with_parameter"));
    let mut written = route("a", "/u/:id", &open());
    written["vars"] = json!([["uri_param_id", "==", "7"]]);
    let problems = bench.problems(&json!({ "routes": [written] }));
    assert_eq!(problems.len(), 1);
}

#[test]
fn a_template_that_proves_less_is_told() {
    let bench = Bench::new(&node_of("radixtree_uri_with_parameter"));
    let mut guarded_one = route("one", "/u/:id/keys", &guarded());
    guarded_one["methods"] = json!(["GET"]);
    let mut exact = route("exact", "/u/me/keys", &guarded());
    exact["methods"] = json!(["GET"]);
    let routes = json!({ "routes": [
        guarded_one,
        exact,
        route("any", "/u/:id/*", &open()),
        route("other", "/v/:id/keys", &open()),
        route("shorter", "/u/:id", &open()),
    ] });
    let snapshot = bench.compile(&routes);
    let told: Vec<_> = snapshot.report.warnings.iter().map(|w| w.problem.as_str()).collect();
    assert_eq!(
        told,
        [
            "requests that do not meet the methods, addresses or vars of routes `one`, `exact` go to \
          route `any`, without authentication"
        ]
    );
    let fate = Probe::get("/u/7/keys").by(http::Method::PUT).send(&snapshot, &bench.facts);
    assert_eq!(fate, Fate::Forwarded("any".into()));
}

#[test]
fn a_route_in_another_order_is_told_where_the_path_is_first() {
    let bench = Bench::new(&node_of("radixtree_uri"));
    let mut narrow = route("narrow", "/a/*", &guarded());
    narrow["methods"] = json!(["GET"]);
    narrow["hosts"] = json!(["a.test"]);
    let mut first = route("first", "/a/*", &open());
    first["priority"] = json!(1);
    let later = route("later", "/*", &open());
    let snapshot = bench.compile(&json!({ "routes": [narrow, first, later] }));
    let told: Vec<_> = snapshot.report.warnings.iter().map(|w| w.subject.as_str()).collect();
    assert_eq!(told, ["route `later`"], "`first` is tried before, and takes every request");
}

#[test]
fn a_path_that_the_node_never_sees_is_refused() {
    for (deletes, uri, is_good) in
        [(true, "/a/", false), (true, "/", true), (true, "/a/*", true), (false, "/a/", true)]
    {
        let mut node = node();
        node["delete_uri_tail_slash"] = json!(deletes);
        let problems = Bench::new(&node).problems(&json!({ "routes": [route("a", uri, &open())] }));
        assert_eq!(problems.is_empty(), is_good, "{deletes} {uri}: {problems:?}");
    }
}

#[test]
fn filters_read_parameters_only_where_there_are_some() {
    for (router, is_good) in [("radixtree_uri", false), ("radixtree_uri_with_parameter", true)] {
        let mut plugins = open();
        let filter = json!([["uri_param_id", "==", "7"]]);
        plugins["ip-restriction"] =
            json!({ "blacklist": ["192.0.2.1"], "_meta": { "filter": filter } });
        let routes = json!({ "routes": [route("a", "/u/*", &plugins)] });
        let problems = Bench::new(&node_of(router)).problems(&routes);
        assert_eq!(problems.is_empty(), is_good, "{router}: {problems:?}");
    }
}

#[test]
fn texts_read_parameters_only_where_there_are_some() {
    for (router, is_good) in [("radixtree_uri", false), ("radixtree_uri_with_parameter", true)] {
        let bench = Bench::new(&node_of(router));
        let mut plugins = open();
        plugins["limit-count"] =
            json!({ "count": 1, "time_window": 60, "key": "uri_param_id", "key_type": "var" });
        plugins["proxy-rewrite"] = json!({ "headers": { "set": { "x-id": "${uri_param_id}" } } });
        let mut hashed = route("b", "/b/*", &open());
        hashed["upstream"]["type"] = json!("chash");
        hashed["upstream"]["key"] = json!("uri_param_id");
        let routes = json!({
            "routes": [route("a", "/u/*", &plugins), hashed],
            "plugin_metadata": [{ "id": "file-logger", "log_format": { "id": "$uri_param_id" } }],
        });
        let faults = bench.try_compile(&routes).err().unwrap_or_default();
        let mut told: Vec<_> = faults.iter().map(|fault| &*fault.subject).collect();
        told.sort_unstable();
        let expected = [
            "metadata of `file-logger`",
            "plugin `limit-count` of route `a`",
            "plugin `proxy-rewrite` of route `a`",
            "the upstream of route `b`",
        ];
        assert_eq!(told, if is_good { &[] } else { &expected[..] }, "{router}");
        let problem = "reads a parameter of the path, and paths have none on this node";
        assert!(faults.iter().all(|fault| fault.problem == problem), "{faults:?}");
    }
}

#[test]
fn slashes_stay_in_the_paths_of_a_node_that_keeps_them() {
    let mut node = node();
    node["merge_slashes"] = json!(false);
    let routes = json!({ "routes": [route("a", "/a//b", &open())] });
    assert_eq!(Bench::new(&node).problems(&routes), [""; 0]);
}

#[test]
fn a_route_in_quarantine_owns_the_path_that_requests_have() {
    for (deletes, written, asked) in [
        (true, "/admin/", "/admin"),
        (false, "/admin/", "/admin/"),
        (true, "/", "/"),
        (true, "/a//b/", "/a/b"),
        (false, "/a//b/*", "/a/b/c"),
    ] {
        let mut node = node();
        node["delete_uri_tail_slash"] = json!(deletes);
        let bench = Bench::new(&node);
        let wide = json!({ "routes": [route("wide", "/*", &open())] });
        let (mut resources, _) = bench.read(&wide).unwrap();
        let place = resources.routes.first().unwrap().place;
        resources.blocked.push(bartizan_config::BlockedRoute {
            id: "admin".into(),
            uris: vec![written.into()],
            hosts: Vec::new(),
            methods: Vec::new(),
            priority: 0,
            place,
        });
        let snapshot = bench.compiler.compile(&resources, 1, None).ok().unwrap();
        let found = snapshot.router.find("a", "a", asked, |_| Ok::<_, ()>(true));
        assert!(found.unwrap().unwrap().route.is_blocked, "{written} as {asked}");
    }
}
