//! What `limit-req` makes of its configuration, and what becomes of requests that wait.

use std::time::Duration;

use bartizan_chain::Arrival;
use bartizan_core::Limits;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::fixture::{Bench, arrival, request};

async fn pass(plugin: &LimitReq, cx: &mut RequestCx) -> Result<(), Denial> {
    plugin.on_request(plugin.stage, cx, &mut ()).await.map(|_| ())
}

fn from(address: [u8; 4]) -> RequestCx {
    RequestCx::new(Arrival { client: address.into(), ..arrival("/", &[]) }, None)
}

#[test]
fn a_limit_that_needs_no_identity_is_spent_before_any_cryptography() {
    for (key, key_type, stage, is_firm) in [
        ("remote_addr", "var", Stage::Admit, true),
        ("$http_x_tenant $remote_addr", "var_combination", Stage::Admit, false),
        ("consumer_name", "var", Stage::Meter, true),
    ] {
        let config = json!({"rate": 1, "burst": 0, "key": key, "key_type": key_type});
        let traits = Bench::new().compile::<LimitReq>(&config).unwrap().traits();
        assert_eq!(traits.stages, StageSet::of(&[stage]), "{key}");
        assert_eq!(traits.proves.limit, is_firm, "{key}");
    }
    let config = json!({"rate": 1, "burst": 0, "key": "uri", "danger_allow_degradation": true});
    assert!(!Bench::new().compile::<LimitReq>(&config).unwrap().traits().proves.limit);
}

#[test]
fn requests_wait_for_their_turn_and_the_rate_is_kept() {
    bartizan_testkit::run(async {
        let config = json!({"rate": 2, "burst": 3, "key": "remote_addr"});
        let plugin = Bench::new().compile::<LimitReq>(&config).unwrap();
        let begin = Instant::now();
        let turn = async || {
            let verdict = pass(&plugin, &mut request("/", &[])).await;
            (verdict.is_ok(), begin.elapsed().as_millis())
        };
        let turns = tokio::join!(turn(), turn(), turn(), turn(), turn());
        let ((a, b), (c, d)) = ((turns.0, turns.1), (turns.2, turns.3));
        assert_eq!([a, b, c, d], [(true, 0), (true, 500), (true, 1_000), (true, 1_500)]);
        assert_eq!(turns.4, (false, 0));
        // The bucket has drained while they waited.
        assert_eq!(turn().await, (true, 2_000));
        assert_eq!(turn().await, (true, 2_500));
    });
}

#[test]
fn what_finds_too_many_waiting_is_refused_and_counts_nowhere() {
    bartizan_testkit::run(async {
        let mut bench = Bench::new();
        bench.node.limits = Limits { delayed: 1, ..Limits::default() };
        let config = json!({"rate": 1, "burst": 9, "key": "remote_addr"});
        let plugin = bench.compile::<LimitReq>(&config).unwrap();
        let [mut a, mut b, mut c] = [(); 3].map(|()| request("/", &[]));
        let (first, second, third) =
            tokio::join!(pass(&plugin, &mut a), pass(&plugin, &mut b), pass(&plugin, &mut c));
        assert!(first.is_ok() && second.is_ok());
        assert!(third.unwrap_err().detail.contains("`limits.delayed`"));
        let begin = Instant::now();
        pass(&plugin, &mut c).await.unwrap();
        assert_eq!(begin.elapsed(), Duration::from_secs(1), "behind the second, not the third");
    });
}

#[test]
fn buckets_survive_another_rate_and_start_again_with_another_key() {
    bartizan_testkit::run(async {
        let bench = Bench::new();
        let compile = |change: Value| {
            let mut config = json!({"rate": 0.1, "burst": 0, "key": "remote_addr"});
            config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            bench.compile::<LimitReq>(&config).unwrap()
        };
        let is_admitted =
            async |plugin: &LimitReq| pass(plugin, &mut request("/", &[])).await.is_ok();
        let first = compile(json!({}));
        assert!(is_admitted(&first).await);
        assert!(!is_admitted(&compile(json!({}))).await);
        assert!(!is_admitted(&compile(json!({"rate": 0.2}))).await);
        assert!(is_admitted(&compile(json!({"burst": 1, "nodelay": true}))).await);
        assert!(is_admitted(&compile(json!({"key": "uri"}))).await);
    });
}

#[test]
fn new_keys_are_refused_while_all_buckets_are_live() {
    bartizan_testkit::run(async {
        let mut bench = Bench::new();
        bench.node.limits = Limits { limit_keys: 64, ..Limits::default() };
        let mut config = json!({"rate": 1, "burst": 0, "key": "remote_addr"});
        let plugin = bench.compile::<LimitReq>(&config).unwrap();
        let mut admitted = 0;
        for n in 0..=255 {
            admitted += u32::from(pass(&plugin, &mut from([10, 0, 0, n])).await.is_ok());
        }
        assert!(admitted <= 64, "{admitted}");
        config["danger_allow_degradation"] = true.into();
        let open = bench.compile::<LimitReq>(&config).unwrap();
        let mut refused = 0;
        for n in 0..=255 {
            refused += u32::from(pass(&open, &mut from([10, 0, 0, n])).await.is_err());
        }
        assert_eq!(refused, admitted, "only those that have a bucket");
    });
}

#[test]
fn threads_together_admit_exactly_the_burst() {
    let config = json!({"rate": 0.000_001, "burst": 99, "key": "remote_addr", "nodelay": true});
    let plugin = Bench::new().compile::<LimitReq>(&config).unwrap();
    let admitted: usize = std::thread::scope(|scope| {
        let spend = || {
            let cx = request("/", &[]);
            (0..100).filter(|_| plugin.admit(&cx).is_ok()).count()
        };
        let threads = [(); 4].map(|()| scope.spawn(spend));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 100);
}

#[test]
fn faults_say_where_and_why() {
    for (config, at, problem) in [
        (json!({"rate": 0.000_000_1, "burst": 0, "key": "uri"}), "rate", "decimals"),
        (json!({"rate": 0, "burst": 0, "key": "uri"}), "rate", "admit nothing"),
        (json!({"rate": 1, "burst": 0.123_456_7, "key": "uri"}), "burst", "decimals"),
        (json!({"rate": 1, "burst": 0, "key": "urj"}), "key", "no variable"),
        (json!({"rate": 1, "burst": 0, "key": "status"}), "key", "before there is an answer"),
    ] {
        let fault = Bench::new().fault::<LimitReq>(&config);
        assert_eq!(fault.path, [PathStep::Key(at.into())], "{config}");
        assert!(fault.problem.contains(problem), "{config}: {}", fault.problem);
    }
}
