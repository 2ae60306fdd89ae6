//! One stream: its exchange, from a head to an answer.

use std::rc::Rc;
use std::task::{Context, Poll};

use bartizan_core::{Denial, Reason};
use bartizan_wire::{BodyLength, ErrorCode, Fields, HeadRefusal, RequestHead, TakenBody, Version};
use http::Method;
use tokio::time::Instant;

use super::{Shared, answer};
use crate::decide::{Answer, decide};
use crate::exchange::Downstream;
use crate::piece::{Piece, Scratch};
use crate::record::Record;
use crate::timer::Timer;

/// A stream of a connection.
pub(super) struct Stream {
    pub(super) shared: Rc<Shared>,
    pub(super) id: u32,
    pub(super) tag: u32,
}

impl Drop for Stream {
    /// Whatever became of the exchange, the stream ends with it.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.shared.state.borrow_mut().reset(self.id, ErrorCode::InternalError);
        }
    }
}

impl Stream {
    /// Serves the one request of a stream.
    pub(super) async fn serve(self, head: Result<Box<RequestHead>, HeadRefusal>) {
        let worker = &self.shared.worker;
        let mut record = Record::new(worker, &self.shared.connection.peer);
        record.cause = Some(self.shared.cause.clone());
        let end = record.started() + worker.shared.node.limits.request_time.0;
        let mut timer = self.shared.timer(end);
        let mut upload = Upload { stream: &self, is_done: false, owes_continue: false, total: 0 };
        let (answer, method) = match head {
            Ok(head) => {
                let method = head.method.clone();
                upload.is_done = head.body == BodyLength::None;
                upload.owes_continue = head.expects_continue;
                let connection = &self.shared.connection;
                let answer = decide(connection, head, &mut upload, &mut record, &mut timer).await;
                (answer, method)
            }
            Err(refusal) => (refuse(&refusal, &mut record), Method::GET),
        };
        record.bytes_in = upload.total;
        answer::write(&self, answer, &method, &mut upload, &mut record, &mut timer).await;
        self.shared.keep_timer(timer);
    }

    /// Waits until the connection's window or its output has room; not longer than a client may
    /// take nothing, and then it is a fault of the client's.
    pub(super) fn wait(
        &self,
        cx: &mut Context<'_>,
        timer: &mut Timer,
        since: &mut Option<Instant>,
    ) -> Poll<Denial> {
        let mut blocked = self.shared.blocked.borrow_mut();
        // However often a client has it woken, a stream waits once.
        if !blocked.contains(&self.tag) {
            blocked.push(self.tag);
        }
        drop(blocked);
        let since = *since.get_or_insert_with(Instant::now);
        let due = since + self.shared.worker.shared.node.limits.idle.0;
        timer.poll(cx, due).map(|()| {
            Denial::new(Reason::ClientTimeout, "the client read nothing for `limits.idle`")
        })
    }
}

/// Answers a head that could not be accepted.
fn refuse(refusal: &HeadRefusal, record: &mut Record) -> Answer {
    record.note_refused(&refusal.line, Version::Http2);
    let denial = Denial::new(refusal.reason, refusal.detail);
    let compatibility = record.worker().shared.node.compatibility;
    let (head, body) = crate::answer::refuse(&denial, record.id, compatibility);
    record.status = head.status.as_u16();
    record.denial = Some(denial);
    Answer::local(head, body, false)
}

/// The body of a request.
pub(super) struct Upload<'a> {
    stream: &'a Stream,
    is_done: bool,
    /// The client waits for `100 Continue`.
    owes_continue: bool,
    pub(super) total: u64,
}

impl Downstream for Upload<'_> {
    fn poll_body(
        &mut self,
        _cx: &mut Context<'_>,
        _scratch: &Scratch,
    ) -> Poll<Result<Piece, Denial>> {
        if self.is_done {
            return Poll::Ready(Ok(Piece::End(Fields::new())));
        }
        let mut state = self.stream.shared.state.borrow_mut();
        match state.take_body(self.stream.id) {
            TakenBody::Data(data) => {
                self.total = self.total.saturating_add(data.len() as u64);
                Poll::Ready(Ok(Piece::Bytes(data)))
            }
            TakenBody::End => {
                self.is_done = true;
                Poll::Ready(Ok(Piece::End(Fields::new())))
            }
            // The stream is woken when more has come.
            TakenBody::Wait => {
                if std::mem::take(&mut self.owes_continue) {
                    state.send_continue(self.stream.id);
                }
                Poll::Pending
            }
            TakenBody::Gone => {
                let detail = "the stream ended inside its body";
                Poll::Ready(Err(Denial::new(Reason::ClientGone, detail)))
            }
        }
    }

    fn poll_gone(&mut self, _cx: &mut Context<'_>, _scratch: &Scratch) -> Poll<()> {
        // A reset drops the whole exchange.
        Poll::Pending
    }

    fn is_body_done(&self) -> bool {
        self.is_done || self.stream.shared.state.borrow_mut().is_body_taken(self.stream.id)
    }
}
