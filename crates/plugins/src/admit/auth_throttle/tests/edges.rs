//! Full tables, other configurations, and what is told to whom.

use bartizan_config::{PathStep, ResourceKind, ResourceRef};

use super::*;

#[test]
fn a_full_table_holds_what_it_cannot_count_and_forgets_nothing() {
    let limits = Limits { failed_keys: 64, ..Limits::default() };
    let gate = Gate::within(&name_only(), limits);
    assert_eq!(gate.login(A, "alice", "right"), None);
    // One password: three could share a place for which there is no room, and so lock nobody.
    for _ in 0..3 {
        assert_eq!(gate.login(A, "alice", "wrong"), WRONG);
    }
    for n in 0..1_000 {
        let name = format!("flood {n}");
        let attempt = Attempt::signed(BASIC, Some(name.as_bytes()));
        gate.judge(A, &attempt, false).unwrap_err();
    }
    assert_eq!(gate.login(B, "alice", "wrong"), HELD, "a flood is no amnesty");
    assert_eq!(gate.login(A, "alice", "right"), None, "what is known passes");
    let attempt = Attempt::password(BASIC, b"carol", b"right");
    let denial = gate.judge(B, &attempt, true).unwrap_err();
    assert!(denial.detail.contains("`limits.failed_keys`"), "{}", denial.detail);
    gate.clock.advance(Duration::from_secs(2 * 3_600));
    assert_eq!(gate.login(B, "carol", "right"), None);
}

#[test]
fn failures_survive_a_reload_and_begin_anew_where_they_are_counted_otherwise() {
    let mut gate = Gate::new(&name_only());
    gate.fails(A, "alice", 3);
    gate.reload(&json!({"consumer": {"free": 5, "lock_after": 6}}));
    assert_eq!(gate.login(B, "alice", "right"), HELD);
    gate.reload(&json!({"credential": {"prefix": 13}}));
    assert_eq!(gate.login(B, "alice", "right"), None);
}

#[test]
fn refusals_say_who_what_and_how_long_and_no_more() {
    let gate = Gate::new(&name_only());
    let judge = |name: &str| {
        gate.fails(A, name, 3);
        let attempt = Attempt::password(BASIC, name.as_bytes(), b"hunter2");
        gate.judge(A, &attempt, true).unwrap_err()
    };
    let denial = judge("alice");
    assert_eq!(denial.detail, "`alice` by `basic-auth`: the consumer is locked for 900 s");
    assert_eq!(denial.rule.as_deref(), Some("consumer"));
    assert_eq!((denial.plugin, denial.status()), (Some("auth-throttle"), 429));
    assert_eq!(denial.fields, [("retry-after".into(), "900".to_owned())]);
    let denial = judge("hunter2");
    assert!(denial.detail.starts_with("a name that nobody has"), "{}", denial.detail);
}

#[test]
fn the_failure_that_begins_a_hold_says_so() {
    let gate = Gate::new(&json!({"consumer": {"free": 1, "lock_after": 3}}));
    let attempt = Attempt::password(BASIC, b"alice", b"x");
    let fail = || {
        gate.clock.advance(Duration::from_secs(10));
        gate.judge(A, &attempt, false).unwrap_err().detail.to_string()
    };
    assert_eq!(fail(), "wrong");
    assert_eq!(fail(), "wrong; the consumer is delayed for 1 s");
    assert_eq!(fail(), "wrong; the consumer is locked for 900 s");
}

#[test]
fn only_what_is_wrong_is_a_failure() {
    let gate = Gate::new(&json!({"address": {"free": 0, "lock_after": 1}}));
    let cx = gate.cx(A);
    let attempt = Attempt::signed("jwt-auth", None);
    for reason in Reason::ALL.iter().filter(|reason| **reason != Reason::InvalidCredential) {
        let denial = cx.settle::<()>(&attempt, Err(Denial::new(*reason, "")));
        assert_eq!(denial.unwrap_err().reason, *reason);
    }
    assert_eq!(gate.login(A, "alice", "right"), None);
}

#[test]
fn a_consumer_brings_none_along() {
    let bench = Bench::new();
    for kind in [ResourceKind::Consumer, ResourceKind::ConsumerGroup] {
        let fault = bench.within::<AuthThrottle, _>(|cx| {
            let resource = ResourceRef { kind, id: Arc::from("x") };
            let mut cx = CompileCx { resource: &resource, ..*cx };
            AuthThrottle::compile(Config::default(), &mut cx).err().unwrap()
        });
        assert!(fault.problem.contains("after authentication"), "{}", fault.problem);
    }
}

#[test]
fn times_out_of_range_and_counts_that_contradict_are_refused_at_their_place() {
    for (config, path) in [
        (json!({"delay": "99ms"}), "delay"),
        (json!({"delay": "61s"}), "delay"),
        (json!({"delay": "5s", "delay_max": "4s"}), "delay_max"),
        (json!({"delay_max": "3601s"}), "delay_max"),
        (json!({"lock": "0s"}), "lock"),
        (json!({"lock": "25h"}), "lock"),
        (json!({"lock": "2m", "lock_max": "1m"}), "lock_max"),
        (json!({"lock_max": "169h"}), "lock_max"),
        (json!({"known_for": "59s"}), "known_for"),
        (json!({"known_for": "8761h"}), "known_for"),
        (json!({"address": {"free": 3, "lock_after": 3}}), "free"),
        (json!({"consumer": {"window": "0s"}}), "window"),
        (json!({"credential": {"window": "25h"}}), "window"),
    ] {
        let fault = Bench::new().fault::<AuthThrottle>(&config);
        let last = fault.path.last();
        assert!(matches!(last, Some(PathStep::Key(key)) if key == path), "{config}");
    }
    for config in [
        json!({"delay": "100ms", "delay_max": "100ms"}),
        json!({"delay": "1m"}),
        json!({"delay_max": "1h"}),
        json!({"lock_max": "168h"}),
        json!({"known_for": "1m"}),
        json!({"known_for": "8760h"}),
        json!({"consumer": {"window": "24h"}}),
        json!({"lock": "24h"}),
        json!({"lock": "1s", "lock_max": "168h"}),
        json!({"address": {"free": 0, "lock_after": 1, "window": "1s"}}),
    ] {
        Bench::new().compile::<AuthThrottle>(&config).map(drop).unwrap();
    }
}

#[test]
fn a_guess_that_is_given_up_counts_and_what_nobody_guesses_does_not() {
    for (count, expected) in [(2, None), (3, HELD), (4, HELD)] {
        let gate = Gate::new(&name_only());
        for _ in 0..count {
            let cx = gate.cx(A);
            drop(cx.judge(Attempt::password(BASIC, b"alice", b"x")));
            drop(cx.judge(Attempt::signed(BASIC, Some(b"bob"))));
        }
        assert_eq!(gate.login(B, "alice", "right"), expected, "{count}");
        assert_eq!(gate.login(B, "bob", "right"), None);
    }
}

#[test]
fn what_one_guard_refuses_is_known_to_none() {
    let gate = Gate::new(&json!({"consumer": {"free": 3, "lock_after": 4}}));
    let strict = gate.bench.compile::<AuthThrottle>(&name_only()).unwrap().guard;
    let attempt = Attempt::password(BASIC, b"alice", b"right");
    let mut cx = gate.cx(A);
    cx.post(strict);
    // Judged while the name is not held yet, and right when it is.
    let judging = cx.judge(attempt).unwrap();
    for _ in 0..3 {
        let other = Attempt::password(BASIC, b"alice", b"wrong");
        drop(cx.settle::<()>(&other, Err(wrong())).unwrap_err());
    }
    assert_eq!(judging.settle(Ok(())).unwrap_err().reason, Reason::AttemptHeld);
    gate.fails(B, "alice", 4);
    assert_eq!(gate.login(A, "alice", "right"), HELD, "it was seen good by nobody");
}

#[test]
fn long_tokens_that_begin_alike_are_no_one_credential_and_short_ones_are_guesses() {
    let gate = Gate::new(&json!({"credential": {"free": 1, "lock_after": 2}}));
    let long = |n: usize| format!("eyJhbGciOiJSUzI1NiJ9.{n}");
    for n in 0..5 {
        let token = long(n);
        let attempt = Attempt::token("oauth-introspection", token.as_bytes());
        let denial = gate.judge(A, &attempt, false).unwrap_err();
        assert_eq!(denial.reason, Reason::InvalidCredential, "{n}");
    }
    for (length, strength) in [
        (15, bartizan_chain::Strength::Guessable),
        (16, bartizan_chain::Strength::Strong),
        (17, bartizan_chain::Strength::Strong),
    ] {
        let text = "t".repeat(length);
        assert_eq!(Attempt::token("x", text.as_bytes()).strength, strength, "{length}");
        assert_eq!(Attempt::key("x", text.as_bytes()).strength, strength, "{length}");
    }
}
