//! HTTP/1 from clients: one task reads a request, drives its exchange, writes the answer, and goes
//! on to the next.

use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bartizan_core::{Denial, Reason};
use bartizan_wire::{
    BodyLength, BodyReader, CONTINUE, ChunkLimits, ConnectionUse, HeadRefusal, HeadScan, Progress,
    RequestHead, Version, parse_request,
};
use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;

use super::h1_answer::{self, Next};
use crate::contain::contain;
use crate::decide::{Answer, Connection, decide};
use crate::exchange::Downstream;
use crate::outbox::Outbox;
use crate::piece::{Piece, Scratch};
use crate::record::Record;
use crate::timer::Timer;
use crate::worker::Worker;

/// What is read ahead of the request being served, at most.
const AHEAD_MAX: usize = 16 * 1_024;
/// What is read and thrown away from a client that is told to go, at most.
const LINGER_MAX: usize = 256 * 1_024;
/// How long a client that is told to go may take.
const LINGER_TIME: std::time::Duration = std::time::Duration::from_secs(2);

/// A client's connection.
pub(crate) struct H1<T> {
    pub(crate) io: T,
    /// Received and not yet dealt with.
    received: BytesMut,
    pub(crate) out: Outbox,
    scan: HeadScan,
    body: BodyReader,
    chunk_limits: ChunkLimits,
    /// The client waits for `100 Continue`.
    owes_continue: bool,
    /// `100 Continue` is on its way out.
    is_continuing: bool,
    /// The client has closed its side.
    is_closed: bool,
    /// When the last answer was complete.
    pub(super) last_active: Instant,
}

/// What came of waiting for a head.
enum Arrived {
    Head(Box<RequestHead>),
    Refused(HeadRefusal),
    /// The client closed.
    Nothing,
    /// The client was silent too long without having begun.
    Silent,
    /// The client began and did not finish in time.
    TooSlow,
}

/// What a client's connection goes over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Has the peer see that the connection broke rather than closed, when it is dropped.
    fn sever(&self);

    /// The socket, where bytes written to it reach the client as they are.
    fn clear(&self) -> Option<&TcpStream> {
        None
    }
}

impl Transport for TcpStream {
    fn clear(&self) -> Option<&TcpStream> {
        Some(self)
    }

    fn sever(&self) {
        // Where it cannot be set, the peer sees an end that came early.
        let _ = SockRef::from(self).set_linger(Some(std::time::Duration::ZERO));
    }
}

impl Transport for TlsStream<TcpStream> {
    fn sever(&self) {
        // No `close_notify` is sent either (RFC 8446 §6.1).
        self.get_ref().0.sever();
    }
}

impl Transport for DuplexStream {
    fn sever(&self) {}
}

/// Serves a connection until it ends.
pub(crate) async fn serve<T>(io: T, connection: Rc<Connection>, worker: Rc<Worker>)
where
    T: Transport,
{
    let limits = &worker.shared.node.limits;
    let mut h1 = H1::new(io, worker.shared.response_limits.chunks);
    let mut due = h1.last_active + limits.first_byte.0;
    let mut timer = Timer::new(due);
    for count in 1..=limits.requests_per_connection {
        let is_last = count == limits.requests_per_connection;
        let next = match h1.arrive(&worker, &mut timer, due).await {
            Arrived::Head(head) => {
                let outcome =
                    contain(pin!(h1.exchange(head, is_last, &connection, &worker, &mut timer)))
                        .await;
                match outcome {
                    Ok(next) => next,
                    Err(_) => h1.apologise(&mut timer).await,
                }
            }
            Arrived::Refused(refusal) => {
                let mut record = Record::new(&worker, &connection.peer);
                record.note_refused(&refusal.line, Version::Http11);
                let denial = Denial::new(refusal.reason, refusal.detail);
                h1.refuse(denial, record, &worker, &mut timer).await
            }
            Arrived::TooSlow => {
                let record = Record::new(&worker, &connection.peer);
                let denial = Denial::new(
                    Reason::ClientTimeout,
                    "the header took longer than `limits.header_time`",
                );
                h1.refuse(denial, record, &worker, &mut timer).await
            }
            Arrived::Nothing => Next::Close,
            Arrived::Silent => {
                let limit = if count == 1 { "first_byte" } else { "idle" };
                worker.shared.metrics.limit_hit(limit);
                Next::Close
            }
        };
        match next {
            Next::Another => due = h1.last_active + limits.idle.0,
            Next::Linger => return h1.linger(&worker, &mut timer).await,
            Next::Sever => return h1.io.sever(),
            Next::Close => break,
        }
    }
    // The peer may be gone already; there is no one left to tell.
    let _ = timer.bound(Instant::now() + LINGER_TIME, h1.io.shutdown()).await;
}

impl<T: Transport> H1<T> {
    fn new(io: T, chunk_limits: ChunkLimits) -> Self {
        Self {
            io,
            received: BytesMut::new(),
            out: Outbox::default(),
            scan: HeadScan::default(),
            body: BodyReader::new(BodyLength::None, chunk_limits),
            chunk_limits,
            owes_continue: false,
            is_continuing: false,
            is_closed: false,
            last_active: Instant::now(),
        }
    }

    /// Waits for the next head: until `due` for its first byte, then as long as a head may take.
    async fn arrive(&mut self, worker: &Worker, timer: &mut Timer, due: Instant) -> Arrived {
        let limits = &worker.shared.head_limits;
        let header_time = worker.shared.node.limits.header_time.0;
        let mut due = due;
        let mut has_begun = false;
        std::future::poll_fn(|cx| {
            loop {
                if !self.received.is_empty() {
                    match parse_request(&mut self.received, &mut self.scan, limits) {
                        Ok(Progress::Complete(head)) => {
                            return Poll::Ready(Arrived::Head(Box::new(head)));
                        }
                        Err(refusal) => return Poll::Ready(Arrived::Refused(refusal)),
                        Ok(Progress::Partial) if !has_begun => {
                            has_begun = true;
                            due = Instant::now() + header_time;
                        }
                        Ok(Progress::Partial) => {}
                    }
                }
                match self.poll_fill(cx, &worker.scratch) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Arrived::Nothing),
                    Poll::Ready(Ok(_)) => {}
                    Poll::Pending => {
                        let is_late = timer.poll(cx, due).is_ready();
                        return match (is_late, has_begun) {
                            (false, _) => Poll::Pending,
                            (true, true) => Poll::Ready(Arrived::TooSlow),
                            (true, false) => Poll::Ready(Arrived::Silent),
                        };
                    }
                }
            }
        })
        .await
    }

    /// Reads what there is behind what was received.
    fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &Scratch,
    ) -> Poll<std::io::Result<usize>> {
        let scratch = &mut *scratch.0.borrow_mut();
        let mut buf = ReadBuf::new(scratch);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        let filled = buf.filled();
        self.received.extend_from_slice(filled);
        self.is_closed = filled.is_empty();
        Poll::Ready(Ok(filled.len()))
    }

    /// Serves one request.
    async fn exchange(
        &mut self,
        head: Box<RequestHead>,
        is_last: bool,
        connection: &Connection,
        worker: &Rc<Worker>,
        timer: &mut Timer,
    ) -> Next {
        let mut record = Record::new(worker, &connection.peer);
        self.out.renew();
        self.body = BodyReader::new(head.body, self.chunk_limits);
        self.owes_continue = head.expects_continue;
        let request = h1_answer::Asked {
            method: head.method.clone(),
            version: head.version,
            may_continue: head.connection == ConnectionUse::KeepAlive
                && !is_last
                && !worker.is_draining(),
            is_clients_last: head.connection == ConnectionUse::Close,
        };
        let answer = decide(connection, head, self, &mut record, timer).await;
        record.bytes_in = self.body.total();
        h1_answer::write(self, answer, &request, &mut record, timer).await
    }

    /// Answers a head that could not be understood; the connection has no next message.
    async fn refuse(
        &mut self,
        denial: Denial,
        mut record: Record,
        worker: &Worker,
        timer: &mut Timer,
    ) -> Next {
        let (head, body) =
            crate::answer::refuse(&denial, record.id, worker.shared.node.compatibility);
        record.status = head.status.as_u16();
        record.denial = Some(denial);
        let answer = Answer::local(head, body, true);
        let request = h1_answer::Asked {
            method: http::Method::GET,
            version: Version::Http11,
            may_continue: false,
            is_clients_last: false,
        };
        h1_answer::write(self, answer, &request, &mut record, timer).await
    }

    /// After a panic: an answer if none was begun, and the end of the connection.
    async fn apologise(&mut self, timer: &mut Timer) -> Next {
        const SORRY: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\n\
            content-length: 0\r\nconnection: close\r\n\r\n";
        if self.out.is_fresh() {
            let sending = async {
                self.io.write_all(SORRY).await?;
                self.io.flush().await
            };
            // The client may be gone; the event is written already.
            let _ = timer.bound(Instant::now() + LINGER_TIME, sending).await;
            return Next::Linger;
        }
        Next::Close
    }

    /// Lets the client read its answer before the connection is torn down: closing with unread
    /// data would reset it, and the answer with it (RFC 9112 §9.6).
    async fn linger(&mut self, worker: &Worker, timer: &mut Timer) {
        let due = Instant::now() + LINGER_TIME;
        if timer.bound(due, self.io.shutdown()).await.is_none() {
            return;
        }
        let mut seen = 0;
        std::future::poll_fn(|cx| {
            loop {
                let scratch = &mut *worker.scratch.0.borrow_mut();
                let mut buf = ReadBuf::new(scratch);
                match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => seen += buf.filled().len(),
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return timer.poll(cx, due),
                }
                if seen > LINGER_MAX {
                    return Poll::Ready(());
                }
            }
        })
        .await;
    }

    /// Takes what is left of the body from what has arrived; true if that was all of it.
    pub(crate) fn skip_body(&mut self) -> bool {
        while !self.body.is_done() && !self.received.is_empty() && !self.owes_continue {
            let Ok(taken) = self.body.take(&self.received) else { return false };
            if taken.consumed == 0 {
                break;
            }
            let _ = self.received.split_to(taken.consumed);
        }
        self.body.is_done()
    }

    /// What leaves from here on is the answer.
    pub(super) fn begin_answer(&mut self) {
        self.is_continuing = false;
        self.out.renew();
    }

    /// Bytes of the body read so far.
    pub(crate) fn body_total(&self) -> u64 {
        self.body.total()
    }

    fn take_received(&mut self) -> Result<Option<Bytes>, Denial> {
        while !self.received.is_empty() && !self.body.is_done() {
            let taken = self.body.take(&self.received).map_err(bad_body)?;
            let consumed = self.received.split_to(taken.consumed).freeze();
            if !taken.data.is_empty() {
                return Ok(Some(consumed.slice(taken.data)));
            }
            if taken.consumed == 0 {
                break;
            }
        }
        Ok(None)
    }
}

fn bad_body(fault: bartizan_wire::ChunkFault) -> Denial {
    Denial::new(fault.reason, fault.detail)
}

impl<T: Transport> Downstream for H1<T> {
    fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        scratch: &Scratch,
    ) -> Poll<Result<Piece, Denial>> {
        if std::mem::take(&mut self.owes_continue) && self.received.is_empty() {
            self.out.bytes().extend_from_slice(CONTINUE);
            self.is_continuing = true;
        }
        // What else waits there is the answer, which is not sent from here.
        if self.is_continuing {
            let sent = ready!(self.out.poll_drain(cx, &mut self.io));
            let flushed = match sent {
                Ok(()) => ready!(Pin::new(&mut self.io).poll_flush(cx)),
                Err(error) => Err(error),
            };
            flushed.map_err(|e| Denial::new(Reason::ClientGone, format!("100 Continue: {e}")))?;
            self.out.renew();
            self.is_continuing = false;
        }
        loop {
            if let Some(bytes) = self.take_received()? {
                return Poll::Ready(Ok(Piece::Bytes(bytes)));
            }
            if self.body.is_done() {
                return Poll::Ready(Ok(Piece::End(self.body.take_trailers())));
            }
            let buffer = &mut *scratch.0.borrow_mut();
            let mut buf = ReadBuf::new(buffer);
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf));
            read.map_err(|e| Denial::new(Reason::ClientGone, format!("reading the body: {e}")))?;
            let filled = buf.filled();
            if filled.is_empty() {
                self.is_closed = true;
                let detail = "the client closed before the body was complete";
                return Poll::Ready(Err(Denial::new(Reason::ClientGone, detail)));
            }
            if !self.received.is_empty() {
                // An unfinished chunk line: decide on it and what follows in one piece.
                self.received.extend_from_slice(filled);
                continue;
            }
            let taken = self.body.take(filled).map_err(bad_body)?;
            self.received.extend_from_slice(filled.get(taken.consumed..).unwrap_or_default());
            if !taken.data.is_empty() {
                return Poll::Ready(Ok(Piece::Scratch(taken.data)));
            }
        }
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>, scratch: &Scratch) -> Poll<()> {
        while !self.is_closed {
            if self.received.len() >= AHEAD_MAX {
                return Poll::Pending;
            }
            if ready!(self.poll_fill(cx, scratch)).is_err() {
                break;
            }
        }
        Poll::Ready(())
    }

    fn is_body_done(&self) -> bool {
        self.body.is_done()
    }
}
