//! What the plugins that meter, guard and check do to a request, in a chain as the gateway runs it.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bartizan_chain::{
    AnswerHead, Arrival, BodySource, Chain, ChainBuilder, Consumer, ConsumerIndex, Plugin,
    Profiles, Run, Screening, Step,
};
use bartizan_core::Reason;
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::fixture::{Bench, arrival, percent_encoded};
use authenticate::anonymous_access::AnonymousAccess;
use authenticate::key_auth::KeyAuth;
use authorize::object_guard::ObjectGuard;
use meter::limit_count::LimitCount;
use validate::request_validation::RequestValidation;

/// A body, and whether anybody asked for it.
struct Body {
    bytes: Bytes,
    was_read: bool,
}

impl BodySource for Body {
    fn collect<'a>(
        &'a mut self,
        max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        self.was_read = true;
        let is_small = self.bytes.len() <= max;
        let result = is_small.then(|| self.bytes.clone());
        let result = result.ok_or_else(|| Denial::new(Reason::BodyTooLarge, "too large"));
        Box::pin(std::future::ready(result))
    }
}

struct NoProfiles;

impl Profiles<AnyPlugin> for NoProfiles {
    fn of(&self, _consumer: &Consumer) -> [Option<Arc<Chain<AnyPlugin>>>; 2] {
        [None, None]
    }
}

/// A route and who may call it.
struct Route {
    bench: Bench,
    chain: Arc<Chain<AnyPlugin>>,
    consumers: Arc<ConsumerIndex>,
}

/// What became of a request.
struct Seen {
    verdict: Result<(), Denial>,
    answered: Fields,
    body_was_read: bool,
}

impl Seen {
    fn reason(&self) -> Option<Reason> {
        self.verdict.as_ref().err().map(|denial| denial.reason)
    }
}

fn wrap<P: Plugin>(bench: &Bench, make: fn(P) -> AnyPlugin, config: &Value) -> AnyPlugin {
    make(bench.compile(config).unwrap())
}

impl Route {
    fn new(bench: Bench, plugins: Vec<AnyPlugin>) -> Self {
        let mut builder = ChainBuilder::new();
        for plugin in plugins {
            builder.add(Step::new(Arc::new(plugin)));
        }
        let chain = Arc::new(builder.build());
        Self { bench, chain, consumers: Arc::default() }
    }

    /// A route of whoever has the key `secret-key`, who is `alice` with the label `tenant`.
    fn of_alice(tenant: &str, more: impl FnOnce(&Bench) -> Vec<AnyPlugin>) -> Self {
        let bench = Bench::new();
        let mut plugins = more(&bench);
        plugins.push(wrap::<KeyAuth>(&bench, AnyPlugin::KeyAuth, &json!({})));
        let labels = vec![("tenant".into(), tenant.into())];
        let alice = Arc::new(Consumer::new("alice".into(), None, labels));
        let mut consumers = ConsumerIndex::default();
        consumers.add_consumer(alice.clone());
        let key = bench
            .credential::<KeyAuth>(&json!({"key": "secret-key", "danger_weak_secret": true}))
            .unwrap();
        consumers.add_credential(KeyAuth::NAME, &alice, None, key).unwrap();
        Self { consumers: Arc::new(consumers), ..Self::new(bench, plugins) }
    }

    fn send(&self, target: &str, lines: &[(&'static str, &'static str)], body: &str) -> Seen {
        let consumers = self.consumers.clone();
        let clock = self.bench.node.clock.clone();
        let arrival = Arrival { consumers, clock, ..arrival(target, lines) };
        let limits = bartizan_core::Limits::default();
        let cx = RequestCx::new(arrival, None);
        let mut run = Run::new(cx, &Arc::new(Chain::empty()), Some(&self.chain), &limits);
        let mut source = Body { bytes: Bytes::copy_from_slice(body.as_bytes()), was_read: false };
        let verdict = {
            let screening = pin!(run.screen(&mut source, &NoProfiles));
            match screening.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => panic!("nothing here waits"),
                Poll::Ready(Ok(Screening::Proceed(_))) => Ok(()),
                Poll::Ready(Ok(Screening::Answer(_))) => panic!("nothing here answers"),
                Poll::Ready(Err(denial)) => Err(denial),
            }
        };
        let status = StatusCode::OK;
        let mut answer = AnswerHead::new(status, Fields::new(), true);
        run.respond(&mut answer).unwrap();
        Seen { verdict, answered: answer.fields, body_was_read: source.was_read }
    }
}

fn limited(bench: Bench, config: &Value) -> Route {
    let plugin = wrap::<LimitCount>(&bench, AnyPlugin::LimitCount, config);
    Route::new(bench, vec![plugin])
}

fn guarded(tenant: &str, config: &Value) -> Route {
    Route::of_alice(tenant, |bench| {
        vec![wrap::<ObjectGuard>(bench, AnyPlugin::ObjectGuard, config)]
    })
}

const KEY: (&str, &str) = ("apikey", "secret-key");

#[test]
fn a_limit_tells_what_is_left_and_when_to_come_back() {
    let route = limited(Bench::new(), &json!({"count": 2, "time_window": 60}));
    for left in ["1", "0"] {
        let seen = route.send("/", &[], "");
        assert!(seen.verdict.is_ok());
        let said = format!(r#""default";r={left};t=60"#);
        assert_eq!(seen.answered.get_str("ratelimit"), Some(said.as_str()));
        assert_eq!(seen.answered.get_str("ratelimit-policy"), Some(r#""default";q=2;w=60"#));
    }
    let seen = route.send("/", &[], "");
    assert_eq!(seen.answered.get_str("ratelimit"), Some(r#""default";r=0;t=60"#));
    let denial = seen.verdict.unwrap_err();
    assert_eq!((denial.reason, denial.status()), (Reason::RateLimited, 429));
    assert_eq!(denial.fields, [("retry-after".into(), "60".to_owned())]);
}

#[test]
fn in_compatibility_mode_a_limit_speaks_as_apisix_does() {
    let config = json!({"count": 1, "time_window": 60, "rejected_msg": "slow down"});
    let route = limited(Bench::apisix(), &config);
    assert!(route.send("/", &[], "").verdict.is_ok());
    let seen = route.send("/", &[], "");
    let field = |name| seen.answered.get_str(name);
    assert_eq!(field("x-ratelimit-limit"), Some("1"));
    assert_eq!(field("x-ratelimit-remaining"), Some("0"));
    assert_eq!(field("x-ratelimit-reset"), Some("60.00"));
    assert_eq!(field("ratelimit"), None);
    let denial = seen.verdict.unwrap_err();
    assert_eq!((denial.status(), denial.message.as_deref()), (503, Some("slow down")));
    assert!(denial.fields.is_empty());
}

#[test]
fn a_quota_can_be_kept_secret() {
    let config = json!({"count": 2, "time_window": 60, "show_limit_quota_header": false});
    assert!(limited(Bench::new(), &config).send("/", &[], "").answered.is_empty());
}

#[test]
fn all_rules_that_apply_must_have_room_and_a_refusal_spends_none() {
    let rule = |count: u32, key: &str| json!({"count": count, "time_window": 60, "key": key});
    let config = json!({"rules": [rule(3, "$http_x_a"), rule(1, "$http_x_b")]});
    let route = limited(Bench::new(), &config);
    let send = |lines: &[(&'static str, &'static str)]| route.send("/", lines, "").reason();
    assert_eq!(send(&[]), Some(Reason::Internal), "no rule applies");
    assert_eq!(send(&[("x-a", "1"), ("x-b", "1")]), None);
    for _ in 0..5 {
        assert_eq!(send(&[("x-a", "1"), ("x-b", "1")]), Some(Reason::RateLimited));
    }
    // The first rule has lost one of three, not six.
    assert_eq!(send(&[("x-a", "1")]), None);
    assert_eq!(send(&[("x-a", "1"), ("x-a", "1")]), Some(Reason::AmbiguousParameter));
    assert_eq!(send(&[("x-a", "1")]), None);
    assert_eq!(send(&[("x-a", "1")]), Some(Reason::RateLimited));
}

#[test]
fn where_a_key_has_no_value_the_address_counts() {
    let config = json!({"count": 1, "time_window": 60, "key": "http_x_a"});
    let route = limited(Bench::new(), &config);
    assert_eq!(route.send("/", &[], "").reason(), None);
    assert_eq!(route.send("/", &[("x-a", "192.0.2.1")], "").reason(), None);
    assert_eq!(route.send("/", &[], "").reason(), Some(Reason::RateLimited));
}

#[test]
fn a_limit_by_consumer_is_spent_by_refused_requests_of_that_consumer_too() {
    let limit = json!({"count": 2, "time_window": 60, "key": "consumer_name"});
    let guard = json!({"bindings": [{"object": {"path": "/{o}"}, "equals": {"consumer": true}}]});
    let route = Route::of_alice("t", |bench| {
        vec![
            wrap::<LimitCount>(bench, AnyPlugin::LimitCount, &limit),
            wrap::<ObjectGuard>(bench, AnyPlugin::ObjectGuard, &guard),
        ]
    });
    assert_eq!(route.send("/bob", &[], "").reason(), Some(Reason::MissingCredential));
    assert_eq!(route.send("/bob", &[KEY], "").reason(), Some(Reason::ObjectDenied));
    assert_eq!(route.send("/carol", &[KEY], "").reason(), Some(Reason::ObjectDenied));
    assert_eq!(route.send("/alice", &[KEY], "").reason(), Some(Reason::RateLimited));
}

#[test]
fn when_every_counter_is_taken_new_keys_are_refused() {
    let config = |danger: bool| {
        let mut bench = Bench::new();
        bench.node.limits.limit_keys = 1;
        let key = json!({"count": 9, "time_window": 60, "key": "uri", "danger_allow_degradation": danger});
        limited(bench, &key)
    };
    let refused = |route: &Route| {
        (0..500).filter(|n| route.send(&format!("/{n}"), &[], "").verdict.is_err()).count()
    };
    // One key for each of the shards.
    assert!(refused(&config(false)) >= 500 - 64);
    assert_eq!(refused(&config(true)), 0);
}

#[test]
fn an_object_in_the_path_query_or_header_must_be_the_callers() {
    let bind =
        |object: Value| json!({"bindings": [{"object": object, "equals": {"label": "tenant"}}]});
    let by_path = guarded("acme", &bind(json!({"path": "/t/{tenant}/*"})));
    let by_query = guarded("acme", &bind(json!({"query": "t"})));
    let by_header = guarded("acme", &bind(json!({"header": "X-Tenant"})));
    let denied = Some(Reason::ObjectDenied);
    for (route, target, lines, expected) in [
        (&by_path, "/t/acme/1", &[KEY][..], None),
        (&by_path, "/t/%61cme/1", &[KEY], None),
        (&by_path, "/t/other/../acme/1", &[KEY], None),
        (&by_path, "/t/other/1", &[KEY], denied),
        (&by_path, "/t/acme", &[KEY], denied),
        (&by_path, "/t/ACME/1", &[KEY], denied),
        (&by_query, "/?t=acme", &[KEY], None),
        (&by_query, "/?t=acme&t=other", &[KEY], denied),
        (&by_query, "/?t=acme&%74=acme", &[KEY], denied),
        (&by_query, "/", &[KEY], denied),
        (&by_query, "/?t=", &[KEY], denied),
        (&by_header, "/", &[KEY, ("x-tenant", "acme")], None),
        (&by_header, "/", &[KEY, ("x-tenant", "acme"), ("x-tenant", "acme")], denied),
        (&by_header, "/", &[KEY], denied),
    ] {
        assert_eq!(route.send(target, lines, "").reason(), expected, "{target} {lines:?}");
    }
}

#[test]
fn an_object_in_the_body_must_be_the_callers() {
    let config = json!({"status": 404, "bindings": [
        {"object": {"body": "$.order.owners[0]"}, "in": {"label": "tenant"}},
    ]});
    let route = guarded("acme, beta,7", &config);
    let send = |body: &str| route.send("/", &[KEY], body);
    for body in [
        r#"{"order":{"owners":["beta"]}}"#,
        r#"{"order":{"owners":["acme","x"]}}"#,
        r#"{"order":{"owners":[7]}}"#,
    ] {
        assert_eq!(send(body).reason(), None, "{body}");
    }
    for body in [
        r#"{"order":{"owners":["gamma"]}}"#,
        r#"{"order":{"owners":[]}}"#,
        r#"{"order":{"owners":[["acme"]]}}"#,
        r#"{"order":{"owners":[7.0]}}"#,
        r#"{"order":{"owners":[null]}}"#,
        r#"{"order":{"owners":"acme"}}"#,
        "",
    ] {
        let denial = send(body).verdict.unwrap_err();
        assert_eq!((denial.reason, denial.status()), (Reason::ObjectDenied, 404), "{body}");
        assert!(!denial.detail.contains("acme"));
    }
    let twice = r#"{"order":{"owners":["beta"]},"order":{"owners":["gamma"]}}"#;
    assert_eq!(send(twice).reason(), Some(Reason::UnparsableBody));
}

#[test]
fn a_body_is_not_asked_for_before_it_is_known_who_calls() {
    let config = json!({"bindings": [{"object": {"body": "$.o"}, "equals": {"consumer": true}}]});
    let seen = guarded("t", &config).send("/", &[], r#"{"o":"alice"}"#);
    assert_eq!(seen.reason(), Some(Reason::MissingCredential));
    assert!(!seen.body_was_read);
}

#[test]
fn nobody_in_particular_owns_nothing() {
    let bench = Bench::new();
    let config = json!({"bindings": [{"object": {"query": "t"}, "equals": {"claim": "sub"}}]});
    let guard = wrap::<ObjectGuard>(&bench, AnyPlugin::ObjectGuard, &config);
    let reason = json!({"reason": "public"});
    let anyone = wrap::<AnonymousAccess>(&bench, AnyPlugin::AnonymousAccess, &reason);
    let route = Route::new(bench, vec![guard, anyone]);
    assert_eq!(route.send("/?t=a", &[], "").reason(), Some(Reason::IdentityRequired));
}

#[test]
fn a_body_is_held_against_its_schema() {
    let config =
        json!({"body_schema": {"type": "object", "required": ["n"]}, "rejected_code": 422});
    let bench = Bench::new();
    let check = wrap::<RequestValidation>(&bench, AnyPlugin::RequestValidation, &config);
    let route = Route::new(bench, vec![check]);
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (lines, body, expected) in [
        (&[][..], r#"{"n":1}"#, None),
        (&[form], "n=1", None),
        (&[], r#"{"m":1}"#, Some(Reason::SchemaViolation)),
        (&[form], "m=1", Some(Reason::SchemaViolation)),
        (&[], "", Some(Reason::SchemaViolation)),
        (&[], r#"{"n":1,"n":2}"#, Some(Reason::UnparsableBody)),
    ] {
        assert_eq!(route.send("/", lines, body).reason(), expected, "{body}");
    }
    assert_eq!(route.send("/", &[], "").verdict.unwrap_err().status(), 422);
}

proptest! {
    #[test]
    fn only_the_owner_reaches_an_object(
        owner in "[a-zé0-9 .~-]{1,6}",
        object in "[a-zé0-9 .~-]{1,6}",
        is_same: bool,
    ) {
        let object = if is_same { owner.clone() } else { object };
        // Such segments do not reach the guard: the gate resolves them.
        prop_assume!(object != "." && object != "..");
        let config = json!({"bindings": [
            {"object": {"path": "/o/{owner}"}, "equals": {"label": "tenant"}},
        ]});
        let route = guarded(&owner, &config);
        let seen = route.send(&format!("/o/{}", percent_encoded(&object)), &[KEY], "");
        let expected = if owner == object { None } else { Some(Reason::ObjectDenied) };
        prop_assert_eq!(seen.reason(), expected);
    }
}
