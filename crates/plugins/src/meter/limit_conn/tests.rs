//! What `limit-conn` makes of its configuration, and what becomes of requests that wait.

use bartizan_core::{Limits, Reason};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::fixture::{Bench, request};

async fn pass(plugin: &LimitConn, call: &mut Call) -> Result<(), Denial> {
    plugin.on_request(plugin.stage, &mut request("/", &[]), call).await.map(|_| ())
}

fn outcome(took: Option<Duration>) -> Outcome<'static> {
    Outcome {
        status: 200,
        denial: None,
        was_forwarded: took.is_some(),
        upstream_status: took.map(|_| 200),
        upstream_node: None,
        duration: Duration::ZERO,
        upstream_duration: took,
        bytes_in: 0,
        bytes_out: 0,
    }
}

fn config(change: &Value) -> Value {
    let mut config = json!({"conn": 1, "burst": 2, "default_conn_delay": 1, "key": "remote_addr"});
    config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    config
}

fn compile(change: &Value) -> LimitConn {
    Bench::new().compile(&config(change)).unwrap()
}

#[test]
fn requests_beyond_the_limit_wait_longer_the_more_are_before_them() {
    bartizan_testkit::run(async {
        let plugin = compile(&json!({}));
        let mut calls: [Call; 4] = Default::default();
        let begin = Instant::now();
        let [a, b, c, d] = &mut calls;
        let timed =
            async |call: &mut Call| (pass(&plugin, call).await.is_ok(), begin.elapsed().as_secs());
        let all = tokio::join!(timed(a), timed(b), timed(c), timed(d));
        assert_eq!(all, ((true, 0), (true, 1), (true, 2), (false, 0)));
        drop(calls);
        assert!(plugin.rules[0].connections.table.is_empty());
    });
}

#[test]
fn the_delay_follows_what_upstreams_take_unless_it_is_told_not_to() {
    bartizan_testkit::run(async {
        for (only_default, expected) in [(false, 2), (true, 1)] {
            let plugin = compile(&json!({"only_use_default_delay": only_default}));
            let mut call = Call::default();
            pass(&plugin, &mut call).await.unwrap();
            plugin.on_finish(&request("/", &[]), &outcome(Some(Duration::from_secs(3))), &mut call);
            // What was refused or answered here says nothing of the upstream.
            pass(&plugin, &mut call).await.unwrap();
            plugin.on_finish(&request("/", &[]), &outcome(None), &mut call);

            let (mut first, mut second) = (Call::default(), Call::default());
            pass(&plugin, &mut first).await.unwrap();
            let begin = Instant::now();
            pass(&plugin, &mut second).await.unwrap();
            assert_eq!(begin.elapsed(), Duration::from_secs(expected));
        }
    });
}

#[test]
fn what_is_cancelled_or_refused_while_it_waits_is_not_under_way() {
    bartizan_testkit::run(async {
        let mut bench = Bench::new();
        bench.node.limits = Limits { delayed: 1, ..Limits::default() };
        let plugin = bench.compile::<LimitConn>(&config(&json!({}))).unwrap();
        let mut first = Call::default();
        pass(&plugin, &mut first).await.unwrap();
        let (mut second, mut third) = (Call::default(), Call::default());
        let (waited, crowded) = tokio::join!(pass(&plugin, &mut second), pass(&plugin, &mut third));
        assert!(waited.is_ok());
        assert!(crowded.unwrap_err().detail.contains("`limits.delayed`"));
        assert!(third.permits.is_empty());

        let mut fourth = Call::default();
        let waiting = pass(&plugin, &mut fourth);
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
        drop((first, second, third, fourth));
        assert!(plugin.rules[0].connections.table.is_empty());
    });
}

#[test]
fn a_refusal_by_one_rule_leaves_the_others_as_they_were() {
    bartizan_testkit::run(async {
        let config = json!({"default_conn_delay": 1, "rules": [
            {"conn": 9, "burst": 0, "key": "$remote_addr"},
            {"conn": 1, "burst": 0, "key": "$request_method"},
            {"conn": 1, "burst": 0, "key": "$http_x_absent"},
        ]});
        let plugin = Bench::new().compile::<LimitConn>(&config).unwrap();
        let mut first = Call::default();
        pass(&plugin, &mut first).await.unwrap();
        assert_eq!(first.permits.len(), 2);
        let mut second = Call::default();
        assert_eq!(pass(&plugin, &mut second).await.unwrap_err().reason, Reason::RateLimited);
        assert!(second.permits.is_empty());
        drop(first);
        assert!(plugin.rules.iter().all(|rule| rule.connections.table.is_empty()));
    });
}

#[test]
fn counts_survive_a_reload_and_belong_to_the_resource() {
    bartizan_testkit::run(async {
        let bench = Bench::new();
        let config = config(&json!({"burst": 0}));
        let before = bench.compile::<LimitConn>(&config).unwrap();
        let mut held = Call::default();
        pass(&before, &mut held).await.unwrap();
        let after = bench.compile::<LimitConn>(&config).unwrap();
        drop(before);
        assert!(pass(&after, &mut Call::default()).await.is_err());
        let elsewhere = bench.compile_in::<LimitConn>("other", &config).unwrap();
        assert!(pass(&elsewhere, &mut Call::default()).await.is_ok());
        drop(held);
        assert!(pass(&after, &mut Call::default()).await.is_ok());
    });
}

#[test]
fn a_limit_that_clients_can_evade_proves_nothing() {
    for (change, expected) in [
        (json!({}), true),
        (json!({"key": "http_x_tenant"}), false),
        (json!({"conn": "$http_x_n"}), false),
        (json!({"burst": "${http_x_n ?? 1}"}), false),
        (json!({"danger_allow_degradation": true}), false),
    ] {
        assert_eq!(compile(&change).traits().proves.limit, expected, "{change}");
    }
    for (change, stage) in [
        (json!({}), Stage::Admit),
        (json!({"key": "consumer_name"}), Stage::Meter),
        (json!({"conn": "${consumer_name ?? 1}"}), Stage::Meter),
    ] {
        assert_eq!(compile(&change).traits().stages, StageSet::of(&[stage]), "{change}");
    }
}
