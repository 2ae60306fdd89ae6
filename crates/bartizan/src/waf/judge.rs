//! What becomes of a request under rules.

use std::sync::Arc;

use bartizan_chain::RequestCx;
use bartizan_core::{Limits, Reason};
use bartizan_plugins::inspect::waf::request_head;
use bartizan_waf::{Cause, Interruption, Kind, Overrides, RuleMatch, Transaction, Verdict};
use bytes::Bytes;
use serde_json::{Value, json};

use super::read::{Arrived, Refusal};
use super::rules::Rules;

/// The members of `TX` that hold what a request scores in all: those of versions 4 and 3 of the
/// Core Rule Set.
const TOTALS: [&str; 2] = ["blocking_inbound_anomaly_score", "anomaly_score"];
/// The member that holds the score at which a request is refused.
const THRESHOLD: &str = "inbound_anomaly_score_threshold";

/// What became of a request, and why.
pub(super) struct Judged {
    pub(super) outcome: Outcome,
    pub(super) score: Option<i64>,
    pub(super) threshold: Option<i64>,
    pub(super) matches: Vec<RuleMatch>,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It goes on.
    Pass,
    /// It is refused with this status, for this reason.
    Deny(u16, By),
}

/// What refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// The gateway itself, before any rule.
    Gateway(String),
    /// The rule with this id.
    Rule(u32),
    /// A bound of the engine or of the rules.
    Bound(&'static str),
}

impl Outcome {
    /// `pass` or `deny`.
    pub(super) fn word(&self) -> &'static str {
        if *self == Self::Pass { "pass" } else { "deny" }
    }

    /// The status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Pass => None,
            Self::Deny(status, _) => Some(*status),
        }
    }

    /// What refused it, for people.
    pub(super) fn cause(&self) -> Option<String> {
        match self {
            Self::Pass => None,
            Self::Deny(_, By::Gateway(detail)) => {
                Some(format!("the gateway, before any rule: {detail}"))
            }
            Self::Deny(_, By::Rule(id)) => Some(format!("rule {id}")),
            Self::Deny(_, By::Bound(what)) => Some((*what).to_owned()),
        }
    }
}

impl Judged {
    /// The ids of the rules that matched.
    pub(super) fn ids(&self) -> Vec<u32> {
        self.matches.iter().map(|found| found.id).collect()
    }

    /// What became of it, for programs.
    pub(super) fn summary(&self, request: &str) -> serde_json::Map<String, Value> {
        let mut summary = serde_json::Map::new();
        summary.insert("request".to_owned(), request.into());
        summary.insert("verdict".to_owned(), self.outcome.word().into());
        summary.insert("status".to_owned(), json!(self.outcome.status()));
        summary.insert("by".to_owned(), json!(self.outcome.cause()));
        summary.insert("score".to_owned(), json!(self.score));
        summary.insert("threshold".to_owned(), json!(self.threshold));
        summary.insert("rules".to_owned(), json!(self.ids()));
        summary
    }
}

/// Judges a request.
pub(super) fn judge(rules: &Rules, overrides: Overrides, arrived: &Arrived) -> Judged {
    let (cx, body) = match arrived {
        Arrived::Refused(refusal) => return refused(refusal),
        Arrived::Request(cx, body) => (cx, body),
    };
    // Bodies that no rule may look at are not held, and not bounded by what may be.
    let reads_body = rules.set.may_read_request_body();
    let body = if reads_body { body.clone() } else { Vec::new() };
    if reads_body && has_coding(cx) {
        return refused(&Refusal::new(Reason::UnsupportedEncoding, "an encoded body"));
    }
    if body.len() > Limits::default().inspected_body.as_usize() {
        let detail = "the body is over `limits.inspected_body`";
        return refused(&Refusal::new(Reason::BodyTooLarge, detail));
    }
    let mut transaction = Transaction::new(rules.set.clone(), None);
    transaction.reset(rules.set.clone(), None, Some(Arc::new(overrides)));
    transaction.explain();
    let mut verdict = request_head(&mut transaction, cx);
    if verdict == Verdict::Pass {
        let max = usize::try_from(transaction.request_body_max()).unwrap_or(usize::MAX);
        let seen = Bytes::from(body.get(..max).unwrap_or(&body).to_vec());
        verdict = transaction.request_body(&seen, seen.len() < body.len());
    }
    let number = |name: &str| std::str::from_utf8(&transaction.tx(name)).ok()?.parse().ok();
    Judged {
        outcome: match verdict {
            Verdict::Pass => Outcome::Pass,
            Verdict::Interrupt(interruption) => denied(&interruption),
        },
        score: TOTALS.iter().find_map(|name| number(name)),
        threshold: number(THRESHOLD),
        matches: transaction.matches().to_vec(),
    }
}

/// True if bytes of the body are not what it says: a route that reads bodies refuses that.
fn has_coding(cx: &RequestCx) -> bool {
    let is_plain = |v: &[u8]| v.is_empty() || v.eq_ignore_ascii_case(b"identity");
    !cx.fields.all("content-encoding").all(is_plain)
}

fn refused(refusal: &Refusal) -> Judged {
    Judged {
        outcome: Outcome::Deny(refusal.status, By::Gateway(refusal.detail.clone())),
        score: None,
        threshold: None,
        matches: Vec::new(),
    }
}

fn denied(interruption: &Interruption) -> Outcome {
    let status = match &interruption.kind {
        Kind::Deny(status) => *status,
        Kind::Drop | Kind::Redirect(..) => 403,
    };
    let by = match interruption.cause {
        Cause::Rule(id) => By::Rule(id),
        Cause::Budget => By::Bound("judging took more work than it may"),
        Cause::Partial => {
            By::Bound("a bound: there is more than rules may look at, or one cannot be applied")
        }
        Cause::RequestBodyTooLarge | Cause::ResponseBodyTooLarge => {
            By::Bound("the body is over `SecRequestBodyLimit`")
        }
    };
    Outcome::Deny(status, by)
}
