//! What requests are found to cost.

use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, request};

fn compile(change: &Value) -> GraphqlLimitCount {
    let mut config = json!({"count": 1000, "time_window": 60});
    config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    Bench::new().compile(&config).unwrap()
}

/// The cost of a GET request with this query.
fn cost(plugin: &GraphqlLimitCount, query: &str) -> Result<u32, Reason> {
    let target = format!("/?query={}", crate::fixture::percent_encoded(query));
    plugin.cost(&request(&target, &[])).map_err(|denial| denial.reason)
}

#[test]
fn operations_cost_by_depth_or_by_fields_times_the_factor() {
    let query = "{ a { b { c d } } e }";
    for (change, expected) in [
        (json!({}), 3),
        (json!({"cost_strategy": "complexity"}), 5),
        (json!({"score_factor": 0.5}), 2),
        (json!({"score_factor": 0.001}), 1),
        (json!({"score_factor": 2.5, "cost_strategy": "complexity"}), 13),
    ] {
        assert_eq!(cost(&compile(&change), query), Ok(expected), "{change}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    for (change, query, fits) in [
        (json!({"max_depth": 2}), "{ a { b } }", true),
        (json!({"max_depth": 2}), "{ a { b { c } } }", false),
        (json!({"max_fields": 2}), "{ x: a y: a }", true),
        (json!({"max_fields": 2}), "{ x: a y: a z: a }", false),
        (json!({"max_fields": 2}), "{ ...F } fragment F on T { x: a y: a z: a }", false),
        (json!({"max_cost": 1.5, "score_factor": 0.5}), "{ a { b { c } } }", true),
        (json!({"max_cost": 1.4, "score_factor": 0.5}), "{ a { b { c } } }", false),
        (json!({"introspection": "refuse"}), "{ __typename }", true),
        (json!({"introspection": "refuse"}), "{ x: __schema { a } }", false),
        (json!({}), "{ x: __schema { a } }", true),
    ] {
        let expected = if fits { None } else { Some(Reason::GraphqlTooCostly) };
        assert_eq!(cost(&compile(&change), query).err(), expected, "{change} {query}");
    }
}

#[test]
fn a_get_request_only_reads() {
    assert!(cost(&compile(&json!({})), "mutation { a }") == Err(Reason::BadGraphql));
    assert!(cost(&compile(&json!({})), "query Q { a } query R { b }") == Err(Reason::BadGraphql));
}

#[test]
fn it_reads_bodies_behind_authorization_and_proves_a_limit() {
    let traits = compile(&json!({})).traits();
    assert_eq!(traits.stages, StageSet::of(&[Stage::Validate]));
    assert!(matches!(traits.body, BodyNeed::Bytes { .. }));
    assert!(traits.proves.limit && traits.on_response && !traits.proves.schema);
    assert!(!compile(&json!({"key": "http_x_a"})).traits().proves.limit);
    assert!(!compile(&json!({"danger_allow_degradation": true})).traits().proves.limit);
}

#[test]
fn faults_say_where_and_why() {
    for (change, at, problem) in [
        (json!({"score_factor": 0.000_000_1}), "score_factor", "decimals"),
        (json!({"max_cost": 0.000_000_1}), "max_cost", "decimals"),
        (json!({"key": "nope"}), "key", "no variable"),
    ] {
        let mut config = json!({"count": 1, "time_window": 60});
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let fault = Bench::new().fault::<GraphqlLimitCount>(&config);
        assert_eq!(fault.path, [PathStep::Key(at.into())], "{config}");
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}
