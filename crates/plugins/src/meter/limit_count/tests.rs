//! What `limit-count` makes of its configuration.

use std::time::Duration;

use bartizan_config::PathStep;
use bartizan_core::{Clock, ManualClock, Timestamp};
use serde_json::{Value, json};

use super::window::Algorithm;
use super::*;
use crate::fixture::Bench;

fn place(fault: &Invalid) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Key(key) => key.clone(),
        PathStep::Index(index) => index.to_string(),
    };
    fault.path.iter().map(step).collect::<Vec<_>>().join(".")
}

/// Admits as many requests of one key as fit now.
fn drain(plugin: &LimitCount, clock: &Clock) -> u32 {
    let rule = &plugin.rules[0];
    let key = rule.counters.key(1, b"k");
    let quota = rule.quota(&crate::fixture::request("/", &[])).unwrap();
    let spend = || counters::spend(&rule.counters, key, &quota, 1, clock).unwrap().is_admitted;
    u32::try_from(std::iter::repeat_with(spend).take_while(|admitted| *admitted).count()).unwrap()
}

fn clock() -> (ManualClock, Clock) {
    let manual = ManualClock::at(Timestamp::from_secs(1_700_000_000));
    (manual.clone(), Clock::Manual(manual))
}

#[test]
fn limits_that_need_no_identity_are_spent_before_any_cryptography() {
    for (key, key_type, stage) in [
        ("remote_addr", "var", Stage::Admit),
        ("$http_x_tenant $remote_addr", "var_combination", Stage::Admit),
        ("all", "constant", Stage::Admit),
        ("consumer_name", "var", Stage::Meter),
        ("$remote_addr $consumer_group_id", "var_combination", Stage::Meter),
    ] {
        let config = json!({"count": 1, "time_window": 1, "key": key, "key_type": key_type});
        let plugin = Bench::new().compile::<LimitCount>(&config).unwrap();
        let traits = plugin.traits();
        assert_eq!(traits.stages, StageSet::of(&[stage]), "{key}");
        assert!(traits.on_response);
    }
}

#[test]
fn faults_say_where_and_why() {
    for (config, at, problem) in [
        (json!({"time_window": 1}), "", "needs a `count`"),
        (json!({"count": 1}), "", "needs a `time_window`"),
        (json!({"count": 1, "time_window": 1, "rules": []}), "rules", "there is also"),
        (json!({"count": "$nope", "time_window": 1}), "count", "there is no variable"),
        (json!({"count": 1, "time_window": "$status"}), "time_window", "before there is an answer"),
        (json!({"count": "0", "time_window": 1}), "count", "above zero"),
        (json!({"count": 1, "time_window": 1, "key": "remote_adr"}), "key", "there is no variable"),
        (
            json!({"count": 1, "time_window": 1, "key": "status"}),
            "key",
            "before there is an answer",
        ),
        (
            json!({"rules": [{"count": 1, "time_window": 1, "key": "remote_addr"}]}),
            "rules.0.key",
            "no variable in it",
        ),
        (
            json!({"key": "uri", "rules": [{"count": 1, "time_window": 1, "key": "$uri"}]}),
            "key",
            "of its own",
        ),
    ] {
        let fault = Bench::new().fault::<LimitCount>(&config);
        assert_eq!(place(&fault), at, "{config}: {}", fault.problem);
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}

#[test]
fn the_habits_of_apisix_change_the_defaults_only() {
    let config = json!({"count": 1, "time_window": 60});
    let ours = Bench::new().compile::<LimitCount>(&config).unwrap();
    let theirs = Bench::apisix().compile::<LimitCount>(&config).unwrap();
    assert_eq!((ours.refusal.denial("").status(), theirs.refusal.denial("").status()), (429, 503));
    assert_eq!(ours.rules[0].algorithm, Algorithm::Sliding);
    assert_eq!(theirs.rules[0].algorithm, Algorithm::Fixed);

    let config =
        json!({"count": 1, "time_window": 60, "window_type": "sliding", "rejected_code": 420});
    let theirs = Bench::apisix().compile::<LimitCount>(&config).unwrap();
    assert_eq!(theirs.rules[0].algorithm, Algorithm::Weighted);
    assert_eq!(theirs.refusal.denial("").status(), 420);
}

#[test]
fn counters_survive_another_count_and_start_again_with_anything_else() {
    let bench = Bench::new();
    let (_, clock) = clock();
    let compile = |change: Value| {
        let mut config = json!({"count": 5, "time_window": 60});
        config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        bench.compile::<LimitCount>(&config).unwrap()
    };
    let first = compile(json!({}));
    assert_eq!(drain(&first, &clock), 5);
    assert_eq!(drain(&compile(json!({})), &clock), 0);
    assert_eq!(drain(&compile(json!({"count": 7})), &clock), 2);
    assert_eq!(drain(&compile(json!({"count": 3})), &clock), 0);
    assert_eq!(drain(&compile(json!({"time_window": 61})), &clock), 5);
    assert_eq!(drain(&compile(json!({"key": "uri"})), &clock), 5);
    assert_eq!(drain(&compile(json!({"window_type": "fixed"})), &clock), 5);
}

#[test]
fn a_group_shares_its_counters_and_refuses_who_counts_otherwise() {
    let bench = Bench::new();
    let (manual, clock) = clock();
    let config = json!({"count": 5, "time_window": 60, "group": "g"});
    let one = bench.compile_in::<LimitCount>("one", &config).unwrap();
    let two = bench.compile_in::<LimitCount>("two", &config).unwrap();
    assert_eq!(drain(&one, &clock), 5);
    assert_eq!(drain(&two, &clock), 0);
    manual.advance(Duration::from_secs(60));
    assert_eq!(drain(&two, &clock), 5);

    let other = json!({"count": 5, "time_window": 61, "group": "g"});
    let fault = bench.compile_in::<LimitCount>("three", &other).err().unwrap();
    assert_eq!(place(&fault), "group");
    assert!(fault.problem.contains("mismatched"));
    drop((one, two));
    assert!(bench.compile_in::<LimitCount>("three", &other).is_ok());
}

#[test]
fn a_limit_that_clients_can_evade_proves_nothing() {
    let proves =
        |config: Value| Bench::new().compile::<LimitCount>(&config).unwrap().traits().proves.limit;
    for (key, key_type, expected) in [
        ("remote_addr", "var", true),
        ("consumer_name", "var", true),
        ("all", "constant", true),
        ("$route_id $consumer_name", "var_combination", true),
        ("http_x_tenant", "var", false),
        ("$remote_addr $uri", "var_combination", false),
    ] {
        let config = json!({"count": 1, "time_window": 1, "key": key, "key_type": key_type});
        assert_eq!(proves(config), expected, "{key}");
    }
    let rule = |key: &str| json!({"count": 1, "time_window": 1, "key": key});
    assert!(proves(json!({"rules": [rule("$http_x_a"), rule("$remote_addr")]})));
    assert!(!proves(json!({"rules": [rule("$http_x_a"), rule("$consumer_name")]})));
}

#[test]
fn numbers_that_are_read_from_a_request_hold_for_that_request() {
    let bench = Bench::new();
    let config = json!({"count": "${http_x_n ?? 2}", "time_window": "${http_x_w ?? 60}"});
    let plugin = bench.compile::<LimitCount>(&config).unwrap();
    assert!(!plugin.traits().proves.limit, "a client can choose them");
    let charge = |lines: &[(&'static str, &'static str)]| {
        plugin.charge(&crate::fixture::request("/", lines), 1, &mut Call::default()).is_ok()
    };
    assert!(charge(&[]) && charge(&[]) && !charge(&[]));
    assert!(charge(&[("x-n", "3")]), "the same counter, another limit");
    assert!(!charge(&[("x-n", "3")]) && !charge(&[("x-n", "none")]) && !charge(&[("x-n", "0")]));
    assert!(charge(&[("x-w", "59")]), "another window, another counter");

    let config = json!({"count": "${consumer_name ?? 2}", "time_window": 60});
    let traits = bench.compile::<LimitCount>(&config).unwrap().traits();
    assert!(traits.proves.limit && traits.stages == StageSet::of(&[Stage::Meter]));
}

#[test]
fn what_costs_more_than_there_can_be_never_fits() {
    let bench = Bench::new();
    let config = json!({"count": 3, "time_window": 60});
    let plugin = bench.compile::<LimitCount>(&config).unwrap();
    let charge =
        |cost| plugin.charge(&crate::fixture::request("/", &[]), cost, &mut Call::default());
    assert!(charge(4).unwrap_err().fields.is_empty(), "there is no time after which it fits");
    assert!(charge(2).is_ok() && charge(2).is_err() && charge(1).is_ok() && charge(1).is_err());
}

#[test]
fn what_admits_uncounted_requests_proves_no_limit() {
    let config = json!({"count": 1, "time_window": 1, "danger_allow_degradation": true});
    let plugin = Bench::new().compile::<LimitCount>(&config).unwrap();
    assert!(!plugin.traits().proves.limit);
}

#[test]
fn names_of_headers_need_the_habits_of_apisix() {
    let config = json!({"count": 1, "time_window": 1});
    let metadata = || Some(json!({"limit_header": "X-Limit"}));
    let ours = Bench { metadata: metadata(), ..Bench::new() };
    assert!(ours.fault::<LimitCount>(&config).problem.contains("compatibility"));
    let theirs = Bench { metadata: metadata(), ..Bench::apisix() };
    let plugin = theirs.compile::<LimitCount>(&config).unwrap();
    let QuotaFields::Apisix { limit, .. } = &plugin.rules[0].fields else { panic!("not theirs") };
    assert_eq!(&limit[..], b"x-limit");
}
