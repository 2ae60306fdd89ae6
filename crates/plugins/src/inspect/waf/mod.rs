//! Inspects requests and answers with rules: a web application firewall.
//!
//! ```yaml
//! waf:
//!   rule_set: builtin
//! ```
//!
//! Rules are written in SecLang, the language of ModSecurity and of the OWASP Core Rule Set. The
//! gateway carries a few of its own (`builtin`), which look for injection into SQL, commands,
//! templates and document databases, script in pages, paths that climb, and URLs that lead inside.
//! Other rule sets are files, named once for the node:
//!
//! ```yaml
//! plugin_metadata:
//!   - id: waf
//!     rule_sets:
//!       crs:
//!         files: [modsecurity.conf, crs/crs-setup.conf, crs/rules/*.conf]
//!     log: /var/log/bartizan/waf.log
//! ```
//!
//! Stock files are read as they are, with what they include, and watched: a new version is taken
//! without a restart; one with a fault is refused with its place, and the old one stays in force.
//!
//! `mode: block` refuses whatever the rules refuse, whatever `SecRuleEngine` says; `mode: detect`
//! lets it pass and only tells, for `sample` of a hundred requests. Paranoia levels and thresholds
//! are those of the Core Rule Set, and hold against what its set-up file says. `exclude` takes rules
//! out, by id or by a pattern for their tags, for everything or for one value only (`ARGS:note`).
//!
//! Rules look at values as they are; an attack in base64 is text of no kind to them. With
//! `decode_base64: true` a value of at least 16 characters that is base64 of text is judged a second
//! time as that text, with what that costs; base64 inside base64 is not opened.
//!
//! The head and the body of a request are judged together, once it is known who calls and whether
//! they may: the body is held up to `limits.inspected_body`. Answers are judged if the rule set says
//! so (`SecResponseBodyAccess`) and `response` does not turn it off: bodies of the types that it
//! lists are held up to `limits.inspected_response`, and asked for uncompressed. A rule set that
//! blocks must say whether it looks at bodies of requests (`SecRequestBodyAccess`): one that forgot
//! to would let every body pass.
//!
//! Answers: what the rule says (mostly 403) `inspect.refused`, or `status`; an answer that leaks is
//! 502 `inspect.answer_refused`. The event names the rule that decided, and what else matched; not
//! the value. What takes more work than the budget, or has more arguments than `SecArgumentsLimit`,
//! is refused as well: it never passes unseen.
//!
//! # Values that a schema has proved
//!
//! With `skip_proven: true` rules do not look for attacks in values that a schema of the route leaves
//! no room for one in: fewer false alarms, and less work. What counts is what a plugin of the Validate
//! stage has proved of this very request, and would have refused otherwise:
//!
//! * `request-validation`: values of a JSON body that are numbers, booleans or null where the schema
//!   states a type, that `enum` or `const` lists, that have the format `date`, `date-time`, `ipv4`,
//!   `ipv6` or `uuid`, or a `pattern` that allows ASCII letters, digits, `_` and `-` alone from
//!   beginning to end. Only schemas that hold in any case count (not `anyOf`, `oneOf`, `not`, `if`),
//!   and only texts without escapes.
//! * `oas-validator`: the same values of a JSON body, and parameters of the query, fields and cookies
//!   that can only be a number or a boolean; nothing with `danger_reject_if_not_match: false`.
//!
//! They are left out by rules that look for a text in all of `ARGS`, `ARGS_GET`, `ARGS_POST`,
//! `REQUEST_HEADERS` or `REQUEST_COOKIES` with `@rx`, `@pm`, `@pmFromFile`, `@contains`,
//! `@containsWord`, `@strmatch`, `@beginsWith`, `@endsWith`, `@detectSQLi` or `@detectXSS`. Rules that
//! name one member (`ARGS:age`), are negated, decode first (`t:base64Decode`, `t:hexDecode`), compare
//! or check (`@gt`, `@streq`, `@verifyCC`, `@validateByteRange`), counts (`&ARGS`), sizes and the raw
//! texts (`REQUEST_BODY`, `REQUEST_URI`, `QUERY_STRING`) see them as ever. It is off unless it is asked
//! for: a rule that looks for numbers in all arguments (such as those of payment cards, by `@rx`) would
//! no longer find them.
//!
//! In the same way rules do not look for attacks in names that the schema states, among all of
//! `ARGS_NAMES` and its parts: those of parameters of the query (`oas-validator`), and those of members
//! of a JSON body where each on the way is among `properties`. Clients choose only whether they send
//! them; what they name themselves, in `additionalProperties` for instance, is looked at.
//!
//! Judging JSON of orders (an identifier, a number, a flag, a date and a text each) with four of five
//! values proved takes two thirds to four fifths of the time: 71 µs in place of 105 for 1 KiB under
//! `builtin`; under the Core Rule Set at level 1 219 in place of 278, and for 64 KiB of 2,500 values
//! 10.2 ms in place of 15.5 (measured beside other work). What stays is the raw text,
//! which rules look at all the same.
//!
//! # The audit log of ModSecurity
//!
//! Every denial is an event of the node's audit log. For programs that read what ModSecurity 3 writes,
//! `log` names a file for its audit entries in JSON, one a line, in blocking and in detecting: each
//! exchange in which a rule matched (those with `noauditlog` aside). Its members are those of
//! ModSecurity, times in UTC, without bodies. The value that matched is written, cut to 512 bytes; of
//! the query only names are, and cookies, credentials and whatever else the node hides are `***`, with
//! what rules say of them left out. So are texts that may hold such values (`REQUEST_URI`,
//! `QUERY_STRING`, `REQUEST_LINE`, bodies as a whole), what an earlier rule left behind
//! (`MATCHED_VAR`, `TX:0` to `TX:9`, `SESSIONID`, `USERID`), and matches of eight values or more, of
//! which eight are kept.
//! `reference` has the transformations, and no places in the request. `partial` (not everything was
//! judged) and `disruptive` (the rule refuses) are ours. `SecAuditLog…` in rule files changes nothing:
//! what is done instead is told of each [there](../seclang.md#directives-without-effect).
//!
//! # Trying rules
//!
//! `bartizan waf test RULES REQUEST…` tells what becomes of requests that are files, under the rules
//! of a file, a folder or `builtin`, and serves nothing: for an exit code in a pipeline, or before
//! rules go live. `bartizan waf explain RULES REQUEST` tells why: each rule that matched, what it
//! looked at and found, what that adds to the score, and what to leave out (`exclude`) for the
//! request to pass.
//!
//! ```console
//! $ bartizan waf test crs attacks/*.http --expect deny
//! $ bartizan waf explain crs --paranoia 2 order.http
//! ```
//!
//! # Headers
//!
//! None are set. All that the client sent are judged, but for credentials that a plugin before took
//! out (`hide_credentials`). `Accept-Encoding` is not sent upstream where bodies of answers are
//! judged.
//!
//! # What it costs
//!
//! Five microseconds for a small GET under `builtin`; under the whole Core Rule Set at level 1
//! about 26 µs, and 52 with cookies and arguments (`cargo xtask bench waf` measures it). Larger
//! bodies cost more; those over 64 KiB, of requests and of answers, are judged on the CPU pool. A
//! rule set is held once, whoever uses it, and let go when nothing does.
//!
//! # What it cannot do
//!
//! It knows patterns, not your application: say what requests look like (`request-validation`,
//! `oas-validator`) and who may reach what (`object-guard`) first. `redirect` and `drop` of rules
//! are refusals here. What rules count across exchanges (`initcol`) is counted by each node for
//! itself, and forgotten with the process. Where no route matches nothing is judged. Apache APISIX
//! has `chaitin-waf`, which asks something outside.
//!
//! `builtin` looks at bodies that are forms, JSON, XML or uploads, and refuses JSON and XML that come
//! without a type or as text (415). It leaves out, where sure rules would find little or refuse much:
//!
//! - headers, but for lookups of loggers and functions of the shell: what browsers write there looks
//!   like an attack too often;
//! - of the path all but its last segment, since what is before it is the gateway's to match;
//! - names of values, for paths, templates and URLs: they are not opened, filled in or fetched;
//! - of XML, URLs and files of the system that do not stand in an attribute or at the beginning of
//!   the text: all of it is one value;
//! - bodies of other types and contents of files: any text may stand in them;
//! - queries of directories, of XML and of mail: their signs are those of ordinary text;
//! - words of one language, such as functions of PHP or classes of Java, and products' own weak
//!   points: the Core Rule Set has them.

mod config;
mod judge;
mod record;
mod rule_sets;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bartizan_chain::{
    AnswerHead, BodyNeed, CompileCx, CpuPool, Flow, HeldBody, Kinship, Nothing, Outcome, Plugin,
    Proofs, RequestCx, Traits, Weighing,
};
use bartizan_config::Invalid;
use bartizan_core::{Denial, Reason, Stage, StageSet};
use bartizan_waf::{Overrides, RuleSet, Transaction};
use bytes::Bytes;

use crate::chance::Chance;
use crate::coding::decode;
use config::{Config, Metadata, Mode};
pub use judge::request_head;
use record::Recorder;
pub use record::is_secret;

/// Compiled `waf`.
pub struct Waf {
    rules: Arc<RuleSet>,
    collections: Arc<bartizan_waf::Collections>,
    overrides: Arc<Overrides>,
    mode: Mode,
    sample: u8,
    status: Option<u16>,
    judges_answers: bool,
    skips_proven: bool,
    body_max: usize,
    answer_max: usize,
    chance: Arc<Chance>,
    cpu: CpuPool,
    log: Option<Recorder>,
    /// Held so that the next configuration finds the rule sets that are in use.
    _loaded: Arc<rule_sets::Loaded>,
}

/// The judging of one exchange.
#[derive(Default)]
pub struct Call(Option<Rc<RefCell<Judging>>>);

struct Judging {
    /// Away while the CPU pool has it.
    transaction: Option<Box<Transaction>>,
    is_over: bool,
}

impl Plugin for Waf {
    const NAME: &'static str = "waf";
    const PRIORITY: i32 = 2700;
    const KINSHIP: Kinship = Kinship::Ours;
    const STAGES: StageSet = StageSet::of(&[Stage::Inspect, Stage::Transform, Stage::Reply]);

    type Config = Config;
    type ConsumerConfig = Nothing;
    type Metadata = Metadata;
    type Call = Call;

    fn compile(config: Config, cx: &mut CompileCx<'_>) -> Result<Self, Invalid> {
        config.check()?;
        let metadata: Metadata = cx.metadata()?.unwrap_or_default();
        let loaded = rule_sets::loaded(cx);
        let rules = rule_sets::find(&config.rule_set, &metadata, &loaded, cx)?;
        config.check_bodies(&rules)?;
        let overrides = Arc::new(config.overrides(&rules)?);
        let judges_answers = config.response && rules.may_read_response_body();
        let body_max = cx.node.limits.inspected_body.as_usize();
        Ok(Self {
            collections: rule_sets::collections(cx),
            overrides,
            mode: config.mode,
            sample: config.sample,
            status: config.status,
            judges_answers,
            skips_proven: config.skip_proven,
            body_max: if rules.may_read_request_body() { body_max } else { 0 },
            answer_max: cx.node.limits.inspected_response.as_usize(),
            chance: Chance::of(cx),
            cpu: cx.node.cpu.clone(),
            log: metadata.log.map(|path| Recorder::new(&path, config.mode, cx)),
            rules,
            _loaded: loaded,
        })
    }

    fn traits(&self) -> Traits {
        let mut traits = if self.judges_answers {
            Traits::in_stages(&[Stage::Inspect, Stage::Transform, Stage::Reply])
        } else {
            Traits::in_stages(&[Stage::Inspect, Stage::Reply])
        };
        if self.body_max > 0 {
            traits.body = BodyNeed::Bytes { max: self.body_max };
        }
        let inspects = self.mode == Mode::Block && self.body_max > 0;
        traits.proves = Proofs { waf: inspects, ..Proofs::default() };
        traits.wants_proven = self.skips_proven;
        traits.on_response = true;
        traits.on_finish = true;
        traits
    }

    async fn on_request(
        &self,
        stage: Stage,
        cx: &mut RequestCx,
        call: &mut Call,
    ) -> Result<Flow, Denial> {
        if stage == Stage::Transform {
            if call.0.is_some() {
                cx.ask_for_plain();
            }
            return Ok(Flow::Continue);
        }
        if self.mode == Mode::Detect && !self.chance.hits(self.sample) {
            return Ok(Flow::Continue);
        }
        let transaction = self.begin();
        let judging = Judging { transaction: None, is_over: false };
        let judging = Rc::new(RefCell::new(judging));
        call.0 = Some(judging.clone());
        let (transaction, outcome) = self.judge_request(transaction, cx).await?;
        judging.borrow_mut().transaction = Some(transaction);
        outcome.map(|()| Flow::Continue)
    }

    fn on_response_head(
        &self,
        cx: &RequestCx,
        answer: &mut AnswerHead,
        call: &mut Call,
    ) -> Result<(), Denial> {
        let Some(judging) = &call.0 else { return Ok(()) };
        if answer.is_local {
            return Ok(());
        }
        let mut held = judging.borrow_mut();
        if held.is_over {
            return Ok(());
        }
        let transaction = held.transaction.as_mut().ok_or_else(lost)?;
        self.judge_answer_head(transaction, cx, answer)?;
        let reads_body = self.judges_answers && transaction.looks_at_response_body();
        if reads_body && answer.may_have_body() {
            decode::make_plain(answer)?;
            let (judging, cpu) = (judging.clone(), self.cpu.clone());
            let held = HeldAnswer { judging, cpu, status: self.status, verdict: None };
            answer.hold(self.answer_max, Box::new(held));
            return Ok(());
        }
        // Rules of that phase also judge what they have counted so far.
        judge::answer_body(transaction, b"", self.status)?;
        held.is_over = true;
        Ok(())
    }

    fn on_finish(&self, cx: &RequestCx, outcome: &Outcome<'_>, call: &mut Call) {
        let Some(judging) = call.0.take() else { return };
        let mut judging = judging.borrow_mut();
        if let Some(mut transaction) = judging.transaction.take() {
            transaction.finish();
            if let Some(log) = &self.log {
                log.record(&transaction, cx, outcome);
            }
            judge::give_back(transaction);
        }
    }
}

/// An exchange is to be judged and nobody knows what is known of it: it does not go on.
fn lost() -> Denial {
    Denial::new(Reason::Internal, "the judging of the exchange is lost")
}

/// An answer whose body is judged before any of it goes out.
struct HeldAnswer {
    judging: Rc<RefCell<Judging>>,
    cpu: CpuPool,
    status: Option<u16>,
    /// What has come of judging it, where that was too much for the event loop.
    verdict: Option<Result<(), Denial>>,
}

impl HeldAnswer {
    async fn judge_elsewhere(&mut self, body: Bytes) -> Result<(), Denial> {
        let taken = self.judging.borrow_mut().transaction.take();
        let (mut transaction, status) = (taken.ok_or_else(lost)?, self.status);
        let work = move || {
            let verdict = judge::answer_body(&mut transaction, &body, status);
            (transaction, verdict)
        };
        let (transaction, verdict) = self.cpu.run(work).await.map_err(Denial::from)?;
        self.judging.borrow_mut().transaction = Some(transaction);
        self.verdict = Some(verdict);
        Ok(())
    }
}

impl HeldBody for HeldAnswer {
    fn weigh<'a>(&'a mut self, body: &'a Bytes) -> Option<Weighing<'a>> {
        let is_large = body.len() > judge::INLINE_MAX;
        is_large.then(|| -> Weighing<'a> { Box::pin(self.judge_elsewhere(body.clone())) })
    }

    fn decide(
        self: Box<Self>,
        _cx: &RequestCx,
        _answer: &mut AnswerHead,
        body: Bytes,
    ) -> Result<Bytes, Denial> {
        let mut judging = self.judging.borrow_mut();
        judging.is_over = true;
        if let Some(verdict) = self.verdict {
            return verdict.map(|()| body);
        }
        let transaction = judging.transaction.as_mut().ok_or_else(lost)?;
        judge::answer_body(transaction, &body, self.status).map(|()| body)
    }
}
