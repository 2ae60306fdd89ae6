//! Writing an answer to an HTTP/1 client.

use std::pin::Pin;
use std::task::{Poll, ready};

use bartizan_core::{Denial, Reason};
use bartizan_wire::{
    BodyLength, CHUNK_END, ConnectionUse, Fields, OutgoingResponse, Version, chunk_head,
    encode_response,
};
use bytes::Bytes;
use http::Method;
use tokio::time::Instant;

use super::h1::{H1, Transport};
use super::h1_pump::Pump;
use super::websocket;
use crate::decide::{Answer, AnswerBody, FromUpstream, refusal};
use crate::exchange::{Downstream, Exchange, end_chunks};
use crate::grpc;
use crate::record::Record;
use crate::shape::shape;
use crate::timer::Timer;

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next request may come.
    Another,
    /// The client is told to go, and may still be sending.
    Linger,
    /// It ends.
    Close,
    /// It is torn down, since a plain end would pass for that of the answer.
    Sever,
}

/// What of the request decides how the answer is framed.
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) version: Version,
    pub(super) may_continue: bool,
    /// The client itself said that nothing more comes.
    pub(super) is_clients_last: bool,
}

/// Writes an answer and says what becomes of the connection.
pub(super) async fn write<T: Transport>(
    h1: &mut H1<T>,
    answer: Answer,
    asked: &Asked,
    record: &mut Record,
    timer: &mut Timer,
) -> Next {
    let answer = match answer {
        Answer { head, body: AnswerBody::Switched(switched), .. } => {
            // PERF: boxed, so that the connections of which nothing is asked are no larger for it.
            let serving = websocket::serve(h1, head, switched, asked, record, timer);
            return Box::pin(serving).await;
        }
        answer => answer,
    };
    let is_local = matches!(answer.body, AnswerBody::Local(_));
    let is_body_done = if is_local { h1.skip_body() } else { h1.is_body_done() };
    let (length, declared_length, must_end) = framing(&answer, asked);
    let may_continue = asked.may_continue && is_body_done && !answer.must_close && !must_end;
    let head = OutgoingResponse {
        status: answer.head.status,
        version: asked.version,
        method: &asked.method,
        fields: &answer.head.fields,
        body: length,
        declared_length,
        connection: if may_continue { ConnectionUse::KeepAlive } else { ConnectionUse::Close },
    };
    let must_close = answer.must_close;
    h1.begin_answer();
    if is_local {
        h1.out.bytes().reserve(512);
    }
    if let Err(fault) = encode_response(h1.out.bytes(), &head) {
        // An answer that would not be valid HTTP is not sent; there is nothing to put in its place
        // that the same fields would not break.
        record.denial = Some(Denial::new(Reason::Internal, fault.detail));
        record.status = 500;
        return Next::Close;
    }
    let has_body = length != BodyLength::None && asked.method != Method::HEAD;
    let sent = match answer.body {
        AnswerBody::Local(body) => {
            let body = if has_body { body } else { Bytes::new() };
            let trailers = Some(&answer.trailers).filter(|_| length == BodyLength::Chunked);
            send_local(h1, &body, trailers, record, timer).await
        }
        AnswerBody::Upstream(from) => {
            let is_chunked = length == BodyLength::Chunked;
            send_upstream(h1, from, is_chunked, record, timer).await
        }
        AnswerBody::Switched(_) => Err(Denial::new(Reason::Internal, "a switch that was served")),
    };
    match sent {
        Ok(()) => record.is_complete = true,
        Err(denial) => {
            let is_replaceable = h1.out.is_fresh() && is_upstreams_fault(denial.reason);
            record.denial.get_or_insert(denial);
            if is_replaceable {
                return Box::pin(replace(h1, asked, record, timer)).await;
            }
            record.is_complete = true;
            return if length == BodyLength::UntilClose { Next::Sever } else { Next::Close };
        }
    }
    if may_continue {
        Next::Another
    } else if is_body_done && !must_close && (asked.is_clients_last || must_end) {
        Next::Close
    } else {
        Next::Linger
    }
}

pub(super) fn is_upstreams_fault(reason: Reason) -> bool {
    use Reason::{AnswerUnreadable, UpstreamClosed, UpstreamMalformed, UpstreamTimeout};
    matches!(reason, UpstreamClosed | UpstreamMalformed | UpstreamTimeout | AnswerUnreadable)
}

/// An upstream's answer broke before any of it had left: the client gets a refusal in its place,
/// shaped like every other.
async fn replace<T: Transport>(
    h1: &mut H1<T>,
    asked: &Asked,
    record: &mut Record,
    timer: &mut Timer,
) -> Next {
    let worker = record.worker().clone();
    let Some(denial) = record.denial.take() else { return Next::Close };
    h1.out.discard();
    let answer = refusal(record, denial, &worker);
    let is_head = asked.method == Method::HEAD;
    // Nothing of a refusal comes from elsewhere, so that there is nothing to wait for.
    let mut answer = shape(answer, is_head, h1, record, timer, Instant::now()).await;
    answer.head.fields.append(Bytes::from_static(b"date"), worker.date());
    record.status = answer.head.status.as_u16();
    grpc::dress(&mut answer, record);
    write(h1, answer, asked, record, timer).await
}

/// How the client will know where the body ends, and whether only the end of the connection can
/// tell it.
fn framing(answer: &Answer, asked: &Asked) -> (BodyLength, Option<u64>, bool) {
    let bodiless =
        answer.head.status.is_informational() || matches!(answer.head.status.as_u16(), 204 | 304);
    match &answer.body {
        AnswerBody::Local(body) => {
            let length = body.len() as u64;
            if bodiless {
                (BodyLength::None, None, false)
            } else if asked.method == Method::HEAD {
                (BodyLength::None, Some(length), false)
            } else if !answer.trailers.is_empty() && asked.version != Version::Http10 {
                (BodyLength::Chunked, None, false)
            } else {
                (BodyLength::Fixed(length), None, false)
            }
        }
        AnswerBody::Upstream(from) => match (from.length, asked.version) {
            (BodyLength::Chunked | BodyLength::UntilClose, Version::Http10) => {
                (BodyLength::UntilClose, None, true)
            }
            (BodyLength::Chunked | BodyLength::UntilClose, _) => (BodyLength::Chunked, None, false),
            (length, _) => (length, from.declared, false),
        },
        AnswerBody::Switched(_) => (BodyLength::None, None, true),
    }
}

async fn send_local<T: Transport>(
    h1: &mut H1<T>,
    body: &[u8],
    trailers: Option<&Fields>,
    record: &mut Record,
    timer: &mut Timer,
) -> Result<(), Denial> {
    if trailers.is_some() && !body.is_empty() {
        chunk_head(body.len(), h1.out.bytes());
    }
    h1.out.bytes().extend_from_slice(body);
    if let Some(trailers) = trailers {
        if !body.is_empty() {
            h1.out.bytes().extend_from_slice(CHUNK_END);
        }
        end_chunks(h1.out.bytes(), trailers);
    }
    record.bytes_out = body.len() as u64;
    let due = Instant::now() + record.worker().shared.node.limits.idle.0;
    let sending = std::future::poll_fn(|cx| {
        ready!(h1.out.poll_drain(cx, &mut h1.io))?;
        Pin::new(&mut h1.io).poll_flush(cx)
    });
    match timer.bound(due, sending).await {
        Some(Ok(())) => {
            h1.last_active = Instant::now();
            Ok(())
        }
        Some(Err(error)) => Err(gone(&error)),
        None => Err(Denial::new(
            Reason::ClientTimeout,
            "the client did not read its answer within `limits.idle`",
        )),
    }
}

/// Passes an upstream's body on, and what is left of the request's the other way.
async fn send_upstream<T: Transport>(
    h1: &mut H1<T>,
    from: FromUpstream,
    is_chunked: bool,
    record: &mut Record,
    timer: &mut Timer,
) -> Result<(), Denial> {
    let worker = record.worker().clone();
    let limits = &worker.shared.node.limits;
    let FromUpstream { mut exchange, changes, .. } = from;
    let is_clear = h1.io.clear().is_some();
    let mut pump = Pump::new(&exchange, changes, is_chunked, is_clear);
    let mut quiet_since = None;
    let mut seen = (0, usize::MAX, 0);
    let outcome = std::future::poll_fn(|cx| {
        let poll = pump.poll(cx, h1, &mut exchange, &worker);
        if poll.is_ready() {
            return poll;
        }
        if let Poll::Ready(denial) = exchange.poll_end(cx, timer) {
            return Poll::Ready(Err(denial));
        }
        let waiting = h1.out.len() + pump.held();
        let moved = pump.sent.wrapping_add(pump.swallowed);
        let now = (moved, waiting, exchange.sent_meanwhile());
        if now != seen || quiet_since.is_none() {
            seen = now;
            quiet_since = Some(Instant::now());
        }
        let since = quiet_since.unwrap_or_else(Instant::now);
        if waiting == 0 {
            return timer.poll(cx, exchange.due(since)).map(|()| Err(Exchange::late()));
        }
        let detail = "the client read nothing for `limits.idle`";
        let late = || Err(Denial::new(Reason::ClientTimeout, detail));
        timer.poll(cx, since + limits.idle.0).map(|()| late())
    })
    .await;
    record.bytes_out = pump.sent;
    record.bytes_in = h1.body_total();
    if let Some(denial) = pump.upload_fault
        && denial.reason != Reason::UpstreamClosed
    {
        record.denial.get_or_insert(denial);
    }
    if outcome.is_ok() {
        // What came in one piece behind its head took no time of its own.
        let at_once = exchange.answered.filter(|_| quiet_since.is_none());
        let now = at_once.unwrap_or_else(Instant::now);
        h1.last_active = now;
        exchange.finish(&worker, now);
    }
    outcome
}

/// What trailers say of the exact bytes is not true of a body that was changed.
pub(crate) fn forget_digests(trailers: &mut Fields) {
    const DIGESTS: [&str; 5] = ["content-md5", "content-digest", "repr-digest", "digest", "etag"];
    trailers.retain(|field| !DIGESTS.iter().any(|name| name.as_bytes() == field.name));
}

pub(super) fn gone(error: &std::io::Error) -> Denial {
    Denial::new(Reason::ClientGone, format!("writing the answer: {error}"))
}
