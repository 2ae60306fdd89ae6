//! `security.require`: what a route lacks, said as one would say it.

use serde_json::{Value, json};

use super::fixture::{Bench, guarded, local, node, node_with, open, route};

fn told(bench: &Bench, plugins: &Value) -> Vec<(String, String)> {
    let resources = json!({
        "routes": [route("orders", plugins)],
        "consumers": [{ "username": "guest" }]
    });
    let faults = bench.try_compile(&resources).err().unwrap_or_default();
    faults.into_iter().map(|fault| (fault.problem, fault.help.unwrap_or_default())).collect()
}

#[test]
fn a_route_without_authentication_and_grant_is_refused_with_the_remedy() {
    let bench = Bench::new(&node());
    let authentication = (
        "route `orders` has no authentication".to_owned(),
        "add a plugin such as `jwt-auth`, or declare `anonymous-access: {reason: …}`".to_owned(),
    );
    let grant = (
        "route `orders` has no authorization".to_owned(),
        "add a plugin such as `consumer-restriction`, or declare `any-authenticated: {reason: …}`"
            .to_owned(),
    );
    assert_eq!(told(&bench, &json!({})), [authentication, grant.clone()]);
    assert_eq!(told(&bench, &json!({ "key-auth": {} })), [grant]);
    assert!(told(&bench, &guarded()).is_empty());
    assert!(told(&bench, &open()).is_empty());
}

#[test]
fn only_what_always_runs_counts_and_the_message_says_why() {
    let bench = Bench::new(&node());
    let any = json!({ "reason": "x" });
    for (auth, why) in [
        (json!({ "_meta": { "disable": true } }), "`key-auth` is disabled"),
        (
            json!({ "_meta": { "filter": [["arg_x", "==", "1"]] } }),
            "`key-auth` does not always run: it has a `_meta.filter`",
        ),
        (
            json!({ "anonymous_consumer": "guest" }),
            "`key-auth` lets callers through who prove nothing",
        ),
    ] {
        let problems = told(&bench, &json!({ "key-auth": auth, "any-authenticated": any }));
        let problems: Vec<_> = problems.into_iter().map(|(problem, _)| problem).collect();
        assert_eq!(problems, [format!("route `orders` has no authentication: {why}")]);
    }
    let black = json!({ "key-auth": {}, "consumer-restriction": { "blacklist": ["guest"] } });
    let why = "`consumer-restriction` lets callers through whom it does not name";
    assert_eq!(told(&bench, &black)[0].0, format!("route `orders` has no authorization: {why}"));
    let white = json!({ "key-auth": {}, "consumer-restriction": { "whitelist": ["guest"] } });
    assert!(told(&bench, &white).is_empty());
}

#[test]
fn global_rules_count_for_every_route() {
    let bench = Bench::new(&node());
    let snapshot = bench.compile(&json!({
        "routes": [route("orders", &json!({}))],
        "global_rules": [{ "id": "all", "plugins": guarded() }]
    }));
    assert!(snapshot.report.routes[0].proofs.authentication);
}

#[test]
fn no_global_rule_opens_every_route() {
    let bench = Bench::new(&node());
    let problems = bench.problems(&json!({
        "routes": [route("orders", &json!({}))],
        "global_rules": [{ "id": "all", "plugins": open() }]
    }));
    assert_eq!(problems, ["`anonymous-access` in a global rule would open every route"]);
}

#[test]
fn what_a_service_disables_on_one_route_is_missing_there_only() {
    let bench = Bench::new(&node());
    let problems = bench.problems(&json!({
        "services": [{ "id": "s", "plugins": guarded(), "upstream": local() }],
        "routes": [
            { "id": "kept", "uri": "/kept", "service_id": "s" },
            { "id": "opened", "uri": "/opened", "service_id": "s",
              "plugins": { "key-auth": { "_meta": { "disable": true } } } },
        ]
    }));
    assert_eq!(problems, ["route `opened` has no authentication: `key-auth` is disabled"]);
}

#[test]
fn a_node_that_allows_it_serves_routes_without_authentication() {
    let bench = Bench::new(&node_with(&json!({
        "require": [], "danger_allow_unauthenticated_routes": true
    })));
    let snapshot = bench.compile(&json!({ "routes": [route("orders", &json!({}))] }));
    assert!(snapshot.report.routes[0].is_public);
}

#[test]
fn further_protections_are_required_where_the_node_says_so() {
    let require = ["authentication", "grant", "limit", "schema", "waf"];
    let bench = Bench::new(&node_with(&json!({ "require": require })));
    let problems: Vec<_> =
        told(&bench, &guarded()).into_iter().map(|(problem, _)| problem).collect();
    let expected = ["limit", "schema", "inspection"];
    assert_eq!(problems, expected.map(|lack| format!("route `orders` has no {lack}")));
    let mut plugins = guarded();
    plugins["limit-count"] = json!({ "count": 1, "time_window": 60 });
    let problems = told(&bench, &plugins);
    assert!(problems.iter().all(|(problem, _)| !problem.contains("no limit")), "{problems:?}");
}

#[test]
fn a_route_that_forwards_needs_an_upstream() {
    let bench = Bench::new(&node());
    let written = json!({ "routes": [{ "id": "a", "uri": "/a", "plugins": guarded() }] });
    assert_eq!(bench.problems(&written), ["route `a` has no upstream"]);
}

#[test]
fn a_plugin_at_fault_is_told_and_not_what_it_would_have_proved() {
    let bench = Bench::new(&node());
    let plugins = json!({ "key-auth": { "anonymous_consumer": "nobody" } });
    let problems = bench.problems(&json!({ "routes": [route("a", &plugins)] }));
    assert_eq!(problems, ["there is no consumer `nobody`"]);
}

#[test]
fn the_report_tells_what_runs_where_and_what_it_proves() {
    let bench = Bench::new(&node());
    let mut plugins = open();
    plugins["ip-restriction"] = json!({
        "blacklist": ["10.0.0.1"], "_meta": { "filter": [["arg_x", "==", "1"]] }
    });
    let snapshot = bench.compile(&json!({
        "routes": [route("orders", &plugins)],
        "global_rules": [{ "id": "all", "plugins": { "request-id": {} } }]
    }));
    let report = &snapshot.report.routes[0];
    let shown: Vec<String> = report
        .stages
        .iter()
        .flat_map(|(stage, plugins)| {
            plugins.iter().map(move |plugin| {
                let (name, conditional) = (plugin.name, plugin.is_conditional);
                format!("{stage} {name} {conditional} {}", plugin.is_global)
            })
        })
        .collect();
    assert_eq!(
        shown,
        [
            "prepare request-id false true",
            "admit ip-restriction true false",
            "authenticate anonymous-access false false",
            "reply request-id false true",
        ]
    );
    assert_eq!(report.anonymous_reason.as_deref(), Some("public"));
    assert!(report.is_public && report.proofs.authentication && report.proofs.grant);
}
