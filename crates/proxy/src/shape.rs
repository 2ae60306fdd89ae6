//! From an answer as it came to an answer as it goes out: what plugins do to its head and its body.
//!
//! A body of which nothing is asked passes here untouched, at the cost of one comparison. One that
//! must be held is read to its end before the head goes out, so that whatever is wrong with it is
//! still an answer of its own.

use std::task::Poll;

use bartizan_chain::{AnswerHead, BodyChanges, BodyPlan, Held, ReplacementBody, Run};
use bartizan_core::{Denial, Reason};
use bartizan_wire::{BodyLength, Fields};
use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use crate::client::forget_digests;
use crate::decide::{Answer, AnswerBody, FromUpstream, refusal};
use crate::exchange::Downstream;
use crate::piece::{Piece, Scratch};
use crate::record::Record;
use crate::timer::Timer;

/// A body that is at hand is changed in parts of this size, between which others get their turn.
const PART: usize = 65_536;

/// Lets the plugins shape an answer.
pub(crate) async fn shape<D: Downstream>(
    mut answer: Answer,
    is_head: bool,
    downstream: &mut D,
    record: &mut Record,
    timer: &mut Timer,
    end: Instant,
) -> Answer {
    let translated = record.run.as_mut().map_or(Ok(()), |run| run.translate(&mut answer.head));
    if let Err(denial) = translated {
        answer = withhold(record, denial);
    }
    // A translation is at hand before any other plugin looks at the answer.
    if answer.is_worked_on_here()
        && let Err(denial) = Box::pin(work(&mut answer, downstream, record, timer, end)).await
    {
        answer = withhold(record, denial);
    }
    if let Err(denial) = respond(record, &mut answer) {
        answer = withhold(record, denial);
    }
    answer.without_body(is_head);
    if answer.is_worked_on_here() {
        // PERF: boxed, so that the connections of which nothing is asked are no larger for it.
        let work = Box::pin(work(&mut answer, downstream, record, timer, end));
        if let Err(denial) = work.await {
            answer = Box::pin(excuse(denial, is_head, downstream, record, timer, end)).await;
        }
    }
    answer.head.length = answer.length();
    if let Some(Err(denial)) = record.run.as_mut().map(|run| run.encode(&mut answer.head)) {
        answer = withhold(record, denial);
    }
    if answer.is_worked_on_here()
        && let Err(denial) = Box::pin(work(&mut answer, downstream, record, timer, end)).await
    {
        answer = withhold(record, denial);
    }
    answer.change_on_the_way();
    answer.without_body(is_head);
    answer
}

/// Runs the response hooks, and puts another body in place where one of them says so.
fn respond(record: &mut Record, answer: &mut Answer) -> Result<(), Denial> {
    answer.head.length = answer.length();
    if let Some(run) = record.run.as_mut() {
        run.cx_mut().status = Some(answer.head.status.as_u16());
        run.respond(&mut answer.head)?;
    }
    let replacement = answer.head.replacement.take();
    match (&answer.body, answer.head.status) {
        // A switch has no body to replace.
        (AnswerBody::Switched(_), StatusCode::SWITCHING_PROTOCOLS) => return Ok(()),
        (_, StatusCode::SWITCHING_PROTOCOLS) => {
            let detail = "a plugin answers with a switch of protocols that nobody agreed on";
            return Err(Denial::new(Reason::Internal, detail));
        }
        // One that a plugin answers otherwise does not come about.
        (AnswerBody::Switched(_), _) => answer.body = AnswerBody::Local(Bytes::new()),
        _ => {}
    }
    if let Some(ReplacementBody(body)) = replacement {
        answer.body = AnswerBody::Local(body);
    }
    Ok(())
}

/// What was to be sent is withheld; the plugins do not shape their own refusal again.
fn withhold(record: &mut Record, denial: Denial) -> Answer {
    let worker = record.worker().clone();
    let first = record.denial.take();
    let answer = refusal(record, denial, &worker);
    if first.is_some() {
        // The event tells what decided, not what went wrong while it was told.
        record.denial = first;
    }
    answer
}

/// The answer in place of one whose body came to nothing while it was held. It is shaped like
/// every refusal, since browsers could not read it otherwise.
async fn excuse<D: Downstream>(
    denial: Denial,
    is_head: bool,
    downstream: &mut D,
    record: &mut Record,
    timer: &mut Timer,
    end: Instant,
) -> Answer {
    let mut answer = withhold(record, denial);
    if let Err(denial) = respond(record, &mut answer) {
        return withhold(record, denial);
    }
    answer.without_body(is_head);
    if answer.is_worked_on_here()
        && let Err(denial) = work(&mut answer, downstream, record, timer, end).await
    {
        return withhold(record, denial);
    }
    answer
}

impl Answer {
    /// The length of the body, where it is known.
    fn length(&self) -> Option<u64> {
        match &self.body {
            AnswerBody::Local(body) => Some(body.len() as u64),
            AnswerBody::Upstream(from) if from.changes.is_some() || !self.head.plan.is_empty() => {
                None
            }
            AnswerBody::Upstream(from) => match from.length {
                BodyLength::Fixed(length) => Some(length),
                BodyLength::None => from.declared.or(Some(0)),
                BodyLength::Chunked | BodyLength::UntilClose => None,
            },
            AnswerBody::Switched(_) => Some(0),
        }
    }

    /// True if something is asked of the body that must be done before the head goes out.
    fn is_worked_on_here(&self) -> bool {
        let plan = &self.head.plan;
        !plan.is_empty() && (plan.holds() || matches!(self.body, AnswerBody::Local(_)))
    }

    /// Whatever is still asked of an upstream's body is done while it passes.
    fn change_on_the_way(&mut self) {
        let AnswerBody::Upstream(from) = &mut self.body else { return };
        if self.head.plan.is_empty() {
            return;
        }
        from.changes = Some(self.head.plan.take_passing());
        (from.length, from.declared) = (BodyLength::Chunked, None);
    }

    /// Takes the upstream's body from an answer that has none: to HEAD, or of a status without.
    fn without_body(&mut self, is_head: bool) {
        let is_bodiless = matches!(self.head.status.as_u16(), 204 | 304);
        let AnswerBody::Upstream(from) = &mut self.body else { return };
        if !is_head && !is_bodiless {
            return;
        }
        if !self.head.plan.is_empty() {
            // What it would have been is not known without the body.
            self.head.plan = BodyPlan::default();
            if is_head {
                from.declared = None;
            }
        }
        if from.length != BodyLength::None {
            // A rewritten method or status leaves the upstream's body without a place.
            self.body = AnswerBody::Local(Bytes::new());
        }
    }
}

/// Does what is asked of a body, in order, and leaves one that is at hand.
async fn work<D: Downstream>(
    answer: &mut Answer,
    downstream: &mut D,
    record: &mut Record,
    timer: &mut Timer,
    end: Instant,
) -> Result<(), Denial> {
    let mut plan = std::mem::take(&mut answer.head.plan);
    while !plan.is_empty() {
        let mut changes = plan.take_passing();
        let held = plan.take_held();
        let body = match (&mut answer.body, &held) {
            (AnswerBody::Local(body), _) => changed(&mut changes, std::mem::take(body)).await?,
            (AnswerBody::Upstream(from), Some(held)) => {
                let (body, trailers) =
                    collect(from, &mut changes, held, downstream, record, timer, end).await?;
                answer.trailers = trailers;
                body
            }
            (AnswerBody::Upstream(_), None) => {
                return Err(Denial::new(Reason::Internal, "a body that nothing holds"));
            }
            (AnswerBody::Switched(_), _) => {
                return Err(Denial::new(Reason::Internal, "a switch has no body"));
            }
        };
        answer.head.trailers = std::mem::take(&mut answer.trailers);
        answer.body = AnswerBody::Local(match held {
            Some(held) => decide(held, &mut answer.head, record, &body).await?,
            None => body,
        });
        answer.trailers = std::mem::take(&mut answer.head.trailers);
    }
    Ok(())
}

async fn decide(
    mut held: Held,
    head: &mut AnswerHead,
    record: &Record,
    body: &Bytes,
) -> Result<Bytes, Denial> {
    if body.len() > held.max() {
        return Err(held.over());
    }
    held.weigh(body).await?;
    let Some(cx) = record.run.as_ref().map(Run::cx) else {
        return Err(Denial::new(Reason::Internal, "a held body without a request"));
    };
    held.decide(cx, head, body)
}

/// A body that is at hand, changed.
async fn changed(changes: &mut BodyChanges, body: Bytes) -> Result<Bytes, Denial> {
    if changes.is_empty() {
        return Ok(body);
    }
    let mut out = Vec::new();
    for (index, part) in body.chunks(PART).enumerate() {
        if index > 0 {
            tokio::task::yield_now().await;
        }
        out.extend_from_slice(changes.chunk(part)?);
    }
    out.extend_from_slice(changes.end()?);
    Ok(out.into())
}

/// Reads an upstream's body to its end, and what is left of the request's the other way.
async fn collect<D: Downstream>(
    from: &mut FromUpstream,
    changes: &mut BodyChanges,
    held: &Held,
    downstream: &mut D,
    record: &mut Record,
    timer: &mut Timer,
    end: Instant,
) -> Result<(Bytes, Fields), Denial> {
    let worker = record.worker().clone();
    let exchange = &mut from.exchange;
    if let BodyLength::Fixed(length) = from.length
        && changes.is_empty()
        && usize::try_from(length).is_ok_and(|length| length > held.max())
    {
        return Err(held.over());
    }
    let mut holding = Holding { changes, held, body: Vec::new(), trailers: None };
    let mut upload_fault = None;
    let mut quiet_since = Instant::now();
    std::future::poll_fn(|cx| {
        // An upstream that has answered may stop listening: that ends the upload only.
        if !exchange.upload.is_done()
            && upload_fault.is_none()
            && let Poll::Ready(Err(denial)) = exchange.poll_upload(cx, downstream, &worker.scratch)
        {
            upload_fault = Some(denial);
        }
        while let Poll::Ready(piece) = exchange.poll_piece(cx, &worker.scratch) {
            quiet_since = Instant::now();
            holding.take(piece?, &worker.scratch)?;
            if holding.trailers.is_some() {
                return Poll::Ready(Ok(()));
            }
        }
        if downstream.is_body_done() && downstream.poll_gone(cx, &worker.scratch).is_ready() {
            let detail = "while the upstream's answer was read";
            return Poll::Ready(Err(Denial::new(Reason::ClientGone, detail)));
        }
        if let Poll::Ready(denial) = exchange.poll_end(cx, timer) {
            return Poll::Ready(Err(denial));
        }
        let silent = quiet_since + exchange.read;
        if timer.poll(cx, silent.min(end)).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(Err(if silent <= end {
            Denial::new(Reason::UpstreamTimeout, "the upstream stopped mid-answer")
        } else {
            let detail = "the exchange took longer than `limits.request_time`";
            Denial::new(Reason::RequestTimeout, detail)
        }))
    })
    .await?;
    if let Some(denial) = upload_fault
        && denial.reason != Reason::UpstreamClosed
    {
        record.denial.get_or_insert(denial);
    }
    exchange.finish(&worker, Instant::now());
    let mut trailers = holding.trailers.unwrap_or_default();
    forget_digests(&mut trailers);
    Ok((holding.body.into(), trailers))
}

/// A body that is being held.
struct Holding<'a> {
    changes: &'a mut BodyChanges,
    held: &'a Held,
    body: Vec<u8>,
    /// What stands behind it, once all of it is here.
    trailers: Option<Fields>,
}

impl Holding<'_> {
    fn take(&mut self, piece: Piece, scratch: &Scratch) -> Result<(), Denial> {
        match piece {
            Piece::Scratch(range) => {
                let buffer = scratch.0.borrow();
                self.add(buffer.get(range).unwrap_or_default())
            }
            Piece::Bytes(bytes) => self.add(&bytes),
            Piece::End(trailers) => {
                self.trailers = Some(trailers);
                let rest = self.changes.end()?;
                self.body.extend_from_slice(rest);
                self.check()
            }
        }
    }

    fn add(&mut self, data: &[u8]) -> Result<(), Denial> {
        let data = if self.changes.is_empty() { data } else { self.changes.chunk(data)? };
        self.body.extend_from_slice(data);
        self.check()
    }

    fn check(&self) -> Result<(), Denial> {
        if self.body.len() > self.held.max() { Err(self.held.over()) } else { Ok(()) }
    }
}
