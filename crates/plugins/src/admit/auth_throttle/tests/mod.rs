mod edges;

use std::net::IpAddr;
use std::time::Duration;

use bartizan_chain::{Attempt, Consumer, ConsumerIndex, RequestCx};
use bartizan_core::{Clock, Limits, ManualClock, Reason};
use serde_json::{Value, json};

use super::failures::tests::Naive;
use super::guard::network;
use super::*;
use crate::fixture::{Bench, arrival};

const A: &str = "192.0.2.1";
const B: &str = "198.51.100.1";
const BASIC: &str = "basic-auth";

/// A throttle, and whoever knocks.
struct Gate {
    bench: Bench,
    clock: ManualClock,
    guard: Arc<Guard>,
}

impl Gate {
    fn new(config: &Value) -> Self {
        Self::within(config, Limits::default())
    }

    fn within(config: &Value, limits: Limits) -> Self {
        let mut bench = Bench::new();
        bench.node.limits = limits;
        let guard = bench.compile::<AuthThrottle>(config).unwrap().guard;
        let clock = ManualClock::at(bartizan_core::Timestamp::from_secs(1_000_000));
        Self { bench, clock, guard }
    }

    fn reload(&mut self, config: &Value) {
        self.guard = self.bench.compile::<AuthThrottle>(config).unwrap().guard;
    }

    fn cx(&self, from: &str) -> RequestCx {
        knock(self.guard.clone(), self.clock.clone(), from)
    }

    /// What comes of a credential that is right or wrong.
    fn judge(&self, from: &str, attempt: &Attempt<'_>, is_right: bool) -> Result<(), Denial> {
        let cx = self.cx(from);
        if attempt.strength == bartizan_chain::Strength::Guessable {
            cx.admit(attempt)?;
        }
        let proof = if is_right { Ok(()) } else { Err(wrong()) };
        cx.settle(attempt, proof)
    }

    /// A password of `name`, of which only `right` is.
    fn login(&self, from: &str, name: &str, password: &str) -> Option<Reason> {
        let attempt = Attempt::password(BASIC, name.as_bytes(), password.as_bytes());
        let outcome = self.judge(from, &attempt, password == "right");
        outcome.err().map(|denial| denial.reason)
    }

    fn fails(&self, from: &str, name: &str, count: usize) -> Vec<Reason> {
        (0..count).filter_map(|n| self.login(from, name, &format!("{n} is wrong"))).collect()
    }
}

/// A request that a guard sees. There is a consumer `alice`.
fn knock(guard: Arc<Guard>, clock: ManualClock, from: &str) -> RequestCx {
    let mut index = ConsumerIndex::default();
    let alice = Arc::new(Consumer::new("alice".into(), None, Vec::new()));
    index.add_consumer(alice.clone());
    let entry = bartizan_chain::CredentialEntry::new(*b"alice", ());
    index.add_credential(BASIC, &alice, None, entry).unwrap();
    let mut arrival = arrival("/", &[]);
    arrival.client = from.parse().unwrap();
    arrival.clock = Clock::Manual(clock);
    arrival.consumers = Arc::new(index);
    let mut cx = RequestCx::new(arrival, None);
    cx.post(guard);
    cx
}

fn wrong() -> Denial {
    Denial::new(Reason::InvalidCredential, "wrong")
        .with_field("www-authenticate", "Basic".to_owned())
}

const WRONG: Option<Reason> = Some(Reason::InvalidCredential);
const HELD: Option<Reason> = Some(Reason::AttemptHeld);

/// Locks a name after three failures, and no address.
fn name_only() -> Value {
    json!({
        "consumer": {"free": 2, "lock_after": 3},
        "address": {"free": 999, "lock_after": 1000},
    })
}

/// Locks an address after three failures, and no name.
fn address_only() -> Value {
    json!({
        "address": {"free": 2, "lock_after": 3},
        "consumer": {"free": 999, "lock_after": 1000},
    })
}

#[test]
fn the_last_failure_that_is_allowed_is_allowed_and_the_next_is_not() {
    for (n, expected) in [(2, None), (3, HELD), (4, HELD)] {
        let gate = Gate::new(&name_only());
        gate.fails(A, "alice", n);
        assert_eq!(gate.login(B, "alice", "right"), expected, "{n}");
        let gate = Gate::new(&address_only());
        gate.fails(A, "alice", n);
        assert_eq!(gate.login(A, "bob", "right"), expected, "{n}");
    }
}

#[test]
fn a_password_that_turns_out_right_does_not_unlock_and_is_not_told() {
    let gate = Gate::new(&name_only());
    assert_eq!(
        gate.fails(A, "alice", 5)[2..],
        [Reason::InvalidCredential, Reason::AttemptHeld, Reason::AttemptHeld]
    );
    for _ in 0..3 {
        assert_eq!(gate.login(A, "alice", "right"), HELD);
        assert_eq!(gate.login(A, "alice", "wrong"), HELD);
    }
    gate.clock.advance(Duration::from_secs(15 * 60 - 1));
    assert_eq!(gate.login(A, "alice", "right"), HELD);
    gate.clock.advance(Duration::from_secs(1));
    assert_eq!(gate.login(A, "alice", "right"), None);
}

#[test]
fn a_success_forgives_no_failure() {
    let gate = Gate::new(&address_only());
    for _ in 0..2 {
        assert_eq!(gate.login(A, "alice", "wrong"), WRONG);
        assert_eq!(gate.login(A, "mallory", "right"), None);
    }
    assert_eq!(gate.login(A, "alice", "wrong"), WRONG);
    assert_eq!(gate.login(A, "alice", "wrong"), HELD);
}

#[test]
fn many_at_once_are_told_no_more_than_one_after_the_other() {
    let gate = Gate::new(&name_only());
    let secrets: Vec<String> = (0..50).map(|n| format!("{n} is wrong")).collect();
    let attempts: Vec<Attempt<'_>> =
        secrets.iter().map(|s| Attempt::password(BASIC, b"alice", s.as_bytes())).collect();
    let right = Attempt::password(BASIC, b"alice", b"right");
    let cx = gate.cx(A);
    // All of them are let in before any is judged.
    assert!(attempts.iter().chain([&right]).all(|attempt| cx.admit(attempt).is_ok()));
    let told: Vec<Reason> =
        attempts.iter().map(|one| cx.settle::<()>(one, Err(wrong())).unwrap_err().reason).collect();
    assert_eq!(told.iter().filter(|reason| **reason == Reason::InvalidCredential).count(), 3);
    assert_eq!(cx.settle(&right, Ok(())).unwrap_err().reason, Reason::AttemptHeld);
    // Nor is it known from then on.
    assert_eq!(gate.login(A, "alice", "right"), HELD);
}

#[test]
fn nobody_is_locked_out_of_a_password_that_was_good_where_he_is() {
    for config in [name_only(), address_only()] {
        let gate = Gate::new(&config);
        assert_eq!(gate.login(A, "alice", "right"), None);
        gate.fails(A, "alice", 3);
        gate.fails(B, "alice", 3);
        assert_eq!(gate.login(A, "alice", "right"), None, "{config}");
        assert_eq!(gate.login(A, "alice", "wrong"), HELD);
        gate.clock.advance(Duration::from_secs(60));
        assert_eq!(gate.login(A, "alice", "right"), None, "{config}");
    }
}

#[test]
fn what_was_good_elsewhere_opens_no_address_that_is_locked() {
    let gate = Gate::new(&address_only());
    assert_eq!(gate.login(A, "alice", "right"), None);
    gate.fails(B, "bob", 3);
    assert_eq!(gate.login(B, "alice", "right"), HELD);
    // Where the name alone is held, it passes from new networks.
    let gate = Gate::new(&name_only());
    assert_eq!(gate.login(A, "alice", "right"), None);
    gate.fails(B, "alice", 3);
    assert_eq!(gate.login("203.0.113.9", "alice", "right"), None);
}

#[test]
fn guessing_where_a_user_is_known_has_the_measure_of_a_stranger() {
    let gate = Gate::new(&name_only());
    assert_eq!(gate.login(A, "alice", "right"), None);
    let told = gate.fails(A, "alice", 1_000);
    assert_eq!(told.iter().filter(|reason| **reason == Reason::InvalidCredential).count(), 3);
    // Three more were compared with what is known, and no others.
    assert_eq!(gate.login(A, "alice", "right"), HELD);
    gate.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(gate.login(A, "alice", "right"), None);
}

#[test]
fn what_nobody_guesses_passes_wherever_it_is_right() {
    let gate = Gate::new(&json!({"address": {"free": 0, "lock_after": 1}}));
    gate.fails(A, "alice", 1);
    let key = Attempt::key("key-auth", b"sixteen letters.");
    let signed = Attempt::signed("hmac-auth", Some(b"alice"));
    for attempt in [key, signed] {
        gate.judge(A, &attempt, true).unwrap();
        let denial = gate.judge(A, &attempt, false).unwrap_err();
        assert_eq!(denial.reason, Reason::AttemptHeld);
        let names: Vec<&str> = denial.fields.iter().map(|(name, _)| &**name).collect();
        assert_eq!(names, ["retry-after", "www-authenticate"]);
    }
    assert_eq!(gate.login(A, "alice", "right"), HELD, "it unlocks nothing");
}

#[test]
fn names_that_nobody_has_are_counted_like_the_others() {
    let tell = |name: &str| {
        let gate = Gate::new(&name_only());
        let mut told = gate.fails(A, name, 4);
        told.extend(gate.login(B, name, "right"));
        told
    };
    assert_eq!(tell("alice"), tell("nobody"));
}

#[test]
fn one_password_for_all_users_from_everywhere_is_seen() {
    let gate = Gate::new(&json!({"credential": {"free": 2, "lock_after": 3, "prefix": 8}}));
    let spray = |n: usize, password: &str| {
        gate.login(&format!("10.{n}.0.1"), &format!("user{n}"), password)
    };
    for n in 0..3 {
        assert_eq!(spray(n, &format!("Winter26-{n}")), WRONG);
    }
    assert_eq!(spray(3, "Winter26-3"), HELD);
    assert_eq!(spray(4, "Winter2"), WRONG);
    assert_eq!(spray(5, "right"), None);
}

#[test]
fn a_short_key_is_a_password_without_a_name() {
    for (key, is_judged) in [(&b"fifteen letters"[..], false), (b"sixteen letters.", true)] {
        let gate = Gate::new(&json!({"address": {"free": 0, "lock_after": 1}}));
        gate.fails(A, "alice", 1);
        let outcome = gate.judge(A, &Attempt::key("key-auth", key), true);
        assert_eq!(outcome.is_ok(), is_judged, "{key:?}");
    }
    let gate = Gate::new(&address_only());
    let judge = |from, key: &str, is_right| {
        gate.judge(from, &Attempt::key("key-auth", key.as_bytes()), is_right).is_ok()
    };
    assert!(judge(A, "alices key", true));
    gate.fails(A, "bob", 3);
    gate.fails(B, "bob", 3);
    assert!(judge(A, "alices key", true), "seen good there");
    assert!(!judge(B, "alices key", true), "and not here");
    assert!(!judge(A, "carols key", true));
}

#[test]
fn users_beyond_the_limit_are_not_known_and_that_is_all() {
    let limits = Limits { known_users: 64, ..Limits::default() };
    let gate = Gate::within(&name_only(), limits);
    for n in 0..2_000 {
        assert_eq!(gate.login(A, &format!("user {n}"), "right"), None);
    }
    let mut text = String::new();
    let mut registry = prometheus_client::registry::Registry::default();
    gate.bench.node.counts.register(&mut registry);
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    assert!(text.contains("limit_hits_total{limit=\"known_users\"} 1936"), "{text}");
}

#[test]
fn threads_together_are_told_exactly_so_many_failures() {
    let gate = Gate::new(&json!({
        "consumer": {"free": 499, "lock_after": 500},
        "address": {"free": 999, "lock_after": 1000},
    }));
    let (guard, clock) = (&gate.guard, &gate.clock);
    let told = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cx = knock(guard.clone(), clock.clone(), A);
                for _ in 0..100 {
                    let attempt = Attempt::signed("hmac-auth", Some(b"alice"));
                    let denial = cx.settle::<()>(&attempt, Err(wrong())).unwrap_err();
                    if denial.reason == Reason::InvalidCredential {
                        told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(told.into_inner(), 500);
}

#[test]
fn an_address_is_its_network() {
    let bits = |text: &str, prefix| network(text.parse::<IpAddr>().unwrap(), prefix);
    assert_eq!(bits("2001:db8::1", 64), bits("2001:db8::ffff:1", 64));
    assert_ne!(bits("2001:db8::1", 64), bits("2001:db8:0:1::1", 64));
    assert_eq!(bits("2001:db8::1", 48), bits("2001:db8:0:1::1", 48));
    assert_eq!(bits("::ffff:192.0.2.1", 32), bits("192.0.2.1", 64));
    assert_ne!(bits("192.0.2.1", 32), bits("192.0.2.2", 32));
}

proptest::proptest! {
    #[test]
    fn rules_hold_together_as_a_naive_reading_of_each(
        steps in proptest::collection::vec((0_u64..30, 0_usize..3, 0_usize..3, 0_usize..3), 0..80),
    ) {
        let config = json!({
            "address": {"free": 3, "lock_after": 6, "window": "1m"},
            "consumer": {"free": 2, "lock_after": 4, "window": "2m"},
            "credential": {"free": 4, "lock_after": 7, "window": "30s", "prefix": 4},
            "delay": "2s", "delay_max": "5s", "lock": "1m", "lock_max": "3m",
        });
        let gate = Gate::new(&config);
        let terms = [gate.guard.address, gate.guard.consumer, gate.guard.credential];
        let mut naive: [[Naive; 3]; 3] = Default::default();
        for (gap, address, name, secret) in steps {
            gate.clock.advance(Duration::from_secs(gap));
            let now = Clock::Manual(gate.clock.clone()).now().as_nanos();
            let told = gate.login(
                ["192.0.2.1", "2001:db8::1", "198.51.100.7"][address],
                ["alice", "bob", "nobody"][name],
                ["Winter26", "Summer26", "Win"][secret],
            );
            let keys = [address, name, secret];
            let is_held = naive.iter().zip(keys).any(|(rule, key)| rule[key].hold(now).is_some());
            proptest::prop_assert_eq!(told, if is_held { HELD } else { WRONG });
            if !is_held {
                for ((rule, key), terms) in naive.iter_mut().zip(keys).zip(&terms) {
                    rule[key].fail(terms, now);
                }
            }
        }
    }
}
