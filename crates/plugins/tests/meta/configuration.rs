//! What the reader of configurations says about plugins, with the schemas that they really have.

use std::path::Path;

use bartizan_chain::Unsupported;
use bartizan_config::{Loader, one_line};
use bartizan_plugins::{CATALOGUE, Catalogue};
use serde_json::{Value, json};

/// The problems of a route with these plugins, one line each.
fn problems(plugins: &str) -> Vec<String> {
    let text = format!(
        "listeners: [{{address: \"127.0.0.1:8080\"}}]
resources:
  routes:
    - id: r
      uri: /
      upstream: {{nodes: {{\"127.0.0.1:1\": 1}}}}
      plugins: {plugins}
"
    );
    match Loader::new(&Catalogue).node_text(Path::new("/nowhere/bartizan.yaml"), &text) {
        Ok(_) => Vec::new(),
        Err(failure) => failure.diagnostics.iter().map(|d| one_line(&failure.sources, d)).collect(),
    }
}

#[test]
fn what_works_has_no_problems() {
    for plugins in [
        "{limit-count: {count: 1, time_window: 60, policy: local, allow_degradation: false}}",
        "{limit-count: {rules: [{count: \"5\", time_window: 1, key: $remote_addr}]}}",
        "{object-guard: {bindings: [{object: {query: a}, in: {label: b}}], status: 404}}",
        "{request-validation: {body_schema: {const: null, enum: [null]}}}",
        "{proxy-rewrite: {headers: {X-A: $uri, X-B: 5, X-C: [a, 1]}}}",
        "{proxy-rewrite: {method: PUT, headers: {set: {X-A: b}, remove: [x]}}}",
        "{response-rewrite: {headers: {add: [\"a: b\"]}, vars: [[status, \"==\", 200]]}}",
        "{response-rewrite: {headers: {X-A: 1}}}",
        "{prometheus: {prefer_name: true}}",
    ] {
        assert_eq!(problems(plugins), Vec::<String>::new(), "{plugins}");
    }
}

#[test]
fn what_does_not_work_says_why() {
    for (plugins, expected) in [
        ("{limit-count: {count: 0, time_window: 1}}", "0"),
        ("{limit-count: {cuont: 1, time_window: 1}}", "did you mean `count`"),
        (
            "{limit-count: {count: 1, time_window: 1, policy: redis}}",
            "`redis` is not supported yet: each node counts for itself",
        ),
        (
            "{limit-count: {count: 1, time_window: 1, redis_host: x}}",
            "`redis_host` of `limit-count` is not supported yet: each node counts for itself",
        ),
        (
            "{limit-count: {count: 1, time_window: 1, allow_degradation: true}}",
            "danger_allow_degradation",
        ),
        ("{limit-count: {count: 1, time_window: 1, rejected_code: 200}}", "400"),
        ("{object-guard: {bindings: []}}", "empty list"),
        ("{object-guard: {bindings: [{object: {query: a}, equals: {consumer: false}}]}}", "`true`"),
        ("{request-validation: {body_schema: 1}}", "body_schema"),
        ("{proxy-rewrite: {method: TRACE}}", "`TRACE` is refused"),
        ("{proxy-rewrite: {uri: nowhere}}", "nowhere"),
        (
            "{proxy-rewrite: {use_real_request_uri_unsafe: true}}",
            "`use_real_request_uri_unsafe` of `proxy-rewrite` is refused: it forwards a path",
        ),
        ("{response-rewrite: {filters: []}}", "empty list"),
        (
            "{serverless-pre-function: {}}",
            "the plugin `serverless-pre-function` is refused: it runs",
        ),
        ("{ldap-auth: {}}", "the plugin `ldap-auth` is not supported yet: `key-auth`"),
        ("{limit-cuont: {}}", "did you mean `limit-count`"),
    ] {
        let problems = problems(plugins);
        assert!(problems.iter().any(|line| line.contains(expected)), "{plugins}: {problems:#?}");
    }
}

/// A configuration in which the field at a path of the catalogue's is there: `a[].b` is a field in
/// the items of a list, `a[][]` one of what stands behind the name of an action.
fn with_field(path: &str, action: &str) -> Value {
    path.split('.').rev().fold(json!(1), |inner, step| {
        let name = step.trim_end_matches("[]");
        match step.len() - name.len() {
            0 => json!({ name: inner }),
            2 => json!({ name: [inner] }),
            _ => json!({ name: [[action, inner]] }),
        }
    })
}

#[test]
fn every_field_that_is_not_supported_says_why_at_its_place() {
    let mut count = 0;
    for entry in CATALOGUE.iter() {
        for (path, unsupported) in entry.unsupported {
            let (Unsupported::NotYet(why) | Unsupported::Refused(why)) = unsupported;
            let field = path.rsplit('.').next().unwrap_or_default();
            let says_it = |line: &String| {
                let told = line.split_once("(at ").and_then(|(_, rest)| rest.split_once(')'));
                line.contains(why) && told.is_some_and(|(told, _)| told.ends_with(field))
            };
            let told: Vec<String> = ["limit-count", "limit-conn"]
                .iter()
                .flat_map(|action| {
                    problems(&json!({ entry.name: with_field(path, action) }).to_string())
                })
                .collect();
            assert!(told.iter().any(says_it), "`{path}` of {}: {told:#?}", entry.name);
            count += 1;
        }
    }
    assert!(count > 100, "{count} fields");
}
