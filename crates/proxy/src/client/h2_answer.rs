//! The body of an answer on its way to an HTTP/2 client.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_chain::BodyChanges;
use bartizan_core::{Denial, Reason};
use bartizan_wire::{Fields, header_map};
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::h1_answer::forget_digests;
use super::h2::{Stream, Upload};
use crate::decide::FromUpstream;
use crate::exchange::Exchange;
use crate::piece::Piece;
use crate::record::Record;
use crate::timer::Timer;
use crate::worker::Worker;

/// The body of an answer, with what must live until it is over.
pub(super) struct AnswerStream {
    pub(super) body: StreamBody,
    pub(super) stream: Stream,
}

pub(super) enum StreamBody {
    Local { bytes: Bytes, record: Option<Box<Record>> },
    Upstream(Box<Download>),
}

/// An upstream's body on its way, and what is left of the request's the other way.
pub(super) struct Download {
    exchange: Box<Exchange>,
    upload: Upload,
    record: Record,
    timer: Timer,
    quiet_since: Option<Instant>,
    is_finished: bool,
    /// What is done to the body on its way.
    changes: Option<BodyChanges>,
    /// What follows the last that the changes made.
    trailers: Option<Fields>,
}

type FrameResult = Result<Frame<Bytes>, Broken>;

/// The stream cannot be finished; the client gets a reset.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
pub(super) struct Broken;

impl Download {
    pub(super) fn new(from: FromUpstream, upload: Upload, record: Record, timer: Timer) -> Self {
        Self {
            exchange: from.exchange,
            upload,
            record,
            timer,
            quiet_since: None,
            is_finished: false,
            changes: from.changes,
            trailers: None,
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let worker = self.record.worker().clone();
        if self.is_finished {
            return Poll::Ready(None);
        }
        // An upstream that has answered may stop listening: that ends the upload only.
        if !self.exchange.upload.is_over()
            && let Poll::Ready(Err(denial)) =
                self.exchange.poll_upload(cx, &mut self.upload, &worker.scratch)
            && denial.reason != Reason::UpstreamClosed
        {
            self.record.denial.get_or_insert(denial);
        }
        if let Some(trailers) = self.trailers.take() {
            return self.end(&trailers, &worker);
        }
        match self.exchange.poll_piece(cx, &worker.scratch) {
            Poll::Ready(Ok(piece)) => {
                self.quiet_since = None;
                if self.changes.is_some() {
                    self.change(cx, piece, &worker)
                } else {
                    self.pass(piece, &worker)
                }
            }
            Poll::Ready(Err(denial)) => self.fail(denial),
            Poll::Pending => {
                match self.flushed() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return self.send(data),
                    Err(denial) => return self.fail(denial),
                }
                let since = *self.quiet_since.get_or_insert_with(Instant::now);
                let due = since + self.exchange.read;
                ready!(self.timer.poll(cx, due));
                let detail = "the upstream stopped mid-answer";
                self.fail(Denial::new(Reason::UpstreamTimeout, detail))
            }
        }
    }

    fn pass(&mut self, piece: Piece, worker: &Worker) -> Poll<Option<FrameResult>> {
        let data = match piece {
            Piece::Bytes(bytes) => bytes,
            Piece::Scratch(range) => {
                let buffer = worker.scratch.0.borrow();
                Bytes::copy_from_slice(buffer.get(range).unwrap_or_default())
            }
            Piece::End(trailers) => return self.end(&trailers, worker),
        };
        self.send(data)
    }

    fn send(&mut self, data: Bytes) -> Poll<Option<FrameResult>> {
        self.record.bytes_out = self.record.bytes_out.saturating_add(data.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    /// Passes on what the transforms make of a piece.
    fn change(
        &mut self,
        cx: &mut Context<'_>,
        piece: Piece,
        worker: &Worker,
    ) -> Poll<Option<FrameResult>> {
        match self.changed(piece, worker) {
            Err(denial) => self.fail(denial),
            Ok(data) if !data.is_empty() => self.send(data),
            Ok(_) => {
                if let Some(trailers) = self.trailers.take() {
                    return self.end(&trailers, worker);
                }
                // What costs more than a copy gives way to others after each piece.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn changed(&mut self, piece: Piece, worker: &Worker) -> Result<Bytes, Denial> {
        let Some(changes) = &mut self.changes else { return Ok(Bytes::new()) };
        let changed = match piece {
            Piece::Bytes(bytes) => changes.chunk(&bytes)?,
            Piece::Scratch(range) => {
                let buffer = worker.scratch.0.borrow();
                changes.chunk(buffer.get(range).unwrap_or_default())?
            }
            Piece::End(mut trailers) => {
                forget_digests(&mut trailers);
                self.trailers = Some(trailers);
                changes.end()?
            }
        };
        Ok(Bytes::copy_from_slice(changed))
    }

    /// What waited inside the transforms, now that the upstream pauses.
    fn flushed(&mut self) -> Result<Bytes, Denial> {
        let Some(changes) = &mut self.changes else { return Ok(Bytes::new()) };
        Ok(Bytes::copy_from_slice(changes.flush()?))
    }

    fn end(&mut self, trailers: &Fields, worker: &Worker) -> Poll<Option<FrameResult>> {
        self.is_finished = true;
        self.record.is_complete = true;
        self.record.bytes_in = self.upload.total;
        self.exchange.finish(worker, Instant::now());
        let trailers = header_map(trailers).unwrap_or_else(|_| HeaderMap::new());
        if trailers.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn fail(&mut self, denial: Denial) -> Poll<Option<FrameResult>> {
        self.is_finished = true;
        self.record.denial.get_or_insert(denial);
        self.record.is_complete = true;
        Poll::Ready(Some(Err(Broken)))
    }
}

impl Body for AnswerStream {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        match &mut this.body {
            StreamBody::Upstream(download) => {
                let poll = download.poll(cx);
                if poll.is_ready() {
                    this.stream.waits_for_client();
                } else {
                    this.stream.waits_for_upstream();
                }
                poll
            }
            StreamBody::Local { bytes, record } => {
                if let Some(record) = record {
                    record.is_complete = true;
                }
                if bytes.is_empty() {
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        // Asked before the first frame: an answer without a body is complete with its head.
        false
    }

    fn size_hint(&self) -> SizeHint {
        // The head states the length where there is one to state; a guess would be added to it.
        SizeHint::default()
    }
}
