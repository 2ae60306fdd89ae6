//! The exchange with an upstream: what is sent, what comes back, piece by piece.
//!
//! Everything here is driven by polling from the one task that serves the client, so that neither
//! a channel nor a second task stands between the two connections.

mod bounds;
pub(crate) mod forward;
mod http2;
mod streams;
mod upload;
mod watch;

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bartizan_core::{Denial, Reason};
use bartizan_net::UpstreamIo;
use bartizan_wire::{
    BodyReader, ChunkFault, ChunkLimits, ConnectionUse, Fields, HeadLimits, Progress, ResponseHead,
    parse_response,
};
use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

use crate::balance::Lease;
use crate::piece::{Piece, Scratch};
use crate::splice::Pipe;
use crate::upstream::{KeepAlive, Node, UpstreamConnection};
use crate::worker::Worker;
use bounds::Bounds;
pub(crate) use http2::Streamed;
pub(crate) use upload::{Upload, UploadSource, end_chunks};
pub(crate) use watch::RATE_WINDOW;

/// Where a request's body comes from and whether its sender is still there.
pub(crate) trait Downstream {
    /// The next part of the request's body, decoded.
    fn poll_body(&mut self, cx: &mut Context<'_>, scratch: &Scratch)
    -> Poll<Result<Piece, Denial>>;

    /// Ready once the client has gone away.
    fn poll_gone(&mut self, cx: &mut Context<'_>, scratch: &Scratch) -> Poll<()>;

    /// True once the body was read to its end.
    fn is_body_done(&self) -> bool;
}

/// Limits of what is read from an upstream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResponseLimits {
    pub(crate) head: HeadLimits,
    pub(crate) chunks: ChunkLimits,
}

/// A request that was sent to a node, and the answer that comes back.
pub(crate) struct Exchange {
    pub(crate) node: Arc<Node>,
    pub(crate) keep: KeepAlive,
    /// How long the upstream may be silent.
    pub(crate) read: Duration,
    /// Taken when the exchange is over.
    connection: Option<Box<UpstreamConnection>>,
    /// The same over HTTP/2; also taken when the exchange is over.
    stream: Option<Box<Streamed>>,
    /// When the caller's own time is over, in a call of gRPC that has one.
    pub(crate) deadline: Option<Instant>,
    /// What else ends a call of gRPC.
    bounds: Option<Bounds>,
    pub(crate) upload: Upload,
    body: Option<BodyReader>,
    reusable: bool,
    /// The upstream may go on in WebSocket: it was asked to.
    pub(crate) may_switch: bool,
    /// Whether any byte of an answer was received.
    pub(crate) has_answered: bool,
    /// Informational answers so far.
    informational: u32,
    /// When the head of the answer had come.
    pub(crate) answered: Option<Instant>,
    /// How long the head of the answer was waited for.
    pub(crate) took: Duration,
    /// The head of the answer, until it is taken.
    pub(crate) head: Option<ResponseHead>,
    /// Counts the exchange on its node.
    lease: Option<Lease>,
}

/// What an exchange goes over.
pub(crate) enum Over {
    /// A connection of HTTP/1, which it has for itself.
    Connection(Box<UpstreamConnection>),
    /// A stream of HTTP/2.
    Stream(Box<Streamed>),
}

/// Read for a head whose body is expected to pass inside the kernel.
const HEAD_AHEAD: usize = 4_096;

/// An upstream may announce its answer so often; more would keep a request for ever.
const INFORMATIONAL_MAX: u32 = 32;

impl Exchange {
    pub(crate) fn new(
        node: Arc<Node>,
        keep: KeepAlive,
        read: Duration,
        over: Over,
        upload: Upload,
    ) -> Box<Self> {
        let (connection, stream) = match over {
            Over::Connection(mut connection) => {
                connection.served = connection.served.saturating_add(1);
                (Some(connection), None)
            }
            Over::Stream(stream) => (None, Some(stream)),
        };
        Box::new(Self {
            node,
            keep,
            read,
            connection,
            stream,
            deadline: None,
            bounds: None,
            upload,
            body: None,
            reusable: false,
            may_switch: false,
            has_answered: false,
            informational: 0,
            answered: None,
            took: Duration::ZERO,
            head: None,
            lease: None,
        })
    }

    /// Sends what there is of the request. Ready when all of it was sent.
    pub(crate) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        downstream: &mut impl Downstream,
        scratch: &Scratch,
    ) -> Poll<Result<(), Denial>> {
        if let Some(stream) = &mut self.stream {
            return self.upload.poll_stream(cx, stream, downstream, scratch);
        }
        let Some(connection) = &mut self.connection else { return Poll::Ready(Ok(())) };
        self.upload.poll(cx, connection, downstream, scratch)
    }

    /// Ready once the head of the final answer is in `head`; informational ones are passed over
    /// (RFC 9110 §15.2).
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limits: &ResponseLimits,
        scratch: &Scratch,
    ) -> Poll<Result<(), Denial>> {
        if let Some(stream) = &mut self.stream {
            let head = ready!(stream.poll_head(cx, method, limits))?;
            self.has_answered = true;
            self.upload.forget_taken();
            self.head = Some(head);
            return Poll::Ready(Ok(()));
        }
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Err(Denial::new(Reason::Internal, "no upstream connection")));
        };
        loop {
            let parsed = parse_response(
                &mut connection.received,
                &mut connection.scan,
                &limits.head,
                method,
            )
            .map_err(|fault| Denial::new(Reason::UpstreamMalformed, fault.detail))?;
            if let Progress::Complete(head) = parsed {
                if head.status.is_informational() {
                    if head.status.as_u16() == 101 {
                        if self.may_switch {
                            // What follows is none of HTTP: the connection is never kept.
                            self.head = Some(head);
                            return Poll::Ready(Ok(()));
                        }
                        let detail = "the upstream switched protocols unasked";
                        return Poll::Ready(Err(Denial::new(Reason::UpstreamMalformed, detail)));
                    }
                    self.informational += 1;
                    if self.informational > INFORMATIONAL_MAX {
                        let detail = "the upstream only sends informational answers";
                        return Poll::Ready(Err(Denial::new(Reason::UpstreamMalformed, detail)));
                    }
                    continue;
                }
                connection.passes = false;
                self.body = Some(BodyReader::new(head.body, limits.chunks));
                self.reusable = head.connection == ConnectionUse::KeepAlive;
                self.head = Some(head);
                return Poll::Ready(Ok(()));
            }
            let scratch = &mut *scratch.0.borrow_mut();
            // What is read here is copied, and a body that passes inside the kernel need not be.
            let ahead = if connection.passes { HEAD_AHEAD } else { scratch.len() };
            let scratch = scratch.get_mut(..ahead).unwrap_or_default();
            match ready!(connection.poll_read(cx, scratch)) {
                Ok(0) => {
                    let detail = "the upstream closed before its answer was complete";
                    return Poll::Ready(Err(Denial::new(Reason::UpstreamClosed, detail)));
                }
                Ok(count) => {
                    self.has_answered = true;
                    connection.received.extend_from_slice(scratch.get(..count).unwrap_or_default());
                }
                Err(error) => return Poll::Ready(Err(broken(&error))),
            }
        }
    }

    /// The next part of the answer's body.
    pub(crate) fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &Scratch,
    ) -> Poll<Result<Piece, Denial>> {
        if let Some(stream) = &mut self.stream {
            return stream.poll_piece(cx);
        }
        let (Some(connection), Some(body)) = (&mut self.connection, &mut self.body) else {
            return Poll::Ready(Ok(Piece::End(Fields::new())));
        };
        loop {
            if body.is_done() {
                return Poll::Ready(Ok(Piece::End(body.take_trailers())));
            }
            if !connection.received.is_empty() {
                let taken = body.take(&connection.received).map_err(malformed)?;
                let consumed = connection.received.split_to(taken.consumed).freeze();
                if !taken.data.is_empty() {
                    return Poll::Ready(Ok(Piece::Bytes(consumed.slice(taken.data))));
                }
                if taken.consumed > 0 || taken.done {
                    continue;
                }
            }
            let buffer = &mut *scratch.0.borrow_mut();
            let count = match ready!(connection.poll_read(cx, buffer)) {
                Ok(count) => count,
                Err(error) => return Poll::Ready(Err(broken(&error))),
            };
            if count == 0 {
                self.reusable = false;
                body.end().map_err(|fault| Denial::new(Reason::UpstreamClosed, fault.detail))?;
                continue;
            }
            let read = buffer.get(..count).unwrap_or_default();
            let taken = body.take(read).map_err(malformed)?;
            let rest = read.get(taken.consumed..).unwrap_or_default();
            connection.received.extend_from_slice(rest);
            if !taken.data.is_empty() {
                return Poll::Ready(Ok(Piece::Scratch(taken.data)));
            }
        }
    }

    /// Bytes of the answer's body that may pass inside the kernel: what is missing of one of
    /// stated length that comes in clear.
    pub(crate) fn passable(&self) -> u64 {
        let (Some(connection), Some(body)) = (&self.connection, &self.body) else { return 0 };
        match connection.io {
            // What came with the head is here already.
            UpstreamIo::Plain(_) => {
                body.missing().unwrap_or(0).saturating_sub(connection.received.len() as u64)
            }
            UpstreamIo::Tls(_) | UpstreamIo::Virtual(_) => 0,
        }
    }

    /// What of the answer's body came with its head.
    pub(crate) fn take_received(&mut self) -> Result<Bytes, Denial> {
        let (Some(connection), Some(body)) = (&mut self.connection, &mut self.body) else {
            return Ok(Bytes::new());
        };
        let taken = body.take(&connection.received).map_err(malformed)?;
        Ok(connection.received.split_to(taken.consumed).freeze().slice(taken.data))
    }

    /// Moves what there is of the answer's body into an empty pipe.
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
    ) -> Poll<Result<(), Denial>> {
        let (Some(connection), Some(body)) = (&mut self.connection, &mut self.body) else {
            return Poll::Ready(Ok(()));
        };
        let (UpstreamIo::Plain(socket), Some(missing)) = (&connection.io, body.missing()) else {
            return Poll::Ready(Ok(()));
        };
        match ready!(pipe.poll_fill(cx, socket, missing)) {
            Ok(0) => {
                self.reusable = false;
                let end = body.end();
                Poll::Ready(end.map_err(|fault| Denial::new(Reason::UpstreamClosed, fault.detail)))
            }
            Ok(count) => {
                connection.passes = true;
                body.pass(count as u64);
                Poll::Ready(Ok(()))
            }
            // What could not be moved is still there to be copied.
            Err(_) if pipe.is_unfit() => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(broken(&error))),
        }
    }

    /// Takes the connection for something other than HTTP.
    pub(crate) fn take_connection(&mut self) -> Option<Box<UpstreamConnection>> {
        self.connection.take()
    }

    /// True once the answer's body was read to its end.
    pub(crate) fn is_received(&self) -> bool {
        if let Some(stream) = &self.stream {
            return stream.is_received();
        }
        self.body.as_ref().is_none_or(BodyReader::is_done)
    }

    /// True if the upstream is what the upload waits for.
    pub(crate) fn is_blocked(&self) -> bool {
        if let Some(stream) = &self.stream {
            return stream.is_blocked();
        }
        self.connection.as_ref().is_some_and(|c| !c.out.is_empty())
    }

    /// Bytes that went the other way while the answer was read, where that goes on for its own sake.
    pub(crate) fn sent_meanwhile(&self) -> u64 {
        if self.stream.is_some() { self.upload.total } else { 0 }
    }

    /// When an answer that is silent since `since` is not waited for any longer.
    pub(crate) fn due(&self, since: Instant) -> Instant {
        since + self.read
    }

    /// True if the upstream says that it has done nothing about the request.
    pub(crate) fn is_unprocessed(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.is_unprocessed)
    }

    /// Why an answer is not waited for any longer.
    pub(crate) fn late() -> Denial {
        Denial::new(Reason::UpstreamTimeout, "the upstream stopped mid-answer")
    }

    /// The exchange is over: the connection is kept where nothing is left open on it.
    pub(crate) fn finish(&mut self, worker: &Worker, now: Instant) {
        let is_complete = self.body.as_ref().is_some_and(BodyReader::is_done);
        self.lease = None;
        self.stream = None;
        let Some(connection) = self.connection.take() else { return };
        if is_complete && self.reusable && self.upload.is_done() {
            worker.pool.put(&self.node, connection, self.keep, now);
        }
    }
}

fn malformed(fault: ChunkFault) -> Denial {
    Denial::new(Reason::UpstreamMalformed, fault.detail)
}

fn broken(error: &io::Error) -> Denial {
    Denial::new(Reason::UpstreamClosed, format!("reading from the upstream: {error}"))
}
