//! Passing an upstream's body on to an HTTP/1 client, copied or inside the kernel.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_chain::BodyChanges;
use bartizan_core::Denial;
use bartizan_wire::{CHUNK_END, chunk_head};
use tokio::net::TcpStream;

use super::h1::{H1, Transport};
use super::h1_answer::{forget_digests, gone};
use crate::exchange::{Exchange, end_chunks};
use crate::outbox::Outbox;
use crate::piece::{Piece, Scratch};
use crate::splice::{Follows, LENGTH_MIN, Pipe};
use crate::worker::Worker;

/// Stop taking from the upstream while this much waits for the client.
const WAITING_MAX: usize = 128 * 1_024;

/// Chunks up to this size leave with what follows them: a copy is cheaper than a system call.
const COPIED_MAX: usize = 8 * 1_024;

/// After so much, other connections have their turn.
const TURN_MAX: u64 = 1_024 * 1_024;

/// Where a body is on its way.
pub(super) struct Pump {
    is_chunked: bool,
    is_finished: bool,
    /// Bytes of data passed on.
    pub(super) sent: u64,
    /// What ended the upload before its end.
    pub(super) upload_fault: Option<Denial>,
    /// What is done to the body on its way.
    changes: Option<BodyChanges>,
    /// What went into that.
    pub(super) swallowed: u64,
    /// Whether the rest of the body may pass inside the kernel.
    may_pass: bool,
    /// Holds what of it the client has not taken yet.
    pipe: Option<Pipe>,
}

impl Pump {
    /// The beginning of a body, which may pass inside the kernel where nothing changes it, its
    /// length is stated, and it leaves in clear as it came.
    pub(super) fn new(
        exchange: &Exchange,
        changes: Option<BodyChanges>,
        is_chunked: bool,
        is_clear: bool,
    ) -> Self {
        let is_untouched = changes.is_none() && !is_chunked;
        let may_pass = is_untouched && is_clear && exchange.passable() >= LENGTH_MIN;
        Self {
            is_chunked,
            is_finished: false,
            sent: 0,
            upload_fault: None,
            changes,
            swallowed: 0,
            may_pass,
            pipe: None,
        }
    }

    /// Passes on what there is, both ways. Ready when the answer has left.
    pub(super) fn poll<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        exchange: &mut Exchange,
        worker: &Worker,
    ) -> Poll<Result<(), Denial>> {
        let scratch = &worker.scratch;
        let is_uploading = !exchange.upload.is_done() && self.upload_fault.is_none();
        if is_uploading && !self.is_finished {
            // An upstream that has answered may stop listening: that ends the upload, not the
            // answer.
            if let Poll::Ready(Err(denial)) = exchange.poll_upload(cx, h1, scratch) {
                self.upload_fault = Some(denial);
            }
        }
        if self.may_pass {
            ready!(self.poll_pass(cx, h1, exchange, worker))?;
        }
        loop {
            let mut is_waiting = false;
            while !self.is_finished && h1.out.len() < WAITING_MAX {
                let Poll::Ready(piece) = exchange.poll_piece(cx, scratch) else {
                    is_waiting = true;
                    self.flush(cx, h1)?;
                    break;
                };
                if self.changes.is_some() {
                    self.pass_changed(cx, h1, piece?, scratch)?;
                    // What costs more than a copy gives way to others after each piece.
                    is_waiting = true;
                    cx.waker().wake_by_ref();
                    break;
                }
                self.pass(cx, h1, piece?, scratch).map_err(|error| gone(&error))?;
            }
            ready!(h1.out.poll_drain(cx, &mut h1.io)).map_err(|error| gone(&error))?;
            if self.is_finished {
                return Pin::new(&mut h1.io).poll_flush(cx).map_err(|error| gone(&error));
            }
            if is_waiting {
                return match Pin::new(&mut h1.io).poll_flush(cx) {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(gone(&error))),
                    _ => Poll::Pending,
                };
            }
        }
    }

    /// Bytes in the pipe.
    pub(super) fn held(&self) -> usize {
        self.pipe.as_ref().map_or(0, Pipe::held)
    }

    /// Passes the body on inside the kernel. Ready once nothing more can go that way.
    fn poll_pass<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        exchange: &mut Exchange,
        worker: &Worker,
    ) -> Poll<Result<(), Denial>> {
        let (Some(mut pipe), Some(target)) =
            (self.pipe.take().or_else(|| worker.pipes.take()), h1.io.clear())
        else {
            self.may_pass = false;
            return Poll::Ready(Ok(()));
        };
        let poll = self.poll_through(cx, &mut pipe, &mut h1.out, target, exchange);
        if pipe.held() == 0 {
            worker.pipes.give(pipe);
        } else {
            self.pipe = Some(pipe);
        }
        poll
    }

    /// The same through a pipe, which is filled only once the client has taken all that it held.
    fn poll_through(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut Pipe,
        out: &mut Outbox,
        target: &TcpStream,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Denial>> {
        let came_with_head = exchange.take_received()?;
        self.sent = self.sent.saturating_add(came_with_head.len() as u64);
        out.bytes().extend_from_slice(&came_with_head);
        let turn_end = self.sent.saturating_add(TURN_MAX);
        while pipe.held() > 0 || exchange.passable() > 0 {
            if self.sent >= turn_end {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if pipe.held() == 0 && exchange.poll_fill(cx, pipe)?.is_pending() {
                let drained = out.poll_drain_socket(cx, target, Follows::Nothing);
                return match drained {
                    Poll::Ready(Err(error)) => Poll::Ready(Err(gone(&error))),
                    _ => Poll::Pending,
                };
            }
            if pipe.is_unfit() {
                break;
            }
            let drained = out.poll_drain_socket(cx, target, Follows::AtOnce);
            ready!(drained).map_err(|error| gone(&error))?;
            let count = ready!(pipe.poll_drain(cx, target)).map_err(|error| gone(&error))?;
            self.sent = self.sent.saturating_add(count as u64);
        }
        self.may_pass = false;
        Poll::Ready(Ok(()))
    }

    fn pass<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        piece: Piece,
        scratch: &Scratch,
    ) -> std::io::Result<()> {
        match piece {
            Piece::Scratch(range) => {
                let buffer = scratch.0.borrow();
                self.put(cx, h1, buffer.get(range).unwrap_or_default())
            }
            Piece::Bytes(bytes) if !self.is_chunked && bytes.len() <= COPIED_MAX => {
                // What came with the head leaves together with what follows.
                self.sent = self.sent.saturating_add(bytes.len() as u64);
                h1.out.bytes().extend_from_slice(&bytes);
                Ok(())
            }
            Piece::Bytes(bytes) => self.put(cx, h1, &bytes),
            Piece::End(trailers) => {
                self.is_finished = true;
                if self.is_chunked {
                    end_chunks(h1.out.bytes(), &trailers);
                }
                Ok(())
            }
        }
    }

    /// Passes on what the transforms make of a piece.
    fn pass_changed<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        piece: Piece,
        scratch: &Scratch,
    ) -> Result<(), Denial> {
        let Some(mut changes) = self.changes.take() else { return Ok(()) };
        let (changed, trailers) = match piece {
            Piece::Scratch(range) => {
                self.swallowed = self.swallowed.wrapping_add(range.len() as u64);
                let buffer = scratch.0.borrow();
                (changes.chunk(buffer.get(range).unwrap_or_default())?, None)
            }
            Piece::Bytes(bytes) => {
                self.swallowed = self.swallowed.wrapping_add(bytes.len() as u64);
                (changes.chunk(&bytes)?, None)
            }
            Piece::End(trailers) => (changes.end()?, Some(trailers)),
        };
        let put = self.put_some(cx, h1, changed);
        self.changes = Some(changes);
        put.map_err(|error| gone(&error))?;
        let Some(mut trailers) = trailers else { return Ok(()) };
        forget_digests(&mut trailers);
        self.pass(cx, h1, Piece::End(trailers), scratch).map_err(|error| gone(&error))
    }

    /// The upstream pauses: what waits inside the transforms goes out, where the client cannot
    /// know that more will come.
    fn flush<T: Transport>(&mut self, cx: &mut Context<'_>, h1: &mut H1<T>) -> Result<(), Denial> {
        let Some(mut changes) = self.changes.take() else { return Ok(()) };
        let flushed = changes.flush()?;
        let put = self.put_some(cx, h1, flushed);
        self.changes = Some(changes);
        put.map_err(|error| gone(&error))
    }

    /// A chunk of no length would be the last one.
    fn put_some<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        data: &[u8],
    ) -> std::io::Result<()> {
        if data.is_empty() { Ok(()) } else { self.put(cx, h1, data) }
    }

    fn put<T: Transport>(
        &mut self,
        cx: &mut Context<'_>,
        h1: &mut H1<T>,
        data: &[u8],
    ) -> std::io::Result<()> {
        self.sent = self.sent.saturating_add(data.len() as u64);
        if self.is_chunked {
            chunk_head(data.len(), h1.out.bytes());
            if data.len() <= COPIED_MAX {
                h1.out.bytes().extend_from_slice(data);
            } else {
                h1.out.send(cx, &mut h1.io, data)?;
            }
            h1.out.bytes().extend_from_slice(CHUNK_END);
            return Ok(());
        }
        h1.out.send(cx, &mut h1.io, data)
    }
}
