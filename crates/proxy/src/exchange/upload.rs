//! Sending a request's body.

use std::task::{Context, Poll, ready};

use bartizan_core::{Denial, Reason};
use bartizan_wire::{BodyLength, CHUNK_END, Fields, chunk_head};
use bytes::{Bytes, BytesMut};
use tokio::io::AsyncWrite;

use super::{Downstream, Streamed};
use crate::piece::{Piece, Scratch};
use crate::upstream::UpstreamConnection;

/// Stop taking from the client while this much waits for the upstream.
const WAITING_MAX: usize = 128 * 1_024;

/// Over HTTP/2, pieces that are there together leave together, up to this much: a frame costs some
/// hundred bytes beside its data, and a client may send single bytes.
const PART: usize = 16 * 1_024;

/// Where the body comes from.
#[derive(Debug)]
pub(crate) enum UploadSource {
    /// There is none, or it was sent with the head.
    Nothing,
    /// From the client, as it comes.
    Stream,
    /// From memory, where screening has read it.
    Held(Bytes),
    /// From the client, after what was taken from it before.
    Again(Taken),
}

/// A request's body on its way.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each asked for by name")]
pub(crate) struct Upload {
    source: UploadSource,
    is_chunked: bool,
    /// Bytes of data taken so far, and the most that may be.
    pub(crate) total: u64,
    max: u64,
    /// What sets `max`.
    bound: &'static str,
    is_flushed: bool,
    /// What was sent is not the whole of it, and nothing may follow that could look like its end.
    has_failed: bool,
    /// What stands behind the last chunk stays here.
    drops_trailers: bool,
    /// What was taken from the client, while it is little, to be sent again.
    taken: Option<Taken>,
}

/// A part of a body that was taken from the client, whole from its beginning.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    data: BytesMut,
    /// What stands behind it, where it is all there is.
    end: Option<Fields>,
}

/// No more of a streamed body is kept to be sent again.
const TAKEN_MAX: usize = 64 * 1_024;

impl Upload {
    pub(crate) fn new(
        source: UploadSource,
        length: BodyLength,
        (max, bound): (u64, &'static str),
    ) -> Self {
        let is_chunked = length == BodyLength::Chunked;
        Self {
            source,
            is_chunked,
            total: 0,
            max,
            bound,
            is_flushed: false,
            has_failed: false,
            drops_trailers: false,
            taken: None,
        }
    }

    /// Begins with what another attempt has taken, and keeps what it takes itself for the next.
    pub(crate) fn again(&mut self, taken: Taken) {
        if matches!(self.source, UploadSource::Stream) {
            self.source = UploadSource::Again(taken);
            self.taken = Some(Taken::default());
        }
    }

    /// What was taken from the client, if it is still all at hand.
    pub(crate) fn give_taken(&mut self) -> Option<Taken> {
        let source = std::mem::replace(&mut self.source, UploadSource::Nothing);
        let mut taken = self.taken.take()?;
        if let UploadSource::Again(rest) = source {
            taken.data.unsplit(rest.data);
            taken.end = rest.end;
        }
        Some(taken)
    }

    /// Nothing is sent again once there is an answer.
    pub(super) fn forget_taken(&mut self) {
        self.taken = None;
    }

    /// Lets no trailers through.
    pub(crate) fn drop_trailers(&mut self) {
        self.drops_trailers = true;
    }

    /// True once everything was handed to the connection and left it.
    pub(crate) fn is_done(&self) -> bool {
        self.is_flushed
    }

    /// True once nothing more will be sent, whether all was or not.
    pub(crate) fn is_over(&self) -> bool {
        self.is_flushed || self.has_failed
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut UpstreamConnection,
        downstream: &mut impl Downstream,
        scratch: &Scratch,
    ) -> Poll<Result<(), Denial>> {
        if self.has_failed {
            let detail = "the request's body ended before its end";
            return Poll::Ready(Err(Denial::new(Reason::UpstreamClosed, detail)));
        }
        if self.is_flushed {
            return Poll::Ready(Ok(()));
        }
        let poll = self.poll_rest(cx, connection, downstream, scratch);
        self.has_failed = matches!(poll, Poll::Ready(Err(_)));
        poll
    }

    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut UpstreamConnection,
        downstream: &mut impl Downstream,
        scratch: &Scratch,
    ) -> Poll<Result<(), Denial>> {
        loop {
            match std::mem::replace(&mut self.source, UploadSource::Nothing) {
                // Nothing is sent again over HTTP/1.
                UploadSource::Nothing | UploadSource::Again(_) => break,
                UploadSource::Held(bytes) => {
                    self.total = bytes.len() as u64;
                    send(connection, cx, &bytes)?;
                }
                UploadSource::Stream => {
                    self.source = UploadSource::Stream;
                    if connection.out.len() > WAITING_MAX {
                        ready!(drain(connection, cx))?;
                    }
                    let Poll::Ready(piece) = downstream.poll_body(cx, scratch) else {
                        // What came with the head leaves while the rest is waited for.
                        ready!(drain(connection, cx))?;
                        let io = std::pin::Pin::new(&mut connection.io);
                        if let Poll::Ready(Err(error)) = io.poll_flush(cx) {
                            return Poll::Ready(Err(broken(&error)));
                        }
                        return Poll::Pending;
                    };
                    self.take(cx, connection, piece?, scratch)?;
                }
            }
        }
        ready!(drain(connection, cx))?;
        ready!(std::pin::Pin::new(&mut connection.io).poll_flush(cx)).map_err(|e| broken(&e))?;
        self.is_flushed = true;
        Poll::Ready(Ok(()))
    }

    fn take(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut UpstreamConnection,
        piece: Piece,
        scratch: &Scratch,
    ) -> Result<(), Denial> {
        match piece {
            Piece::Scratch(range) => {
                let buffer = scratch.0.borrow();
                self.put(cx, connection, buffer.get(range).unwrap_or_default())
            }
            Piece::Bytes(bytes) => self.put(cx, connection, &bytes),
            Piece::End(mut trailers) => {
                self.source = UploadSource::Nothing;
                if self.drops_trailers {
                    trailers.clear();
                }
                if self.is_chunked {
                    end_chunks(connection.out.bytes(), &trailers);
                }
                Ok(())
            }
        }
    }

    fn count(&mut self, size: usize) -> Result<(), Denial> {
        self.total = self.total.saturating_add(size as u64);
        if self.total > self.max {
            let (max, bound) = (self.max, self.bound);
            let detail = format!("the body grew beyond {max} bytes, over {bound}");
            return Err(Denial::new(Reason::BodyTooLarge, detail));
        }
        Ok(())
    }

    fn put(
        &mut self,
        cx: &mut Context<'_>,
        connection: &mut UpstreamConnection,
        data: &[u8],
    ) -> Result<(), Denial> {
        self.count(data.len())?;
        if self.is_chunked {
            chunk_head(data.len(), connection.out.bytes());
            send(connection, cx, data)?;
            connection.out.bytes().extend_from_slice(CHUNK_END);
            return Ok(());
        }
        send(connection, cx, data)
    }
}

impl Upload {
    /// The same over HTTP/2.
    pub(super) fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Streamed,
        downstream: &mut impl Downstream,
        scratch: &Scratch,
    ) -> Poll<Result<(), Denial>> {
        if self.has_failed {
            let detail = "the request's body ended before its end";
            return Poll::Ready(Err(Denial::new(Reason::UpstreamClosed, detail)));
        }
        if self.is_flushed {
            return Poll::Ready(Ok(()));
        }
        let poll = self.poll_frames(cx, stream, downstream, scratch);
        self.has_failed = matches!(poll, Poll::Ready(Err(_)));
        self.is_flushed = matches!(poll, Poll::Ready(Ok(())));
        poll
    }

    fn poll_frames(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Streamed,
        downstream: &mut impl Downstream,
        scratch: &Scratch,
    ) -> Poll<Result<(), Denial>> {
        loop {
            ready!(stream.poll_sent(cx))?;
            match std::mem::replace(&mut self.source, UploadSource::Nothing) {
                UploadSource::Nothing => return Poll::Ready(Ok(())),
                UploadSource::Held(bytes) => {
                    self.total = bytes.len() as u64;
                    stream.put(bytes);
                    stream.end(Fields::new());
                }
                UploadSource::Again(Taken { data, end }) => {
                    self.source = UploadSource::Stream;
                    self.pass(stream, data.freeze(), end)?;
                }
                UploadSource::Stream => {
                    self.source = UploadSource::Stream;
                    let (data, end) = ready!(poll_part(cx, downstream, scratch))?;
                    self.pass(stream, data, end)?;
                }
            }
        }
    }

    fn pass(
        &mut self,
        stream: &mut Streamed,
        data: Bytes,
        end: Option<Fields>,
    ) -> Result<(), Denial> {
        self.count(data.len())?;
        self.taken = self.taken.take().filter(|taken| taken.data.len() + data.len() <= TAKEN_MAX);
        if let Some(taken) = &mut self.taken {
            taken.data.extend_from_slice(&data);
        }
        stream.put(data);
        let Some(mut trailers) = end else { return Ok(()) };
        self.source = UploadSource::Nothing;
        if self.drops_trailers {
            trailers.clear();
        }
        if let Some(taken) = &mut self.taken {
            taken.end = Some(trailers.clone());
        }
        stream.end(trailers);
        Ok(())
    }
}

/// What the client has sent by now, and the trailers where that is all of it.
fn poll_part(
    cx: &mut Context<'_>,
    downstream: &mut impl Downstream,
    scratch: &Scratch,
) -> Poll<Result<(Bytes, Option<Fields>), Denial>> {
    let mut part = BytesMut::new();
    while part.len() < PART {
        match downstream.poll_body(cx, scratch) {
            Poll::Ready(Ok(Piece::Bytes(bytes))) if part.is_empty() => part = bytes.into(),
            Poll::Ready(Ok(Piece::Bytes(bytes))) => part.extend_from_slice(&bytes),
            Poll::Ready(Ok(Piece::Scratch(range))) => {
                let buffer = scratch.0.borrow();
                part.extend_from_slice(buffer.get(range).unwrap_or_default());
            }
            Poll::Ready(Ok(Piece::End(trailers))) => {
                return Poll::Ready(Ok((part.freeze(), Some(trailers))));
            }
            Poll::Ready(Err(denial)) => return Poll::Ready(Err(denial)),
            Poll::Pending if part.is_empty() => return Poll::Pending,
            Poll::Pending => break,
        }
    }
    Poll::Ready(Ok((part.freeze(), None)))
}

/// The last chunk and what follows it (RFC 9112 §7.1.2).
pub(crate) fn end_chunks(out: &mut Vec<u8>, trailers: &Fields) {
    out.extend_from_slice(b"0\r\n");
    for field in trailers.iter() {
        out.extend_from_slice(field.name);
        out.extend_from_slice(b": ");
        out.extend_from_slice(field.value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

fn send(
    connection: &mut UpstreamConnection,
    cx: &mut Context<'_>,
    data: &[u8],
) -> Result<(), Denial> {
    connection.out.send(cx, &mut connection.io, data).map_err(|e| broken(&e))
}

fn drain(connection: &mut UpstreamConnection, cx: &mut Context<'_>) -> Poll<Result<(), Denial>> {
    connection.out.poll_drain(cx, &mut connection.io).map_err(|e| broken(&e))
}

fn broken(error: &std::io::Error) -> Denial {
    Denial::new(Reason::UpstreamClosed, format!("sending to the upstream: {error}"))
}
