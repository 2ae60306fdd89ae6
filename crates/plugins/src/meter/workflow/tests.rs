//! What `workflow` makes of its configuration.

use serde_json::json;

use super::*;
use crate::fixture::{Bench, request};

async fn pass(plugin: &Workflow, target: &str) -> Result<Call, Denial> {
    let mut call = Call::default();
    plugin.on_request(plugin.stage, &mut request(target, &[]), &mut call).await?;
    Ok(call)
}

fn place(fault: &Invalid) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Key(key) => key.clone(),
        PathStep::Index(index) => index.to_string(),
    };
    fault.path.iter().map(step).collect::<Vec<_>>().join(".")
}

#[test]
fn the_first_rule_that_holds_is_carried_out_and_no_other() {
    bartizan_testkit::run(async {
        let config = json!({"rules": [
            {"case": [["arg_a", "==", "1"]], "actions": [["return", {"code": 410}]]},
            {"case": [["arg_b", "==", "1"]], "actions": [["return", {"code": 411}]]},
        ]});
        let plugin = Bench::new().compile::<Workflow>(&config).unwrap();
        for (target, status) in [("/?a=1&b=1", Some(410)), ("/?b=1", Some(411)), ("/", None)] {
            let denial = pass(&plugin, target).await.err();
            assert_eq!(denial.map(|denial| denial.status()), status, "{target}");
        }
        let denial = pass(&plugin, "/?a=2&a=1").await.err().unwrap();
        assert_eq!(denial.reason, Reason::AmbiguousParameter);
    });
}

#[test]
fn actions_are_carried_out_until_one_refuses_and_what_they_hold_is_left() {
    bartizan_testkit::run(async {
        let conn = json!({"conn": 1, "burst": 0, "default_conn_delay": 1, "key": "remote_addr"});
        let config = json!({"rules": [{"actions": [
            ["limit-conn", conn],
            ["limit-count", {"count": 2, "time_window": 60}],
        ]}]});
        let plugin = Bench::new().compile::<Workflow>(&config).unwrap();
        let first = pass(&plugin, "/").await.unwrap();
        assert_eq!(first.ran.len(), 2);
        assert!(pass(&plugin, "/").await.is_err(), "one is under way");
        drop(first);
        assert!(pass(&plugin, "/").await.is_ok(), "and it is over");
        let denial = pass(&plugin, "/").await.err().unwrap();
        assert_eq!(denial.detail, "more than 2 in 60 s");
        assert_eq!(denial.rule.as_deref(), Some("rules[0]"));
    });
}

#[test]
fn limits_of_two_rules_count_apart_and_survive_a_reload() {
    bartizan_testkit::run(async {
        let bench = Bench::new();
        let limit = json!(["limit-count", {"count": 1, "time_window": 60}]);
        let config = json!({"rules": [
            {"case": [["arg_a", "==", "1"]], "actions": [limit]},
            {"actions": [limit]},
        ]});
        let plugin = bench.compile::<Workflow>(&config).unwrap();
        assert!(pass(&plugin, "/?a=1").await.is_ok() && pass(&plugin, "/").await.is_ok());
        let again = bench.compile::<Workflow>(&config).unwrap();
        drop(plugin);
        assert!(pass(&again, "/?a=1").await.is_err() && pass(&again, "/").await.is_err());
    });
}

#[test]
fn it_runs_where_its_parts_can_and_proves_nothing() {
    for (rule, stage) in [
        (json!({"actions": [["return", {"code": 403}]]}), Stage::Admit),
        (
            json!({"case": [["consumer_name", "==", "a"]], "actions": [["return", {"code": 403}]]}),
            Stage::Meter,
        ),
        (
            json!({"actions": [["limit-req", {"rate": 1, "burst": 0, "key": "consumer_name"}]]}),
            Stage::Meter,
        ),
        (json!({"actions": [["limit-count", {"count": 1, "time_window": 1}]]}), Stage::Admit),
    ] {
        let config = json!({"rules": [rule]});
        let traits = Bench::new().compile::<Workflow>(&config).unwrap().traits();
        assert_eq!(traits.stages, StageSet::of(&[stage]), "{config}");
        let proofs = traits.proves;
        assert!(!(proofs.authentication || proofs.grant || proofs.limit || traits.only_answers));
    }
}

#[test]
fn faults_of_what_is_inside_are_where_they_stand() {
    let returns = json!(["return", {"code": 403}]);
    for (rules, at, problem) in [
        (
            json!([{"case": [["nope", "==", "a"]], "actions": [returns]}]),
            "rules.0.case.0.0",
            "no variable",
        ),
        (
            json!([{"case": [["status", "==", "a"]], "actions": [returns]}]),
            "rules.0.case",
            "not there yet",
        ),
        (
            json!([{"actions": [["limit-count", {"count": 1, "time_window": 1, "key": "nope"}]]}]),
            "rules.0.actions.0.1.key",
            "no variable",
        ),
        (
            json!([{"case": [["uri", "/"]], "actions": [returns]},
                {"actions": [returns, ["limit-req", {"rate": 0.000_000_1, "burst": 0, "key": "uri"}]]}]),
            "rules.1.actions.1.1.rate",
            "decimals",
        ),
        (json!([{"actions": [returns]}, {"actions": [returns]}]), "rules.0", "always holds"),
        (json!([{"actions": [["limit-all", {}]]}]), "rules.0.actions.0.0", "no action `limit-all`"),
    ] {
        let fault = Bench::new().fault::<Workflow>(&json!({ "rules": rules }));
        assert_eq!(place(&fault), at, "{rules}: {}", fault.problem);
        assert!(fault.problem.contains(problem), "{rules}: {}", fault.problem);
    }
}

proptest::proptest! {
    #[test]
    fn the_rule_that_is_chosen_is_the_first_that_a_naive_reader_would_choose(
        cases in proptest::collection::vec(proptest::option::of((0_u8..3, 0_u8..3)), 1..5),
        a in 0_u8..3,
        b in 0_u8..3,
    ) {
        let rule = |(index, case): (usize, &Option<(u8, u8)>)| {
            let actions = json!([["return", { "code": 400 + index }]]);
            match case {
                Some((a, b)) => json!({
                    "case": [["arg_a", "==", a.to_string()], ["arg_b", ">=", b]],
                    "actions": actions,
                }),
                None => json!({ "actions": actions }),
            }
        };
        // Only the last rule may always hold.
        let last = cases.len() - 1;
        let cases: Vec<_> =
            cases.iter().enumerate().filter(|(n, case)| case.is_some() || *n == last).map(|(_, c)| *c).collect();
        let rules: Vec<_> = cases.iter().enumerate().map(rule).collect();
        let plugin = Bench::new().compile::<Workflow>(&json!({ "rules": rules })).unwrap();
        let cx = request(&format!("/?a={a}&b={b}"), &[]);
        let found = plugin.first(&cx).unwrap().map(|(index, _)| index);
        let holds = |case: &Option<(u8, u8)>| case.is_none_or(|(own, least)| own == a && b >= least);
        proptest::prop_assert_eq!(found, cases.iter().position(holds));
    }
}
