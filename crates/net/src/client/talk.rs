//! One request and its answer on one connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_wire::{
    BodyReader, ChunkLimits, ConnectionUse, HeadLimits, HeadScan, Progress, ResponseHead,
    parse_response,
};
use bytes::BytesMut;
use http::Method;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::{Answered, CallError, Turns};
use crate::UpstreamIo;

/// A server may announce its answer so often; more would keep a request for ever.
const INFORMATIONAL_MAX: u32 = 32;
/// Bytes that are read at a time.
pub(super) const READ: usize = 16 * 1_024;

/// Bounds of what is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadLimits {
    pub(super) head: HeadLimits,
    pub(super) chunks: ChunkLimits,
    /// Longest body.
    pub(super) body: usize,
}

/// The heads that come before a body: those that announce an answer, and its own.
#[derive(Debug, Default)]
pub(super) struct Heads {
    scan: HeadScan,
    informational: u32,
}

impl Heads {
    /// The head of the answer itself, once it is in `received`.
    pub(super) fn next(
        &mut self,
        received: &mut BytesMut,
        limits: &HeadLimits,
        method: &Method,
    ) -> Result<Option<ResponseHead>, CallError> {
        loop {
            let parsed = parse_response(received, &mut self.scan, limits, method);
            let head = match parsed.map_err(|fault| CallError::Malformed(fault.detail))? {
                Progress::Partial => return Ok(None),
                Progress::Complete(head) => head,
            };
            if !head.status.is_informational() {
                return Ok(Some(head));
            }
            self.informational += 1;
            if head.status.as_u16() == 101 || self.informational > INFORMATIONAL_MAX {
                return Err(CallError::Malformed("informational answers that lead nowhere"));
            }
        }
    }
}

/// A request under way.
pub(super) struct Talk<'a> {
    io: UpstreamIo,
    /// What is to be sent: the head, and the body behind it.
    out: [&'a [u8]; 2],
    method: &'a Method,
    limits: ReadLimits,
    received: BytesMut,
    heads: Heads,
    head: Option<(ResponseHead, BodyReader)>,
    body: BytesMut,
    /// Why sending stopped. The answer may have come all the same.
    send_fault: Option<io::Error>,
    /// Whether any byte of an answer was received.
    has_answered: bool,
    turns: Option<&'a Turns>,
    turn: Option<OwnedSemaphorePermit>,
}

/// How far it is.
enum Step {
    Done,
    /// It goes on when it is its turn.
    Turn,
}

/// How it ended where there is no answer.
pub(super) struct Failed {
    pub(super) error: CallError,
    /// Whether any byte of an answer was received.
    pub(super) has_answered: bool,
}

impl<'a> Talk<'a> {
    pub(super) fn new(
        io: UpstreamIo,
        out: [&'a [u8]; 2],
        method: &'a Method,
        limits: ReadLimits,
        turns: Option<&'a Turns>,
    ) -> Self {
        Self {
            io,
            out,
            method,
            limits,
            received: BytesMut::new(),
            heads: Heads::default(),
            head: None,
            body: BytesMut::new(),
            send_fault: None,
            has_answered: false,
            turns,
            turn: None,
        }
    }

    /// The answer, and the connection where it can be used again.
    pub(super) async fn run(mut self) -> Result<(Answered, Option<UpstreamIo>), Failed> {
        let outcome = self.talk().await;
        let has_answered = self.has_answered;
        match (outcome, self.head.take()) {
            (Ok(()), Some((head, _))) => {
                let is_sent = self.send_fault.is_none() && self.out.iter().all(|p| p.is_empty());
                let is_clean = is_sent && self.received.is_empty();
                let is_reusable = is_clean && head.connection == ConnectionUse::KeepAlive;
                let answered = Answered {
                    status: head.status,
                    fields: head.fields,
                    body: std::mem::take(&mut self.body).freeze(),
                    _turn: self.turn.take(),
                };
                Ok((answered, is_reusable.then_some(self.io)))
            }
            (Ok(()), None) => Err(Failed {
                error: CallError::Malformed("an answer without a head"),
                has_answered,
            }),
            (Err(error), _) => Err(Failed { error, has_answered }),
        }
    }

    async fn talk(&mut self) -> Result<(), CallError> {
        loop {
            match std::future::poll_fn(|cx| self.poll(cx)).await? {
                Step::Done => return Ok(()),
                Step::Turn => {
                    if let Some(turns) = self.turns {
                        self.turn = Some(turns.next().await?);
                    }
                }
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Step, CallError>> {
        self.poll_send(cx);
        loop {
            if self.take_answer()? {
                return Poll::Ready(Ok(Step::Done));
            }
            let is_long = self.turns.is_some_and(|turns| self.body.len() > turns.free);
            if is_long && self.turn.is_none() {
                return Poll::Ready(Ok(Step::Turn));
            }
            let mut buffer = [0_u8; READ];
            let mut buf = ReadBuf::new(&mut buffer);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf)) {
                Ok(()) if buf.filled().is_empty() => {
                    return Poll::Ready(self.at_end().map(|()| Step::Done));
                }
                Ok(()) => {
                    self.has_answered = true;
                    self.received.extend_from_slice(buf.filled());
                }
                Err(error) => {
                    let cause = format!("reading the answer: {error}");
                    return Poll::Ready(Err(CallError::Closed(cause)));
                }
            }
        }
    }

    /// Sends what there is to send. A server may answer, and close, before it has read everything.
    fn poll_send(&mut self, cx: &mut Context<'_>) {
        for part in &mut self.out {
            while !part.is_empty() && self.send_fault.is_none() {
                match Pin::new(&mut self.io).poll_write(cx, part) {
                    Poll::Ready(Ok(0)) => self.send_fault = Some(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(count)) => *part = part.get(count..).unwrap_or_default(),
                    Poll::Ready(Err(error)) => self.send_fault = Some(error),
                    Poll::Pending => return,
                }
            }
        }
        if let Poll::Ready(Err(error)) = Pin::new(&mut self.io).poll_flush(cx) {
            self.send_fault.get_or_insert(error);
        }
    }

    /// Reads on in what was received; true when the answer is complete.
    fn take_answer(&mut self) -> Result<bool, CallError> {
        if self.head.is_none() {
            let head = self.heads.next(&mut self.received, &self.limits.head, self.method)?;
            let Some(head) = head else { return Ok(false) };
            let reader = BodyReader::new(head.body, self.limits.chunks);
            self.head = Some((head, reader));
        }
        let Some((_, reader)) = &mut self.head else { return Ok(false) };
        while !reader.is_done() && !self.received.is_empty() {
            let taken =
                reader.take(&self.received).map_err(|fault| CallError::Malformed(fault.detail))?;
            let data = self.received.get(taken.data).unwrap_or_default();
            if self.body.len() + data.len() > self.limits.body {
                return Err(CallError::TooLarge(self.limits.body));
            }
            self.body.extend_from_slice(data);
            let consumed = taken.consumed;
            drop(self.received.split_to(consumed.min(self.received.len())));
            if consumed == 0 {
                break;
            }
        }
        Ok(reader.is_done())
    }

    /// The server closed its side.
    fn at_end(&mut self) -> Result<(), CallError> {
        if let Some((head, reader)) = &mut self.head {
            head.connection = ConnectionUse::Close;
            return reader.end().map_err(|fault| CallError::Closed(fault.detail.to_owned()));
        }
        let cause = match &self.send_fault {
            Some(error) => format!("the server closed while it was sent to: {error}"),
            None => "the server closed before it had answered".to_owned(),
        };
        Err(CallError::Closed(cause))
    }
}
