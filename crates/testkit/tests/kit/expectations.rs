//! Expectations that do not hold must fail.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bartizan_testkit::{Answer, Gateway, Reply, run};

use crate::{GUARDED, OPEN};

/// Panics unless the expectation fails, and says this.
fn fails<T>(expectation: impl FnOnce() -> T, with: &str) {
    let outcome = catch_unwind(AssertUnwindSafe(|| drop(expectation())));
    let panic = outcome.expect_err("the expectation holds");
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    let text = text.unwrap();
    assert!(text.contains(with), "{text}");
}

async fn refused() -> Reply {
    let gw = Gateway::of(GUARDED);
    gw.get("/").header("apikey", "bob-key").send().await
}

#[test]
fn a_refusal_has_one_event_and_nothing_is_forwarded() {
    run(async {
        let reply = refused().await;
        reply.expect(403).reason("authz.consumer_forbidden").plugin("consumer-restriction");
        reply.event("consumer", "bob");
        assert_eq!(reply.id(), reply.json()["request_id"].as_str().map(str::to_owned));
    });
}

#[test]
fn wrong_expectations_of_a_refusal_fail() {
    run(async {
        let reply = refused().await;
        fails(|| reply.expect(200), "the status");
        fails(|| reply.expect(401), "the status");
        fails(|| reply.reason("auth.missing_credential"), "`reason` of the event");
        fails(|| reply.plugin("key-auth"), "`plugin` of the event");
        fails(|| reply.expect_forwarded(403), "what the upstream saw");
        fails(|| reply.header_is("content-type", "text/plain"), "`content-type`");
        fails(|| reply.no_header("content-type"), "`content-type`");
        fails(|| reply.body_is(""), "the body");
    });
}

#[test]
fn an_upstream_that_answers_an_error_is_no_refusal() {
    run(async {
        let gw = Gateway::of(OPEN);
        gw.upstream().always(Answer::status(403));
        let reply = gw.get("/").send().await;
        reply.expect_forwarded(403);
        fails(|| reply.expect(403), "0 events for one refusal");
        fails(|| gw.upstream().saw_nothing(), "the upstream saw");
        gw.upstream().forget();
        gw.upstream().saw_nothing();
    });
}

#[test]
fn events_are_read_as_soon_as_they_are_recorded() {
    run(async {
        let gw = Gateway::of(GUARDED);
        for count in 1..=50 {
            gw.get("/").send().await.expect(401);
            assert_eq!(gw.events().len(), count);
        }
    });
}
