//! An exchange on an HTTP/2 connection.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bartizan_core::{Denial, Reason};
use bartizan_wire::{
    BodyLength, ChunkLimits, Fields, OutgoingRequest, ResponseHead, judge_h2_response,
    judge_h2_trailers, write_h2_request,
};
use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use super::{INFORMATIONAL_MAX, ResponseLimits};
use crate::links::Ticket;
use crate::piece::Piece;

/// A stream of an HTTP/2 connection.
pub(crate) struct Streamed {
    sender: SendStream<Bytes>,
    response: Option<ResponseFuture>,
    body: Option<RecvStream>,
    /// Taken from the client, and not yet by the connection.
    waiting: Bytes,
    /// What follows it, once the request's body is known to end.
    end: Option<Fields>,
    informational: u32,
    trailer_limits: ChunkLimits,
    is_received: bool,
    /// The end of the request has left.
    is_sent: bool,
    /// The upstream says that it has done nothing about the request.
    pub(super) is_unprocessed: bool,
    pub(super) ticket: Ticket,
}

impl Streamed {
    /// Opens a stream with a request's head, under TLS or not, with a body or none. The inner error
    /// is the connection's, and says whether nothing of the request has left; the outer is ours.
    pub(crate) fn open(
        ticket: Ticket,
        request: &OutgoingRequest<'_>,
        (is_tls, is_last): (bool, bool),
        limits: &ResponseLimits,
    ) -> Result<Result<Box<Self>, (Denial, bool)>, Denial> {
        let head =
            head(request, is_tls).map_err(|detail| Denial::new(Reason::RewriteRefused, detail))?;
        let Some(mut requests) = ticket.requests() else {
            return Ok(Err((closed("the connection is gone"), true)));
        };
        let (response, sender) = match requests.send_request(head, is_last) {
            Ok(opened) => opened,
            // Nothing of it has left.
            Err(error) => return Ok(Err((fault(&error).0, true))),
        };
        Ok(Ok(Box::new(Self {
            sender,
            response: Some(response),
            body: None,
            waiting: Bytes::new(),
            end: None,
            informational: 0,
            trailer_limits: limits.chunks,
            is_received: false,
            is_sent: is_last,
            is_unprocessed: false,
            ticket,
        })))
    }

    /// Puts data behind what was sent; what was put before must have left.
    pub(super) fn put(&mut self, data: Bytes) {
        self.waiting = data;
    }

    /// Nothing follows but trailers.
    pub(super) fn end(&mut self, trailers: Fields) {
        self.end = Some(trailers);
    }

    /// True while something waits for the upstream.
    pub(super) fn is_blocked(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Hands to the connection what was put, as its windows allow.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denial>> {
        while !self.waiting.is_empty() {
            ready!(self.ticket.poll_room(cx));
            let room = self.sender.capacity();
            if room == 0 {
                self.sender.reserve_capacity(self.waiting.len());
                match ready!(self.sender.poll_capacity(cx)) {
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Poll::Ready(Err(self.broke(&error))),
                    None => return Poll::Ready(Err(closed("the upstream takes no more"))),
                }
            }
            let data = self.waiting.split_to(room.min(self.waiting.len()));
            let is_bare_end = self.end.as_ref().is_some_and(Fields::is_empty);
            let is_last = self.waiting.is_empty() && is_bare_end;
            if is_last {
                self.end = None;
            }
            self.ticket.hand_over();
            if let Err(error) = self.sender.send_data(data, is_last) {
                return Poll::Ready(Err(self.broke(&error)));
            }
            self.is_sent |= is_last;
        }
        let Some(trailers) = self.end.take() else { return Poll::Ready(Ok(())) };
        let sent = match header_map(&trailers) {
            Some(map) => self.sender.send_trailers(map),
            None => self.sender.send_data(Bytes::new(), true),
        };
        self.is_sent = true;
        Poll::Ready(sent.map_err(|error| self.broke(&error)))
    }

    /// Ready with the head of the final answer.
    pub(super) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &Method,
        limits: &ResponseLimits,
    ) -> Poll<Result<ResponseHead, Denial>> {
        let Some(response) = &mut self.response else {
            return Poll::Ready(Err(Denial::new(Reason::Internal, "a head that was read before")));
        };
        while let Poll::Ready(Some(Ok(announced))) = response.poll_informational(cx) {
            self.informational += 1;
            if announced.status() == StatusCode::SWITCHING_PROTOCOLS
                || self.informational > INFORMATIONAL_MAX
            {
                return Poll::Ready(Err(malformed("informational answers out of place")));
            }
        }
        let answer = match ready!(Pin::new(response).poll(cx)) {
            Ok(answer) => answer,
            Err(error) => return Poll::Ready(Err(self.broke(&error))),
        };
        self.response = None;
        let (head, body) = answer.into_parts();
        if head.headers.len() > limits.head.fields {
            return Poll::Ready(Err(malformed("more fields than `limits.fields`")));
        }
        let is_last = body.is_end_stream();
        let judged =
            judge_h2_response(head.status, raw(&head.headers), method, is_last).map_err(malformed);
        if let Ok(head) = &judged {
            self.is_received = is_last || head.body == BodyLength::None;
        }
        self.body = Some(body);
        Poll::Ready(judged)
    }

    /// The next part of the answer's body.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Piece, Denial>> {
        if self.is_received {
            return Poll::Ready(Ok(Piece::End(Fields::new())));
        }
        let Some(body) = &mut self.body else {
            return Poll::Ready(Err(Denial::new(Reason::Internal, "a body before its head")));
        };
        loop {
            match ready!(body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It is taken only where there is room for it: what is held is bounded by that.
                    let released = body.flow_control().release_capacity(data.len());
                    if let Err(error) = released {
                        return Poll::Ready(Err(self.broke(&error)));
                    }
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Piece::Bytes(data)));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(self.broke(&error))),
                None => break,
            }
        }
        let trailers = match ready!(body.poll_trailers(cx)) {
            Ok(Some(map)) if !fits(&map, self.trailer_limits) => {
                return Poll::Ready(Err(malformed("trailers over `limits.trailers`")));
            }
            Ok(Some(map)) => judge_h2_trailers(raw(&map)).map_err(malformed)?,
            Ok(None) => Fields::new(),
            Err(error) => return Poll::Ready(Err(self.broke(&error))),
        };
        self.is_received = true;
        Poll::Ready(Ok(Piece::End(trailers)))
    }

    /// True once the answer was read to its end, trailers included.
    pub(super) fn is_received(&self) -> bool {
        self.is_received || self.body.as_ref().is_some_and(RecvStream::is_end_stream)
    }

    fn broke(&mut self, error: &h2::Error) -> Denial {
        let (denial, is_unprocessed) = fault(error);
        self.is_unprocessed |= is_unprocessed;
        self.ticket.fail();
        denial
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // Where no body is to be read, the upstream may still be at one.
        let has_ended = self.body.as_ref().is_some_and(RecvStream::is_end_stream);
        if self.is_sent && has_ended {
            self.ticket.done();
        }
    }
}

/// What an error of the connection means, and whether the upstream says that it has done nothing.
pub(super) fn fault(error: &h2::Error) -> (Denial, bool) {
    // What our own client reads too slowly is no fault of the upstream.
    if error.is_library() && error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) {
        let detail = "too much of the answer came in small frames or resets before it was read";
        return (closed(detail), false);
    }
    if error.is_library() {
        let detail = format!("the upstream broke HTTP/2: {error}");
        return (Denial::new(Reason::UpstreamMalformed, detail), false);
    }
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    // A stream is told of a GOAWAY only where it is over the last that was processed, RFC 9113
    // §6.8.
    let is_unprocessed = error.is_remote() && (is_refused || error.is_go_away());
    (closed(&error.to_string()), is_unprocessed)
}

fn closed(detail: &str) -> Denial {
    Denial::new(Reason::UpstreamClosed, format!("the http/2 stream: {detail}"))
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Reason::UpstreamMalformed, detail)
}

fn fits(map: &HeaderMap, limits: ChunkLimits) -> bool {
    let bytes = raw(map).map(|(name, value)| name.len() + value.len()).sum::<usize>();
    map.len() <= limits.fields && bytes <= limits.trailers
}

fn raw(map: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    map.iter().map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
}

fn head(request: &OutgoingRequest<'_>, is_tls: bool) -> Result<Request<()>, String> {
    let mut fields = HeaderMap::with_capacity(request.fields.len() + 8);
    let mut is_valid = true;
    write_h2_request(request, |field| {
        let name = HeaderName::from_bytes(field.name);
        let value = HeaderValue::from_bytes(field.value);
        match (name, value) {
            (Ok(name), Ok(value)) => is_valid &= fields.try_append(name, value).is_ok(),
            _ => is_valid = false,
        }
    })
    .map_err(|unsendable| unsendable.detail.to_owned())?;
    if !is_valid {
        return Err("a field that HTTP/2 does not carry".to_owned());
    }
    let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
    let authority = Authority::try_from(request.host).map_err(|e| format!("the host: {e}"))?;
    let target = PathAndQuery::try_from(request.target).map_err(|e| format!("the target: {e}"))?;
    let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(target).build();
    let mut head = Request::new(());
    *head.method_mut() = request.method.clone();
    *head.uri_mut() = uri.map_err(|e| format!("the target: {e}"))?;
    *head.version_mut() = http::Version::HTTP_2;
    *head.headers_mut() = fields;
    Ok(head)
}

/// Trailers, or nothing where there are none.
fn header_map(fields: &Fields) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.len());
    for field in fields.iter() {
        let name = HeaderName::from_bytes(field.name).ok()?;
        map.try_append(name, HeaderValue::from_bytes(field.value).ok()?).ok()?;
    }
    (!map.is_empty()).then_some(map)
}
