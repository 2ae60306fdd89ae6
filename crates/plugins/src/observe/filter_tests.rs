//! Which exchanges those who look on are told of, where a filter cannot be decided.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bartizan_chain::{
    AnswerHead, BodySource, Chain, ChainBuilder, Consumer, Expr, Flow, IdentityKey, LogView,
    Outcome, Over, PluginSet, Profiles, Reach, RequestCx, Run, Step, Traits,
};
use bartizan_core::{Denial, Limits, Reason, Stage};
use bartizan_wire::Fields;
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::fixture::request;

/// A plugin that counts how often it acts on answers and at ends.
struct Watch {
    stage: Stage,
    answers: Arc<AtomicU32>,
    ends: Arc<AtomicU32>,
}

impl PluginSet for Watch {
    type Call = ();

    fn name(&self) -> &'static str {
        "watch"
    }

    fn priority(&self) -> i32 {
        1
    }

    fn is_authentication(&self) -> bool {
        false
    }

    fn traits(&self) -> Traits {
        Traits { on_response: true, on_finish: true, ..Traits::in_stages(&[self.stage]) }
    }

    fn owned_fields(&self) -> Vec<&[u8]> {
        Vec::new()
    }

    async fn authenticate(
        &self,
        _cx: &mut RequestCx,
        _key: &IdentityKey,
        (): &mut (),
    ) -> Result<Flow, Denial> {
        Ok(Flow::Continue)
    }

    async fn on_request(
        &self,
        _stage: Stage,
        _cx: &mut RequestCx,
        (): &mut (),
    ) -> Result<Flow, Denial> {
        Ok(Flow::Continue)
    }

    fn on_response_head(
        &self,
        _cx: &RequestCx,
        _answer: &mut AnswerHead,
        (): &mut (),
    ) -> Result<(), Denial> {
        self.answers.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn mask(&self, _view: &mut LogView<'_>) {}

    fn on_finish(&self, _cx: &RequestCx, _outcome: &Outcome<'_>, (): &mut ()) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

struct Nobody;

impl BodySource for Nobody {
    fn collect<'a>(
        &'a mut self,
        _max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Bytes, Denial>> + 'a>> {
        Box::pin(std::future::ready(Ok(Bytes::new())))
    }
}

impl Profiles<Watch> for Nobody {
    fn of(&self, _consumer: &Consumer) -> [Option<Arc<Chain<Watch>>>; 2] {
        [None, None]
    }
}

/// What a plugin saw of an exchange, and why that was refused.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: u32,
    ends: u32,
    refused: Option<Reason>,
}

/// An exchange of four bytes under a filter; `kind` is a field of its answer, if there is one.
fn exchange(stage: Stage, filter: &Value, target: &str, kind: Option<&'static str>) -> Seen {
    let (answers, ends) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let watch = Watch { stage, answers: answers.clone(), ends: ends.clone() };
    let filter = Some(Expr::compile_within(filter, Reach::Filter).unwrap());
    let mut chain = ChainBuilder::new();
    chain.add(Step { filter, ..Step::new(Arc::new(watch)) });
    let global = Arc::new(Chain::empty());
    let route = Arc::new(chain.build());
    let mut run = Run::new(request(target, &[]), &global, Some(&route), &Limits::default());
    let mut refused = {
        let mut source = Nobody;
        let screening = pin!(run.screen(&mut source, &Nobody));
        match screening.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(screened) => screened.err(),
            Poll::Pending => panic!("nothing here waits"),
        }
    };
    run.cx_mut().status = Some(499);
    if let Some(kind) = kind {
        let mut fields = Fields::new();
        fields.append("x-kind", kind);
        run.cx_mut().status = Some(200);
        let denied = run.respond(&mut AnswerHead::new(StatusCode::OK, fields, false)).err();
        refused = refused.or(denied);
    }
    run.cx_mut().over = Some(Over { bytes_in: 0, bytes_out: 4, is_complete: kind.is_some() });
    run.finish(&Outcome {
        status: 200,
        denial: None,
        was_forwarded: true,
        upstream_status: None,
        upstream_node: None,
        duration: Duration::ZERO,
        upstream_duration: None,
        bytes_in: 0,
        bytes_out: 4,
    });
    Seen {
        answers: answers.load(Ordering::Relaxed),
        ends: ends.load(Ordering::Relaxed),
        refused: refused.map(|denial| denial.reason),
    }
}

#[test]
fn a_value_sent_twice_hides_nothing_from_those_who_look_on_and_denies_nothing() {
    let filter = json!([["arg_q", "==", "1"]]);
    let observed = |target| exchange(Stage::Observe, &filter, target, Some("a"));
    assert_eq!(observed("/?q=1"), Seen { answers: 1, ends: 1, refused: None });
    assert_eq!(observed("/?q=2"), Seen { answers: 0, ends: 0, refused: None });
    assert_eq!(observed("/?q=2&q=2"), Seen { answers: 1, ends: 1, refused: None });
}

#[test]
fn a_value_sent_twice_denies_where_the_filter_is_of_one_who_decides() {
    let filter = json!([["arg_q", "==", "1"]]);
    let enforced = |stage| exchange(stage, &filter, "/?q=1&q=1", Some("a"));
    let denied = Seen { answers: 0, ends: 0, refused: Some(Reason::AmbiguousParameter) };
    for stage in [Stage::Admit, Stage::Authorize, Stage::Transform, Stage::Reply] {
        assert_eq!(enforced(stage), denied, "{stage:?}");
    }
}

#[test]
fn who_leaves_before_the_answer_does_not_decide_what_is_looked_on() {
    let (of_fields, of_end) = (json!(["sent_http_x_kind", "a"]), json!(["bytes_sent", ">", 3]));
    for (filter, without, with_a, with_b) in [
        (json!([of_fields]), 1, 1, 0),
        (json!([["sent_http_x_kind", "!", "==", "a"]]), 1, 0, 1),
        (json!([["upstream_status", 200]]), 1, 0, 0),
        // These are known of whatever is over.
        (json!([["status", 200]]), 0, 1, 1),
        (json!([["status", 499]]), 1, 0, 0),
        (json!([of_end]), 1, 1, 1),
        (json!([["bytes_sent", ">", 4]]), 0, 0, 0),
        (json!([of_fields, of_end]), 1, 1, 0),
        (json!([of_fields, ["bytes_sent", ">", 4]]), 1, 0, 0),
        (json!([["arg_q", "1"]]), 1, 1, 1),
        (json!([["arg_q", "2"]]), 0, 0, 0),
    ] {
        for (kind, ends) in [(None, without), (Some("a"), with_a), (Some("b"), with_b)] {
            let seen = exchange(Stage::Observe, &filter, "/?q=1", kind);
            assert_eq!((seen.ends, seen.refused), (ends, None), "{filter} {kind:?}");
        }
    }
}
