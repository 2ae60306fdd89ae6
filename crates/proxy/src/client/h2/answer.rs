//! Writing an answer to an HTTP/2 client.

use std::task::{Context, Poll};

use bartizan_chain::BodyChanges;
use bartizan_core::{Denial, Reason};
use bartizan_wire::{
    BodyLength, ConnectionUse, ErrorCode, Fields, H2Connection, OutgoingResponse, Version,
};
use bytes::{Buf, Bytes};
use http::Method;
use tokio::time::Instant;

use super::super::h1_answer::{forget_digests, is_upstreams_fault};
use super::stream::{Stream, Upload};
use crate::decide::{Answer, AnswerBody, FromUpstream, refusal};
use crate::exchange::Exchange;
use crate::grpc;
use crate::piece::{Piece, SCRATCH_SIZE};
use crate::record::Record;
use crate::shape::shape;
use crate::timer::Timer;

/// What a stream sends before others that are open have their turn: one frame.
const TURN_MAX: usize = 16 * 1_024;
// What is read in one piece finds room.
const _: () = assert!(H2Connection::AMPLE_ROOM >= SCRATCH_SIZE);

/// Writes an answer to its end, or resets the stream.
pub(super) async fn write(
    stream: &Stream,
    answer: Answer,
    method: &Method,
    upload: &mut Upload<'_>,
    record: &mut Record,
    timer: &mut Timer,
) {
    let Answer { head, body, trailers, .. } = answer;
    let bodiless = head.status.is_informational() || matches!(head.status.as_u16(), 204 | 304);
    let (length, declared_length) = match &body {
        AnswerBody::Upstream(from) => (from.length, from.declared),
        AnswerBody::Local(_) if bodiless => (BodyLength::None, None),
        // Nothing over HTTP/2 is a handshake.
        AnswerBody::Switched(_) => (BodyLength::None, None),
        AnswerBody::Local(bytes) if *method == Method::HEAD => {
            (BodyLength::None, Some(bytes.len() as u64))
        }
        AnswerBody::Local(bytes) => (BodyLength::Fixed(bytes.len() as u64), None),
    };
    let head = OutgoingResponse {
        status: head.status,
        version: Version::Http2,
        method,
        fields: &head.fields,
        body: length,
        declared_length,
        connection: ConnectionUse::KeepAlive,
    };
    let sent = match body {
        AnswerBody::Switched(_) => Err(Denial::new(Reason::Internal, "a switch over HTTP/2")),
        AnswerBody::Local(bytes) => {
            let bytes = if length == BodyLength::None { Bytes::new() } else { bytes };
            let trailers = if length == BodyLength::None { Fields::new() } else { trailers };
            send_local(stream, &head, bytes, &trailers, record, timer).await
        }
        AnswerBody::Upstream(from) => {
            let mut pump = Pump::new(stream, from, &head, upload);
            let sent = pump.run(record, timer).await;
            let has_head = pump.has_head;
            drop(pump);
            match sent {
                // Nothing of the answer has left: the client gets a refusal in its place.
                Err(denial) if !has_head && is_upstreams_fault(denial.reason) => {
                    record.denial.get_or_insert(denial);
                    return Box::pin(replace(stream, method, upload, record, timer)).await;
                }
                other => other,
            }
        }
    };
    record.is_complete = true;
    let Err(denial) = sent else { return };
    if denial.reason == Reason::Internal {
        record.status = 500;
        stream.shared.state.borrow_mut().give_up(stream.id);
    }
    let starved = denial.reason == Reason::ClientTimeout;
    let code = if starved { ErrorCode::Cancel } else { ErrorCode::InternalError };
    record.denial.get_or_insert(denial);
    stream.shared.state.borrow_mut().reset(stream.id, code);
}

/// An upstream's answer broke before any of it had left: a refusal, shaped like every other.
async fn replace(
    stream: &Stream,
    method: &Method,
    upload: &mut Upload<'_>,
    record: &mut Record,
    timer: &mut Timer,
) {
    let worker = record.worker().clone();
    let Some(denial) = record.denial.take() else { return };
    let answer = refusal(record, denial, &worker);
    let is_head = *method == Method::HEAD;
    // Nothing of a refusal comes from elsewhere, so that there is nothing to wait for.
    let mut answer = shape(answer, is_head, upload, record, timer, Instant::now()).await;
    answer.head.fields.append(Bytes::from_static(b"date"), worker.date());
    record.status = answer.head.status.as_u16();
    grpc::dress(&mut answer, record);
    write(stream, answer, method, upload, record, timer).await;
}

/// Sends a head once there is room for it in the output.
fn poll_head(
    stream: &Stream,
    cx: &mut Context<'_>,
    head: &OutgoingResponse<'_>,
    is_last: bool,
    timer: &mut Timer,
    since: &mut Option<Instant>,
) -> Poll<Result<(), Denial>> {
    let mut state = stream.shared.state.borrow_mut();
    if state.is_full() {
        drop(state);
        return stream.wait(cx, timer, since).map(Err);
    }
    let sent = state.send_head(stream.id, head, is_last);
    Poll::Ready(sent.map_err(|fault| Denial::new(Reason::Internal, fault.detail)))
}

async fn send_local(
    stream: &Stream,
    head: &OutgoingResponse<'_>,
    mut bytes: Bytes,
    trailers: &Fields,
    record: &mut Record,
    timer: &mut Timer,
) -> Result<(), Denial> {
    record.bytes_out = bytes.len() as u64;
    let mut has_head = false;
    let mut since = None;
    std::future::poll_fn(|cx| {
        if !has_head {
            let is_last = bytes.is_empty() && trailers.is_empty();
            std::task::ready!(poll_head(stream, cx, head, is_last, timer, &mut since))?;
            has_head = true;
        }
        let is_last = trailers.is_empty();
        let mut sent = 0;
        if !bytes.is_empty() {
            sent = stream.shared.state.borrow_mut().send_data(stream.id, &bytes, is_last);
            bytes.advance(sent.min(bytes.len()));
        }
        if bytes.is_empty()
            && (is_last || stream.shared.state.borrow_mut().send_trailers(stream.id, trailers))
        {
            return Poll::Ready(Ok(()));
        }
        if sent > 0 {
            since = None;
        }
        stream.wait(cx, timer, &mut since).map(Err)
    })
    .await
}

/// What a pump waits for.
enum Waits {
    Client,
    Upstream,
    /// Its next turn.
    Turn,
}

/// Passes an upstream's body on, and what is left of the request's the other way.
struct Pump<'a, 'b> {
    stream: &'a Stream,
    exchange: Box<Exchange>,
    head: &'a OutgoingResponse<'a>,
    upload: &'a mut Upload<'b>,
    /// What is done to the body on its way.
    changes: Option<BodyChanges>,
    has_head: bool,
    /// What was read and may not be sent yet.
    held: Bytes,
    /// What follows it, once the body was read to its end.
    trailers: Option<Fields>,
    /// It has left.
    is_ended: bool,
    sent: u64,
    /// What had gone either way when this was last looked at.
    moved: (u64, u64),
    quiet_since: Option<Instant>,
    upload_fault: Option<Denial>,
}

impl Drop for Pump<'_, '_> {
    fn drop(&mut self) {
        self.hold(Bytes::new());
    }
}

impl<'a, 'b> Pump<'a, 'b> {
    fn new(
        stream: &'a Stream,
        from: FromUpstream,
        head: &'a OutgoingResponse<'a>,
        upload: &'a mut Upload<'b>,
    ) -> Self {
        Self {
            stream,
            exchange: from.exchange,
            head,
            upload,
            changes: from.changes,
            has_head: false,
            held: Bytes::new(),
            trailers: None,
            is_ended: false,
            sent: 0,
            moved: (0, 0),
            quiet_since: None,
            upload_fault: None,
        }
    }

    async fn run(&mut self, record: &mut Record, timer: &mut Timer) -> Result<(), Denial> {
        let outcome = std::future::poll_fn(|cx| self.poll(cx, timer)).await;
        record.bytes_out = self.sent;
        record.bytes_in = self.upload.total;
        if let Some(denial) = self.upload_fault.take() {
            record.denial.get_or_insert(denial);
        }
        if outcome.is_ok() {
            // What came in one piece behind its head took no time of its own.
            let at_once = self.exchange.answered.filter(|_| self.quiet_since.is_none());
            let now = at_once.unwrap_or_else(Instant::now);
            self.exchange.finish(record.worker(), now);
        }
        outcome
    }

    fn poll(&mut self, cx: &mut Context<'_>, timer: &mut Timer) -> Poll<Result<(), Denial>> {
        if !self.exchange.upload.is_over() {
            let scratch = &self.stream.shared.worker.scratch;
            // An upstream that has answered may stop listening: that ends the upload only.
            if let Poll::Ready(Err(denial)) =
                self.exchange.poll_upload(cx, &mut *self.upload, scratch)
                && denial.reason != Reason::UpstreamClosed
            {
                self.upload_fault.get_or_insert(denial);
            }
        }
        let before = self.moved;
        let Some(waits) = self.go_on(cx)? else { return Poll::Ready(Ok(())) };
        if let Poll::Ready(denial) = self.exchange.poll_end(cx, timer) {
            return Poll::Ready(Err(denial));
        }
        self.moved = (self.sent, self.exchange.sent_meanwhile());
        if self.moved != before {
            self.quiet_since = None;
        }
        match waits {
            Waits::Turn => {
                self.quiet_since = Some(Instant::now());
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Waits::Client => self.stream.wait(cx, timer, &mut self.quiet_since).map(Err),
            Waits::Upstream => {
                let since = *self.quiet_since.get_or_insert_with(Instant::now);
                timer.poll(cx, self.exchange.due(since)).map(|()| Err(Exchange::late()))
            }
        }
    }

    /// Goes on until the answer is complete, which is nothing to wait for, or has to wait.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Result<Option<Waits>, Denial> {
        let before = self.sent;
        loop {
            if !self.held.is_empty() || self.trailers.is_some() {
                let held = self.held.clone();
                let sent = self.send(&held)?;
                self.hold(held.slice(sent.min(held.len())..));
                if self.held.is_empty() && self.trailers.is_some() {
                    return self.end();
                }
                if !self.held.is_empty() {
                    return Ok(Some(self.waits()));
                }
            }
            if !self.may_read() {
                let is_begun = self.begin(false)?;
                return Ok(Some(if is_begun { self.waits() } else { Waits::Client }));
            }
            if self.sent - before >= TURN_MAX as u64 && self.is_one_of_several() {
                return Ok(Some(Waits::Turn));
            }
            let scratch = &self.stream.shared.worker.scratch;
            let Poll::Ready(piece) = self.exchange.poll_piece(cx, scratch) else {
                let flushed = self.flushed()?;
                if flushed.is_empty() {
                    let is_begun = self.begin(false)?;
                    return Ok(Some(if is_begun { Waits::Upstream } else { Waits::Client }));
                }
                self.hold(flushed);
                continue;
            };
            self.take(cx, piece?)?;
            if self.changes.is_some() && self.trailers.is_none() {
                // What costs more than a copy gives way to others after each piece.
                return Ok(Some(Waits::Turn));
            }
        }
    }

    /// True if there is room for more, or all was read.
    fn may_read(&self) -> bool {
        if self.exchange.is_received() {
            return true;
        }
        let shared = &self.stream.shared;
        let room = shared.state.borrow_mut().room(self.stream.id);
        // What was read for streams whose windows are small is bounded for all of them together.
        let is_spent = shared.held.get() as u64 >= shared.worker.shared.node.limits.h2_window.0;
        room > 0 && (!is_spent || room >= H2Connection::AMPLE_ROOM)
    }

    fn is_one_of_several(&self) -> bool {
        self.stream.shared.state.borrow().open() > 1
    }

    fn waits(&self) -> Waits {
        let room = self.stream.shared.state.borrow_mut().room(self.stream.id);
        if room == 0 || self.held.is_empty() { Waits::Client } else { Waits::Turn }
    }

    fn hold(&mut self, bytes: Bytes) {
        let held = &self.stream.shared.held;
        held.set((held.get() + bytes.len()).saturating_sub(self.held.len()));
        self.held = bytes;
    }

    /// Sends the head, if it was not yet; false while there is no room for it.
    fn begin(&mut self, is_last: bool) -> Result<bool, Denial> {
        if self.has_head {
            return Ok(true);
        }
        let mut state = self.stream.shared.state.borrow_mut();
        if state.is_full() {
            return Ok(false);
        }
        state
            .send_head(self.stream.id, self.head, is_last)
            .map_err(|fault| Denial::new(Reason::Internal, fault.detail))?;
        self.has_head = true;
        Ok(true)
    }

    fn is_bare_end(&self) -> bool {
        self.trailers.as_ref().is_some_and(Fields::is_empty)
    }

    /// Sends what there is room for of `data`, which the end may follow, and says how much.
    fn send(&mut self, data: &[u8]) -> Result<usize, Denial> {
        if data.is_empty() {
            return Ok(0);
        }
        if !self.begin(false)? {
            return Ok(0);
        }
        let is_last = self.is_bare_end();
        let mut state = self.stream.shared.state.borrow_mut();
        let turn = if state.open() > 1 { TURN_MAX } else { data.len() };
        let (now, later) = data.split_at_checked(turn).unwrap_or((data, &[]));
        let sent = state.send_data(self.stream.id, now, is_last && later.is_empty());
        self.sent = self.sent.saturating_add(sent as u64);
        if is_last && sent == data.len() {
            // The end left with the data.
            self.is_ended = true;
        }
        Ok(sent)
    }

    /// All data was sent: what is left is the end, where that did not leave with the data.
    fn end(&mut self) -> Result<Option<Waits>, Denial> {
        let is_bare = self.is_bare_end();
        if !self.has_head && is_bare {
            return Ok(if self.begin(true)? { None } else { Some(Waits::Client) });
        }
        if !self.begin(false)? {
            return Ok(Some(Waits::Client));
        }
        let Some(trailers) = self.trailers.as_ref().filter(|_| !self.is_ended) else {
            return Ok(None);
        };
        let is_sent = self.stream.shared.state.borrow_mut().send_trailers(self.stream.id, trailers);
        Ok(if is_sent { None } else { Some(Waits::Client) })
    }

    /// Takes in a piece of the body: sends of it what there is room for, and holds the rest.
    fn take(&mut self, cx: &mut Context<'_>, piece: Piece) -> Result<(), Denial> {
        let worker = self.stream.shared.worker.clone();
        if let Piece::End(mut trailers) = piece {
            if let Some(changes) = &mut self.changes {
                forget_digests(&mut trailers);
                let last = Bytes::copy_from_slice(changes.end()?);
                self.hold(last);
            }
            self.trailers = Some(trailers);
            return Ok(());
        }
        if let Some(changes) = &mut self.changes {
            let changed = match piece {
                Piece::Bytes(bytes) => changes.chunk(&bytes)?,
                Piece::Scratch(range) => {
                    changes.chunk(worker.scratch.0.borrow().get(range).unwrap_or_default())?
                }
                Piece::End(_) => &[],
            };
            let changed = Bytes::copy_from_slice(changed);
            self.hold(changed);
            return Ok(());
        }
        // The end is known with the last piece, and leaves in the same frame.
        if self.exchange.is_received()
            && let Poll::Ready(Ok(Piece::End(trailers))) =
                self.exchange.poll_piece(cx, &worker.scratch)
        {
            self.trailers = Some(trailers);
        }
        match piece {
            Piece::Bytes(bytes) => self.hold(bytes),
            Piece::Scratch(range) => {
                let buffer = worker.scratch.0.borrow();
                let data = buffer.get(range).unwrap_or_default();
                let sent = self.send(data)?;
                self.hold(Bytes::copy_from_slice(data.get(sent..).unwrap_or_default()));
            }
            Piece::End(_) => {}
        }
        Ok(())
    }

    /// What waited inside the transforms, now that the upstream pauses.
    fn flushed(&mut self) -> Result<Bytes, Denial> {
        let Some(changes) = &mut self.changes else { return Ok(Bytes::new()) };
        Ok(Bytes::copy_from_slice(changes.flush()?))
    }
}
