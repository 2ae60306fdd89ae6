//! Requests and answers, as rules see them.

use std::cell::RefCell;
use std::fmt::Write as _;

use bartizan_chain::{self as chain, AnswerHead, RequestCx};
use bartizan_core::{Denial, Reason};
use bartizan_waf::{
    Cause, Interruption, Kind, Peer, Proven, RequestHead, ResponseHead, Transaction, Verdict,
};
use bartizan_wire::Version;

use super::Waf;

/// A body of more bytes is judged on the CPU pool.
pub(super) const INLINE_MAX: usize = 64 << 10;
/// The most matches that an event tells.
const TOLD_MAX: usize = 32;
/// The most transactions that an event loop keeps for later use.
const SPARE_MAX: usize = 64;
/// The most bytes that one of them keeps.
const SPARE_SIZE_MAX: usize = 256 << 10;

type Spare = Vec<Box<Transaction>>;

thread_local! {
    /// Transactions that are over, with what they have allocated.
    static SPARE: RefCell<Spare> = const { RefCell::new(Vec::new()) };
}

/// Keeps a transaction for later use, unless it has grown: it must hold neither what a large
/// exchange needed, nor rules that nothing else uses.
pub(super) fn give_back(mut transaction: Box<Transaction>) {
    let is_small = transaction.release() <= SPARE_SIZE_MAX;
    SPARE.with_borrow_mut(|spare| {
        if is_small && spare.len() < SPARE_MAX {
            spare.push(transaction);
        }
    });
}

impl Waf {
    pub(super) fn begin(&self) -> Box<Transaction> {
        let mut transaction = SPARE
            .with_borrow_mut(Vec::pop)
            .unwrap_or_else(|| Box::new(Transaction::new(self.rules.clone(), None)));
        transaction.reset(
            self.rules.clone(),
            Some(self.collections.clone()),
            Some(self.overrides.clone()),
        );
        transaction
    }

    /// Judges head and body; the transaction comes back, whatever the verdict.
    pub(super) async fn judge_request(
        &self,
        mut transaction: Box<Transaction>,
        cx: &RequestCx,
    ) -> Result<(Box<Transaction>, Result<(), Denial>), Denial> {
        if let Some(proven) = cx.proven().filter(|_| self.skips_proven) {
            transaction.trust(trusted(proven.clone()));
        }
        let verdict = request_head(&mut transaction, cx);
        if let Verdict::Interrupt(interruption) = verdict {
            let denial = self.refusal(&transaction, &interruption);
            return Ok((transaction, Err(denial)));
        }
        let whole = cx.body().cloned().unwrap_or_default();
        let body = whole.slice(..seen_of(whole.len(), transaction.request_body_max()));
        let is_cut = body.len() < whole.len();
        let (transaction, verdict) = if body.len() > INLINE_MAX {
            let work = move || {
                let verdict = transaction.request_body(&body, is_cut);
                (transaction, verdict)
            };
            self.cpu.run(work).await.map_err(Denial::from)?
        } else {
            let verdict = transaction.request_body(&body, is_cut);
            (transaction, verdict)
        };
        let outcome = match verdict {
            Verdict::Pass => Ok(()),
            Verdict::Interrupt(interruption) => Err(self.refusal(&transaction, &interruption)),
        };
        Ok((transaction, outcome))
    }

    pub(super) fn judge_answer_head(
        &self,
        transaction: &mut Transaction,
        cx: &RequestCx,
        answer: &AnswerHead,
    ) -> Result<(), Denial> {
        let fields: Vec<(&[u8], &[u8])> =
            answer.fields.iter().map(|field| (field.name, field.value)).collect();
        let status = answer.status.as_u16();
        let protocol = protocol(cx.version);
        match transaction.response_head(&ResponseHead { status, protocol, fields: &fields }) {
            Verdict::Pass => Ok(()),
            Verdict::Interrupt(interruption) => Err(leak(transaction, &interruption, self.status)),
        }
    }

    fn refusal(&self, transaction: &Transaction, interruption: &Interruption) -> Denial {
        let status = self.status.unwrap_or(match &interruption.kind {
            Kind::Deny(status) => *status,
            Kind::Drop | Kind::Redirect(..) => 403,
        });
        let denial = Denial::new(Reason::Inspected, told(transaction, interruption));
        denial.with_status(status).with_rule(rule_of(interruption))
    }
}

/// What schemas have proved, for the engine.
fn trusted(proven: chain::Proven) -> Proven {
    let chain::Proven { query, fields, cookies, json, query_names, json_names } = proven;
    Proven { query, fields, cookies, json, query_names, json_names }
}

/// Judges the body of an answer.
pub(super) fn answer_body(
    transaction: &mut Transaction,
    body: &[u8],
    status: Option<u16>,
) -> Result<(), Denial> {
    let seen = body.get(..seen_of(body.len(), transaction.response_body_max())).unwrap_or(body);
    match transaction.response_body(seen, seen.len() < body.len()) {
        Verdict::Pass => Ok(()),
        Verdict::Interrupt(interruption) => Err(leak(transaction, &interruption, status)),
    }
}

/// How much of a body is looked at, by what the rule set says.
fn seen_of(length: usize, max: u64) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX).min(length)
}

fn leak(transaction: &Transaction, interruption: &Interruption, status: Option<u16>) -> Denial {
    let denial = Denial::new(Reason::AnswerInspected, told(transaction, interruption));
    let denial = denial.with_rule(rule_of(interruption));
    match status {
        Some(status) => denial.with_status(status),
        None => denial,
    }
}

fn rule_of(interruption: &Interruption) -> String {
    match interruption.cause {
        Cause::Rule(id) => id.to_string(),
        Cause::Budget => "budget".to_owned(),
        Cause::Partial => "bounds".to_owned(),
        Cause::RequestBodyTooLarge | Cause::ResponseBodyTooLarge => "body limit".to_owned(),
    }
}

/// What decided and what else matched, for the event: ids, messages and where; no values.
fn told(transaction: &Transaction, interruption: &Interruption) -> String {
    let mut told = match interruption.cause {
        Cause::Rule(id) => format!("rule {id} refused"),
        Cause::Budget => "judging took more work than it may".to_owned(),
        Cause::Partial => {
            "there is more than rules may look at, or one cannot be applied".to_owned()
        }
        Cause::RequestBodyTooLarge => "the body is over `SecRequestBodyLimit`".to_owned(),
        Cause::ResponseBodyTooLarge => "the answer is over `SecResponseBodyLimit`".to_owned(),
    };
    for found in transaction.matches().iter().take(TOLD_MAX) {
        // Writing to a string cannot fail.
        let _ = write!(told, "; {} {}", found.id, String::from_utf8_lossy(&found.title));
        if let Some(value) = found.values.first() {
            let _ = write!(told, " in {}", String::from_utf8_lossy(&value.name));
        }
    }
    told
}

/// Judges the head of a request, as the plugin does.
pub fn request_head(transaction: &mut Transaction, cx: &RequestCx) -> Verdict {
    let canonical = cx.canonical();
    let authority = canonical.authority();
    let length = cx.declared_length.map(|length| length.to_string());
    let mut fields: Vec<(&[u8], &[u8])> = Vec::with_capacity(cx.fields.len() + 2);
    if !cx.fields.contains("host") {
        fields.push((b"Host", authority.as_bytes()));
    }
    for field in cx.fields.iter() {
        fields.push((field.name, field.value));
    }
    if let Some(length) = &length
        && !cx.fields.contains("content-length")
    {
        fields.push((b"Content-Length", length.as_bytes()));
    }
    let id = cx.id.encode();
    transaction.request_head(&RequestHead {
        peer: Peer { client: (cx.client(), cx.peer.address.port()).into(), server: cx.peer.local },
        method: canonical.method().as_str().as_bytes(),
        target: canonical.inspected_target(),
        protocol: protocol(cx.version),
        fields: &fields,
        id: &id,
        now: cx.received.as_secs(),
    })
}

fn protocol(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        Version::Http11 => b"HTTP/1.1",
        Version::Http2 => b"HTTP/2.0",
    }
}
