//! A small HTTP/1.1 client for what plugins ask and send: authorization services, policy engines,
//! sinks of logs. It speaks our own codec, so that an answer has one meaning or is an error.
//!
//! Every call has a greatest time, over resolving, connecting, sending and the whole answer, and an
//! answer a greatest length. Connections are kept between calls and used again only where nothing
//! is left on them; a kept one that turns out to be closed before any byte of an answer came is
//! replaced by a new one, once, so that a call can be sent twice but is never lost to a server that
//! tidies up. Redirects are not followed. Nothing is sent in the way of cookies or credentials that
//! the caller did not name.

mod pool;
mod stream;
mod talk;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bartizan_core::Limits;
use bartizan_wire::{
    BodyLength, ChunkLimits, ConnectionUse, Fields, HeadLimits, OutgoingRequest, encode_request,
};
use bytes::Bytes;
use http::{Method, StatusCode};
use rustls::ClientConfig;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::{ConnectError, Reach, Target, TargetTls};
use pool::Pool;
use talk::{ReadLimits, Talk};

pub use pool::Keep;
pub use stream::Streamed;
pub use url::{Url, UrlFault, is_host};

/// A server that is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    target: Target,
    authority: Arc<str>,
}

impl Endpoint {
    /// The server of `url`, with TLS under `tls` where it is `https`. `None` where that is missing
    /// then, or where no certificate can be for the host.
    pub fn new(url: &Url, tls: Option<Arc<ClientConfig>>) -> Option<Self> {
        let tls = if url.is_tls { Some(TargetTls::new(tls?, &url.host)?) } else { None };
        let target = Target { host: url.host.clone(), port: url.port, tls };
        Some(Self { target, authority: url.authority.clone() })
    }

    /// A server at `target` that is called `authority` in Host.
    pub fn at(target: Target, authority: Arc<str>) -> Self {
        Self { target, authority }
    }

    /// What it is called in Host: the host, with its port unless that is the usual one.
    pub fn authority(&self) -> &Arc<str> {
        &self.authority
    }

    /// Where it is.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The method.
    pub method: &'a Method,
    /// Path and query.
    pub target: &'a str,
    /// The fields, without Host and framing.
    pub fields: &'a Fields,
    /// The body.
    pub body: &'a [u8],
}

/// How long and how much a call may be.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// Time for all of it.
    pub time: Duration,
    /// Longest body of the answer.
    pub answer: usize,
    /// What becomes of the connection.
    pub keep: Keep,
}

/// An answer, received whole.
#[derive(Debug)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// The fields, without hop-by-hop fields and framing.
    pub fields: Fields,
    body: Bytes,
    /// Whose turn it was to be read, until it is dropped.
    _turn: Option<OwnedSemaphorePermit>,
}

impl Answered {
    /// The body as text, what is not UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body.
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The time was over.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The connection ended too early.
    #[error("{0}")]
    Closed(String),
    /// The answer is not valid HTTP, or is ambiguous.
    #[error("not a valid answer: {0}")]
    Malformed(&'static str),
    /// The answer is longer than it may be.
    #[error("an answer of more than {0} bytes")]
    TooLarge(usize),
    /// What was to be sent is no valid request.
    #[error("not sent: {0}")]
    Unsendable(&'static str),
    /// Too many calls wait already.
    #[error("{0} calls wait already, over `limits.calls`")]
    Busy(usize),
}

/// How many long answers are held at once, so that many servers together cannot fill the memory.
#[derive(Clone, Debug)]
pub struct Turns {
    /// A permit for each. It is held until the answer is dropped.
    pub permits: Arc<Semaphore>,
    /// Bytes up to which an answer is read without one.
    pub free: usize,
}

impl Turns {
    /// Waits for a turn.
    pub async fn next(&self) -> Result<OwnedSemaphorePermit, CallError> {
        let turn = self.permits.clone().acquire_owned().await;
        turn.map_err(|_| CallError::Closed("no more answers are read".to_owned()))
    }
}

/// Asks servers. Each worker has one of its own, with its own connections.
#[derive(Debug)]
pub struct Client {
    reach: Arc<dyn Reach>,
    pool: Pool,
    head: HeadLimits,
    chunks: ChunkLimits,
    waiting: AtomicUsize,
    waiting_max: usize,
    turns: Option<Turns>,
}

/// Counts a call while it waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Client {
    /// A client that reaches servers by `reach`.
    pub fn new(reach: Arc<dyn Reach>, limits: &Limits) -> Self {
        Self {
            reach,
            pool: Pool::default(),
            head: HeadLimits::from(limits),
            chunks: ChunkLimits::from(limits),
            waiting: AtomicUsize::new(0),
            waiting_max: usize::try_from(limits.calls).unwrap_or(usize::MAX),
            turns: None,
        }
    }

    /// The same, of whose calls long answers are read in turns. The time of a call goes on while it
    /// waits for its turn.
    #[must_use]
    pub fn in_turns(self, turns: Turns) -> Self {
        Self { turns: Some(turns), ..self }
    }

    /// Sends a call to a server and waits for its answer.
    pub async fn call(
        &self,
        to: &Endpoint,
        call: &Call<'_>,
        limits: &CallLimits,
    ) -> Result<Answered, CallError> {
        let _waiting = self.admit()?;
        let deadline = Instant::now() + limits.time;
        timeout_at(deadline, self.exchange(to, call, limits, deadline))
            .await
            .unwrap_or(Err(CallError::Timeout(limits.time)))
    }

    /// Closes connections that have been idle too long.
    pub fn sweep(&self) {
        self.pool.sweep();
    }

    fn admit(&self) -> Result<Waiting<'_>, CallError> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        if before >= self.waiting_max { Err(CallError::Busy(before)) } else { Ok(waiting) }
    }

    async fn exchange(
        &self,
        to: &Endpoint,
        call: &Call<'_>,
        limits: &CallLimits,
        deadline: Instant,
    ) -> Result<Answered, CallError> {
        let keeps = limits.keep.size > 0;
        let connection = if keeps { ConnectionUse::KeepAlive } else { ConnectionUse::Close };
        let head = head_of(to, call, connection)?;
        let read = ReadLimits { head: self.head, chunks: self.chunks, body: limits.answer };
        let kept = std::future::poll_fn(|cx| {
            let kept = if keeps { self.pool.take(&to.target, cx) } else { None };
            std::task::Poll::Ready(kept)
        });
        if let Some(io) = kept.await {
            match Talk::new(io, [&head, call.body], call.method, read, self.turns.as_ref())
                .run()
                .await
            {
                Ok(done) => return Ok(self.finish(to, done, limits.keep)),
                // Closed while it was idle.
                Err(failed)
                    if !failed.has_answered && matches!(failed.error, CallError::Closed(_)) => {}
                Err(failed) => return Err(failed.error),
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let io = self.reach.connect(&to.target, left).await?;
        match Talk::new(io, [&head, call.body], call.method, read, self.turns.as_ref()).run().await
        {
            Ok(done) => Ok(self.finish(to, done, limits.keep)),
            Err(failed) => Err(failed.error),
        }
    }

    fn finish(
        &self,
        to: &Endpoint,
        (answered, io): (Answered, Option<crate::UpstreamIo>),
        keep: Keep,
    ) -> Answered {
        if let Some(io) = io {
            self.pool.put(&to.target, io, keep);
        }
        answered
    }
}

/// The head of a call.
fn head_of(
    to: &Endpoint,
    call: &Call<'_>,
    connection: ConnectionUse,
) -> Result<Vec<u8>, CallError> {
    let mut head = Vec::new();
    let body = match u64::try_from(call.body.len()) {
        Ok(0) | Err(_) => BodyLength::None,
        Ok(length) => BodyLength::Fixed(length),
    };
    let request = OutgoingRequest {
        method: call.method,
        target: call.target,
        host: &to.authority,
        fields: call.fields,
        lines: None,
        forwarded_host: None,
        body,
        connection,
        websocket: false,
        expect_continue: false,
    };
    encode_request(&mut head, &request).map_err(|fault| CallError::Unsendable(fault.detail))?;
    Ok(head)
}
