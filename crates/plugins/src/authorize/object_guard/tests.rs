//! What `object-guard` makes of its configuration, and whom it takes for an owner.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::fixture::Bench;

#[test]
fn faults_say_where_and_why() {
    let by_path = || json!({"path": "/o/{owner}"});
    for (binding, problem) in [
        (json!({"object": by_path()}), "needs `equals` or `in`"),
        (json!({"object": by_path(), "equals": {"claim": "a"}, "in": {"claim": "a"}}), "also"),
        (json!({"object": {}, "equals": {"claim": "sub"}}), "exactly one of `path`"),
        (json!({"object": {"query": "a", "header": "b"}, "equals": {"claim": "a"}}), "exactly one"),
        (json!({"object": {"query": "a", "name": "b"}, "equals": {"claim": "a"}}), "no `path`"),
        (json!({"object": {"path": "/o"}, "equals": {"claim": "a"}}), "names no segment"),
        (json!({"object": {"path": "/{a}/{b}"}, "equals": {"claim": "a"}}), "several segments"),
        (json!({"object": {"path": "/{a}", "name": "b"}, "equals": {"claim": "a"}}), "no segment"),
        (json!({"object": {"header": "a b"}, "equals": {"claim": "a"}}), "not the name"),
        (json!({"object": {"body": "owner"}, "equals": {"claim": "a"}}), "not a place"),
        (json!({"object": by_path(), "equals": {}}), "exactly one of `claim`"),
        (json!({"object": by_path(), "equals": {"consumer": false}}), "of nobody"),
        (json!({"object": by_path(), "in": {"consumer": true}}), "one name"),
    ] {
        let config = json!({"bindings": [binding]});
        let fault = Bench::new().fault::<ObjectGuard>(&config);
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
        assert_eq!(fault.path[..2], [PathStep::Key("bindings".into()), PathStep::Index(0)]);
    }
    let fault = Bench::new().fault::<ObjectGuard>(&json!({"bindings": []}));
    assert!(fault.problem.contains("at least one"));
}

#[test]
fn only_a_guard_that_binds_the_body_asks_for_it() {
    let compile = |object| {
        let config = json!({"bindings": [{"object": object, "equals": {"consumer": true}}]});
        Bench::new().compile::<ObjectGuard>(&config).unwrap().traits()
    };
    assert_eq!(compile(json!({"path": "/o/{owner}"})).body, BodyNeed::None);
    let traits = compile(json!({"body": "$.owner"}));
    assert_eq!(traits.body, BodyNeed::Value { max: 1_048_576 });
    assert!(traits.proves.grant && !traits.proves.authentication);
}

#[test]
fn only_values_with_one_spelling_are_compared() {
    for (claim, object, expected) in [
        (json!("7"), "7", Ok(true)),
        (json!(7), "7", Ok(true)),
        (json!(-7), "-7", Ok(true)),
        (json!(true), "true", Ok(true)),
        (json!("Alice"), "alice", Ok(false)),
        (json!(7.0), "7.0", Err("the claim is no single value")),
        (json!(null), "null", Err("the claim is no single value")),
        (json!(["a"]), "a", Err("the claim is no single value")),
        (json!({"a": 1}), "a", Err("the claim is no single value")),
    ] {
        assert_eq!(claim_owns(&claim, object, false), expected, "{claim}");
    }
    for (claim, object, expected) in [
        (json!(["a", 7]), "7", Ok(true)),
        (json!(["a", 7]), "b", Ok(false)),
        (json!([]), "", Ok(false)),
        (json!([["a"]]), "a", Ok(false)),
        (json!("a"), "a", Err("the claim is no list")),
    ] {
        assert_eq!(claim_owns(&claim, object, true), expected, "{claim}");
    }
}

proptest! {
    #[test]
    fn a_claim_owns_exactly_what_it_equals(owner in ".{0,8}", object in ".{0,8}", same: bool) {
        let object = if same { owner.clone() } else { object };
        let expected = owner == object;
        prop_assert_eq!(claim_owns(&json!(owner), &object, false), Ok(expected));
    }

    #[test]
    fn a_list_owns_exactly_what_it_contains(
        owners in prop::collection::vec("[a-c]{0,2}", 0..5),
        object in "[a-c]{0,2}",
    ) {
        let expected = owners.contains(&object);
        prop_assert_eq!(claim_owns(&json!(owners), &object, true), Ok(expected));
    }
}
